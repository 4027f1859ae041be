//! A plan over several fleets, and the part of it that one fleet performs.

use jiff::Timestamp;

use crate::schema::Moment;
use serde::{Deserialize, Serialize};

use super::{Cost, Exposure, Plan, Rejected, Risk};
use crate::journal::Digest;
use crate::name::FleetName;

/// The figures of one fleet in a plan over several. With the batches, the surge, the timeline and
/// the basis of the fleet they make the plan that this fleet performs, see [`Plan::part`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FleetPart {
    /// The fleet.
    pub fleet: FleetName,
    /// The seed of its paths.
    pub seed: u64,
    /// After this its part must be made again.
    #[schemars(with = "Moment")]
    pub valid_until: Timestamp,
    /// Its first order or removal.
    #[schemars(with = "Moment")]
    pub start_at: Timestamp,
    /// Its last `backAt`.
    #[schemars(with = "Moment")]
    pub finish_at: Timestamp,
    /// When the watch after its last batch ends.
    #[schemars(with = "Moment")]
    pub stabilised_at: Timestamp,
    /// When its last surge is gone.
    #[schemars(with = "Moment")]
    pub done_at: Timestamp,
    /// How sure its part is; `target` is its share of the joint risk.
    pub risk: Risk,
    /// What its surge costs.
    pub cost: Cost,
    /// Headroom at its next forecast peak.
    pub exposure: Option<Exposure>,
    /// What was looked at for it and not taken.
    pub rejected: Vec<Rejected>,
    /// The end of its newest sample.
    #[schemars(with = "Moment")]
    pub until: Timestamp,
    /// The digest of its part as a plan of its own.
    pub digest: Digest,
}

/// The joint probability of independent parts: 1 − Π(1 − pᵢ), computed without cancellation.
pub fn joint_probability(parts: impl IntoIterator<Item = f64>) -> f64 {
    let log: f64 = parts.into_iter().map(|p| (-p).ln_1p()).sum();
    (-log.exp_m1()).clamp(0.0, 1.0)
}

impl Plan {
    /// One plan of the plans of several fleets that are performed side by side. `target` is the
    /// joint risk that is allowed. The parts have to be of the same rollout, moment and currency.
    pub fn joining(parts: &[Plan], target: f64, seed: u64) -> Option<Plan> {
        let first = parts.first()?;
        let joint = |of: fn(&Risk) -> f64| joint_probability(parts.iter().map(|p| of(&p.risk)));
        let earliest = |of: fn(&Plan) -> Timestamp| parts.iter().map(of).min();
        let latest = |of: fn(&Plan) -> Timestamp| parts.iter().map(of).max();
        let mut batches: Vec<_> = parts.iter().flat_map(|p| p.batches.clone()).collect();
        batches.sort_by(|a, b| (a.out_at, &a.fleet, a.index).cmp(&(b.out_at, &b.fleet, b.index)));
        let mut inputs = first.inputs.clone();
        inputs.load = parts.iter().flat_map(|p| p.inputs.load.clone()).collect();
        inputs.learned = parts.iter().flat_map(|p| p.inputs.learned.clone()).collect();
        inputs.signals = parts.iter().flat_map(|p| p.inputs.signals.clone()).collect();
        inputs.capacity = parts.iter().flat_map(|p| p.inputs.capacity.clone()).collect();
        inputs.models = parts.iter().flat_map(|p| p.inputs.models.clone()).collect();
        inputs.until = parts.iter().map(|p| p.inputs.until).min()?;
        let plan = Plan {
            seed,
            valid_until: earliest(|p| p.valid_until)?,
            start_at: earliest(|p| p.start_at)?,
            finish_at: latest(|p| p.finish_at)?,
            stabilised_at: latest(|p| p.stabilised_at)?,
            done_at: latest(|p| p.done_at)?,
            risk: Risk {
                target,
                planned: joint(|r| r.planned),
                upper95: joint(|r| r.upper95),
                resolution: joint(|r| r.resolution),
                extrapolated: parts.iter().any(|p| p.risk.extrapolated),
                baseline: joint(|r| r.baseline),
                tail: None,
                no_tail: None,
            },
            cost: Cost {
                currency: first.cost.currency.clone(),
                surge: parts.iter().map(|p| p.cost.surge).sum(),
                size: parts.iter().map(|p| p.cost.size).sum(),
            },
            batches,
            surge: parts.iter().flat_map(|p| p.surge.clone()).collect(),
            timeline: parts.iter().flat_map(|p| p.timeline.clone()).collect(),
            exposure: None,
            rejected: Vec::new(),
            inputs,
            basis: parts.iter().flat_map(|p| p.basis.clone()).collect(),
            fleets: parts.iter().filter_map(figures).collect(),
            ..first.clone()
        };
        Some(plan.sealed())
    }

