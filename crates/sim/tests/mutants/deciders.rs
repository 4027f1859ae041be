//! Broken deciders: the decider of production, told something else than is so, or half heard.

use std::sync::Arc;

use domain::event::Event;
use domain::name::ServerName;
use jiff::Timestamp;
use rollout::observe::{GateState, Seen};
use rollout::state::{OrderStage, Phase, State, SurgeInstance, SurgeStage, Way};
use rollout::{Account, Decision, decide};

/// What it decides when it is told something else.
fn told(
    state: &State,
    seen: &Seen,
    now: Timestamp,
    change: impl FnOnce(&mut State, &mut Seen),
) -> Vec<Decision> {
    let (mut state, mut seen) = (state.clone(), seen.clone());
    change(&mut state, &mut seen);
    decide(&state, &seen, now)
}

/// What it decides, without some of it.
fn heard(
    state: &State,
    seen: &Seen,
    now: Timestamp,
    mut keep: impl FnMut(&Event) -> bool,
) -> Vec<Decision> {
    let mut list = decide(state, seen, now);
    list.retain(|decision| match decision {
        Decision::Write { event, .. } => keep(event),
        Decision::Weigh | Decision::Revise { .. } => true,
    });
    list
}

pub fn surge_is_not_awaited(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |state, _| {
        for order in state.orders.values_mut().filter(|o| o.stage == OrderStage::Ordered) {
            order.stage = OrderStage::Running;
        }
        all_joined(state, now);
    })
}

pub fn surge_counts_cold(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |state, _| {
        let joined = |i: &&mut SurgeInstance| matches!(i.stage, SurgeStage::Joined(_));
        let instances = state.orders.values_mut().flat_map(|o| &mut o.instances);
        instances.filter(joined).for_each(|i| i.stage = SurgeStage::Joined(now));
    })
}

fn all_joined(state: &mut State, now: Timestamp) {
    for instance in state.orders.values_mut().flat_map(|o| &mut o.instances) {
        if matches!(instance.stage, SurgeStage::Running | SurgeStage::Joining) {
            instance.stage = SurgeStage::Joined(now);
        }
    }
}

pub fn a_pause_is_ignored(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |state, _| state.paused = false)
}

pub fn the_band_is_ignored(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |_, seen| {
        seen.load.values_mut().flatten().for_each(|sample| sample.value = 0.0);
    })
}

pub fn old_load_counts_as_new(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |_, seen| {
        seen.load.values_mut().flatten().for_each(|sample| sample.at = now);
    })
}

pub fn time_is_ignored(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |state, _| {
        let plan = state.plan.as_mut().map(Arc::make_mut);
        let batches = plan.into_iter().flat_map(|plan| &mut plan.batches);
        batches.for_each(|batch| batch.out_at = batch.out_at.min(now));
    })
}

pub fn lateness_is_ignored(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |state, _| {
        if let Some(plan) = state.plan.as_mut().map(Arc::make_mut) {
            plan.valid_until = plan.valid_until.max(now);
            plan.batches.iter_mut().for_each(|batch| batch.out_at = batch.out_at.max(now));
        }
    })
}

pub fn outages_are_ignored(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |_, seen| seen.down_since.clear())
}

pub fn the_account_is_full(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |state, _| state.account = Account::new(state.created.risk))
}

pub fn an_abort_is_ignored(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |state, _| {
        if state.phase == Phase::Aborting {
            state.phase = Phase::Rolling;
        }
    })
}

pub fn stability_is_ignored(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |state, _| {
        if let Phase::Stabilising { until } = &mut state.phase {
            *until = now;
            state.orders.values_mut().for_each(|order| order.release_at = now);
        }
    })
}

pub fn no_watch(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    let mut list = decide(state, seen, now);
    for decision in &mut list {
        if let Decision::Write { event: Event::StabilisationStarted { until }, .. } = decision {
            *until = now;
        }
    }
    list
}

pub fn surge_stays(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    heard(state, seen, now, |event| !matches!(event, Event::SurgeReleasing { .. }))
}

pub fn gates_are_ignored(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |_, seen| {
        seen.gates.values_mut().for_each(|gate| *gate = GateState::Passed);
    })
}

pub fn failure_is_ignored(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |state, _| state.retry = true)
}

pub fn no_holds(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    heard(state, seen, now, |event| !matches!(event, Event::Held { .. }))
}

pub fn a_roll_back_is_ignored(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |state, _| {
        state.rollback = None;
        if state.phase == Phase::RollingBack {
            state.phase = Phase::Rolling;
        }
    })
}

pub fn the_way_back_is_not_proven(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |state, seen| {
        for (name, server) in &state.servers {
            if server.way == Way::Back && seen.gates.contains_key(name) {
                seen.gates.insert(name.clone(), GateState::Passed);
            }
        }
    })
}

/// What failed on its way to the target stays where it is.
pub fn failures_stay(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    let failed = |name: &ServerName| state.servers[name].failure().is_some();
    heard(state, seen, now, |event| match event {
        Event::UpdateStarted { server, version: Some(_), .. } => !failed(server),
        _ => true,
    })
}

pub fn batches_stay_open(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    heard(state, seen, now, |event| !matches!(event, Event::BatchClosed { .. }))
}

pub fn the_size_stays(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    heard(state, seen, now, |event| !matches!(event, Event::SizeRestoring { .. }))
}

pub fn freedom_is_ignored(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |state, seen| {
        seen.size_loose_since = None;
        if let Some(taken) = &state.size {
            seen.size = Some(taken.lent.during.clone());
        }
    })
}

/// It puts back what was before, whatever is there by now.
pub fn nobody_else_changed_the_size(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    told(state, seen, now, |state, seen| {
        if let Some(taken) = &state.size {
            seen.size = Some(taken.lent.during.clone());
        }
    })
}
