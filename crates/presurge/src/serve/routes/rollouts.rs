//! Rollouts: what there is, where each stands, beginning one, and saying what shall become of it.

use std::sync::Arc;

use domain::freeze::Freezes;
use domain::name::{FleetName, RolloutId, Version};
use domain::plan::Plan;
use domain::schema::Moment;
use hyper::StatusCode;
use hyper::header::HeaderName;
use jiff::Timestamp;
use rollout::machine::FoldError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::access::Right;
use super::super::begin::{self, Begun};
use super::super::problem::Problem;
use super::super::route::{Call, Query, Reply, Response, Route};
use super::super::{Server, events};
use crate::apply::keyed::{self, LookError};
use crate::apply::{chain, freezes};
use crate::cli::rollout::{as_json, word};
use crate::documents::{Documents, of_given};

/// Rollouts, the newest ones unless others are asked for.
#[derive(Debug, Serialize, JsonSchema)]
struct Rollouts {
    /// One for each attempt and fleet, in the order of creation.
    rollouts: Vec<Row>,
    /// There are older ones: they are had with `before` set to this.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
}

/// So many rollouts are told at once unless another number is asked for: each is read from its journal.
const ROLLOUTS: u64 = 100;

/// A rollout, in short.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// Its id.
    rollout: RolloutId,
    /// Its fleet.
    fleet: FleetName,
    /// What its servers shall run.
    target: Version,
    /// Where it stands, in a word.
    state: String,
    /// So many servers are updated …
    updated: usize,
    /// … of so many.
    servers: usize,
    /// When it was begun.
    #[schemars(with = "Option<Moment>")]
    created: Option<Timestamp>,
    /// When its journal was written last.
    #[schemars(with = "Option<Moment>")]
    changed: Option<Timestamp>,
}

/// Where a rollout stands.
#[derive(Debug, Serialize, JsonSchema)]
struct Shown {
    /// Each of its fleets, as `presurge rollout show -o json` has it.
    fleets: Vec<Value>,
}

/// What to begin: a rollout of the daemon's own files, or a document.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wish {
    /// The name of a rollout of the daemon's files.
    pub rollout: Option<String>,
    /// A document of kind Rollout, over fleets of the daemon's files. It may name commands that run
    /// where the daemon runs, so that it takes an administrator.
    pub document: Option<Value>,
    /// The seed of the sampled paths.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    pub seed: u64,
    /// Why, for the journal.
    #[serde(default)]
    pub reason: String,
}

fn one() -> u64 {
    1
}

/// What became of a wish.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Started {
    /// `begun`, `open` (it was under way), `done` (it had been done) or `advised` (nothing was begun: the
    /// daemon advises).
    state: &'static str,
    /// Its ids, one for each fleet.
    rollouts: Vec<RolloutId>,
    /// The plan, where it was begun or advised now.
    plan: Option<Box<Plan>>,
    /// The numbers of the advice, one for each fleet; `/v1/advice` says what comes of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    advice: Vec<u64>,
    /// What was odd about the inputs of the advice, and what would stand in its way now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

const AFTER: &[Query] = &[Query {
    name: "after",
    about: "Only records with a higher number; the header Last-Event-ID says the same.",
    least: 0,
    most: None,
}];

const PAGE: &[Query] = &[
    Query {
        name: "limit",
        about: "The newest so many; 100 unless given. Those of fleets out of scope are left out of them.",
        least: 1,
        most: Some(1000),
    },
    Query {
        name: "before",
        about: "Only those that were begun before: the number that the answer with newer ones told.",
        least: 0,
        most: None,
    },
];

pub fn routes() -> Vec<Route> {
    let mut stream = Route::other(
        ("/v1/rollouts/{name}/events", Right::Read, events::MEDIA),
        "The journal of a rollout as it grows, as server-sent events",
        stream,
    );
    stream.statuses = &[200, 204];
    vec![
        Route::get("/v1/rollouts", "Rollouts, the newest ones unless others are asked for", list)
            .query(PAGE),
        Route::post(
            ("/v1/rollouts", Right::Operate, &[200, 201]),
            "Begin a rollout, or have it advised on",
            start,
        )
        .or_yaml()
        .problems(&[404]),
        Route::get("/v1/rollouts/{name}", "Where a rollout stands", show),
        stream.query(AFTER).problems(&[409]),
    ]
}

