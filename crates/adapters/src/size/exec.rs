//! An auto-scaler by commands: one prints its settings, one sets them.
//!
//! The adapter compares, the command sets: what is not as it is expected is never handed to the
//! command. The command runs detached, under its key, in a state folder, one after the other; one that
//! was cut short or failed runs again, for what is still to be set by then. The receiver is *observed*:
//! after a command ended well it is asked whether everything is so.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::config::PositiveSpan;
use domain::name::Key;
use domain::ports::{PortError, Progress, Retry, Size, SizeEnd, SizeOrder};
use domain::size::SizeSettings;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::command::{Call, Commands, MAX_LOG, Run, ask, check_env, check_words, program};
use crate::web::quote;

#[cfg(test)]
mod tests;

/// How soon a command under way is worth asking about again.
const POLL: Duration = Duration::from_millis(200);

/// The most characters of foreign output in an error.
const MAX_QUOTE: usize = 600;

/// The most bytes of one value in the environment: Linux takes 128 KiB in one variable.
const MAX_VALUE: usize = 100 << 10;

/// Commands that print and set the settings of an auto-scaler.
///
/// In the environment of `ensure` is what is to be set: `PRESURGE_MINIMUM`, `PRESURGE_MAXIMUM`, and, with blanks between, the members to protect and
/// not to protect any more (`PRESURGE_PROTECT`, `PRESURGE_UNPROTECT`), and the processes to suspend and
/// to resume (`PRESURGE_SUSPEND`, `PRESURGE_RESUME`); the whole as JSON in `PRESURGE_WANTED`, what was
/// found in `PRESURGE_FOUND`; and `PRESURGE_ROLLOUT`, `PRESURGE_FLEET` and `PRESURGE_KEY`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ExecSizeConfig {
    /// Prints the settings as one JSON document: `{"minimum":2,"maximum":8,"protected":["web-1"],
    /// "suspended":[]}`. It must change nothing. No shell looks at the words; a program with a slash is
    /// relative to the file that names it.
    #[schemars(length(min = 1))]
    pub observe: Vec<String>,
    /// Sets what the environment says, and ends with exit code 0 once it is so. It may run again after
    /// it was cut short.
    #[schemars(length(min = 1))]
    pub ensure: Vec<String>,
    /// `ensure` is killed, with everything it started, after this long; 1m unless given.
    #[serde(default = "one_minute")]
    pub timeout: PositiveSpan,
    /// The same for `observe`; 10s unless given.
    #[serde(default = "ten_seconds")]
    pub observe_timeout: PositiveSpan,
    /// Set on top of presurge's own environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where the commands run; the folder of the file that names this unless given.
    #[serde(default)]
    pub working_directory: Option<PathBuf>,
}

fn one_minute() -> PositiveSpan {
    PositiveSpan::seconds(60)
}

fn ten_seconds() -> PositiveSpan {
    PositiveSpan::seconds(10)
}

/// An auto-scaler by commands.
#[derive(Debug)]
pub struct ExecSize {
    config: ExecSizeConfig,
    base: PathBuf,
    folder: PathBuf,
    commands: Arc<Commands>,
    /// How many runs under a key have ended badly and were told. A new process tells the last one of
    /// them once more, and goes on.
    told: Mutex<BTreeMap<Key, u32>>,
}

impl ExecSize {
    /// An auto-scaler whose commands are recorded under `state`; nothing is run yet. Relative paths
    /// are relative to `base`.
    ///
    /// # Errors
    /// A configuration that can never work.
    pub fn new(config: ExecSizeConfig, base: &Path, state: &Path) -> Result<Self, PortError> {
        let checked = check_words("observe", &config.observe, &[])
            .and_then(|()| check_words("ensure", &config.ensure, &[]))
            .and_then(|()| check_env(&config.env));
        checked.map_err(|error| {
            PortError::new("exec", "read the configuration", Retry::Never, error.to_string())
        })?;
        let base = std::path::absolute(base).unwrap_or_else(|_| base.to_path_buf());
        let folder = base.join(config.working_directory.clone().unwrap_or_default());
        let commands = Arc::new(Commands::new(&state.join("size")));
        Ok(Self { config, base, folder, commands, told: Mutex::default() })
    }

