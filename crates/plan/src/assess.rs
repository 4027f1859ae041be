//! The risk of a finished choice, on paths that were not used to choose it.

use std::collections::BTreeSet;

use crate::deficit::lacking;
use crate::demand::Demand;
use crate::layout::Layout;
use crate::losses::Surviving;
use crate::odds::upper_bound;
use crate::problem::Fleet;
use crate::purchase::Quote;
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
    pub(crate) quote: &'a Quote,
    pub(crate) besides: &'a [f64],
}

/// Runs the choice once on each path, with durations and losses drawn by `seed`. `interval_of`
/// says to which interval a step belongs; steps beyond it belong to the last one.
pub(crate) fn assess(
    chosen: &Chosen<'_>,
    fresh: &[Demand<'_>],
    seed: u64,
    interval_of: &[usize],
) -> Assessment {
    let Chosen { fleet, layout, start, quote, besides } = *chosen;
    let paths = fresh.first().map_or(0, Demand::paths);
    let surviving = Surviving::draw(fleet, quote, layout, paths, seed);
    let intervals = interval_of.last().map_or(0, |last| last + 1);
    let mut hit = vec![false; paths];
    let mut short: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); intervals];
    let length = fleet.facts.step.seconds();
    lacking(fleet, fresh, layout, start, besides, seed, |step, row, path, lacks| {
        let interval = interval_of.get(step).or(interval_of.last());
        let until = ((step + 1 - start) as i64 * length) as f64;
        if lacks - fleet.rounding(row) > surviving.left(path, row, until) {
            hit[path] = true;
            if let Some(interval) = interval {
                short[*interval].insert(path);
            }
        }
    });
    let hits = hit.iter().filter(|hit| **hit).count() as f64;
    let share = |hits: f64| hits / paths as f64;
    Assessment {
        planned: share(hits),
        upper95: upper_bound(hits, paths, REPORTED_CONFIDENCE),
        baseline: share(baseline(chosen, fresh) as f64),
        per_interval: short.iter().map(|paths| share(paths.len() as f64)).collect(),
    }
}

/// How many paths exceed the whole fleet while the rollout runs.
fn baseline(chosen: &Chosen<'_>, fresh: &[Demand<'_>]) -> usize {
    let Chosen { fleet, layout, start, .. } = *chosen;
    let step = fleet.facts.step.seconds();
    let end = start + usize::try_from((layout.finish + step - 1) / step).unwrap_or(0);
    let mut over = vec![false; fresh.first().map_or(0, Demand::paths)];
    for (demand, full) in fresh.iter().zip(&fleet.full) {
        let (start, end) = (start.clamp(0, demand.steps()), end.clamp(0, demand.steps()));
        let mut loads = vec![0.0; end.saturating_sub(start)];
        for (path, over) in over.iter_mut().enumerate() {
            demand.fill(path, start, &mut loads);
            *over |= loads.iter().any(|load| *load > full * (1.0 + ROUNDING_RATIO));
        }
    }
    over.iter().filter(|over| **over).count()
}
