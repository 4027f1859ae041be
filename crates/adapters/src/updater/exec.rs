//! Any command as an updater.
//!
//! With `observe` the receiver is *observed*: a server that runs the version already is not
//! touched, and after an interruption the server is asked what became of it. Without, it is
//! *blind*: the command runs at least once, which the configuration must allow by
//! `idempotent: true`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::config::PositiveSpan;
use domain::name::{Key, ServerName, Version};
use domain::ports::{PortError, Progress, Retry, Target, UpdateOrder, UpdateState, Updater};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::command::{
    Call, Commands, Folder, FolderError, Lock, MAX_LOG, Run, ask, check_env, check_words, escape,
    fill, program,
};
use crate::web::quote;

#[cfg(test)]
mod tests;

/// How soon a command under way is worth asking about again.
const POLL: Duration = Duration::from_millis(200);

/// The most characters of foreign output in an error.
const MAX_QUOTE: usize = 600;

/// A command that brings a server to a version, and one that says what it runs.
///
/// In the words of both, `{server}` stands for the server's name and `{address}` for its
/// `host:port`; in those of `command` also `{version}` for the wanted version and `{key}` for the
/// name of this one update. No shell looks at them. The same values are in the environment as
/// `PRESURGE_SERVER`, `PRESURGE_ADDRESS`, `PRESURGE_VERSION` and `PRESURGE_KEY`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ExecConfig {
    /// The program and its arguments: `["./update.sh", "{server}", "{version}"]`. Exit code 0 is
    /// success, and means that the server runs the version. A program with a slash is relative to
    /// the file that names it.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// Prints the version that the server runs, and on a second line, if it can, something that
    /// changes with every boot. It must change nothing.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub observe: Option<Vec<String>>,
    /// The command is killed, with everything it started, after this long; 10m unless given.
    #[serde(default = "ten_minutes")]
    pub timeout: PositiveSpan,
    /// The same for `observe`; 10s unless given.
    #[serde(default = "ten_seconds")]
    pub observe_timeout: PositiveSpan,
    /// Whether the command may run again on a server where it ran before, to its end or not.
    #[serde(default)]
    pub idempotent: bool,
    /// Set on top of presurge's own environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where the commands run; the folder of the file that names this unless given.
    #[serde(default)]
    pub working_directory: Option<PathBuf>,
}

fn ten_minutes() -> PositiveSpan {
    PositiveSpan::seconds(600)
}

fn ten_seconds() -> PositiveSpan {
    PositiveSpan::seconds(10)
}

/// An updater by command.
#[derive(Debug)]
pub struct Exec {
    config: ExecConfig,
    base: PathBuf,
    folder: PathBuf,
    commands: Arc<Commands>,
    servers: Folder,
}

impl Exec {
    /// An updater whose commands are recorded under `state`; nothing is run yet. Relative paths
    /// are relative to `base`.
    ///
    /// # Errors
    /// A configuration that can never work, or that promises less than is needed.
    pub fn new(config: ExecConfig, base: &Path, state: &Path) -> Result<Self, PortError> {
        let checked =
            check_words("command", &config.command, &["server", "address", "version", "key"])
                .and_then(|()| match &config.observe {
                    Some(words) => check_words("observe", words, &["server", "address"]),
                    None => Ok(()),
                })
                .and_then(|()| check_env(&config.env));
        checked.map_err(|error| refused(error.to_string()))?;
        if config.observe.is_none() && !config.idempotent {
            return Err(refused(
                "idempotent: without `observe` nobody can tell whether an interrupted command had \
                 its effect, so that it may run more than once; write `idempotent: true` if it \
                 may, or give an `observe` command that prints the running version"
                    .into(),
            ));
        }
        let base = std::path::absolute(base).unwrap_or_else(|_| base.to_path_buf());
        let folder = base.join(config.working_directory.clone().unwrap_or_default());
        let commands = Arc::new(Commands::new(state));
        let state = std::path::absolute(state).unwrap_or_else(|_| state.to_path_buf());
        Ok(Self { config, base, folder, commands, servers: Folder::new(state.join("servers")) })
    }

