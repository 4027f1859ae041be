//! Keeping the auto-scaler from fighting: it is taken shortly before the first order or removal, and
//! put back when nothing is out or bought any more.

use std::time::Duration;

use domain::event::{Event, HoldReason};
use domain::size::{Lent, SizeField, SizeSettings};
use jiff::Timestamp;

use super::{Decision, over};
use crate::observe::{Seen, Stop};
use crate::settings::{
    FOREIGN_OUTAGE_SECONDS, SIZE_AHEAD_SECONDS, SIZE_ASTRAY_SECONDS, SIZE_CONFLICTS,
};
use crate::size::{SizeStage, Taken};
use crate::state::{OrderStage, Phase, State};

/// When the auto-scaler is taken, while it is not.
pub(super) fn taken_at(state: &State) -> Option<Timestamp> {
    state.created.policy.size.as_ref().filter(|_| state.size.is_none())?;
    Some(state.plan.as_ref()?.start_at - Duration::from_secs(SIZE_AHEAD_SECONDS))
}

/// When it may be put back: a call to set it that went astray has arrived by then, and is undone.
pub(super) fn returned_at(state: &State) -> Option<Timestamp> {
    let taken = state.size.as_ref()?;
    let rests = matches!(taken.stage, SizeStage::Set | SizeStage::Changed(_));
    rests.then(|| taken.since + Duration::from_secs(SIZE_ASTRAY_SECONDS))
}

/// Takes it, or takes it again: the plan needs more of it, somebody else was faster, or a person said
/// resume after somebody else had changed it.
pub(super) fn take(state: &State, seen: &Seen, now: Timestamp) -> Option<Decision> {
    state.created.policy.size.as_ref()?;
    let waits = state.paused || state.approval_needed().is_some();
    if waits || state.size.is_none() && !may_begin(state, seen, now) {
        return None;
    }
    let (before, found, reason, cause) = match &state.size {
        None => {
            let found = seen.size.clone()?;
            let reason = format!("it is {found}, and would fight the rollout");
            (found.clone(), found, reason, state.plan_seq)
        }
        Some(taken) => {
            let (found, reason) = again(state, seen, taken)?;
            (taken.rebased(&found), found, reason, taken.seq)
        }
    };
    let during = state.size_wanted(&before);
    Some(Decision::write(Event::SizeTaken { before, found, during }, reason, cause))
}

/// What has not begun begins when it may go on.
fn may_begin(state: &State, seen: &Seen, now: Timestamp) -> bool {
    let due = taken_at(state).is_none_or(|at| now >= at);
    let begun = state.phase != Phase::Planned || state.hook_due().is_none();
    due && begun && state.hold.is_none() && seen.stop == Stop::No
}

fn again(state: &State, seen: &Seen, taken: &Taken) -> Option<(SizeSettings, String)> {
    match &taken.stage {
        SizeStage::Changed(found) if taken.again || taken.conflicts < SIZE_CONFLICTS => {
            Some((found.clone(), format!("somebody else has set it to {found} meanwhile")))
        }
        SizeStage::Set if taken.again => Some((seen.size.clone()?, "a person said resume".into())),
        SizeStage::Set if !state.size_suffices() => {
            Some((seen.size.clone()?, "the plan in force needs more than is set".into()))
        }
        _ => None,
    }
}

/// Puts it back, as far as nobody else has changed it.
pub(super) fn give_back(state: &State, seen: &Seen, now: Timestamp) -> Option<Decision> {
    let taken = state.size.as_ref()?;
    if returned_at(state).is_none_or(|at| now < at) {
        return None;
    }
    let found = match &taken.stage {
        SizeStage::Changed(found) if taken.again || taken.conflicts < SIZE_CONFLICTS => {
            found.clone()
        }
        SizeStage::Set => seen.size.clone()?,
        _ => return None,
    };
    let (wanted, left_alone) = (taken.lent.put_back(&found), taken.lent.changed(&found));
    let reason = match left_alone.is_empty() {
        true => format!("it was {}", taken.lent.before),
        false => format!("somebody else has changed it, and that stays: {}", told(taken, &found)),
    };
    let event = Event::SizeRestoring { found, wanted, left_alone };
    Some(Decision::write(event, reason, taken.seq))
}

/// What somebody else has changed, with what we had set.
fn told(taken: &Taken, found: &SizeSettings) -> String {
    in_words(&taken.lent, found, taken.lent.changed(found))
}

fn in_words(lent: &Lent, found: &SizeSettings, fields: Vec<SizeField>) -> String {
    let one = |field: SizeField| {
        let (is, was) = (found.told(field), lent.during.told(field));
        format!("{field} is {is} instead of {was}")
    };
    fields.into_iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What an auto-scaler has been given that may make it fight, as it is seen now.
pub(super) fn loosened(state: &State, seen: &Seen) -> Option<String> {
    let taken = state.size.as_ref().filter(|taken| taken.stage == SizeStage::Set)?;
    let found = seen.size.as_ref()?;
    let weaker = found.weaker_than(&taken.lent.during);
    (!weaker.is_empty()).then(|| in_words(&taken.lent, found, weaker))
}

/// Whether a batch may open: it is kept, and seen to be.
pub(super) fn lets_open(state: &State, seen: &Seen) -> bool {
    let sees = state.created.policy.size.is_none() || seen.size.is_some();
    sees && state.size_is_kept() && state.size_suffices() && loosened(state, seen).is_none()
}

/// Somebody else has changed it so that it may fight: nobody sets it again without a person. Once
/// everything is back there is nothing to fight about.
pub(super) fn changed(state: &State, seen: &Seen, now: Timestamp) -> Option<(HoldReason, String)> {
    let since = seen.size_loose_since.filter(|since| over(*since, FOREIGN_OUTAGE_SECONDS, now));
    let watched = matches!(state.phase, Phase::Stabilising { .. });
    let again = state.size.as_ref().is_some_and(|taken| taken.again);
    let loose = since.filter(|_| !watched && !again).and_then(|since| {
        let detail = loosened(state, seen)?;
        let why = format!("somebody else has changed it since {since:.0}: {detail}");
        Some((HoldReason::SizeChanged, fights(&why)))
    });
    loose.or_else(|| contended(state))
}

/// Somebody else was faster too often.
fn contended(state: &State) -> Option<(HoldReason, String)> {
    let taken = state.size.as_ref().filter(|t| !t.again && t.conflicts >= SIZE_CONFLICTS)?;
    let SizeStage::Changed(found) = &taken.stage else { return None };
    let tries = taken.conflicts;
    let why = format!("somebody else was faster {tries} times in a row; it is {found}");
    Some((HoldReason::SizeChanged, fights(&why)))
}

fn fights(why: &str) -> String {
    format!("the auto-scaler may fight: {why}; `resume` sets it again")
}

/// What keeps it from being put back, when nothing else is left to do.
pub(super) fn stays(state: &State, seen: &Seen) -> Option<(HoldReason, String)> {
    let last = state.size_is_lent() && !state.is_under_way();
    let last = last && state.orders.values().all(|order| order.stage == OrderStage::Released);
    let failing = || seen.failing.clone().map(|text| (HoldReason::AdapterFailing, text));
    contended(state).or_else(|| failing().filter(|_| last))
}
