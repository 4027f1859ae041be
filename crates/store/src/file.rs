//! Which file a store has open, and whether it is still the one under that name.
//!
//! SQLite goes on writing into a file that was deleted, and reports success. A journal that is
//! gone with the next restart is a lost journal, so this is looked at around every write.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{StoreError, shown};

/// A database file that is open.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// The path as it stands in messages.
    pub(crate) name: String,
    place: Option<Place>,
}

#[derive(Debug, Clone)]
struct Place {
    path: PathBuf,
    wal: PathBuf,
    identity: (u64, u64),
}

impl File {
    /// No file at all: a database in memory.
    pub(crate) fn memory() -> Self {
        Self { name: "(memory)".into(), place: None }
    }

    /// The file that was just opened at `path`.
    pub(crate) fn opened(path: &Path) -> Result<Self, StoreError> {
        let name = shown(path);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let mut wal = path.clone().into_os_string();
        wal.push("-wal");
        let found = std::fs::metadata(&path)
            .map_err(|source| StoreError::Io { file: name.clone(), source })?;
        let place = Place { path, wal: wal.into(), identity: identity(&found) };
        Ok(Self { name, place: Some(place) })
    }

    /// Fails when the name now leads to nothing or to another file.
    pub(crate) fn still_there(&self) -> Result<(), StoreError> {
        let Some(place) = &self.place else { return Ok(()) };
        match std::fs::metadata(&place.path) {
            Ok(found) if identity(&found) == place.identity => Ok(()),
            Ok(_) => Err(self.vanished()),
            Err(error) if gone(&error) => Err(self.vanished()),
            Err(source) => Err(StoreError::Io { file: self.name.clone(), source }),
        }
    }

    /// The same after a write, which must also have left the log that holds it.
    pub(crate) fn holds_a_write(&self) -> Result<(), StoreError> {
        self.still_there()?;
        match &self.place {
            Some(place) if !place.wal.exists() => Err(self.vanished()),
            _ => Ok(()),
        }
    }

    fn vanished(&self) -> StoreError {
        StoreError::Vanished { file: self.name.clone() }
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

fn gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