async fn list(server: Arc<Server>, call: Call) -> Result<Rollouts, Problem> {
    let limit = call.number("limit")?.unwrap_or(ROLLOUTS);
    let mut rollouts = Vec::new();
    let store = server.store.as_ref();
    let all = chain::rollouts(store).await?;
    let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let to = call.number("before")?.map_or(all.len(), |before| place(before).min(all.len()));
    let from = to.saturating_sub(place(limit));
    for id in all.into_iter().take(to).skip(from) {
        let (state, records) = match keyed::state(store, &id).await {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            // Replicas of two releases share a store while they are upgraded.
            Err(LookError::Fold(_, FoldError::Newer { .. })) => continue,
            Err(error) => return Err(error.into()),
        };
        if !call.who.sees(server.labels(&state.created.fleet)) {
            continue;
        }
        rollouts.push(Row {
            updated: state.servers.values().filter(|server| server.is_updated()).count(),
            servers: state.servers.len(),
            state: word(&state),
            created: records.first().map(|record| record.at),
            changed: records.last().map(|record| record.at),
            fleet: state.created.fleet.clone(),
            target: state.created.target.clone(),
            rollout: id,
        });
    }
    let before = (from > 0).then_some(from as u64);
    Ok(Rollouts { rollouts, before })
}

async fn show(server: Arc<Server>, call: Call) -> Result<Shown, Problem> {
    let store = server.store.as_ref();
    let frozen = freezes::read(store).await.unwrap_or_else(|error| {
        server.trouble("freezes cannot be read", &error);
        Freezes::default()
    });
    let mut fleets = Vec::new();
    for id in rollouts_only(keyed::existing_all(store, call.place()).await?)? {
        let Some((state, records)) = keyed::state(store, &id).await? else { continue };
        server.in_scope(&call.who, &state.created.fleet)?;
        let ended = state.outcome().is_some();
        let compared = if ended { rollout::compared::compared(&records) } else { Ok(None) };
        let compared = compared.map_err(|error| Problem::failed(crate::causes::chain(&error)))?;
        let freeze = frozen.on(&state.created.fleet, call.now).filter(|_| !ended);
        fleets.push(as_json(&state, records.len(), freeze, compared.as_ref(), call.now));
    }
    if fleets.is_empty() {
        return Err(Problem::missing(format!("there is no rollout {:?}", call.place())));
    }
    Ok(Shown { fleets })
}

/// The documents of a wish with the name of its rollout. One that is brought takes an administrator.
pub fn wished(
    server: &Server,
    call: &Call,
    wish: &Wish,
) -> Result<(Option<Documents>, String), Problem> {
    if wish.seed >= crate::pipeline::SEEDS {
        return Err(Problem::wrong("seed: expected a number below 2^53"));
    }
    match (&wish.rollout, &wish.document) {
        (Some(name), None) => Ok((None, name.clone())),
        (None, Some(document)) => {
            if !call.who.may(Right::Administer) {
                let detail = "a document may name commands that run here, so that only an administrator \
                              may bring one; name a rollout of the daemon's files instead";
                return Err(Problem::forbidden(detail));
            }
            let documents = with_fleets(server, document)?;
            let name = documents.rollouts[0].rollout().name.to_string();
            Ok((Some(documents), name))
        }
        _ => Err(Problem::wrong("expected either `rollout` or `document`")),
    }
}

