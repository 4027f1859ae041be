//! Forecasts of the fleets of the configuration, who makes them, and what was learned of the fleets.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::forecast::Probability;
use domain::name::{Dimension, FleetName};
use domain::schema::Moment;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::super::Server;
use super::super::fresh::{Kept, Known};
use super::super::problem::Problem;
use super::super::route::{Call, Query, Route};
use super::super::settings::{HORIZON, HORIZON_LONGEST};
use crate::apply::lessons;
use crate::cli::models::rows;

/// The forecast of one dimension.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Told {
    /// The start of the first step.
    #[schemars(with = "Moment")]
    start: Timestamp,
    /// The length of a step, in seconds.
    step_seconds: i64,
    /// Who forecasts.
    model: String,
    /// The expected value of each step, in the unit of the capacity.
    mean: Vec<f64>,
    /// The levels of the quantiles.
    levels: Vec<f64>,
    /// One row for each step, one value for each level.
    quantiles: Vec<Vec<f64>>,
    /// The load is known until then.
    #[schemars(with = "Moment")]
    known_until: Timestamp,
}

/// The forecasts of a fleet.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Forecasts {
    /// The fleet.
    fleet: FleetName,
    /// By dimension; one that has no forecast yet is not there.
    dimensions: BTreeMap<Dimension, Told>,
    /// What keeps dimensions from being up to date.
    troubles: BTreeMap<Dimension, String>,
}

/// Who forecasts a dimension.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Forecaster {
    /// The model or combination that has the most weight.
    chosen: String,
    /// Live weights, by steps ahead.
    #[schemars(with = "Value")]
    bands: Vec<forecast::BandReport>,
    /// When it was fitted.
    #[schemars(with = "Option<Moment>")]
    fitted_at: Option<Timestamp>,
    /// Until when it knows the load.
    #[schemars(with = "Moment")]
    known_until: Timestamp,
    /// How it has done by how far ahead it looked; what came a week ago counts about a third.
    #[schemars(with = "Value")]
    scored: Vec<forecast::Scored>,
    /// What has changed lately, in words.
    events: Vec<String>,
}

/// What plans of a fleet are made with.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Model {
    /// The fleet.
    fleet: FleetName,
    /// Who forecasts each of its dimensions.
    forecasters: BTreeMap<Dimension, Forecaster>,
    /// Figures that were learned or fixed, as `presurge models -o json` has them.
    figures: Vec<Value>,
}

/// What plans are made with.
#[derive(Debug, Serialize, JsonSchema)]
struct Models {
    /// One for each fleet.
    fleets: Vec<Model>,
}

const QUERY: &[Query] = &[Query {
    name: "horizon",
    about: "So many steps ahead.",
    least: 1,
    most: Some(HORIZON_LONGEST as u64),
}];

pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/forecasts/{fleet}", "The load to come", forecasts).query(QUERY),
        Route::get("/v1/models", "Who forecasts, and what was learned", models),
    ]
}

/// The levels that plans look at.
fn levels() -> Vec<Probability> {
    [0.05, 0.1, 0.5, 0.9, 0.95]
        .into_iter()
        .filter_map(|level| Probability::new(level).ok())
        .collect()
}

async fn forecasts(server: Arc<Server>, call: Call) -> Result<Forecasts, Problem> {
    let missing = || Problem::missing(format!("there is no fleet {:?} here", call.place()));
    let fleet = FleetName::new(call.place()).map_err(|_| missing())?;
    if !server.documents.fleets.contains_key(&fleet) {
        return Err(missing());
    }
    server.in_scope(&call.who, &fleet)?;
    let horizon = call.number("horizon")?.map_or(HORIZON, |horizon| horizon as usize);
    let (mut dimensions, mut troubles) = (BTreeMap::new(), BTreeMap::new());
    for (dimension, kept) in server.fresh.of(&fleet) {
        troubles.extend(kept.trouble.clone().map(|trouble| (dimension.clone(), trouble)));
        if let Some(told) = told(&server, kept, horizon).await? {
            dimensions.insert(dimension, told);
        }
    }
    Ok(Forecasts { fleet, dimensions, troubles })
}

async fn told(server: &Server, kept: Kept, horizon: usize) -> Result<Option<Told>, Problem> {
    let Some(Known { forecaster, .. }) = kept.known else { return Ok(None) };
    let known_until = forecaster.end();
    let said =
        Server::compute(&server.asked, move || forecaster.forecast(horizon, &levels())).await;
    let said = said.map_err(Problem::failed)?.map_err(|e| Problem::failed(e.to_string()))?;
    Ok(Some(Told {
        start: said.start,
        step_seconds: said.step.seconds(),
        model: said.model,
        mean: said.mean,
        levels: said.levels.iter().map(|level| level.get()).collect(),
        quantiles: said.quantiles,
        known_until,
    }))
}

async fn models(server: Arc<Server>, call: Call) -> Result<Models, Problem> {
    let known = lessons::read(server.store.as_ref()).await;
    let known = known.map_err(|error| Problem::store(&error))?;
    let mut fleets = Vec::new();
    for (name, file) in &server.documents.fleets {
        if !call.who.sees(Some(&file.fleet.labels)) {
            continue;
        }
        let kept = server.fresh.of(name).into_iter();
        let forecasters = kept.filter_map(|(dimension, kept)| {
            let known = kept.known?;
            let report = known.forecaster.report();
            let (fitted_at, events) = (Some(known.fitted_at), kept.events.into());
            let (chosen, bands) = (report.chosen, report.bands);
            let (known_until, scored) = (known.forecaster.end(), known.scores.table());
            let told = Forecaster { chosen, bands, fitted_at, known_until, scored, events };
            Some((dimension, told))
        });
        let forecasters = forecasters.collect();
        let figures = rows(name, &known.of(name), None);
        fleets.push(Model { fleet: name.clone(), forecasters, figures });
    }
    Ok(Models { fleets })
}
