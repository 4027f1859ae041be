//! Leases: one statement each, judged by the clock of the database.

use std::time::Duration;

use domain::name::RolloutId;
use domain::ports::Lease;
use tokio_postgres::types::Type;

use super::error::PostgresError;
use super::pool::Pool;

/// Takes or renews. A lease that is free carries the epoch that its next owner gets.
///
/// The conditions are checked on the row as it is once it is locked, whatever happened while the
/// statement waited for it.
const TAKE: &str = "
INSERT INTO presurge.rollout AS held (name, owner, until)
VALUES ($1, $2, presurge.now() + make_interval(secs => $3))
ON CONFLICT (name) DO UPDATE SET
    epoch = CASE WHEN held.owner IS NULL OR held.owner = $2 THEN held.epoch ELSE held.epoch + 1 END,
    owner = $2,
    until = presurge.now() + make_interval(secs => $3)
WHERE held.owner IS NULL OR held.owner = $2 OR held.until <= presurge.now()
RETURNING epoch";

/// The next epoch stands free then: what is released can write nothing more.
const RELEASE: &str = "
UPDATE presurge.rollout SET epoch = epoch + 1, owner = NULL, until = NULL
WHERE name = $1 AND epoch = $2 AND owner = $3 RETURNING epoch";

/// The epoch of the lease, if `owner` has it now.
pub(super) async fn take(
    pool: &Pool,
    rollout: &RolloutId,
    owner: &str,
    length: Duration,
) -> Result<Option<u64>, PostgresError> {
    let (name, seconds) = (rollout.as_str(), length.as_secs_f64());
    let parameters: super::pool::Parameters<'_> =
        &[(&name, Type::TEXT), (&owner, Type::TEXT), (&seconds, Type::FLOAT8)];
    let rows = pool.query(TAKE, parameters).await?;
    Ok(rows.first().map(|row| epoch(row.get(0))))
}

/// Gives a lease up, if it is still held.
pub(super) async fn release(pool: &Pool, lease: &Lease) -> Result<(), PostgresError> {
    let (name, owner) = (lease.rollout.as_str(), lease.owner.as_str());
    let held = i64::try_from(lease.epoch).unwrap_or(i64::MAX);
    let parameters: super::pool::Parameters<'_> =
        &[(&name, Type::TEXT), (&held, Type::INT8), (&owner, Type::TEXT)];
    pool.query(RELEASE, parameters).await.map(drop)
}

/// An epoch as it is stored; the table refuses those below 1.
pub(super) fn epoch(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
