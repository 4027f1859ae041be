//! What the deficits of the paths cost: the cheapest offer, or mix of offers, that covers them.

use std::collections::BTreeMap;

use crate::deficit::Deficits;
use crate::hours::{lead_for, longest_warmup};
use crate::layout::Layout;
use crate::mix::{Bounds, Ceiling, Family, Line, Lot, lots};
use crate::odds::Losses;
use crate::problem::Fleet;
use crate::request::{Billing, Durations, Facts, Offer, Quota};
use crate::settings::{COST_UNIT, LOSS_SHARE, RISKY_OFFERS_AT_MOST};

/// What a purchase may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// So many paths may lack capacity.
    pub(crate) hits: f64,
    /// At most so many instances, held ones included; the offers' own limits hold as well.
    pub(crate) max_surge: u32,
    /// At most so much money.
    pub(crate) budget: f64,
    /// Whether the quotas of the facts hold.
    pub(crate) quotas: Quotas,
}

/// What becomes of the quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotas {
    /// They hold.
    Hold,
    /// They are left aside, to see whether they bind.
    LeftAside,
}

/// A purchase with its price.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quote {
    /// What is bought, each offer once.
    pub(crate) orders: Vec<Order>,
    /// The purchase and what held surge goes on costing.
    pub(crate) cost: f64,
}

/// So many instances of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// The offer by its index.
    pub(crate) offer: usize,
    /// How many instances, at least one.
    pub(crate) count: u32,
    /// Whether they run already.
    pub(crate) held: bool,
}

impl Quote {
    /// How many instances are bought.
    pub(crate) fn count(&self) -> u32 {
        self.orders.iter().fold(0, |sum, order| sum.saturating_add(order.count))
    }
}

/// What a mix depends on: how long the surge serves, and the offers that are there in time with their leads.
type Terms = (i64, Vec<(usize, i64)>);

/// The offers in numbers.
#[derive(Debug)]
pub(crate) struct Shop<'a> {
    fleet: &'a Fleet<'a>,
    limits: Limits,
    /// How many paths there are.
    paths: usize,
    /// Seconds from the origin of the grid to the present moment.
    now: i64,
    /// Capacity of an instance; offers that carry the same share one.
    units: Vec<Vec<f64>>,
    unit_of: Vec<usize>,
    needs: Vec<Vec<f64>>,
    scratch: Vec<f64>,
    mixes: BTreeMap<Terms, Vec<Family>>,
}

impl<'a> Shop<'a> {
    pub(crate) fn new(fleet: &'a Fleet<'a>, now: i64, limits: Limits, paths: usize) -> Self {
        let mut units: Vec<Vec<f64>> = Vec::new();
        let mut unit_of = Vec::new();
        for offer in &fleet.facts.offers {
            let unit = fleet.row_unit(offer);
            let known = units.iter().position(|u| *u == unit);
            unit_of.push(known.unwrap_or(units.len()));
            if known.is_none() {
                units.push(unit);
            }
        }
        let needs = vec![Vec::new(); units.len()];
        let mixes = BTreeMap::new();
        Self { fleet, limits, paths, now, units, unit_of, needs, scratch: Vec::new(), mixes }
    }

    /// How many paths may lack capacity.
    pub(crate) fn hits(&self) -> f64 {
        self.limits.hits
    }

    /// Whether there is more than one offer to choose from at any time.
    pub(crate) fn can_mix(&self) -> bool {
        (0..self.fleet.facts.offers.len()).filter(|offer| self.most(*offer) > 0).count() > 1
    }

    /// Whether any offer can lose instances.
    pub(crate) fn can_lose(&self) -> bool {
        let mut offers = self.fleet.facts.offers.iter().enumerate();
        offers.any(|(index, offer)| self.most(index) > 0 && offer.can_be_missing())
    }

