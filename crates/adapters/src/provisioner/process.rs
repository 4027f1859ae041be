//! Surge as processes of this machine.
//!
//! The receiver is *observed*: every process is written down, and tagged in its environment,
//! before it starts; its number is kept together with the moment of its start, so that a later
//! process with the same number is never taken for it. Processes outlive presurge, and whoever
//! asks next finds them.

mod instance;
mod ports;
mod ready;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::config::PositiveSpan;
use domain::name::ServerName;
use domain::ports::{Instance, InstanceState, PortError, Progress, Provisioner, Retry, SurgeOrder};
use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::command::{Folder, FolderError, Lock, check_env, check_words, fill, program};
use instance::{Life, Recorded, Start};
pub use ports::{BadPortRange, PortRange};
use ready::Probe;
pub use ready::{Ready, TcpReady};

/// How soon a start or an end is worth asking about again.
const POLL: Duration = Duration::from_millis(100);

/// How often the lock is tried, and the pause between two tries.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Surge instances as local processes.
///
/// In the words of `command`, `{port}` stands for a free port that the process is to listen on
/// at 127.0.0.1, `{server}` for the name of the instance, `{address}` for its `host:port`,
/// `{version}` for the version that it is to run and `{key}` for the order it belongs to. The
/// same values are in its environment as `PRESURGE_PORT`, `PRESURGE_INSTANCE`,
/// `PRESURGE_ADDRESS`, `PRESURGE_VERSION` and `PRESURGE_KEY`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ProcessConfig {
    /// The program and its arguments: `["./server", "--port", "{port}"]`. It must stay in the
    /// foreground. A program with a slash is relative to the file that names it.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// The ports that may be given out, both ends included: `20000-20100`.
    pub ports: PortRange,
    /// When a process counts as running; when its port accepts connections, unless given.
    #[serde(default)]
    pub ready: Ready,
    /// Set on top of presurge's own environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// A process that is asked to end (SIGTERM) is killed after this long; 10s unless given.
    #[serde(default = "ten_seconds")]
    pub stop_timeout: PositiveSpan,
    /// Where it runs; the folder of the file that names this unless given.
    #[serde(default)]
    pub working_directory: Option<PathBuf>,
}

fn ten_seconds() -> PositiveSpan {
    PositiveSpan::seconds(10)
}

/// A provisioner of local processes.
#[derive(Debug, Clone)]
pub struct Processes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: ProcessConfig,
    base: PathBuf,
    folder: PathBuf,
    root: Folder,
    probe: Probe,
    children: Mutex<Vec<Child>>,
}

/// Why an order cannot be carried out.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("{name} belongs to another order, {key}; no instance is in two orders")]
    OtherOrder { name: ServerName, key: String },
    #[error("all ports of {ports} are in use; give a wider range, or end what listens there")]
    NoPort { ports: String },
    #[error("{0}")]
    Words(String),
}

impl Trouble {
    fn retry(&self) -> Retry {
        match self {
            Self::Folder(error) => error.retry(),
            Self::NoPort { .. } => Retry::Backoff,
            Self::OtherOrder { .. } | Self::Words(_) => Retry::Never,
        }
    }

    fn port(self, operation: &str) -> PortError {
        let retry = self.retry();
        match self {
            Self::Folder(error) => PortError::new("process", operation, retry, error),
            other => PortError::new("process", operation, retry, other),
        }
    }
}

impl Processes {
    /// A provisioner whose processes are recorded under `state`; nothing is started yet.
    /// Relative paths are relative to `base`. Each fleet needs a `state` of its own.
    ///
    /// # Errors
    /// A configuration that can never work.
    pub fn new(config: ProcessConfig, base: &Path, state: &Path) -> Result<Self, PortError> {
        let refused =
            |why: String| PortError::new("process", "read the configuration", Retry::Never, why);
        let known = ["port", "server", "address", "version", "key"];
        check_words("command", &config.command, &known)
            .and_then(|()| check_env(&config.env))
            .map_err(|error| refused(error.to_string()))?;
        let probe = Probe::new(&config.ready).map_err(refused)?;
        let absolute =
            |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let base = absolute(base);
        let folder = base.join(config.working_directory.clone().unwrap_or_default());
        let root = Folder::new(absolute(state).join("instances"));
        let children = Mutex::default();
        Ok(Self(Arc::new(Inner { config, base, folder, root, probe, children })))
    }

    async fn aside<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Inner) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, PortError> {
        let inner = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        let lost = |error| PortError::new("process", operation, Retry::Backoff, error);
        done.map_err(lost)?.map_err(|error| error.port(operation))
    }

    /// What is recorded, as the port reports it; asks those that are not known to be ready.
    async fn report(&self, recorded: Vec<Recorded>) -> Vec<Instance> {
        join_all(recorded.into_iter().map(|recorded| async move {
            let state = match recorded.life() {
                Life::NotBegun => InstanceState::Booting,
                Life::Ended => InstanceState::Lost,
                Life::Lives if recorded.was_ready() => InstanceState::Running,
                Life::Lives if self.0.probe.passes(recorded.port()).await => {
                    // Not written down: it is asked again next time.
                    let _ = recorded.set_ready();
                    InstanceState::Running
                }
                Life::Lives => InstanceState::Booting,
            };
            recorded.instance(state)
        }))
        .await
    }
}

