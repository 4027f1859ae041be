//! The archive: bytes by their digest, kept until somebody deletes them.

use std::time::Duration;

use async_trait::async_trait;
use domain::journal::Digest;
use domain::ports::{Archive, PortError};
use tokio_postgres::types::Type;

use super::Postgres;
use super::error::PostgresError;
use super::settings::{ARCHIVE_BYTES_PER_SECOND, CALL};
use crate::archive::MAX_BYTES;

const PUT: &str = "
INSERT INTO presurge.archive (digest, bytes) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";

const GET: &str = "SELECT bytes FROM presurge.archive WHERE digest = $1";

#[async_trait]
impl Archive for Postgres {
    async fn put(&self, bytes: &[u8]) -> Result<Digest, PortError> {
        let operation = "cannot keep inputs";
        if bytes.len() > MAX_BYTES {
            let store = self.pool.store().to_owned();
            let (bytes, most) = (bytes.len(), MAX_BYTES);
            return Err(PostgresError::TooLarge { store, bytes, most }.port(operation));
        }
        let digest = Digest::of_bytes(bytes);
        let key = digest.to_string();
        let parameters: super::pool::Parameters<'_> = &[(&key, Type::TEXT), (&bytes, Type::BYTEA)];
        let kept = self.pool.query_within(limit(bytes.len()), PUT, parameters).await;
        kept.map_err(|error| error.port(operation))?;
        Ok(digest)
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, PortError> {
        let operation = "cannot fetch inputs";
        let key = digest.to_string();
        let parameters: super::pool::Parameters<'_> = &[(&key, Type::TEXT)];
        let found = self.pool.query_within(limit(MAX_BYTES), GET, parameters).await;
        let rows = found.map_err(|error| error.port(operation))?;
        let bytes: Option<Vec<u8>> = rows.first().map(|row| row.get(0));
        match bytes {
            Some(bytes) if Digest::of_bytes(&bytes) != *digest => {
                let what = format!("the inputs kept as {digest} were changed");
                Err(self.pool.damaged(what).port(operation))
            }
            bytes => Ok(bytes),
        }
    }
}

/// How long a call with so many bytes may take.
pub(super) fn limit(bytes: usize) -> Duration {
    CALL + Duration::from_secs((bytes / ARCHIVE_BYTES_PER_SECOND) as u64)
}