    async fn settings(&self) -> Result<SizeSettings, PortError> {
        let failed = |retry, why: String| failed("observe", retry, why);
        let mut words = self.config.observe.clone();
        program(&mut words, &self.base);
        let limit = self.config.observe_timeout;
        let answer = ask(&words, &self.config.env, &self.folder, limit.duration()).await;
        let answer = answer.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => {
                failed(Retry::Backoff, format!("{} did not end within {limit}", words[0]))
            }
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                let folder = self.folder.display();
                let why = format!("{} in {folder}: {error}; is it there and executable?", words[0]);
                failed(Retry::Never, why)
            }
            _ => failed(Retry::Backoff, error.to_string()),
        })?;
        if answer.code != 0 {
            let said = if answer.err.trim().is_empty() { &answer.out } else { &answer.err };
            let said = quote(said.as_bytes(), MAX_QUOTE);
            let why = format!("{} ended with exit code {}: {said}", words[0], answer.code);
            return Err(failed(Retry::Backoff, why));
        }
        read(&answer.out).map_err(|why| {
            let said = quote(answer.out.as_bytes(), MAX_QUOTE);
            failed(Retry::Backoff, format!("{}: {why}; it printed: {said}", words[0]))
        })
    }

    /// The next run for an order, for what is still to be set.
    fn call(&self, order: &SizeOrder, run: u32, found: &SizeSettings) -> Result<Call, PortError> {
        let mut words = self.config.ensure.clone();
        program(&mut words, &self.base);
        let mut env = self.config.env.clone();
        let json = |settings| serde_json::to_string(settings).expect("plain data");
        let (is, wanted) = (found, &order.wanted);
        let values = [
            ("ROLLOUT", order.rollout.to_string()),
            ("FLEET", order.fleet.to_string()),
            ("KEY", order.key.to_string()),
            ("MINIMUM", wanted.minimum.to_string()),
            ("MAXIMUM", wanted.maximum.to_string()),
            ("PROTECT", added(&is.protected, &wanted.protected)),
            ("UNPROTECT", added(&wanted.protected, &is.protected)),
            ("SUSPEND", added(&is.suspended, &wanted.suspended)),
            ("RESUME", added(&wanted.suspended, &is.suspended)),
            ("FOUND", json(is)),
            ("WANTED", json(wanted)),
        ];
        for (name, value) in values {
            if value.len() > MAX_VALUE {
                let why = format!("PRESURGE_{name} has {} bytes, more than fit", value.len());
                return Err(failed("set", Retry::Never, why));
            }
            env.insert(format!("PRESURGE_{name}"), value);
        }
        let key = Key::of(&[order.key.as_str(), &run.to_string()]);
        let (folder, timeout) = (self.folder.clone(), self.config.timeout.duration());
        Ok(Call { key, words, env, folder, timeout })
    }

    /// Does file work aside, so that it keeps nobody waiting.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Commands) -> Result<T, crate::command::FolderError> + Send + 'static,
    ) -> Result<T, PortError> {
        let commands = self.commands.clone();
        let done = tokio::task::spawn_blocking(move || work(&commands)).await;
        let done = done.map_err(|error| failed("set", Retry::Backoff, error.to_string()))?;
        done.map_err(|error| PortError::new("exec", "set the auto-scaler", error.retry(), error))
    }

    fn runs_told(&self, key: &Key) -> u32 {
        let told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        told.get(key).copied().unwrap_or(0)
    }

    /// The run that just was found to have ended is told, whatever comes: another one may begin.
    fn tell(&self, key: &Key, run: u32) {
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = told.entry(key.clone()).or_default();
        *count = (*count).max(run + 1);
    }

    /// Why a run that ended did not do it.
    fn unsuccessful(&self, ended: Run, found: &SizeSettings, order: &SizeOrder) -> PortError {
        let name = &self.config.ensure[0];
        let (why, log) = match ended {
            Run::Exited { code: 0, log } => {
                let wanted = &order.wanted;
                let why = format!(
                    "{name} ended with exit code 0, and the auto-scaler is {found} instead of {wanted}"
                );
                (why, log)
            }
            Run::Exited { code, log } => (format!("{name} ended with exit code {code}"), log),
            Run::TimedOut { log } => {
                let limit = self.config.timeout;
                (format!("{name} did not end within {limit} and was killed"), log)
            }
            Run::Interrupted { detail } => (format!("{name} was interrupted"), detail),
            Run::Running => (format!("{name} is under way"), String::new()),
        };
        let said = last(&quote(log.as_bytes(), MAX_LOG));
        let said = if said.is_empty() { "it printed nothing".into() } else { said };
        failed("set", Retry::Backoff, format!("{why}: {said}"))
    }
}

/// One document, and nothing beside it.
fn read(text: &str) -> Result<SizeSettings, String> {
    let settings: SizeSettings = serde_json::from_str(text.trim()).map_err(|error| {
        format!(
            "expected the settings as one JSON document such as {{\"minimum\":2,\"maximum\":8,\
             \"protected\":[],\"suspended\":[]}}: {error}"
        )
    })?;
    match settings.absurd() {
        Some(why) => Err(why),
        None => Ok(settings),
    }
}

/// What `more` has and `set` has not, with blanks between.
fn added<T: Ord + ToString>(set: &BTreeSet<T>, more: &BTreeSet<T>) -> String {
    more.difference(set).map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// The end of a text, where the reason of a failure stands.
fn last(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(MAX_QUOTE);
    text.chars().skip(skip).collect()
}

fn failed(what: &str, retry: Retry, why: String) -> PortError {
    PortError::new("exec", format!("{what} the auto-scaler"), retry, why)
}

#[async_trait]
impl Size for ExecSize {
    async fn observe(&self) -> Result<SizeSettings, PortError> {
        self.settings().await
    }

    async fn ensure(&self, order: &SizeOrder) -> Result<Progress<SizeEnd>, PortError> {
        let run = self.runs_told(&order.key);
        let key = Key::of(&[order.key.as_str(), &run.to_string()]);
        let before = self.aside(move |commands| commands.look(&key)).await?;
        if before == Some(Run::Running) {
            return Ok(Progress::Pending { poll_after: POLL });
        }
        let found = self.settings().await?;
        if found == order.wanted {
            return Ok(Progress::Done(SizeEnd::Set));
        }
        if !found.is_between(&order.expected, &order.wanted) {
            return Ok(Progress::Done(SizeEnd::Changed(found)));
        }
        let run = match before {
            Some(Run::Interrupted { .. }) => {
                self.tell(&order.key, run);
                run + 1
            }
            Some(ended) => {
                self.tell(&order.key, run);
                return Err(self.unsuccessful(ended, &found, order));
            }
            None => run,
        };
        let call = self.call(order, run, &found)?;
        self.aside(move |commands| commands.ensure(&call)).await?;
        Ok(Progress::Pending { poll_after: POLL })
    }
}
