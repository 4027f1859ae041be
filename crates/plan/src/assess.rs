//! The risk of a finished choice, on paths that were not used to choose it.

use std::collections::BTreeMap;

use crate::deficit::sampled;
use crate::demand::Demand;
use crate::layout::Layout;
use crate::odds::{Losses, upper_bound};
use crate::problem::Fleet;
use crate::purchase::{Quote, losses};
use crate::settings::{REPORTED_CONFIDENCE, ROUNDING_RATIO};

/// What fresh paths say about a choice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assessment {
    /// Probability of attributable overload at any moment.
    pub(crate) planned: f64,
    /// Its upper bound.
    pub(crate) upper95: f64,
    /// Probability that load exceeds the whole fleet while servers are out.
    pub(crate) baseline: f64,
    /// Probability of attributable overload per interval.
    pub(crate) per_interval: Vec<f64>,
}

/// A choice on its grid.
pub(crate) struct Chosen<'a> {
    pub(crate) fleet: &'a Fleet<'a>,
    pub(crate) layout: &'a Layout,
    /// The step of the first removal.
    pub(crate) start: usize,
    pub(crate) quote: Quote,
    pub(crate) besides: &'a [f64],
}

/// Runs the choice once on each path, with durations drawn by `seed`. `interval_of` says to which
/// interval a step belongs; steps beyond it belong to the last one.
pub(crate) fn assess(
    chosen: &Chosen<'_>,
    fresh: &[Demand],
    seed: u64,
    interval_of: &[usize],
) -> Assessment {
    let Chosen { fleet, layout, start, quote, besides } = *chosen;
    let paths = fresh.first().map_or(0, Demand::paths);
    let backing = Backing::new(fleet, layout, quote);
    let intervals = interval_of.last().map_or(0, |last| last + 1);
    let mut per_path = vec![0.0; paths];
    let mut short: Vec<BTreeMap<usize, f64>> = vec![BTreeMap::new(); intervals];
    sampled(fleet, fresh, layout, start, besides, seed, |step, dimension, row| {
        let interval = interval_of.get(step).or(interval_of.last());
        let here = interval.map(|i| &mut short[*i]);
        let lacking = row.iter().enumerate().filter(|(_, lack)| **lack > fleet.rounding(dimension));
        let mut here = here;
        for (path, deficit) in lacking {
            let chance = backing.short(dimension, deficit - fleet.rounding(dimension));
            per_path[path] = larger(per_path[path], chance);
            if let (Some(here), true) = (here.as_deref_mut(), chance > 0.0) {
                let entry = here.entry(path).or_insert(0.0);
                *entry = larger(*entry, chance);
            }
        }
    });
    let hits: f64 = per_path.iter().sum();
    let share = |hits: f64| hits / paths as f64;
    Assessment {
        planned: share(hits),
        upper95: upper_bound(hits, paths, REPORTED_CONFIDENCE),
        baseline: share(baseline(chosen, fresh) as f64),
        per_interval: short.iter().map(|paths| share(paths.values().sum())).collect(),
    }
}

fn larger(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

/// How many paths exceed the whole fleet while the rollout runs.
fn baseline(chosen: &Chosen<'_>, fresh: &[Demand]) -> usize {
    let Chosen { fleet, layout, start, .. } = *chosen;
    let step = fleet.facts.step.seconds();
    let end = start + usize::try_from((layout.finish + step - 1) / step).unwrap_or(0);
    let mut over = vec![false; fresh.first().map_or(0, Demand::paths)];
    for (demand, full) in fresh.iter().zip(&fleet.full) {
        let mut high = vec![f64::NEG_INFINITY; over.len()];
        demand.raise_over(start.clamp(0, demand.steps()), end.clamp(0, demand.steps()), &mut high);
        for (over, high) in over.iter_mut().zip(high) {
            *over |= high > full * (1.0 + ROUNDING_RATIO);
        }
    }
    over.iter().filter(|over| **over).count()
}

/// What stands behind a deficit: the surge that was bought, less what may be lost.
struct Backing {
    count: i64,
    unit: Vec<f64>,
    losses: Losses,
}

impl Backing {
    fn new(fleet: &Fleet<'_>, layout: &Layout, quote: Quote) -> Self {
        match quote.offer.map(|index| &fleet.facts.offers[index]) {
            Some(offer) => Self {
                count: i64::from(quote.count),
                unit: fleet.unit(offer),
                losses: losses(fleet.facts, offer, quote.count, layout),
            },
            None => Self {
                count: 0,
                unit: vec![0.0; fleet.dimensions.len()],
                losses: Losses::new(0, 0.0, 0.0),
            },
        }
    }

    /// The probability that a deficit above zero is not covered.
    fn short(&self, dimension: usize, deficit: f64) -> f64 {
        let unit = self.unit[dimension];
        if unit <= 0.0 {
            return 1.0;
        }
        self.losses.short(self.count - (deficit / unit).ceil() as i64)
    }
}