    /// The cheapest way to cover the deficits for a start at `start` (seconds from the origin),
    /// `None` where there is none: an offer alone, or a mix.
    pub(crate) fn quote(
        &mut self,
        deficits: &Deficits,
        layout: &Layout,
        start: i64,
    ) -> Option<Quote> {
        let kept = kept_cost(self.fleet.facts, layout, start - self.now);
        if deficits.lacking(self.fleet) as f64 <= self.limits.hits {
            return self.affordable(Quote { orders: Vec::new(), cost: kept });
        }
        let on_sale = self.on_sale(layout, start);
        self.measure(deficits, &on_sale);
        let mut best: Option<Quote> = None;
        for offer in on_sale.iter().copied() {
            let Some(quote) = self.alone(offer, layout) else { continue };
            if best.as_ref().is_none_or(|b| quote.cost < b.cost) {
                best = Some(quote);
            }
        }
        let fleet = self.fleet;
        for family in self.families(layout, &on_sale) {
            let below = best.as_ref().map_or(f64::INFINITY, |b| b.cost);
            let need = deficits.kept(fleet, family.hits);
            if need.contains(&f64::INFINITY) {
                continue;
            }
            let Some((counts, cost)) = family.cheapest(&need, below) else { continue };
            let orders = counts
                .into_iter()
                .map(|(offer, count)| Order { offer, count, held: false })
                .collect();
            best = Some(Quote { orders, cost });
        }
        let best = best?;
        self.affordable(Quote { cost: kept + best.cost, ..best })
    }

    /// A quote that none of the starts from the first to the last of `starts` can be below, for
    /// deficits that none of them can be below; `None` where none of them has a quote.
    pub(crate) fn at_least(
        &mut self,
        deficits: &Deficits,
        layout: &Layout,
        starts: (i64, i64),
    ) -> Option<Quote> {
        let kept = kept_cost(self.fleet.facts, layout, starts.0 - self.now);
        if deficits.lacking(self.fleet) as f64 <= self.limits.hits {
            return self.affordable(Quote { orders: Vec::new(), cost: kept });
        }
        let on_sale = self.on_sale(layout, starts.1);
        self.measure(deficits, &on_sale);
        let mut least = f64::INFINITY;
        for offer in on_sale.iter().copied() {
            let alone = self.alone(offer, layout).map_or(f64::INFINITY, |quote| quote.cost);
            least = smaller(least, alone);
        }
        let fleet = self.fleet;
        for family in self.families(layout, &on_sale) {
            let need = deficits.marginal(fleet, family.hits);
            if !need.contains(&f64::INFINITY) {
                least = smaller(least, family.at_least(&need));
            }
        }
        self.affordable(Quote { orders: Vec::new(), cost: kept + least })
    }

    /// What the offer costs alone if it covers the deficits that were measured, without what is
    /// kept.
    pub(crate) fn alone(&mut self, offer: usize, layout: &Layout) -> Option<Quote> {
        let most = self.most(offer);
        let base = self.base(self.unit_of[offer], most)?;
        let facts = self.fleet.facts;
        let count = match facts.offers[offer].can_be_missing() {
            false => base,
            true => self.with_losses(offer, layout, base, most)?,
        };
        let cost = price(facts, &facts.offers[offer], count, layout);
        Some(Quote { orders: vec![Order { offer, count, held: false }], cost })
    }

    /// Every quote for one offer alone, by the index of the offer, what is kept included.
    pub(crate) fn singles(
        &mut self,
        deficits: &Deficits,
        layout: &Layout,
        start: i64,
    ) -> Vec<(usize, Option<Quote>)> {
        let on_sale = self.on_sale(layout, start);
        self.measure(deficits, &on_sale);
        let kept = kept_cost(self.fleet.facts, layout, start - self.now);
        let all = 0..self.fleet.facts.offers.len();
        let each = |offer: usize| {
            let quote = on_sale.contains(&offer).then(|| self.alone(offer, layout)).flatten();
            (offer, quote.map(|quote| Quote { cost: quote.cost + kept, ..quote }))
        };
        all.map(each).collect()
    }

    fn affordable(&self, quote: Quote) -> Option<Quote> {
        (quote.cost.is_finite() && quote.cost <= self.limits.budget + COST_UNIT).then_some(quote)
    }

    /// The offers of which instances can be there in time for a start at `start` (seconds from the origin).
    fn on_sale(&self, layout: &Layout, start: i64) -> Vec<usize> {
        let (facts, at) = (self.fleet.facts, start + layout.surge_at);
        let in_time = |offer: &usize| {
            let ready = self.now + lead_seconds(facts, &facts.offers[*offer], layout);
            ready <= at && self.most(*offer) > 0
        };
        (0..facts.offers.len()).filter(in_time).collect()
    }

    /// At most so many instances of an offer can be bought.
    fn most(&self, offer: usize) -> u32 {
        let facts = self.fleet.facts;
        let offer = &facts.offers[offer];
        let most = offer.max.saturating_sub(facts.held_of(&offer.name)).min(self.room());
        let fit = |quota: &Quota| {
            let each = quota.of(&offer.name);
            let fit = (quota.left(&facts.held) + quota.rounding()) / each;
            if each > 0.0 { fit.floor().clamp(0.0, f64::from(u32::MAX)) as u32 } else { u32::MAX }
        };
        self.quotas().map(fit).fold(most, |most, fit| most.min(fit))
    }