    /// The environment of both commands.
    fn env(&self, target: &Target) -> BTreeMap<String, String> {
        let mut env = self.config.env.clone();
        env.insert("PRESURGE_SERVER".into(), target.server.to_string());
        env.insert("PRESURGE_ADDRESS".into(), target.address.clone().unwrap_or_default());
        env
    }

    fn call(&self, order: &UpdateOrder) -> Result<Call, PortError> {
        let mut env = self.env(&order.target);
        env.insert("PRESURGE_VERSION".into(), order.version.to_string());
        env.insert("PRESURGE_KEY".into(), order.key.to_string());
        let [server, address] = places(&order.target);
        let (version, key) = (Some(order.version.as_str()), Some(order.key.as_str()));
        let values = [server, address, ("version", version), ("key", key)];
        let whom = order.target.server.as_str();
        let mut words = fill("command", &self.config.command, whom, &values)
            .map_err(|error| failed(&order.target, "update", Retry::Never, error.to_string()))?;
        program(&mut words, &self.base);
        let timeout = self.config.timeout.duration();
        Ok(Call { key: order.key.clone(), words, env, folder: self.folder.clone(), timeout })
    }

    /// What the server says that it runs; `None` when it cannot be asked.
    async fn ask(&self, target: &Target) -> Result<Option<UpdateState>, PortError> {
        let Some(words) = &self.config.observe else { return Ok(None) };
        let failed = |retry, why: String| failed(target, "observe", retry, why);
        let env = self.env(target);
        let mut words = fill("observe", words, target.server.as_str(), &places(target))
            .map_err(|error| failed(Retry::Never, error.to_string()))?;
        program(&mut words, &self.base);
        let limit = self.config.observe_timeout;
        let answer = ask(&words, &env, &self.folder, limit.duration()).await;
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
        let mut lines = answer.out.lines().map(str::trim);
        let version = Version::new(lines.next().unwrap_or_default()).map_err(|error| {
            let why = format!("{} should print a version on its first line: {error}", words[0]);
            failed(Retry::Backoff, why)
        })?;
        let boot_id = lines.next().filter(|line| !line.is_empty());
        let boot_id = boot_id.map(|line| quote(line.as_bytes(), 128));
        Ok(Some(UpdateState { version: Some(version), boot_id, in_progress: false }))
    }

    /// Does file work aside, so that it keeps nobody waiting.
    async fn aside<T: Send + 'static>(
        &self,
        target: &Target,
        work: impl FnOnce(&Commands, &Folder) -> Result<T, FolderError> + Send + 'static,
    ) -> Result<T, PortError> {
        let (commands, servers) = (self.commands.clone(), self.servers.clone());
        let done = tokio::task::spawn_blocking(move || work(&commands, &servers)).await;
        let done =
            done.map_err(|error| failed(target, "update", Retry::Backoff, error.to_string()))?;
        done.map_err(|error| {
            PortError::new("exec", format!("update {}", target.server), error.retry(), error)
        })
    }

    /// Starts the command, unless another one is under way on the same server.
    async fn begin(&self, order: &UpdateOrder, call: Call) -> Result<Run, PortError> {
        let server = order.target.server.clone();
        self.aside(&order.target, move |commands, servers| {
            let server = home(servers, &server);
            server.make()?;
            // Somebody else begins an update of this server right now.
            let Some(_lock) = Lock::take(&server)? else { return Ok(Run::Running) };
            if let Some(last) = last_key(&server)?
                && last != call.key
                && commands.look(&last)? == Some(Run::Running)
            {
                return Ok(Run::Running);
            }
            server.write(LAST, call.key.as_str().as_bytes())?;
            commands.ensure(&call)
        })
        .await
    }

    /// The command ended well; does the server say so too?
    async fn ended_well(&self, order: &UpdateOrder) -> Result<Progress<UpdateState>, PortError> {
        let Some(state) = self.ask(&order.target).await? else {
            let state = UpdateState { version: None, boot_id: None, in_progress: false };
            return Ok(Progress::Done(state));
        };
        if state.version.as_ref() == Some(&order.version) {
            return Ok(Progress::Done(state));
        }
        let runs = state.version.map_or_else(String::new, |version| version.to_string());
        let why = format!(
            "the command ended with exit code 0, and the server runs {runs} instead of {}; the \
             command must not end before the server runs the version",
            order.version
        );
        Err(failed(&order.target, "update", Retry::Never, why))
    }

    /// The command was cut short: look, and run it again only where that is allowed.
    async fn interrupted(
        &self,
        order: &UpdateOrder,
        call: Call,
        detail: String,
    ) -> Result<Progress<UpdateState>, PortError> {
        let seen = self.ask(&order.target).await?;
        if let Some(state) = &seen
            && state.version.as_ref() == Some(&order.version)
        {
            return Ok(Progress::Done(state.clone()));
        }
        if self.config.idempotent {
            let again = self.aside(&order.target, move |commands, _| commands.ensure_again(&call));
            if !matches!(again.await?, Run::Interrupted { .. }) {
                return Ok(Progress::Pending { poll_after: POLL });
            }
        }
        let runs = seen.and_then(|state| state.version);
        let runs = runs.map_or_else(String::new, |version| format!("; the server runs {version}"));
        Ok(Progress::Unknown { detail: format!("the update was interrupted: {detail}{runs}") })
    }
}

