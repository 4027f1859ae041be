//! A folder in which one thing is written down, file by file, each whole or not at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use domain::journal::Digest;
use domain::ports::Retry;
use serde::de::DeserializeOwned;

/// The most that is read of one file, in bytes: what we wrote is smaller.
const MAX_FILE: u64 = 1 << 20;

/// The longest escaped name that is used whole; file systems take 255 bytes.
const MAX_NAME: usize = 180;

/// Why something could not be written down, or read back.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system refused.
    #[error("{path}: cannot {action} this; is there room, and is the state folder yours?", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file does not say what was written into it.
    #[error("{path}: this was changed, or not written to the end; move it away after a look at what it names", path = .path.display())]
    Garbled {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// No process could be started.
    #[error("cannot start /bin/sh in {folder}", folder = .folder.display())]
    Start {
        /// Where it should have run.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else is at work, for longer than it should take.
    #[error("{path}: another process keeps this locked; find it with `fuser`", path = .path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
}

impl FolderError {
    /// What the caller may do.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Garbled { .. } => Retry::Never,
            Self::Start { source, .. }
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) =>
            {
                Retry::Never
            }
            Self::File { .. } | Self::Start { .. } | Self::Locked { .. } => Retry::Backoff,
        }
    }
}

/// A folder of ours.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn exists(&self) -> bool {
        self.0.is_dir()
    }

    /// Makes the folder, and those above it.
    pub(crate) fn make(&self) -> Result<(), FolderError> {
        fs::create_dir_all(&self.0).map_err(failed(&self.0, "make"))
    }

    /// Removes the folder with all that is in it; already gone is well.
    pub(crate) fn destroy(&self) -> Result<(), FolderError> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed(&self.0, "remove")(error))
            }
            _ => Ok(()),
        }
    }

    /// Gives the folder another name.
    pub(crate) fn rename_to(&self, other: &Self) -> Result<(), FolderError> {
        fs::rename(&self.0, &other.0).map_err(failed(&self.0, "move"))
    }

    /// Writes a file as a whole, so that it survives a loss of power.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        let (path, draft) = (self.0.join(name), self.0.join(format!("{name}.draft")));
        let write = || {
            let mut file = File::create(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(failed(&path, "write"))
    }

    /// The content of a file; `None` when it is not there.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FolderError> {
        let path = self.0.join(name);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, "read")(error)),
        }
    }

    /// What a file of ours says.
    pub(crate) fn parse<T: DeserializeOwned>(
        &self,
        name: &str,
        bytes: &[u8],
    ) -> Result<T, FolderError> {
        serde_json::from_slice(bytes)
            .map_err(|source| FolderError::Garbled { path: self.0.join(name), source })
    }

    /// Removes files that may be there.
    pub(crate) fn remove(&self, names: &[&str]) -> Result<(), FolderError> {
        for name in names {
            let path = self.0.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(failed(&path, "remove")(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The names of the folders in this one, in order; none when it is not there.
    pub(crate) fn folders(&self) -> Result<Vec<Self>, FolderError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&self.0, "read")(error)),
        };
        let mut folders = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed(&self.0, "read"))?.path();
            if path.is_dir() {
                folders.push(Self(path));
            }
        }
        folders.sort_by(|one, two| one.0.cmp(&two.0));
        Ok(folders)
    }
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_path_buf();
    move |source| FolderError::File { path, action, source }
}

/// The right to work in a folder. The kernel takes it back from whoever dies; a process that is
/// given the file keeps the right for as long as it has it open.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Takes the lock of a folder; `None` while somebody else has it.
    pub(crate) fn take(folder: &Folder) -> Result<Option<Self>, FolderError> {
        let path = Self::path(folder);
        let open =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = open.map_err(failed(&path, "open"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(&path, "lock")(error)),
        }
    }

    pub(crate) fn path(folder: &Folder) -> PathBuf {
        folder.0.join("lock")
    }

    /// The lock as an open file, to hand on to a child.
    pub(crate) fn into_file(self) -> File {
        self.0
    }

    /// The same lock once more, to hand on to a child.
    pub(crate) fn share(&self) -> io::Result<File> {
        self.0.try_clone()
    }
}

/// A name as a file name: what is not a letter, a digit or one of `._-` is written `%XX`.
/// A text that would be too long is cut and closed with its digest, so that names stay distinct.
pub(crate) fn escape(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    if text.len() > MAX_NAME {
        text.truncate(MAX_NAME - 70);
        let digest = Digest::of_bytes(name.as_bytes()).to_string();
        text.push('~');
        text.push_str(digest.trim_start_matches("sha256:"));
    }
    text
}
