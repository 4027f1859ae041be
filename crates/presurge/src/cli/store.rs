//! Where the store lies.

use std::ffi::OsString;
use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use domain::name::FleetName;
use store::{Sqlite, Store};

use super::{Code, Failed};

/// The store.
#[derive(Debug, Clone, Args)]
pub struct StoreArgs {
    /// The store: one SQLite file, or postgres://USER@HOST/DATABASE (docs/postgresql.md)
    /// [default: ~/.local/state/presurge/presurge.db]
    #[arg(
        long,
        value_name = "FILE|ADDRESS",
        env = "PRESURGE_STORE",
        hide_env_values = true,
        global = true,
        value_parser = OsStringValueParser::new().map(Place::from)
    )]
    store: Option<Place>,
}

/// What was given as the store.
#[derive(Clone)]
enum Place {
    File(PathBuf),
    /// An address, as it was written: it may have a password in it.
    Database(String),
}

impl From<OsString> for Place {
    fn from(given: OsString) -> Self {
        match given.into_string() {
            Ok(text) if text.starts_with("postgres://") || text.starts_with("postgresql://") => {
                Self::Database(text)
            }
            Ok(text) => Self::File(text.into()),
            Err(name) => Self::File(name.into()),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Database(_) => f.write_str("Database"),
        }
    }
}

impl StoreArgs {
    /// Opens the store. A file and its folder are made when they are not there, for their owner
    /// alone; a database is connected by the first call.
    pub fn open(&self) -> Result<Arc<dyn Store>, Failed> {
        let path = match self.place()? {
            Place::Database(text) => return Ok(database::open(&text)?.0),
            Place::File(path) => path,
        };
        prepare(&path).map_err(|error| {
            let text = format!("the store {} cannot be made: {error}", path.display());
            Failed::new(Code::Error, text)
        })?;
        Ok(Arc::new(Sqlite::open(&path)?))
    }

    /// Opens the store if there is one, and makes no file.
    pub fn existing(&self) -> Result<Option<Arc<dyn Store>>, Failed> {
        match self.place() {
            Ok(Place::Database(_)) => self.open().map(Some),
            Ok(Place::File(path)) if std::fs::metadata(&path).is_ok_and(|file| file.len() > 0) => {
                Ok(Some(Arc::new(Sqlite::open(&path)?)))
            }
            _ => Ok(None),
        }
    }

    /// Where the adapters of a fleet remember what they started under the keys of this store: beside
    /// its file, or, for a database, on this machine.
    pub fn state(&self, fleet: &FleetName) -> Result<PathBuf, Failed> {
        let mut folder = match self.place()? {
            Place::File(path) => path.into_os_string(),
            Place::Database(text) => {
                let name = database::open(&text)?.1;
                home()?.join(in_one_word(&name)).into_os_string()
            }
        };
        folder.push(".state");
        Ok(PathBuf::from(folder).join(in_one_word(fleet.as_str())))
    }

    fn place(&self) -> Result<Place, Failed> {
        match &self.store {
            Some(place) => Ok(place.clone()),
            None => Ok(Place::File(home()?.join("presurge.db"))),
        }
    }
}

/// A slash in a name makes no folder, and no other name is written like that.
fn in_one_word(name: &str) -> String {
    name.replace('/', "%2F")
}

/// Where Presurge keeps what is this user's.
fn home() -> Result<PathBuf, Failed> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let folder = state
        .or_else(home)
        .ok_or_else(|| Failed::usage("there is no HOME to keep the store in; say --store FILE"))?;
    Ok(folder.join("presurge"))
}

#[cfg(feature = "postgres")]
mod database {
    use std::sync::Arc;

    use store::postgres::Address;
    use store::{Postgres, Store};

    use super::Failed;

    /// A store in a database, and the name of the database, whoever uses it.
    pub fn open(text: &str) -> Result<(Arc<dyn Store>, String), Failed> {
        let address = Address::parse(text, |name| std::env::var(name).ok());
        let address = address.map_err(Failed::usage)?;
        let place = address.place().to_owned();
        Ok((Arc::new(Postgres::new(address)), place))
    }
}

#[cfg(not(feature = "postgres"))]
mod database {
    use std::sync::Arc;

    use store::Store;

    use super::Failed;

    /// There is no such store in this build.
    pub fn open(_: &str) -> Result<(Arc<dyn Store>, String), Failed> {
        let text = "this build has no PostgreSQL; build it with `--features postgres`";
        Err(Failed::usage(text))
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
