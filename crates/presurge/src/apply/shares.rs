//! What a fleet may use of the joint risk and of the budget, where the others have begun before it.

use domain::config::Rollout;
use domain::forecast::Probability;
use domain::plan::joint_probability;
use rollout::State;

/// What the open or finished attempt of a fleet owns.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Owned {
    /// Of the joint risk, a probability.
    pub risk: f64,
    /// Of the budget, in its currency: the surge of the plan in force.
    pub cost: f64,
}

impl Owned {
    /// What a fleet owns in a state.
    pub fn of(state: &State) -> Self {
        let cost = state.plan.as_ref().map_or(0.0, |plan| plan.cost.surge);
        Self { risk: state.created.risk, cost }
    }
}

/// The others own the whole risk.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error(
    "the fleets that are under way own the whole joint risk of {risk}; nothing is left for {fleet}"
)]
pub struct NothingLeft {
    risk: f64,
    fleet: String,
}

/// Leaves a fleet what the others leave of risk and money: all of it where there are none.
///
/// # Errors
/// Nothing is left of the risk.
pub fn leave(rollout: &mut Rollout, others: &[Owned]) -> Result<(), NothingLeft> {
    if others.is_empty() {
        return Ok(());
    }
    let owned = joint_probability(others.iter().map(|other| other.risk));
    let spent: f64 = others.iter().map(|other| other.cost).sum();
    let whole = rollout.risk.get();
    let left = 1.0 - (1.0 - whole) / (1.0 - owned);
    let nothing = |_| NothingLeft { risk: whole, fleet: rollout.fleet.to_string() };
    rollout.risk = Probability::new(left).map_err(nothing)?;
    rollout.budget = rollout.budget.map(|b| if b > spent { b - spent } else { 0.0 });
    Ok(())
}
