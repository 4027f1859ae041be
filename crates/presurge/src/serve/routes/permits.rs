//! Permits for other people's updaters, and the webhooks of those that ask by themselves.

use std::sync::Arc;
use std::time::Duration;

use domain::config::PositiveSpan;
use domain::name::{FleetName, Key, ServerName};
use domain::permit::{Permit, Permits};
use domain::schema::Moment;
use hyper::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::access::Right;
use super::super::begin::not_planned;
use super::super::problem::Problem;
use super::super::route::{Call, Reply, Route};
use super::super::{Server, settings};
use crate::apply::permits::{self, Answer, LONGEST, PermitError, Wish};
use crate::apply::{chain, lessons};
use crate::pipeline::Prepared;

/// What an updater wants.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ask {
    /// Of which fleet.
    fleet: FleetName,
    /// Whose account: a rollout of the daemon's files. Not needed where one alone names the fleet.
    rollout: Option<String>,
    /// So many servers.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    count: u32,
    /// Which, where it is known.
    #[serde(default)]
    servers: Vec<ServerName>,
    /// For so long, at most a day.
    #[serde(rename = "for")]
    length: PositiveSpan,
    /// What for, for the journal.
    reason: String,
    /// The seed of the sampled paths.
    #[serde(default = "one_seed")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    seed: u64,
}

fn one() -> u32 {
    1
}

fn one_seed() -> u64 {
    1
}

/// How much longer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Longer {
    /// From now on, at most a day.
    #[serde(rename = "for")]
    length: PositiveSpan,
}

/// Why it is given back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Back {
    /// For the journal.
    #[serde(default)]
    reason: String,
}

/// A permit that was granted.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Granted {
    /// Always true.
    granted: bool,
    /// So many servers may be out.
    count: u32,
    /// Until then.
    #[schemars(with = "Option<Moment>")]
    until: Option<Timestamp>,
    /// The probability of overload meanwhile.
    risk: Option<f64>,
    /// What of the account is left.
    risk_left: f64,
    /// What the permit is renewed and released by: `/v1/permits/{lease}/…`, where its number will do.
    lease: Option<Key>,
    /// Why, with numbers.
    reason: String,
}

/// A permit, as it stands.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// What it is renewed and released by.
    lease: Key,
    /// Of which fleet.
    fleet: FleetName,
    /// Whose account it counts against.
    rollout: String,
    /// So many servers may be out.
    count: u32,
    /// Which, where the updater said.
    servers: Vec<ServerName>,
    /// From then on.
    #[schemars(with = "Moment")]
    since: Timestamp,
    /// It ends by itself then.
    #[schemars(with = "Moment")]
    until: Timestamp,
    /// When it was given back.
    #[schemars(with = "Option<Moment>")]
    released: Option<Timestamp>,
    /// What it risked.
    risk: f64,
    /// Who asked.
    actor: String,
    /// What for.
    reason: String,
}

/// Those in force.
#[derive(Debug, Serialize, JsonSchema)]
struct InForce {
    /// The oldest first.
    permits: Vec<Row>,
}

/// What Flagger sends: <https://docs.flagger.app/usage/webhooks>.
#[derive(Debug, Deserialize, JsonSchema)]
struct Flagger {
    /// The name of the canary.
    name: String,
    /// Its namespace.
    namespace: String,
    /// What it does meanwhile.
    #[serde(default, rename = "phase")]
    _phase: String,
    /// Of the new revision.
    #[serde(default)]
    checksum: String,
    /// What the webhook is configured with: `for`, `count` and `rollout`, as text.
    #[serde(default)]
    metadata: std::collections::BTreeMap<String, String>,
}

pub fn routes() -> Vec<Route> {
    let post = |path| (path, Right::Permit, &[200][..]);
    vec![
        Route::get("/v1/permits", "Every permit in force", list),
        Route::post(post("/v1/permits"), "Ask whether servers may go out now", ask)
            .problems(&[404]),
        Route::post(
            post("/v1/permits/{lease}/renew"),
            "Let a permit last longer, from now on",
            renew,
        ),
        Route::post(
            post("/v1/permits/{lease}/release"),
            "Give a permit back: its servers are in service again",
            release,
        ),
        Route::post(
            post("/v1/hooks/flagger/{fleet}"),
            "Flagger's confirm-rollout webhook: go with 200, wait with anything else",
            flagger,
        ),
    ]
}

