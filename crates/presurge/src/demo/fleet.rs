//! The server processes of the fleet: starting, replacing and ending them.
//!
//! A server ends by itself when the process that owns it is gone, however that died. Each carries
//! the mark [`TAG`] in its environment, so that anybody can count what is left.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use domain::name::{ServerName, Version};
use domain::ports::Target;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::settings::{PORTS, SERVERS, START_TIMEOUT};

/// The environment variable that every process of a demo carries: the process id of the demo.
/// Names that begin with `PRESURGE_` belong to the provisioner.
pub const TAG: &str = "DEMO_OF_PRESURGE";

/// So many ports are tried for one server.
const PORTS_TRIED: u32 = 100;

/// So often a server is started again on its old port.
const RESTARTS_TRIED: u32 = 10;

/// The most that is repeated of what a server said before it ended, in bytes.
const LAST_WORDS: u64 = 2_000;

/// A server process that did not come up.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program cannot be started.
    #[error("the server process {program} cannot be started")]
    Spawn {
        /// This very program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended before it served.
    #[error("server {name} on port {port} ended before it served: {said}")]
    Ended {
        /// Which.
        name: ServerName,
        /// Where.
        port: u16,
        /// Its last words.
        said: String,
    },
    /// It does not serve.
    #[error(
        "server {name} on port {port} does not serve after {START_TIMEOUT:?}; is the machine very busy?"
    )]
    Late {
        /// Which.
        name: ServerName,
        /// Where.
        port: u16,
    },
    /// No port is free.
    #[error("no free port on 127.0.0.1 between {} and {}", PORTS.start, PORTS.end)]
    NoPort,
}

/// A process that serves.
#[derive(Debug)]
struct Process {
    child: Child,
    port: u16,
}

/// See the module.
#[derive(Debug)]
pub struct Fleet {
    program: PathBuf,
    owner: u32,
    next_port: AtomicU16,
    running: Mutex<BTreeMap<ServerName, Process>>,
}

impl Fleet {
    /// No server yet; `program` is this program, which is its own server.
    pub fn new(program: PathBuf) -> Self {
        let owner = std::process::id();
        let range = u32::from(PORTS.end - PORTS.start);
        // Demos side by side begin to look in different places.
        let first = PORTS.start + u16::try_from(owner * 97 % range).unwrap_or(0);
        let running = Mutex::default();
        Self { program, owner, next_port: AtomicU16::new(first), running }
    }

    /// The names of the servers, whether they run or not.
    pub fn names() -> Vec<ServerName> {
        let name = |n| ServerName::new(format!("web-{n:02}")).expect("a word and a number");
        (1..=SERVERS).map(name).collect()
    }

    /// The command line of a server, without its port.
    pub fn command(&self, port: &str, version: &Version) -> Vec<String> {
        let program = self.program.display().to_string();
        let owner = self.owner.to_string();
        let words = ["demo-server", "--port", port, "--version", version.as_str(), "--owner"];
        let words = words.into_iter().map(str::to_owned);
        std::iter::once(program).chain(words).chain([owner]).collect()
    }

    /// The mark that every process of this demo carries.
    pub fn tag(&self) -> (&'static str, String) {
        (TAG, self.owner.to_string())
    }

    /// Starts all servers, and returns where they serve.
    ///
    /// # Errors
    /// The first that did not come up.
    pub async fn start(&self, version: &Version) -> Result<Vec<Target>, LaunchError> {
        let mut targets = Vec::new();
        for name in Self::names() {
            let process = self.launch_anywhere(&name, version).await?;
            let address = Some(format!("127.0.0.1:{}", process.port));
            targets.push(Target { server: name.clone(), address });
            self.running().insert(name, process);
        }
        Ok(targets)
    }

    /// Ends a server and waits for it; returns its port. Not there: `None`.
    pub async fn end(&self, name: &ServerName) -> Option<u16> {
        let process = self.running().remove(name);
        let Process { mut child, port } = process?;
        // An error means that it has ended already.
        let _ = child.kill().await;
        Some(port)
    }

    /// Starts a server again on its old port. Somebody who looks for a free port may hold it for
    /// a moment: then it is tried again.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn again(
        &self,
        name: &ServerName,
        port: u16,
        version: &Version,
    ) -> Result<(), LaunchError> {
        let mut tried = 0;
        let process = loop {
            tried += 1;
            match self.launch(name, port, version).await {
                Err(LaunchError::Ended { .. }) if tried < RESTARTS_TRIED => pause().await,
                other => break other?,
            }
        };
        self.running().insert(name.clone(), process);
        Ok(())
    }

    /// Ends all servers and waits for them.
    pub async fn stop(&self) {
        let all = std::mem::take(&mut *self.running());
        for (_, mut process) in all {
            let _ = process.child.kill().await;
        }
    }

    /// A port that nobody listens on at this moment.
    ///
    /// # Errors
    /// When there is none.
    pub fn free_port(&self) -> Result<u16, LaunchError> {
        for _ in 0..PORTS.len() {
            let port = self.next_port.fetch_add(1, Ordering::Relaxed);
            if !PORTS.contains(&port) {
                self.next_port.store(PORTS.start, Ordering::Relaxed);
                continue;
            }
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if std::net::TcpListener::bind(address).is_ok() {
                return Ok(port);
            }
        }
        Err(LaunchError::NoPort)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<ServerName, Process>> {
        self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Somebody may take a port between the look and the start: then the next one is tried.
    async fn launch_anywhere(
        &self,
        name: &ServerName,
        version: &Version,
    ) -> Result<Process, LaunchError> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.launch(name, self.free_port()?, version).await {
                Err(LaunchError::Ended { .. }) if tried < PORTS_TRIED => {}
                other => return other,
            }
        }
    }

    async fn launch(
        &self,
        name: &ServerName,
        port: u16,
        version: &Version,
    ) -> Result<Process, LaunchError> {
        let words = self.command(&port.to_string(), version);
        let (tag, value) = self.tag();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .env(tag, value)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| LaunchError::Spawn { program: words[0].clone(), source })?;
        let late = || LaunchError::Late { name: name.clone(), port };
        let ready = tokio::time::timeout(START_TIMEOUT, is_ready(&mut child)).await;
        match ready.map_err(|_| late())? {
            Ok(()) => Ok(Process { child, port }),
            Err(said) => Err(LaunchError::Ended { name: name.clone(), port, said }),
        }
    }
}

/// Returns when a server says that it is ready, or else with its last words.
async fn is_ready(child: &mut Child) -> Result<(), String> {
    let out = child.stdout.take();
    let mut lines = BufReader::new(out.ok_or("it has no standard output")?).lines();
    match lines.next_line().await {
        Ok(Some(line)) if line == "ready" => Ok(()),
        Ok(Some(line)) => Err(format!("it said {:?} instead of ready", line.get(..80))),
        Ok(None) | Err(_) => {
            let mut said = String::new();
            if let Some(errors) = child.stderr.take() {
                let _ = errors.take(LAST_WORDS).read_to_string(&mut said).await;
            }
            let _ = child.wait().await;
            Err(said.trim().to_owned())
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "ports are given back in real time")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// The longest that one look at a server may take.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
