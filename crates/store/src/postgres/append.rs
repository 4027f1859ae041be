//! Appending: one statement that compares, moves the head and inserts, or does nothing.

use domain::journal::{Digest, Head, Record};
use domain::name::RolloutId;
use domain::ports::{Append, AppendError, Authority, Lease};
use tokio_postgres::types::Type;

use super::error::PostgresError;
use super::lease::epoch;
use super::pool::{Parameters, Pool};

/// Moves the head of a chain that has a row, if head and lease are those of the writer. The row is
/// locked, and the conditions are checked on it as it is then.
const MOVE: &str = "
    UPDATE presurge.rollout SET
        seq = $2, hash = $3, created = coalesce(created, nextval('presurge.creation'))
    WHERE name = $1 AND seq = $4 AND hash = $5 AND ($6::bigint IS NULL OR epoch = $6 AND owner = $7)
    RETURNING id";

/// Begins a chain, of which there may be a row because of its lease.
const BEGIN: &str = "
    INSERT INTO presurge.rollout AS known (name, seq, hash, created)
    VALUES ($1, $2, $3, nextval('presurge.creation'))
    ON CONFLICT (name) DO UPDATE SET
        seq = excluded.seq, hash = excluded.hash, created = coalesce(known.created, excluded.created)
    WHERE known.seq = $4 AND known.hash = $5 AND ($6::bigint IS NULL OR known.epoch = $6 AND known.owner = $7)
    RETURNING id";

/// What the row of a rollout says, beside its last record.
const LOOK: &str = "
SELECT epoch, owner, seq, hash,
    (SELECT line FROM presurge.record WHERE record.rollout = rollout.id ORDER BY seq DESC LIMIT 1)
FROM presurge.rollout WHERE name = $1";

pub(super) async fn append(pool: &Pool, append: Append<'_>) -> Result<Vec<Record>, AppendError> {
    let Append { rollout, authority, after, entries } = append;
    let lease = match authority {
        Authority::Driver(lease) => Some(lease),
        Authority::Operator => None,
    };
    let failed = |error: PostgresError| error.port("cannot append to the journal");
    let elsewhere = lease.is_some_and(|lease| lease.rollout != *rollout);
    if entries.is_empty() || elsewhere {
        return match refusal(pool, rollout, lease, after).await.map_err(failed)? {
            Some(refused) => Err(refused),
            None => Ok(Vec::new()),
        };
    }
    let mut head = after.clone();
    let mut written = Vec::with_capacity(entries.len());
    for entry in entries {
        let record = Record::chain(rollout, &head, entry);
        head = record.head();
        written.push(record);
    }
    if write(pool, rollout, lease, after, &written).await.map_err(failed)? {
        return Ok(written);
    }
    // Heads and epochs only rise, so that what kept the statement from writing still stands there.
    match refusal(pool, rollout, lease, after).await.map_err(failed)? {
        Some(refused) => Err(refused),
        None => {
            let what = format!("{rollout} refused a record without a reason; this is a defect");
            Err(failed(pool.damaged(what)).into())
        }
    }
}

/// Whether it was written.
async fn write(
    pool: &Pool,
    rollout: &RolloutId,
    lease: Option<&Lease>,
    after: &Head,
    records: &[Record],
) -> Result<bool, PostgresError> {
    let begins = lease.is_none() && *after == Head::empty();
    let moved = if begins { BEGIN } else { MOVE };
    let sql = format!(
        "WITH moved AS ({moved}), written AS (
            INSERT INTO presurge.record (rollout, seq, line)
            SELECT moved.id, new.seq, new.line
            FROM moved, unnest($8::bigint[], $9::text[]) AS new (seq, line)
            RETURNING seq
        ) SELECT count(*) FROM written"
    );
    let lines: Vec<String> = records
        .iter()
        .map(|record| serde_json::to_string(record).expect("a record is plain data"))
        .collect();
    let numbers: Vec<i64> = records.iter().map(|record| number(record.seq)).collect();
    let last = records.last().map_or_else(Head::empty, Record::head);
    let (name, seq, hash) = (rollout.as_str(), number(last.seq), last.hash.to_string());
    let (seen, seen_hash) = (number(after.seq), after.hash.to_string());
    let held = lease.map(|lease| number(lease.epoch));
    let owner = lease.map(|lease| lease.owner.as_str());
    let parameters: Parameters<'_> = &[
        (&name, Type::TEXT),
        (&seq, Type::INT8),
        (&hash, Type::TEXT),
        (&seen, Type::INT8),
        (&seen_hash, Type::TEXT),
        (&held, Type::INT8),
        (&owner, Type::TEXT),
        (&numbers, Type::INT8_ARRAY),
        (&lines, Type::TEXT_ARRAY),
    ];
    let rows = pool.query(&sql, parameters).await?;
    let count: i64 = rows.first().map_or(0, |row| row.get(0));
    Ok(count == number(records.len() as u64))
}

/// Why a writer may not append; `None` where it may.
async fn refusal(
    pool: &Pool,
    rollout: &RolloutId,
    lease: Option<&Lease>,
    after: &Head,
) -> Result<Option<AppendError>, PostgresError> {
    let name = rollout.as_str();
    let rows = pool.query(LOOK, &[(&name, Type::TEXT)]).await?;
    let row = rows.first();
    let current = row.map_or(0, |row| epoch(row.get(0)));
    let owner: Option<String> = row.and_then(|row| row.get(1));
    if let Some(lease) = lease {
        let mine = owner.as_deref() == Some(lease.owner.as_str());
        if lease.rollout != *rollout || lease.epoch != current || !mine {
            return Ok(Some(AppendError::Fenced { held: lease.epoch, current }));
        }
    }
    let head = match row {
        Some(row) => head(pool, rollout, row)?,
        None => Head::empty(),
    };
    Ok((head != *after).then_some(AppendError::Conflict(head)))
}

/// The head of a row, which has to be that of its last record.
fn head(
    pool: &Pool,
    rollout: &RolloutId,
    row: &tokio_postgres::Row,
) -> Result<Head, PostgresError> {
    let (seq, hash): (i64, String) = (row.get(2), row.get(3));
    let stated = Digest::try_from(hash).ok().zip(u64::try_from(seq).ok());
    let stated = stated.map(|(hash, seq)| Head { seq, hash });
    let line: Option<String> = row.get(4);
    let last = match line {
        None => Head::empty(),
        Some(line) => {
            let record: Record = serde_json::from_str(&line).map_err(|error| {
                let what = format!("the last record of {rollout} cannot be read: {error}");
                pool.damaged(what)
            })?;
            record.head()
        }
    };
    if stated.as_ref() == Some(&last) {
        return Ok(last);
    }
    Err(pool.damaged(format!(
        "the head of {rollout} is not its last record, {}; somebody changed the tables",
        last.seq
    )))
}

/// Numbers in the database are signed; there is no record beyond them.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