fn row(permit: &Permit) -> Row {
    Row {
        lease: permit.lease.clone(),
        fleet: permit.fleet.clone(),
        rollout: permit.rollout.clone(),
        count: permit.count,
        servers: permit.servers.clone(),
        since: permit.since,
        until: permit.until,
        released: permit.released,
        risk: permit.risks.iter().map(|(_, risk)| risk).sum(),
        actor: permit.actor.0.clone(),
        reason: permit.reason.clone(),
    }
}

async fn list(server: Arc<Server>, call: Call) -> Result<InForce, Problem> {
    let permits: Permits = chain::read(server.store.as_ref()).await?;
    let mine =
        |permit: &&Permit| permit.in_force(call.now) && call.who.sees(server.labels(&permit.fleet));
    Ok(InForce { permits: permits.all().into_iter().filter(mine).map(row).collect() })
}

/// The rules that a permit of a fleet goes by.
async fn rules(
    server: &Server,
    call: &Call,
    fleet: &FleetName,
    rollout: Option<&str>,
) -> Result<Prepared, Problem> {
    if !server.documents.fleets.contains_key(fleet) {
        return Err(Problem::missing(format!("there is no fleet {fleet} here")));
    }
    server.in_scope(&call.who, fleet)?;
    let over = server.documents.rollouts.iter();
    let over = over.filter(|file| file.parts.iter().any(|part| part.fleet == *fleet));
    let names: Vec<&str> = over.map(|file| file.rollout().name.as_str()).collect();
    let name = match (rollout, names.as_slice()) {
        (Some(name), names) if names.contains(&name) => name,
        (None, [only]) => only,
        _ => {
            let detail =
                format!("rollout: say whose account it counts against: {}", names.join(", "));
            return Err(Problem::wrong(detail));
        }
    };
    let all = server.together(&server.documents, name)?;
    let all = lessons::known(server.store.as_ref(), all).await;
    let part = all.parts.into_iter().find(|part| part.fleet.name == *fleet);
    part.ok_or_else(|| Problem::failed("the rollout has lost its fleet"))
}

fn at_most_a_day(length: PositiveSpan) -> Result<Duration, Problem> {
    let length = length.duration();
    if length > LONGEST {
        return Err(Problem::wrong("for: a permit lasts a day at most; renew it"));
    }
    Ok(length)
}

async fn ask(server: Arc<Server>, call: Call, ask: Ask) -> Result<Reply<Granted>, Problem> {
    if ask.reason.trim().is_empty() {
        return Err(Problem::wrong("reason: say what for"));
    }
    if ask.count == 0 || ask.servers.len() > ask.count as usize {
        return Err(Problem::wrong("count: expected at least one, and no fewer than are named"));
    }
    if ask.seed >= crate::pipeline::SEEDS {
        return Err(Problem::wrong("seed: expected a number below 2^53"));
    }
    let length = at_most_a_day(ask.length)?;
    let prepared = rules(&server, &call, &ask.fleet, ask.rollout.as_deref()).await?;
    let wish = Wish { count: ask.count, servers: ask.servers, length, seed: ask.seed };
    decided(&server, &call, &prepared, &wish, &ask.reason).await
}

async fn decided(
    server: &Server,
    call: &Call,
    prepared: &Prepared,
    wish: &Wish,
    reason: &str,
) -> Result<Reply<Granted>, Problem> {
    let _turn = server.asked.acquire().await.map_err(|e| Problem::failed(e.to_string()))?;
    let petition = call.petition(reason);
    let answer = permits::ask(server.store.as_ref(), prepared, wish, &petition).await;
    said(server, call, answer.map_err(not_decided)?)
}

async fn renew(server: Arc<Server>, call: Call, longer: Longer) -> Result<Reply<Granted>, Problem> {
    let length = at_most_a_day(longer.length)?;
    let permit = known(&server, &call).await?;
    let rollout = Some(permit.rollout.as_str());
    let prepared = rules(&server, &call, &permit.fleet, rollout).await?;
    let _turn = server.asked.acquire().await.map_err(|e| Problem::failed(e.to_string()))?;
    let petition = call.petition(&permit.reason);
    let (journal, lease) = (server.store.as_ref(), &permit.lease);
    let answer = permits::renew(journal, &prepared, lease, length, &petition).await;
    said(&server, &call, answer.map_err(not_decided)?)
}

