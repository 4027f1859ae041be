//! Opening and closing batches: look again before anything goes out.

use std::time::Duration;

use domain::event::{Event, HoldReason, Look, RiskSpent, Rung};
use domain::name::{Key, ServerName};
use domain::plan::{Batch, Plan};
use jiff::Timestamp;

use super::surge::{order_key, replacement_key};
use super::{Decision, hold, missed, over, size};
use crate::observe::{Seen, Stop, Unweighed, Verdict};
use crate::planner::Weighed;
use crate::settings::{LATE_AT_LEAST_SECONDS, LATE_SHARE_OF_BATCH, REVISE_AGAIN_SECONDS};
use crate::state::{OpenBatch, Order, OrderStage, Server, State, SurgeStage, Way};

/// Closes the batch that is back, or opens the next one, or asks for another plan.
pub(super) fn next(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    let Some(plan) = &state.plan else { return Vec::new() };
    if let Some(open) = &state.open {
        return close(state, open).into_iter().collect();
    }
    if state.is_under_way() || state.retry || state.hook_due().is_some() {
        return Vec::new();
    }
    let refused_lately = seen.refused_at.is_some_and(|at| !over(at, REVISE_AGAIN_SECONDS, now));
    let revise = |why: String| match refused_lately || state.paused {
        true => Vec::new(),
        false => vec![Decision::Revise { why }],
    };
    match &state.hold {
        Some(hold) if hold.reason == HoldReason::NoPlan => {
            return revise("the plan in force cannot be performed".into());
        }
        // The forecast was wrong, and its plan with it; another may fit what comes now.
        Some(hold) if hold.reason == HoldReason::LoadLeftBand && !state.pending().is_empty() => {
            let tried = !over(plan.created_at, REVISE_AGAIN_SECONDS, now);
            return if tried { Vec::new() } else { revise(hold.detail.clone()) };
        }
        Some(_) => return Vec::new(),
        None if state.paused => return Vec::new(),
        None => {}
    }
    let Some(batch) = state.next_batch() else { return after_the_last(state, now) };
    if let Some(why) = outlived(state, plan, batch, now) {
        return revise(why);
    }
    let stopped = seen.stop != Stop::No;
    if stopped || now < batch.out_at || watching(state, now) {
        return Vec::new();
    }
    if !surge_ready(state, plan, batch, now) {
        return Vec::new();
    }
    let Some(look) = look(state, seen, now) else { return Vec::new() };
    let weighed = match again(state, seen, plan, batch, now) {
        Again::Young => None,
        Again::Ask => return vec![Decision::Weigh],
        Again::Known(Ok(weighed)) if weighed.rest > state.account.left() => {
            return revise(format!(
                "what is left risks {:.2e} by the load that is known now, and {:.2e} is left",
                weighed.rest,
                state.account.left()
            ));
        }
        Again::Known(Err(Unweighed::Refused(why))) => return revise(why.clone()),
        // The next rung of the ladder follows from it.
        Again::Known(Err(_)) if state.rung != Rung::Live => return Vec::new(),
        Again::Known(answer) => Some(answer),
    };
    let risk = weighed.and_then(|answer| answer.as_ref().ok()).map(|weighed| weighed.next);
    match state.account.quote(plan, batch, risk) {
        Ok(risk) => open(state, batch, look, risk, weighed),
        Err(overdrawn) => revise(overdrawn.to_string()),
    }
}

/// Closes a batch of which every server is back, or stays out and is borne.
fn close(state: &State, open: &OpenBatch) -> Option<Decision> {
    let names = open.batch.servers.iter();
    let out: Vec<_> =
        names.filter_map(|name| state.servers.get(name)).filter(|server| server.is_out()).collect();
    let stays = |server: &&Server| server.failure().is_some() && !state.tries_again(server);
    if !out.iter().all(stays) || !out.is_empty() && (state.retry || state.unborne().is_some()) {
        return None;
    }
    let event = Event::BatchClosed { index: open.batch.index };
    let reason = match out.len() {
        0 => "every server of it is back".into(),
        failed => format!(
            "every server of it is back but {failed} that failed and stay out; {} of at most {} \
             have failed",
            state.failed().len(),
            state.created.policy.failure_budget
        ),
    };
    Some(Decision::write(event, reason, open.seq))
}

