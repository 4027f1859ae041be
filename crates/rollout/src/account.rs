//! The account of one rollout's risk: what was allowed, what its batches have spent, what is left.
//!
//! A batch spends, when it is opened, what the plan in force puts on it; the batches of a plan
//! spend at most its target together, and the target of a revision is at most what is left. So
//! however often a rollout is planned again, its batches never spend more than was stated: the
//! probability of a union is at most the sum of the probabilities (Boole).

use domain::event::RiskSpent;
use domain::plan::{Batch, Plan};

use crate::settings::RISK_ROUNDING;

/// See the module. All amounts are probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    stated: f64,
    entries: Vec<Spending>,
}

/// What one batch has spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spending {
    /// The number of the plan.
    pub revision: u32,
    /// The index of the batch in it.
    pub batch: u32,
    /// A probability.
    pub risk: f64,
}

/// More is asked for than is left.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("the risk account would be overdrawn: {asked} is asked for, {left} is left")]
pub struct Overdrawn {
    /// What was asked for.
    pub asked: f64,
    /// What is left.
    pub left: f64,
}

impl Account {
    /// An account that nothing has been spent of.
    pub fn new(stated: f64) -> Self {
        Self { stated, entries: Vec::new() }
    }

    /// What the rollout may spend in all.
    pub fn stated(&self) -> f64 {
        self.stated
    }

    /// What has been spent, in the order of spending.
    pub fn entries(&self) -> &[Spending] {
        &self.entries
    }

    /// What has been spent in all.
    pub fn spent(&self) -> f64 {
        self.entries.iter().map(|entry| entry.risk).sum()
    }

    /// What is left, never below nothing.
    pub fn left(&self) -> f64 {
        let left = self.stated - self.spent();
        if left > 0.0 { left } else { 0.0 }
    }

    /// What opening a batch of a plan spends. Plans of former releases do not say it: each of
    /// their batches spends an equal part of the plan's target.
    pub fn price(plan: &Plan, batch: &Batch) -> f64 {
        batch.risk.unwrap_or_else(|| plan.risk.target / plan.batches.len() as f64)
    }

    /// What the journal says of a batch that is about to be opened: it spends what the plan puts on
    /// it, or more where it was `weighed` again since.
    ///
    /// # Errors
    /// More is asked for than is left.
    pub fn quote(
        &self,
        plan: &Plan,
        batch: &Batch,
        weighed: Option<f64>,
    ) -> Result<RiskSpent, Overdrawn> {
        let (planned, left) = (Self::price(plan, batch), self.left());
        let asked = weighed.filter(|weighed| *weighed > planned).unwrap_or(planned);
        if asked > left + self.rounding() {
            return Err(Overdrawn { asked, left });
        }
        let spent = if asked < left { asked } else { left };
        Ok(RiskSpent { spent, left: left - spent })
    }

    /// Whether a plan keeps within what is left; plans of former releases are not asked.
    ///
    /// # Errors
    /// Its target, or what its batches spend, is more than is left.
    pub fn affords(&self, plan: &Plan) -> Result<(), Overdrawn> {
        let left = self.left();
        let batches: Vec<f64> = plan.batches.iter().filter_map(|batch| batch.risk).collect();
        if batches.is_empty() {
            return Ok(());
        }
        let spends: f64 = batches.iter().sum();
        let asked = if spends > plan.risk.target { spends } else { plan.risk.target };
        if asked > left + self.rounding() { Err(Overdrawn { asked, left }) } else { Ok(()) }
    }

    /// Takes a batch into the account, as the journal states it.
    ///
    /// # Errors
    /// The journal states less than the plan, or more than is left.
    pub(crate) fn take(
        &mut self,
        plan: &Plan,
        batch: &Batch,
        stated: Option<RiskSpent>,
    ) -> Result<(), String> {
        let entry = |risk| Spending { revision: plan.revision, batch: batch.index, risk };
        let Some(stated) = stated else {
            // Written by a former release, which kept no account: never more than is left.
            let (price, left) = (Self::price(plan, batch), self.left());
            self.entries.push(entry(if price < left { price } else { left }));
            return Ok(());
        };
        let due = self.quote(plan, batch, Some(stated.spent));
        let due = due.map_err(|overdrawn| overdrawn.to_string())?;
        let near = |a: f64, b: f64| (a - b).abs() <= self.rounding();
        if !near(due.spent, stated.spent) || !near(due.left, stated.left) {
            return Err(format!(
                "it spends {} of the risk and leaves {}, the account says {} and {}",
                stated.spent, stated.left, due.spent, due.left
            ));
        }
        self.entries.push(entry(stated.spent));
        Ok(())
    }

    fn rounding(&self) -> f64 {
        self.stated * RISK_ROUNDING
    }
}
