//! Plans without doing.

use std::sync::Arc;

use domain::plan::Plan;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::access::Right;
use super::super::problem::Problem;
use super::super::route::{Call, Reply, Route};
use super::super::{Server, begin};
use super::rollouts::{Wish, wished};
use crate::apply::lessons;

/// A plan that nobody performs.
#[derive(Debug, Serialize, JsonSchema)]
struct Planned {
    /// The plan.
    plan: Plan,
    /// What was odd about its inputs.
    warnings: Vec<String>,
}

pub fn routes() -> Vec<Route> {
    let asked = ("/v1/plans", Right::Operate, &[200][..]);
    vec![
        Route::post(
            asked,
            "Say what a rollout would do, when, what it costs, and how sure that is",
            plan,
        )
        .or_yaml()
        .problems(&[404]),
    ]
}

async fn plan(server: Arc<Server>, call: Call, wish: Wish) -> Result<Reply<Planned>, Problem> {
    let (own, name) = wished(&server, &call, &wish)?;
    let documents = own.as_ref().unwrap_or(&server.documents);
    documents.rollout(Some(&name)).map_err(|error| Problem::missing(error.to_string()))?;
    let all = server.together(documents, &name)?;
    for part in &all.parts {
        server.in_scope(&call.who, &part.fleet.name)?;
    }
    let all = lessons::known(server.store.as_ref(), all).await;
    let made = begin::plan(&server, &all, &call, wish.seed).await?;
    let warnings = made.warnings();
    Ok(Reply::new(StatusCode::OK, Planned { plan: made.plan, warnings }))
}
