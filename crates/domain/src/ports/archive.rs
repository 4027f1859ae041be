use async_trait::async_trait;

use super::PortError;
use crate::journal::Digest;

/// Inputs of decisions, kept by digest.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Keeps bytes and returns their digest. Already there: no second copy.
    async fn put(&self, bytes: &[u8]) -> Result<Digest, PortError>;

    /// The bytes of a digest; `None` when they were never kept or are past their retention.
    /// Bytes that no longer match their digest are an error.
    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, PortError>;
}
