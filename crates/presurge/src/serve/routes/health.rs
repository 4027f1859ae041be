//! How the daemon is, and what it answers.

use std::sync::Arc;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::access::Right;
use super::super::fresh::Progress;
use super::super::metrics::Gauge;
use super::super::problem::Problem;
use super::super::route::{Call, Response, Route, json};
use super::super::settings::READY;
use super::super::{Server, advice, exchange, openapi};

/// It is well.
#[derive(Debug, Serialize, JsonSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

/// The daemon can do its work.
#[derive(Debug, Serialize, JsonSchema)]
struct Ready {
    /// `ok`.
    status: &'static str,
    /// The store, in words.
    store: String,
    /// Dimensions of fleets that have a forecaster; the others get theirs one after the other, and plans of
    /// them take longer until then.
    forecasters: usize,
    /// All of them.
    of: usize,
}

pub fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::get("/healthz", "Whether the process lives", healthz),
        Route::get("/readyz", "Whether the store answers", readyz),
        Route::other(
            ("/metrics", Right::Read, "text/plain"),
            "What the daemon measures of itself, for Prometheus",
            metrics,
        ),
        Route::other(
            ("/v1/openapi.json", Right::Nobody, "application/json"),
            "This document",
            document,
        ),
    ];
    routes[0].right = Right::Nobody;
    routes[1].right = Right::Nobody;
    routes
}

async fn healthz(_: Arc<Server>, _: Call) -> Result<Health, Problem> {
    Ok(Health { status: "ok" })
}

async fn readyz(server: Arc<Server>, _: Call) -> Result<Ready, Problem> {
    let asked = tokio::time::timeout(READY, server.store.check()).await;
    match asked {
        Ok(Ok(_)) => {
            let Progress { all, fitted, .. } = server.fresh.progress();
            let store = server.store.name().into();
            Ok(Ready { status: "ok", store, forecasters: fitted, of: all })
        }
        Ok(Err(error)) => Err(Problem::store(&error)),
        Err(_) => Err(Problem::busy(format!(
            "the store {} has not answered within {} s",
            server.store.name(),
            READY.as_secs()
        ))),
    }
}

async fn document(server: Arc<Server>, _: Call) -> Result<Response, Problem> {
    json(StatusCode::OK, &openapi::document(&server.routes))
}

async fn metrics(server: Arc<Server>, call: Call) -> Result<Response, Problem> {
    let (driven, others) = server.keeper.counts();
    let one = |value: usize| vec![(String::new(), value as f64)];
    let mut gauges = vec![
        Gauge {
            name: "presurge_rollouts_driven",
            help: "Open rollouts that this replica drives.",
            values: one(driven),
        },
        Gauge {
            name: "presurge_rollouts_not_driven",
            help: "Open rollouts of the store that this replica does not drive.",
            values: one(others),
        },
    ];
    gauges.extend(forecasters(&server));
    let known = server.fresh.ages().into_iter().filter_map(|((fleet, dimension), until)| {
        let age = call.now.duration_since(until?).as_secs_f64();
        Some((format!("{{fleet=\"{fleet}\",dimension=\"{dimension}\"}}"), age))
    });
    gauges.push(Gauge {
        name: "presurge_load_age_seconds",
        help: "The age of the newest sample that a forecast stands on.",
        values: known.collect(),
    });
    gauges.extend(advice::gauges(&server.told_advice.get()));
    if let Some((memory, seconds)) = process() {
        gauges.push(Gauge {
            name: "process_resident_memory_bytes",
            help: "Memory of the process.",
            values: vec![(String::new(), memory)],
        });
        gauges.push(Gauge {
            name: "process_cpu_seconds_total",
            help: "Processor time of the process.",
            values: vec![(String::new(), seconds)],
        });
    }
    let text = server.meters.text(&gauges);
    let mut response = hyper::Response::new(exchange::whole(text));
    let media = "text/plain; version=0.0.4; charset=utf-8";
    let media = hyper::header::HeaderValue::from_static(media);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, media);
    Ok(response)
}

/// How far forecasters are, and how they have done.
fn forecasters(server: &Server) -> Vec<Gauge> {
    let Progress { all, fitted, failing, updates, fits } = server.fresh.progress();
    let state = |name: &str, count: usize| (format!("{{state=\"{name}\"}}"), count as f64);
    let of = |of: &'static str, count: u64| (format!("{{of=\"{of}\"}}"), count as f64);
    let (mut inside, mut losses) = (Vec::new(), Vec::new());
    for ((fleet, dimension), table) in server.fresh.scores() {
        for row in table {
            let band = row.band;
            let labels = format!("fleet=\"{fleet}\",dimension=\"{dimension}\",band=\"{band}\"");
            for (interval, share) in [("80", row.inside80), ("95", row.inside95)] {
                let labels = format!("{{{labels},interval=\"{interval}\"}}");
                inside.extend(share.map(|share| (labels, share)));
            }
            losses.extend(row.relative_loss.map(|loss| (format!("{{{labels}}}"), loss)));
        }
    }
    vec![
        Gauge {
            name: "presurge_forecasters",
            help: "Dimensions of fleets: all, those with a forecaster, those that are not up to date.",
            values: vec![state("all", all), state("fitted", fitted), state("failing", failing)],
        },
        Gauge {
            name: "presurge_forecaster_works",
            help: "Times that forecasters took in new samples, and fits, since the start.",
            values: vec![of("update", updates), of("fit", fits)],
        },
        Gauge {
            name: "presurge_forecast_coverage_ratio",
            help: "The share of values in the central interval, by how far ahead it was forecast.",
            values: inside,
        },
        Gauge {
            name: "presurge_forecast_relative_loss_ratio",
            help: "Pinball loss at 0.95 relative to that of seasonal naive.",
            values: losses,
        },
    ]
}

/// Resident memory in bytes and processor time in seconds of this process.
fn process() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    let page = rustix::param::page_size() as f64;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    Some((number(21)? * page, (number(11)? + number(12)?) / ticks))
}
