use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::PortError;
use crate::journal::{Entry, Head, Record};
use crate::name::RolloutId;

/// The right to drive one rollout, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which rollout.
    pub rollout: RolloutId,
    /// Who holds it.
    pub owner: String,
    /// Rises with every change of owner; every write checks it.
    pub epoch: u64,
    /// It is void from then on, unless renewed.
    pub until: Timestamp,
}

/// In whose name something is appended.
#[derive(Debug, Clone, Copy)]
pub enum Authority<'a> {
    /// The driver, which owns the rollout. Checked against the stored epoch.
    Driver(&'a Lease),
    /// A person or a creator; allowed beside a driver, which sees it as a conflict and reads on.
    Operator,
}

/// What to append, and where.
#[derive(Debug, Clone)]
pub struct Append<'a> {
    /// Whose journal.
    pub rollout: &'a RolloutId,
    /// In whose name.
    pub authority: Authority<'a>,
    /// The head that the writer has seen; another head is a conflict.
    pub after: &'a Head,
    /// All or nothing, in this order.
    pub entries: Vec<Entry>,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody wrote meanwhile: read on and decide again.
    #[error("the journal has moved on to record {}", .0.seq)]
    Conflict(Head),
    /// The lease was lost: stop at once.
    #[error("the lease was lost: epoch {held} was replaced by {current}")]
    Fenced {
        /// The epoch of the writer.
        held: u64,
        /// The epoch that holds now.
        current: u64,
    },
    /// The store failed; whether the records are there must be read.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The append-only record of rollouts.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Takes or renews the lease on a rollout. `None` while another owner's lease is valid at
    /// `now`. The same owner renews without a new epoch; anyone else gets the next epoch.
    async fn lease(
        &self,
        rollout: &RolloutId,
        owner: &str,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<Lease>, PortError>;

    /// Gives the lease up, so that the next owner need not wait. Not held: nothing happens.
    async fn release(&self, lease: &Lease) -> Result<(), PortError>;

    /// The records with `seq > after`, in order; an unknown rollout has none.
    async fn read(&self, rollout: &RolloutId, after: u64) -> Result<Vec<Record>, PortError>;

    /// Appends all entries in one transaction that is durable when this returns, or none.
    async fn append(&self, append: Append<'_>) -> Result<Vec<Record>, AppendError>;

    /// Every rollout that has a record, in the order of creation.
    async fn rollouts(&self) -> Result<Vec<RolloutId>, PortError>;
}
