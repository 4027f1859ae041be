//! What the deficits of the paths cost: the cheapest single offer that covers them.

use crate::deficit::Deficits;
use crate::layout::Layout;
use crate::odds::Losses;
use crate::problem::Fleet;
use crate::request::{Billing, Facts, Offer};

/// What a purchase may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// So many paths may lack capacity.
    pub(crate) hits: f64,
    /// At most so many instances, held ones included; the offers' own limits hold as well.
    pub(crate) max_surge: u32,
    /// At most so much money.
    pub(crate) budget: f64,
}

/// A purchase with its price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quote {
    /// The offer by its index, `None` where nothing is bought.
    pub(crate) offer: Option<usize>,
    /// How many instances.
    pub(crate) count: u32,
    /// The purchase and what held surge goes on costing.
    pub(crate) cost: f64,
}

/// The offers in numbers.
#[derive(Debug)]
pub(crate) struct Shop<'a> {
    fleet: &'a Fleet<'a>,
    /// Seconds from the origin of the grid to the present moment.
    now: i64,
    /// Capacity of an instance; offers that carry the same share one.
    units: Vec<Vec<f64>>,
    unit_of: Vec<usize>,
    needs: Vec<Vec<f64>>,
    scratch: Vec<f64>,
}

impl<'a> Shop<'a> {
    pub(crate) fn new(fleet: &'a Fleet<'a>, now: i64) -> Self {
        let mut units: Vec<Vec<f64>> = Vec::new();
        let mut unit_of = Vec::new();
        for offer in &fleet.facts.offers {
            let unit = fleet.unit(offer);
            let known = units.iter().position(|u| *u == unit);
            unit_of.push(known.unwrap_or(units.len()));
            if known.is_none() {
                units.push(unit);
            }
        }
        let needs = vec![Vec::new(); units.len()];
        Self { fleet, now, units, unit_of, needs, scratch: Vec::new() }
    }

    /// The cheapest way to cover the deficits for a start in `starts` (seconds from the origin,
    /// first and last), `None` where there is none. For one start it is exact; for several it is
    /// what none of them can be below.
    pub(crate) fn quote(
        &mut self,
        deficits: &Deficits,
        layout: &Layout,
        starts: (i64, i64),
        limits: &Limits,
    ) -> Option<Quote> {
        let kept = kept_cost(self.fleet.facts, layout, starts.0 - self.now);
        if kept > limits.budget {
            return None;
        }
        if deficits.lacking(self.fleet) as f64 <= limits.hits {
            return Some(Quote { offer: None, count: 0, cost: kept });
        }
        for (unit, need) in self.units.iter().zip(&mut self.needs) {
            deficits.in_units(self.fleet, unit, need);
        }
        let facts = self.fleet.facts;
        let held: u32 = facts.held.iter().map(|h| h.count).sum();
        let room = limits.max_surge.saturating_sub(held);
        let mut best: Option<Quote> = None;
        for (index, offer) in facts.offers.iter().enumerate() {
            if self.now + lead_seconds(facts, offer) > starts.1 {
                continue;
            }
            let most = offer.max.saturating_sub(facts.held_of(&offer.name)).min(room);
            let Some(base) = self.base(self.unit_of[index], limits.hits, most) else { continue };
            let exact = starts.0 == starts.1;
            let risky = offer.interruption.per_hour > 0.0 || offer.interruption.pool_per_hour > 0.0;
            let count = if exact && risky {
                self.with_losses(index, layout, base, most, limits.hits)
            } else {
                Some(base)
            };
            let Some(count) = count else { continue };
            let cost = kept + price(facts, offer, count, layout);
            let cheaper = best.is_none_or(|b| cost < b.cost);
            if cost <= limits.budget && cheaper {
                best = Some(Quote { offer: Some(index), count, cost });
            }
        }
        best
    }

