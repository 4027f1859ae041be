//! Who is behind the proxy, and who gets the next request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use domain::name::ServerName;
use domain::ports::{Backend, BackendState, Served};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// One server.
#[derive(Debug)]
struct Member {
    address: SocketAddr,
    /// Percent of its full share; 0 is drained.
    weight: u8,
    /// Whether its last health check passed; `None` before the first.
    well: Option<bool>,
    in_flight: Arc<AtomicU64>,
    /// Ends what is under way whenever it changes.
    cut: watch::Sender<()>,
    /// So many requests were ended since the server was admitted.
    ended: u64,
    /// The sum of 1/weight over the requests it was given: who is behind goes first.
    served: f64,
    /// Requests that it was given.
    requests: u64,
    /// Responses that it gave.
    responses: u64,
    /// The moving mean of its response times, in microseconds.
    response_micros: f64,
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
pub(super) struct Pass {
    pub(super) server: ServerName,
    pub(super) address: SocketAddr,
    /// Ready when the request shall end at once.
    pub(super) cut: BoxFuture<'static, ()>,
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
            weight: Some(member.weight),
            served: Some(Served {
                requests: member.requests,
                response_micros: (member.responses > 0)
                    .then_some(member.response_micros.round() as u64),
            }),
        };
        self.lock().iter().map(backend).collect()
    }

    /// Admits a server, adding it when it is new. Whether it gets requests.
    pub(super) fn admit(&self, name: &ServerName, address: Option<SocketAddr>, weight: u8) -> bool {
        let mut members = self.lock();
        let weight = weight.clamp(1, 100);
        let others = members.iter().filter(|(other, m)| *other != name && m.serves());
        let behind = others.map(|(_, m)| m.served).fold(0.0, later);
        match members.get_mut(name) {
            Some(member) => {
                if let Some(address) = address.filter(|a| *a != member.address) {
                    (member.address, member.well) = (address, None);
                }
                if member.weight == 0 {
                    // Its last check was of the server before the drain.
                    member.well = None;
                    member.ended = 0;
                }
                if member.weight != weight {
                    // What it was given at another weight is no measure of what it is due now.
                    member.served = behind;
                }
                member.weight = weight;
                member.serves()
            }
            None => {
                let Some(address) = address else { return false };
                let cut = watch::Sender::default();
                let member = Member {
                    address,
                    weight,
                    well: None,
                    in_flight: Arc::default(),
                    cut,
                    ended: 0,
                    served: behind,
                    requests: 0,
                    responses: 0,
                    response_micros: 0.0,
                };
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

    /// Gives a server no new requests and ends those under way. How many were ended, once none is
    /// under way any more.
    pub(super) fn cut(&self, name: &ServerName) -> Option<u64> {
        let mut members = self.lock();
        let Some(member) = members.get_mut(name) else { return Some(0) };
        member.weight = 0;
        let under_way = member.in_flight();
        if under_way > 0 {
            member.ended = under_way.max(member.ended);
            member.cut.send_replace(());
        }
        (under_way == 0).then_some(member.ended)
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

    /// The server for the next request: the one that was given the least so far for its weight,
    /// among those that have at most one request more under way than the idlest would have at
    /// their weight. So weights hold also while requests come one by one, and a server that is
    /// slow is not heaped with requests.
    pub(super) fn pick(&self) -> Option<Pass> {
        let mut members = self.lock();
        let busy = |m: &Member| m.in_flight() as f64 / f64::from(m.weight);
        let serving = members.values().filter(|m| m.serves());
        let idlest = serving.map(busy).min_by(f64::total_cmp)?;
        let free = |m: &Member| m.in_flight() as f64 <= idlest * f64::from(m.weight) + 1.0;
        let serving = members.iter_mut().filter(|(_, m)| m.serves() && free(m));
        let (name, member) = serving.min_by(|(_, a), (_, b)| {
            a.served.total_cmp(&b.served).then(busy(a).total_cmp(&busy(b)))
        })?;
        member.served += 1.0 / f64::from(member.weight);
        member.requests += 1;
        member.in_flight.fetch_add(1, Ordering::SeqCst);
        let (server, address) = (name.clone(), member.address);
        let mut cut = member.cut.subscribe();
        let cut = Box::pin(async move {
            if cut.changed().await.is_err() {
                // The server was forgotten, which ends nothing.
                std::future::pending::<()>().await;
            }
        });
        Some(Pass { server, address, cut, in_flight: member.in_flight.clone() })
    }

    /// Takes in how long a server took to answer a request.
    pub(super) fn responded(&self, name: &ServerName, took: Duration) {
        if let Some(member) = self.lock().get_mut(name) {
            member.responses += 1;
            let over = member.responses.min(Served::SMOOTHED_OVER) as f64;
            member.response_micros += (took.as_micros() as f64 - member.response_micros) / over;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn members(names: &[&str]) -> Members {
        let members = Members::default();
        for name in names {
            let (name, address) = (ServerName::new(*name).unwrap(), "127.0.0.1:1".parse().unwrap());
            members.admit(&name, Some(address), 100);
            members.checked(&name, address, true);
        }
        members
    }

    fn share(members: &Members, name: &str, count: usize) -> usize {
        let picks = (0..count).map(|_| members.pick().unwrap());
        picks.filter(|pass| pass.server.as_str() == name).count()
    }

    #[test]
    fn a_server_with_long_requests_is_passed_over() {
        let members = members(&["a", "b", "c"]);
        let mut held = Vec::new();
        while held.len() < 2 {
            held.extend(members.pick().filter(|pass| pass.server.as_str() == "a"));
        }
        assert_eq!(share(&members, "a", 60), 0, "it has two under way, the others none");
        held.pop();
        assert!(share(&members, "a", 60) >= 20, "one under way is no reason to starve it");
    }

    #[test]
    fn requests_at_once_are_spread_by_weight() {
        let members = members(&["a", "b"]);
        members.admit(&ServerName::new("a").unwrap(), None, 25);
        let held: Vec<_> = (0..100).map(|_| members.pick().unwrap()).collect();
        let a = held.iter().filter(|pass| pass.server.as_str() == "a").count();
        assert!((19..=22).contains(&a), "{a} of 100 at a quarter of the weight");
    }

    #[test]
    fn a_weight_that_rises_again_takes_effect_at_once() {
        let members = members(&["a", "b"]);
        let a = ServerName::new("a").unwrap();
        members.admit(&a, None, 1);
        assert_eq!(share(&members, "a", 202), 2);
        members.admit(&a, None, 100);
        assert_eq!(share(&members, "a", 100), 50);
        for _ in 0..3 {
            members.admit(&a, None, 100);
            assert_eq!(share(&members, "a", 2), 1, "the same weight again changes nothing");
        }
    }
}
