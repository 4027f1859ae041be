//! What the two kinds of stores have in common beyond their ports.

use async_trait::async_trait;
use domain::name::RolloutId;
use domain::ports::{Archive, Journal, PortError};

/// A place where journals and archived inputs are kept together.
#[async_trait]
pub trait Store: Journal + Archive {
    /// How messages name it: a file, or an address without its password.
    fn name(&self) -> &str;

    /// The records of a rollout as they are stored, each with the number that it is stored under,
    /// in the order of these numbers. Nothing is checked; an unknown rollout has none.
    async fn lines(&self, rollout: &RolloutId) -> Result<Vec<(u64, String)>, PortError>;

    /// Asks whether it answers, and what it is, in words for people.
    async fn check(&self) -> Result<String, PortError>;
}
