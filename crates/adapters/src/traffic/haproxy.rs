//! HAProxy over its runtime API, on a unix socket or over TCP.
//!
//! *Observed*: what HAProxy was told lives until its next reload, so every call looks first and
//! changes only what differs. Two things it cannot know: requests that the process before a
//! reload still holds (its sessions are not in the new process's counts: set `hard-stop-after`,
//! or do not reload during a rollout), and checks of a server in maintenance, which HAProxy does
//! not make (servers are drained instead, which keeps them).

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use domain::config::PositiveSpan;
use domain::name::ServerName;
use domain::ports::{
    Admission, Backend, Drained, PortError, Progress, Retry, Target, Traffic, Wanted,
};
use schemars::JsonSchema;
use serde::Deserialize;

mod runtime;
mod table;
#[cfg(test)]
mod tests;

use runtime::{Failure, Runtime};
use table::{Server, Table};

/// Ask again after this long while requests end.
const DRAIN_POLL: std::time::Duration = std::time::Duration::from_millis(100);

/// Ask again after this long while a health check has not passed yet.
const CHECK_POLL: std::time::Duration = std::time::Duration::from_millis(200);

/// So many looks are taken, one right after the other, for ended connections to be gone.
const LOOKS_AFTER_CUT: usize = 20;

/// The full weight of an added server when the backend has no other server to be like.
const LONE_WEIGHT: u32 = 100;

/// HAProxy 2.5 or newer, over its runtime API at level `admin`.
///
/// A server of the fleet has the name of its `server` line. Give the servers `weight 100` rather
/// than HAProxy's default of 1, so that weights can rise in small steps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HaproxyConfig {
    /// The unix socket of the line `stats socket PATH level admin`; this or `address`.
    #[serde(default)]
    pub socket: Option<std::path::PathBuf>,
    /// `host:port` of the line `stats socket ipv4@HOST:PORT level admin`; this or `socket`.
    #[serde(default)]
    pub address: Option<String>,
    /// The backend with the servers of the fleet.
    pub backend: String,
    /// The longest that one command may take; 5s unless given.
    #[serde(default = "default_timeout")]
    pub timeout: PositiveSpan,
    /// What follows name and address where a surge server is added: HAProxy does not apply the
    /// backend's `default-server` line there. `check inter 500ms rise 1 fall 2` unless given.
    #[serde(default = "default_add_options")]
    pub add_options: String,
}

fn default_timeout() -> PositiveSpan {
    PositiveSpan::seconds(5)
}

fn default_add_options() -> String {
    "check inter 500ms rise 1 fall 2".into()
}

/// HAProxy as a load balancer.
#[derive(Debug)]
pub struct Haproxy {
    runtime: Runtime,
    backend: String,
    /// The number of the backend among the proxies, once it is known.
    proxy: AtomicI64,
    add_options: String,
}

/// In the place of the number of a proxy.
const EVERY_PROXY: i64 = -1;

impl Haproxy {
    /// An adapter; nothing is opened yet. A relative `socket` is relative to `base_dir`.
    ///
    /// # Errors
    /// A configuration that can never work.
    pub fn new(config: HaproxyConfig, base_dir: &Path) -> Result<Self, PortError> {
        let wrong = |reason: &str| {
            PortError::new("haproxy", "read the configuration", Retry::Never, reason)
        };
        let timeout = config.timeout.duration();
        let runtime = match (config.socket, config.address) {
            (Some(path), None) => Runtime::unix(base_dir.join(path), timeout),
            (None, Some(address)) if is_address(&address) => Runtime::tcp(address, timeout),
            (None, Some(_)) => return Err(wrong("address is not host:port")),
            _ => return Err(wrong("give either socket or address")),
        };
        if !is_haproxy_name(&config.backend) {
            return Err(wrong("backend is not the name of a HAProxy backend"));
        }
        if config.add_options.contains(|c: char| c.is_control() || c == ';' || c == '\\') {
            return Err(wrong("addOptions has a character that would begin another command"));
        }
        let proxy = AtomicI64::new(EVERY_PROXY);
        Ok(Self { runtime, backend: config.backend, proxy, add_options: config.add_options })
    }

