//! What the two kinds of stores have in common beyond their ports.

use async_trait::async_trait;
use domain::name::RolloutId;
use domain::ports::{Archive, Journal, PortError};

/// A place where journals, archived inputs and what may be replaced are kept together.
#[async_trait]
pub trait Store: Journal + Archive {
    /// How messages name it: a file, or an address without its password.
    fn name(&self) -> &str;

    /// The records of a rollout as they are stored, each with the number that it is stored under,
    /// in the order of these numbers. Nothing is checked; an unknown rollout has none.
    async fn lines(&self, rollout: &RolloutId) -> Result<Vec<(u64, String)>, PortError>;

    /// Keeps bytes under names, all or none; what was kept under such a name before is gone. Nothing that
    /// is needed to follow a decision is kept like this.
    async fn keep(&self, all: Vec<(String, Vec<u8>)>) -> Result<(), PortError>;

    /// What is kept under a name.
    async fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, PortError>;

    /// Every name under which something is kept, in order.
    async fn names_kept(&self) -> Result<Vec<String>, PortError>;

    /// Asks whether it answers, and what it is, in words for people.
    async fn check(&self) -> Result<String, PortError>;
}
