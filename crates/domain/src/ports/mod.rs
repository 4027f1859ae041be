//! The ports: how Presurge reaches the outside world. One adapter implements one of them.
//!
//! `ensure_*` verbs are level-triggered and keyed: "make it so, if it is not so". They start or
//! continue the work and answer at once; the same key has one effect however often it is
//! repeated. What each verb answers for "already so", "gone" and "not yet" stands at the verb.

mod archive;
mod clock;
mod health;
mod hook;
mod journal;
mod load;
mod notify;
mod provisioner;
mod signal;
mod size;
mod traffic;
mod updater;

use std::error::Error;
use std::time::Duration;

pub use archive::Archive;
pub use clock::Clock;
pub use health::{Health, Verdict};
pub use hook::{Hook, HookEnd, HookOrder};
pub use journal::{Append, AppendError, Authority, Journal, Lease};
pub use load::LoadSource;
pub use notify::Notify;
pub use provisioner::{Instance, InstanceState, Provisioner, SurgeOrder};
pub use signal::{SignalSource, Tells};
pub use size::{Size, SizeEnd, SizeOrder};
pub use traffic::{Admission, Backend, BackendState, Drained, Served, Traffic, Wanted};
pub use updater::{UpdateOrder, UpdateState, Updater};

use crate::name::ServerName;

/// How far an `ensure_*` verb has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress<T> {
    /// It is so.
    Done(T),
    /// It is being made so; ask again after this long.
    Pending {
        /// The earliest useful moment of the next call.
        poll_after: Duration,
    },
    /// Nobody can say whether it is so; a person has to look. Never repeated blindly.
    Unknown {
        /// What is known.
        detail: String,
    },
}

/// A server and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server.
    pub server: ServerName,
    /// `host:port` where it serves, if it is known.
    pub address: Option<String>,
}

/// What the caller of a failed call may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call will fail again: a wrong configuration, a refusal.
    Never,
    /// The same call may work later; wait longer each time.
    Backoff,
    /// The same call may work after this long.
    After(Duration),
}

/// A call to the outside that failed. Its text does not repeat its source.
#[derive(Debug, thiserror::Error)]
#[error("{adapter}: {operation}")]
pub struct PortError {
    /// Which adapter, with the address it talks to.
    pub adapter: String,
    /// What it was doing, in words.
    pub operation: String,
    /// What the caller may do.
    pub retry: Retry,
    /// Why it failed.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl PortError {
    /// A failed call.
    pub fn new(
        adapter: impl Into<String>,
        operation: impl Into<String>,
        retry: Retry,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { adapter: adapter.into(), operation: operation.into(), retry, source: source.into() }
    }

    /// The text with all its causes, on one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}
