//! A store in a PostgreSQL database, for any number of replicas on any number of machines.
//!
//! Every call is one statement, and a statement is a transaction: it compares the epoch of the
//! lease and the head of the chain with those of the rollout's row, moves the head and inserts the
//! records, or does nothing. There is no state in a session that another one would miss, so that a
//! connection may be lost at any moment. Nothing rests on locks that are held between two calls:
//! the server notices late that their holder is gone.

mod address;
mod append;
mod archive;
mod check;
mod error;
mod lease;
mod passfile;
mod pool;
mod schema;
mod session;
mod settings;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::journal::Record;
use domain::name::RolloutId;
use domain::ports::{Append, AppendError, Journal, Lease, PortError};
use jiff::Timestamp;
use tokio_postgres::types::Type;

pub use address::{Address, BadAddress};
pub use error::PostgresError;
pub use schema::VERSION;

use self::pool::Pool;

/// A store in a PostgreSQL database. Cloned handles share their connections.
///
/// The tables are made, and brought to the version of this build, by the first call that finds
/// them missing or older. A call that is dropped half-way may still take effect.
#[derive(Debug, Clone)]
pub struct Postgres {
    pool: Arc<Pool>,
}

impl Postgres {
    /// A store at an address. Nothing is connected yet: the first call does that, and any later
    /// one again where the connection was lost.
    pub fn new(address: Address) -> Self {
        Self { pool: Arc::new(Pool::new(address)) }
    }
}

#[async_trait]
impl Journal for Postgres {
    /// Whether a lease has ended is judged by the clock of the database, the only one that all
    /// replicas share. `until` is handed back in the clock of the caller, from before the call: by
    /// it the lease ends sooner than by the database's.
    async fn lease(
        &self,
        rollout: &RolloutId,
        owner: &str,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<Lease>, PortError> {
        let taken = lease::take(&self.pool, rollout, owner, length).await;
        let epoch = taken.map_err(|error| error.port("cannot take the lease"))?;
        let until = now.saturating_add(length).unwrap_or(Timestamp::MAX);
        let (rollout, owner) = (rollout.clone(), owner.to_owned());
        Ok(epoch.map(|epoch| Lease { rollout, owner, epoch, until }))
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        let released = lease::release(&self.pool, lease).await;
        released.map_err(|error| error.port("cannot give up the lease"))
    }

    async fn read(&self, rollout: &RolloutId, after: u64) -> Result<Vec<Record>, PortError> {
        let operation = "cannot read the journal";
        let lines = self.stored(rollout, after).await.map_err(|error| error.port(operation))?;
        let record = |(seq, line): (i64, String)| {
            serde_json::from_str(&line).map_err(|error| {
                let what = format!("record {seq} of {rollout} cannot be read: {error}");
                self.pool.damaged(what).port(operation)
            })
        };
        lines.into_iter().map(record).collect()
    }

    async fn append(&self, append: Append<'_>) -> Result<Vec<Record>, AppendError> {
        append::append(&self.pool, append).await
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, PortError> {
        let operation = "cannot list the rollouts";
        let sql = "SELECT name FROM presurge.rollout WHERE seq > 0 ORDER BY created, id";
        let rows = self.pool.query(sql, &[]).await.map_err(|error| error.port(operation))?;
        let name = |row: &tokio_postgres::Row| {
            RolloutId::new(row.get::<_, String>(0)).map_err(|error| {
                self.pool.damaged(format!("a rollout's name: {error}")).port(operation)
            })
        };
        rows.iter().map(name).collect()
    }
}

impl Postgres {
    /// The lines of a journal behind a number, as they are stored.
    async fn stored(
        &self,
        rollout: &RolloutId,
        after: u64,
    ) -> Result<Vec<(i64, String)>, PostgresError> {
        // Numbers in the database are signed; nothing comes after the largest.
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let sql = "SELECT record.seq, record.line FROM presurge.record \
                   JOIN presurge.rollout ON rollout.id = record.rollout \
                   WHERE rollout.name = $1 AND record.seq > $2 ORDER BY record.seq";
        let name = rollout.as_str();
        let rows = self.pool.query(sql, &[(&name, Type::TEXT), (&after, Type::INT8)]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}
