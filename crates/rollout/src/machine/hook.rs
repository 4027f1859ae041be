//! Transitions of hooks.

use domain::event::HookPoint;
use domain::journal::Record;
use domain::name::{Key, ServerName};

use super::Refusal;
use crate::hooks::{HookRun, HookStage};
use crate::state::State;

/// What a run is asked to be.
pub(super) struct Wish {
    pub(super) key: Key,
    pub(super) hook: HookPoint,
    pub(super) batch: Option<u32>,
    pub(super) servers: Vec<ServerName>,
    pub(super) attempt: u32,
}

impl State {
    /// Refuses to go further while a hook has to run first.
    pub(super) fn hooks_are_done(&self) -> Result<(), Refusal> {
        match self.hook_due() {
            Some(step) => Err(format!("the hook {} has not ended well yet", step.hook)),
            None => Ok(()),
        }
    }
}

pub(super) fn started(state: &mut State, at: &Record, wish: Wish) -> Result<(), Refusal> {
    if wish.hook == HookPoint::Before {
        state.is_approved()?;
    }
    let step = state.hook_due().filter(|step| step.hook == wish.hook);
    let step = step.ok_or_else(|| format!("it is not time for the hook {}", wish.hook))?;
    if let Some(run) = state.hook_under_way() {
        return Err(format!("{} is under way", run.key));
    }
    if let Some((run, detail)) = state.hook_failed() {
        return Err(format!("{} failed, and nobody has said resume: {detail}", run.key));
    }
    let next = state.hook_attempt(step);
    if wish.attempt != next {
        return Err(format!("the next try of the hook {} is {next}", wish.hook));
    }
    if state.hook.as_ref().is_some_and(|run| run.key == wish.key) {
        return Err(format!("{} ran already", wish.key));
    }
    state.hook = Some(HookRun {
        key: wish.key,
        step,
        batch: wish.batch,
        servers: wish.servers,
        attempt: wish.attempt,
        stage: HookStage::Running,
        since: at.at,
        seq: at.seq,
    });
    Ok(())
}

pub(super) fn ended(state: &mut State, at: &Record, key: &Key) -> Result<(), Refusal> {
    let step = end(state, at, key, HookStage::Ended)?;
    state.hooks_done.insert(step);
    Ok(())
}

pub(super) fn failed(
    state: &mut State,
    at: &Record,
    key: &Key,
    detail: String,
) -> Result<(), Refusal> {
    end(state, at, key, HookStage::Failed { detail, again: false }).map(|_| ())
}

fn end(
    state: &mut State,
    at: &Record,
    key: &Key,
    stage: HookStage,
) -> Result<crate::hooks::HookStep, Refusal> {
    let run = state.hook.as_mut().filter(|run| run.key == *key);
    let run = run.filter(|run| run.stage == HookStage::Running);
    let run = run.ok_or_else(|| format!("no hook {key} is under way"))?;
    (run.stage, run.since, run.seq) = (stage, at.at, at.seq);
    Ok(run.step)
}

/// A person has said resume: what failed may run again.
pub(super) fn run_again(state: &mut State) {
    if let Some(HookRun { stage: HookStage::Failed { again, .. }, .. }) = &mut state.hook {
        *again = true;
    }
}
