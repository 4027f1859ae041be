//! One command over the runtime API: connect, write a line, read until the end.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use domain::ports::Retry;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// The longest answer that is read, in bytes: tens of thousands of servers.
const MAX_ANSWER: u64 = 64 << 20;

/// The most characters of an answer that an error repeats.
const MAX_QUOTE: usize = 200;

/// Why a command did not work, and whether it may.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) retry: Retry,
    pub(super) reason: String,
}

impl Failure {
    pub(super) fn never(reason: impl Into<String>) -> Self {
        Self { retry: Retry::Never, reason: reason.into() }
    }

    pub(super) fn later(reason: impl Into<String>) -> Self {
        Self { retry: Retry::Backoff, reason: reason.into() }
    }

    /// HAProxy answered in words instead of doing it.
    pub(super) fn refused(text: &str) -> Self {
        let hint = if text.contains("Permission denied") {
            "; the line `stats socket` needs `level admin`"
        } else if text.starts_with("Unknown command") {
            "; this needs HAProxy 2.5 or newer"
        } else {
            ""
        };
        Self::never(format!("HAProxy says: {}{hint}", quote(text)))
    }
}

/// The beginning of a foreign text, printable and on one line.
pub(super) fn quote(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let short: String = text.trim().chars().map(printable).take(MAX_QUOTE).collect();
    if short.is_empty() { "nothing".into() } else { short }
}

/// Where HAProxy listens for commands.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Unix(PathBuf),
    Tcp(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

/// The runtime API of one HAProxy.
#[derive(Debug)]
pub(super) struct Runtime {
    place: Place,
    timeout: Duration,
}

impl Runtime {
    pub(super) fn unix(path: PathBuf, timeout: Duration) -> Self {
        Self { place: Place::Unix(path), timeout }
    }

    pub(super) fn tcp(address: String, timeout: Duration) -> Self {
        Self { place: Place::Tcp(address), timeout }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The whole answer to one command. HAProxy always answers at least an empty line, so an
    /// empty answer means that nobody knows whether the command had its effect.
    pub(super) async fn ask(&self, command: &str) -> Result<String, Failure> {
        let talk = async {
            match &self.place {
                Place::Unix(path) => {
                    let stream = UnixStream::connect(path).await;
                    talk(stream.map_err(|error| unreachable(&error))?, command).await
                }
                Place::Tcp(address) => {
                    let stream = TcpStream::connect(address).await;
                    talk(stream.map_err(|error| unreachable(&error))?, command).await
                }
            }
        };
        let answer = timeout(self.timeout, talk).await.unwrap_or_else(|_| {
            let seconds = self.timeout.as_secs_f64();
            Err(Failure::later(format!("no answer within {seconds} s; is HAProxy overloaded?")))
        })?;
        if answer.is_empty() {
            return Err(Failure::later("the connection was closed without an answer"));
        }
        String::from_utf8(answer).map_err(|_| {
            Failure::never("the answer is not text; is this the line `stats socket` of HAProxy?")
        })
    }
}

async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    command: &str,
) -> Result<Vec<u8>, Failure> {
    let lost = |error: io::Error| Failure::later(format!("the connection was lost: {error}"));
    stream.write_all(format!("{command}\n").as_bytes()).await.map_err(lost)?;
    let mut answer = Vec::new();
    let read = stream.take(MAX_ANSWER).read_to_end(&mut answer).await.map_err(lost)?;
    if read as u64 == MAX_ANSWER {
        return Err(Failure::never(format!(
            "the answer is longer than {} MiB; is this the line `stats socket` of HAProxy?",
            MAX_ANSWER >> 20
        )));
    }
    Ok(answer)
}

fn unreachable(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::never(format!(
            "{error}; run as a user that the line `stats socket … user … group … mode …` lets in"
        )),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::later(format!(
            "{error}; does HAProxy run, and does its configuration have that line `stats socket`?"
        )),
        _ => Failure::later(error.to_string()),
    }
}
