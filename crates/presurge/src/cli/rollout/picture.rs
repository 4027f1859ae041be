//! The picture of what a rollout came to: from its journal, and the load from where it can be read.

use std::path::PathBuf;
use std::sync::Arc;

use super::happened::{Happened, happened};
use domain::event::Event;
use domain::journal::Record;
use domain::name::Dimension;
use domain::plan::{Plan, TimelineEntry};
use domain::ports::Clock;
use jiff::Timestamp;
use rollout::State;
use rollout::compared::Compared;
use store::Store;

use crate::apply::bundle;
use crate::causes::chain;
use crate::cli::Failed;
use crate::cli::render::outcome::{Outcome, SLICES};
use crate::documents::{self, Documents};
use crate::pipeline::{Prepared, Together};
use crate::replay::{Came, Truth};

/// The documents that say where the load is read: given, or kept with the rollout.
pub(super) async fn documents(
    store: Option<&dyn Store>,
    files: &[PathBuf],
    records: &[Record],
    clock: &Arc<dyn Clock>,
) -> Result<Option<Documents>, Failed> {
    if !files.is_empty() {
        return documents::load(files, clock).map(Some).map_err(Failed::data);
    }
    let (Some(store), Some(first)) = (store, records.first()) else { return Ok(None) };
    Ok(bundle::read(store, first, clock).await.unwrap_or_else(|error| {
        eprintln!("warning: {}", chain(&error));
        None
    }))
}

/// The pictures of one fleet of a rollout, one for each dimension; none before there is a plan.
pub(super) async fn pictures(
    state: &State,
    records: &[Record],
    compared: &Compared,
    documents: Option<&Documents>,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Outcome>, Failed> {
    let first = records.iter().find_map(|record| match record.event() {
        Ok(Event::PlanAdopted { plan }) => Some(*plan),
        _ => None,
    });
    let (Some(plan), Some(last)) = (first, records.last()) else { return Ok(Vec::new()) };
    let seen = happened(records)?;
    let ends = seen.absences.iter().map(|absence| absence.back_at);
    let from = plan.start_at.min(records[0].at);
    let to = ends.fold(plan.done_at.max(last.at), Timestamp::max);
    let load = match documents {
        None => None,
        Some(documents) => load(documents, state, (from, to), clock).await,
    };
    let dimensions = plan.timeline.first().map(|entry| entry.load.keys().cloned().collect());
    let dimensions: Vec<Dimension> = dimensions.unwrap_or_default();
    let span = (from, to);
    let fleet = &state.created.fleet;
    let one = |dimension: &Dimension| Outcome {
        title: format!("{fleet}/{dimension}"),
        looks: compared
            .load
            .iter()
            .filter(|load| load.dimension == *dimension)
            .map(|load| (load.at, load.came))
            .collect(),
        ..outcome(span, dimension, &plan, &seen, load.as_ref())
    };
    Ok(dimensions.iter().map(one).collect())
}

/// The load as its source tells it now. Not being able to read it is a warning.
async fn load(
    documents: &Documents,
    state: &State,
    span: (Timestamp, Timestamp),
    clock: &Arc<dyn Clock>,
) -> Option<Truth> {
    let read = async {
        let all = Together::new(documents, Some(&state.created.name), clock, &[]);
        let all = all.map_err(|failed| failed.to_string())?;
        let mine = |part: &Prepared| part.fleet.name == state.created.fleet;
        let part = all.parts.into_iter().find(mine);
        let part = part.ok_or_else(|| format!("it has no fleet {}", state.created.fleet))?;
        let came = Came::read(&part, span, clock.now()).await;
        came.map(|came| came.truth).map_err(|error| chain(&error))
    };
    match read.await {
        Ok(truth) => Some(truth),
        Err(text) => {
            eprintln!("warning: the load that came is drawn at the batches only: {text}");
            None
        }
    }
}

fn outcome(
    (from, to): (Timestamp, Timestamp),
    dimension: &Dimension,
    plan: &Plan,
    seen: &Happened,
    load: Option<&Truth>,
) -> Outcome {
    let empty = || vec![f64::NAN; SLICES];
    let mut outcome = Outcome {
        title: String::new(),
        from,
        to,
        mean: empty(),
        upper: empty(),
        planned: empty(),
        came: empty(),
        load: empty(),
        looks: Vec::new(),
        plan_batches: plan.batches.iter().map(|b| (b.index, b.out_at, b.back_at)).collect(),
        batches: seen.batches.iter().map(|out| (out.index, out.from, out.to)).collect(),
    };
    let ledger = plan::Ledger::of_journal(plan, &seen.absences, &seen.presences);
    let place = load.and_then(|load| load.dimensions().iter().position(|d| d == dimension));
    for slice in 0..SLICES {
        let (start, end) = (outcome.at(slice), outcome.at(slice + 1));
        let here = plan.timeline.iter().filter(|entry| entry.from < end && start < entry.to);
        let capacity = |entry: &TimelineEntry| entry.capacity.get(dimension).copied();
        let planned = here.clone().filter_map(capacity).reduce(f64::min);
        outcome.planned[slice] = planned.unwrap_or(f64::NAN);
        if let Some(band) = here.clone().find_map(|entry| entry.load.get(dimension)) {
            (outcome.mean[slice], outcome.upper[slice]) = (band.mean, band.upper);
        }
        if let Some(ledger) = &ledger {
            let least = ledger.least(start, end).get(dimension).copied();
            outcome.came[slice] = least.unwrap_or(f64::NAN);
        }
        if let (Some(load), Some(place)) = (load, place) {
            outcome.load[slice] = load.load(start).map_or(f64::NAN, |values| values[place]);
        }
    }
    outcome
}
