//! Holding: what keeps more servers from going out, and when it is over.

use domain::event::{AfterHold, Event, HoldReason, OnFailure, OnTimeout};
use domain::plan::PerDimension;
use jiff::Timestamp;

use super::{Decision, over, size};
use crate::approval;
use crate::command::is_reached;
use crate::observe::{GateState, Seen, Stop};
use crate::settings::FOREIGN_OUTAGE_SECONDS;
use crate::state::{Phase, Server, Stage, State, SurgeInstance, SurgeStage};

/// What follows when a hold has lasted its maximum: it is said once, and then done. A person who has
/// paused the rollout knows of it.
pub(super) fn overdue(state: &State, now: Timestamp) -> Option<Decision> {
    let (hold, limit) = (state.hold.as_ref()?, state.created.policy.hold?);
    let terms = state.terms(hold.since);
    match hold.overdue {
        _ if state.paused => None,
        None if over(hold.since, limit.max_seconds, now) => {
            let reason = format!("it may hold for {} s", limit.max_seconds);
            let event = Event::HoldOverdue {
                hold: hold.reason,
                detail: hold.detail.clone(),
                since: hold.since,
                price_per_hour: terms.price_per_hour,
                currency: terms.currency,
                then: terms.then,
            };
            Some(Decision::write(event, reason, hold.seq))
        }
        Some(said) if terms.then == AfterHold::Abort => {
            let reason = format!("it holds since {:.0}: {}", hold.since, hold.detail);
            Some(Decision::write(Event::AbortRequested {}, reason, said))
        }
        Some(said) if terms.then == AfterHold::Rollback => {
            let reason = format!("it holds since {:.0}: {}", hold.since, hold.detail);
            Some(Decision::write(Event::RollbackRequested {}, reason, said))
        }
        _ => None,
    }
}

/// Begins, replaces or ends a hold.
pub(super) fn watch(state: &State, seen: &Seen, now: Timestamp) -> Option<Decision> {
    let found = reason(state, seen, now);
    let stops = || format!("no more servers go out; {}", state.terms_now(now));
    match (&state.hold, found) {
        (None, Some((hold, detail))) => {
            let event = Event::Held { hold, detail };
            Some(Decision::write(event, stops(), state.head.seq))
        }
        (Some(present), Some((hold, detail))) if needs_person(present.reason) => {
            let worse = hold == HoldReason::ServerFailed && present.reason != hold;
            let event = Event::Held { hold, detail };
            worse.then(|| Decision::write(event, stops(), present.seq))
        }
        (Some(present), Some((hold, detail))) if present.reason != hold => {
            let event = Event::Held { hold, detail };
            let reason = format!("it goes on for another reason; {}", state.terms_now(now));
            Some(Decision::write(event, reason, present.seq))
        }
        (Some(present), None) if !needs_person(present.reason) => {
            let detail = format!("{:?} is over", present.reason);
            Some(Decision::write(Event::HoldEnded { detail }, "nothing holds it", present.seq))
        }
        _ => None,
    }
}

/// While surge is given back, or what is out comes back, there are things to wait for: the end
/// of requests, since it costs money and only a person can end them, and gates that cannot tell; and
/// at the end for the auto-scaler.
pub(super) fn watch_leaving(state: &State, seen: &Seen, now: Timestamp) -> Option<Decision> {
    let slow = slow_leave(state, now).map(|detail| (HoldReason::DrainTimeout, detail));
    let failed = failed_hook(state).filter(|_| state.phase != Phase::Aborting);
    let found = failed.or(slow).or_else(|| vague(seen)).or_else(|| size::stays(state, seen));
    match (&state.hold, found) {
        (None, Some((hold, detail))) => {
            let reason = match hold {
                HoldReason::DrainTimeout => "surge cannot be given back",
                HoldReason::HookFailed => "it is not done before this has ended well",
                HoldReason::SizeChanged | HoldReason::AdapterFailing => {
                    "it is not over before the auto-scaler is put back"
                }
                _ => "a server is not taken back while nobody knows whether it is well",
            };
            Some(Decision::write(Event::Held { hold, detail }, reason, state.head.seq))
        }
        (Some(present), None) if !needs_person(present.reason) => {
            let detail = format!("{:?} is over", present.reason);
            Some(Decision::write(Event::HoldEnded { detail }, "nothing holds it", present.seq))
        }
        _ => None,
    }
}

