//! The integer program of a mix: which counts of which lines cover a need at the least cost.
//!
//! Minimise Σ costᵢ·xᵢ over whole xᵢ with Σ unitᵢ·xᵢ ≥ need in every dimension, at most `room`
//! instances in all and `mostᵢ` of each line. A line whose instances can be lost is bought as at
//! most one of its lots: with `y` in {0, 1}, x ≤ most·y, and `spare`·y of the instances do not
//! count. The solver is bounded by nodes, not by time, so that the same program always gives the
//! same answer.

use microlp::{ComparisonOp, LinearExpr, OptimizationDirection, Problem, SolveOptions, Variable};

use crate::settings::SOLVER_NODES_AT_MOST;

/// One kind of instance that can be bought.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// The offer by its index.
    pub(crate) offer: usize,
    /// What one instance costs for the whole rollout.
    pub(crate) cost: f64,
    /// At most so many.
    pub(crate) most: u32,
    /// What one instance carries, per dimension.
    pub(crate) unit: Vec<f64>,
    /// For instances that can be lost: how many may be bought with how many to spare, rising.
    /// `None`: none is lost.
    pub(crate) lots: Option<Vec<Lot>>,
    /// Whether its losses are a part of the risk.
    pub(crate) risky: bool,
}

/// Up to `most` instances, of which `spare` are not counted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lot {
    pub(crate) most: u32,
    pub(crate) spare: u32,
}

impl Line {
    /// What is counted on of one instance, however many are bought.
    pub(crate) fn carries_at_most(&self, dimension: usize) -> f64 {
        let Some(lots) = &self.lots else { return self.unit[dimension] };
        let share = |lot: &Lot| f64::from(lot.most.saturating_sub(lot.spare)) / f64::from(lot.most);
        let best = lots.iter().map(share).fold(0.0, |a, b| if b > a { b } else { a });
        self.unit[dimension] * best
    }

    /// How many of `count` instances are counted on.
    pub(crate) fn sure(&self, count: u32) -> u32 {
        let Some(lots) = &self.lots else { return count };
        lots.iter().find(|lot| count <= lot.most).map_or(0, |lot| count.saturating_sub(lot.spare))
    }
}

/// What a mix may be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bounds {
    /// At most so many instances in all.
    pub(crate) room: u32,
    /// At most so many lines of which instances can be lost.
    pub(crate) risky: usize,
    /// What all instances together may use, of each quota.
    pub(crate) ceilings: Vec<Ceiling>,
}

/// What is left of a quota, and what one instance of each line uses of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ceiling {
    pub(crate) left: f64,
    pub(crate) each: Vec<f64>,
}

impl Ceiling {
    /// Whether counts, one per line, keep within it.
    pub(crate) fn holds(&self, counts: &[u32]) -> bool {
        let used = self.each.iter().zip(counts).map(|(each, count)| each * f64::from(*count));
        used.sum::<f64>() <= self.left
    }
}

/// The cheapest counts, one per line, whose sure capacity reaches `need`; `None` where there are
/// none, or where the solver finds none within its nodes. `need` may lie anywhere between two
/// sums of units, and the answer is checked by the caller.
pub(crate) fn cheapest(lines: &[Line], need: &[f64], bounds: &Bounds) -> Option<Vec<u32>> {
    let dearest = lines.iter().map(|l| l.cost).fold(0.0, |a, b| if b > a { b } else { a });
    let scale = if dearest > 0.0 { dearest } else { 1.0 };
    let mut model = Model::new(need);
    let mut counts: Vec<Vec<Variable>> = Vec::with_capacity(lines.len());
    for line in lines {
        counts.push(model.line(line, need, line.cost / scale));
    }
    model.finish(need, bounds);
    for ceiling in &bounds.ceilings {
        model.ceiling(ceiling, &counts);
    }
    let mut options = SolveOptions::default();
    options.node_limit = Some(SOLVER_NODES_AT_MOST);
    let solution = model.problem.solve_with(options).ok()?.into_solution().ok()?;
    let whole = |v: &Variable| solution.var_value(*v).round().clamp(0.0, f64::from(u32::MAX));
    Some(counts.iter().map(|of| of.iter().map(|v| whole(v) as u32).sum()).collect())
}

