//! What the answer to a command means for the rollout.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::event::{Event, HoldReason, Running};
use domain::name::ServerName;
use domain::ports::{
    Drained, HookEnd, HookOrder, Instance, InstanceState, PortError, Progress, Retry, SizeEnd,
    UpdateState, Wanted,
};
use jiff::Timestamp;

use crate::command::Command;
use crate::observe::Runs;
use crate::size::SizeStage;
use crate::state::{OrderStage, Stage, State, SurgeStage};

/// The answer of a port to a [`Command`].
#[derive(Debug)]
pub enum Answer {
    /// Of the provisioner.
    Surge(Progress<Vec<Instance>>),
    /// Of the load balancer.
    Admission(Progress<Drained>),
    /// Of the updater.
    Version(Progress<UpdateState>),
    /// Of a hook.
    Hook(Progress<HookEnd>),
    /// Of the auto-scaler.
    Size(Progress<SizeEnd>),
}

/// An event that follows from an answer, with its reason and its cause.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What happened.
    pub event: Event,
    /// In words.
    pub reason: String,
    /// The number of the decision that is answered.
    pub cause: u64,
}

/// The events that follow from an answer, and how long to wait when it was "not yet".
pub fn outcomes(
    state: &State,
    command: &Command,
    answer: Answer,
    now: Timestamp,
) -> (Vec<Outcome>, Option<Duration>) {
    match (command, answer) {
        (Command::Surge(order), Answer::Surge(Progress::Done(instances))) => {
            (surge_done(state, order, instances), None)
        }
        (Command::Admission(admission), Answer::Admission(Progress::Done(drained))) => {
            (admission_done(state, admission, drained, now), None)
        }
        (Command::Version(order), Answer::Version(Progress::Done(seen))) => {
            (version_done(state, order, seen), None)
        }
        (Command::Hook(order), Answer::Hook(Progress::Done(end))) => {
            (hook_done(state, order, end).into_iter().collect(), None)
        }
        (Command::Size(_), Answer::Size(Progress::Done(end))) => {
            (size_done(state, end).into_iter().collect(), None)
        }
        // Only a person can tell whether it may run once more.
        (Command::Hook(order), Answer::Hook(Progress::Unknown { detail })) => {
            let detail = format!("nobody can say how it ended: {detail}");
            (hook_done(state, order, HookEnd::Badly(detail)).into_iter().collect(), None)
        }
        (_, Answer::Surge(Progress::Pending { poll_after }))
        | (_, Answer::Admission(Progress::Pending { poll_after }))
        | (_, Answer::Version(Progress::Pending { poll_after }))
        | (_, Answer::Size(Progress::Pending { poll_after }))
        | (_, Answer::Hook(Progress::Pending { poll_after })) => (Vec::new(), Some(poll_after)),
        (_, Answer::Surge(Progress::Unknown { detail }))
        | (_, Answer::Admission(Progress::Unknown { detail }))
        | (_, Answer::Size(Progress::Unknown { detail }))
        | (_, Answer::Version(Progress::Unknown { detail })) => {
            (unknown(state, command, detail, now), None)
        }
        _ => (Vec::new(), None),
    }
}

fn size_done(state: &State, end: SizeEnd) -> Option<Outcome> {
    let taken = state.size.as_ref()?;
    let (event, reason) = match (end, &taken.stage) {
        (SizeEnd::Set, SizeStage::Taking) => {
            (Event::SizeSet {}, "it is set as the rollout needs it")
        }
        (SizeEnd::Set, SizeStage::Restoring { left_alone, .. }) => {
            let event = Event::SizeRestored { left_alone: left_alone.clone() };
            let reason = match left_alone.is_empty() {
                true => "it is as it was",
                false => "it is as it was, but for what somebody else changed meanwhile",
            };
            (event, reason)
        }
        (SizeEnd::Changed(found), SizeStage::Taking | SizeStage::Restoring { .. }) => {
            (Event::SizeChanged { found }, "somebody else changed it after the last look")
        }
        _ => return None,
    };
    Some(Outcome { event, reason: reason.into(), cause: taken.seq })
}

fn hook_done(state: &State, order: &HookOrder, end: HookEnd) -> Option<Outcome> {
    let run = state.hook_under_way().filter(|run| run.key == order.key)?;
    let (key, hook) = (order.key.clone(), order.hook);
    let (event, reason) = match end {
        HookEnd::Well(said) => {
            (Event::HookEnded { key, said }, format!("the hook {hook} ended well"))
        }
        HookEnd::Badly(detail) => {
            (Event::HookFailed { key, detail }, format!("the hook {hook} did not end well"))
        }
    };
    Some(Outcome { event, reason, cause: run.seq })
}

/// The event that follows when a call failed for good: an update that fails is a failed server, a
/// hook that cannot be started has failed.
pub fn failed_for_good(state: &State, command: &Command, error: &PortError) -> Option<Outcome> {
    if let (Command::Hook(order), Retry::Never) = (command, error.retry) {
        return hook_done(state, order, HookEnd::Badly(error.chain()));
    }
    let Command::Version(order) = command else { return None };
    let server = state.servers.get(&order.target.server)?;
    (error.retry == Retry::Never && server.stage == Stage::Updating).then(|| Outcome {
        event: Event::ServerFailed {
            server: order.target.server.clone(),
            detail: format!("update failed: {}", error.chain()),
        },
        reason: "the updater gave up".into(),
        cause: server.seq,
    })
}