fn slow_leave(state: &State, now: Timestamp) -> Option<String> {
    let policy = &state.created.policy;
    let limit = policy.drain_timeout_seconds;
    let slow = |i: &&SurgeInstance| {
        let stays = match i.stage {
            SurgeStage::Draining => policy.drain_on_timeout != OnTimeout::Force,
            stage => stage == SurgeStage::Cutting,
        };
        stays && over(i.since, limit, now)
    };
    let instance = state.orders.values().flat_map(|o| &o.instances).find(slow)?;
    Some(format!("{} still has requests after {limit} s", instance.running.name))
}

/// A hold that does not end by itself: a person, or a new plan, ends it.
fn needs_person(reason: HoldReason) -> bool {
    use HoldReason::{HookFailed, NoPlan, OutcomeUnknown, ServerFailed};
    matches!(reason, ServerFailed | OutcomeUnknown | NoPlan | HookFailed)
}

/// The first reason to hold, in the order of their weight.
fn reason(state: &State, seen: &Seen, now: Timestamp) -> Option<(HoldReason, String)> {
    unborne(state)
        .or_else(|| failed_hook(state))
        .or_else(|| unapproved(state))
        .or_else(|| frozen(seen))
        .or_else(|| seen.failing.clone().map(|text| (HoldReason::AdapterFailing, text)))
        .or_else(|| slow_drain(state, now))
        .or_else(|| restless(state, seen, now))
        .or_else(|| slow_leave(state, now).map(|detail| (HoldReason::DrainTimeout, detail)))
        .or_else(|| vague(seen))
        .or_else(|| slow_surge(state, now))
        .or_else(|| foreign(seen, now))
        .or_else(|| size::changed(state, seen, now))
        .or_else(|| unknown_load(state, seen, now).filter(|_| !state.created.policy.degrade))
        .or_else(|| left_band(state, seen))
}

fn unborne(state: &State) -> Option<(HoldReason, String)> {
    let detail = state.unborne().filter(|_| !state.retry)?;
    // Asked for, and not possible: it says why.
    let asked = state.created.policy.on_failure == OnFailure::Rollback;
    let why = state.may_roll_back().err().filter(|_| asked && state.rollback.is_none());
    let detail = match why {
        Some(why) => format!("{detail}; it is not rolled back: {why}"),
        None => detail,
    };
    Some((HoldReason::ServerFailed, detail))
}

fn unapproved(state: &State) -> Option<(HoldReason, String)> {
    let (digest, why) = state.approval_needed()?;
    let by = state.created.policy.approval.as_ref().map(|rule| rule.by.join(", "));
    let by = by.filter(|by| !by.is_empty()).map_or_else(String::new, |by| format!(" by {by}"));
    let command = approval::command(state, digest);
    Some((HoldReason::ApprovalNeeded, format!("approval needed{by}: {why}; `{command}`")))
}

fn failed_hook(state: &State) -> Option<(HoldReason, String)> {
    let (run, detail) = state.hook_failed()?;
    let after = run.batch.map_or_else(String::new, |batch| format!(" after batch {batch}"));
    Some((HoldReason::HookFailed, format!("the hook {}{after} failed: {detail}", run.step.hook)))
}

fn frozen(seen: &Seen) -> Option<(HoldReason, String)> {
    let Stop::Frozen(detail) = &seen.stop else { return None };
    Some((HoldReason::Frozen, detail.clone()))
}

/// A gate that cannot tell: nobody knows whether the server is well, so that it is neither sent
/// requests nor given up.
fn vague(seen: &Seen) -> Option<(HoldReason, String)> {
    seen.gates.iter().find_map(|(server, gate)| match gate {
        GateState::Vague(why) => Some((HoldReason::GateInconclusive, format!("{server}: {why}"))),
        _ => None,
    })
}

fn slow_drain(state: &State, now: Timestamp) -> Option<(HoldReason, String)> {
    let policy = &state.created.policy;
    let waits = |s: &Server| match policy.drain_on_timeout {
        OnTimeout::Hold => true,
        OnTimeout::Force => false,
        OnTimeout::Skip => s.skipped > 0,
    };
    let slow = |s: &&Server| {
        let stays = s.stage == Stage::Cutting || s.stage == Stage::Draining && waits(s);
        stays && over(s.since, policy.drain_timeout_seconds, now)
    };
    let server = state.servers.values().find(slow)?;
    let (name, after) = (&server.member.name, now.duration_since(server.since).as_secs());
    let cut = if server.stage == Stage::Cutting { ", although they are cut" } else { "" };
    Some((HoldReason::DrainTimeout, format!("{name} still has requests after {after} s{cut}")))
}

