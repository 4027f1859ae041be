//! Where the store lies.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Args;
use domain::name::FleetName;
use store::Sqlite;

use super::Failed;

/// The local store.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// The store: one SQLite file [default: ~/.local/state/presurge/presurge.db]
    #[arg(long, value_name = "FILE", env = "PRESURGE_STORE", global = true)]
    store: Option<PathBuf>,
}

impl StoreArgs {
    /// Opens the store, making its folder and file when they are not there, for their owner alone.
    pub fn open(&self) -> Result<Sqlite, Failed> {
        let path = self.path()?;
        prepare(&path).map_err(|error| {
            let text = format!("the store {} cannot be made: {error}", path.display());
            Failed::new(super::Code::Error, text)
        })?;
        Ok(Sqlite::open(&path)?)
    }

    /// Opens the store if there is one, and makes none.
    pub fn existing(&self) -> Result<Option<Sqlite>, Failed> {
        match self.path() {
            Ok(path) if std::fs::metadata(&path).is_ok_and(|file| file.len() > 0) => {
                Ok(Some(Sqlite::open(&path)?))
            }
            _ => Ok(None),
        }
    }

    /// Where the adapters of a fleet remember what they started under the keys of this store.
    pub fn state(&self, fleet: &FleetName) -> Result<PathBuf, Failed> {
        let mut folder = self.path()?.into_os_string();
        folder.push(".state");
        // A slash in a name makes no folder, and no other name is written like that.
        Ok(PathBuf::from(folder).join(fleet.as_str().replace('/', "%2F")))
    }

    fn path(&self) -> Result<PathBuf, Failed> {
        if let Some(path) = &self.store {
            return Ok(path.clone());
        }
        let state = std::env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        let folder = state.or_else(home).ok_or_else(|| {
            Failed::usage("there is no HOME to keep the store in; say --store FILE")
        })?;
        Ok(folder.join("presurge/presurge.db"))
    }
}

/// Makes the folder and an empty file. SQLite gives its other files the mode of this one.
fn prepare(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
