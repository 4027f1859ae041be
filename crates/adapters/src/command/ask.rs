//! Short questions to outside commands: run, read, done.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::MAX_LOG;

/// After a command has ended, its output is waited for this long: a grandchild may hold it open.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);

/// What a command answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code; 128 and the number of the signal if one ended it.
    pub code: i32,
    /// The beginning of what it printed.
    pub out: String,
    /// The beginning of what it complained about.
    pub err: String,
}

/// Kills a group unless it is told not to: also when the question is given up half-way.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Runs a command and waits for its answer. It must be free of effects: it is run as often as
/// somebody asks, and killed with everything it started when nobody waits any more.
///
/// # Errors
/// It cannot be started (`NotFound`, `PermissionDenied`), or did not end in time (`TimedOut`).
pub async fn ask(
    words: &[String],
    env: &BTreeMap<String, String>,
    folder: &Path,
    limit: Duration,
) -> io::Result<Answer> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(env)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let mut group = Group(id);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = {
        let mut reading = std::pin::pin!(async {
            tokio::join!(keep(stdout, &mut out, MAX_LOG), keep(stderr, &mut err, MAX_LOG))
        });
        let mut all_read = false;
        let ended = timeout(limit, async {
            tokio::select! {
                status = child.wait() => return status,
                _ = &mut reading => all_read = true,
            }
            child.wait().await
        });
        let status = ended.await.map_err(|_| io::ErrorKind::TimedOut)??;
        // It is reaped: its number may soon belong to somebody else.
        group.0 = None;
        if !all_read {
            let _ = timeout(OUTPUT_GRACE, reading).await;
        }
        status
    };
    let signal = || 128 + std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Answer { code: status.code().unwrap_or_else(signal), out: text(out), err: text(err) })
}

/// Reads to the end, keeps the first `most` bytes.
pub(crate) async fn keep(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>, most: usize) {
    let Some(mut stream) = stream else { return };
    let mut chunk = [0; 4096];
    while let Ok(count) = stream.read(&mut chunk).await {
        if count == 0 {
            return;
        }
        let room = most - kept.len();
        kept.extend_from_slice(&chunk[..count.min(room)]);
    }
}
