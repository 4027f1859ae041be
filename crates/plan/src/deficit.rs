//! How much capacity each path lacks while batches are out and nothing is bought.

use crate::demand::{Demand, raise};
use crate::draw::uniform;
use crate::layout::{Layout, Slot};
use crate::ledger::share_out;
use crate::problem::Fleet;
use crate::settings::FOLLOWED_LATE_SECONDS;

/// The largest deficit of each path, per row. Negative where there is headroom.
#[derive(Debug, Clone)]
pub(crate) struct Deficits {
    pub(crate) of: Vec<Vec<f64>>,
    row: Vec<f64>,
}

impl Deficits {
    pub(crate) fn new(rows: usize, paths: usize) -> Self {
        Self { of: vec![vec![f64::NEG_INFINITY; paths]; rows], row: vec![f64::NEG_INFINITY; paths] }
    }

    /// Deficits by the planned times, for all starts in `[first, last]` at once: over the steps
    /// that every one of these starts has in common. For one start it is exact; for several it
    /// is what none of them can be below. A batch counts as out until it is back.
    pub(crate) fn planned(
        &mut self,
        fleet: &Fleet<'_>,
        demand: &[Demand],
        layout: &Layout,
        starts: (usize, usize),
        besides: &[f64],
    ) {
        for (row, worst) in self.of.iter_mut().enumerate() {
            let demand = &demand[fleet.rows[row].dimension];
            worst.fill(f64::NEG_INFINITY);
            for phase in &layout.phases {
                let (from, to) = (starts.1 + phase.from, starts.0 + phase.to);
                if from >= to {
                    continue;
                }
                self.row.fill(f64::NEG_INFINITY);
                demand.raise_over(from, to, &mut self.row);
                let loss = phase.loss[row] * fleet.facts.balance;
                let left = fleet.full_of(row) - loss + besides[row];
                for (worst, load) in worst.iter_mut().zip(&self.row) {
                    let deficit = load - left;
                    *worst = if deficit > *worst { deficit } else { *worst };
                }
            }
        }
    }

    /// Raises the deficits to those of a run with sampled durations from step `start`.
    pub(crate) fn raise_sampled(
        &mut self,
        fleet: &Fleet<'_>,
        demand: &[Demand],
        layout: &Layout,
        start: usize,
        besides: &[f64],
        seed: u64,
    ) {
        let of = &mut self.of;
        sampled(fleet, demand, layout, start, besides, seed, |_, row, deficits| {
            raise(&mut of[row], deficits);
        });
    }

    /// How many instances of capacity `unit` each path needs, as a real number; infinite where
    /// the instances do not carry a dimension that lacks.
    pub(crate) fn in_units(&self, fleet: &Fleet<'_>, unit: &[f64], out: &mut Vec<f64>) {
        out.clear();
        out.resize(self.row.len(), 0.0);
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
        let mut paths: Vec<(f64, usize)> = (0..self.row.len()).map(|p| (share(p), p)).collect();
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

    /// How many paths lack anything.
    pub(crate) fn lacking(&self, fleet: &Fleet<'_>) -> usize {
        let lacks = |path: usize| {
            let mut rows = self.of.iter().enumerate();
            rows.any(|(row, deficits)| deficits[path] > fleet.rounding(row))
        };
        (0..self.row.len()).filter(|p| lacks(*p)).count()
    }
}

fn above(lacks: f64) -> f64 {
    if lacks > 0.0 { lacks } else { 0.0 }
}

/// One batch with the times that one path gives it, in seconds after the start.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    out: f64,
    warm: f64,
    back: f64,
}

/// Runs a layout once per path with durations drawn for that path, and shows each row of
/// deficits of each step in which a batch is out: `visit(step, row, deficits)`.
///
/// A batch goes out at its planned time or when the one before is back, whichever is later (the
/// second after the canary's watch). All servers of a batch take as long as its slowest one.
#[allow(clippy::too_many_arguments, reason = "one computation; a struct would only rename them")]
pub(crate) fn sampled(
    fleet: &Fleet<'_>,
    demand: &[Demand],
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
    let mut drawn = vec![Drawn { out: 0.0, warm: 0.0, back: f64::NEG_INFINITY }; paths];
    let (mut shares, mut deficits) = (vec![0.0; paths], vec![0.0; paths]);
    let watch = layout.watch as f64;
    for (index, slot) in layout.slots.iter().enumerate() {
        let pause = if index == 1 { watch } else { 0.0 };
        draw(fleet, slot, index, seed, step, pause, &mut drawn);
        let (first, last) = steps_of(&drawn, step);
        for offset in first..last {
            let (from, to) = ((offset as i64 * step) as f64, ((offset as i64 + 1) * step) as f64);
            for (share, d) in shares.iter_mut().zip(&drawn) {
                let at = if from > d.out { from } else { d.out };
                let touches = d.out < to && d.back > from;
                let from_ratio = fleet.facts.durations.warmup_from;
                *share = if touches { share_out(at, d.warm, d.back, from_ratio) } else { -1.0 };
            }
            let at = followed(start + offset, start, layout, step);
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
                visit(start + offset, index, &deficits);
            }
        }
    }
}

/// A late run is judged by the load of the last moment that is followed.
fn followed(at: usize, start: usize, layout: &Layout, step: i64) -> usize {
    let last = start + usize::try_from((layout.finish + FOLLOWED_LATE_SECONDS) / step).unwrap_or(0);
    at.clamp(0, last)
}

fn draw(
    fleet: &Fleet<'_>,
    slot: &Slot,
    index: usize,
    seed: u64,
    step: i64,
    pause: f64,
    drawn: &mut [Drawn],
) {
    let parts =
        [fleet.facts.durations.drain, fleet.facts.durations.work, fleet.facts.durations.warmup];
    let planned = (slot.offset as i64 * step) as f64;
    let share = 1.0 / slot.size as f64;
    for (path, drawn) in drawn.iter_mut().enumerate() {
        let length = |part: usize| {
            let spread = parts[part];
            if spread.is_certain() {
                return spread.p50().as_secs_f64();
            }
            let level = uniform(seed, [path as u64, index as u64, part as u64]).powf(share);
            spread.quantile_seconds(level)
        };
        let free = drawn.back + pause;
        let out = if free > planned { free } else { planned };
        let warm = out + length(0) + length(1);
        *drawn = Drawn { out, warm, back: warm + length(2) };
    }
}

/// The steps in which the batch of any path is out.
fn steps_of(drawn: &[Drawn], step: i64) -> (usize, usize) {
    let step = step as f64;
    let first = drawn.iter().fold(f64::INFINITY, |low, d| if d.out < low { d.out } else { low });
    let last = drawn.iter().fold(0.0, |high, d| if d.back > high { d.back } else { high });
    ((first / step).floor() as usize, (last / step).ceil() as usize)
}
