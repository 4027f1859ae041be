//! Outside commands that outlive the process that started them.
//!
//! A command runs once under its key, whoever asks for it and however often. It is written down
//! before it starts, runs detached in a process group of its own under a small shell wrapper, and
//! is asked about afterwards: the wrapper holds a lock as long as it lives, keeps the end of the
//! output, kills what runs too long, and leaves the exit code by an atomic rename. So whoever
//! asked may be killed at any moment: the next one who asks under the same key finds the command
//! not begun, running, or ended.
//!
//! This is for Linux (`/proc`, `flock`), on a local file system.

pub(crate) mod ask;
mod folder;
mod process;
mod words;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use domain::name::Key;
use serde::{Deserialize, Serialize};

pub use ask::{Answer, ask};
pub use folder::FolderError;
pub(crate) use folder::{Folder, Lock, escape};
pub(crate) use process::{Process, boot_id, tagged_group};
pub(crate) use words::{check_env, check_words, fill, program};

/// The most that is kept of the output of a command, in bytes.
pub const MAX_LOG: usize = 64 << 10;

/// What the log is cut into on disk, in bytes; there are at most three pieces, each at most
/// twice as large.
const LOG_PIECE: usize = MAX_LOG / 2;

/// After its time is over and it was asked to end, a command is killed after so many seconds.
const KILL_AFTER_SECONDS: u32 = 5;

/// How often a command that was interrupted is run again at most, the first run included.
const MAX_RUNS: u32 = 3;

/// The environment variable that marks the processes of a command: the folder it is recorded in.
const TAG: &str = "PRESURGE_COMMAND";

const WRAPPER: &str = concat!(include_str!("command/keep.sh"), include_str!("command/wrapper.sh"));

/// A command, asked for under a key.
#[derive(Debug, Clone)]
pub struct Call {
    /// The same key has one run.
    pub key: Key,
    /// The program and its arguments; no shell looks at them.
    pub words: Vec<String>,
    /// Set on top of the environment of this process.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub folder: PathBuf,
    /// After this long it is killed with everything it started. Whole seconds, at least one.
    pub timeout: Duration,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// It has begun and not ended.
    Running,
    /// It has ended by itself.
    Exited {
        /// Its exit code; 128 and the number of the signal if one ended it.
        code: i32,
        /// The end of its output.
        log: String,
    },
    /// It was killed because it ran too long.
    TimedOut {
        /// The end of its output.
        log: String,
    },
    /// It was cut short together with its wrapper: it may have had its effect or not.
    Interrupted {
        /// What is known.
        detail: String,
    },
}

/// The commands that were run from one state folder.
#[derive(Debug)]
pub struct Commands {
    root: PathBuf,
    children: Mutex<Vec<Child>>,
}

/// What is written down before a command starts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Order {
    key: Key,
    command: Vec<String>,
    folder: PathBuf,
    timeout_seconds: u64,
    boot_id: String,
    run: u32,
}

impl Commands {
    /// The commands recorded under `state/commands`. Nothing is made yet.
    pub fn new(state: &Path) -> Self {
        let state = std::path::absolute(state).unwrap_or_else(|_| state.to_path_buf());
        Self { root: state.join("commands"), children: Mutex::default() }
    }

    /// Starts the command if it was never started under its key, and says how far it is.
    ///
    /// # Errors
    /// The state folder cannot be used, or no process can be started. The command has not begun.
    pub fn ensure(&self, call: &Call) -> Result<Run, FolderError> {
        self.begin(call, |judged| matches!(judged, Judged::NotBegun))
    }

    /// The same, but a command that was interrupted is run again, a few times at most.
    ///
    /// # Errors
    /// As [`Commands::ensure`].
    pub fn ensure_again(&self, call: &Call) -> Result<Run, FolderError> {
        self.begin(call, |judged| match judged {
            Judged::NotBegun => true,
            Judged::Begun { run, answer } => {
                matches!(answer, Run::Interrupted { .. }) && *run < MAX_RUNS
            }
        })
    }

    /// How far the command of a key is; `None` when it has never begun.
    ///
    /// # Errors
    /// The state folder cannot be read.
    pub fn look(&self, key: &Key) -> Result<Option<Run>, FolderError> {
        self.reap();
        let folder = self.folder(key);
        if !folder.exists() {
            return Ok(None);
        }
        let Some(_lock) = Lock::take(&folder)? else { return Ok(Some(Run::Running)) };
        Ok(match judge(&folder)? {
            Judged::NotBegun => None,
            Judged::Begun { answer, .. } => Some(answer),
        })
    }

