//! The next step of one server.

use domain::event::{Event, OnTimeout};
use domain::ports::{Backend, BackendState};
use jiff::Timestamp;

use super::{Decision, over};
use crate::command::{is_drained, is_reached};
use crate::observe::{GateState, Seen};
use crate::state::{Phase, Server, Stage, State, Way};

pub(super) fn next(state: &State, seen: &Seen, it: &Server, now: Timestamp) -> Option<Decision> {
    let policy = &state.created.policy;
    let server = it.member.name.clone();
    let aborting = state.phase == Phase::Aborting;
    let decision = match &it.stage {
        Stage::Draining | Stage::Cutting | Stage::Drained if aborting => Decision::write(
            Event::RestoreStarted { server },
            "the rollout is being aborted and this server has not been touched",
            it.seq,
        ),
        Stage::Draining | Stage::Cutting | Stage::Drained if stays_as_it_was(state, it) => {
            Decision::write(
                Event::RestoreStarted { server },
                "the rollout is rolled back and this server has not been touched",
                it.seq,
            )
        }
        Stage::Verifying | Stage::Verified | Stage::Failed(_) if state.turns_round(it) => {
            return turn_round(state, seen, it);
        }
        Stage::Draining if over(it.since, policy.drain_timeout_seconds, now) => {
            return drained_too_long(state, it);
        }
        // The drain may have been forgotten since; it is made so again before the update.
        Stage::Drained if seen.traffic.is_none() || is_reached(seen, it) => return None,
        Stage::Drained => return update(state, it, "it is drained"),
        Stage::Updating if over(it.since, policy.update_timeout_seconds, now) => {
            fail(it, format!("no end of the update after {} s", policy.update_timeout_seconds))
        }
        Stage::Verifying => return verify(state, seen, it, now),
        Stage::Verified => {
            Decision::write(Event::RestoreStarted { server }, "its gates have passed", it.seq)
        }
        Stage::Restoring if over(it.since, policy.verify_timeout_seconds, now) => fail(
            it,
            format!(
                "the load balancer does not take it back after {} s",
                policy.verify_timeout_seconds
            ),
        ),
        Stage::Warming(until)
            if state.raised_at(it.percent, it.since, *until).is_some_and(|at| now >= at) =>
        {
            let percent = state.percent_after(it.percent);
            Decision::write(Event::WeightRaised { server, percent }, "it warms up", it.seq)
        }
        // Out of service it does not warm up; it is admitted once more first.
        Stage::Warming(until)
            if now >= *until && has_its_weight(seen, it) && !is_drained(seen, it) =>
        {
            Decision::write(Event::Warmed { server }, "its warm-up is over", it.seq)
        }
        Stage::Failed(_)
            if state.retry && !aborting && !state.size_is_leaving() && rests(seen, it) =>
        {
            Decision::write(Event::ServerRetried { server }, "a person said resume", it.seq)
        }
        Stage::Failed(detail) if state.tries_again(it) && rests(seen, it) => {
            let reason = format!("it failed ({detail}) and is tried once more");
            Decision::write(Event::ServerRetried { server }, reason, it.seq)
        }
        _ => return None,
    };
    Some(decision)
}

/// Whether a server goes back into service without an update, since it runs what it ran before and the
/// rollout is rolled back.
fn stays_as_it_was(state: &State, it: &Server) -> bool {
    state.way() == Way::Back && !state.goes_back(it)
}

/// A server that is on its way to the target is updated back where it stands: it gets no requests.
fn turn_round(state: &State, seen: &Seen, it: &Server) -> Option<Decision> {
    let quiet = match it.stage {
        Stage::Failed(_) => rests(seen, it),
        _ => seen.traffic.is_some() && !is_reached(seen, it),
    };
    let now = match &it.stage {
        Stage::Failed(detail) => format!("it failed ({detail}) and the rollout is rolled back"),
        _ => "it is out and the rollout is rolled back".into(),
    };
    quiet.then(|| update(state, it, &now)).flatten()
}

/// The next attempt at a server, in the direction of the rollout.
fn update(state: &State, it: &Server, now: &str) -> Option<Decision> {
    let (server, way) = (it.member.name.clone(), state.way());
    let attempt = if it.way == way { it.attempts + 1 } else { 1 };
    let version = match way {
        Way::Forth => None,
        Way::Back => Some(state.created.before.get(&server)?.clone()),
    };
    let brings = version.as_ref().unwrap_or(&state.created.target);
    let reason = format!("{now}; attempt {attempt} at {brings}");
    Some(Decision::write(Event::UpdateStarted { server, attempt, version }, reason, it.seq))
}

/// What the policy says of a drain that took too long; holding is for the rollout as a whole.
fn drained_too_long(state: &State, it: &Server) -> Option<Decision> {
    let (server, policy) = (it.member.name.clone(), &state.created.policy);
    let seconds = policy.drain_timeout_seconds;
    match policy.drain_on_timeout {
        OnTimeout::Force => Some(Decision::write(
            Event::DrainForced { server },
            format!("it still has requests after {seconds} s; they are cut"),
            it.seq,
        )),
        OnTimeout::Skip if it.skipped == 0 => Some(Decision::write(
            Event::RestoreStarted { server },
            format!(
                "it still has requests after {seconds} s; it is put back, and left for the end"
            ),
            it.seq,
        )),
        OnTimeout::Skip | OnTimeout::Hold => None,
    }
}

/// Whether a failed server was looked at since: it gets no requests, and its gates, which gave up on
/// it, are not being asked.
fn rests(seen: &Seen, it: &Server) -> bool {
    let name = &it.member.name;
    let quiet = |b: &Backend| b.state == BackendState::Drained && b.in_flight.unwrap_or(0) == 0;
    let traffic = seen.traffic.as_ref();
    let out = traffic.is_some_and(|all| all.get(name).is_none_or(quiet));
    out && !seen.gates.contains_key(name)
}

/// Whether the load balancer gives a server the weight that it shall have.
pub(crate) fn has_its_weight(seen: &Seen, it: &Server) -> bool {
    let backend = seen.traffic.as_ref().and_then(|all| all.get(&it.member.name));
    backend.is_some_and(|b| b.weight.is_none_or(|weight| weight == it.percent))
}

fn verify(state: &State, seen: &Seen, it: &Server, now: Timestamp) -> Option<Decision> {
    let server = it.member.name.clone();
    match seen.gates.get(&server) {
        Some(GateState::Passed) => {
            Some(Decision::write(Event::Verified { server }, "every gate passed", it.seq))
        }
        Some(GateState::Red(said)) => Some(fail(it, said.clone())),
        // The time of each gate is for the gate to say, and what cannot be told holds.
        Some(GateState::Open | GateState::Vague(_)) => None,
        None if over(it.since, state.created.policy.verify_timeout_seconds, now) => {
            let seconds = state.created.policy.verify_timeout_seconds;
            Some(fail(it, format!("its gates did not pass within {seconds} s")))
        }
        None => None,
    }
}

fn fail(it: &Server, detail: String) -> Decision {
    let server = it.member.name.clone();
    Decision::write(Event::ServerFailed { server, detail }, "it stays out of service", it.seq)
}
