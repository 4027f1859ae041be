use async_trait::async_trait;

use super::{PortError, Progress, Target};
use crate::name::{Key, ServerName};

/// What the load balancer shall do with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// Send it new requests, with this share of its full weight in percent, 1 to 100.
    Admit(u8),
    /// Send it no new requests, let those under way end.
    Drain,
    /// Send it no new requests, and end the connections on which some are under way.
    Cut,
    /// Forget it. Only for surge: servers of the fleet are drained, never removed.
    Remove,
}

/// A wish about one server, under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The same key has one effect.
    pub key: Key,
    /// Which server, and where it serves (needed to admit one that is not yet known).
    pub target: Target,
    /// What shall be.
    pub wanted: Wanted,
}

/// Whether the load balancer sends requests to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendState {
    /// It gets new requests.
    InService,
    /// It gets no new requests because somebody asked for that.
    Drained,
    /// It gets no new requests because its health check fails, or has not passed yet.
    Down,
}

/// A server as the load balancer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its name at the load balancer.
    pub server: ServerName,
    /// `host:port`, where the load balancer tells it.
    pub address: Option<String>,
    /// Whether it gets requests.
    pub state: BackendState,
    /// Requests under way, where the load balancer counts them.
    pub in_flight: Option<u64>,
    /// Its share of its full weight in percent, where the load balancer tells it.
    pub weight: Option<u8>,
    /// What it has served so far, where the load balancer counts it.
    pub served: Option<Served>,
}

/// What a load balancer has counted of one server. A count that falls began anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Requests that it was given since the count began.
    pub requests: u64,
    /// The mean of its response times, in microseconds, in which each new request weighs 1 /
    /// [`Served::SMOOTHED_OVER`] (an exponentially weighted moving average); as fine as the load
    /// balancer tells it, to a millisecond at worst. `None` where it does not time responses.
    pub response_micros: Option<u64>,
}

impl Served {
    /// So many requests ago one weighs a third of the newest.
    pub const SMOOTHED_OVER: u64 = 512;
}

/// How a drain ended, and of what was asked in general.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// Connections that were cut to get there.
    pub cut: u64,
}

/// The load balancer in front of a fleet.
#[async_trait]
pub trait Traffic: Send + Sync {
    /// Every server that the load balancer knows.
    async fn observe(&self) -> Result<Vec<Backend>, PortError>;

    /// Makes it so.
    ///
    /// - `Admit`: `Done` when the server gets new requests (its health check at the load balancer
    ///   passes); a server that is not known is added, which needs its address.
    /// - `Drain`: `Done` when no request is under way. Not known at all: `Done`.
    /// - `Cut`: as `Drain`, and what is under way is ended first; `Done` tells how many connections
    ///   this call has cut.
    /// - `Remove`: `Done` when it is not known any more, also when it never was. Not yet, because
    ///   requests are under way: `Pending`.
    async fn ensure_admission(&self, admission: &Admission)
    -> Result<Progress<Drained>, PortError>;
}