/// A document of a rollout with those of the fleets that it names.
fn with_fleets(server: &Server, document: &Value) -> Result<Documents, Problem> {
    let named = document.pointer("/spec/fleets").and_then(Value::as_array);
    let named: Vec<&str> = named.into_iter().flatten().filter_map(Value::as_str).collect();
    let files = server.documents.fleets.values();
    let files = files.filter(|file| named.contains(&file.fleet.name.as_str()));
    let mut given: Vec<_> = files
        .map(|file| (format!("fleet {}", file.fleet.name), file.folder.clone(), file.document()))
        .collect();
    let folder = given.first().map_or_else(|| ".".into(), |(_, folder, _)| folder.clone());
    if document["kind"] != "Rollout" {
        return Err(Problem::wrong("document.kind: expected a document of kind Rollout"));
    }
    given.push(("document".into(), folder, document.clone()));
    let documents = of_given(&given, &server.clock);
    documents.map_err(|error| Problem::wrong(crate::causes::chain(&error)))
}

async fn start(server: Arc<Server>, call: Call, wish: Wish) -> Result<Reply<Started>, Problem> {
    let (own, name) = wished(&server, &call, &wish)?;
    let documents = own.as_ref().unwrap_or(&server.documents);
    let reason = if wish.reason.is_empty() { "it was asked for" } else { &wish.reason };
    let begun = begin::begin(&server, &call, documents, &name, wish.seed, reason).await?;
    let of = |state, rollouts, plan| Started {
        state,
        rollouts,
        plan,
        advice: Vec::new(),
        warnings: Vec::new(),
    };
    let (status, started) = match begun {
        Begun::Now(ids, plan) => (StatusCode::CREATED, of("begun", ids, Some(plan))),
        Begun::Before(ids) => (StatusCode::OK, of("open", ids, None)),
        Begun::Done(ids) => (StatusCode::OK, of("done", ids, None)),
        Begun::Advised(advised) => {
            let begin::Advised { pieces, plan, warnings } = *advised;
            let advice = pieces.iter().map(|piece| piece.seq).collect();
            let none = of("advised", Vec::new(), Some(Box::new(plan)));
            return Ok(Reply::new(StatusCode::OK, Started { advice, warnings, ..none }));
        }
    };
    let mut reply = Reply::new(status, started);
    reply.location = Some(format!("/v1/rollouts/{}", name.replace('/', "%2F")));
    Ok(reply)
}

/// The chains of a name, all of them of fleets that the caller has to do with.
pub async fn chains(server: &Server, call: &Call) -> Result<Vec<RolloutId>, Problem> {
    let ids = keyed::existing_all(server.store.as_ref(), call.place()).await?;
    for id in &ids {
        scope(server, call, id).await?;
    }
    Ok(ids)
}

async fn scope(server: &Server, call: &Call, id: &RolloutId) -> Result<(), Problem> {
    if call.who.sees_all() {
        return Ok(());
    }
    let state = match chain::is_rollout(id) {
        true => keyed::state(server.store.as_ref(), id).await?,
        false => None,
    };
    match state {
        Some((state, _)) => server.in_scope(&call.who, &state.created.fleet),
        None => Err(Problem::forbidden(format!("{} has nothing to do with {id}", call.who.name))),
    }
}

/// The one chain of a name, of a rollout or beside them.
pub async fn one_chain(server: &Server, call: &Call) -> Result<RolloutId, Problem> {
    let ids = chains(server, call).await?;
    match ids.as_slice() {
        [id] => Ok(id.clone()),
        several => {
            let names: Vec<&str> = several.iter().map(RolloutId::as_str).collect();
            let detail = format!("there are several; say which: {}", names.join(", "));
            Err(Problem::conflict("several", "The rollout has several fleets", detail))
        }
    }
}

async fn stream(server: Arc<Server>, call: Call) -> Result<Response, Problem> {
    let id = one_chain(&server, &call).await?;
    let last = call.headers.get(HeaderName::from_static("last-event-id"));
    let last = last.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let after = last.or(call.number("after")?).unwrap_or(0);
    events::stream(server, &call, id, after).await
}

/// Those that are of rollouts: all of them, or there is no such rollout.
pub fn rollouts_only(ids: Vec<RolloutId>) -> Result<Vec<RolloutId>, Problem> {
    match ids.iter().find(|id| !chain::is_rollout(id)) {
        Some(id) => Err(Problem::missing(format!("{id} is no rollout"))),
        None => Ok(ids),
    }
}
