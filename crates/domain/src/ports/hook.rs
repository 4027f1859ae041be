use std::time::Duration;

use async_trait::async_trait;

use super::{PortError, Progress};
use crate::event::HookPoint;
use crate::name::{FleetName, Key, RolloutId, ServerName, Version};

/// One run of a hook, asked for under one key, with what it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookOrder {
    /// The same key runs once.
    pub key: Key,
    /// When in the rollout this is.
    pub hook: HookPoint,
    /// Which rollout.
    pub rollout: RolloutId,
    /// Its fleet.
    pub fleet: FleetName,
    /// What every server shall run.
    pub version: Version,
    /// The revision of the plan in force.
    pub revision: u32,
    /// The batch of that plan that it is about, if it is about one.
    pub batch: Option<u32>,
    /// The servers that it is about.
    pub servers: Vec<ServerName>,
    /// It is ended after this long.
    pub timeout: Duration,
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookEnd {
    /// Well, and the end of what it said.
    Well(String),
    /// Badly, or it took too long; and how.
    Badly(String),
}

/// Something of the operator's own that runs at a point of a rollout.
#[async_trait]
pub trait Hook: Send + Sync {
    /// Runs the hook.
    ///
    /// It has ended: `Done`, and the same answer for ever under the same key, without another run; a
    /// new key runs it again. Under way: `Pending`. It was cut short, so that nobody can say whether it
    /// had its effect: `Unknown`, and never another run under this key. An error with
    /// [`Retry::Never`] means that it cannot be started.
    ///
    /// [`Retry::Never`]: super::Retry::Never
    async fn ensure_run(&self, order: &HookOrder) -> Result<Progress<HookEnd>, PortError>;
}
