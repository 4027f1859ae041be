//! What falls due by time alone, so that a driver need not find it at its next look.

use std::time::Duration;

use jiff::Timestamp;

use super::size;
use crate::state::{Phase, Stage, State, SurgeStage};

/// The first moment after `now` at which an order, a removal, a warm-up, a watch, a release or
/// the end of a hold is due. Whether anything follows then is for [`decide`](super::decide()) to say.
pub fn due(state: &State, now: Timestamp) -> Option<Timestamp> {
    let plan = state.plan.as_ref();
    let orders = plan.into_iter().flat_map(|plan| &plan.surge).map(|purchase| purchase.order_at);
    let batch = state.next_batch().map(|batch| batch.out_at);
    let watch = Duration::from_secs_f64(state.created.policy.canary_watch_seconds);
    let watched = state.closed_at.filter(|_| state.closed_ever == 1).map(|at| at + watch);
    let limit = Duration::from_secs_f64(state.created.policy.drain_timeout_seconds);
    let warm = state.servers.values().filter_map(|server| match server.stage {
        Stage::Warming(until) => {
            Some(state.raised_at(server.percent, server.since, until).unwrap_or(until))
        }
        Stage::Draining => Some(server.since + limit),
        _ => None,
    });
    let instances = state.orders.values().flat_map(|order| &order.instances);
    let joined = instances.filter_map(|instance| match instance.stage {
        SurgeStage::Joined(warm_at) => {
            Some(state.raised_at(instance.percent, instance.since, warm_at).unwrap_or(warm_at))
        }
        SurgeStage::Draining => Some(instance.since + limit),
        _ => None,
    });
    let releases = state.orders.values().map(|order| order.release_at);
    let stable = match state.phase {
        Phase::Stabilising { until } => Some(until),
        _ => None,
    };
    let idle = state.unneeded_since().into_iter().flat_map(|(since, _)| {
        let held = state.orders.values().filter(|order| order.is_held());
        held.filter_map(move |order| state.given_back_at(order, since))
    });
    let held = state.hold.as_ref().and_then(|hold| state.terms(hold.since).until);
    let all = orders.chain(batch).chain(watched).chain(warm).chain(joined);
    let hooks = state.hook_before_at().into_iter().chain(state.hook_over());
    let moments = all.chain(releases).chain(idle).chain(stable).chain(held).chain(hooks);
    let moments = moments.chain(size::taken_at(state)).chain(size::returned_at(state));
    moments.filter(|at| *at > now).min()
}