    fn folder(&self, key: &Key) -> Folder {
        Folder::new(self.root.join(escape(key.as_str())))
    }

    fn begin(&self, call: &Call, starts: impl Fn(&Judged) -> bool) -> Result<Run, FolderError> {
        self.reap();
        let folder = self.folder(&call.key);
        folder.make()?;
        let Some(lock) = Lock::take(&folder)? else { return Ok(Run::Running) };
        let judged = judge(&folder)?;
        let starting = starts(&judged);
        match judged {
            Judged::NotBegun => self.start(&folder, lock, call, 1)?,
            Judged::Begun { run, .. } if starting => self.start(&folder, lock, call, run + 1)?,
            Judged::Begun { answer, .. } => return Ok(answer),
        }
        Ok(Run::Running)
    }

    /// The lock goes over to the wrapper as its standard input.
    fn start(&self, folder: &Folder, lock: Lock, call: &Call, run: u32) -> Result<(), FolderError> {
        let order = Order {
            key: call.key.clone(),
            command: call.words.clone(),
            folder: call.folder.clone(),
            timeout_seconds: call.timeout.as_secs().max(1),
            boot_id: boot_id(),
            run,
        };
        folder.remove(&[
            "started", "exit", "expired", "ended", "logged", "pipe", "log.old", "log", "log.new",
        ])?;
        folder.write("order.json", &serde_json::to_vec_pretty(&order).expect("plain data"))?;
        let child = Command::new("/bin/sh")
            .args(["-c", WRAPPER, "presurge-command"])
            .arg(folder.path())
            .args([order.timeout_seconds.to_string(), KILL_AFTER_SECONDS.to_string()])
            .arg(LOG_PIECE.to_string())
            .args(&call.words)
            .envs(&call.env)
            .env(TAG, folder.path())
            .current_dir(&call.folder)
            .stdin(Stdio::from(lock.into_file()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| FolderError::Start { folder: call.folder.clone(), source })?;
        self.children.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(child);
        Ok(())
    }

    /// Lets the wrappers that have ended go.
    fn reap(&self) {
        let mut children = self.children.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }
}

/// What a folder says of its command, while no wrapper holds its lock.
enum Judged {
    NotBegun,
    Begun { run: u32, answer: Run },
}

fn judge(folder: &Folder) -> Result<Judged, FolderError> {
    let Some(order) = folder.read("order.json")? else { return Ok(Judged::NotBegun) };
    let order: Order = folder.parse("order.json", &order)?;
    let begun = |answer| Ok(Judged::Begun { run: order.run, answer });
    let interrupted = |why: &str| {
        let detail = format!("{why}; see {}", folder.path().display());
        begun(Run::Interrupted { detail })
    };
    if let Some(exit) = folder.read("exit")? {
        let exit = String::from_utf8_lossy(&exit).trim().to_owned();
        let log = log(folder)?;
        return match exit.parse() {
            Ok(code) => begun(Run::Exited { code, log }),
            Err(_) if exit == "timeout" => begun(Run::TimedOut { log }),
            Err(_) => interrupted("its exit code was not written to the end"),
        };
    }
    if order.boot_id != boot_id() {
        return interrupted("the machine was restarted before the command had ended");
    }
    let Some(started) = folder.read("started")? else { return Ok(Judged::NotBegun) };
    let Some(wrapper) = Process::parse(&String::from_utf8_lossy(&started)) else {
        return interrupted("its start was not written to the end");
    };
    // The wrapper is gone; what it started may not be.
    if tagged_group(&wrapper, TAG, &folder.path().to_string_lossy()).is_empty() {
        return interrupted("the command was killed together with its wrapper");
    }
    begun(Run::Running)
}

/// The end of the output: the pieces of the log, oldest first.
fn log(folder: &Folder) -> Result<String, FolderError> {
    let mut bytes = Vec::new();
    for piece in ["log.old", "log", "log.new"] {
        bytes.extend(folder.read(piece)?.unwrap_or_default());
    }
    let start = bytes.len().saturating_sub(MAX_LOG);
    Ok(String::from_utf8_lossy(&bytes[start..]).trim().to_owned())
}
