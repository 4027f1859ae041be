//! The cheapest mix of offers for a need, each distinct need solved once.
//!
//! What instances cost and how likely they are lost depends on the batches only, not on the
//! start, so that the answers of one layout serve all its starts. Of the allowed paths a mix with
//! instances that can be lost keeps [`LOSS_SHARE`] for their loss: each such offer in it has so
//! many to spare that more are lost with a probability of at most its part of that share. By the
//! union bound the whole then keeps within the allowed paths.

mod program;

use crate::odds::Losses;
use crate::settings::{COST_UNIT, GRAIN_AT_LEAST, LOT_RATIO, RISKY_INSTANCES_AT_MOST};

use program::cheapest;
pub(crate) use program::{Bounds, Ceiling, Line, Lot};

/// Mixes of the same lines within the same bounds, and what is known of their costs.
#[derive(Debug)]
pub(crate) struct Family {
    /// So many paths may lack capacity for the load alone.
    pub(crate) hits: f64,
    lines: Vec<Line>,
    bounds: Bounds,
    /// Per dimension, the measure of which every unit is a whole multiple, if there is one.
    grains: Vec<Option<f64>>,
    /// Per dimension, the lines by their cost for what they carry, the cheapest first.
    ranks: Vec<Vec<usize>>,
    solved: Vec<Solved>,
}

/// The answer to every need from `need` to `cover`.
#[derive(Debug)]
struct Solved {
    need: Vec<f64>,
    /// What the counts carry; `None` where nothing covers the need.
    answer: Option<(Vec<f64>, Vec<u32>)>,
    cost: f64,
}

impl Family {
    /// Mixes of these lines within `bounds`.
    pub(crate) fn new(lines: Vec<Line>, hits: f64, bounds: Bounds) -> Self {
        let dimensions = lines.first().map_or(0, |l| l.unit.len());
        let grains = (0..dimensions).map(|d| grain(lines.iter().map(|l| l.unit[d]))).collect();
        let rank = |dimension: usize| {
            let carries = |i: &usize| lines[*i].carries_at_most(dimension) > 0.0;
            let mut rank: Vec<usize> = (0..lines.len()).filter(carries).collect();
            let each = |i: &usize| lines[*i].cost / lines[*i].carries_at_most(dimension);
            rank.sort_by(|a, b| each(a).total_cmp(&each(b)).then(a.cmp(b)));
            rank
        };
        let ranks = (0..dimensions).map(rank).collect();
        Self { hits, lines, bounds, grains, ranks, solved: Vec::new() }
    }

    /// No mix that covers `need` costs less; infinite where there is none.
    pub(crate) fn at_least(&self, need: &[f64]) -> f64 {
        let need = self.whole(need);
        let filled = (0..need.len()).map(|d| self.filled(d, need[d]));
        let below = |s: &&Solved| s.need.iter().zip(&need).all(|(known, need)| known <= need);
        let known = self.solved.iter().filter(below).map(|s| s.cost);
        filled.chain(known).fold(0.0, |a, b| if b > a { b } else { a })
    }

    /// The cost of one dimension by parts of instances, the cheapest first.
    fn filled(&self, dimension: usize, need: f64) -> f64 {
        let (mut left, mut cost) = (need, 0.0);
        for line in self.ranks[dimension].iter().map(|i| &self.lines[*i]) {
            if left <= 0.0 {
                break;
            }
            let (unit, most) = (line.carries_at_most(dimension), f64::from(line.most));
            let count = if left / unit < most { left / unit } else { most };
            left -= count * unit;
            cost += count * line.cost;
        }
        let rounding = self.grains[dimension].unwrap_or(need) * 1e-6;
        if left > rounding { f64::INFINITY } else { cost }
    }

    /// The cheapest mix that covers `need`, if it costs less than `below`: its counts by offer.
    pub(crate) fn cheapest(
        &mut self,
        need: &[f64],
        below: f64,
    ) -> Option<(Vec<(usize, u32)>, f64)> {
        if self.at_least(need) >= below - COST_UNIT {
            return None;
        }
        let need = self.whole(need);
        let answers = |s: &Solved| {
            let from = s.need.iter().zip(&need).all(|(known, need)| known <= need);
            from && s.answer.as_ref().is_some_and(|(cover, _)| self.reaches(cover, &need))
        };
        let known = self.solved.iter().position(answers);
        let index = known.unwrap_or_else(|| {
            let solved = self.solve(&need);
            self.solved.push(solved);
            self.solved.len() - 1
        });
        let solved = &self.solved[index];
        let (_, counts) = solved.answer.as_ref().filter(|_| solved.cost < below - COST_UNIT)?;
        let bought = self.lines.iter().zip(counts).filter(|(_, count)| **count > 0);
        Some((bought.map(|(line, count)| (line.offer, *count)).collect(), solved.cost))
    }

    /// Without a common measure a mix may meet the need exactly, which the solver's tolerance
    /// blurs: first a hair below it, and where that answer does not reach, a hair above.
    fn solve(&self, need: &[f64]) -> Solved {
        let exact = self.grains.iter().all(Option::is_some);
        let hairs: &[f64] = if exact { &[0.0] } else { &[-HAIR, HAIR] };
        let answer = hairs.iter().find_map(|hair| self.reached(need, *hair));
        let cost = answer.as_ref().map_or(f64::INFINITY, |(_, counts)| {
            self.lines.iter().zip(counts).map(|(line, count)| line.cost * f64::from(*count)).sum()
        });
        Solved { need: need.to_vec(), answer, cost }
    }

