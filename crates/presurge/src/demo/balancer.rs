//! The load balancer in front of the fleet: the embedded one, or a private HAProxy.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use adapters::traffic::embedded::{Embedded, EmbeddedConfig};
use adapters::traffic::haproxy::{Haproxy, HaproxyConfig};
use domain::ports::{BackendState, PortError, Target, Traffic};
use tokio::process::{Child, ChildStdin, Command};

use super::fleet::{Fleet, LaunchError};
use super::settings::{IN_FLIGHT, START_TIMEOUT};

/// Which load balancer stands in front of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A small proxy within this process
    Embedded,
    /// The `haproxy` on the PATH, as a process of its own
    Haproxy,
}

/// A load balancer that does not come up.
#[derive(Debug, thiserror::Error)]
pub enum BalancerError {
    /// The program is not there, or cannot be started.
    #[error("haproxy cannot be started; install it, or use --balancer embedded")]
    Spawn(#[source] io::Error),
    /// It does not take the servers into service.
    #[error("the load balancer does not send requests to all servers after {START_TIMEOUT:?}: {0}")]
    Late(String),
    /// Its files cannot be written.
    #[error("{path} cannot be written")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No port is free.
    #[error(transparent)]
    Port(#[from] LaunchError),
    /// It does not answer.
    #[error("the load balancer does not answer")]
    Talk(#[from] PortError),
}

/// A load balancer that runs until [`Balancer::stop`].
pub struct Balancer {
    /// Where requests go.
    pub address: SocketAddr,
    /// How it is told what to do.
    pub traffic: Arc<dyn Traffic>,
    process: Option<Guarded>,
}

/// HAProxy does not end with the process that started it. A shell does that for it: it ends
/// HAProxy as soon as its standard input is closed, which the death of the demo does as well.
struct Guarded {
    shell: Child,
    leash: ChildStdin,
}

const GUARD: &str = "haproxy -db -f \"$1\" >\"$2\" 2>&1 </dev/null & it=$!; read -r _; \
                     kill -9 $it; wait $it";

impl Balancer {
    /// Starts it in front of the servers, and waits until all of them get requests. `folder` is
    /// for its files.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(
        kind: Kind,
        fleet: &Fleet,
        targets: &[Target],
        folder: &Path,
    ) -> Result<Self, BalancerError> {
        let balancer = match kind {
            Kind::Embedded => embedded(targets).await?,
            Kind::Haproxy => haproxy(fleet, targets, folder).await?,
        };
        balancer.serves(targets.len(), folder).await?;
        Ok(balancer)
    }

    async fn serves(&self, servers: usize, folder: &Path) -> Result<(), BalancerError> {
        let all = async {
            loop {
                let backends = self.traffic.observe().await.unwrap_or_default();
                let up = backends.iter().filter(|b| b.state == BackendState::InService).count();
                if up == servers {
                    return;
                }
                pause(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(START_TIMEOUT, all).await.map_err(|_| {
            let log = std::fs::read_to_string(log_file(folder)).unwrap_or_default();
            let end = log.char_indices().rev().nth(800).map_or(0, |(at, _)| at);
            BalancerError::Late(log[end..].trim().to_owned())
        })
    }

    /// Ends it and waits for that.
    pub async fn stop(self) {
        if let Some(Guarded { mut shell, leash }) = self.process {
            drop(leash);
            // It only waits for the process that it has just killed.
            let _ = shell.wait().await;
        }
    }
}

async fn embedded(targets: &[Target]) -> Result<Balancer, BalancerError> {
    let config = EmbeddedConfig { most_in_flight: 2 * IN_FLIGHT, ..EmbeddedConfig::default() };
    let proxy = Embedded::start(config, targets).await?;
    Ok(Balancer { address: proxy.address(), traffic: Arc::new(proxy), process: None })
}

async fn haproxy(
    fleet: &Fleet,
    targets: &[Target],
    folder: &Path,
) -> Result<Balancer, BalancerError> {
    let port = fleet.free_port()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (file, socket) = (folder.join("haproxy.cfg"), folder.join("haproxy.sock"));
    std::fs::write(&file, configuration(&socket, port, targets))
        .map_err(|source| BalancerError::Write { path: file.clone(), source })?;
    let (tag, value) = fleet.tag();
    let mut shell = Command::new("/bin/sh")
        .args(["-c", GUARD, "sh"])
        .args([file.as_path(), log_file(folder).as_path()])
        .env(tag, value)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(BalancerError::Spawn)?;
    let leash = shell.stdin.take();
    let leash = leash.ok_or_else(|| BalancerError::Spawn(io::Error::other("no pipe")))?;
    let config = HaproxyConfig {
        socket: Some(socket),
        address: None,
        backend: "fleet".into(),
        timeout: "2s".parse().expect("two seconds are a length of time"),
        add_options: "check inter 200ms rise 1 fall 2".into(),
    };
    let traffic = Arc::new(Haproxy::new(config, folder)?);
    Ok(Balancer { address, traffic, process: Some(Guarded { shell, leash }) })
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("haproxy.log")
}

/// No retries and no redispatch: a request that meets a server which is not there fails, so that
/// a roll that does not drain is seen to fail.
fn configuration(socket: &Path, port: u16, targets: &[Target]) -> String {
    let socket = socket.display();
    let mut text = format!(
        "global\n    stats socket {socket} mode 600 level admin\n    maxconn {}\n    nbthread 1\n\
         defaults\n    mode http\n    timeout connect 2s\n    timeout client 60s\n    \
         timeout server 60s\n    timeout queue 5s\n    retries 0\n\
         frontend all\n    bind 127.0.0.1:{port}\n    default_backend fleet\n\
         backend fleet\n    balance leastconn\n    option httpchk GET /health\n    \
         default-server check inter 200ms rise 1 fall 2 weight 100\n",
        2 * IN_FLIGHT
    );
    for target in targets {
        let address = target.address.as_deref().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    server {} {address}", target.server);
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "the start of a real process takes real time")]
async fn pause(length: Duration) {
    tokio::time::sleep(length).await;
}
