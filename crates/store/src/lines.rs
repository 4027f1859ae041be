//! A journal as it lies in the file, for those who do not trust it; and what is kept beside it.

use async_trait::async_trait;
use domain::name::RolloutId;
use domain::ports::{Journal, PortError};
use rusqlite::{OptionalExtension, params};

use crate::error::StoreError;
use crate::sqlite::Sqlite;
use crate::store::Store;

#[async_trait]
impl Store for Sqlite {
    fn name(&self) -> &str {
        self.file()
    }

    async fn lines(&self, rollout: &RolloutId) -> Result<Vec<(u64, String)>, PortError> {
        let rollout = rollout.clone();
        let lines = self.run(move |session| {
            session.read(|transaction| {
                let sql = "SELECT record.seq, record.line FROM record \
                           JOIN rollout ON rollout.id = record.rollout \
                           WHERE rollout.name = ?1 ORDER BY record.seq";
                let mut query = transaction.prepare(sql)?;
                query
                    .query_map(params![rollout.as_str()], |row| {
                        // A number below zero was written by somebody else; it is no place.
                        let number = u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0);
                        // What is no text is no record either: its reader will say so.
                        let line = row.get_ref(1)?.as_bytes().unwrap_or_default();
                        Ok((number, String::from_utf8_lossy(line).into_owned()))
                    })?
                    .collect()
            })
        });
        lines.await.map_err(|error: StoreError| error.port("cannot read the journal"))
    }

    async fn keep(&self, all: Vec<(String, Vec<u8>)>) -> Result<(), PortError> {
        let kept = self.run(move |session| {
            session.write(|transaction, file| {
                let sql = "INSERT INTO kept (name, bytes) VALUES (?1, ?2) \
                           ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes";
                let failed = |source| StoreError::of(file, source);
                for (name, bytes) in &all {
                    transaction.execute(sql, params![name, bytes]).map_err(failed)?;
                }
                Ok(())
            })
        });
        kept.await.map_err(|error: StoreError| error.port("cannot keep state"))
    }

    async fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        let name = name.to_owned();
        let found = self.run(move |session| {
            session.read(|transaction| {
                let sql = "SELECT bytes FROM kept WHERE name = ?1";
                transaction.query_row(sql, [name], |row| row.get(0)).optional()
            })
        });
        found.await.map_err(|error: StoreError| error.port("cannot fetch state"))
    }

    async fn names_kept(&self) -> Result<Vec<String>, PortError> {
        let found = self.run(move |session| {
            session.read(|transaction| {
                let mut query = transaction.prepare("SELECT name FROM kept ORDER BY name")?;
                query.query_map([], |row| row.get(0))?.collect()
            })
        });
        found.await.map_err(|error: StoreError| error.port("cannot fetch state"))
    }

    async fn check(&self) -> Result<String, PortError> {
        Ok(format!("a file of SQLite with {} rollouts", self.rollouts().await?.len()))
    }
}
