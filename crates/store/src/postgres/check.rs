//! What a database says of itself, and the lines of a journal as they lie there.

use async_trait::async_trait;
use domain::name::RolloutId;
use domain::ports::PortError;

use super::Postgres;
use super::schema::VERSION;
use crate::store::Store;

const CHECK: &str = "
SELECT current_setting('server_version'), current_setting('fsync'),
    current_setting('full_page_writes'), (SELECT count(*) FROM presurge.rollout WHERE seq > 0)";

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