impl Inner {
    fn lock(&self) -> Result<Lock, FolderError> {
        self.root.make()?;
        for _ in 0..LOCK_TRIES {
            if let Some(lock) = Lock::take(&self.root)? {
                return Ok(lock);
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        Err(FolderError::Locked { path: Lock::path(&self.root) })
    }

    /// Everything that is recorded, in the order of names.
    fn recorded(&self) -> Result<Vec<Recorded>, FolderError> {
        let mut children = self.children.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        drop(children);
        let folders = self.root.folders()?;
        let read = folders.into_iter().map(Recorded::read);
        read.filter_map(Result::transpose).collect()
    }

    /// Starts and ends what is to be, and returns the wanted instances, and whether anything is
    /// still on its way out. The lock is held, so that nobody else does the same.
    fn make_so(&self, order: &SurgeOrder) -> Result<(Vec<Recorded>, bool), Trouble> {
        let lock = self.lock()?;
        let recorded = self.recorded()?;
        let wanted: BTreeSet<&ServerName> = order.names.iter().collect();
        let mut starts = Vec::new();
        for name in &wanted {
            match recorded.iter().find(|one| one.name() == *name) {
                Some(one) if *one.key() != order.key => {
                    let (name, key) = ((*name).clone(), one.key().to_string());
                    return Err(Trouble::OtherOrder { name, key });
                }
                Some(one) if one.is_stopping() || one.life() != Life::NotBegun => {}
                _ => starts.push(*name),
            }
        }
        let mut ending = false;
        for one in recorded.iter().filter(|one| *one.key() == order.key) {
            if !wanted.contains(one.name()) || one.is_stopping() {
                ending |= !one.stop(self.config.stop_timeout.duration())?;
            }
        }
        let mut taken: BTreeSet<u16> = recorded.iter().map(Recorded::port).collect();
        for name in starts {
            let port = self
                .config
                .ports
                .free(&taken)
                .ok_or_else(|| Trouble::NoPort { ports: self.config.ports.to_string() })?;
            taken.insert(port);
            self.start(&lock, order, name, port)?;
        }
        drop(lock);
        let now = self.recorded()?.into_iter().filter(|one| *one.key() == order.key);
        Ok((now.filter(|one| wanted.contains(one.name())).collect(), ending))
    }

    fn start(
        &self,
        lock: &Lock,
        order: &SurgeOrder,
        name: &ServerName,
        port: u16,
    ) -> Result<(), Trouble> {
        let (port_text, address) = (port.to_string(), format!("127.0.0.1:{port}"));
        let version = order.version.as_ref().map(|version| version.as_str());
        let values = [
            ("port", Some(port_text.as_str())),
            ("server", Some(name.as_str())),
            ("address", Some(address.as_str())),
            ("version", version),
            ("key", Some(order.key.as_str())),
        ];
        let mut words = fill("command", &self.config.command, name.as_str(), &values)
            .map_err(|error| Trouble::Words(error.to_string()))?;
        program(&mut words, &self.base);
        if words[0].contains('/') && !Path::new(&words[0]).is_file() {
            let why = format!("command: there is no program {}", words[0]);
            return Err(Trouble::Words(why));
        }
        let start = Start { order, name, port, words, env: &self.config.env, folder: &self.folder };
        let child = start.run(&self.root, lock)?;
        self.children.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(child);
        Ok(())
    }
}

#[async_trait]
impl Provisioner for Processes {
    async fn observe(&self) -> Result<Vec<Instance>, PortError> {
        let recorded = self.aside("look at the processes", |inner| Ok(inner.recorded()?)).await?;
        // On its way out and ended: it was given back.
        let listed =
            recorded.into_iter().filter(|one| !one.is_stopping() || one.life() == Life::Lives);
        Ok(self.report(listed.collect()).await)
    }

    async fn ensure_surge(&self, order: &SurgeOrder) -> Result<Progress<Vec<Instance>>, PortError> {
        let wish = order.clone();
        let made = self.aside("start and end processes", move |inner| inner.make_so(&wish));
        let (recorded, mut ending) = made.await?;
        ending |= recorded.iter().any(Recorded::is_stopping);
        let instances = self.report(recorded).await;
        let booting = instances.iter().any(|one| one.state == InstanceState::Booting);
        let all = instances.len() == order.names.iter().collect::<BTreeSet<_>>().len();
        if all && !booting && !ending {
            return Ok(Progress::Done(instances));
        }
        Ok(Progress::Pending { poll_after: POLL })
    }
}
