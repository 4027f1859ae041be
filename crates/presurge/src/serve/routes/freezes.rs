//! The kill switch over HTTP.

use std::sync::Arc;

use domain::config::PositiveSpan;
use domain::freeze::{Freeze, Freezes};
use domain::name::FleetName;
use domain::schema::Moment;
use hyper::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Server;
use super::super::access::Right;
use super::super::problem::Problem;
use super::super::route::{Call, Reply, Route};
use crate::apply::freezes;

/// What shall be frozen.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ask {
    /// These fleets; or `all`.
    #[serde(default)]
    fleets: Vec<FleetName>,
    /// Every fleet, also those that are not known yet.
    #[serde(default)]
    all: bool,
    /// Why, for the journal and for everybody who is stopped.
    reason: String,
    /// It ends by itself then.
    #[schemars(with = "Option<Moment>")]
    until: Option<Timestamp>,
    /// It ends by itself after so long.
    #[serde(rename = "for")]
    length: Option<PositiveSpan>,
}

/// Which freezes shall end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Lift {
    /// Those of these fleets; or `all`.
    #[serde(default)]
    fleets: Vec<FleetName>,
    /// Those of everything. A freeze of a single fleet outlasts it.
    #[serde(default)]
    all: bool,
    /// Why, for the journal.
    reason: String,
}

/// A freeze in force.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// Which fleet; null is everything.
    fleet: Option<FleetName>,
    /// From then on.
    #[schemars(with = "Moment")]
    since: Timestamp,
    /// It ends by itself then.
    #[schemars(with = "Option<Moment>")]
    until: Option<Timestamp>,
    /// Who asked.
    actor: String,
    /// Why.
    reason: String,
    /// The number of its record.
    seq: u64,
}

/// Those in force.
#[derive(Debug, Serialize, JsonSchema)]
struct InForce {
    /// The oldest first.
    freezes: Vec<Row>,
    /// Fleets that were frozen and that nothing here is about: perhaps they are called otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

pub fn routes() -> Vec<Route> {
    let post = |path| (path, Right::Operate, &[200][..]);
    vec![
        Route::get("/v1/freezes", "What is frozen", list),
        Route::post(
            post("/v1/freezes"),
            "The kill switch: let no more server go out, of some fleets or of any",
            freeze,
        ),
        Route::post(post("/v1/freezes/lift"), "End freezes", lift),
    ]
}

async fn list(server: Arc<Server>, call: Call) -> Result<InForce, Problem> {
    let frozen = freezes::read(server.store.as_ref()).await?;
    Ok(in_force(&server, &call, &frozen))
}

async fn freeze(server: Arc<Server>, call: Call, ask: Ask) -> Result<Reply<InForce>, Problem> {
    let scopes = scopes(&server, &call, ask.all, ask.fleets)?;
    let until = match (ask.until, ask.length) {
        (Some(_), Some(_)) => return Err(Problem::wrong("until: give it or `for`, not both")),
        (until, length) => until.or(length.map(|length| call.now + length.duration())),
    };
    if until.is_some_and(|until| until <= call.now) {
        return Err(Problem::wrong("until: it has passed already; nothing was frozen"));
    }
    let petition = call.petition(why(&ask.reason)?);
    let store = server.store.as_ref();
    let frozen = freezes::declare(store, &scopes, until, &petition).await?;
    let named: Vec<FleetName> = scopes.into_iter().flatten().collect();
    let warnings = freezes::unknown(store, &named, server.documents.fleets.keys()).await;
    let frozen = InForce { warnings, ..in_force(&server, &call, &frozen) };
    Ok(Reply::new(StatusCode::OK, frozen))
}

async fn lift(server: Arc<Server>, call: Call, ask: Lift) -> Result<Reply<InForce>, Problem> {
    let scopes = scopes(&server, &call, ask.all, ask.fleets)?;
    let petition = call.petition(why(&ask.reason)?);
    let frozen = freezes::lift(server.store.as_ref(), &scopes, &petition).await?;
    Ok(Reply::new(StatusCode::OK, in_force(&server, &call, &frozen)))
}

/// One scope for each freeze; `None` is everything. Whoever has to do with some fleets only freezes none
/// of the others.
fn scopes(
    server: &Server,
    call: &Call,
    all: bool,
    fleets: Vec<FleetName>,
) -> Result<Vec<Option<FleetName>>, Problem> {
    match (all, fleets.is_empty()) {
        (true, true) if call.who.sees_all() => Ok(vec![None]),
        (true, true) => {
            let detail = format!("{} has not to do with everything; name fleets", call.who.name);
            Err(Problem::forbidden(detail))
        }
        (false, false) => {
            fleets.iter().try_for_each(|fleet| server.in_scope(&call.who, fleet))?;
            Ok(fleets.into_iter().map(Some).collect())
        }
        _ => Err(Problem::wrong("fleets: expected the names of fleets, or `all`: true instead")),
    }
}

fn why(reason: &str) -> Result<&str, Problem> {
    match reason.trim() {
        "" => Err(Problem::wrong("reason: say why; everybody who is stopped will read it")),
        reason => Ok(reason),
    }
}

fn in_force(server: &Server, call: &Call, freezes: &Freezes) -> InForce {
    let concerns = |freeze: &&Freeze| {
        freeze.fleet.as_ref().is_none_or(|fleet| call.who.sees(server.labels(fleet)))
    };
    let row = |freeze: &Freeze| Row {
        fleet: freeze.fleet.clone(),
        since: freeze.since,
        until: freeze.until,
        actor: freeze.actor.0.clone(),
        reason: freeze.reason.clone(),
        seq: freeze.seq,
    };
    let freezes = freezes.in_force(call.now).filter(concerns).map(row).collect();
    InForce { freezes, warnings: Vec::new() }
}
