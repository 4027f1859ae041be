//! The next step of one server.

use domain::event::{Event, OnTimeout};
use domain::ports::{Backend, BackendState};
use jiff::Timestamp;

use super::{Decision, over};
use crate::command::{is_drained, is_reached};
use crate::observe::{GateState, Seen};
use crate::state::{Phase, Server, Stage, State};

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
        Stage::Draining if over(it.since, policy.drain_timeout_seconds, now) => {
            return drained_too_long(state, it);
        }
        // The drain may have been forgotten since; it is made so again before the update.
        Stage::Drained if seen.traffic.is_none() || is_reached(seen, it) => return None,
        Stage::Drained => {
            let attempt = it.attempts + 1;
            let reason = format!("it is drained; attempt {attempt} at {}", state.created.target);
            Decision::write(Event::UpdateStarted { server, attempt }, reason, it.seq)
        }
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
