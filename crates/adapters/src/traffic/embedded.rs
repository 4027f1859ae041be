//! A load balancer inside this process: an HTTP proxy on hyper. The demo uses it, and whoever has
//! none; nothing need be installed.
//!
//! Servers take turns by their weight, and one with more requests under way than the others is
//! passed over. A request that failed is not sent again: what was lost shows. Servers are asked for their health over
//! HTTP; one that does not answer gets no requests.
//!
//! The receiver is *observed*: it forgets everything with its process.

mod forward;
mod members;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{
    Admission, Backend, Drained, PortError, Progress, Retry, Target, Traffic, Wanted,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use forward::Forwarder;
use members::Members;

pub use forward::Counts;

/// How soon a drain or an admission is worth asking about again.
const POLL: Duration = Duration::from_millis(20);

/// The embedded proxy.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct EmbeddedConfig {
    /// Where it listens, `host:port`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The path that servers are asked for their health; 200 is well.
    pub health: String,
    /// So often, in milliseconds.
    pub every_millis: u64,
    /// A request may take this long, in seconds.
    pub timeout_seconds: u64,
    /// At most so many requests are under way; one more is answered with 503.
    pub most_in_flight: usize,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            health: "/health".into(),
            every_millis: 100,
            timeout_seconds: 30,
            most_in_flight: 4096,
        }
    }
}

/// A wish that the proxy cannot fulfil.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0} is not known and has no address; say where it serves")]
    NoAddress(String),
    #[error("{0:?} is no address of the form host:port")]
    BadAddress(String),
    #[error("{0} is no weight; a server is admitted with 1 to 100 percent")]
    BadWeight(u8),
}

/// A running proxy. It stops listening when the last copy is dropped.
#[derive(Clone)]
pub struct Embedded {
    members: Arc<Members>,
    forwarder: Arc<Forwarder>,
    address: SocketAddr,
    _tasks: Arc<Tasks>,
}

struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl Embedded {
    /// Starts to listen, with these servers behind it, all admitted.
    pub async fn start(config: EmbeddedConfig, servers: &[Target]) -> Result<Self, PortError> {
        let failed = |source: std::io::Error| {
            let operation = format!("listening on {}", config.listen);
            PortError::new("embedded proxy", operation, Retry::Never, source)
        };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let members = Arc::new(Members::default());
        for target in servers {
            members.admit(&target.server, Some(address_of(target)?), 100);
        }
        let timeout = Duration::from_secs(config.timeout_seconds.max(1));
        let forwarder =
            Arc::new(Forwarder::new(members.clone(), timeout, config.most_in_flight.max(1)));
        let every = Duration::from_millis(config.every_millis.max(10));
        let tasks = vec![
            tokio::spawn(forward::accept(listener, forwarder.clone())),
            tokio::spawn(forward::watch(forwarder.clone(), config.health, every)),
        ];
        Ok(Self { members, forwarder, address, _tasks: Arc::new(Tasks(tasks)) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has counted since its start.
    pub fn counts(&self) -> Counts {
        self.forwarder.counts()
    }
}

fn refused(target: &Target, trouble: Trouble) -> PortError {
    let operation = format!("admitting {}", target.server);
    PortError::new("embedded proxy", operation, Retry::Never, trouble)
}

fn address_of(target: &Target) -> Result<SocketAddr, PortError> {
    let refused = |trouble| refused(target, trouble);
    let text = target.address.as_ref();
    let text = text.ok_or_else(|| refused(Trouble::NoAddress(target.server.to_string())))?;
    text.parse().map_err(|_| refused(Trouble::BadAddress(text.clone())))
}

#[async_trait]
impl Traffic for Embedded {
    async fn observe(&self) -> Result<Vec<Backend>, PortError> {
        Ok(self.members.list())
    }

    async fn ensure_admission(&self, wish: &Admission) -> Result<Progress<Drained>, PortError> {
        let name = &wish.target.server;
        let so = match wish.wanted {
            Wanted::Admit(weight) => {
                if !(1..=100).contains(&weight) {
                    return Err(refused(&wish.target, Trouble::BadWeight(weight)));
                }
                let address = match (self.members.knows(name), &wish.target.address) {
                    (true, None) => None,
                    _ => Some(address_of(&wish.target)?),
                };
                self.members.admit(name, address, weight)
            }
            Wanted::Drain => self.members.drain(name),
            Wanted::Cut => {
                return Ok(match self.members.cut(name) {
                    Some(cut) => Progress::Done(Drained { cut }),
                    None => Progress::Pending { poll_after: POLL },
                });
            }
            Wanted::Remove => self.members.remove(name),
        };
        Ok(if so {
            Progress::Done(Drained { cut: 0 })
        } else {
            Progress::Pending { poll_after: POLL }
        })
    }
}
