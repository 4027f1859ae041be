//! The risk of a finished choice, on paths that were not used to choose it.

use std::collections::BTreeSet;

use domain::plan::{NoTail, Tail};

use crate::deficit::lacking;
use crate::demand::Demand;
use crate::failures;
use crate::layout::Layout;
use crate::losses::Surviving;
use crate::odds::upper_bound;
use crate::problem::Fleet;
use crate::purchase::Quote;
use crate::settings::{REPORTED_CONFIDENCE, ROUNDING_RATIO};

/// What fresh paths say about a choice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assessment {
    /// How many paths there are.
    pub(crate) paths: usize,
    /// On so many of them there is attributable overload at some moment.
    pub(crate) hits: usize,
    /// On so many of them load exceeds the whole fleet while servers are out.
    pub(crate) baseline: usize,
    /// On so many of them the update of some server fails.
    pub(crate) failing: usize,
    /// Probability of attributable overload per interval.
    pub(crate) per_interval: Vec<f64>,
    /// On so many of the paths the first overload comes with this batch.
    pub(crate) first_in_batch: Vec<usize>,
    /// What a model of the tail says, where it is asked.
    pub(crate) tail: Option<Result<Tail, NoTail>>,
}

impl Assessment {
    /// The target of a plan that nothing bounds.
    pub(crate) const ALL: f64 = 1.0;

    /// A number of paths as a share of all.
    pub(crate) fn share(&self, paths: usize) -> f64 {
        paths as f64 / self.paths as f64
    }

    /// The upper bound of the probability of attributable overload.
    pub(crate) fn upper95(&self) -> f64 {
        upper_bound(self.hits as f64, self.paths, REPORTED_CONFIDENCE)
    }

    /// What each batch spends of `target`: the upper bound of the plan, spread over its batches by
    /// the paths that meet their first overload there, and one path more that is spread evenly,
    /// so that no batch is free. Together the batches spend at most `target`.
    pub(crate) fn spent(&self, target: f64) -> Vec<f64> {
        let upper = self.upper95();
        let all = if upper < target { upper } else { target };
        let even = 1.0 / self.first_in_batch.len() as f64;
        let weight = |hits: &usize| (*hits as f64 + even) / (self.hits as f64 + 1.0);
        self.first_in_batch.iter().map(|hits| all * weight(hits)).collect()
    }
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
    // The first step of each path at which capacity lacks.
    let mut first: Vec<Option<usize>> = vec![None; paths];
    let mut short: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); intervals];
    let length = fleet.facts.step.seconds();
    lacking(fleet, fresh, layout, start, besides, seed, |step, row, path, lacks| {
        let interval = interval_of.get(step).or(interval_of.last());
        let until = ((step + 1 - start) as i64 * length) as f64;
        if lacks - fleet.rounding(row) > surviving.left(path, row, until) {
            first[path] = Some(first[path].map_or(step, |known| known.min(step)));
            if let Some(interval) = interval {
                short[*interval].insert(path);
            }
        }
    });
    let mut first_in_batch = vec![0; layout.slots.len()];
    for step in first.iter().flatten() {
        let begun = layout.slots.partition_point(|slot| start + slot.offset <= *step);
        first_in_batch[begun.clamp(1, usize::MAX) - 1] += 1;
    }
    let share = |hits: usize| hits as f64 / paths as f64;
    Assessment {
        paths,
        hits: first.iter().flatten().count(),
        baseline: baseline(chosen, fresh),
        failing: failures::count(fleet, layout, paths, seed),
        per_interval: short.iter().map(|paths| share(paths.len())).collect(),
        first_in_batch,
        tail: None,
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
