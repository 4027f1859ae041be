//! A health gate that runs a command.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use domain::config::PositiveSpan;
use domain::ports::{Health, PortError, Retry, Target, Verdict};
use futures_util::FutureExt as _;
use futures_util::future::FusedFuture as _;
use rustix::process::{Pid, Signal, kill_process_group};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{MAX_QUOTE, check, fill};
use crate::command::ask::keep;
use crate::web;

/// The most that is kept of what a command prints, in bytes; the rest is read and dropped.
const MAX_OUTPUT: usize = 4 << 10;

/// After a command has ended, its output is waited for this long: a grandchild may hold it open.
const OUTPUT_GRACE: Duration = Duration::from_millis(100);

/// A gate that passes when a command ends with exit code 0.
///
/// Exit code 1 is a failure of the server. Anything else (another code, a signal, no end within
/// the time) is inconclusive: it says more about the check than about the server. What the
/// command prints, its first words at least, becomes the reason. There is no shell between;
/// `PRESURGE_SERVER` and `PRESURGE_ADDRESS` are in its environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CommandConfig {
    /// The program and its arguments: `["./check.sh", "{server}"]`. `{server}` stands for the
    /// server's name, `{address}` for its `host:port`. A program with a slash is relative to the
    /// file that names it, which is also where it runs.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// It is killed, with all its children, after this long; 10s unless given.
    #[serde(default = "default_timeout")]
    pub timeout: PositiveSpan,
}

fn default_timeout() -> PositiveSpan {
    PositiveSpan::seconds(10)
}

/// A gate by command.
#[derive(Debug, Clone)]
pub struct CommandHealth {
    config: CommandConfig,
    folder: PathBuf,
}

