//! What the figures of a plan are made of, for its own pages.

use domain::plan::{
    Alone, Basis, ChosenOn, CountedOn, KeptLine, LossLine, OfferLine, OutageLine, PerDimension,
    Plan, ShareOfBefore, SupplyLine, UpdateFailures, UpdatedLine,
};

use crate::assess::Assessment;
use crate::compose::band_level;
use crate::layout::Layout;
use crate::ledger::{Ledger, Outage, Supply};
use crate::problem::{Fleet, Row};
use crate::purchase::{Quote, bill, billed_seconds, lead_seconds, release_seconds};
use crate::rejected::shortage;
use crate::search::{Choice, Problem};
use crate::settings::{CHOOSING_CONFIDENCE, REPORTED_CONFIDENCE};

/// The basis of a plan that was made of `choice`.
pub(crate) fn basis(
    problem: &Problem<'_>,
    choice: &Choice,
    hits: f64,
    plan: &Plan,
    ledger: &Ledger,
    assessed: &Assessment,
) -> Basis {
    let Problem { request, fleet, .. } = *problem;
    let facts = &request.facts;
    let per = |values: &[f64]| named(ledger, values);
    let outage = |o: &Outage| OutageLine {
        batch: o.batch,
        servers: o.servers,
        capacity: per(&o.capacity),
        out_at: o.out_at,
        warm_at: o.warm_at,
        back_at: o.back_at,
        then: per(&o.then),
    };
    let supply = |s: &Supply| SupplyLine {
        offer: s.offer.clone(),
        count: s.count,
        capacity: per(&s.capacity),
        ready_at: s.ready_at,
        release_at: s.release_at,
    };
    let count = |paths: usize| u64::try_from(paths).unwrap_or(u64::MAX);
    let paths = request.choosing.values().next().map_or(0, |paths| paths.count());
    let chosen =
        ChosenOn { paths: count(paths), allowed_hits: hits, confidence: CHOOSING_CONFIDENCE };
    let counted = CountedOn {
        paths: count(assessed.paths),
        hits: count(assessed.hits),
        baseline: count(assessed.baseline),
        confidence: REPORTED_CONFIDENCE,
    };
    let layout = &problem.layouts[choice.layout];
    Basis {
        fleet: facts.fleet.clone(),
        chosen,
        counted,
        comparable_windows: request.comparable_windows,
        band_level: band_level(request).get(),
        balance: facts.balance,
        warmup_from: facts.durations.warmup_from,
        healthy: ledger.healthy,
        full: per(&ledger.full),
        spare: per(&ledger.spare),
        outages: ledger.outages.iter().map(outage).collect(),
        supplies: ledger.supplies.iter().map(supply).collect(),
        losses: losses(fleet),
        offers: offers(problem, choice, hits, plan),
        kept: kept(problem, plan),
        binding: shortage(problem, layout, choice.start, hits).map(|short| short.binding),
        update_failures: update_failures(fleet, layout, assessed),
        updated: updated(fleet, ledger),
    }
}

/// What is reckoned with of a new version that carries less.
fn updated(fleet: &Fleet<'_>, ledger: &Ledger) -> Option<UpdatedLine> {
    let facts = fleet.facts;
    let share = |seen: &crate::request::Updated| ShareOfBefore { p05: seen.p05, p50: seen.p50 };
    (!facts.updated.is_empty()).then(|| UpdatedLine {
        servers: u32::try_from(facts.servers.iter().filter(|s| s.updated).count())
            .unwrap_or(u32::MAX),
        slower: named(ledger, &ledger.slower),
        share: facts.updated.iter().map(|(d, seen)| (d.clone(), share(seen))).collect(),
    })
}

fn update_failures(
    fleet: &Fleet<'_>,
    layout: &Layout,
    assessed: &Assessment,
) -> Option<UpdateFailures> {
    let each = fleet.facts.update_failure;
    let servers = u32::try_from(layout.order.len()).unwrap_or(u32::MAX);
    let paths = u64::try_from(assessed.failing).unwrap_or(u64::MAX);
    (each > 0.0).then_some(UpdateFailures { each, servers, paths })
}

fn named(ledger: &Ledger, values: &[f64]) -> PerDimension<f64> {
    ledger.dimensions.iter().cloned().zip(values.iter().copied()).collect()
}

fn losses(fleet: &Fleet<'_>) -> Vec<LossLine> {
    let real = |row: &&Row| !row.zones.is_empty() || fleet.few > 0;
    let line = |row: &Row| LossLine {
        dimension: fleet.dimensions[row.dimension].clone(),
        zones: row.zones.iter().cloned().collect(),
        servers: fleet.few,
        capacity: row.in_zones + row.few_largest,
    };
    fleet.rows.iter().filter(real).map(line).collect()
}

fn offers(problem: &Problem<'_>, choice: &Choice, hits: f64, plan: &Plan) -> Vec<OfferLine> {
    let fleet = problem.fleet;
    let facts = fleet.facts;
    let singles = problem.singles(choice.layout, choice.start, &problem.limits(hits));
    let alone = |quote: Option<Quote>| quote.map(|q| Alone { count: q.count(), cost: q.cost });
    let layout = &problem.layouts[choice.layout];
    let surge_at = problem.grid.at(choice.start).as_second() + layout.surge_at;
    let line = |(index, quote): (usize, Option<Quote>)| {
        let offer = &facts.offers[index];
        let bought = plan.surge.iter().filter(|p| p.offer == offer.name).map(|p| p.count).sum();
        let lead_seconds = lead_seconds(facts, offer, layout);
        let after = plan.stabilised_at.as_second() - surge_at;
        let run_seconds = lead_seconds + after + release_seconds(facts);
        let unit = fleet.unit(offer);
        OfferLine {
            offer: offer.name.clone(),
            count: bought,
            capacity: fleet.dimensions.iter().map(|d| (*d).clone()).zip(unit).collect(),
            price_per_hour: offer.price_per_hour,
            lead_seconds,
            run_seconds,
            billing_minimum_seconds: offer.billing.minimum.as_secs_f64(),
            billing_granularity_seconds: offer.billing.granularity.as_secs_f64(),
            billed_seconds: billed_seconds(offer.billing, run_seconds),
            cost_each: bill(offer.billing, offer.price_per_hour, 1, run_seconds),
            max: offer.max,
            lost_per_hour: offer.interruption.per_hour,
            pool_lost_per_hour: offer.interruption.pool_per_hour,
            boot_failure: offer.boot_failure,
            fulfilment: offer.fulfilment,
            alone: alone(quote),
        }
    };
    singles.into_iter().map(line).collect()
}

fn kept(problem: &Problem<'_>, plan: &Plan) -> Vec<KeptLine> {
    let facts = problem.fleet.facts;
    let until = plan.stabilised_at.as_second() + release_seconds(facts);
    let seconds = until - plan.created_at.as_second();
    let line = |held: &crate::request::Held| {
        let price = facts.offer(&held.offer).map_or(0.0, |offer| offer.price_per_hour);
        KeptLine {
            offer: held.offer.clone(),
            count: held.count,
            price_per_hour: price,
            seconds,
            cost: f64::from(held.count) * price * seconds as f64 / 3600.0,
        }
    };
    facts.held.iter().map(line).collect()
}