struct Model {
    problem: Problem,
    cover: Vec<LinearExpr>,
    all: LinearExpr,
    chosen: LinearExpr,
}

impl Model {
    fn new(need: &[f64]) -> Self {
        Self {
            problem: Problem::new(OptimizationDirection::Minimize),
            cover: need.iter().map(|_| LinearExpr::empty()).collect(),
            all: LinearExpr::empty(),
            chosen: LinearExpr::empty(),
        }
    }

    /// Adds a line and returns the variables of its counts.
    fn line(&mut self, line: &Line, need: &[f64], cost: f64) -> Vec<Variable> {
        let Some(lots) = &line.lots else {
            return vec![self.count(line, need, cost, line.most)];
        };
        let mut counts = Vec::with_capacity(lots.len());
        let mut one = LinearExpr::empty();
        for lot in lots {
            let count = self.count(line, need, cost, lot.most);
            let taken = self.problem.add_binary_var(0.0);
            let (most, least) = (f64::from(lot.most), f64::from(lot.spare + 1));
            self.problem.add_constraint([(count, 1.0), (taken, -most)], ComparisonOp::Le, 0.0);
            self.problem.add_constraint([(count, 1.0), (taken, -least)], ComparisonOp::Ge, 0.0);
            for ((cover, unit), need) in self.cover.iter_mut().zip(&line.unit).zip(need) {
                if *need > 0.0 {
                    cover.add(taken, -unit * f64::from(lot.spare) / need);
                }
            }
            one.add(taken, 1.0);
            if line.risky {
                self.chosen.add(taken, 1.0);
            }
            counts.push(count);
        }
        self.problem.add_constraint(one, ComparisonOp::Le, 1.0);
        counts
    }

    fn count(&mut self, line: &Line, need: &[f64], cost: f64, most: u32) -> Variable {
        // More than what covers everything alone, with the largest spare, is never of use.
        let alone = line.unit.iter().zip(need).filter(|(unit, need)| **unit > 0.0 && **need > 0.0);
        let alone = alone.map(|(unit, need)| (need / unit).ceil());
        let alone = alone.fold(0.0, |a, b| if b > a { b } else { a });
        let spare = line.lots.iter().flatten().map(|l| l.spare).max().unwrap_or(0);
        let useful = (alone + f64::from(spare)).clamp(0.0, f64::from(i32::MAX)) as u32;
        let most = i32::try_from(most.min(useful)).unwrap_or(i32::MAX);
        let count = self.problem.add_integer_var(cost, (0, most));
        for ((cover, unit), need) in self.cover.iter_mut().zip(&line.unit).zip(need) {
            if *need > 0.0 {
                cover.add(count, unit / need);
            }
        }
        self.all.add(count, 1.0);
        count
    }

    /// Scaled, so that the solver's tolerance is a share of what is left.
    fn ceiling(&mut self, ceiling: &Ceiling, counts: &[Vec<Variable>]) {
        let scale = if ceiling.left > 0.0 { ceiling.left } else { 1.0 };
        let mut used = LinearExpr::empty();
        for (each, counts) in ceiling.each.iter().zip(counts) {
            counts.iter().for_each(|count| used.add(*count, each / scale));
        }
        let most = if ceiling.left > 0.0 { 1.0 } else { 0.0 };
        self.problem.add_constraint(used, ComparisonOp::Le, most);
    }

    fn finish(&mut self, need: &[f64], bounds: &Bounds) {
        for (cover, need) in self.cover.drain(..).zip(need) {
            if *need > 0.0 {
                self.problem.add_constraint(cover, ComparisonOp::Ge, 1.0);
            }
        }
        let all = std::mem::replace(&mut self.all, LinearExpr::empty());
        self.problem.add_constraint(all, ComparisonOp::Le, f64::from(bounds.room));
        if bounds.risky > 0 {
            let chosen = std::mem::replace(&mut self.chosen, LinearExpr::empty());
            self.problem.add_constraint(chosen, ComparisonOp::Le, bounds.risky as f64);
        }
    }
}