    /// The plan that one fleet of several performs, `None` where the plan has no such part.
    pub fn part(&self, fleet: &FleetName) -> Option<Plan> {
        let part = self.fleets.iter().find(|part| part.fleet == *fleet)?;
        let dimensions = self.timeline.iter().find(|entry| entry.fleet == *fleet)?.load.keys();
        let own: Vec<String> = dimensions.map(|dimension| format!("{fleet}/{dimension}")).collect();
        let mut inputs = self.inputs.clone();
        inputs.load.retain(|which, _| own.contains(which));
        inputs.learned.retain(|which, _| which == fleet);
        inputs.signals.retain(|which, _| own.contains(which));
        inputs.capacity.retain(|which, _| own.contains(which));
        inputs.models.retain(|which, _| own.contains(which));
        inputs.until = part.until;
        let mut plan = Plan {
            seed: part.seed,
            valid_until: part.valid_until,
            start_at: part.start_at,
            finish_at: part.finish_at,
            stabilised_at: part.stabilised_at,
            done_at: part.done_at,
            risk: part.risk,
            cost: part.cost.clone(),
            exposure: part.exposure.clone(),
            rejected: part.rejected.clone(),
            inputs,
            fleets: Vec::new(),
            digest: part.digest.clone(),
            ..self.clone()
        };
        plan.batches.retain(|batch| batch.fleet == *fleet);
        plan.surge.retain(|order| order.fleet == *fleet);
        plan.timeline.retain(|entry| entry.fleet == *fleet);
        plan.basis.retain(|basis| basis.fleet == *fleet);
        Some(plan)
    }

    /// The parts of a plan over several fleets; a plan of one fleet is its own only part.
    pub fn parts(&self) -> Vec<Plan> {
        if self.fleets.is_empty() {
            return vec![self.clone()];
        }
        self.fleets.iter().filter_map(|part| self.part(&part.fleet)).collect()
    }
}

fn figures(plan: &Plan) -> Option<FleetPart> {
    Some(FleetPart {
        fleet: plan.timeline.first()?.fleet.clone(),
        seed: plan.seed,
        valid_until: plan.valid_until,
        start_at: plan.start_at,
        finish_at: plan.finish_at,
        stabilised_at: plan.stabilised_at,
        done_at: plan.done_at,
        risk: plan.risk,
        cost: plan.cost.clone(),
        exposure: plan.exposure.clone(),
        rejected: plan.rejected.clone(),
        until: plan.inputs.until,
        digest: plan.digest.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::joint_probability;

    #[test]
    fn joint_probabilities_by_hand() {
        assert!((joint_probability([0.1, 0.2]) - 0.28).abs() < 1e-15);
        assert_eq!(joint_probability([]), 0.0);
        assert_eq!(joint_probability([0.0, 0.0]), 0.0);
        assert!((joint_probability([1e-12, 1e-12]) - 2e-12).abs() < 1e-23);
        assert_eq!(joint_probability([1.0, 0.5]), 1.0);
    }
}
