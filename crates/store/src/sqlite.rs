//! A database file and the one thread that works on it.
//!
//! Whatever waits while the thread is at work is done together next: each call in a savepoint of its own, all of
//! them kept by one commit, and answered after it (group commit; Gawlick and Kinkade, *IEEE Database Engineering
//! Bulletin* 8, 1985). So many callers cost few waits for the disk, and one alone waits as long as ever.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot};

use crate::error::{StoreError, shown};
use crate::file::File;
use crate::schema;

/// The most calls that wait for the thread; more wait for a place in the queue.
const QUEUE: usize = 256;

/// So many calls are kept by one commit at most: it holds back the first of them for as long as they take.
const TOGETHER: usize = 64;

/// Work that waits for the thread; it returns who answers.
type Job = Box<dyn FnOnce(&mut Session) -> Answer + Send>;

/// Answers a call once it is known whether its work was kept.
type Answer = Box<dyn FnOnce(Option<&Arc<StoreError>>)>;

/// A store in one SQLite file. Cloned handles share one connection; handles from separate
/// [`Sqlite::open`] calls, in this or another process, share the file.
///
/// One thread does all work on the connection, so that no call keeps an async runtime waiting
/// for a disk. A call that is dropped half-way may still take effect.
#[derive(Debug, Clone)]
pub struct Sqlite {
    file: String,
    jobs: mpsc::Sender<Job>,
}

impl Sqlite {
    /// Opens the store at `path`, and makes it if nothing is there. Its folder must exist.
    ///
    /// A file that can only be read is opened for reading; calls that write then say so.
    ///
    /// # Errors
    /// When the folder is missing, the file is no database or that of another program, was
    /// written by a newer build, or stays locked by another process.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let name = shown(path);
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                return Err(StoreError::NoFolder { file: name });
            }
            _ => {}
        }
        // No URI: a path is a path, whatever characters it has.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .map_err(|source| StoreError::of(&name, source))?;
        Self::on(connection, File::opened(path)?)
    }

    /// An empty store in memory, gone with its last handle.
    ///
    /// # Errors
    /// When SQLite has no memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        let file = File::memory();
        let connection =
            Connection::open_in_memory().map_err(|source| StoreError::of(&file.name, source))?;
        Self::on(connection, file)
    }

    /// The file of this store, as messages name it.
    pub fn file(&self) -> &str {
        &self.file
    }

    pub(crate) fn on(mut connection: Connection, file: File) -> Result<Self, StoreError> {
        schema::prepare(&mut connection, &file.name)?;
        let name = file.name.clone();
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let mut session = Session { connection, file, writes: false };
        thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                while let Some(first) = queue.blocking_recv() {
                    let mut answers = vec![first(&mut session)];
                    while answers.len() < TOGETHER
                        && let Ok(next) = queue.try_recv()
                    {
                        answers.push(next(&mut session));
                    }
                    let lost = session.commit().err().map(Arc::new);
                    answers.into_iter().for_each(|answer| answer(lost.as_ref()));
                }
            })
            .map_err(|source| StoreError::Io { file: name.clone(), source })?;
        Ok(Self { file: name, jobs })
    }

    /// Does `work` on the thread of the store.
    pub(crate) async fn run<T, E>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |session| {
            let done = work(session);
            let answer = move |lost: Option<&Arc<StoreError>>| {
                let done = match (done, lost) {
                    (Ok(_), Some(lost)) => Err(StoreError::Together(lost.clone()).into()),
                    (done, _) => done,
                };
                // The caller may be gone; the work is done all the same.
                let _ = answer.send(done);
            };
            Box::new(answer) as Answer
        });
        let closed = || StoreError::Closed { file: self.file.clone() };
        self.jobs.send(job).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

/// The connection, as the thread of the store sees it.
pub(crate) struct Session {
    connection: Connection,
    file: File,
    /// Whether a transaction is open that something may have been written in.
    writes: bool,
}

impl Session {
    /// A stored row that makes no sense.
    pub(crate) fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged { file: self.file.name.clone(), what }
    }

    /// Reads in one snapshot, which is answered when what was written before is kept.
    pub(crate) fn read<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.file.still_there()?;
        let failed = |source| StoreError::of(&self.file.name, source);
        if self.writes {
            return work(&self.connection).map_err(failed);
        }
        let transaction = self.connection.transaction().map_err(failed)?;
        work(&transaction).map_err(failed)
    }

    /// Writes, all of it or nothing: an error of `work` undoes it all. It is durable when its call is
    /// answered.
    pub(crate) fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Connection, &str) -> Result<T, E>,
    ) -> Result<T, E> {
        self.file.still_there()?;
        let name = self.file.name.clone();
        let failed = |source| StoreError::of(&name, source);
        if !self.writes {
            // Immediate: a writer waits for its turn at once instead of failing half-way.
            self.connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
            self.writes = true;
        }
        if self.is_undone() {
            return Err(StoreError::Undone { file: name }.into());
        }
        let savepoint = self.connection.savepoint().map_err(failed)?;
        let value = work(&savepoint, &name)?;
        savepoint.commit().map_err(failed)?;
        Ok(value)
    }

    /// Whether SQLite has ended the open transaction by itself, as it does where a disk is full.
    fn is_undone(&self) -> bool {
        self.writes && self.connection.is_autocommit()
    }

    /// Keeps what was written, durably.
    fn commit(&mut self) -> Result<(), StoreError> {
        if !self.writes {
            return Ok(());
        }
        let undone = self.is_undone();
        self.writes = false;
        if undone {
            return Err(StoreError::Undone { file: self.file.name.clone() });
        }
        if let Err(source) = self.connection.execute_batch("COMMIT") {
            // A commit that failed may leave its transaction open.
            let _ = self.connection.execute_batch("ROLLBACK");
            return Err(StoreError::of(&self.file.name, source));
        }
        self.file.holds_a_write()
    }
}
