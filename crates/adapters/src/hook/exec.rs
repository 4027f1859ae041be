//! Hooks by command.
//!
//! A command runs detached, under its key, in a state folder: it runs once under each key, whoever
//! asks and however often they are killed. Exit code 0 is well, anything else is not. The receiver is
//! *keyed*.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::name::ServerName;
use domain::ports::{Hook, HookEnd, HookOrder, PortError, Progress, Retry};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::command::{Call, Commands, MAX_LOG, Run, check_env, check_words, fill, program};
use crate::web::quote;

#[cfg(test)]
mod tests;

/// How soon a command under way is worth asking about again.
const POLL: Duration = Duration::from_millis(200);

/// The most characters of foreign output in a journal.
const MAX_QUOTE: usize = 600;

/// The most bytes of names in the environment: Linux takes 128 KiB in one variable.
const MAX_NAMES: usize = 100 << 10;

/// A command that runs at a point of a rollout.
///
/// In its environment are `PRESURGE_HOOK` (`before`, `afterBatch`, `after`), `PRESURGE_ROLLOUT` (the
/// id with the number of the attempt), `PRESURGE_FLEET`, `PRESURGE_VERSION`, `PRESURGE_REVISION` (of
/// the plan), `PRESURGE_BATCH` (its index, empty where it is about no batch), `PRESURGE_SERVERS` (names
/// with blanks between: those of the batch, or of the whole fleet; cut to 100 KiB), `PRESURGE_SERVER_COUNT`
/// (all of them) and `PRESURGE_KEY` (of this one run).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ExecHookConfig {
    /// The program and its arguments: `["./announce.sh", "{hook}", "{batch}"]`. `{hook}`, `{rollout}`,
    /// `{fleet}`, `{version}`, `{revision}`, `{batch}` and `{key}` stand for what the environment has
    /// under these names. No shell looks at them. A program with a slash is relative to the file that
    /// names it.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// Set on top of presurge's own environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where the command runs; the folder of the file that names this unless given.
    #[serde(default)]
    pub working_directory: Option<PathBuf>,
}

/// A hook by command.
#[derive(Debug)]
pub struct ExecHook {
    config: ExecHookConfig,
    base: PathBuf,
    folder: PathBuf,
    commands: Arc<Commands>,
}

const PLACES: &[&str] = &["hook", "rollout", "fleet", "version", "revision", "batch", "key"];

impl ExecHook {
    /// A hook whose commands are recorded under `state`; nothing is run yet. Relative paths are
    /// relative to `base`.
    ///
    /// # Errors
    /// A configuration that can never work.
    pub fn new(config: ExecHookConfig, base: &Path, state: &Path) -> Result<Self, PortError> {
        let checked =
            check_words("command", &config.command, PLACES).and_then(|()| check_env(&config.env));
        checked.map_err(|error| {
            PortError::new("exec", "read the configuration", Retry::Never, error.to_string())
        })?;
        let base = std::path::absolute(base).unwrap_or_else(|_| base.to_path_buf());
        let folder = base.join(config.working_directory.clone().unwrap_or_default());
        Ok(Self { config, base, folder, commands: Arc::new(Commands::new(state)) })
    }

    fn call(&self, order: &HookOrder) -> Result<Call, PortError> {
        let batch = order.batch.map_or_else(String::new, |batch| batch.to_string());
        let (revision, hook) = (order.revision.to_string(), order.hook.as_str());
        let values = [
            ("hook", hook),
            ("rollout", order.rollout.as_str()),
            ("fleet", order.fleet.as_str()),
            ("version", order.version.as_str()),
            ("revision", &revision),
            ("batch", &batch),
            ("key", order.key.as_str()),
        ];
        let filled: Vec<_> = values.iter().map(|(place, value)| (*place, Some(*value))).collect();
        let mut words = fill("command", &self.config.command, hook, &filled)
            .map_err(|error| failed(order, Retry::Never, error.to_string()))?;
        program(&mut words, &self.base);
        let mut env = self.config.env.clone();
        for (place, value) in values {
            env.insert(format!("PRESURGE_{}", place.to_uppercase()), value.into());
        }
        env.insert("PRESURGE_SERVERS".into(), names(&order.servers));
        env.insert("PRESURGE_SERVER_COUNT".into(), order.servers.len().to_string());
        let (folder, timeout) = (self.folder.clone(), order.timeout);
        Ok(Call { key: order.key.clone(), words, env, folder, timeout })
    }
}

/// Names with blanks between, as many as there is room for.
fn names(servers: &[ServerName]) -> String {
    let mut text = String::new();
    for server in servers {
        if text.len() + server.as_str().len() + 1 > MAX_NAMES {
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(server.as_str());
    }
    text
}

fn failed(order: &HookOrder, retry: Retry, why: String) -> PortError {
    PortError::new("exec", format!("run the hook {}", order.hook), retry, why)
}

/// The end of a text, where the reason of a failure stands.
fn last(log: &str) -> String {
    let text = quote(log.as_bytes(), MAX_LOG);
    let skip = text.chars().count().saturating_sub(MAX_QUOTE);
    text.chars().skip(skip).collect()
}

#[async_trait]
impl Hook for ExecHook {
    async fn ensure_run(&self, order: &HookOrder) -> Result<Progress<HookEnd>, PortError> {
        let call = self.call(order)?;
        let (commands, name) = (self.commands.clone(), call.words[0].clone());
        let run = tokio::task::spawn_blocking(move || commands.ensure(&call)).await;
        let run = run.map_err(|error| failed(order, Retry::Backoff, error.to_string()))?;
        let run = run.map_err(|error| {
            PortError::new("exec", format!("run the hook {}", order.hook), error.retry(), error)
        })?;
        let badly = |why: String, log: String| {
            let said = last(&log);
            let said = if said.is_empty() { "it printed nothing".into() } else { said };
            Ok(Progress::Done(HookEnd::Badly(format!("{why}: {said}"))))
        };
        match run {
            Run::Running => Ok(Progress::Pending { poll_after: POLL }),
            Run::Exited { code: 0, log } => Ok(Progress::Done(HookEnd::Well(last(&log)))),
            Run::Exited { code, log } => badly(format!("{name} ended with exit code {code}"), log),
            Run::TimedOut { log } => {
                let limit = order.timeout.as_secs();
                badly(format!("{name} did not end within {limit} s and was killed"), log)
            }
            Run::Interrupted { detail } => Ok(Progress::Unknown { detail }),
        }
    }
}
