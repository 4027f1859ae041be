use async_trait::async_trait;

use super::{PortError, Progress};
use crate::name::{FleetName, Key, RolloutId};
use crate::size::SizeSettings;

/// Settings of an auto-scaler, asked for under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeOrder {
    /// The name of this one change.
    pub key: Key,
    /// For which rollout.
    pub rollout: RolloutId,
    /// Its fleet.
    pub fleet: FleetName,
    /// What was observed last.
    pub expected: SizeSettings,
    /// What shall be set.
    pub wanted: SizeSettings,
}

/// How a change of settings ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SizeEnd {
    /// It is as it is wanted.
    Set,
    /// Somebody else has changed the settings meanwhile; these were found, and left alone.
    Changed(SizeSettings),
}

/// An auto-scaler that must not fight a rollout.
#[async_trait]
pub trait Size: Send + Sync {
    /// The settings as they are.
    async fn observe(&self) -> Result<SizeSettings, PortError>;

    /// Sets what is wanted, if nobody but the caller has changed anything since `expected`.
    ///
    /// Already so: `Set`, whatever was expected. Every setting is the expected or the wanted one (of
    /// members and processes each): it is set, since a call that was cut short leaves this. Anything
    /// else: `Changed` with what was found, and nothing is touched. Not yet: `Pending`. A receiver
    /// whose settings are not one thing compares and sets as closely together as it can.
    async fn ensure(&self, order: &SizeOrder) -> Result<Progress<SizeEnd>, PortError>;
}
