//! How much capacity each path lacks while batches are out and nothing is bought.

use crate::demand::{Demand, raise};
use crate::draw::uniform;
use crate::failures::failing;
use crate::layout::{Layout, Phase, Slot};
use crate::ledger::share_out;
use crate::peaks::Highest;
use crate::problem::{Fleet, Row};

/// The largest deficit of each path, per row. Negative where there is headroom.
#[derive(Debug, Clone)]
pub(crate) struct Deficits {
    /// One list per row; the same place in each is the same path. After [`Deficits::planned`] the
    /// lists hold every path in order, after [`Deficits::highest`] some of them.
    pub(crate) of: Vec<Vec<f64>>,
    /// Which paths [`Deficits::highest`] has put into the lists.
    pub(crate) paths: Vec<u32>,
    row: Vec<f64>,
    highest: Highest,
    /// Where a path stands in the lists.
    places: Vec<Option<u32>>,
}

impl Deficits {
    pub(crate) fn new(rows: usize, paths: usize) -> Self {
        Self {
            of: vec![vec![f64::NEG_INFINITY; paths]; rows],
            paths: Vec::new(),
            row: vec![f64::NEG_INFINITY; paths],
            highest: Highest::new(paths),
            places: vec![None; paths],
        }
    }

    /// The same as [`Deficits::planned`] for the paths with the `count` highest deficits of each
    /// row, and some others. Of all paths, those that are left out lack no more in any row than
    /// `count` that are there.
    pub(crate) fn highest(
        &mut self,
        fleet: &Fleet<'_>,
        demand: &[Demand<'_>],
        layout: &Layout,
        starts: (usize, usize),
        besides: &[f64],
        count: usize,
    ) {
        self.paths.clear();
        self.of.iter_mut().for_each(Vec::clear);
        for row in 0..self.of.len() {
            let peaks = demand[fleet.rows[row].dimension].peaks(count);
            for phase in &layout.phases {
                let (from, to) = span(phase, starts, demand[fleet.rows[row].dimension].steps());
                let loss = phase.loss[row] * fleet.facts.balance;
                let left = fleet.full_of(row) - loss + besides[row];
                let rounding = fleet.rounding(row);
                peaks.over(from, to, |peak| {
                    let lacks = coverable(peak.load - left, phase.bare, rounding);
                    self.highest.raise(peak.path, lacks);
                });
            }
            for peak in self.highest.drain() {
                let next = u32::try_from(self.paths.len()).unwrap_or(u32::MAX);
                let place = *self.places[peak.path as usize].get_or_insert(next);
                if place == next {
                    self.paths.push(peak.path);
                    self.of.iter_mut().for_each(|of| of.push(f64::NEG_INFINITY));
                }
                self.of[row][place as usize] = peak.load;
            }
        }
        for path in &self.paths {
            self.places[*path as usize] = None;
        }
    }

    /// Deficits by the planned times, for all starts in `[first, last]` at once: over the steps
    /// that every one of these starts has in common. For one start it is exact; for several it
    /// is what none of them can be below. A batch counts as out until it is back.
    pub(crate) fn planned(
        &mut self,
        fleet: &Fleet<'_>,
        demand: &[Demand<'_>],
        layout: &Layout,
        starts: (usize, usize),
        besides: &[f64],
    ) {
        for (row, worst) in self.of.iter_mut().enumerate() {
            let demand = &demand[fleet.rows[row].dimension];
            worst.clear();
            worst.resize(self.row.len(), f64::NEG_INFINITY);
            for phase in &layout.phases {
                let (from, to) = span(phase, starts, demand.steps());
                if from >= to {
                    continue;
                }
                self.row.fill(f64::NEG_INFINITY);
                demand.raise_over(from, to, &mut self.row);
                let loss = phase.loss[row] * fleet.facts.balance;
                let left = fleet.full_of(row) - loss + besides[row];
                let rounding = fleet.rounding(row);
                for (worst, load) in worst.iter_mut().zip(&self.row) {
                    let deficit = coverable(load - left, phase.bare, rounding);
                    *worst = if deficit > *worst { deficit } else { *worst };
                }
            }
        }
    }

    /// Raises the deficits to those of a run with sampled durations, and of one with failed
    /// updates, from step `start`.
    pub(crate) fn raise_sampled(
        &mut self,
        fleet: &Fleet<'_>,
        demand: &[Demand<'_>],
        layout: &Layout,
        start: usize,
        besides: &[f64],
        seed: u64,
    ) {
        let of = &mut self.of;
        let surge_from = start + layout.surge_step(fleet.facts.step.seconds());
        sampled(fleet, demand, layout, start, besides, seed, |step, row, deficits| {
            if step >= surge_from {
                return raise(&mut of[row], deficits);
            }
            let rounding = fleet.rounding(row);
            for (most, lacks) in of[row].iter_mut().zip(deficits) {
                raise(std::slice::from_mut(most), &[coverable(*lacks, true, rounding)]);
            }
        });
        failing(fleet, demand, layout, start, besides, seed, |step, row, path, lacks| {
            let lacks = coverable(lacks, step < surge_from, fleet.rounding(row));
            raise(&mut of[row][path..=path], &[lacks]);
        });
    }

    /// How many instances of capacity `unit` each path needs, as a real number; infinite where
    /// the instances do not carry a dimension that lacks.
    pub(crate) fn in_units(&self, fleet: &Fleet<'_>, unit: &[f64], out: &mut Vec<f64>) {
        out.clear();
        out.resize(self.count(), 0.0);
        let spared = f64::from(fleet.spared(unit));
        for (row, deficits) in self.of.iter().enumerate() {
            let (rounding, unit) = (fleet.rounding(row), unit[row]);
            for (need, deficit) in out.iter_mut().zip(deficits) {
                let lacks = deficit - rounding;
                if lacks > 0.0 {
                    let here = if unit > 0.0 { lacks / unit + spared } else { f64::INFINITY };
                    *need = if here > *need { here } else { *need };
                }
            }
        }
    }

    /// What each row lacks at least, when `hits` paths may lack capacity in any of them.
    pub(crate) fn marginal(&self, fleet: &Fleet<'_>, hits: f64) -> Vec<f64> {
        let mut scratch = Vec::with_capacity(self.row.len());
        let lacks = |(row, of): (usize, &Vec<f64>)| {
            scratch.clone_from(of);
            let allowed = hits.floor() as usize;
            if allowed >= scratch.len() {
                return 0.0;
            }
            let (_, lacks, _) = scratch.select_nth_unstable_by(allowed, |a, b| b.total_cmp(a));
            above(*lacks - fleet.rounding(row))
        };
        self.of.iter().enumerate().map(lacks).collect()
    }

    /// What each row lacks at most, without the `hits` paths that lack the largest share of the
    /// fleet's capacity in any row. The more hits, the more paths are left out, so that
    /// no need rises.
    pub(crate) fn kept(&self, fleet: &Fleet<'_>, hits: f64) -> Vec<f64> {
        if self.of.len() == 1 {
            return self.marginal(fleet, hits);
        }
        let share = |path: usize| {
            let shares = self.of.iter().enumerate();
            let shares = shares.map(|(row, of)| of[path] / fleet.full_of(row));
            shares.fold(f64::NEG_INFINITY, |a, b| if b > a { b } else { a })
        };
        let mut paths: Vec<(f64, usize)> = (0..self.count()).map(|p| (share(p), p)).collect();
        let allowed = (hits.floor() as usize).min(paths.len());
        if allowed < paths.len() {
            paths.select_nth_unstable_by(allowed, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        }
        let lacks = |(row, of): (usize, &Vec<f64>)| {
            let most = paths[allowed..].iter().map(|(_, path)| of[*path]);
            let most = most.fold(f64::NEG_INFINITY, |a, b| if b > a { b } else { a });
            above(most - fleet.rounding(row))
        };
        self.of.iter().enumerate().map(lacks).collect()
    }

    /// How many paths are in the lists.
    fn count(&self) -> usize {
        self.of.first().map_or(0, Vec::len)
    }

    /// How many paths lack anything.
    pub(crate) fn lacking(&self, fleet: &Fleet<'_>) -> usize {
        let lacks = |path: usize| {
            let mut rows = self.of.iter().enumerate();
            rows.any(|(row, deficits)| deficits[path] > fleet.rounding(row))
        };
        (0..self.count()).filter(|p| lacks(*p)).count()
    }
}

/// What a purchase has to cover: what lacks before it is there, nothing can.
fn coverable(lacks: f64, bare: bool, rounding: f64) -> f64 {
    if bare && lacks > rounding { f64::INFINITY } else { lacks }
}

/// The steps of a phase that all starts have in common, as far as the load is known.
fn span(phase: &Phase, starts: (usize, usize), steps: usize) -> (usize, usize) {
    (starts.1 + phase.from, (starts.0 + phase.to).clamp(0, steps))
}

fn above(lacks: f64) -> f64 {
    if lacks > 0.0 { lacks } else { 0.0 }
}

/// One batch with the times that one path gives it, in seconds after the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drawn {
    pub(crate) out: f64,
    pub(crate) warm: f64,
    pub(crate) back: f64,
}

impl Drawn {
    pub(crate) const NOTHING: Self = Self { out: 0.0, warm: 0.0, back: f64::NEG_INFINITY };

    /// The largest share of its capacity that it lacks in a step; below zero where it is in
    /// service all the time.
    pub(crate) fn share(&self, offset: usize, step: i64, warmup_from: f64) -> f64 {
        let (from, to) = ((offset as i64 * step) as f64, ((offset as i64 + 1) * step) as f64);
        let at = if from > self.out { from } else { self.out };
        let touches = self.out < to && self.back > from;
        if touches { share_out(at, self.warm, self.back, warmup_from) } else { -1.0 }
    }
}

/// Runs a layout once per path with durations drawn for that path, and shows each row of
/// deficits of each step in which a batch is out, or in which servers lack what their new version does not
/// carry: `visit(step, row, deficits)`.
///
/// A batch goes out at its planned time or when the one before is back, whichever is later (the
/// second after the canary's watch). All servers of a batch take as long as its slowest one.
#[allow(clippy::too_many_arguments, reason = "one computation; a struct would only rename them")]
pub(crate) fn sampled(
    fleet: &Fleet<'_>,
    demand: &[Demand<'_>],
    layout: &Layout,
    start: usize,
    besides: &[f64],
    seed: u64,
    mut visit: impl FnMut(usize, usize, &[f64]),
) {
    let (Some(paths), step) = (demand.first().map(Demand::paths), fleet.facts.step.seconds())
    else {
        return;
    };
    let mut drawn = vec![Drawn::NOTHING; paths];
    let (mut shares, mut deficits) = (vec![0.0; paths], vec![0.0; paths]);
    let watch = layout.watch as f64;
    let lesser: Vec<Vec<f64>> =
        fleet.rows.iter().map(|row| fleet.lacks_on_paths(row, paths)).collect();
    for (index, slot) in layout.slots.iter().enumerate() {
        let pause = if index == 1 { watch } else { 0.0 };
        draw(slot, index, seed, step, pause, &mut drawn);
        let (first, last) = steps_of(&drawn, step);
        for offset in first..last.max(slot.newer.as_ref().map_or(0, |newer| newer.until)) {
            let from = (offset as i64 * step) as f64;
            for (share, d) in shares.iter_mut().zip(&drawn) {
                *share = d.share(offset, step, fleet.facts.durations.warmup_from);
                if slot.newer.is_some() && from >= d.back {
                    *share = 0.0;
                }
            }
            let at = followed(fleet, start + offset, start, layout);
            for (index, row) in fleet.rows.iter().enumerate() {
                let demand = &demand[row.dimension];
                let full = fleet.full_of(index);
                let loss = slot.loss[index] * fleet.facts.balance;
                let left = full + besides[index];
                let load = demand.row(at.clamp(0, demand.steps() - 1));
                for ((deficit, load), share) in deficits.iter_mut().zip(load).zip(&shares) {
                    let load = if *load > full { full } else { *load };
                    let lacks = load - left + loss * share;
                    *deficit = if *share < 0.0 { f64::NEG_INFINITY } else { lacks };
                }
                if let Some(newer) = &slot.newer {
                    let (others, own) = (newer.others[index], newer.becomes[index]);
                    for ((deficit, share), lesser) in
                        deficits.iter_mut().zip(&shares).zip(&lesser[index])
                    {
                        *deficit += (others + own * (1.0 - share)) * fleet.facts.balance * lesser;
                    }
                }
                visit(start + offset, index, &deficits);
            }
        }
    }
}

/// Shows each step in which a path lacks capacity while a batch is out, before anything that is
/// bought: `visit(step, row, path, deficit)`. The same as [`sampled`], in another order.
#[allow(clippy::too_many_arguments, reason = "one computation; a struct would only rename them")]
pub(crate) fn lacking(
    fleet: &Fleet<'_>,
    demand: &[Demand<'_>],
    layout: &Layout,
    start: usize,
    besides: &[f64],
    seed: u64,
    mut visit: impl FnMut(usize, usize, usize, f64),
) {
    failing(fleet, demand, layout, start, besides, seed, |step, row, path, lacks| {
        if lacks > fleet.rounding(row) {
            visit(step, row, path, lacks);
        }
    });
    if !fleet.facts.have_one_course() {
        return sampled(fleet, demand, layout, start, besides, seed, |step, row, deficits| {
            let rounding = fleet.rounding(row);
            let lacking = deficits.iter().enumerate().filter(|(_, lacks)| **lacks > rounding);
            lacking.for_each(|(path, lacks)| visit(step, row, path, *lacks));
        });
    }
    // Every path has the same times, so that each is gone through at once, from end to end.
    for (row, Row { dimension, .. }) in fleet.rows.iter().enumerate() {
        let demand = &demand[*dimension];
        let full = fleet.full_of(row);
        let left = left_in_service(fleet, layout, row, full + besides[row], start, demand.steps());
        let mut loads = vec![0.0; left.len()];
        let rounding = fleet.rounding(row);
        for path in 0..demand.paths() {
            demand.fill(path, start, &mut loads);
            for (step, (load, left)) in loads.iter().zip(&left).enumerate() {
                let load = if *load > full { full } else { *load };
                let lacks = load - left;
                if lacks > rounding {
                    visit(start + step, row, path, lacks);
                }
            }
        }
    }
}

/// What is in service in each step from `start` on while nothing is bought, by certain durations;
/// infinite where no batch is out.
fn left_in_service(
    fleet: &Fleet<'_>,
    layout: &Layout,
    row: usize,
    all: f64,
    start: usize,
    steps: usize,
) -> Vec<f64> {
    let (facts, step) = (fleet.facts, fleet.facts.step.seconds());
    let mut left = vec![f64::INFINITY; steps.saturating_sub(start)];
    let mut drawn = [Drawn::NOTHING];
    for (index, slot) in layout.slots.iter().enumerate() {
        let pause = if index == 1 { layout.watch as f64 } else { 0.0 };
        draw(slot, index, 0, step, pause, &mut drawn);
        let (first, last) = steps_of(&drawn, step);
        for offset in first..last.clamp(first, left.len().max(first)) {
            let share = drawn[0].share(offset, step, facts.durations.warmup_from);
            let here = all - slot.loss[row] * facts.balance * share;
            if share >= 0.0 && here < left[offset] {
                left[offset] = here;
            }
        }
    }
    let known = left.iter().rposition(|left| left.is_finite()).map_or(0, |last| last + 1);
    left.truncate(known);
    left
}

/// A late run is judged by the load of the last moment that is followed.
pub(crate) fn followed(fleet: &Fleet<'_>, at: usize, start: usize, layout: &Layout) -> usize {
    let seconds = layout.finish + fleet.facts.followed_seconds();
    let last = start + usize::try_from(seconds / fleet.facts.step.seconds()).unwrap_or(0);
    at.clamp(0, last)
}

fn draw(slot: &Slot, index: usize, seed: u64, step: i64, pause: f64, drawn: &mut [Drawn]) {
    for (path, drawn) in drawn.iter_mut().enumerate() {
        let planned = (slot.offset as i64 * step) as f64;
        let free = drawn.back + pause;
        let out = if free > planned { free } else { planned };
        *drawn = times(slot, [path, index], seed, out);
    }
}

/// The times that one path (the first of `which`) gives to a batch that goes out at `out`.
pub(crate) fn times(slot: &Slot, which: [usize; 2], seed: u64, out: f64) -> Drawn {
    let durations = slot.durations;
    let parts = [durations.drain, durations.work, durations.warmup];
    let length = |part: usize| {
        let spread = parts[part];
        if spread.is_certain() {
            return spread.p50().as_secs_f64();
        }
        let level = uniform(seed, [which[0] as u64, which[1] as u64, part as u64]);
        spread.quantile_seconds(level.powf(1.0 / slot.size as f64))
    };
    let warm = out + length(0) + length(1);
    Drawn { out, warm, back: warm + length(2) }
}

/// The steps in which the batch of any path is out.
fn steps_of(drawn: &[Drawn], step: i64) -> (usize, usize) {
    let step = step as f64;
    let first = drawn.iter().fold(f64::INFINITY, |low, d| if d.out < low { d.out } else { low });
    let last = drawn.iter().fold(0.0, |high, d| if d.back > high { d.back } else { high });
    ((first / step).floor() as usize, (last / step).ceil() as usize)
}
