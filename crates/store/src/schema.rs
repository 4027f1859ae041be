//! The tables, their version, and the settings of a connection.

use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::error::StoreError;

/// The version of the tables that this build writes, in the file's `user_version`.
pub(crate) const VERSION: i64 = 2;

/// Marks a file as ours, in its `application_id`: "PSRG".
pub(crate) const APPLICATION: i64 = 0x5053_5247;

/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// How long to wait between attempts where SQLite itself does not wait.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// From each version to the next; the first makes the tables.
///
/// A record is stored as its line of JSON, exactly as it is exported, so that there is nothing
/// beside it that could say otherwise. The triggers stop slips, not attackers; against those
/// stands the chain of hashes. What is kept may be replaced: nothing is decided by it alone.
const STEPS: [&str; VERSION as usize] = [
    "
CREATE TABLE rollout (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE record (
    rollout INTEGER NOT NULL REFERENCES rollout (id),
    seq INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (rollout, seq)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER record_unchanged BEFORE UPDATE ON record
    BEGIN SELECT RAISE (ABORT, 'a journal is appended to, never changed'); END;
CREATE TRIGGER record_kept BEFORE DELETE ON record
    BEGIN SELECT RAISE (ABORT, 'a journal is appended to, never cut'); END;
CREATE TABLE lease (
    rollout TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    owner TEXT,
    until TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE archive (digest TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
",
    "
CREATE TABLE kept (name TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
",
];

/// Brings a fresh connection to `file` into shape: its settings, and the tables if the file is
/// new. A file that can only be read is left as it is.
pub(crate) fn prepare(connection: &mut Connection, file: &str) -> Result<(), StoreError> {
    let failed = |source| StoreError::of(file, source);
    connection.busy_timeout(BUSY).map_err(failed)?;
    let read_only = connection.is_readonly("main").map_err(failed)?;
    // In one snapshot: another process may be making the tables at this moment.
    let snapshot = connection.unchecked_transaction().map_err(failed)?;
    let version = known_version(&snapshot, file)?;
    snapshot.finish().map_err(failed)?;
    if read_only {
        return match version {
            0 => Err(StoreError::ReadOnly { file: file.to_owned() }),
            _ => Ok(()),
        };
    }
    write_ahead(connection, file)?;
    // FULL: what a call has reported as written survives a loss of power.
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    if version < VERSION {
        bring_forward(connection, file)?;
    }
    Ok(())
}

/// Turns the write-ahead log on. The change of a new file needs it alone, and SQLite does not wait
/// for its busy time-out there but fails at once when another process opens the same new file, so
/// the waiting is done here.
fn write_ahead(connection: &Connection, file: &str) -> Result<(), StoreError> {
    let mut waited = Duration::ZERO;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && waited < BUSY => {
                std::thread::sleep(BUSY_PAUSE);
                waited += BUSY_PAUSE;
            }
            done => return done.map_err(|source| StoreError::of(file, source)),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    let busy = [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked];
    error.sqlite_error_code().is_some_and(|code| busy.contains(&code))
}

/// The version of the file: 0 when it is empty. Refuses what this build must not touch.
fn known_version(connection: &Connection, file: &str) -> Result<i64, StoreError> {
    let number = |pragma: &str| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(|source| StoreError::of(file, source))
    };
    let (application, version) = (number("application_id")?, number("user_version")?);
    if application == APPLICATION && version > VERSION {
        let file = file.to_owned();
        return Err(StoreError::Newer { file, found: version, known: VERSION });
    }
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|source| StoreError::of(file, source))?;
    let ours = application == APPLICATION && version > 0;
    let empty = application == 0 && version == 0 && tables == 0;
    if ours || empty { Ok(version) } else { Err(StoreError::Foreign { file: file.to_owned() }) }
}

/// Makes the tables where there are none, and brings older ones forward.
fn bring_forward(connection: &mut Connection, file: &str) -> Result<(), StoreError> {
    let failed = |source| StoreError::of(file, source);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Another process may have been faster.
    let found = usize::try_from(known_version(&transaction, file)?).unwrap_or(usize::MAX);
    let steps = STEPS.get(found..).unwrap_or(&[]);
    for step in steps {
        transaction.execute_batch(step).map_err(failed)?;
    }
    if !steps.is_empty() {
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
        transaction.pragma_update(None, "user_version", VERSION).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}