/// Whether what is left of a plan was weighed again.
enum Again<'a> {
    /// The plan is as good as new.
    Young,
    /// It has to be.
    Ask,
    /// It was.
    Known(&'a Result<Weighed, Unweighed>),
}

/// A plan that is older than its batches may be late is weighed again before each of them.
fn again<'a>(
    state: &State,
    seen: &'a Seen,
    plan: &Plan,
    batch: &Batch,
    now: Timestamp,
) -> Again<'a> {
    if state.rung == Rung::Live && !over(plan.created_at, grace(batch), now) {
        return Again::Young;
    }
    verdict(state, seen, batch, now).map_or(Again::Ask, Again::Known)
}

/// What was computed lately of the plan in force from this batch on, on the present rung.
pub(super) fn verdict<'a>(
    state: &State,
    seen: &'a Seen,
    batch: &Batch,
    now: Timestamp,
) -> Option<&'a Result<Weighed, Unweighed>> {
    let fits = |verdict: &&Verdict| {
        (verdict.plan_seq, verdict.batch, verdict.rung) == (state.plan_seq, batch.index, state.rung)
            && !over(verdict.came, REVISE_AGAIN_SECONDS, now)
    };
    seen.verdict.as_ref().filter(fits).map(|verdict| &verdict.answer)
}

fn open(
    state: &State,
    batch: &Batch,
    look: Look,
    risk: RiskSpent,
    weighed: Option<&Result<Weighed, Unweighed>>,
) -> Vec<Decision> {
    let foreseen = match weighed {
        None => String::new(),
        Some(Ok(weighed)) => format!(", what is left risks {:.2e} by now", weighed.rest),
        Some(Err(Unweighed::Refused(why) | Unweighed::Unknown(why))) => {
            format!(", the forecast in force stands since there is no newer one ({why})")
        }
    };
    let load = match state.rung {
        Rung::Live => format!("load is in its band ({})", numbers(&look)),
        Rung::LastForecast => "the load is forecast from what was last known".into(),
        Rung::StaticSurge | Rung::Refuse => "surge replaces it at any load".into(),
    };
    let reason = format!(
        "its time has come, the one before is back, surge is ready, {load}{foreseen}, and {:.2e} of \
         the risk is left after it",
        risk.left
    );
    let rest = weighed.and_then(|answer| answer.as_ref().ok()).map(|weighed| weighed.rest);
    let look = Look { foreseen: rest, ..look };
    let event = Event::BatchOpened { index: batch.index, look, risk: Some(risk) };
    let mut list = vec![Decision::write(event, reason, state.plan_seq)];
    let opened = state.head.seq + 1;
    list.extend(batch.servers.iter().map(|server| {
        let event = Event::DrainStarted { server: server.clone() };
        Decision::write(event, format!("batch {} goes out", batch.index), opened)
    }));
    list
}

fn numbers(look: &Look) -> String {
    let of = |(dimension, load): (&domain::name::Dimension, &f64)| match look.upper.get(dimension) {
        Some(upper) => format!("{dimension} {load:.1} of at most {upper:.1}"),
        None => format!("{dimension} {load:.1}"),
    };
    look.load.iter().map(of).collect::<Vec<_>>().join(", ")
}

/// All batches are closed: watch, or plan again for what is left.
fn after_the_last(state: &State, now: Timestamp) -> Vec<Decision> {
    if !state.pending().is_empty() {
        let why = match &state.rollback {
            Some(_) if state.is_outlived() => "it is rolled back",
            _ => "servers are left over after the last batch",
        };
        return vec![Decision::Revise { why: why.into() }];
    }
    if state.unborne().is_some() || state.failed().iter().any(|s| state.tries_again(s)) {
        return Vec::new();
    }
    let until = now + Duration::from_secs_f64(state.created.policy.stabilisation_seconds);
    let event = Event::StabilisationStarted { until };
    let what = match state.way() {
        Way::Forth => "every server runs the target",
        Way::Back => "every server runs what it ran before",
    };
    let reason = match state.failed().len() {
        0 => what.into(),
        failed => format!("{what} but {failed} that failed and stay out"),
    };
    vec![Decision::write(event, reason, state.head.seq)]
}

/// Whether the canary is still being watched.
pub(super) fn watching(state: &State, now: Timestamp) -> bool {
    let watch = state.created.policy.canary_watch_seconds;
    state.way() == Way::Forth
        && state.closed_ever == 1
        && state.closed_at.is_some_and(|at| !over(at, watch, now))
}

