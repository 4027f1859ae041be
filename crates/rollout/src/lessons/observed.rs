//! What one journal shows.

use std::collections::BTreeMap;

use domain::event::{Event, Known};
use domain::hour::Hour;
use domain::journal::Record;
use domain::learned::Quantity;
use domain::name::{FleetName, Key, OfferName, ServerName};
use jiff::Timestamp;

use super::estimate::{Length, Trials};
use crate::machine::{self, FoldError};

/// What was seen in one rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Of which fleet.
    pub fleet: FleetName,
    /// How long things took; what may depend on the hour stands under the hour in which it began as well.
    pub lengths: BTreeMap<Quantity, Vec<Length>>,
    /// How often they failed.
    pub trials: BTreeMap<Quantity, Trials>,
}

/// What the journal of a rollout shows, from its first record to its last. What had not ended by then
/// counts as at least so long.
///
/// # Errors
/// The journal cannot be folded.
pub fn observed(records: &[Record]) -> Result<Option<Observed>, FoldError> {
    let Some(state) = machine::fold(records)? else { return Ok(None) };
    let mut walk = Walk::default();
    let mut before = None;
    for record in records {
        match (record.event()?, before) {
            // Nobody looked from the last record on: what had ended meanwhile is seen too late.
            (Event::DriverStarted { .. }, Some(before)) => walk.cut_all(before),
            (event, _) => walk.take(record.at, event),
        }
        before = Some(record.at);
    }
    walk.end(records.last().map_or(state.created_at, |record| record.at));
    for server in state.servers.values().filter(|server| server.attempts > 0) {
        walk.tried(Quantity::UpdateFailure, 1.0, f64::from(u8::from(server.failure().is_some())));
    }
    let Walk { lengths, trials, .. } = walk;
    Ok(Some(Observed { fleet: state.created.fleet.clone(), lengths, trials }))
}

/// Where an instance of an order is.
struct Instance {
    offer: OfferName,
    /// Since when it runs, as far as it is known.
    runs: Option<Timestamp>,
    joined: bool,
}

/// An order whose instances do not all run.
struct Order {
    offer: OfferName,
    at: Timestamp,
    waits: bool,
}

#[derive(Default)]
struct Walk {
    lengths: BTreeMap<Quantity, Vec<Length>>,
    trials: BTreeMap<Quantity, Trials>,
    /// What a server is in the middle of, and since when.
    under_way: BTreeMap<ServerName, (Quantity, Timestamp)>,
    /// When each server came back last.
    returned: BTreeMap<ServerName, Timestamp>,
    orders: BTreeMap<Key, Order>,
    instances: BTreeMap<ServerName, (Key, Instance)>,
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    // A clock that was set back shows nothing.
    to.duration_since(from).as_secs_f64().max(0.0)
}

impl Walk {
    fn tried(&mut self, what: Quantity, tried: f64, failed: f64) {
        self.trials.entry(what).or_default().add(Trials { tried, failed }, 1.0);
    }

    fn took(&mut self, what: Quantity, since: Timestamp, length: Length) {
        if let Some(hourly) = what.hourly() {
            let in_hour = Quantity::At(hourly, Hour::of(since));
            self.lengths.entry(in_hour).or_default().push(length);
        }
        self.lengths.entry(what).or_default().push(length);
    }

    fn begins(&mut self, at: Timestamp, server: ServerName, what: Quantity) {
        self.cut_off(at, &server);
        self.under_way.insert(server, (what, at));
    }

    /// What a server was in the middle of has ended, if it is this.
    fn ends(&mut self, at: Timestamp, server: &ServerName, what: &Quantity) {
        if let Some((_, since)) = self.under_way.get(server).filter(|(is, _)| is == what) {
            let (since, length) = (*since, Length::Ended(seconds(*since, at)));
            self.took(what.clone(), since, length);
            self.under_way.remove(server);
        }
    }

    /// What a server was in the middle of has not come to its end.
    fn cut_off(&mut self, at: Timestamp, server: &ServerName) {
        if let Some((what, since)) = self.under_way.remove(server) {
            self.took(what, since, Length::AtLeast(seconds(since, at)));
        }
    }

    fn lasts(&mut self, order: &Key, at: Timestamp, length: fn(f64) -> Length) {
        if let Some(order) = self.orders.get_mut(order).filter(|order| order.waits) {
            order.waits = false;
            let (since, lead) = (order.at, length(seconds(order.at, at)));
            let what = Quantity::Lead(order.offer.clone());
            self.took(what, since, lead);
        }
    }

