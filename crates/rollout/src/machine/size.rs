//! Transitions of the auto-scaler: taken before the first order or removal, put back at the end.

use domain::journal::Record;
use domain::size::{Lent, SizeField, SizeSettings};

use super::Refusal;
use crate::size::{SizeStage, Taken};
use crate::state::{OrderStage, Phase, State};

impl State {
    /// Refuses to go further while an auto-scaler may fight.
    pub(super) fn size_is_safe(&self) -> Result<(), Refusal> {
        match self.size_is_kept() {
            true => Ok(()),
            false => Err("the auto-scaler is not kept from fighting yet".into()),
        }
    }
}

pub(super) fn taken(
    state: &mut State,
    at: &Record,
    lent: Lent,
    found: SizeSettings,
) -> Result<(), Refusal> {
    use Phase::{Planned, Provisioning, Rolling, RollingBack, Stabilising};
    if state.created.policy.size.is_none() {
        return Err("the rollout has no auto-scaler".into());
    }
    let begins = matches!(state.phase, Planned | Provisioning | Rolling | RollingBack);
    if !begins && !matches!(state.phase, Stabilising { .. }) {
        return Err(format!("the phase is {:?}", state.phase));
    }
    state.is_approved()?;
    if state.phase == Planned {
        state.hooks_are_done()?;
    }
    let (before, conflicts) = match &state.size {
        None => (found.clone(), 0),
        Some(taken) => match &taken.stage {
            SizeStage::Set => (taken.rebased(&found), 0),
            SizeStage::Changed(was) if *was == found => (taken.rebased(&found), taken.conflicts),
            stage => return Err(format!("the auto-scaler is {stage:?}")),
        },
    };
    if lent.before != before {
        return Err(format!("without the rollout it would be: {before}"));
    }
    let wanted = state.size_wanted(&before);
    if lent.during != wanted {
        return Err(format!("the rollout needs: {wanted}"));
    }
    let before = state.size.as_mut().map(|taken| std::mem::take(&mut taken.ours));
    let mut ours = before.unwrap_or_default();
    ours.push(lent.clone());
    let conflicts =
        if state.size.as_ref().is_some_and(|taken| taken.again) { 0 } else { conflicts };
    state.size = Some(Taken {
        lent,
        found,
        ours,
        stage: SizeStage::Taking,
        since: at.at,
        conflicts,
        again: false,
        seq: at.seq,
    });
    Ok(())
}

/// Moves the auto-scaler to `to` if its stage passes `from`.
fn step<'a>(
    state: &'a mut State,
    at: &Record,
    from: impl Fn(&SizeStage) -> bool,
    to: SizeStage,
) -> Result<&'a mut Taken, Refusal> {
    let taken = state.size.as_mut().ok_or("the auto-scaler was not taken")?;
    if !from(&taken.stage) {
        return Err(format!("the auto-scaler is {:?}", taken.stage));
    }
    (taken.stage, taken.since, taken.seq) = (to, at.at, at.seq);
    Ok(taken)
}

pub(super) fn set(state: &mut State, at: &Record) -> Result<(), Refusal> {
    let taken = step(state, at, |s| *s == SizeStage::Taking, SizeStage::Set)?;
    taken.conflicts = 0;
    Ok(())
}

pub(super) fn changed(state: &mut State, at: &Record, found: SizeSettings) -> Result<(), Refusal> {
    let from = |s: &SizeStage| matches!(s, SizeStage::Taking | SizeStage::Restoring { .. });
    let taken = step(state, at, from, SizeStage::Changed(found))?;
    taken.conflicts += 1;
    Ok(())
}

/// Nothing is out or bought any more, and nothing begins.
pub(super) fn restoring(
    state: &mut State,
    at: &Record,
    found: SizeSettings,
    wanted: SizeSettings,
    left_alone: Vec<SizeField>,
) -> Result<(), Refusal> {
    let watched = matches!(state.phase, Phase::Stabilising { .. } | Phase::Releasing);
    if !watched && state.phase != Phase::Aborting {
        return Err(format!("the phase is {:?}", state.phase));
    }
    if let Some((key, _)) = state.orders.iter().find(|(_, o)| o.stage != OrderStage::Released) {
        return Err(format!("surge {key} is not given back"));
    }
    if state.is_under_way() {
        return Err("servers are out".into());
    }
    if watched {
        state.hooks_are_done()?;
    }
    let lent = state.size.as_ref().map(|taken| &taken.lent).ok_or("it was not taken")?;
    if wanted != lent.put_back(&found) || left_alone != lent.changed(&found) {
        return Err("it is not what is left without the rollout".into());
    }
    let from = |s: &SizeStage| match s {
        SizeStage::Set => true,
        SizeStage::Changed(was) => *was == found,
        _ => false,
    };
    let taken = step(state, at, from, SizeStage::Restoring { wanted, left_alone })?;
    taken.found = found;
    if std::mem::take(&mut taken.again) {
        taken.conflicts = 0;
    }
    Ok(())
}

pub(super) fn restored(
    state: &mut State,
    at: &Record,
    left_alone: &[SizeField],
) -> Result<(), Refusal> {
    let from = |s: &SizeStage| matches!(s, SizeStage::Restoring { left_alone: known, .. } if known == left_alone);
    step(state, at, from, SizeStage::Restored).map(|_| ())
}

/// A person has said resume: what somebody else changed is set again.
pub(super) fn take_again(state: &mut State) {
    if let Some(taken) = &mut state.size {
        taken.again = matches!(taken.stage, SizeStage::Set | SizeStage::Changed(_));
    }
}

/// An abort: however often somebody else was faster before, it is put back.
pub(super) fn begin_anew(state: &mut State) {
    if let Some(taken) = &mut state.size {
        taken.conflicts = 0;
    }
}
