//! Buying surge when its time has come, and sending traffic to it once it is well.

use domain::event::{Event, OnTimeout};
use domain::name::{Key, ServerName};
use domain::plan::Plan;
use jiff::Timestamp;

use super::{Decision, over};
use crate::observe::{GateState, Seen, Stop};
use crate::state::{Order, OrderStage, Phase, State, SurgeInstance, SurgeStage};

/// The key of purchase number `index` of a plan.
pub(crate) fn order_key(state: &State, plan: &Plan, index: usize) -> Key {
    let revision = format!("r{}", plan.revision);
    Key::of(&[state.id.as_str(), "surge", &revision, &index.to_string()])
}

/// Every purchase of the plan in force whose time has come and that is not made yet. A freeze, or a
/// hold without a plan, while nobody is out buys nothing: nobody knows when it ends, and what is late
/// then is planned again. What is being given back takes room until it is gone.
pub(super) fn order(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    let Some(plan) = &state.plan else { return Vec::new() };
    let frozen = seen.stop != Stop::No && state.open.is_none();
    let begins = state.phase == Phase::Planned && state.hook_due().is_some();
    let leaving = state.orders.values().any(|order| order.stage == OrderStage::Releasing);
    let unneeded = leaving || state.unneeded_since().is_some();
    let fights = !state.size_is_kept() || !state.size_suffices();
    let waits = begins || state.approval_needed().is_some() || unneeded || fights;
    if state.paused || frozen || waits || state.is_outlived() {
        return Vec::new();
    }
    let mut list = Vec::new();
    for (index, purchase) in plan.surge.iter().enumerate() {
        let key = order_key(state, plan, index);
        if now < purchase.order_at || state.orders.contains_key(&key) || purchase.count == 0 {
            continue;
        }
        let names = (1..=purchase.count).map(|n| name(state, plan, index, n)).collect();
        let event = Event::SurgeOrdered {
            key,
            offer: purchase.offer.clone(),
            names,
            version: None,
            release_at: purchase.release_at,
        };
        let reason = format!(
            "planned for {}: {} × {} at {} an hour each",
            purchase.order_at, purchase.count, purchase.offer, purchase.price_per_hour
        );
        list.push(Decision::write(event, reason, state.plan_seq));
    }
    list
}

/// The key of what takes the place of a lost instance.
pub(super) fn replacement_key(state: &State, lost: &ServerName) -> Key {
    Key::of(&[state.id.as_str(), "surge", "instead of", lost.as_str()])
}

/// Buys what the plan foresees in the place of instances that were lost under it; a plan that was made
/// since reckons without them.
pub(super) fn replace(state: &State, now: Timestamp) -> Vec<Decision> {
    let unneeded = state.unneeded_since().is_some();
    let fights = !state.size_is_kept() || !state.size_suffices();
    if state.paused || unneeded || state.approval_needed().is_some() || fights {
        return Vec::new();
    }
    let wanted = |o: &&Order| o.is_held() && now < o.release_at;
    let mut list = Vec::new();
    for order in state.orders.values().filter(wanted) {
        let Some(replacement) = &order.on_loss else { continue };
        let lost = |i: &&SurgeInstance| i.stage == SurgeStage::Lost && i.seq > state.plan_seq;
        for lost in order.instances.iter().filter(lost) {
            let key = replacement_key(state, &lost.running.name);
            if state.orders.contains_key(&key) {
                continue;
            }
            let names = vec![named(state, &format!("x{}", lost.seq))];
            let event = Event::SurgeOrdered {
                key,
                offer: replacement.offer.clone(),
                names,
                version: None,
                release_at: order.release_at,
            };
            let reason = format!("{} was lost; the plan foresees another", lost.running.name);
            list.push(Decision::write(event, reason, lost.seq));
        }
    }
    list
}

/// Gives back surge that nothing needs: no plan fits, and the whole fleet serves. Nobody knows for how
/// long, so that it is held for as long as buying it anew would have to be paid for before it is of
/// use, which costs at most twice what a prophet would pay (the ski rental of Karlin, Manasse,
/// Rudolph and Sleator 1988), and for what has to be paid for in any case.
pub(super) fn give_back(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    let idle =
        state.unneeded_since().filter(|_| seen.traffic.is_some() && seen.down_since.is_empty());
    let Some((since, cause)) = idle else { return Vec::new() };
    let due = state.orders.iter().filter(|(_, order)| {
        order.is_held() && state.given_back_at(order, since).is_some_and(|at| now >= at)
    });
    due.map(|(key, _)| {
        let reason = format!(
            "no plan fits since {since:.0} and every server is in service; to hold it costs more \
             by now than to buy it anew"
        );
        Decision::write(Event::SurgeReleasing { key: key.clone() }, reason, cause)
    })
    .collect()
}

/// A name that no other rollout uses, made of what every load balancer accepts.
fn name(state: &State, plan: &Plan, index: usize, number: u32) -> ServerName {
    named(state, &format!("{}-{index}-{number}", plan.revision))
}

fn named(state: &State, own: &str) -> ServerName {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let id: String = state.id.as_str().chars().map(allowed).take(60).collect();
    let digest = domain::journal::Digest::of_bytes(state.id.as_str().as_bytes());
    let short = &digest.short()[..4];
    let text = format!("surge-{id}-{short}-{own}");
    ServerName::new(text).expect("letters, digits, dots and dashes within the longest name")
}

/// Raises the weight of what warms up, and cuts what drains for too long where that is allowed.
pub(super) fn mind(state: &State, now: Timestamp) -> Vec<Decision> {
    let policy = &state.created.policy;
    let seconds = policy.drain_timeout_seconds;
    let instances = state.orders.values().flat_map(|order| &order.instances);
    let next = |i: &SurgeInstance| {
        let server = i.running.name.clone();
        match i.stage {
            SurgeStage::Joined(warm_at)
                if state.raised_at(i.percent, i.since, warm_at).is_some_and(|at| now >= at) =>
            {
                let percent = state.percent_after(i.percent);
                Some(Decision::write(Event::WeightRaised { server, percent }, "it warms up", i.seq))
            }
            SurgeStage::Draining
                if policy.drain_on_timeout == OnTimeout::Force && over(i.since, seconds, now) =>
            {
                let why = format!("it still has requests after {seconds} s; they are cut");
                Some(Decision::write(Event::DrainForced { server }, why, i.seq))
            }
            _ => None,
        }
    };
    instances.filter_map(next).collect()
}

/// Sends traffic to instances whose gates have passed, while they are wanted.
pub(super) fn join(state: &State, seen: &Seen) -> Vec<Decision> {
    let wanted = state.orders.values().filter(|o| o.stage == OrderStage::Running);
    let running = wanted.flat_map(|o| &o.instances).filter(|i| i.stage == SurgeStage::Running);
    let well = running.filter(|i| seen.gates.get(&i.running.name) == Some(&GateState::Passed));
    well.map(|i| {
        let event = Event::SurgeJoining { server: i.running.name.clone() };
        Decision::write(event, "it runs and its gates have passed", i.seq)
    })
    .collect()
}
