use async_trait::async_trait;

use super::{PortError, Progress, Target};
use crate::name::{Key, Version};

/// The update of one server, asked for under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateOrder {
    /// The same key has one effect.
    pub key: Key,
    /// Which server.
    pub target: Target,
    /// What it shall run.
    pub version: Version,
}

/// What an updater knows of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateState {
    /// What it runs; `None` where the updater cannot observe it.
    pub version: Option<Version>,
    /// Changes with every boot; `None` where the updater cannot observe it.
    pub boot_id: Option<String>,
    /// Whether an update is under way.
    pub in_progress: bool,
}

/// How a server comes to run another version.
#[async_trait]
pub trait Updater: Send + Sync {
    /// What a server runs now.
    async fn observe(&self, target: &Target) -> Result<UpdateState, PortError>;

    /// Makes the server run the version.
    ///
    /// Already so: `Done` without touching the server. Not yet: `Pending`, also when the
    /// connection is lost after the start. The update failed: an error with [`Retry::Never`];
    /// the same key then keeps answering that error, a new key tries again. Unobservable and
    /// interrupted: `Unknown`.
    ///
    /// [`Retry::Never`]: super::Retry::Never
    async fn ensure_version(&self, order: &UpdateOrder)
    -> Result<Progress<UpdateState>, PortError>;
}
