//! What a database says of itself, and the lines of a journal as they lie there.

use async_trait::async_trait;
use domain::name::RolloutId;
use domain::ports::PortError;
use tokio_postgres::types::Type;

use super::Postgres;
use super::archive::limit;
use super::schema::VERSION;
use crate::archive::MAX_BYTES;
use crate::store::Store;

const CHECK: &str = "
SELECT current_setting('server_version'), current_setting('fsync'),
    current_setting('full_page_writes'), (SELECT count(*) FROM presurge.rollout WHERE seq > 0)";

/// In the order of the names, so that two who keep the same ones do not wait for each other.
const KEEP: &str = "
INSERT INTO presurge.kept (name, bytes)
SELECT * FROM unnest($1::text[], $2::bytea[]) AS new (name, bytes) ORDER BY name COLLATE \"C\"
ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes";

const KEPT: &str = "SELECT bytes FROM presurge.kept WHERE name = $1";

#[async_trait]
impl Store for Postgres {
    fn name(&self) -> &str {
        self.pool.store()
    }

    async fn lines(&self, rollout: &RolloutId) -> Result<Vec<(u64, String)>, PortError> {
        let lines = self.stored(rollout, 0).await;
        let lines = lines.map_err(|error| error.port("cannot read the journal"))?;
        // The table refuses numbers below 1; one that is there all the same is no place.
        let numbered = |(seq, line)| (u64::try_from(seq).unwrap_or(0), line);
        Ok(lines.into_iter().map(numbered).collect())
    }

    async fn keep(&self, all: Vec<(String, Vec<u8>)>) -> Result<(), PortError> {
        let operation = "cannot keep state";
        let (names, bytes): (Vec<String>, Vec<Vec<u8>>) = all.into_iter().unzip();
        let size = bytes.iter().map(Vec::len).sum();
        let parameters: super::pool::Parameters<'_> =
            &[(&names, Type::TEXT_ARRAY), (&bytes, Type::BYTEA_ARRAY)];
        let kept = self.pool.query_within(limit(size), KEEP, parameters).await;
        kept.map_err(|error| error.port(operation))?;
        Ok(())
    }

    async fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        let parameters: super::pool::Parameters<'_> = &[(&name, Type::TEXT)];
        let rows = self.pool.query_within(limit(MAX_BYTES), KEPT, parameters).await;
        let rows = rows.map_err(|error| error.port("cannot fetch state"))?;
        Ok(rows.first().map(|row| row.get(0)))
    }

    async fn names_kept(&self) -> Result<Vec<String>, PortError> {
        let rows = self.pool.query("SELECT name FROM presurge.kept ORDER BY name", &[]).await;
        let rows = rows.map_err(|error| error.port("cannot fetch state"))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn check(&self) -> Result<String, PortError> {
        let rows = self.pool.query(CHECK, &[]).await;
        let rows = rows.map_err(|error| error.port("cannot ask the database"))?;
        let row = &rows[0];
        let (server, rollouts): (String, i64) = (row.get(0), row.get(3));
        let mut text = format!("PostgreSQL {server}, store version {VERSION}, {rollouts} rollouts");
        for (index, setting) in [(1, "fsync"), (2, "full_page_writes")] {
            if row.get::<_, String>(index) == "off" {
                text.push_str(&format!(
                    "; its setting {setting} is off: a loss of power may cost the whole database"
                ));
            }
        }
        Ok(text)
    }
}
