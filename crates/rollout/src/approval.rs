//! Approval: what somebody agreed to, and which revisions it covers.
//!
//! An approval names the digest of a plan. A revision needs another one where it goes beyond what was
//! approved: it takes out a server, or more of them at once, that the approved plan does not; it
//! begins earlier; or it buys surge with which the whole rollout costs more than was approved. A
//! revision that waits, takes out fewer, or adds surge within the approved cost needs none. Revisions
//! are held against what was approved, never against each other, so that nothing creeps.

use std::collections::BTreeSet;

use domain::journal::Digest;
use domain::name::ServerName;
use domain::plan::Plan;
use jiff::Timestamp;

use crate::state::{Order, Phase, State};

/// Sums of costs differ by rounding, in this share.
const ROUNDING: f64 = 1e-6;

/// What was approved.
#[derive(Debug, Clone, PartialEq)]
pub struct Approved {
    /// The digest of the plan.
    pub digest: Digest,
    /// Who approved it.
    pub actor: String,
    /// The number of the event.
    pub seq: u64,
    /// Every server that may go out.
    pub servers: BTreeSet<ServerName>,
    /// So many of them at once.
    pub most_out: usize,
    /// Nothing begins before this.
    pub start_at: Timestamp,
    /// What the surge of the whole rollout may cost, in the currency of the plan.
    pub cost: f64,
}

impl State {
    /// The digest of the plan in force and why it needs an approval, while it does.
    pub fn approval_needed(&self) -> Option<(&Digest, &str)> {
        let why = self.unapproved.as_deref().filter(|_| self.may_still_begin())?;
        Some((&self.plan.as_ref()?.digest, why))
    }

    /// Whether anything can still be bought or taken out.
    fn may_still_begin(&self) -> bool {
        matches!(self.phase, Phase::Planned | Phase::Provisioning | Phase::Rolling)
    }

    /// Whether `actor` may approve or reject the plan of this digest now; if not, why not.
    ///
    /// # Errors
    /// Why not.
    pub fn may_approve(&self, actor: &str, digest: &Digest) -> Result<(), String> {
        let rule = self.created.policy.approval.as_ref();
        let rule = rule.ok_or("the plans of this rollout need no approval")?;
        let name = actor.strip_prefix("operator:").ok_or("only a person may approve a plan")?;
        if !rule.by.is_empty() && !rule.by.iter().any(|allowed| allowed == name) {
            return Err(format!("{name} may not approve it; {} may", rule.by.join(", ")));
        }
        if !self.may_still_begin() {
            return Err("nothing of it is left to agree to: every server is back, or it is being \
                        aborted"
                .into());
        }
        if let Some(seq) = self.rejected {
            return Err(format!("its plan was rejected in record {seq}"));
        }
        let plan = self.plan.as_ref().ok_or("there is no plan")?;
        if plan.digest != *digest {
            return Err(format!("the plan in force is {}, not {digest}", plan.digest));
        }
        match &self.approved {
            Some(approved) if approved.digest == *digest => {
                Err(format!("{} has approved it in record {}", approved.actor, approved.seq))
            }
            _ => Ok(()),
        }
    }

    /// What an approval of the plan in force covers.
    pub(crate) fn approval_of(
        &self,
        plan: &Plan,
        actor: &str,
        seq: u64,
        now: Timestamp,
    ) -> Approved {
        let budget = self.created.policy.approval.as_ref().and_then(|rule| rule.budget);
        let whole = self.surge_cost_so_far(now).unwrap_or_default() + plan.cost.surge;
        Approved {
            digest: plan.digest.clone(),
            actor: actor.to_owned(),
            seq,
            servers: plan.batches.iter().flat_map(|batch| batch.servers.clone()).collect(),
            most_out: most_out(plan),
            start_at: plan.start_at,
            cost: budget.unwrap_or(whole),
        }
    }

    /// Why a plan needs an approval of its own, if it does.
    pub(crate) fn beyond_approval(&self, plan: &Plan, now: Timestamp) -> Option<String> {
        self.created.policy.approval.as_ref()?;
        let Some(approved) = &self.approved else {
            return Some("nobody has approved a plan of this rollout yet".into());
        };
        let mut names = plan.batches.iter().flat_map(|batch| &batch.servers);
        if let Some(name) = names.find(|name| !approved.servers.contains(*name)) {
            return Some(format!("it takes out {name}, which the approved plan does not"));
        }
        let (most, approved_most) = (most_out(plan), approved.most_out);
        if most > approved_most {
            return Some(format!("it takes out {most} at once, approved are {approved_most}"));
        }
        if plan.start_at < approved.start_at {
            let (start, than) = (plan.start_at, approved.start_at);
            return Some(format!("it begins at {start:.0}, approved is {than:.0}"));
        }
        self.dearer(plan, approved, now)
    }

    fn dearer(&self, plan: &Plan, approved: &Approved, now: Timestamp) -> Option<String> {
        // Who waits goes on paying for what runs, which was approved.
        if plan.surge.iter().all(|purchase| purchase.count == 0) {
            return None;
        }
        let Some(spent) = self.surge_cost_so_far(now) else {
            return Some(
                "it buys surge, and what that of this rollout has cost is not known".into(),
            );
        };
        let (whole, most) = (spent + plan.cost.surge, approved.cost);
        (whole > most * (1.0 + ROUNDING)).then(|| {
            let currency = &plan.cost.currency;
            format!("with it the surge costs {whole:.2} {currency}, approved are {most:.2}")
        })
    }

    /// What all surge has cost until now, lost instances as if they had run; `None` where a price is
    /// not known.
    fn surge_cost_so_far(&self, now: Timestamp) -> Option<f64> {
        let of = |order: &Order| {
            let hours = now.duration_since(order.ordered_at).as_secs_f64() / 3_600.0;
            Some(order.price_each? * order.names.len() as f64 * hours)
        };
        self.orders.values().map(of).sum()
    }
}

fn most_out(plan: &Plan) -> usize {
    plan.batches.iter().map(|batch| batch.servers.len()).max().unwrap_or(0)
}

/// What is typed to approve the plan in force.
pub fn command(state: &State, digest: &Digest) -> String {
    format!("presurge rollout approve {} --digest {}", state.id, digest.short())
}
