//! What people say shall become of a rollout: events in its journal, as those of the command line.

use std::sync::Arc;

use domain::event::Event;
use domain::name::RolloutId;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Server;
use super::super::access::Right;
use super::super::problem::Problem;
use super::super::route::{Call, Reply, Route};
use super::rollouts::{chains, rollouts_only};
use crate::apply::control::{self, ControlError, DigestStart, Judgement};

/// A request of a person.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ask {
    /// Why, for the journal.
    #[serde(default)]
    reason: String,
}

/// What a person says of a plan.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Approve {
    /// The digest of the plan, or its first twelve digits or more.
    digest: String,
    /// Reject it: what is out comes back, and the rollout ends.
    #[serde(default)]
    reject: bool,
    /// Why, for the journal.
    #[serde(default)]
    reason: String,
}

/// What was written.
#[derive(Debug, Serialize, JsonSchema)]
struct Written {
    /// Into which journals. Whoever drives the rollout sees it within a second.
    written: Vec<RolloutId>,
    /// Where it could not be.
    refused: Vec<Refusal>,
}

/// Why a request was not written.
#[derive(Debug, Serialize, JsonSchema)]
struct Refusal {
    /// Of which rollout.
    rollout: RolloutId,
    /// Why.
    reason: String,
}

pub fn routes() -> Vec<Route> {
    let act = |path, about, verb, event: Event| {
        let asked = (path, Right::Operate, &[202][..]);
        Route::post(asked, about, move |server, call, ask: Ask| {
            request(server, call, ask, verb, event.clone())
        })
    };
    vec![
        act(
            "/v1/rollouts/{name}/pause",
            "Open no further batch; the one that is out comes back",
            "pause",
            Event::PauseRequested {},
        ),
        act(
            "/v1/rollouts/{name}/resume",
            "Go on; a failed server is tried once more",
            "resume",
            Event::ResumeRequested {},
        ),
        act(
            "/v1/rollouts/{name}/abort",
            "Put back what is out, give back the surge, and end",
            "abort",
            Event::AbortRequested {},
        ),
        Route::post(
            ("/v1/rollouts/{name}/rollback", Right::Operate, &[202]),
            "Bring every server back to the version that it ran before, and end",
            roll_back,
        ),
        Route::post(
            ("/v1/rollouts/{name}/approve", Right::Approve, &[202]),
            "Agree to the plan that waits for it, or reject it",
            approve,
        ),
    ]
}

async fn request(
    server: Arc<Server>,
    call: Call,
    ask: Ask,
    verb: &'static str,
    event: Event,
) -> Result<Reply<Written>, Problem> {
    let petition = call.petition(&ask.reason);
    let mut written = Written { written: Vec::new(), refused: Vec::new() };
    for id in rollouts_only(chains(&server, &call).await?)? {
        let (journal, event) = (server.store.as_ref(), event.clone());
        let asked = control::request(journal, id.as_str(), verb, event, &petition).await;
        take(&mut written, id, asked)?;
    }
    said(&server, written)
}

async fn roll_back(server: Arc<Server>, call: Call, ask: Ask) -> Result<Reply<Written>, Problem> {
    let petition = call.petition(&ask.reason);
    let mut written = Written { written: Vec::new(), refused: Vec::new() };
    for id in rollouts_only(chains(&server, &call).await?)? {
        let asked = control::roll_back(server.store.as_ref(), id.clone(), &petition).await;
        take(&mut written, id, asked)?;
    }
    said(&server, written)
}

/// Of several fleets each has a plan of its own: the digest says which is meant.
async fn approve(server: Arc<Server>, call: Call, ask: Approve) -> Result<Reply<Written>, Problem> {
    let start: DigestStart =
        ask.digest.parse().map_err(|why| Problem::wrong(format!("digest: {why}")))?;
    let judgement = if ask.reject { Judgement::Reject } else { Judgement::Approve };
    let petition = call.petition(&ask.reason);
    let mut written = Written { written: Vec::new(), refused: Vec::new() };
    for id in rollouts_only(chains(&server, &call).await?)? {
        let journal = server.store.as_ref();
        let asked = control::judge_plan(journal, id.clone(), &start, judgement, &petition).await;
        take(&mut written, id, asked)?;
        if !written.written.is_empty() {
            written.refused.clear();
            break;
        }
    }
    said(&server, written)
}

fn take(
    written: &mut Written,
    rollout: RolloutId,
    asked: Result<RolloutId, ControlError>,
) -> Result<(), Problem> {
    match asked {
        Ok(id) => written.written.push(id),
        Err(error @ (ControlError::Refused { .. } | ControlError::Ended { .. })) => {
            let reason = crate::causes::chain(&error);
            written.refused.push(Refusal { rollout, reason });
        }
        Err(ControlError::Look(error)) => return Err(error.into()),
        Err(error @ ControlError::Append(_)) => return Err(Problem::store(&error)),
    }
    Ok(())
}

fn said(server: &Server, written: Written) -> Result<Reply<Written>, Problem> {
    if written.written.is_empty() {
        let reasons: Vec<&str> = written.refused.iter().map(|r| r.reason.as_str()).collect();
        let title = "It cannot be done as things stand";
        return Err(Problem::conflict("refused", title, reasons.join("; ")));
    }
    server.keeper.wake();
    Ok(Reply::new(StatusCode::ACCEPTED, written))
}
