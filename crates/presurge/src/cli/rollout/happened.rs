//! What a rollout took out of service and brought in, when it did so: read from its journal, for the ledger.

use std::collections::BTreeMap;

use domain::event::Event;
use domain::journal::{Record, UnknownEvent};
use domain::name::{Key, OfferName, ServerName};
use jiff::Timestamp;
use plan::{Absence, Presence};

/// A batch that was out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Out {
    /// Its index in the plan of its time.
    pub index: u32,
    /// It was opened then.
    pub from: Timestamp,
    /// It was closed then, or the journal ends.
    pub to: Timestamp,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Happened {
    /// Each server that was away.
    pub absences: Vec<Absence>,
    /// Each instance of surge that carried load.
    pub presences: Vec<Presence>,
    /// The batches.
    pub batches: Vec<Out>,
}

/// What happened by the records; what has not ended with them lasts until the last one.
///
/// # Errors
/// An event that this build does not know.
pub fn happened(records: &[Record]) -> Result<Happened, UnknownEvent> {
    let mut walk = Walk::default();
    for record in records {
        walk.take(record.at, record.event()?);
    }
    if let Some(last) = records.last() {
        walk.end(last.at);
    }
    Ok(walk.seen)
}

#[derive(Default)]
struct Walk {
    seen: Happened,
    away: BTreeMap<ServerName, Timestamp>,
    orders: BTreeMap<Key, (OfferName, Vec<ServerName>)>,
    /// Instances that carry load, since when.
    carry: BTreeMap<ServerName, (OfferName, Timestamp)>,
    open: Option<(u32, Timestamp)>,
}

impl Walk {
    fn take(&mut self, at: Timestamp, event: Event) {
        match event {
            Event::BatchOpened { index, .. } => self.open = Some((index, at)),
            Event::BatchClosed { .. } => self.closed(at),
            Event::DrainStarted { server } => {
                self.away.entry(server).or_insert(at);
            }
            Event::Restored { server, warm_at } => self.back(server, at, warm_at),
            Event::SurgeOrdered { key, offer, names, .. } => {
                self.orders.insert(key, (offer, names));
            }
            Event::SurgeJoined { server, warm_at } => {
                let order = self.orders.values().find(|(_, names)| names.contains(&server));
                if let Some((offer, _)) = order {
                    self.carry.insert(server, (offer.clone(), warm_at));
                }
            }
            Event::SurgeReleasing { key } => {
                let names = self.orders.get(&key).map(|(_, names)| names.clone());
                names.into_iter().flatten().for_each(|name| self.gone(&name, at));
            }
            Event::SurgeLost { server, .. } => self.gone(&server, at),
            _ => {}
        }
    }

    fn closed(&mut self, at: Timestamp) {
        let closed = self.open.take().map(|(index, from)| Out { index, from, to: at });
        self.seen.batches.extend(closed);
    }

    fn back(&mut self, server: ServerName, warm_at: Timestamp, back_at: Timestamp) {
        if let Some(out_at) = self.away.remove(&server) {
            let (warm_at, back_at) = (warm_at.max(out_at), back_at.max(warm_at).max(out_at));
            self.seen.absences.push(Absence { servers: vec![server], out_at, warm_at, back_at });
        }
    }

    fn gone(&mut self, name: &ServerName, at: Timestamp) {
        let carried = self.carry.remove(name).filter(|(_, since)| *since < at);
        let presence =
            carried.map(|(offer, ready_at)| Presence { offer, count: 1, ready_at, release_at: at });
        self.seen.presences.extend(presence);
    }

    fn end(&mut self, at: Timestamp) {
        self.closed(at);
        for (server, out_at) in std::mem::take(&mut self.away) {
            let (warm_at, back_at) = (at.max(out_at), at.max(out_at));
            self.seen.absences.push(Absence { servers: vec![server], out_at, warm_at, back_at });
        }
        for name in self.carry.keys().cloned().collect::<Vec<_>>() {
            self.gone(&name, at);
        }
    }
}
