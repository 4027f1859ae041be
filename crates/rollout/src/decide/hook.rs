//! Running what the operator wants to run at the points of a rollout.

use domain::event::{Event, HookPoint};
use domain::name::Key;
use jiff::Timestamp;

use super::{Decision, batch};
use crate::hooks::HookStep;
use crate::observe::{Seen, Stop};
use crate::state::State;

/// The next step of the hook that is due, if one is.
pub(super) fn next(state: &State, seen: &Seen, now: Timestamp) -> Option<Decision> {
    if let Some(run) = state.hook_under_way() {
        let over = state.hook_over().is_some_and(|over| now >= over);
        let (key, detail) = (run.key.clone(), "nobody heard of its end in its time".into());
        let event = Event::HookFailed { key, detail };
        return over.then(|| Decision::write(event, "it is given up", run.seq));
    }
    let step = state.hook_due()?;
    let stands = match step.hook {
        // What has not begun begins when it may go on.
        HookPoint::Before => {
            let early = state.hook_before_at().is_some_and(|at| now < at);
            let allowed = state.approval_needed().is_none() && seen.stop == Stop::No;
            early || state.paused || state.hold.is_some() || !allowed
        }
        // What has happened has happened.
        HookPoint::AfterBatch => batch::watching(state, now) || state.hook_failed().is_some(),
        HookPoint::After => state.paused || state.hold.is_some() || state.is_under_way(),
    };
    (!stands).then(|| start(state, step))
}

fn start(state: &State, step: HookStep) -> Decision {
    let attempt = state.hook_attempt(step);
    let last = state.last_batch.as_ref().filter(|_| step.hook == HookPoint::AfterBatch);
    let (batches, tried) = (step.batches.to_string(), attempt.to_string());
    let id = state.id.as_str();
    let key = match step.hook {
        HookPoint::AfterBatch => Key::of(&[id, "hook", step.hook.as_str(), &batches, &tried]),
        hook => Key::of(&[id, "hook", hook.as_str(), &tried]),
    };
    let reason = match (step.hook, last, attempt) {
        (_, _, 2..) => "a person said resume".into(),
        (HookPoint::Before, ..) => "the rollout is about to begin".into(),
        (HookPoint::AfterBatch, Some(last), _) => format!("batch {} is back", last.index),
        (HookPoint::AfterBatch, None, _) => "a batch is back".into(),
        (HookPoint::After, ..) => "everything is done but this".into(),
    };
    let event = Event::HookStarted {
        key,
        hook: step.hook,
        batch: last.map(|batch| batch.index),
        servers: last.map(|batch| batch.servers.clone()).unwrap_or_default(),
        revision: state.plan.as_ref().map_or(0, |plan| plan.revision),
        attempt,
    };
    Decision::write(event, reason, state.head.seq)
}
