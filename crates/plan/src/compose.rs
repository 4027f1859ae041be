//! From a choice to the plan document.

use std::time::Duration;

use domain::forecast::Probability;
use domain::journal::Digest;
use domain::plan::{API_VERSION, Batch, Cost, Plan, Risk, SurgePurchase};
use jiff::Timestamp;

use crate::assess::{Assessment, Chosen, assess};
use crate::basis::basis;
use crate::demand::{Demand, Grid, Shape, after};
use crate::held;
use crate::layout::Layout;
use crate::ledger::Ledger;
use crate::problem::Fleet;
use crate::purchase::{Order, Quote, lead_seconds, release_seconds, stabilisation_seconds};
use crate::rejected::rejected;
use crate::replace::replacement;
use crate::request::Request;
use crate::room;
use crate::search::{Choice, Problem};
use crate::settings::{
    BAND_AT_LEAST, TIMELINE_LEAD_SECONDS, VALID_AT_LEAST_SECONDS, VALID_SHARE_OF_BATCH,
};
use crate::tail;
use crate::timeline::{Bands, entries, exposure};

/// Draws of the reported risk are others than those of the choice.
pub(crate) const FRESH_SEED: u64 = 0x5f72_6573_685f_7365;

/// The plan of a choice, with its risk on the fresh paths, sealed.
pub(crate) fn compose(problem: &Problem<'_>, choice: &Choice, hits: f64) -> Plan {
    let Problem { request, fleet, .. } = *problem;
    let layout = &problem.layouts[choice.layout];
    let first_out = problem.grid.at(choice.start);
    let mut plan = skeleton(request, fleet, layout, first_out, &choice.quote);
    let dimensions: Vec<_> = fleet.dimensions.iter().map(|d| (*d).clone()).collect();
    let ledger = Ledger::with(&plan, &request.facts, &dimensions)
        .expect("the plan names servers and offers of the facts");
    let begin = begin(request, plan.start_at);
    let grid = Grid::covering(request.facts.step, begin, plan.done_at);
    let level = band_level(request);
    let bands = Bands::new(&request.choosing, &grid, level);
    let load_step = request.choosing.values().map(|p| p.step().seconds()).max().unwrap_or(1);
    plan.timeline = entries(&ledger, &request.facts.fleet, &grid, &bands, load_step);
    let assessed = assessed(request, fleet, layout, first_out, &choice.quote, &plan);
    for (entry, probability) in plan.timeline.iter_mut().zip(&assessed.per_interval) {
        entry.overload_probability = *probability;
    }
    plan.risk.planned = assessed.share(assessed.hits);
    plan.risk.upper95 = assessed.upper95();
    plan.risk.baseline = assessed.share(assessed.baseline);
    plan.risk.tail = assessed.tail.and_then(Result::ok);
    plan.risk.no_tail = assessed.tail.and_then(Result::err);
    for (batch, spent) in plan.batches.iter_mut().zip(assessed.spent(request.risk.get())) {
        batch.risk = Some(spent);
    }
    let full = dimensions.into_iter().zip(fleet.afterwards()).collect();
    plan.exposure = exposure(&request.choosing, &full, plan.done_at, level);
    plan.rejected = rejected(problem, choice, hits);
    plan.basis = vec![basis(problem, choice, hits, &plan, &ledger, &assessed)];
    plan.sealed()
}

/// The level of the band in the timeline.
pub(crate) fn band_level(request: &Request) -> Probability {
    let least = Probability::new(BAND_AT_LEAST).expect("a level of the settings");
    let own = Probability::new(1.0 - request.risk.get()).unwrap_or(least);
    request.band.unwrap_or(if own > least { own } else { least })
}

/// Where the timeline begins: some time before the start, but not before the load is known.
fn begin(request: &Request, start: Timestamp) -> Timestamp {
    let known = request.choosing.values().map(|p| p.start()).max().unwrap_or(start);
    let lead = Duration::from_secs(TIMELINE_LEAD_SECONDS.unsigned_abs());
    let begin = start.checked_sub(lead).unwrap_or(start).max(known);
    request.facts.step.floor(begin.min(start))
}

