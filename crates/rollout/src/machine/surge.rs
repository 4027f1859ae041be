//! Transitions of surge orders and of the instances in them.

use std::collections::BTreeMap;

use domain::event::Running;
use domain::journal::Record;
use domain::name::{Key, OfferName, ServerName, Version};
use domain::plan::Replacement;
use jiff::{SignedDuration, Timestamp};

use super::Refusal;
use crate::state::{Missed, Order, OrderStage, Phase, State, SurgeInstance, SurgeStage};

/// What an order asks for.
pub(super) struct Wish {
    pub(super) offer: OfferName,
    pub(super) names: Vec<ServerName>,
    pub(super) version: Option<Version>,
    pub(super) release_at: Timestamp,
}

fn find<'a>(state: &'a mut State, key: &Key) -> Result<&'a mut Order, Refusal> {
    state.orders.get_mut(key).ok_or_else(|| format!("there is no order {key}"))
}

pub(super) fn instance<'a>(
    state: &'a mut State,
    name: &ServerName,
) -> Result<&'a mut SurgeInstance, Refusal> {
    state
        .orders
        .values_mut()
        .flat_map(|o| &mut o.instances)
        .find(|i| i.running.name == *name)
        .ok_or_else(|| format!("there is no surge instance {name}"))
}

/// Moves an instance to `to` if its stage passes `from`.
fn step(
    state: &mut State,
    at: &Record,
    name: &ServerName,
    from: impl Fn(SurgeStage) -> bool,
    to: SurgeStage,
) -> Result<(), Refusal> {
    let instance = instance(state, name)?;
    if !from(instance.stage) {
        return Err(format!("{name} is {:?}", instance.stage));
    }
    (instance.stage, instance.since, instance.seq) = (to, at.at, at.seq);
    instance.verdicts.clear();
    Ok(())
}

pub(super) fn order(state: &mut State, at: &Record, key: Key, wish: Wish) -> Result<(), Refusal> {
    state.is_approved()?;
    if state.phase == Phase::Planned {
        state.hooks_are_done()?;
    }
    match state.phase {
        Phase::Planned => state.phase = Phase::Provisioning,
        Phase::Provisioning | Phase::Rolling | Phase::RollingBack => {}
        phase => return Err(format!("the phase is {phase:?}")),
    }
    state.size_is_safe()?;
    if !state.size_has_room(&wish.names) {
        return Err("the auto-scaler has no room for so many".into());
    }
    let taken = |name: &&ServerName| {
        let ordered = state.orders.values().any(|o| o.names.contains(name));
        ordered || state.servers.contains_key(*name)
    };
    if let Some(name) = wish.names.iter().find(taken) {
        return Err(format!("{name} is taken"));
    }
    let (ready_seconds, on_loss) = foreseen(state, &wish.offer);
    let order = Order {
        price_each: price_each(state, &wish.offer),
        ready_at: at.at + SignedDuration::from_secs(ready_seconds),
        on_loss,
        offer: wish.offer,
        names: wish.names,
        version: wish.version,
        release_at: wish.release_at,
        ordered_at: at.at,
        stage: OrderStage::Ordered,
        instances: Vec::new(),
        missed: None,
        seq: at.seq,
    };
    match state.orders.insert(key.clone(), order) {
        None => Ok(()),
        Some(_) => Err(format!("{key} was ordered already")),
    }
}

/// What the plan in force says of an offer: seconds from an order until it carries load, and what
/// takes the place of what is lost. Replacements are not replaced: their loss is planned for anew.
fn foreseen(state: &State, offer: &OfferName) -> (i64, Option<Replacement>) {
    let surge = state.plan.iter().flat_map(|plan| &plan.surge);
    let bought = surge.clone().find(|purchase| purchase.offer == *offer);
    let replaces = surge.filter_map(|p| p.on_loss.as_ref()).find(|r| r.offer == *offer);
    match (bought, replaces) {
        (Some(p), _) => (p.ready_at.duration_since(p.order_at).as_secs(), p.on_loss.clone()),
        (None, Some(replacement)) => (replacement.ready_seconds, None),
        (None, None) => (0, None),
    }
}

/// What an instance costs per hour, by the plan in force.
fn price_each(state: &State, offer: &OfferName) -> Option<f64> {
    let plan = state.plan.as_ref()?;
    let bought = plan.surge.iter().find(|purchase| purchase.offer == *offer);
    let offered = plan.basis.iter().flat_map(|basis| &basis.offers).find(|o| o.offer == *offer);
    bought.map(|p| p.price_per_hour).or(offered.map(|o| o.price_per_hour))
}

pub(super) fn running(
    state: &mut State,
    at: &Record,
    key: &Key,
    instances: Vec<Running>,
) -> Result<(), Refusal> {
    let percent = state.first_percent();
    let order = find(state, key)?;
    if order.stage != OrderStage::Ordered {
        return Err(format!("{key} is {:?}", order.stage));
    }
    let mut names: Vec<_> = instances.iter().map(|i| &i.name).collect();
    names.sort();
    let mut wanted: Vec<_> = order.names.iter().collect();
    wanted.sort();
    if names != wanted {
        return Err(format!("{key} asked for {} other instances", wanted.len()));
    }
    let mut known = std::mem::take(&mut order.instances);
    let taken = |running: Running| {
        let present = known.iter().position(|i| i.running.name == running.name);
        present.map(|index| known.swap_remove(index)).unwrap_or(SurgeInstance {
            running,
            stage: SurgeStage::Running,
            since: at.at,
            percent,
            verdicts: BTreeMap::new(),
            seq: at.seq,
        })
    };
    order.instances = instances.into_iter().map(taken).collect();
    (order.stage, order.seq) = (OrderStage::Running, at.seq);
    Ok(())
}

