//! Transitions of approval.

use domain::journal::{Digest, Record};

use super::Refusal;
use crate::state::State;

impl State {
    /// Refuses to go further without the approval that is needed.
    pub(super) fn is_approved(&self) -> Result<(), Refusal> {
        match self.approval_needed() {
            Some((digest, why)) => Err(format!("the plan {digest} is not approved: {why}")),
            None => Ok(()),
        }
    }
}

pub(super) fn approved(state: &mut State, at: &Record, digest: &Digest) -> Result<(), Refusal> {
    state.may_approve(&at.actor.0, digest)?;
    let plan = state.plan.as_ref().ok_or("there is no plan")?;
    state.approved = Some(state.approval_of(plan, &at.actor.0, at.seq, at.at));
    state.unapproved = None;
    Ok(())
}

pub(super) fn rejected(state: &mut State, at: &Record, digest: &Digest) -> Result<(), Refusal> {
    state.may_approve(&at.actor.0, digest)?;
    state.rejected = Some(at.seq);
    Ok(())
}