    /// The quotas that hold.
    fn quotas(&self) -> impl Iterator<Item = &'a Quota> + use<'a> {
        let all: &[Quota] = match self.limits.quotas {
            Quotas::Hold => &self.fleet.facts.quotas,
            Quotas::LeftAside => &[],
        };
        all.iter()
    }

    /// What lines use of each quota, and how much is left.
    fn ceilings(&self, lines: &[Line]) -> Vec<Ceiling> {
        let facts = self.fleet.facts;
        let ceiling = |quota: &Quota| Ceiling {
            left: quota.left(&facts.held) + quota.rounding(),
            each: lines.iter().map(|line| quota.of(&facts.offers[line.offer].name)).collect(),
        };
        let ceilings = self.quotas().map(ceiling);
        ceilings.filter(|ceiling| ceiling.each.iter().any(|each| *each > 0.0)).collect()
    }

    /// At most so many instances can be bought in all.
    fn room(&self) -> u32 {
        let held = self.fleet.facts.held.iter().fold(0_u32, |sum, h| sum.saturating_add(h.count));
        self.limits.max_surge.saturating_sub(held)
    }

    fn measure(&mut self, deficits: &Deficits, on_sale: &[usize]) {
        for (index, (unit, need)) in self.units.iter().zip(&mut self.needs).enumerate() {
            if on_sale.iter().any(|offer| self.unit_of[*offer] == index) {
                deficits.in_units(self.fleet, unit, need);
            }
        }
    }

    /// The mixes of more than one offer, made once for each layout and choice of offers.
    fn families(&mut self, layout: &Layout, on_sale: &[usize]) -> &mut [Family] {
        if on_sale.len() < 2 {
            return &mut [];
        }
        let facts = self.fleet.facts;
        let lead = |offer: &usize| (*offer, lead_seconds(facts, &facts.offers[*offer], layout));
        let key = (layout.surge_seconds(), on_sale.iter().map(lead).collect());
        if !self.mixes.contains_key(&key) {
            let families = self.new_families(layout, on_sale);
            self.mixes.insert(key.clone(), families);
        }
        self.mixes.get_mut(&key).map_or(&mut [], |families| &mut families[..])
    }

    fn new_families(&self, layout: &Layout, on_sale: &[usize]) -> Vec<Family> {
        let facts = self.fleet.facts;
        let line = |offer: &usize| {
            let (most, unit) = (self.most(*offer), self.units[self.unit_of[*offer]].clone());
            let cost = price(facts, &facts.offers[*offer], 1, layout);
            let spare = self.fleet.spared(&unit);
            let lots = (spare > 0).then(|| vec![Lot { most, spare }]);
            Line { offer: *offer, cost, most, unit, lots, risky: false }
        };
        let sure = |offer: &usize| !facts.offers[*offer].can_be_missing();
        let (sure, risky): (Vec<usize>, Vec<usize>) = on_sale.iter().partition(|o| sure(o));
        let sure: Vec<Line> = sure.iter().map(line).collect();
        let (hits, room) = (self.limits.hits, self.room());
        let mut families = Vec::new();
        if sure.len() > 1 {
            let bounds = Bounds { room, risky: 0, ceilings: self.ceilings(&sure) };
            families.push(Family::new(sure.clone(), hits, bounds));
        }
        let together = risky.len().min(RISKY_OFFERS_AT_MOST);
        // Where instances never come every offer is risky, and two of three are worth a look of
        // their own.
        let some_never_come = risky.iter().any(|offer| facts.offers[*offer].never_comes() > 0.0);
        let looked_at = |count: &usize| some_never_come || [1, together].contains(count);
        for count in (1..=together).filter(looked_at) {
            let paths = self.paths.max(1) as f64;
            let rare = hits * LOSS_SHARE / paths / count as f64;
            let lossy = risky.iter().filter_map(|offer| {
                let line = line(offer);
                let (each, pool) = lost_within(facts, &facts.offers[*offer], layout);
                let lots = lots(line.most, each, pool, rare, self.fleet.spared(&line.unit));
                (!lots.is_empty()).then_some(Line { lots: Some(lots), risky: true, ..line })
            });
            let lines: Vec<Line> = sure.iter().cloned().chain(lossy).collect();
            if lines.len() > sure.len() && lines.len() > 1 {
                let bounds = Bounds { room, risky: count, ceilings: self.ceilings(&lines) };
                families.push(Family::new(lines, hits * (1.0 - LOSS_SHARE), bounds));
            }
        }
        families
    }