    /// The count that all but `hits` paths can do with, if it is at most `most`.
    fn base(&mut self, unit: usize, hits: f64, most: u32) -> Option<u32> {
        self.scratch.clone_from(&self.needs[unit]);
        let allowed = hits.floor() as usize;
        if allowed >= self.scratch.len() {
            return Some(0);
        }
        let (_, need, _) = self.scratch.select_nth_unstable_by(allowed, |a, b| b.total_cmp(a));
        let need = need.ceil();
        (need <= f64::from(most)).then_some(need as u32)
    }

    /// The least count from `base` to `most` that keeps the expected number of paths that lack
    /// capacity, losses included, at or under `hits`. One more instance never makes it worse.
    fn with_losses(
        &self,
        offer: usize,
        layout: &Layout,
        base: u32,
        most: u32,
        hits: f64,
    ) -> Option<u32> {
        let facts = self.fleet.facts;
        let needs = &self.needs[self.unit_of[offer]];
        let holds = |count: u32| {
            let losses = losses(facts, &facts.offers[offer], count, layout);
            let short = |need: &f64| {
                let spare =
                    if need.is_finite() { i64::from(count) - need.ceil() as i64 } else { -1 };
                losses.short(spare)
            };
            needs.iter().map(short).sum::<f64>() <= hits
        };
        let (mut low, mut width) = (base, 1);
        let mut high = base;
        while !holds(high) {
            if high >= most {
                return None;
            }
            low = high + 1;
            high = high.saturating_add(width).min(most);
            width *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(middle) { high = middle } else { low = middle + 1 }
        }
        Some(high)
    }
}

/// The losses among `count` instances from when they are ready until the last batch is back.
pub(crate) fn losses(facts: &Facts, offer: &Offer, count: u32, layout: &Layout) -> Losses {
    let warmup = offer.warmup.quantile_seconds(facts.plan_at.get());
    let hours = (layout.finish as f64 + warmup) / 3600.0;
    let within = |per_hour: f64| 1.0 - (1.0 - per_hour).powf(hours);
    let interruption = offer.interruption;
    Losses::new(count, within(interruption.per_hour), within(interruption.pool_per_hour))
}

/// Whole seconds from an order until its instances carry full load, at the quantile `planAt`.
pub(crate) fn lead_seconds(facts: &Facts, offer: &Offer) -> i64 {
    let level = facts.plan_at.get();
    let seconds = offer.lead.quantile_seconds(level) + offer.warmup.quantile_seconds(level);
    (seconds - 1e-6).ceil() as i64
}

/// Whole seconds from the release of an instance until it stops costing: its drain, at the
/// quantile `planAt`.
pub(crate) fn release_seconds(facts: &Facts) -> i64 {
    (facts.durations.drain.quantile_seconds(facts.plan_at.get()) - 1e-6).ceil() as i64
}

/// Whole seconds of the watch after the last batch.
pub(crate) fn stabilisation_seconds(facts: &Facts) -> i64 {
    (facts.stabilisation.as_secs_f64() - 1e-6).ceil() as i64
}

/// What instances cost that run for so many seconds each.
pub(crate) fn bill(billing: Billing, price_per_hour: f64, count: u32, seconds: i64) -> f64 {
    let running = seconds as f64;
    let least = billing.minimum.as_secs_f64();
    let running = if running < least { least } else { running };
    let unit = billing.granularity.as_secs_f64();
    let billed = if unit > 0.0 { (running / unit - 1e-9).ceil() * unit } else { running };
    f64::from(count) * price_per_hour * billed / 3600.0
}

fn price(facts: &Facts, offer: &Offer, count: u32, layout: &Layout) -> f64 {
    let after = layout.finish + stabilisation_seconds(facts) + release_seconds(facts);
    bill(offer.billing, offer.price_per_hour, count, lead_seconds(facts, offer) + after)
}

/// What held surge costs from now on until it goes with a rollout that starts in `wait` seconds.
fn kept_cost(facts: &Facts, layout: &Layout, wait: i64) -> f64 {
    let after = layout.finish + stabilisation_seconds(facts) + release_seconds(facts);
    facts.kept_cost((wait + after) as f64)
}
