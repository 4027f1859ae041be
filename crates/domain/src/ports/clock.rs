use async_trait::async_trait;
use jiff::Timestamp;

/// The only source of time. Real, scaled or virtual.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Returns when `now() >= until`; at once when that has passed.
    async fn sleep_until(&self, until: Timestamp);
}
