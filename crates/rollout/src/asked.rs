//! What a planner is asked, as a function of the state and the moment. A driver asks by it, and so
//! does whoever computes a past decision again, from the journal as it was.

use domain::forecast::Probability;
use domain::plan::{Batch, Plan, Refused};
use jiff::Timestamp;

use crate::decide::missed::resting;
use crate::decide::surge::order_key;
use crate::planner::{HeldSurge, Revision};
use crate::settings::LEAST_RISK;
use crate::state::{State, SurgeStage, Way};

/// What is asked of the batches that are left.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The index of the first of them.
    pub next: u32,
    /// The batches and the question, or why nothing may be asked any more.
    pub question: Result<(Vec<Batch>, Revision), Refused>,
}

/// The question for another plan; `None` before the first one. An error: too little is left of the
/// risk to plan with.
pub fn revision(state: &State, now: Timestamp, why: &str) -> Option<Result<Revision, Refused>> {
    let plan = state.plan.as_ref()?;
    let ask = |risk| Revision { why: why.to_owned(), ..question(state, plan, now, risk) };
    Some(left(state).map(ask))
}

/// The question what the batches that are left risk; `None` where none is left.
pub fn weighing(state: &State, now: Timestamp) -> Option<Asked> {
    let (plan, next) = (state.plan.as_ref()?, state.next_batch()?.index);
    let rest: Vec<Batch> =
        plan.batches.iter().filter(|batch| batch.index >= next).cloned().collect();
    let question = left(state).map(|risk| {
        let asked = question(state, plan, now, risk);
        let held = asked.held.iter().cloned().chain(coming(state, plan, now)).collect();
        let pending = rest.iter().flat_map(|batch| batch.servers.clone()).collect();
        let deadline = rest.last().map_or(now, |last| last.back_at).max(now);
        (rest, Revision { held, pending, deadline, ..asked })
    });
    Some(Asked { next, question })
}

/// What the planner is asked about what is left of a rollout.
fn question(state: &State, plan: &Plan, now: Timestamp, risk: Probability) -> Revision {
    Revision {
        now,
        parent: plan.digest.clone(),
        revision: plan.revision + 1,
        way: state.way(),
        pending: state.pending(),
        unavailable: state.failed().iter().map(|s| s.member.name.clone()).collect(),
        held: held(state, now),
        without: resting(state, now),
        deadline: state.deadline(),
        risk,
        why: String::new(),
        rung: state.rung,
        inputs: plan.inputs.clone(),
        updated_at: state.updated_at(),
    }
}

/// What a revision may still use of the risk, or that it is too little to plan with.
fn left(state: &State) -> Result<Probability, Refused> {
    let (left, account) = (state.account.left(), &state.account);
    let enough = Probability::new(left).ok().filter(|_| left >= LEAST_RISK);
    enough.ok_or_else(|| Refused {
        binding: "risk".into(),
        detail: format!(
            "the risk account of this rollout is used up: {:.3e} of {:.3e} is spent by {} batches, \
             {left:.1e} is left and at least {LEAST_RISK:.0e} is needed; {}",
            account.spent(),
            account.stated(),
            account.entries().len(),
            match state.way() {
                Way::Forth => "abort it, and begin again with a risk that you accept on top",
                Way::Back =>
                    "abort it, which leaves every server at what it runs, and apply the \
                              former version with a risk that you accept on top",
            }
        ),
        would_fit: Vec::new(),
    })
}

/// What the plan in force has still to order.
fn coming(state: &State, plan: &Plan, now: Timestamp) -> Vec<HeldSurge> {
    let all = plan.surge.iter().enumerate().filter(|(index, purchase)| {
        purchase.count > 0 && !state.orders.contains_key(&order_key(state, plan, *index))
    });
    all.map(|(_, purchase)| HeldSurge {
        offer: purchase.offer.clone(),
        count: purchase.count,
        ready_at: purchase.ready_at.max(now),
    })
    .collect()
}

/// The surge that runs and goes on running under a revision.
fn held(state: &State, now: Timestamp) -> Vec<HeldSurge> {
    let mut list = Vec::new();
    for order in state.orders.values() {
        let lost = order.instances.iter().filter(|i| i.stage == SurgeStage::Lost).count();
        let count = u32::try_from(order.names.len() - lost).unwrap_or(u32::MAX);
        if !order.is_held() || count == 0 {
            continue;
        }
        let warm = order.instances.iter().map(|i| match i.stage {
            SurgeStage::Joined(at) => at,
            _ => now + state.created.policy.warmup_at(now),
        });
        let ready_at = warm.max().unwrap_or(order.ready_at).max(now);
        list.push(HeldSurge { offer: order.offer.clone(), count, ready_at });
    }
    list
}