/// A server that failed and is to be tried once more, but still has requests: they came back when the load
/// balancer forgot its drain, or never ended.
fn restless(state: &State, seen: &Seen, now: Timestamp) -> Option<(HoldReason, String)> {
    let limit = state.created.policy.drain_timeout_seconds;
    let waits = |server: &&Server| {
        let tried = state.retry || state.tries_again(server) || state.turns_round(server);
        server.failure().is_some()
            && tried
            && over(server.since, limit, now)
            && is_reached(seen, server)
    };
    let name = &state.servers.values().find(waits)?.member.name;
    let detail =
        format!("{name} failed and still has requests: it is tried again when they have ended");
    Some((HoldReason::DrainTimeout, detail))
}

fn slow_surge(state: &State, now: Timestamp) -> Option<(HoldReason, String)> {
    let limit = state.created.policy.surge_timeout_seconds;
    for (key, order) in &state.orders {
        let ready = |s: SurgeStage| matches!(s, SurgeStage::Joined(_) | SurgeStage::Lost);
        let all = !order.instances.is_empty() && order.instances.iter().all(|i| ready(i.stage));
        if order.is_held() && !all && over(order.waits_since(), limit, now) {
            let detail = format!("order {key} is not in service after {limit} s");
            return Some((HoldReason::SurgeMissing, detail));
        }
    }
    None
}

fn foreign(seen: &Seen, now: Timestamp) -> Option<(HoldReason, String)> {
    let long = |(_, since): &(_, &Timestamp)| over(**since, FOREIGN_OUTAGE_SECONDS, now);
    let (server, since) = seen.down_since.iter().find(long)?;
    let detail =
        format!("{server} is not in service since {since:.0}, and not because of this rollout");
    Some((HoldReason::ForeignOutage, detail))
}

/// No sample, or only old ones, in a dimension that the plan counts on.
pub(super) fn unknown_load(
    state: &State,
    seen: &Seen,
    now: Timestamp,
) -> Option<(HoldReason, String)> {
    let limit = state.created.policy.stale_after_seconds;
    let plan = state.plan.as_ref()?;
    let dimensions = plan.timeline.first().map(|e| e.load.keys()).into_iter().flatten();
    for dimension in dimensions {
        let newest = seen.load.get(dimension).and_then(|s| s.last());
        let detail = match newest {
            None => format!("no sample of {dimension} yet"),
            Some(sample) if over(sample.at, limit, now) => {
                format!(
                    "the newest sample of {dimension} is of {}, older than {limit} s",
                    sample.at
                )
            }
            Some(_) => continue,
        };
        return Some((HoldReason::LoadUnknown, detail));
    }
    None
}

/// The newest samples, all of them, above the upper edge of the band at their time.
pub(super) fn left_band(state: &State, seen: &Seen) -> Option<(HoldReason, String)> {
    let plan = state.plan.as_ref()?;
    let rows = state.created.policy.band_breaches.max(1) as usize;
    for (dimension, samples) in &seen.load {
        let newest = &samples[samples.len().saturating_sub(rows)..];
        let above = newest.iter().filter_map(|sample| {
            let entry = plan.timeline_at(&state.created.fleet, sample.at)?;
            let band = entry.load.get(dimension)?;
            (sample.value > band.upper).then_some((sample, band.upper))
        });
        let above: Vec<_> = above.collect();
        if above.len() == rows {
            let (sample, upper) = above[rows - 1];
            let detail = format!(
                "{dimension} is at {:.1}, above the forecast band ({upper:.1}), {rows} samples in \
                 a row up to {}",
                sample.value, sample.at
            );
            return Some((HoldReason::LoadLeftBand, detail));
        }
    }
    None
}

/// The newest sample and the upper edge of the band at its time, for the record.
pub(super) fn newest(state: &State, seen: &Seen) -> (PerDimension<f64>, PerDimension<f64>) {
    let (mut load, mut upper) = (PerDimension::new(), PerDimension::new());
    for (dimension, samples) in &seen.load {
        let Some(sample) = samples.last() else { continue };
        load.insert(dimension.clone(), sample.value);
        let plan = state.plan.as_ref();
        let entry = plan.and_then(|p| p.timeline_at(&state.created.fleet, sample.at));
        if let Some(band) = entry.and_then(|e| e.load.get(dimension)) {
            upper.insert(dimension.clone(), band.upper);
        }
    }
    (load, upper)
}
