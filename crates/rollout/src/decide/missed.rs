//! Surge that does not come: what was ordered and the seller does not deliver, what does not come
//! up, and what is never well, is waited for no longer, so that another offer can take its place.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::event::Event;
use domain::name::{Key, OfferName, ServerName};
use domain::ports::InstanceState;
use jiff::Timestamp;

use super::{Decision, over};
use crate::observe::Seen;
use crate::settings::{OFFER_REST_DOUBLES_AT_MOST, OFFER_RESTS_SECONDS};
use crate::state::{Order, OrderStage, Phase, State, SurgeStage};

/// Gives up what does not come.
pub(super) fn give_up(state: &State, seen: &Seen, now: Timestamp) -> Vec<Decision> {
    use Phase::{Provisioning, Rolling, RollingBack, Stabilising};
    if !matches!(state.phase, Provisioning | Rolling | RollingBack | Stabilising { .. }) {
        return Vec::new();
    }
    let held = state.orders.iter().filter(|(_, order)| order.is_held());
    held.filter_map(|(key, order)| missing(state, seen, (key, order), now)).collect()
}

fn missing(
    state: &State,
    seen: &Seen,
    (key, order): (&Key, &Order),
    now: Timestamp,
) -> Option<Decision> {
    // What cannot be seen may be there.
    let there = seen.surge.as_ref()?;
    let limit = state.created.policy.surge_timeout_seconds;
    let refused = seen.sold_out.get(key).filter(|_| order.stage == OrderStage::Ordered);
    let late = order.stage == OrderStage::Ordered && over(order.waits_since(), limit, now);
    let stays_away = |name: &&ServerName| {
        if let Some(known) = order.instances.iter().find(|i| i.running.name == **name) {
            return known.stage == SurgeStage::Running && over(known.since, limit, now);
        }
        match there.get(*name).map(|instance| instance.state) {
            None => refused.is_some() || late,
            Some(InstanceState::Booting) => late,
            Some(InstanceState::Running | InstanceState::Lost) => false,
        }
    };
    let names: Vec<ServerName> = order.names.iter().filter(stays_away).cloned().collect();
    if names.is_empty() {
        return None;
    }
    let (missed, all) = (names.len(), order.names.len());
    let reason =
        format!("{missed} of {all} × {} do not come; they are not waited for", order.offer);
    let detail = match refused {
        Some(said) => said.clone(),
        None => format!("they are not well {limit} s after they were ordered"),
    };
    let event = Event::SurgeMissed { key: key.clone(), names, detail };
    Some(Decision::write(event, reason, order.seq))
}

/// What did not come since the plan in force was made.
pub(super) fn since_the_plan(state: &State) -> Option<String> {
    let orders = state.orders.values();
    let missed = orders.filter_map(|o| Some((&o.offer, o.missed.as_ref()?)));
    let since = missed.filter(|(_, m)| m.seq > state.plan_seq);
    let (offer, missed) = since.max_by_key(|(_, m)| m.seq)?;
    Some(format!("{} × {offer} did not come: {}", missed.count, missed.detail))
}

impl Order {
    /// Since when its instances are waited for.
    pub(crate) fn waits_since(&self) -> Timestamp {
        self.missed.as_ref().map_or(self.ordered_at, |missed| missed.at)
    }
}

/// The offers that did not deliver lately: a revision buys nothing from them. The rest of an offer
/// doubles with each order that it did not deliver.
pub(crate) fn resting(state: &State, now: Timestamp) -> Vec<OfferName> {
    let mut last: BTreeMap<&OfferName, (u32, Timestamp)> = BTreeMap::new();
    for order in state.orders.values() {
        let Some(missed) = &order.missed else { continue };
        let (times, at) = last.entry(&order.offer).or_insert((0, missed.at));
        (*times, *at) = (*times + 1, missed.at.max(*at));
    }
    let rests = |times: u32| {
        let doublings = (times - 1).min(OFFER_REST_DOUBLES_AT_MOST);
        Duration::from_secs(OFFER_RESTS_SECONDS << doublings)
    };
    let rest = last.into_iter().filter(|(_, (times, at))| now < *at + rests(*times));
    rest.map(|(offer, _)| offer.clone()).collect()
}