    /// What the solver finds for a threshold that lies so far above the need, if it reaches it.
    fn reached(&self, need: &[f64], hair: f64) -> Option<(Vec<f64>, Vec<u32>)> {
        let threshold =
            need.iter().zip(&self.grains).map(|(need, grain)| between(*need, *grain, hair));
        let counts = cheapest(&self.lines, &threshold.collect::<Vec<f64>>(), &self.bounds)?;
        let counts = self.trimmed(counts, need);
        let cover = self.cover(&counts);
        let all: u64 = counts.iter().map(|c| u64::from(*c)).sum();
        let fits = self.bounds.ceilings.iter().all(|ceiling| ceiling.holds(&counts));
        let reaches = self.reaches(&cover, need) && all <= u64::from(self.bounds.room) && fits;
        reaches.then_some((cover, counts))
    }

    /// The counts without what is not needed: free instances cost nothing, and still start.
    fn trimmed(&self, mut counts: Vec<u32>, need: &[f64]) -> Vec<u32> {
        for index in 0..counts.len() {
            let line = &self.lines[index];
            if line.lots.is_some() {
                continue;
            }
            let cover = self.cover(&counts);
            let too_many = (0..need.len()).filter(|d| line.unit[*d] > 0.0).map(|d| {
                let slack = self.grains[d].unwrap_or(0.0) * 1e-6;
                ((cover[d] - need[d] + slack) / line.unit[d]).floor()
            });
            let too_many =
                too_many.fold(f64::from(counts[index]), |a, b| if b < a { b } else { a });
            counts[index] -= too_many.clamp(0.0, f64::from(counts[index])) as u32;
        }
        counts
    }

    /// The capacity that is counted on, per dimension.
    fn cover(&self, counts: &[u32]) -> Vec<f64> {
        let carried = |dimension: usize| {
            let each =
                |(line, count): (&Line, &u32)| line.unit[dimension] * f64::from(line.sure(*count));
            self.lines.iter().zip(counts).map(each).sum()
        };
        (0..self.grains.len()).map(carried).collect()
    }

    fn reaches(&self, cover: &[f64], need: &[f64]) -> bool {
        let mut all = cover.iter().zip(need).zip(&self.grains);
        all.all(|((cover, need), grain)| *cover >= need - grain.unwrap_or(0.0) * 1e-6)
    }

    /// The need rounded up to what whole instances can carry.
    fn whole(&self, need: &[f64]) -> Vec<f64> {
        let up = |(need, grain): (&f64, &Option<f64>)| match (*need > 0.0, grain) {
            (false, _) => 0.0,
            (true, Some(grain)) => (need / grain).ceil() * grain,
            (true, None) => *need,
        };
        need.iter().zip(&self.grains).map(up).collect()
    }
}

/// The tolerance of the solver, as a share of the need.
const HAIR: f64 = 1e-6;

/// A threshold that the solver's tolerance cannot blur: halfway below a sum of units; or a hair
/// off the need.
fn between(need: f64, grain: Option<f64>, hair: f64) -> f64 {
    grain.map_or(need * (1.0 + hair), |grain| need - 0.5 * grain)
}

/// The largest measure of which all units are whole multiples, by Euclid's algorithm.
fn grain(units: impl Iterator<Item = f64>) -> Option<f64> {
    let units: Vec<f64> = units.filter(|u| *u > 0.0).collect();
    let largest = units.iter().fold(0.0, |a: f64, b| if *b > a { *b } else { a });
    let mut grain = largest;
    for unit in units {
        let (mut a, mut b) = (grain, unit);
        while b > largest * 1e-9 {
            (a, b) = (b, a % b);
            // A remainder that lacks a hair of the divisor is none.
            b = if a - b < largest * 1e-9 { 0.0 } else { b };
        }
        grain = a;
    }
    (grain > largest * GRAIN_AT_LEAST).then_some(grain)
}

/// The lots of up to `most` instances, each lost with probability `each` and all together with
/// `pool`, such that more than the spare ones are lost with probability `rare` at most; and
/// `besides` are to spare whatever happens.
pub(crate) fn lots(most: u32, each: f64, pool: f64, rare: f64, besides: u32) -> Vec<Lot> {
    let most = most.min(RISKY_INSTANCES_AT_MOST);
    let mut lots: Vec<Lot> = Vec::new();
    let mut size = 1;
    while size <= most && most > 0 {
        let losses = Losses::new(size, each, pool);
        let spare = (0..size).find(|k| losses.short(i64::from(*k)) <= rare);
        if let Some(spare) = spare.map(|spare| spare + besides).filter(|spare| *spare < size) {
            if lots.last().is_some_and(|last| last.spare == spare) {
                lots.pop();
            }
            lots.push(Lot { most: size, spare });
        }
        if size == most {
            break;
        }
        let next = (f64::from(size) * LOT_RATIO) as u32;
        size = next.max(size + 1).min(most);
    }
    lots
}

#[cfg(test)]
mod tests;
