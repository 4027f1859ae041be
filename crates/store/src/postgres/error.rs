//! What can be wrong with a database, in words that name it and the next step.

use std::error::Error as _;
use std::time::Duration;

use domain::ports::{PortError, Retry};
use tokio_postgres::error::SqlState;

use super::settings::CONNECT;

/// Why a database cannot be reached, read or written. No text has a password in it.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// Nobody answers at the address.
    #[error("{store}: the server cannot be reached")]
    Unreachable {
        /// The address.
        store: String,
        /// Why.
        source: Said,
    },
    /// The connection could not be encrypted as asked.
    #[error(
        "{store}: no encrypted connection; where the network is yours alone, sslmode=disable goes \
         without"
    )]
    Tls {
        /// The address.
        store: String,
        /// Why.
        source: Said,
    },
    /// The user or the password is wrong.
    #[error(
        "{store}: the server does not let this user in; give the password by PGPASSWORD or a \
         passfile, and see pg_hba.conf"
    )]
    Login {
        /// The address.
        store: String,
        /// What the server said.
        source: Said,
    },
    /// There is no such database.
    #[error("{store}: there is no such database; `createdb` makes it")]
    NoDatabase {
        /// The address.
        store: String,
    },
    /// The server has no connection left.
    #[error("{store}: the server has no connection left; raise max_connections, or end others")]
    NoRoom {
        /// The address.
        store: String,
    },
    /// The server starts, stops or recovers.
    #[error("{store}: the server is starting, stopping or recovering")]
    NotReady {
        /// The address.
        store: String,
    },
    /// The server takes no writes.
    #[error("{store}: this server takes no writes; name the primary, or all hosts of the cluster")]
    ReadOnly {
        /// The address.
        store: String,
    },
    /// The user may not do that.
    #[error(
        "{store}: this user may not do that; docs/postgresql.md lists what it has to be granted"
    )]
    NotPermitted {
        /// The address.
        store: String,
        /// What the server said.
        source: Said,
    },
    /// The schema belongs to something else.
    #[error("{store}: its schema `presurge` belongs to another program; name another database")]
    Foreign {
        /// The address.
        store: String,
    },
    /// The tables were made by a newer build.
    #[error(
        "{store}: its tables were made by a newer presurge (store version {found}, this build reads \
         up to {known}); use that one"
    )]
    Newer {
        /// The address.
        store: String,
        /// The version of the tables.
        found: i32,
        /// The highest version that this build reads.
        known: i32,
    },
    /// The database cannot hold every text.
    #[error("{store}: its encoding is {found}; make the database with `createdb -E UTF8`")]
    Encoding {
        /// The address.
        store: String,
        /// The encoding.
        found: String,
    },
    /// The connection broke during a call.
    #[error("{store}: the connection was lost; what was asked may have been done")]
    Lost {
        /// The address.
        store: String,
        /// Why.
        source: Said,
    },
    /// No answer in time.
    #[error(
        "{store}: no answer within {} s; what was asked may have been done", .limit.as_secs_f64()
    )]
    Slow {
        /// The address.
        store: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// Another session keeps a row locked.
    #[error("{store}: another session keeps a row locked; pg_stat_activity shows it")]
    Locked {
        /// The address.
        store: String,
    },
    /// The disk of the server is full.
    #[error("{store}: the disk of the server is full; make room, nothing was lost")]
    Full {
        /// The address.
        store: String,
    },
    /// A stored row makes no sense.
    #[error("{store}: {what}")]
    Damaged {
        /// The address.
        store: String,
        /// Which row, and what is wrong with it.
        what: String,
    },
    /// A value is larger than a store takes.
    #[error("{store}: {bytes} bytes are more than one entry of the archive may have, {most}")]
    TooLarge {
        /// The address.
        store: String,
        /// The size of the value.
        bytes: usize,
        /// The most that is taken.
        most: usize,
    },
    /// Anything else that the server says.
    #[error("{store}: PostgreSQL failed")]
    Server {
        /// The address.
        store: String,
        /// What it said.
        source: Said,
    },
}

/// What the server or the network said, on one line: never the statement or its parameters.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Said(String);

impl PostgresError {
    /// What came of a statement on `store`, in words for people.
    pub(super) fn of(store: &str, error: &tokio_postgres::Error) -> Self {
        let store = store.to_owned();
        let Some(db) = error.as_db_error() else {
            return Self::Lost { store, source: Said(chain(error)) };
        };
        // One line; details and hints may repeat values.
        let source = Said(format!("{} ({})", db.message().replace('\n', " "), db.code().code()));
        match *db.code() {
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                Self::Login { store, source }
            }
            SqlState::INVALID_CATALOG_NAME => Self::NoDatabase { store },
            SqlState::TOO_MANY_CONNECTIONS => Self::NoRoom { store },
            SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => {
                Self::NotReady { store }
            }
            SqlState::READ_ONLY_SQL_TRANSACTION => Self::ReadOnly { store },
            SqlState::INSUFFICIENT_PRIVILEGE => Self::NotPermitted { store, source },
            SqlState::LOCK_NOT_AVAILABLE => Self::Locked { store },
            SqlState::DISK_FULL => Self::Full { store },
            SqlState::QUERY_CANCELED => Self::Slow { store, limit: super::settings::STATEMENT },
            SqlState::UNIQUE_VIOLATION => Self::Damaged {
                store,
                what: format!("a record is there that its head does not know: {source}"),
            },
            _ => Self::Server { store, source },
        }
    }

    /// What came of connecting to `store`.
    pub(super) fn connecting(store: &str, error: &tokio_postgres::Error) -> Self {
        if error.as_db_error().is_some() {
            return Self::of(store, error);
        }
        let (store, text) = (store.to_owned(), chain(error));
        // The library tells these apart in words only.
        if text.starts_with("error performing TLS handshake") {
            Self::Tls { store, source: Said(text) }
        } else if text.starts_with("invalid configuration") {
            Self::Login { store, source: Said(text) }
        } else if text.contains("does not allow writes") {
            Self::ReadOnly { store }
        } else {
            Self::Unreachable { store, source: Said(text) }
        }
    }

    /// Nobody has accepted the connection in time.
    pub(super) fn silent(store: &str) -> Self {
        let source = Said(format!("no connection within {} s", CONNECT.as_secs_f64()));
        Self::Unreachable { store: store.to_owned(), source }
    }

    /// What a caller may do: wait for the server, or give up.
    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::Unreachable { .. }
            | Self::NoRoom { .. }
            | Self::NotReady { .. }
            | Self::ReadOnly { .. }
            | Self::Lost { .. }
            | Self::Slow { .. }
            | Self::Locked { .. }
            | Self::Full { .. } => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    /// The error of a port call that was doing `operation`.
    pub(super) fn port(self, operation: &str) -> PortError {
        let retry = self.retry();
        PortError::new("postgresql", operation, retry, self)
    }
}

/// An error of the library with all its causes, on one line.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text.replace('\n', " ")
}
