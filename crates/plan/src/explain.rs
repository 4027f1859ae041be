//! Where each number of a plan comes from: its figures beside what they are made of.
//!
//! Everything here is read from the plan and from the one ledger that its basis states. What a
//! plan says is computed again from its basis, and whatever does not agree is a [`Difference`].

mod cost;
mod lines;
mod risk;

use domain::name::{Dimension, FleetName};
use domain::plan::{Basis, Binding, LossLine, Plan, Rejected, joint_probability};
use serde::Serialize;

pub use cost::{CostExplained, OfferExplained, OrderExplained, Taken};
pub use lines::{DimensionExplained, LineExplained, Moment};
pub use risk::{RiskExplained, Spending, UpdateFailuresExplained};

/// A plan with the origin of its numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The rollout.
    pub rollout: String,
    /// The number of the plan.
    pub revision: u32,
    /// The digest of the plan.
    pub digest: domain::journal::Digest,
    /// What the plan was made from.
    pub inputs: domain::plan::Inputs,
    /// The joint risk, where there are several fleets.
    pub joint: Option<JointExplained>,
    /// Each fleet.
    pub fleets: Vec<FleetExplained>,
    /// Where a figure does not follow from the basis that the plan states.
    pub differences: Vec<Difference>,
}

/// The joint risk: 1 − Π(1 − rᵢ) over the fleets, which are taken as independent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JointExplained {
    /// What the plan states.
    pub risk: domain::plan::Risk,
    /// The joint risk of all shares.
    pub shares: f64,
    /// The joint risk of what is planned.
    pub planned: f64,
    /// The sum of the costs.
    pub cost: f64,
}

/// One fleet of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetExplained {
    /// Which.
    pub fleet: FleetName,
    /// How its risk came about.
    pub risk: RiskExplained,
    /// Which load was used.
    pub load: Option<LoadExplained>,
    /// The moment that decides what has to be bought.
    pub binding: Option<Binding>,
    /// What is reckoned with as lost the whole time.
    pub losses: Vec<LossLine>,
    /// What is reckoned with as failed updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_failures: Option<UpdateFailuresExplained>,
    /// The capacity ledger on the intervals of the timeline.
    pub ledger: Vec<Moment>,
    /// Every offer, taken or not.
    pub offers: Vec<OfferExplained>,
    /// What is paid.
    pub cost: CostExplained,
    /// What was looked at and not taken.
    pub rejected: Vec<Rejected>,
}

/// Which quantiles of the load a plan uses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadExplained {
    /// `load.upper` of the timeline is this quantile of each step by itself.
    pub band_level: f64,
    /// The plan was chosen on so many paths …
    pub paths: u64,
    /// … of which so many may lack capacity at some moment …
    pub allowed_hits: f64,
    /// … so that the share of the rest, with this confidence, is at most the target.
    pub confidence: f64,
    /// This share of the whole courses of the load is therefore covered.
    pub covered: f64,
}

/// A figure that does not follow from what it is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Which figure, as a path in the plan.
    pub figure: String,
    /// What the plan states.
    pub stated: f64,
    /// What its basis gives.
    pub recomputed: f64,
}

/// Explains every number of a plan. A plan without a basis, as former releases made them, is
/// explained as far as it goes.
pub fn explain(plan: &Plan) -> Explanation {
    let parts = plan.parts();
    let mut different = Differences(Vec::new());
    let fleets = parts.iter().filter_map(|part| fleet(part, &mut different)).collect();
    let joint = (!plan.fleets.is_empty()).then(|| joint(plan, &parts, &mut different));
    Explanation {
        rollout: plan.rollout.clone(),
        revision: plan.revision,
        digest: plan.digest.clone(),
        inputs: plan.inputs.clone(),
        joint,
        fleets,
        differences: different.0,
    }
}

fn fleet(part: &Plan, different: &mut Differences) -> Option<FleetExplained> {
    let name = part.timeline.first()?.fleet.clone();
    let basis = part.basis.iter().find(|basis| basis.fleet == name);
    let load = |basis: &Basis| LoadExplained {
        band_level: basis.band_level,
        paths: basis.chosen.paths,
        allowed_hits: basis.chosen.allowed_hits,
        confidence: basis.chosen.confidence,
        covered: 1.0 - basis.chosen.allowed_hits / basis.chosen.paths as f64,
    };
    Some(FleetExplained {
        risk: risk::explained(part, basis, different),
        load: basis.map(load),
        binding: basis.and_then(|basis| basis.binding.clone()),
        losses: basis.map_or_else(Vec::new, |basis| basis.losses.clone()),
        update_failures: basis.and_then(risk::failures),
        ledger: basis.map_or_else(Vec::new, |basis| lines::explained(part, basis, different)),
        offers: basis.map_or_else(Vec::new, |basis| cost::offers(part, basis)),
        cost: cost::explained(part, basis, different),
        rejected: part.rejected.clone(),
        fleet: name,
    })
}

fn joint(plan: &Plan, parts: &[Plan], different: &mut Differences) -> JointExplained {
    let all = |of: fn(&domain::plan::Risk) -> f64| {
        joint_probability(parts.iter().map(|part| of(&part.risk)))
    };
    let (planned, upper) = (all(|r| r.planned), all(|r| r.upper95));
    let cost = parts.iter().map(|part| part.cost.surge).sum();
    different.note("risk.planned", plan.risk.planned, planned);
    different.note("risk.upper95", plan.risk.upper95, upper);
    different.note("risk.baseline", plan.risk.baseline, all(|r| r.baseline));
    different.note("cost.surge", plan.cost.surge, cost);
    JointExplained { risk: plan.risk, shares: all(|r| r.target), planned, cost }
}

/// Figures may differ by rounding, in this share of themselves.
const ROUNDING: f64 = 1e-9;

struct Differences(Vec<Difference>);

impl Differences {
    fn note(&mut self, figure: impl Into<String>, stated: f64, recomputed: f64) {
        let scale = stated.abs() + recomputed.abs();
        if (stated - recomputed).abs() > ROUNDING * (1.0 + scale) {
            self.0.push(Difference { figure: figure.into(), stated, recomputed });
        }
    }

    fn note_in(&mut self, place: &str, dimension: &Dimension, stated: f64, recomputed: f64) {
        self.note(format!("{place}.{dimension}"), stated, recomputed);
    }
}
