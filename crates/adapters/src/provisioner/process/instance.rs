//! One process: what is written down of it, how it starts, lives and ends.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use domain::name::{Key, OfferName, ServerName, Version};
use domain::ports::{Clock as _, Instance, InstanceState, SurgeOrder};
use jiff::Timestamp;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::clock::SystemClock;
use crate::command::{Folder, FolderError, Lock, Process, boot_id, escape, tagged_group};

/// The environment variable that marks a process: the folder it is recorded in.
const TAG: &str = "PRESURGE_HOME";

/// What the log is cut into on disk, in bytes; there are at most three pieces, each at most
/// twice as large.
const LOG_PIECE: usize = 32 << 10;

const WRAPPER: &str = concat!(include_str!("../../command/keep.sh"), include_str!("wrapper.sh"));

/// What is written down before a process starts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Order {
    name: ServerName,
    key: Key,
    offer: OfferName,
    version: Option<Version>,
    port: u16,
    boot_id: String,
}

/// A process that is to be started.
pub(super) struct Start<'a> {
    pub(super) order: &'a SurgeOrder,
    pub(super) name: &'a ServerName,
    pub(super) port: u16,
    pub(super) words: Vec<String>,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) folder: &'a Path,
}

impl Start<'_> {
    /// Writes the process down and starts it. The child holds the lock until it has left its
    /// number, so that whoever takes the lock next finds each process either recorded or never
    /// begun.
    pub(super) fn run(self, root: &Folder, lock: &Lock) -> Result<Child, FolderError> {
        let home = Folder::new(root.path().join(escape(self.name.as_str())));
        home.make()?;
        home.remove(&["started", "ready", "stopping", "asked", "pipe", "log.new"])?;
        let order = Order {
            name: self.name.clone(),
            key: self.order.key.clone(),
            offer: self.order.offer.clone(),
            version: self.order.version.clone(),
            port: self.port,
            boot_id: boot_id(),
        };
        home.write("order.json", &serde_json::to_vec_pretty(&order).expect("plain data"))?;
        let failed = |source| FolderError::Start { folder: self.folder.to_path_buf(), source };
        Command::new("/bin/sh")
            .args(["-c", WRAPPER, "presurge-process"])
            .arg(home.path())
            .arg(LOG_PIECE.to_string())
            .args(&self.words)
            .envs(self.env)
            .env(TAG, home.path())
            .env("PRESURGE_INSTANCE", self.name.as_str())
            .env("PRESURGE_KEY", self.order.key.as_str())
            .env("PRESURGE_PORT", self.port.to_string())
            .env("PRESURGE_ADDRESS", format!("127.0.0.1:{}", self.port))
            .env("PRESURGE_VERSION", self.order.version.as_ref().map_or("", |one| one.as_str()))
            .current_dir(self.folder)
            .stdin(Stdio::from(lock.share().map_err(failed)?))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(failed)
    }
}

/// Whether a recorded process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Written down, and not begun.
    NotBegun,
    /// It runs.
    Lives,
    /// It ran, and does no more.
    Ended,
}

/// A process as it is recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    home: Folder,
    order: Order,
    process: Option<Process>,
    /// Its record is not whole, or from before the machine's last start: it cannot live.
    past: bool,
    stopping: Option<Timestamp>,
    asked: bool,
    ready: bool,
}

impl Recorded {
    /// Reads a record; `None` when the folder holds none.
    pub(super) fn read(home: Folder) -> Result<Option<Self>, FolderError> {
        let hidden = home.path().file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        let order = if hidden { None } else { home.read("order.json")? };
        let Some(order) = order else { return Ok(None) };
        let order: Order = home.parse("order.json", &order)?;
        let text = |name| Ok(home.read(name)?.map(|b| String::from_utf8_lossy(&b).into_owned()));
        let started = text("started")?;
        let process = started.as_deref().and_then(Process::parse);
        let past = order.boot_id != boot_id() || (started.is_some() && process.is_none());
        // A moment that cannot be read is long ago: the process is killed, not asked twice.
        let stopping =
            text("stopping")?.map(|at| at.trim().parse().unwrap_or(Timestamp::UNIX_EPOCH));
        let (asked, ready) = (home.read("asked")?.is_some(), home.read("ready")?.is_some());
        Ok(Some(Self { home, order, process, past, stopping, asked, ready }))
    }

    pub(super) fn name(&self) -> &ServerName {
        &self.order.name
    }

    pub(super) fn key(&self) -> &Key {
        &self.order.key
    }

    pub(super) fn port(&self) -> u16 {
        self.order.port
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    pub(super) fn was_ready(&self) -> bool {
        self.ready
    }

    pub(super) fn set_ready(&self) -> Result<(), FolderError> {
        self.home.write("ready", b"")
    }

    pub(super) fn life(&self) -> Life {
        match &self.process {
            _ if self.past => Life::Ended,
            None => Life::NotBegun,
            Some(process) if process.lives() => Life::Lives,
            Some(_) => Life::Ended,
        }
    }

    /// One step towards its end; true when nothing is left. Only under the lock.
    pub(super) fn stop(&self, patience: Duration) -> Result<bool, FolderError> {
        if let (Some(process), false) = (&self.process, self.past) {
            let now = SystemClock.now();
            // Written down before the signal: otherwise its end would look like a loss.
            if self.stopping.is_none() {
                self.home.write("stopping", now.to_string().as_bytes())?;
            }
            if process.lives() {
                let waited = now.duration_since(self.stopping.unwrap_or(now)).unsigned_abs();
                if waited >= patience {
                    process.signal_group(Signal::KILL);
                } else if !self.asked {
                    process.signal_group(Signal::TERM);
                    self.home.write("asked", b"")?;
                }
                return Ok(false);
            }
            // It is gone; what it started may not be.
            if !tagged_group(process, TAG, &self.home.path().to_string_lossy()).is_empty() {
                process.signal_group(Signal::KILL);
                return Ok(false);
            }
        }
        self.forget()?;
        Ok(true)
    }

    /// Takes the record away as a whole.
    fn forget(&self) -> Result<(), FolderError> {
        let path = self.home.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let gone = Folder::new(path.with_file_name(format!(".{name}")));
        gone.destroy()?;
        self.home.rename_to(&gone)?;
        gone.destroy()
    }

    pub(super) fn instance(&self, state: InstanceState) -> Instance {
        Instance {
            name: self.order.name.clone(),
            key: self.order.key.clone(),
            address: Some(format!("127.0.0.1:{}", self.order.port)),
            state,
        }
    }
}