    fn failed(&self, operation: impl Into<String>, failure: Failure) -> PortError {
        let adapter = format!("haproxy at {}", self.runtime.place());
        PortError::new(adapter, operation, failure.retry, failure.reason)
    }

    async fn read(&self) -> Result<Table, PortError> {
        let backend = &self.backend;
        let read = async {
            let known = self.proxy.load(Ordering::Relaxed);
            let table = self.read_proxy(known).await?;
            match table.proxy() {
                Some(proxy) if proxy != known => {
                    self.proxy.store(proxy, Ordering::Relaxed);
                    // After a reload another proxy may have the number.
                    if known == EVERY_PROXY { Ok(table) } else { self.read_proxy(proxy).await }
                }
                _ => Ok(table),
            }
        };
        read.await.map_err(|failure| self.failed(format!("read backend {backend}"), failure))
    }

    /// Reads the servers of the backend, which are looked for among those of one proxy: asked by name,
    /// HAProxy shows a frontend of that name, and those of every proxy are many.
    async fn read_proxy(&self, proxy: i64) -> Result<Table, Failure> {
        let command = format!("show servers state {};show stat {proxy} 4 -1", self.backend);
        Table::parse(&self.runtime.ask(&command).await?, &self.backend)
    }

    /// Sends a command that answers nothing when it worked.
    async fn order(&self, command: &str) -> Result<(), PortError> {
        let answer = self.runtime.ask(command).await;
        let answer = answer.map_err(|failure| self.failed(command, failure))?;
        match answer.trim() {
            "" => Ok(()),
            text => Err(self.failed(command, Failure::refused(text))),
        }
    }

    async fn set(&self, server: &ServerName, what: &str) -> Result<(), PortError> {
        self.order(&format!("set server {}/{server} {what}", self.backend)).await
    }

    async fn add(&self, target: &Target, weight: u32) -> Result<(), PortError> {
        let Some(address) = &target.address else {
            let reason = "HAProxy does not know it, and its address is not known either";
            return Err(self.failed(format!("add {}", target.server), Failure::never(reason)));
        };
        let (backend, server, options) = (&self.backend, &target.server, &self.add_options);
        let command = format!("add server {backend}/{server} {address} weight {weight} {options}");
        let answer = self.runtime.ask(&command).await;
        let answer = answer.map_err(|failure| self.failed(&command, failure))?;
        match answer.trim() {
            "New server registered." => Ok(()),
            // Somebody, or a call that was cut short, was faster.
            text if text.starts_with("Already exists a server") => Ok(()),
            text => Err(self.failed(command, Failure::refused(text))),
        }
    }

    async fn admit(&self, target: &Target, percent: u8) -> Result<Progress<Drained>, PortError> {
        let name = &target.server;
        let never = |reason: String| self.failed(format!("admit {name}"), Failure::never(reason));
        if !(1..=100).contains(&percent) {
            return Err(never(format!("a weight is 1 to 100 percent, not {percent}")));
        }
        let bad = |address: &String| !is_address(address);
        if let Some(address) = target.address.as_ref().filter(|address| bad(address)) {
            return Err(never(format!("{address:?} is not host:port")));
        }
        let table = self.read().await?;
        let server = match table.find(name) {
            Some(server) => server.clone(),
            None => {
                self.add(target, table.usual_weight().unwrap_or(LONE_WEIGHT)).await?;
                let Some(added) = self.read().await?.find(name).cloned() else {
                    return Ok(Progress::Pending { poll_after: CHECK_POLL });
                };
                added
            }
        };
        let Some(weight) = server.weight_at(percent) else {
            return Err(never("its server line says weight 0; give it a weight".into()));
        };
        let changed = self.put_in_service(name, &server, weight).await?;
        let server = if changed { self.read().await?.find(name).cloned() } else { Some(server) };
        Ok(match server {
            Some(server) if server.serves() => Progress::Done(Drained::default()),
            _ => Progress::Pending { poll_after: CHECK_POLL },
        })
    }

    /// Sends what is missing for a server to get requests; says whether anything was.
    async fn put_in_service(
        &self,
        name: &ServerName,
        server: &Server,
        weight: u32,
    ) -> Result<bool, PortError> {
        let (asleep, heavy) = (server.check_sleeps(), server.user_weight != weight);
        if asleep {
            self.order(&format!("enable health {}/{name}", self.backend)).await?;
        }
        if heavy {
            self.set(name, &format!("weight {weight}")).await?;
        }
        if server.is_out() {
            self.set(name, "state ready").await?;
        }
        Ok(asleep || heavy || server.is_out())
    }

