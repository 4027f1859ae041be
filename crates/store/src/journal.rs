//! The journal: one chain per rollout, and the leases on them.

use std::time::Duration;

use async_trait::async_trait;
use domain::journal::{Digest, Entry, Head, Record};
use domain::name::RolloutId;
use domain::ports::{Append, AppendError, Authority, Journal, Lease, PortError};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::StoreError;
use crate::sqlite::{Session, Sqlite};

/// A fault on the way of an append.
enum Fault {
    Refused(AppendError),
    Store(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[async_trait]
impl Journal for Sqlite {
    async fn lease(
        &self,
        rollout: &RolloutId,
        owner: &str,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<Lease>, PortError> {
        let (rollout, owner) = (rollout.clone(), owner.to_owned());
        let until = now.saturating_add(length).unwrap_or(Timestamp::MAX);
        let taken = self.run(move |session| {
            session.write(|transaction, file| take(transaction, file, rollout, owner, now, until))
        });
        taken.await.map_err(|error| error.port("cannot take the lease"))
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        let lease = lease.clone();
        let released = self.run(move |session| {
            session.write(|transaction, file| {
                // The next epoch stands free then: what is released can write nothing more.
                let sql = "UPDATE lease SET epoch = epoch + 1, owner = NULL, until = NULL \
                           WHERE rollout = ?1 AND epoch = ?2 AND owner = ?3";
                transaction
                    .execute(sql, params![lease.rollout.as_str(), lease.epoch, lease.owner])
                    .map_err(|source| StoreError::of(file, source))
            })
        });
        released.await.map(drop).map_err(|error| error.port("cannot give up the lease"))
    }

    async fn read(&self, rollout: &RolloutId, after: u64) -> Result<Vec<Record>, PortError> {
        let rollout = rollout.clone();
        let records = self.run(move |session| records(session, &rollout, after));
        records.await.map_err(|error| error.port("cannot read the journal"))
    }

    async fn append(&self, append: Append<'_>) -> Result<Vec<Record>, AppendError> {
        let rollout = append.rollout.clone();
        let lease = match append.authority {
            Authority::Driver(lease) => Some(lease.clone()),
            Authority::Operator => None,
        };
        let (after, entries) = (append.after.clone(), append.entries);
        let written = self.run(move |session| {
            session.write(|transaction, file| {
                if let Some(lease) = lease {
                    check_lease(transaction, file, &rollout, &lease)?;
                }
                chain(transaction, file, &rollout, &after, entries)
            })
        });
        written.await.map_err(|fault| match fault {
            Fault::Refused(error) => error,
            Fault::Store(error) => error.port("cannot append to the journal").into(),
        })
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, PortError> {
        let names = self.run(|session| {
            let names: Vec<String> = session.read(|transaction| {
                let mut query = transaction.prepare("SELECT name FROM rollout ORDER BY id")?;
                query.query_map([], |row| row.get(0))?.collect()
            })?;
            names
                .into_iter()
                .map(|name| {
                    let damaged = |error| session.damaged(format!("a rollout's name: {error}"));
                    RolloutId::new(name).map_err(damaged)
                })
                .collect()
        });
        names.await.map_err(|error: StoreError| error.port("cannot list the rollouts"))
    }
}

/// What is stored of a lease: its epoch, and its owner and end unless it is free.
type Held = (u64, Option<String>, Option<String>);

fn held(
    transaction: &Connection,
    file: &str,
    rollout: &RolloutId,
) -> Result<Option<Held>, StoreError> {
    let sql = "SELECT epoch, owner, until FROM lease WHERE rollout = ?1";
    let failed = |source| StoreError::of(file, source);
    let mut query = transaction.prepare_cached(sql).map_err(failed)?;
    query
        .query_row([rollout.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .map_err(failed)
}

fn take(
    transaction: &Connection,
    file: &str,
    rollout: RolloutId,
    owner: String,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Lease>, StoreError> {
    let epoch = match held(transaction, file, &rollout)? {
        None => 1,
        Some((epoch, None, _)) => epoch,
        Some((epoch, Some(holder), _)) if holder == owner => epoch,
        Some((epoch, _, end)) => {
            let damaged = |error| {
                let what = format!("the lease of {rollout} has no readable end: {error}");
                StoreError::Damaged { file: file.to_owned(), what }
            };
            let end: Timestamp = end.unwrap_or_default().parse().map_err(damaged)?;
            if end > now {
                return Ok(None);
            }
            epoch + 1
        }
    };
    let sql = "INSERT OR REPLACE INTO lease (rollout, epoch, owner, until) VALUES (?1, ?2, ?3, ?4)";
    let failed = |source| StoreError::of(file, source);
    let mut put = transaction.prepare_cached(sql).map_err(failed)?;
    put.execute(params![rollout.as_str(), epoch, owner, until.to_string()]).map_err(failed)?;
    Ok(Some(Lease { rollout, owner, epoch, until }))
}

fn check_lease(
    transaction: &Connection,
    file: &str,
    rollout: &RolloutId,
    lease: &Lease,
) -> Result<(), Fault> {
    let current = held(transaction, file, rollout)?.map_or(0, |(epoch, ..)| epoch);
    if current == lease.epoch && lease.rollout == *rollout {
        return Ok(());
    }
    Err(Fault::Refused(AppendError::Fenced { held: lease.epoch, current }))
}

/// Appends `entries` behind `after`, if that is where the chain ends.
fn chain(
    transaction: &Connection,
    file: &str,
    rollout: &RolloutId,
    after: &Head,
    entries: Vec<Entry>,
) -> Result<Vec<Record>, Fault> {
    let failed = |source| StoreError::of(file, source);
    let mut head = head(transaction, file, rollout)?;
    if head != *after {
        return Err(Fault::Refused(AppendError::Conflict(head)));
    }
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    transaction
        .execute("INSERT OR IGNORE INTO rollout (name) VALUES (?1)", [rollout.as_str()])
        .map_err(failed)?;
    let id: i64 = transaction
        .query_row("SELECT id FROM rollout WHERE name = ?1", [rollout.as_str()], |row| row.get(0))
        .map_err(failed)?;
    let mut insert = transaction
        .prepare_cached("INSERT INTO record (rollout, seq, line) VALUES (?1, ?2, ?3)")
        .map_err(failed)?;
    let mut written = Vec::with_capacity(entries.len());
    for entry in entries {
        let record = Record::chain(rollout, &head, entry);
        let line = serde_json::to_string(&record).expect("a record is plain data");
        insert.execute(params![id, record.seq, line]).map_err(failed)?;
        head = record.head();
        written.push(record);
    }
    Ok(written)
}

/// Where the chain of a rollout ends.
fn head(transaction: &Connection, file: &str, rollout: &RolloutId) -> Result<Head, StoreError> {
    let sql = "SELECT record.seq, record.line ->> 'hash' FROM record \
               JOIN rollout ON rollout.id = record.rollout \
               WHERE rollout.name = ?1 ORDER BY record.seq DESC LIMIT 1";
    let failed = |source| StoreError::of(file, source);
    let mut query = transaction.prepare_cached(sql).map_err(failed)?;
    let last: Option<(u64, Option<String>)> = query
        .query_row([rollout.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(failed)?;
    let Some((seq, hash)) = last else { return Ok(Head::empty()) };
    let hash = Digest::try_from(hash.unwrap_or_default()).map_err(|error| {
        let what = format!("record {seq} of {rollout} has no readable hash: {error}");
        StoreError::Damaged { file: file.to_owned(), what }
    })?;
    Ok(Head { seq, hash })
}

fn records(
    session: &mut Session,
    rollout: &RolloutId,
    after: u64,
) -> Result<Vec<Record>, StoreError> {
    // Numbers in the file are signed; nothing comes after the largest.
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let lines: Vec<(i64, String)> = session.read(|transaction| {
        let sql = "SELECT record.seq, record.line FROM record \
                   JOIN rollout ON rollout.id = record.rollout \
                   WHERE rollout.name = ?1 AND record.seq > ?2 ORDER BY record.seq";
        let mut query = transaction.prepare_cached(sql)?;
        query
            .query_map(params![rollout.as_str(), after], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    })?;
    lines
        .into_iter()
        .map(|(seq, line)| {
            serde_json::from_str(&line).map_err(|error| {
                session.damaged(format!("record {seq} of {rollout} cannot be read: {error}"))
            })
        })
        .collect()
}
