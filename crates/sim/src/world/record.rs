//! What really happened in a world, moment by moment.

use std::collections::BTreeMap;

use domain::name::{OfferName, ServerName};
use domain::ports::HookOrder;
use jiff::Timestamp;

/// What really happened, for the judgement afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Every run of a hook that has begun, in their order.
    pub hooks: Vec<HookOrder>,
    /// How often an update was begun, per server.
    pub updates: BTreeMap<ServerName, u32>,
    /// How often an instance was bought, per name.
    pub purchases: BTreeMap<ServerName, u32>,
    /// How often an update was begun under a key that had begun one on that machine.
    pub updated_twice: Vec<ServerName>,
    /// How often somebody else put another machine in the place of a server.
    pub replaced: BTreeMap<ServerName, u32>,
    /// When the load balancer was last reloaded.
    pub reloaded_at: Option<Timestamp>,
    /// The most servers of the fleet that callers had out of service at once; those that somebody
    /// else took out do not count.
    pub most_out: usize,
    /// Updates of servers that still had requests.
    pub updated_under_load: Vec<ServerName>,
    /// Every time that a server of the fleet was away, in the order of their beginnings.
    pub away: Vec<Away>,
    /// Every instance of surge that was bought, in the order of the purchases.
    pub hired: Vec<Hired>,
}

/// A time that a server of the fleet was away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    /// Which server.
    pub server: ServerName,
    /// It got no new requests from here on.
    pub out_at: Timestamp,
    /// It got requests again and was well, and carried its full load; `None`: it did not come
    /// back.
    pub back: Option<Warmed>,
}

/// When something began to carry load, and when it carried all that it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warmed {
    /// The first request.
    pub warm_at: Timestamp,
    /// Full load.
    pub full_at: Timestamp,
}

/// An instance of surge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hired {
    /// Its name.
    pub name: ServerName,
    /// From which offer.
    pub offer: OfferName,
    /// When it was ordered.
    pub ordered_at: Timestamp,
    /// When it came into service; `None`: never.
    pub joined: Option<Warmed>,
    /// When it got no new requests any more: drained, or lost.
    pub left_at: Option<Timestamp>,
    /// When it was given back, or lost.
    pub ended_at: Option<Timestamp>,
    /// Whether it ended without being asked to.
    pub lost: bool,
}

impl Facts {
    /// The server goes away, unless it is away already.
    pub(super) fn goes(&mut self, server: &ServerName, now: Timestamp) {
        if self.absent(server).is_none() {
            self.away.push(Away { server: server.clone(), out_at: now, back: None });
        }
    }

    /// The server comes back, if it is away.
    pub(super) fn returns(&mut self, server: &ServerName, back: Warmed) {
        if let Some(away) = self.absent(server) {
            away.back = Some(back);
        }
    }

    fn absent(&mut self, server: &ServerName) -> Option<&mut Away> {
        self.away.iter_mut().rev().find(|away| away.server == *server && away.back.is_none())
    }

    /// The instance of that name.
    pub(super) fn hired(&mut self, name: &ServerName) -> Option<&mut Hired> {
        self.hired.iter_mut().rev().find(|hired| hired.name == *name)
    }

    /// The instance gets requests, unless it did already.
    pub(super) fn joins(&mut self, name: &ServerName, joined: Warmed) {
        if let Some(hired) = self.hired(name) {
            hired.joined.get_or_insert(joined);
        }
    }

    /// The instance gets no more requests, unless it got none before.
    pub(super) fn leaves(&mut self, name: &ServerName, now: Timestamp) {
        if let Some(hired) = self.hired(name) {
            hired.left_at.get_or_insert(now);
        }
    }

    /// The instance costs nothing more.
    pub(super) fn ends(&mut self, name: &ServerName, now: Timestamp) {
        if let Some(hired) = self.hired(name) {
            hired.left_at.get_or_insert(now);
            hired.ended_at.get_or_insert(now);
        }
    }
}