/// What stands for `{server}` and `{address}`.
fn places(target: &Target) -> [(&'static str, Option<&str>); 2] {
    [("server", Some(target.server.as_str())), ("address", target.address.as_deref())]
}

/// Where it is recorded which update of a server was begun last.
fn home(servers: &Folder, server: &ServerName) -> Folder {
    Folder::new(servers.path().join(escape(server.as_str())))
}

/// The file with the key of that update.
const LAST: &str = "last";

fn last_key(server: &Folder) -> Result<Option<Key>, FolderError> {
    let text = server.read(LAST)?;
    Ok(text.and_then(|text| Key::new(String::from_utf8_lossy(&text)).ok()))
}

fn refused(why: String) -> PortError {
    PortError::new("exec", "read the configuration", Retry::Never, why)
}

fn failed(target: &Target, what: &str, retry: Retry, why: String) -> PortError {
    PortError::new("exec", format!("{what} {}", target.server), retry, why)
}

#[async_trait]
impl Updater for Exec {
    async fn observe(&self, target: &Target) -> Result<UpdateState, PortError> {
        let server = target.server.clone();
        let in_progress = self.aside(target, move |commands, servers| {
            let Some(last) = last_key(&home(servers, &server))? else { return Ok(false) };
            Ok(commands.look(&last)? == Some(Run::Running))
        });
        let in_progress = in_progress.await?;
        let state = self.ask(target).await?;
        let blind = UpdateState { version: None, boot_id: None, in_progress };
        Ok(state.map_or(blind, |state| UpdateState { in_progress, ..state }))
    }

    async fn ensure_version(
        &self,
        order: &UpdateOrder,
    ) -> Result<Progress<UpdateState>, PortError> {
        let call = self.call(order)?;
        let key = order.key.clone();
        let known = self.aside(&order.target, move |commands, _| commands.look(&key)).await?;
        let run = match known {
            Some(run) => run,
            None => {
                let seen = self.ask(&order.target).await?;
                if let Some(state) = seen
                    && state.version.as_ref() == Some(&order.version)
                {
                    return Ok(Progress::Done(state));
                }
                self.begin(order, call.clone()).await?
            }
        };
        let failed = |why: String, log: String| {
            let log = last(&quote(log.as_bytes(), MAX_LOG));
            let said = if log.is_empty() { "it printed nothing".into() } else { log };
            Err(failed(&order.target, "update", Retry::Never, format!("{why}: {said}")))
        };
        match run {
            Run::Running => Ok(Progress::Pending { poll_after: POLL }),
            Run::Exited { code: 0, .. } => self.ended_well(order).await,
            Run::Exited { code, log } => {
                failed(format!("{} ended with exit code {code}", call.words[0]), log)
            }
            Run::TimedOut { log } => {
                let limit = self.config.timeout;
                failed(format!("{} did not end within {limit} and was killed", call.words[0]), log)
            }
            Run::Interrupted { detail } => self.interrupted(order, call, detail).await,
        }
    }
}

/// The end of a text, where the reason of a failure stands.
fn last(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(MAX_QUOTE);
    text.chars().skip(skip).collect()
}
