//! Rolling back by itself, where that is what shall come after failures.

use domain::event::{Event, OnFailure};

use super::Decision;
use crate::state::{Phase, State};

/// More has failed than the rollout bears. A person who has paused it, or tries again, is at it; what
/// cannot be rolled back holds, and says why.
pub(super) fn after_failure(state: &State) -> Option<Decision> {
    let asked = state.created.policy.on_failure == OnFailure::Rollback;
    let goes_on = matches!(state.phase, Phase::Provisioning | Phase::Rolling);
    if !asked || !goes_on || state.paused || state.retry {
        return None;
    }
    let why = state.unborne().filter(|_| state.may_roll_back().is_ok())?;
    let newest = state.given_up().iter().map(|server| server.seq).max()?;
    Some(Decision::write(Event::RollbackRequested {}, why, newest))
}