async fn release(server: Arc<Server>, call: Call, back: Back) -> Result<Reply<Row>, Problem> {
    let permit = known(&server, &call).await?;
    server.in_scope(&call.who, &permit.fleet)?;
    let reason = if back.reason.is_empty() { "it is done" } else { &back.reason };
    let petition = call.petition(reason);
    let given = permits::release(server.store.as_ref(), &permit.lease, &petition).await;
    Ok(Reply::new(StatusCode::OK, row(&given.map_err(not_decided)?)))
}

/// The permit that the path names.
async fn known(server: &Server, call: &Call) -> Result<Permit, Problem> {
    let permits: Permits = chain::read(server.store.as_ref()).await?;
    let missing = || Problem::missing(format!("there is no permit {:?}", call.place()));
    // A slash in a path is awkward: the number of a permit will do.
    let name = match call.place() {
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("permit/{number}"),
        lease => lease.to_owned(),
    };
    let lease = Key::new(name).map_err(|_| missing())?;
    permits.get(&lease).cloned().ok_or_else(missing)
}

/// Leave for a canary: granted once for each revision, and the same again while that lasts.
async fn flagger(
    server: Arc<Server>,
    call: Call,
    asked: Flagger,
) -> Result<Reply<Granted>, Problem> {
    let said = |name: &str| asked.metadata.get(name).map(String::as_str);
    let bad = |name: &str, why: String| Problem::wrong(format!("metadata.{name}: {why}"));
    let fleet = FleetName::new(call.place()).map_err(|e| Problem::missing(e.to_string()))?;
    let length = said("for").unwrap_or("15m").parse::<PositiveSpan>();
    let length = at_most_a_day(length.map_err(|e| bad("for", e.to_string()))?)?;
    let count = said("count").unwrap_or("1").parse::<u32>().ok().filter(|count| *count > 0);
    let count = count.ok_or_else(|| bad("count", "expected a number of servers".into()))?;
    let prepared = rules(&server, &call, &fleet, said("rollout")).await?;
    // The phase changes while it waits.
    let reason = format!("flagger: {}/{} {}", asked.namespace, asked.name, asked.checksum);
    let reason = reason.trim_end().to_owned();
    // Flagger asks again and again until it may go on: what it was granted counts once.
    let permits: Permits = chain::read(server.store.as_ref()).await?;
    let mine = |permit: &&&Permit| permit.reason == reason && permit.count == count;
    if let Some(permit) = permits.on(&fleet, call.now).iter().find(mine) {
        let again = Answer {
            granted: true,
            count,
            until: Some(permit.until),
            risk: permit.risks.last().map(|(_, risk)| *risk),
            risk_left: 0.0,
            lease: Some(permit.lease.clone()),
            reason: format!("it was granted at {:.0}", permit.since),
            retry_after: None,
        };
        return self::said(&server, &call, again);
    }
    let wish = Wish { count, servers: Vec::new(), length, seed: 1 };
    decided(&server, &call, &prepared, &wish, &reason).await
}

/// Granted is 200; a refusal is a problem that says when to ask again.
fn said(server: &Server, call: &Call, answer: Answer) -> Result<Reply<Granted>, Problem> {
    server.meters.permit(answer.granted);
    let Answer { granted, count, until, risk, risk_left, lease, reason, retry_after } = answer;
    if granted {
        let granted = Granted { granted, count, until, risk, risk_left, lease, reason };
        return Ok(Reply::new(StatusCode::OK, granted));
    }
    let mut problem = Problem::conflict("permit", "The servers may not go out now", reason)
        .with("granted", false)
        .with("count", count)
        .with("risk", risk)
        .with("riskLeft", risk_left)
        .with("retryAfter", retry_after.map(|at| at.to_string()));
    let seconds =
        retry_after.map_or(settings::ASK_AGAIN, |at| at.duration_since(call.now).unsigned_abs());
    problem.retry_after = Some(seconds.as_secs().max(1));
    Err(problem)
}

fn not_decided(error: PermitError) -> Problem {
    match error {
        PermitError::Plan(error) => not_planned(error),
        PermitError::Servers(text) => Problem::wrong(format!("servers: {text}")),
        PermitError::NoSuch(_) => {
            Problem::conflict("no-permit", "The permit is not in force", error.to_string())
        }
        error => Problem::store(&error),
    }
}