/// Ends what a command started, also when the check is given up half-way.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl CommandHealth {
    /// A gate; nothing is run yet.
    ///
    /// # Errors
    /// A configuration that can never work.
    pub fn new(config: CommandConfig, base_dir: &Path) -> Result<Self, PortError> {
        let wrong = |reason: String| {
            PortError::new("command health", "read the configuration", Retry::Never, reason)
        };
        if config.command.first().is_none_or(|program| program.trim().is_empty()) {
            return Err(wrong("command: name a program, then its arguments".into()));
        }
        for word in &config.command {
            check(word).map_err(|error| wrong(format!("command: {error}")))?;
            if word.contains('\0') {
                return Err(wrong("command: has a NUL character".into()));
            }
        }
        Ok(Self { config, folder: base_dir.to_path_buf() })
    }

    fn start(&self, words: &[String], target: &Target) -> io::Result<Child> {
        let program = &words[0];
        let program =
            if program.contains('/') { self.folder.join(program) } else { PathBuf::from(program) };
        Command::new(program)
            .args(&words[1..])
            .current_dir(&self.folder)
            .env("PRESURGE_SERVER", target.server.as_str())
            .env("PRESURGE_ADDRESS", target.address.as_deref().unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    async fn judge(&self, mut child: Child) -> io::Result<Verdict> {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let mut group = Group(id);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ended = {
            let mut reading = std::pin::pin!(
                async {
                    tokio::join!(
                        keep(stdout, &mut out, MAX_OUTPUT),
                        keep(stderr, &mut err, MAX_OUTPUT)
                    )
                }
                .fuse()
            );
            let ended = timeout(self.config.timeout.duration(), async {
                tokio::select! {
                    status = child.wait() => return status,
                    _ = &mut reading => {}
                }
                child.wait().await
            });
            let ended = ended.await;
            if !reading.is_terminated() {
                let _ = timeout(OUTPUT_GRACE, reading).await;
            }
            ended
        };
        if ended.is_ok() {
            // It is reaped, so that its number may soon belong to somebody else; what it left
            // running on purpose is its own business.
            group.0 = None;
        }
        let said = web::quote(if out.is_empty() { &err } else { &out }, MAX_QUOTE);
        let said = if said.is_empty() { said } else { format!(": {said}") };
        Ok(match ended {
            Ok(status) => verdict(status?, &said),
            Err(_) => {
                let text = format!("the check did not end within {}{said}", self.config.timeout);
                Verdict::Inconclusive(text)
            }
        })
    }
}

fn verdict(status: ExitStatus, said: &str) -> Verdict {
    match status.code() {
        Some(0) => Verdict::Pass(format!("the check passed{said}")),
        Some(1) => Verdict::Fail(format!("the check failed{said}")),
        Some(code) => Verdict::Inconclusive(format!("the check ended with exit code {code}{said}")),
        None => Verdict::Inconclusive(format!("the check was killed, {status}{said}")),
    }
}

#[async_trait]
impl Health for CommandHealth {
    async fn check(&self, target: &Target) -> Result<Verdict, PortError> {
        let failed = |retry: Retry, reason: String| {
            let operation = format!("run {} for {}", self.config.command[0], target.server);
            PortError::new("command health", operation, retry, reason)
        };
        let words = self.config.command.iter().map(|word| fill(word, target));
        let words: Vec<String> = words
            .collect::<Result<_, _>>()
            .map_err(|error| failed(Retry::Never, error.to_string()))?;
        let child = self.start(&words, target).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                failed(Retry::Never, format!("{error}; is it there and executable?"))
            }
            _ => failed(Retry::Backoff, error.to_string()),
        })?;
        let verdict = self.judge(child).await;
        verdict.map_err(|error| failed(Retry::Backoff, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::contract::health as contract;
    use domain::name::ServerName;

    use super::*;

    fn target() -> Target {
        let server = ServerName::new("web-1").unwrap();
        Target { server, address: Some("127.0.0.1:80".into()) }
    }

    fn gate(command: &[&str], timeout: &str) -> CommandHealth {
        let command = command.iter().map(|word| (*word).to_string()).collect();
        let config = CommandConfig { command, timeout: timeout.parse().unwrap() };
        CommandHealth::new(config, Path::new("/")).unwrap()
    }

    async fn judge(script: &str) -> Verdict {
        gate(&["sh", "-c", script, "sh", "{server}", "{address}"], "5s")
            .check(&target())
            .await
            .unwrap()
    }

    struct World(tempfile::TempDir);

    #[async_trait]
    impl contract::World for World {
        fn gate(&self) -> Arc<dyn Health> {
            let command = vec!["./check".into(), "{server}".into()];
            let config = CommandConfig { command, timeout: "300ms".parse().unwrap() };
            Arc::new(CommandHealth::new(config, self.0.path()).unwrap())
        }
        fn target(&self) -> Target {
            target()
        }
        async fn set(&self, condition: contract::Condition) -> bool {
            let script = match condition {
                contract::Condition::Well => "exit 0",
                contract::Condition::Sick | contract::Condition::Refusing => "echo no; exit 1",
                contract::Condition::Hanging => "sleep 60",
                contract::Condition::Babbling => "exit 77",
                contract::Condition::Flooding => "exec yes",
            };
            // A rename, so that no check meets a file that is open for writing.
            let (draft, path) = (self.0.path().join("draft"), self.0.path().join("check"));
            std::fs::write(&draft, format!("#!/bin/sh\n{script}\n")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(&draft, mode).unwrap();
            std::fs::rename(&draft, &path).unwrap();
            true
        }
    }

    #[tokio::test]
    async fn it_keeps_the_contract() {
        contract::run(async || World(tempfile::tempdir().unwrap())).await;
    }

    #[tokio::test]
    async fn the_exit_code_is_the_verdict_and_the_output_its_reason() {
        let pass = |text: &str| Verdict::Pass(format!("the check passed{text}"));
        assert_eq!(judge("[ $1 = web-1 ] && [ $2 = 127.0.0.1:80 ]").await, pass(""));
        assert_eq!(judge("[ $PRESURGE_SERVER = web-1 ] && echo 3 of 3").await, pass(": 3 of 3"));
        let fail = |text: &str| Verdict::Fail(format!("the check failed{text}"));
        assert_eq!(judge("exit 1").await, fail(""));
        assert_eq!(judge("echo out; echo err >&2; exit 1").await, fail(": out"));
        assert_eq!(judge("echo err >&2; exit 1").await, fail(": err"));
        let text = "the check ended with exit code 3: what".to_string();
        assert_eq!(judge("echo what; exit 3").await, Verdict::Inconclusive(text));
        let verdict = judge("kill -9 $$").await;
        assert!(matches!(&verdict, Verdict::Inconclusive(text) if text.contains("killed")));
        // A grandchild that keeps the output open does not hold the check up.
        assert_eq!(judge("sleep 2 & exit 0").await, pass(""));
    }

    #[tokio::test]
    async fn a_check_that_does_not_end_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("child");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let verdict = gate(&["sh", "-c", &script], "300ms").check(&target()).await.unwrap();
        assert!(matches!(&verdict, Verdict::Inconclusive(text) if text.contains("within 300ms")));
        let child = std::fs::read_to_string(&file).unwrap();
        let stat = PathBuf::from(format!("/proc/{}/stat", child.trim()));
        for _ in 0..100 {
            // Gone, or a zombie that waits for whoever adopted it.
            if !std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
                return;
            }
            tokio::task::yield_now().await;
            std::thread::yield_now();
        }
        panic!("the child {} still runs", child.trim());
    }

    #[tokio::test]
    async fn a_gate_that_is_broken_is_an_error() {
        let error = gate(&["./no-such-check"], "5s").check(&target()).await.unwrap_err();
        assert_eq!(error.retry, Retry::Never);
        assert!(error.chain().contains("is it there and executable?"), "{}", error.chain());
        let nowhere = Target { address: None, ..target() };
        let error = gate(&["true", "{address}"], "5s").check(&nowhere).await.unwrap_err();
        assert!(error.chain().contains("address of web-1"), "{}", error.chain());
        for command in [vec![], vec![" ".to_string()], vec!["true".into(), "{host}".into()]] {
            let config = CommandConfig { command, timeout: default_timeout() };
            assert!(CommandHealth::new(config, Path::new("/")).is_err());
        }
    }
}
