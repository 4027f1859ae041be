//! What batches stand on while the load cannot be seen: one rung after the other, each journaled.

use domain::event::{Event, HoldReason, Rung};
use jiff::Timestamp;

use super::{Decision, batch, hold};
use crate::observe::{Seen, Unweighed};
use crate::state::State;

/// One rung down where the present one does not carry, and up again once the load is known.
pub(super) fn step(state: &State, seen: &Seen, now: Timestamp) -> Option<Decision> {
    if !state.created.policy.degrade {
        return None;
    }
    let unknown = hold::unknown_load(state, seen, now).map(|(_, detail)| detail);
    let refused = state.hold.as_ref().filter(|hold| hold.reason == HoldReason::NoPlan);
    let (rung, detail) = match (state.rung, unknown) {
        (Rung::Live, None) => return None,
        (_, None) => (Rung::Live, "the load is known again".into()),
        (Rung::Live, Some(detail)) => (Rung::LastForecast, detail),
        (Rung::LastForecast, Some(_)) => (Rung::StaticSurge, no_forecast(state, seen, now)?),
        (Rung::StaticSurge, Some(_)) => (Rung::Refuse, refused?.detail.clone()),
        (Rung::Refuse, Some(_)) if refused.is_some() => return None,
        (Rung::Refuse, Some(detail)) => (Rung::StaticSurge, detail),
    };
    let reason = match rung {
        Rung::Live => "batches stand on the newest samples again",
        Rung::LastForecast => "batches stand on a forecast from the last load that is known",
        Rung::StaticSurge => "batches go out only where surge replaces them",
        Rung::Refuse => "no more batches go out",
    };
    Some(Decision::write(Event::Degraded { rung, detail }, reason, state.head.seq))
}

/// Why there is no forecast, not even from the last load that is known.
fn no_forecast(state: &State, seen: &Seen, now: Timestamp) -> Option<String> {
    let next = state.next_batch()?;
    match batch::verdict(state, seen, next, now)? {
        Err(Unweighed::Unknown(why)) => Some(why.clone()),
        _ => None,
    }
}