    /// The count that all but `hits` paths can do with, if it is at most `most`.
    fn base(&mut self, unit: usize, most: u32) -> Option<u32> {
        self.scratch.clone_from(&self.needs[unit]);
        let allowed = self.limits.hits.floor() as usize;
        if allowed >= self.scratch.len() {
            return Some(0);
        }
        let (_, need, _) = self.scratch.select_nth_unstable_by(allowed, |a, b| b.total_cmp(a));
        let need = need.ceil();
        (need <= f64::from(most)).then_some(need as u32)
    }

    /// The least count from `base` to `most` that keeps the expected number of paths that lack
    /// capacity, losses included, at or under `hits`. One more instance never makes it worse.
    fn with_losses(&self, offer: usize, layout: &Layout, base: u32, most: u32) -> Option<u32> {
        let (facts, hits) = (self.fleet.facts, self.limits.hits);
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

/// What is missing among `count` instances from when they are ready until the last batch is back.
fn losses(facts: &Facts, offer: &Offer, count: u32, layout: &Layout) -> Losses {
    let (each, pool) = lost_within(facts, offer, layout);
    Losses::new(count, each, pool)
}

/// The probabilities that one instance never comes or is lost, and that all are lost
/// together, from when they run until the last batch is back.
fn lost_within(facts: &Facts, offer: &Offer, layout: &Layout) -> (f64, f64) {
    let warmup = longest_warmup(facts, offer);
    let (lost, pool) = interrupted_within(offer, layout.surge_seconds() as f64 + warmup);
    // Where all come the probability stays what it is to the last bit.
    let missing = offer.never_comes() + (1.0 - offer.never_comes()) * lost;
    (missing, pool)
}

/// The probabilities that one running instance is lost, and that all are lost together, in so many
/// seconds.
pub(crate) fn interrupted_within(offer: &Offer, seconds: f64) -> (f64, f64) {
    let within = |per_hour: f64| 1.0 - (1.0 - per_hour).powf(seconds / 3600.0);
    (within(offer.interruption.per_hour), within(offer.interruption.pool_per_hour))
}

fn smaller(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}

/// Whole seconds from the order of what a layout needs until it carries full load, at the quantile
/// `planAt`.
pub(crate) fn lead_seconds(facts: &Facts, offer: &Offer, layout: &Layout) -> i64 {
    lead_for(facts, offer, &layout.starts, layout.surge_at)
}

/// Whole seconds from the release of an instance until it stops costing: its drain, at the
/// quantile `planAt`, in the hour of the day in which it takes longest.
pub(crate) fn release_seconds(facts: &Facts) -> i64 {
    let level = facts.plan_at.get();
    let drain = |durations: Durations| durations.drain.quantile_seconds(level);
    let longest = facts.every_durations().map(drain).fold(0.0, |a, b| if b > a { b } else { a });
    (longest - 1e-6).ceil() as i64
}

/// Whole seconds of the watch after the last batch.
pub(crate) fn stabilisation_seconds(facts: &Facts) -> i64 {
    (facts.stabilisation.as_secs_f64() - 1e-6).ceil() as i64
}

/// What instances cost that run for so many seconds each.
pub fn bill(billing: Billing, price_per_hour: f64, count: u32, seconds: i64) -> f64 {
    f64::from(count) * price_per_hour * billed_seconds(billing, seconds) / 3600.0
}

/// How long is billed for an instance that runs for so many seconds.
pub(crate) fn billed_seconds(billing: Billing, seconds: i64) -> f64 {
    let running = seconds as f64;
    let least = billing.minimum.as_secs_f64();
    let running = if running < least { least } else { running };
    let unit = billing.granularity.as_secs_f64();
    if unit > 0.0 { (running / unit - 1e-9).ceil() * unit } else { running }
}

/// What so many instances cost from their order until they are given back with a layout.
pub(crate) fn price(facts: &Facts, offer: &Offer, count: u32, layout: &Layout) -> f64 {
    let after = layout.surge_seconds() + stabilisation_seconds(facts) + release_seconds(facts);
    bill(offer.billing, offer.price_per_hour, count, lead_seconds(facts, offer, layout) + after)
}

/// What held surge costs from now on until it goes with a rollout that starts in `wait` seconds.
fn kept_cost(facts: &Facts, layout: &Layout, wait: i64) -> f64 {
    let after = layout.finish + stabilisation_seconds(facts) + release_seconds(facts);
    facts.kept_cost((wait + after) as f64)
}
