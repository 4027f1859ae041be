use async_trait::async_trait;
use jiff::Timestamp;

use super::PortError;
use crate::series::Sample;

/// Where load comes from: a file, Prometheus, a cloud's metrics.
#[async_trait]
pub trait LoadSource: Send + Sync {
    /// All samples stamped in `[from, to)`, in rising order of time.
    ///
    /// Nothing there: an empty list, no error. Values are passed on as they are found: `NaN`,
    /// duplicates and an incomplete newest bucket are the business of the reader's hygiene.
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError>;
}
