//! What to do next. Pure: the same state, the same sight and the same moment give the same
//! decisions.

mod batch;
mod due;
mod hold;
mod hook;
mod ladder;
pub(crate) mod missed;
mod rollback;
mod server;
mod size;
pub(crate) mod surge;

use std::time::Duration;

use domain::event::{Event, Outcome};
use jiff::Timestamp;

use crate::observe::Seen;
use crate::state::{OrderStage, Phase, Server, Stage, State, Way};

pub use due::due;

/// One decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Write this event; its command follows from the state after it.
    Write {
        /// The event.
        event: Event,
        /// Why, in words with numbers.
        reason: String,
        /// The number of the event that it follows from.
        cause: u64,
    },
    /// Ask the planner what is left of the plan in force risks by now.
    Weigh,
    /// Ask the planner for a revision.
    Revise {
        /// Why the plan in force does not hold any more.
        why: String,
    },
}

impl Decision {
    fn write(event: Event, reason: impl Into<String>, cause: u64) -> Self {
        Self::Write { event, reason: reason.into(), cause }
    }
}

/// Everything that is decided at this moment; empty when there is nothing to do but wait.
pub fn decide(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    if state.plan.is_none() || state.outcome().is_some() {
        return Vec::new();
    }
    if let Some(decision) = hold::overdue(state, now) {
        return vec![decision];
    }
    if let Some(seq) = state.rejected.filter(|_| state.phase != Phase::Aborting) {
        let reason = "its plan was rejected";
        return vec![Decision::write(Event::AbortRequested {}, reason, seq)];
    }
    if let Some(decision) = rollback::after_failure(state) {
        return vec![decision];
    }
    let given_up = missed::give_up(state, seen, now);
    if !given_up.is_empty() {
        return given_up;
    }
    let mut list = Vec::new();
    list.extend(state.servers.values().filter_map(|s| server::next(state, seen, s, now)));
    list.extend(surge::join(state, seen));
    list.extend(surge::mind(state, now));
    match state.phase {
        Phase::New | Phase::Finished(_) => {}
        Phase::Planned | Phase::Provisioning | Phase::Rolling | Phase::RollingBack => {
            list.extend(ladder::step(state, seen, now));
            list.extend(hold::watch(state, seen, now));
            list.extend(hook::next(state, seen, now));
            list.extend(size::take(state, seen, now));
            list.extend(surge::give_back(state, seen, now));
            list.extend(surge::order(state, seen, now));
            list.extend(surge::replace(state, now));
            if list.is_empty() {
                list.extend(batch::next(state, seen, now));
            }
        }
        Phase::Stabilising { until } => {
            list.extend(hold::watch(state, seen, now));
            list.extend(size::take(state, seen, now));
            let stands = state.hold.is_some() || state.paused || state.is_under_way();
            let stands = stands || unlooked(state, seen, until);
            if list.is_empty() && !stands && now >= until {
                list.extend(release(state, seen, now, reached(state)));
            }
        }
        Phase::Releasing => {
            list.extend(hold::watch_leaving(state, seen, now));
            list.extend(release(state, seen, now, reached(state)));
        }
        Phase::Aborting => {
            list.extend(hold::watch_leaving(state, seen, now));
            list.extend(retreat(state, seen, now));
        }
    }
    list
}

/// How a rollout ends that has performed its plan.
fn reached(state: &State) -> Outcome {
    match state.way() {
        Way::Back => Outcome::RolledBack,
        Way::Forth if state.failed().is_empty() => Outcome::Done,
        Way::Forth => Outcome::Incomplete,
    }
}

/// Gives back every order whose time has come; when nothing is left, the rollout has ended.
fn release(state: &State, seen: &Seen, now: Timestamp, outcome: Outcome) -> Vec<Decision> {
    if state.orders.values().all(|o| o.stage == OrderStage::Released) {
        // A server that a person had tried again meanwhile comes back first.
        if state.is_under_way() {
            return Vec::new();
        }
        if state.hook_due().is_some() {
            return hook::next(state, seen, now).into_iter().collect();
        }
        if state.size_is_lent() {
            return size::give_back(state, seen, now).into_iter().collect();
        }
        let reason = match outcome {
            Outcome::Done => "every server runs the target and no surge is left",
            Outcome::Incomplete => "every server but what failed runs the target; no surge is left",
            Outcome::Aborted => "what works is in service and no surge is left",
            Outcome::RolledBack if state.failed().is_empty() => {
                "every server runs what it ran before and no surge is left"
            }
            Outcome::RolledBack => {
                "every server but what failed runs what it ran before; no surge is left"
            }
        };
        let unseen = state.servers.values().filter(|s| s.is_updated() && s.unseen).count();
        let reason = match unseen {
            0 => reason.to_owned(),
            _ => format!("{reason}; what {unseen} of them run cannot be observed"),
        };
        return vec![Decision::write(Event::Finished { outcome }, reason, state.head.seq)];
    }
    let due = state.orders.iter().filter(|(_, o)| o.is_held());
    // What was bought for a plan that was given up is not kept for its time.
    let given_up = matches!(outcome, Outcome::Aborted | Outcome::RolledBack);
    let due = due.filter(|(_, o)| given_up || now >= o.release_at);
    due.map(|(key, order)| {
        let reason = match outcome {
            Outcome::Done | Outcome::Incomplete => {
                format!("stable since the last batch; planned for {}", order.release_at)
            }
            Outcome::Aborted => "the rollout is being aborted".into(),
            Outcome::RolledBack => "stable since the last server is back".into(),
        };
        Decision::write(Event::SurgeReleasing { key: key.clone() }, reason, state.head.seq)
    })
    .collect()
}

/// Whether an updated server has not been asked what it runs since the watch began: somebody may have
/// put another machine in its place.
fn unlooked(state: &State, seen: &Seen, until: Timestamp) -> bool {
    let began = until - Duration::from_secs_f64(state.created.policy.stabilisation_seconds);
    let looked = |s: &Server| seen.runs.get(&s.member.name).is_some_and(|runs| runs.at >= began);
    state.servers.values().any(|server| state.has_arrived(server) && !looked(server))
}

/// After an abort: first the servers come back, then the surge goes.
fn retreat(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    let out = state.servers.values().any(|s| s.is_out() && !matches!(s.stage, Stage::Failed(_)));
    if out { Vec::new() } else { release(state, seen, now, Outcome::Aborted) }
}

/// Whether `since` is at least `seconds` ago.
fn over(since: Timestamp, seconds: f64, now: Timestamp) -> bool {
    now >= since + Duration::from_secs_f64(seconds)
}
