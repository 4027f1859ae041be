//! The archive: bytes by their digest, kept as long as the file.

use async_trait::async_trait;
use domain::journal::Digest;
use domain::ports::{Archive, PortError};
use rusqlite::{OptionalExtension, params};

use crate::error::StoreError;
use crate::sqlite::Sqlite;

/// The most bytes that one entry of the archive may have: 256 MiB.
pub const MAX_BYTES: usize = 256 * 1024 * 1024;

#[async_trait]
impl Archive for Sqlite {
    async fn put(&self, bytes: &[u8]) -> Result<Digest, PortError> {
        let operation = "cannot keep inputs";
        if bytes.len() > MAX_BYTES {
            let (file, bytes, most) = (self.file().to_owned(), bytes.len(), MAX_BYTES);
            return Err(StoreError::TooLarge { file, bytes, most }.port(operation));
        }
        let (digest, bytes) = (Digest::of_bytes(bytes), bytes.to_vec());
        let key = digest.to_string();
        let kept = self.run(move |session| {
            session.write(|transaction, file| {
                let sql = "INSERT OR IGNORE INTO archive (digest, bytes) VALUES (?1, ?2)";
                transaction
                    .execute(sql, params![key, bytes])
                    .map_err(|source| StoreError::of(file, source))
            })
        });
        kept.await.map_err(|error| error.port(operation))?;
        Ok(digest)
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, PortError> {
        let wanted = digest.clone();
        let found = self.run(move |session| {
            let key = wanted.to_string();
            let bytes: Option<Vec<u8>> = session.read(|transaction| {
                let sql = "SELECT bytes FROM archive WHERE digest = ?1";
                transaction.query_row(sql, [key], |row| row.get(0)).optional()
            })?;
            match bytes {
                Some(bytes) if Digest::of_bytes(&bytes) != wanted => {
                    Err(session.damaged(format!("the inputs kept as {wanted} were changed")))
                }
                bytes => Ok(bytes),
            }
        });
        found.await.map_err(|error: StoreError| error.port("cannot fetch inputs"))
    }
}
