//! Where the store lies.

use std::path::PathBuf;

use clap::Args;
use domain::name::FleetName;
use store::Sqlite;

use super::Failed;

/// The local store.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// The store: one SQLite file [default: ~/.local/state/presurge/presurge.db]
    #[arg(long, value_name = "FILE", env = "PRESURGE_STORE")]
    store: Option<PathBuf>,
}

impl StoreArgs {
    /// Opens the store, making its folder and file when they are not there.
    pub fn open(&self) -> Result<Sqlite, Failed> {
        let path = self.path()?;
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|e| format!("{}: {e}", folder.display()))
                .map_err(|text| {
                    Failed::new(super::Code::Error, format!("the store cannot be made: {text}"))
                })?;
        }
        Ok(Sqlite::open(&path)?)
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