    async fn drain(&self, name: &ServerName) -> Result<Progress<Drained>, PortError> {
        let table = self.read().await?;
        let Some(server) = table.find(name) else {
            return Ok(Progress::Done(Drained::default()));
        };
        if server.is_out() && server.is_idle() {
            return Ok(Progress::Done(Drained::default()));
        }
        if !server.is_out() {
            // A request may have chosen this server just before: only a later look counts.
            self.set(name, "state drain").await?;
        }
        Ok(Progress::Pending { poll_after: DRAIN_POLL })
    }

    async fn cut(&self, name: &ServerName) -> Result<Progress<Drained>, PortError> {
        let waits = self.drain(name).await?;
        let Progress::Pending { .. } = waits else { return Ok(waits) };
        let under_way = match self.read().await?.find(name) {
            Some(server) if server.is_out() => server.in_flight(),
            _ => return Ok(waits),
        };
        self.order(&format!("shutdown sessions server {}/{name}", self.backend)).await?;
        // What was ended leaves within a turn or two of HAProxy's loop.
        for _ in 0..LOOKS_AFTER_CUT {
            let table = self.read().await?;
            if table.find(name).is_none_or(Server::is_idle) {
                return Ok(Progress::Done(Drained { cut: under_way }));
            }
        }
        Ok(waits)
    }

    async fn remove(&self, name: &ServerName) -> Result<Progress<Drained>, PortError> {
        let table = self.read().await?;
        let Some(server) = table.find(name) else {
            return Ok(Progress::Done(Drained::default()));
        };
        if !server.is_in_maintenance() {
            // Cuts nothing: requests under way end, new ones go elsewhere.
            self.set(name, "state maint").await?;
            return Ok(Progress::Pending { poll_after: DRAIN_POLL });
        }
        if !server.is_idle() {
            return Ok(Progress::Pending { poll_after: DRAIN_POLL });
        }
        let command = format!("del server {}/{name}", self.backend);
        let answer = self.runtime.ask(&command).await;
        let answer = answer.map_err(|failure| self.failed(&command, failure))?;
        match answer.trim() {
            "Server deleted." | "No such server." => Ok(Progress::Done(Drained::default())),
            text if text.contains("still has connections") || text.contains("in maintenance") => {
                Ok(Progress::Pending { poll_after: DRAIN_POLL })
            }
            text => Err(self.failed(command, Failure::refused(text))),
        }
    }
}

#[async_trait]
impl Traffic for Haproxy {
    async fn observe(&self) -> Result<Vec<Backend>, PortError> {
        let table = self.read().await?;
        let seen = table.servers().map(|(name, server)| Backend {
            server: name.clone(),
            address: server.address.clone(),
            state: server.state(),
            in_flight: Some(server.in_flight()),
            weight: server.percent(),
            served: server.served(),
        });
        Ok(seen.collect())
    }

    async fn ensure_admission(
        &self,
        admission: &Admission,
    ) -> Result<Progress<Drained>, PortError> {
        let target = &admission.target;
        if !is_haproxy_name(target.server.as_str()) {
            let reason = "HAProxy's names have letters, digits and . _ - : only; rename the server";
            return Err(self.failed(format!("find {}", target.server), Failure::never(reason)));
        }
        match admission.wanted {
            Wanted::Admit(percent) => self.admit(target, percent).await,
            Wanted::Drain => self.drain(&target.server).await,
            Wanted::Cut => self.cut(&target.server).await,
            Wanted::Remove => self.remove(&target.server).await,
        }
    }
}

/// Letters, digits and `. _ - :`, as HAProxy has them in names.
fn is_haproxy_name(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-:".contains(&b);
    !text.is_empty() && text.len() <= 128 && text.bytes().all(good)
}

/// `host:port` with a port above 0 and nothing that could begin another word or command.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-:[]".contains(&b);
    let port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
    !host.is_empty() && host.len() <= 253 && host.bytes().all(good) && port
}
