//! What can be wrong with a store, in words that name the file and the next step.

use std::path::PathBuf;
use std::sync::Arc;

use domain::ports::{PortError, Retry};
use rusqlite::ErrorCode;

/// Why a store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder of the file is not there.
    #[error("{file}: the folder is not there; create it or name another file")]
    NoFolder {
        /// The file.
        file: String,
    },
    /// The name leads to something that cannot be opened as a file.
    #[error("{file}: the file cannot be opened; see that it is a file and its folder is yours")]
    CannotOpen {
        /// The file.
        file: String,
    },
    /// The file was deleted or replaced while it was open.
    #[error(
        "{file}: the file was moved, deleted or replaced while it was open; put it back, then \
         start again"
    )]
    Vanished {
        /// The file.
        file: String,
    },
    /// The file can be read only.
    #[error("{file}: the file is read-only; make it and its folder writable for this user")]
    ReadOnly {
        /// The file.
        file: String,
    },
    /// The file is no SQLite database, or a damaged one.
    #[error(
        "{file}: this is not a database, or it is damaged; name another file or restore a copy"
    )]
    NotADatabase {
        /// The file.
        file: String,
    },
    /// The file is a database of something else.
    #[error("{file}: this database belongs to another program; name another file")]
    Foreign {
        /// The file.
        file: String,
    },
    /// The file was written by a newer build.
    #[error(
        "{file}: written by a newer presurge (store version {found}, this build reads up to \
         {known}); use that one"
    )]
    Newer {
        /// The file.
        file: String,
        /// The version of the file.
        found: i64,
        /// The highest version that this build reads.
        known: i64,
    },
    /// Another process keeps the file locked.
    #[error("{file}: another process keeps the file locked; find it with `fuser {file}`")]
    Locked {
        /// The file.
        file: String,
    },
    /// The disk is full.
    #[error("{file}: the disk is full; make room, nothing was lost")]
    Full {
        /// The file.
        file: String,
    },
    /// A stored row makes no sense.
    #[error("{file}: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// Which row, and what is wrong with it.
        what: String,
    },
    /// A value is larger than a store takes.
    #[error("{file}: {bytes} bytes are more than one entry of the archive may have, {most}")]
    TooLarge {
        /// The file.
        file: String,
        /// The size of the value.
        bytes: usize,
        /// The most that is taken.
        most: usize,
    },
    /// The thread that owns the file is gone.
    #[error("{file}: the store was closed by an error before; start again")]
    Closed {
        /// The file.
        file: String,
    },
    /// SQLite undid what was written together, since one of the writes met a full disk or the like.
    #[error("{file}: what was written was undone by an error of another write; try again")]
    Undone {
        /// The file.
        file: String,
    },
    /// What was written together could not be kept.
    #[error(transparent)]
    Together(Arc<StoreError>),
    /// The operating system refused.
    #[error("{file}: cannot reach the file")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Anything else that SQLite says.
    #[error("{file}: SQLite failed")]
    Sqlite {
        /// The file.
        file: String,
        /// Why.
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// What SQLite said about `file`, in words for people.
    pub(crate) fn of(file: &str, source: rusqlite::Error) -> Self {
        let file = file.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { file },
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::NotADatabase { file }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { file },
            Some(ErrorCode::CannotOpen) => Self::CannotOpen { file },
            Some(ErrorCode::DiskFull) => Self::Full { file },
            _ => Self::Sqlite { file, source },
        }
    }

    /// What a caller may do: wait for the disk or a lock, or give up.
    fn retry(&self) -> Retry {
        match self {
            Self::Locked { .. } | Self::Full { .. } | Self::Io { .. } | Self::Undone { .. } => {
                Retry::Backoff
            }
            Self::Together(lost) => lost.retry(),
            Self::Sqlite { source, .. }
                if source.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) =>
            {
                Retry::Backoff
            }
            _ => Retry::Never,
        }
    }

    /// The error of a port call that was doing `operation`.
    pub(crate) fn port(self, operation: &str) -> PortError {
        let retry = self.retry();
        PortError::new("sqlite", operation, retry, self)
    }
}

/// The way a file is called in messages.
pub(crate) fn shown(path: &std::path::Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)).display().to_string()
}