/// Why the plan cannot be performed any more, if so.
fn outlived(state: &State, plan: &Plan, batch: &Batch, now: Timestamp) -> Option<String> {
    let replaced = |name: &ServerName| state.orders.contains_key(&replacement_key(state, name));
    let lost = state.orders.values().flat_map(|o| &o.instances).find(|i| {
        i.stage == SurgeStage::Lost && i.seq > state.plan_seq && !replaced(&i.running.name)
    });
    if let Some(instance) = lost {
        return Some(format!("surge instance {} was lost", instance.running.name));
    }
    if let Some(why) = missed::since_the_plan(state) {
        return Some(why);
    }
    // Capacity is lower than planned, and it is no longer so that nobody else is out.
    if let Some(server) = state.failed().into_iter().find(|server| server.seq > state.plan_seq) {
        return Some(format!("{} failed and stays out", server.member.name));
    }
    if state.open.is_none() && state.closed == 0 && now > plan.valid_until {
        return Some(format!("the plan was valid until {}", plan.valid_until));
    }
    if let Err(overdrawn) = state.account.quote(plan, batch, None) {
        return Some(overdrawn.to_string());
    }
    // A plan that foresees what replaces lost surge foresees the wait for it.
    let due = replacements(state).fold(batch.out_at, |due, order| due.max(order.ready_at));
    let late = over(due, grace(batch), now);
    late.then(|| format!("batch {} was planned for {} and is late", batch.index, batch.out_at))
}

/// How long after its time a batch may open, and how old the plan of one may be, in seconds.
fn grace(batch: &Batch) -> f64 {
    let length = batch.back_at.duration_since(batch.out_at).as_secs_f64();
    (length * LATE_SHARE_OF_BATCH).clamp(LATE_AT_LEAST_SECONDS, f64::MAX)
}

/// Whether all surge that the plan counts on at the time of a batch carries full load: what it buys
/// for the batch, and all that runs besides, from plans before it or in the place of what was lost.
fn surge_ready(state: &State, plan: &Plan, batch: &Batch, now: Timestamp) -> bool {
    let warm = |order: &Order| {
        order.stage == OrderStage::Running && order.instances.iter().all(|i| is_warm(i.stage, now))
    };
    let own = plan.surge.iter().enumerate().filter(|(_, purchase)| purchase.count > 0);
    let own = own.map(|(index, purchase)| (order_key(state, plan, index), purchase));
    let (now_needed, later): (Vec<_>, Vec<_>) = own
        .filter(|(_, purchase)| batch.out_at < purchase.release_at)
        .partition(|(_, purchase)| purchase.ready_at <= batch.out_at);
    let is_later = |key: &Key| later.iter().any(|(later, _)| later == key);
    let mut others = state.orders.iter().filter(|(key, o)| o.is_held() && !is_later(key));
    now_needed.iter().all(|(key, _)| state.orders.get(key).is_some_and(warm))
        && others.all(|(_, order)| warm(order))
}

/// The orders that took the place of lost instances.
fn replacements(state: &State) -> impl Iterator<Item = &Order> {
    let instances = state.orders.values().flat_map(|o| &o.instances);
    let lost = instances.filter(|i| i.stage == SurgeStage::Lost);
    lost.filter_map(|i| state.orders.get(&replacement_key(state, &i.running.name)))
}

fn is_warm(stage: SurgeStage, now: Timestamp) -> bool {
    match stage {
        SurgeStage::Joined(warm_at) => now >= warm_at,
        SurgeStage::Lost => true,
        _ => false,
    }
}

/// A look at the world just before a batch; `None` while it is not fit for one.
fn look(state: &State, seen: &Seen, now: Timestamp) -> Option<Look> {
    seen.traffic.as_ref()?;
    let unfit = !seen.down_since.is_empty()
        || state.rung == Rung::Live && hold::unknown_load(state, seen, now).is_some()
        || state.rung == Rung::Refuse
        || hold::left_band(state, seen).is_some()
        || !size::lets_open(state, seen);
    if unfit {
        return None;
    }
    let (load, upper) = hold::newest(state, seen);
    Some(Look {
        at: now,
        load,
        upper,
        in_service: u32::try_from(state.in_service()).unwrap_or(u32::MAX),
        surge: u32::try_from(state.surge_in_service()).unwrap_or(u32::MAX),
        foreseen: None,
        weighed: None,
        rung: state.rung,
    })
}
