//! Plans many cases, performs each many times, and counts.

use plan::{plan, upper_bound};

use super::Stream;
use super::cases::{Case, Lengths, Offers};
use super::judge::is_overloaded;

/// What was planned for one case, and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// What was offered.
    pub offers: Offers,
    /// How long things took.
    pub lengths: Lengths,
    /// Whether anything was bought, and whether it could be lost.
    pub bought: Bought,
    /// The risk that the plan states, and its upper bound.
    pub stated: (f64, f64),
    /// How often it was performed.
    pub rollouts: usize,
    /// How often it met overload.
    pub hits: usize,
}

/// What a plan buys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bought {
    /// Nothing.
    Nothing,
    /// What nobody takes away.
    Safe,
    /// Something that can be lost.
    Risky,
}

/// Many outcomes together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// How many plans.
    pub plans: usize,
    /// How many rollouts by them.
    pub rollouts: usize,
    /// … of which met attributable overload.
    pub hits: usize,
    /// The mean risk that was stated, and the mean upper bound of it.
    pub stated: (f64, f64),
    /// The largest share of one plan's rollouts.
    pub worst: f64,
}

/// One case at a risk: `None` where no plan fits.
pub fn perform(case: &Case, risk: f64, rollouts: usize, seed: u64) -> Option<Outcome> {
    let request = case.request(risk, seed);
    let plan = plan(&request).ok()?;
    let risky = |name| request.facts.offer(name).unwrap().can_be_missing();
    let bought = match plan.surge.iter().any(|purchase| risky(&purchase.offer)) {
        true => Bought::Risky,
        false if plan.surge.is_empty() => Bought::Nothing,
        false => Bought::Safe,
    };
    let one = |number: &usize| {
        let mut stream = Stream::of(seed ^ 0x7472_7574_6800_0000, *number as u64);
        is_overloaded(&request, &plan, &case.process, &mut stream)
    };
    let hits = (0..rollouts).filter(one).count();
    let stated = (plan.risk.planned, plan.risk.upper95);
    let (offers, lengths) = (case.offers, case.lengths);
    Some(Outcome { offers, lengths, bought, stated, rollouts, hits })
}

impl Tally {
    /// Of some outcomes.
    pub fn of<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes {
            tally.plans += 1;
            tally.rollouts += outcome.rollouts;
            tally.hits += outcome.hits;
            tally.stated.0 += outcome.stated.0;
            tally.stated.1 += outcome.stated.1;
            let share = outcome.hits as f64 / outcome.rollouts as f64;
            tally.worst = if share > tally.worst { share } else { tally.worst };
        }
        let plans = tally.plans as f64;
        tally.stated = (tally.stated.0 / plans, tally.stated.1 / plans);
        tally
    }

    /// The share of rollouts with attributable overload.
    pub fn share(&self) -> f64 {
        self.hits as f64 / self.rollouts as f64
    }

    /// One-sided 95 % bounds of that share (Clopper and Pearson), lower and upper. Given the plans,
    /// rollouts are independent, each with the probability of its plan; the sum of such trials
    /// scatters no more than one of equal probabilities, so that the bounds hold for their mean.
    pub fn bounds(&self) -> (f64, f64) {
        let upper = |hits: usize| upper_bound(hits as f64, self.rollouts, 0.95);
        (1.0 - upper(self.rollouts - self.hits), upper(self.hits))
    }
}
