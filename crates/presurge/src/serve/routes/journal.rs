//! The journal, as it is stored.

use std::sync::Arc;

use domain::journal::Record;
use domain::name::RolloutId;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::Server;
use super::super::problem::Problem;
use super::super::route::{Call, Query, Route};
use super::super::settings::RECORDS;
use super::rollouts::one_chain;

/// Records of one chain, in order.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Records {
    /// The chain: of a rollout, or one beside them.
    rollout: RolloutId,
    /// The records, as `presurge audit export` writes them.
    records: Vec<Record>,
    /// Ask again with `after` of this for the rest; none when that was all.
    next: Option<u64>,
}

const QUERY: &[Query] = &[
    Query { name: "after", about: "Only records with a higher number.", least: 0, most: None },
    Query {
        name: "limit",
        about: "So many records at most.",
        least: 1,
        most: Some(RECORDS as u64),
    },
];

pub fn routes() -> Vec<Route> {
    vec![Route::get("/v1/journal/{name}", "Records of a journal", records).query(QUERY)]
}

async fn records(server: Arc<Server>, call: Call) -> Result<Records, Problem> {
    let rollout = one_chain(&server, &call).await?;
    let limit = call.number("limit")?.map_or(RECORDS, |limit| limit as usize);
    let mut records = server.store.read(&rollout, call.number("after")?.unwrap_or(0)).await?;
    let more = records.len() > limit;
    records.truncate(limit);
    let next = if more { records.last().map(|record| record.seq) } else { None };
    Ok(Records { rollout, records, next })
}
