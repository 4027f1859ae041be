//! How the risk of a plan came about.

use domain::plan::{Basis, NoTail, Plan, Tail, UpdateFailures};
use serde::Serialize;

use super::Differences;
use crate::odds::upper_bound;

/// The risk with the counts that it is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RiskExplained {
    /// What is allowed; for a fleet of several, its share.
    pub target: f64,
    /// `hits / paths`.
    pub planned: f64,
    /// So many fresh paths meet attributable overload.
    pub hits: Option<u64>,
    /// So many fresh paths there are.
    pub paths: Option<u64>,
    /// The bound of Clopper and Pearson on `planned`: the probability at which so few hits or
    /// fewer come with probability 1 − `confidence`.
    pub upper95: f64,
    /// See `upper95`.
    pub confidence: Option<f64>,
    /// `1 / (comparableWindows + 1)`.
    pub resolution: f64,
    /// Independent windows of this kind in the history.
    pub comparable_windows: Option<u32>,
    /// Whether `target` lies below `resolution`.
    pub extrapolated: bool,
    /// What a model of the tail says where the target is extrapolated; `probability` is
    /// `exceedances / paths × (1 − shape·threshold/scale)^(−1/shape)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<Tail>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_tail: Option<NoTail>,
    /// `baselineHits / paths`.
    pub baseline: f64,
    /// On so many fresh paths load exceeds the whole healthy fleet.
    pub baseline_hits: Option<u64>,
    /// What each batch spends of the risk when it is opened.
    pub batches: Vec<Spending>,
    /// What all of them spend.
    pub spent: f64,
}

/// What a batch spends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spending {
    /// Its index.
    pub batch: u32,
    /// A probability.
    pub risk: f64,
}

/// Updates that fail, as random events in the paths.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateFailuresExplained {
    /// The probability that the update of one server fails, and how often that happens.
    pub terms: UpdateFailures,
    /// `1 − (1 − each)^servers`: the probability that any fails.
    pub any: f64,
}

pub(super) fn failures(basis: &Basis) -> Option<UpdateFailuresExplained> {
    let terms = basis.update_failures?;
    let any = -(f64::from(terms.servers) * (-terms.each).ln_1p()).exp_m1();
    Some(UpdateFailuresExplained { terms, any })
}

pub(super) fn explained(
    plan: &Plan,
    basis: Option<&Basis>,
    different: &mut Differences,
) -> RiskExplained {
    let risk = plan.risk;
    if let Some(basis) = basis {
        let counted = basis.counted;
        let share = |hits: u64| hits as f64 / counted.paths as f64;
        let paths = usize::try_from(counted.paths).unwrap_or(usize::MAX);
        let upper = upper_bound(counted.hits as f64, paths, counted.confidence);
        different.note("risk.planned", risk.planned, share(counted.hits));
        different.note("risk.upper95", risk.upper95, upper);
        different.note("risk.baseline", risk.baseline, share(counted.baseline));
        if let Some(tail) = risk.tail {
            let beyond = tail.beyond(0.0, counted.paths);
            different.note("risk.tail.probability", tail.probability, beyond);
        }
        let windows = f64::from(basis.comparable_windows);
        different.note("risk.resolution", risk.resolution, 1.0 / (windows + 1.0));
    }
    let number = |yes: bool| if yes { 1.0 } else { 0.0 };
    let below = risk.target < risk.resolution;
    different.note("risk.extrapolated", number(risk.extrapolated), number(below));
    let spending =
        |batch: &domain::plan::Batch| Some(Spending { batch: batch.index, risk: batch.risk? });
    let batches: Vec<Spending> = plan.batches.iter().filter_map(spending).collect();
    let counted = basis.map(|basis| basis.counted);
    RiskExplained {
        target: risk.target,
        planned: risk.planned,
        hits: counted.map(|c| c.hits),
        paths: counted.map(|c| c.paths),
        upper95: risk.upper95,
        confidence: counted.map(|c| c.confidence),
        resolution: risk.resolution,
        comparable_windows: basis.map(|basis| basis.comparable_windows),
        extrapolated: risk.extrapolated,
        tail: risk.tail,
        no_tail: risk.no_tail,
        baseline: risk.baseline,
        baseline_hits: counted.map(|c| c.baseline),
        spent: batches.iter().map(|batch| batch.risk).sum(),
        batches,
    }
}