/// What did not come is no longer wanted; what did goes on under the order.
pub(super) fn missed(
    state: &mut State,
    at: &Record,
    key: &Key,
    names: &[ServerName],
    detail: String,
) -> Result<(), Refusal> {
    match state.phase {
        Phase::Provisioning | Phase::Rolling | Phase::RollingBack | Phase::Stabilising { .. } => {}
        phase => return Err(format!("the phase is {phase:?}")),
    }
    let order = find(state, key)?;
    if !order.is_held() || names.is_empty() {
        return Err(format!("{key} is {:?}, {} are missed", order.stage, names.len()));
    }
    for name in names {
        let joins = |i: &SurgeInstance| i.running.name == *name && i.stage != SurgeStage::Running;
        if !order.names.contains(name) || order.instances.iter().any(joins) {
            return Err(format!("{name} is not of {key}, or it has come"));
        }
    }
    order.names.retain(|name| !names.contains(name));
    order.instances.retain(|instance| !names.contains(&instance.running.name));
    let before = order.missed.as_ref().map_or(0, |missed| missed.count);
    let count = before + names.len();
    order.missed = Some(Missed { count, detail, at: at.at, seq: at.seq });
    order.stage = match order.names.is_empty() {
        true => OrderStage::Releasing,
        false => OrderStage::Ordered,
    };
    order.seq = at.seq;
    Ok(())
}

pub(super) fn joining(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    step(state, at, name, |s| s == SurgeStage::Running, SurgeStage::Joining)
}

pub(super) fn joined(
    state: &mut State,
    at: &Record,
    name: &ServerName,
    warm_at: Timestamp,
) -> Result<(), Refusal> {
    step(state, at, name, |s| s == SurgeStage::Joining, SurgeStage::Joined(warm_at))
}

/// Everything that may receive requests is drained; the rest needs no drain. While batches go out only
/// surge that nothing needs is given back.
pub(super) fn releasing(state: &mut State, at: &Record, key: &Key) -> Result<(), Refusal> {
    match state.phase {
        Phase::Stabilising { .. } => state.phase = Phase::Releasing,
        Phase::Releasing | Phase::Aborting => {}
        Phase::Provisioning | Phase::Rolling | Phase::RollingBack
            if state.unneeded_since().is_some() => {}
        phase => return Err(format!("the phase is {phase:?}")),
    }
    let order = find(state, key)?;
    if !order.is_held() {
        return Err(format!("{key} is {:?}", order.stage));
    }
    (order.stage, order.seq) = (OrderStage::Releasing, at.seq);
    for instance in &mut order.instances {
        instance.stage = match instance.stage {
            SurgeStage::Joining | SurgeStage::Joined(_) => SurgeStage::Draining,
            _ => SurgeStage::Drained,
        };
        (instance.since, instance.seq) = (at.at, at.seq);
    }
    Ok(())
}

pub(super) fn drained(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    let from = |s| matches!(s, SurgeStage::Draining | SurgeStage::Cutting);
    step(state, at, name, from, SurgeStage::Drained)
}

pub(super) fn force(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    step(state, at, name, |s| s == SurgeStage::Draining, SurgeStage::Cutting)
}

/// More of its traffic for an instance that warms up.
pub(super) fn raise(
    state: &mut State,
    at: &Record,
    name: &ServerName,
    percent: u8,
) -> Result<(), Refusal> {
    let present = instance(state, name)?.percent;
    let next = state.percent_after(present);
    let instance = instance(state, name)?;
    if !matches!(instance.stage, SurgeStage::Joined(_)) {
        return Err(format!("{name} is {:?}", instance.stage));
    }
    if percent != next {
        return Err(format!("the next weight of {name} is {next} percent"));
    }
    (instance.percent, instance.seq) = (percent, at.seq);
    Ok(())
}

pub(super) fn left(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    step(state, at, name, |s| s == SurgeStage::Drained, SurgeStage::Left)
}

pub(super) fn released(state: &mut State, at: &Record, key: &Key) -> Result<(), Refusal> {
    let order = find(state, key)?;
    if order.stage != OrderStage::Releasing {
        return Err(format!("{key} is {:?}", order.stage));
    }
    if let Some(left) = order.instances.iter().find(|i| i.stage != SurgeStage::Left) {
        return Err(format!("{} is {:?}", left.running.name, left.stage));
    }
    (order.stage, order.seq) = (OrderStage::Released, at.seq);
    Ok(())
}

pub(super) fn lost(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    use SurgeStage::{Joined, Joining, Running};
    let from = |s| matches!(s, Running | Joining | Joined(_));
    step(state, at, name, from, SurgeStage::Lost)
}