/// Everything but timeline, risk and rejected alternatives.
fn skeleton(
    request: &Request,
    fleet: &Fleet<'_>,
    layout: &Layout,
    first_out: Timestamp,
    quote: &Quote,
) -> Plan {
    let facts = &request.facts;
    let finish = after(first_out, layout.finish);
    let stabilised = after(finish, stabilisation_seconds(facts));
    let budget_left = request.budget.map_or(f64::INFINITY, |budget| budget - quote.cost);
    let surge = purchases(fleet, layout, first_out, stabilised, quote, budget_left);
    let batches = batches(fleet, layout, first_out);
    let start = surge.iter().map(|s| s.order_at).fold(first_out, Timestamp::min);
    let resolution = 1.0 / (f64::from(request.comparable_windows) + 1.0);
    let gone = after(stabilised, release_seconds(facts));
    let any_surge = !surge.is_empty() || !facts.held.is_empty();
    Plan {
        api_version: API_VERSION.into(),
        kind: "Plan".into(),
        rollout: request.rollout.clone(),
        revision: request.revision,
        parent: request.parent.clone(),
        seed: request.seed,
        created_at: request.now,
        valid_until: valid_until(&batches, first_out),
        start_at: start,
        finish_at: finish,
        stabilised_at: stabilised,
        done_at: if any_surge { gone } else { stabilised },
        risk: Risk {
            target: request.risk.get(),
            planned: 0.0,
            upper95: 0.0,
            resolution,
            extrapolated: request.risk.get() < resolution,
            baseline: 0.0,
            tail: None,
            no_tail: None,
        },
        cost: Cost { currency: facts.currency.clone(), surge: quote.cost, size: 0.0 },
        batches,
        surge,
        timeline: Vec::new(),
        exposure: None,
        rejected: Vec::new(),
        inputs: request.inputs.clone(),
        basis: Vec::new(),
        fleets: Vec::new(),
        digest: Digest::zero(),
    }
}

fn valid_until(batches: &[Batch], first_out: Timestamp) -> Timestamp {
    let length = batches.first().map_or(0.0, |b| b.back_at.duration_since(b.out_at).as_secs_f64());
    let share = (length * VALID_SHARE_OF_BATCH) as i64;
    after(first_out, share.max(VALID_AT_LEAST_SECONDS))
}

fn batches(fleet: &Fleet<'_>, layout: &Layout, first_out: Timestamp) -> Vec<Batch> {
    let facts = fleet.facts;
    let batch = |(index, slot): (usize, &crate::layout::Slot)| {
        let out_at = after(first_out, slot.offset as i64 * facts.step.seconds());
        Batch {
            index: u32::try_from(index + 1).unwrap_or(u32::MAX),
            fleet: facts.fleet.clone(),
            servers: layout.members(slot).iter().map(|i| facts.servers[*i].name.clone()).collect(),
            out_at,
            back_at: after(out_at, slot.lengths.back),
            risk: None,
        }
    };
    layout.slots.iter().enumerate().map(batch).collect()
}

/// Surge is ordered so that it is ready when the first batch that needs it goes out, and released
/// when the watch after the last one ends.
fn purchases(
    fleet: &Fleet<'_>,
    layout: &Layout,
    first_out: Timestamp,
    release_at: Timestamp,
    quote: &Quote,
    budget_left: f64,
) -> Vec<SurgePurchase> {
    let facts = fleet.facts;
    let ready_at = after(first_out, layout.surge_at);
    let purchase = |order: &Order| {
        let offer = &facts.offers[order.offer];
        let lead = Duration::from_secs(lead_seconds(facts, offer, layout).unsigned_abs());
        SurgePurchase {
            fleet: facts.fleet.clone(),
            offer: offer.name.clone(),
            count: order.count,
            order_at: ready_at.checked_sub(lead).unwrap_or(ready_at),
            ready_at,
            release_at,
            end_at: after(release_at, release_seconds(facts)),
            price_per_hour: offer.price_per_hour,
            on_loss: replacement(fleet, quote, offer, layout, budget_left),
        }
    };
    quote.orders.iter().map(purchase).collect()
}

fn assessed(
    request: &Request,
    fleet: &Fleet<'_>,
    layout: &Layout,
    first_out: Timestamp,
    quote: &Quote,
    plan: &Plan,
) -> Assessment {
    let last = after(plan.finish_at, request.facts.followed_seconds());
    let known = crate::search::horizon(request);
    let grid = Grid::covering(request.facts.step, first_out, last.min(known));
    let demand =
        |d: &&domain::name::Dimension| Demand::new(&request.fresh[*d], &grid, Shape::PLAIN);
    let fresh: Vec<Demand> = fleet.dimensions.iter().map(demand).collect();
    let mut interval_of = Vec::with_capacity(grid.steps);
    let mut interval = 0;
    for step in 0..grid.steps {
        let at = grid.at(step);
        while plan.timeline.get(interval).is_some_and(|e| e.to <= at) {
            interval += 1;
        }
        interval_of.push(interval.min(plan.timeline.len().saturating_sub(1)));
    }
    let (whole, besides) = held::on_paths(fleet, quote, (first_out, plan.finish_at));
    let chosen = Chosen { fleet, layout, start: 0, quote: &whole, besides: &besides };
    let seed = request.seed ^ FRESH_SEED;
    let tail =
        plan.risk.extrapolated.then(|| tail::fit(room::deficits(&chosen, &fresh, seed), seed));
    Assessment { tail, ..assess(&chosen, &fresh, seed, &interval_of) }
}
