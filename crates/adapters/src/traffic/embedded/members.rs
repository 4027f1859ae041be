//! Who is behind the proxy, and who gets the next request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use domain::name::ServerName;
use domain::ports::{Backend, BackendState};

/// One server.
#[derive(Debug, Clone)]
struct Member {
    address: SocketAddr,
    /// Percent of its full share; 0 is drained.
    weight: u8,
    /// Whether its last health check passed; `None` before the first.
    well: Option<bool>,
    in_flight: Arc<AtomicU64>,
    /// The sum of 1/weight over the requests it was given: who is behind goes first.
    served: f64,
}

impl Member {
    fn serves(&self) -> bool {
        self.weight > 0 && self.well == Some(true)
    }

    fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::SeqCst)
    }
}

/// A request that is under way at a server; it counts until it is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) server: ServerName,
    pub(super) address: SocketAddr,
    in_flight: Arc<AtomicU64>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The servers behind the proxy. A request is counted under the same lock that drains a server,
/// so that a drained server never gets one more.
#[derive(Debug, Default)]
pub(super) struct Members {
    of: Mutex<BTreeMap<ServerName, Member>>,
}

impl Members {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServerName, Member>> {
        self.of.lock().expect("no panic under the lock")
    }

    pub(super) fn knows(&self, name: &ServerName) -> bool {
        self.lock().contains_key(name)
    }

    pub(super) fn list(&self) -> Vec<Backend> {
        let state = |member: &Member| match member.weight {
            0 => BackendState::Drained,
            _ if member.serves() => BackendState::InService,
            _ => BackendState::Down,
        };
        let backend = |(name, member): (&ServerName, &Member)| Backend {
            server: name.clone(),
            address: Some(member.address.to_string()),
            state: state(member),
            in_flight: Some(member.in_flight()),
        };
        self.lock().iter().map(backend).collect()
    }

    /// Admits a server, adding it when it is new. Whether it gets requests.
    pub(super) fn admit(&self, name: &ServerName, address: Option<SocketAddr>, weight: u8) -> bool {
        let mut members = self.lock();
        let behind = members.values().filter(|m| m.serves()).map(|m| m.served).fold(0.0, later);
        match members.get_mut(name) {
            Some(member) => {
                if let Some(address) = address.filter(|a| *a != member.address) {
                    (member.address, member.well) = (address, None);
                }
                if member.weight == 0 {
                    member.served = behind;
                    // Its last check was of the server before the drain.
                    member.well = None;
                }
                member.weight = weight.clamp(1, 100);
                member.serves()
            }
            None => {
                let Some(address) = address else { return false };
                let (well, in_flight) = (None, Arc::default());
                let weight = weight.clamp(1, 100);
                let member = Member { address, weight, well, in_flight, served: behind };
                members.insert(name.clone(), member);
                false
            }
        }
    }

    /// Gives a server no new requests. Whether none is under way.
    pub(super) fn drain(&self, name: &ServerName) -> bool {
        match self.lock().get_mut(name) {
            None => true,
            Some(member) => {
                member.weight = 0;
                member.in_flight() == 0
            }
        }
    }

    /// Forgets a server once no request is under way. Whether it is gone.
    pub(super) fn remove(&self, name: &ServerName) -> bool {
        let mut members = self.lock();
        let Some(member) = members.get_mut(name) else { return true };
        member.weight = 0;
        let idle = member.in_flight() == 0;
        if idle {
            members.remove(name);
        }
        idle
    }

    /// The server for the next request: the fewest under way for its weight; among equals, the
    /// one that was given the least so far.
    pub(super) fn pick(&self) -> Option<Pass> {
        let mut members = self.lock();
        let busy = |m: &Member| m.in_flight() as f64 / f64::from(m.weight);
        let order = |a: &Member, b: &Member| {
            busy(a).total_cmp(&busy(b)).then(a.served.total_cmp(&b.served))
        };
        let serving = members.iter_mut().filter(|(_, m)| m.serves());
        let (name, member) = serving.min_by(|(_, a), (_, b)| order(a, b))?;
        member.served += 1.0 / f64::from(member.weight);
        member.in_flight.fetch_add(1, Ordering::SeqCst);
        let (server, address) = (name.clone(), member.address);
        Some(Pass { server, address, in_flight: member.in_flight.clone() })
    }

    /// Everybody whose health is asked.
    pub(super) fn addresses(&self) -> Vec<(ServerName, SocketAddr)> {
        self.lock().iter().map(|(name, m)| (name.clone(), m.address)).collect()
    }

    /// Takes in what a health check of a server at an address said.
    pub(super) fn checked(&self, name: &ServerName, address: SocketAddr, well: bool) {
        if let Some(member) = self.lock().get_mut(name).filter(|m| m.address == address) {
            member.well = Some(well);
        }
    }
}

fn later(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}