    /// An instance is no more; `failed`: it went by itself.
    fn gone(&mut self, at: Timestamp, name: &ServerName, failed: bool) {
        let Some((_, Instance { offer, runs, joined })) = self.instances.remove(name) else {
            return;
        };
        let failed = f64::from(u8::from(failed));
        match runs {
            None => self.tried(Quantity::Fulfilment(offer), 1.0, failed),
            Some(_) if !joined => {
                self.tried(Quantity::Fulfilment(offer.clone()), 1.0, 0.0);
                self.tried(Quantity::BootFailure(offer), 1.0, failed);
            }
            Some(since) => {
                self.tried(Quantity::Fulfilment(offer.clone()), 1.0, 0.0);
                self.tried(Quantity::BootFailure(offer.clone()), 1.0, 0.0);
                let hours = seconds(since, at) / 3600.0;
                self.tried(Quantity::Interruption(offer), hours, failed);
            }
        }
    }

    fn of_order(&self, key: &Key) -> Vec<ServerName> {
        let mine = self.instances.iter().filter(|(_, (order, _))| order == key);
        mine.map(|(name, _)| name.clone()).collect()
    }

    fn take(&mut self, at: Timestamp, event: Event) {
        match event {
            Event::DrainStarted { server } => self.begins(at, server, Quantity::Drain),
            Event::Drained { server, .. } => self.ends(at, &server, &Quantity::Drain),
            Event::DrainForced { server }
            | Event::RestoreStarted { server }
            | Event::ServerFailed { server, .. } => self.cut_off(at, &server),
            Event::UpdateStarted { server, .. } => self.begins(at, server, Quantity::Update),
            Event::Updated { server, .. } => {
                self.ends(at, &server, &Quantity::Update);
                self.begins(at, server, Quantity::Verify);
            }
            Event::Verified { server } => self.ends(at, &server, &Quantity::Verify),
            Event::Restored { server, .. } => drop(self.returned.insert(server, at)),
            Event::ServingSeen { shared, warmed } => {
                for warm in warmed {
                    let length = match warm.known {
                        Known::Exactly => Length::Ended(warm.seconds),
                        Known::AtLeast => Length::AtLeast(warm.seconds),
                        Known::AtMost => Length::AtMost(warm.seconds),
                    };
                    if let Some(since) = self.returned.get(&warm.server) {
                        self.took(Quantity::Warmup, *since, length);
                    }
                }
                if let Some(shared) = shared {
                    let stretches = f64::from(shared.stretches);
                    let lost = stretches * (1.0 - shared.balance);
                    self.tried(Quantity::Balance, stretches, lost);
                }
            }
            Event::SurgeOrdered { key, offer, names, .. } => {
                for name in names {
                    let instance = Instance { offer: offer.clone(), runs: None, joined: false };
                    self.instances.insert(name, (key.clone(), instance));
                }
                self.orders.insert(key, Order { offer, at, waits: true });
            }
            Event::SurgeRunning { key, instances } => {
                self.lasts(&key, at, Length::Ended);
                for running in instances {
                    if let Some((_, instance)) = self.instances.get_mut(&running.name) {
                        instance.runs.get_or_insert(at);
                    }
                }
            }
            Event::SurgeJoined { server, .. } => {
                if let Some((_, instance)) = self.instances.get_mut(&server) {
                    instance.joined = true;
                }
            }
            Event::SurgeMissed { key, names, .. } => {
                self.lasts(&key, at, Length::AtLeast);
                names.iter().for_each(|name| self.gone(at, name, true));
            }
            Event::SurgeLost { server, .. } => self.gone(at, &server, true),
            Event::SurgeReleasing { key } => {
                self.lasts(&key, at, Length::AtLeast);
                for name in self.of_order(&key) {
                    self.released(at, &name);
                }
            }
            _ => {}
        }
    }

    /// An instance is given back: of one that never came or was not yet asked for traffic nobody knows
    /// whether it would have.
    fn released(&mut self, at: Timestamp, name: &ServerName) {
        match self.instances.get(name) {
            Some((_, instance)) if instance.joined => self.gone(at, name, false),
            _ => drop(self.instances.remove(name)),
        }
    }

    /// Of everything that is under way no more is known than that it has lasted until now.
    fn cut_all(&mut self, at: Timestamp) {
        let servers: Vec<ServerName> = self.under_way.keys().cloned().collect();
        servers.iter().for_each(|server| self.cut_off(at, server));
        let waiting: Vec<Key> = self.orders.keys().cloned().collect();
        waiting.iter().for_each(|key| self.lasts(key, at, Length::AtLeast));
    }

    fn end(&mut self, at: Timestamp) {
        self.cut_all(at);
        let left: Vec<ServerName> = self.instances.keys().cloned().collect();
        left.iter().for_each(|name| self.released(at, name));
    }
}