fn unknown(state: &State, command: &Command, detail: String, now: Timestamp) -> Vec<Outcome> {
    if state.hold.as_ref().is_some_and(|h| h.reason == HoldReason::OutcomeUnknown) {
        return Vec::new();
    }
    let detail = format!("{}: {detail}", command.key());
    let event = Event::Held { hold: HoldReason::OutcomeUnknown, detail };
    let reason = format!(
        "nobody can say what became of a command; look, then resume or abort; {}",
        state.terms_now(now)
    );
    vec![Outcome { event, reason, cause: state.head.seq }]
}

fn surge_done(
    state: &State,
    order: &domain::ports::SurgeOrder,
    instances: Vec<Instance>,
) -> Vec<Outcome> {
    let Some(known) = state.orders.get(&order.key) else { return Vec::new() };
    let cause = known.seq;
    if order.names.is_empty() {
        let event = Event::SurgeReleased { key: order.key.clone() };
        let reason = "nothing runs under the order any more".into();
        return vec![Outcome { event, reason, cause }];
    }
    if known.stage != OrderStage::Ordered {
        return Vec::new();
    }
    let running = |i: &Instance| Running { name: i.name.clone(), address: i.address.clone() };
    let event = Event::SurgeRunning {
        key: order.key.clone(),
        instances: instances.iter().map(running).collect(),
    };
    let reason = format!("{} of {} run", instances.len(), order.names.len());
    vec![Outcome { event, reason, cause }]
}

fn admission_done(
    state: &State,
    admission: &domain::ports::Admission,
    drained: Drained,
    now: Timestamp,
) -> Vec<Outcome> {
    let name = &admission.target.server;
    let server = name.clone();
    let warm_at = now + state.created.policy.warmup_at(now);
    let cut = drained.cut;
    let (event, cause, reason) = if let Some(known) = state.servers.get(name) {
        let (event, reason) = match (admission.wanted, &known.stage) {
            (Wanted::Drain, Stage::Draining) | (Wanted::Cut, Stage::Cutting) => {
                (Event::Drained { server, cut }, "no request is under way")
            }
            (Wanted::Admit(_), Stage::Restoring) => {
                (Event::Restored { server, warm_at }, "it receives requests")
            }
            _ => return Vec::new(),
        };
        (event, known.seq, reason)
    } else if let Some((_, known)) = state.surge_instance(name) {
        let (event, reason) = match (admission.wanted, known.stage) {
            (Wanted::Admit(_), SurgeStage::Joining) => {
                (Event::SurgeJoined { server, warm_at }, "it receives requests")
            }
            (Wanted::Drain, SurgeStage::Draining) | (Wanted::Cut, SurgeStage::Cutting) => {
                (Event::SurgeDrained { server, cut }, "no request is under way")
            }
            (Wanted::Remove, SurgeStage::Drained) => {
                (Event::SurgeLeft { server }, "the load balancer has forgotten it")
            }
            _ => return Vec::new(),
        };
        (event, known.seq, reason)
    } else {
        return Vec::new();
    };
    vec![Outcome { event, reason: reason.into(), cause }]
}

fn version_done(
    state: &State,
    order: &domain::ports::UpdateOrder,
    seen: UpdateState,
) -> Vec<Outcome> {
    let server = order.target.server.clone();
    let Some(known) = state.servers.get(&server).filter(|s| s.stage == Stage::Updating) else {
        return Vec::new();
    };
    let cause = known.seq;
    if let Some(runs) = seen.version.as_ref().filter(|v| **v != order.version) {
        let detail = format!("the update ended, but it runs {runs} instead of {}", order.version);
        let event = Event::ServerFailed { server, detail };
        return vec![Outcome { event, reason: "it was asked what it runs".into(), cause }];
    }
    let reason = match &seen.version {
        Some(version) => format!("it says that it runs {version}"),
        None => "the update command ended well; what it runs cannot be observed".into(),
    };
    let event = Event::Updated { server, version: seen.version, boot_id: seen.boot_id };
    vec![Outcome { event, reason, cause }]
}

/// Updated servers that do not run any more what their update brought.
pub fn reverted(state: &State, runs: &BTreeMap<ServerName, Runs>) -> Vec<Outcome> {
    let mut list = Vec::new();
    for server in state.servers.values().filter(|server| state.has_arrived(server)) {
        let name = &server.member.name;
        let Some(seen) = runs.get(name).filter(|seen| seen.at >= server.since) else { continue };
        if let Some(version) = seen.version.clone().filter(|v| v != state.wants(server)) {
            let reason = format!("it was updated and runs {version}: it is another machine by now");
            let event = Event::ServerReverted { server: name.clone(), version };
            list.push(Outcome { event, reason, cause: server.seq });
        }
    }
    list
}

/// Surge instances that the world reports as lost, and that the state counts on.
pub fn losses(state: &State, seen: &[Instance]) -> Vec<Outcome> {
    let lost = |i: &&Instance| i.state == InstanceState::Lost;
    let mut list = Vec::new();
    for instance in seen.iter().filter(lost) {
        let Some((_, known)) = state.surge_instance(&instance.name) else { continue };
        use SurgeStage::{Joined, Joining, Running as Runs};
        if matches!(known.stage, Runs | Joining | Joined(_)) {
            let server = instance.name.clone();
            let detail = "the provisioner says that it ended by itself".into();
            let event = Event::SurgeLost { server, detail };
            list.push(Outcome { event, reason: "surge was lost".into(), cause: known.seq });
        }
    }
    list
}
