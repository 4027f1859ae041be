//! A linter for plans, wherever they come from.

mod batches;
mod joint;
mod money;
mod whole;

use domain::plan::Plan;

use crate::request::Facts;

/// A rule that every plan keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The digest is that of the content.
    Digest,
    /// Version and kind are known.
    Kind,
    /// Times are in order.
    Times,
    /// Every pending server is out exactly once, and nobody else is.
    Once,
    /// Never more servers out than allowed, unhealthy ones included.
    MaxUnavailable,
    /// A batch goes out when the one before is back.
    OneAtATime,
    /// A batch has the time that its parts take.
    BatchLength,
    /// A batch is out within one allowed window.
    Windows,
    /// The last server is back by the deadline.
    Deadline,
    /// Surge comes from a known offer, within its limit and that of the rollout.
    SurgeLimit,
    /// All surge together keeps within each quota.
    Quota,
    /// Never more servers of a zone out than allowed, unhealthy ones included.
    ZoneLimit,
    /// Surge is ready before a batch goes out or after it is back, and no sooner than it can be.
    SurgeReady,
    /// Surge stays until the watch after the last batch is over.
    SurgeRelease,
    /// Prices are those of the offers, and costs add up.
    Cost,
    /// Probabilities are such, and a bound is not below what it bounds.
    Risk,
    /// The timeline has neither gap nor overlap and covers the rollout.
    Timeline,
    /// The timeline says what the ledger says.
    Ledger,
    /// A plan over several fleets is made of its parts, and their risks keep the joint one.
    Joint,
}

/// Something that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which rule is broken.
    pub rule: Rule,
    /// Where and by how much, in words.
    pub detail: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}

/// Everything that is wrong with `plan`, given the facts that it was made for; empty for every
/// plan that [`crate::plan`] makes.
pub fn check(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    whole::check(plan, facts, &mut findings);
    batches::check(plan, facts, &mut findings);
    money::check(plan, facts, &mut findings);
    findings.0
}

/// Everything that is wrong with a plan over these fleets, each finding with the name of the fleet.
pub fn check_all(plan: &Plan, fleets: &[Facts]) -> Vec<Finding> {
    match fleets {
        [facts] if plan.fleets.is_empty() => check(plan, facts),
        _ => joint::check(plan, fleets),
    }
}

struct Findings(Vec<Finding>);

impl Findings {
    /// Notes a breach of `rule` unless `good`.
    fn ensure(&mut self, good: bool, rule: Rule, detail: impl FnOnce() -> String) {
        if !good {
            self.0.push(Finding { rule, detail: detail() });
        }
    }
}
