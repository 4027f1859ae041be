use async_trait::async_trait;

use super::{PortError, Progress};
use crate::name::{Key, OfferName, ServerName, Version};

/// Surge that is wanted under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurgeOrder {
    /// The same key has one effect; every instance is tagged with it.
    pub key: Key,
    /// From which offer.
    pub offer: OfferName,
    /// Exactly these instances are wanted under the key; none means: give all back.
    pub names: Vec<ServerName>,
    /// What they run; `None` leaves it to the provisioner's template.
    pub version: Option<Version>,
}

/// The life of a surge instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Ordered, not running yet.
    Booting,
    /// Running.
    Running,
    /// It ended without being asked to.
    Lost,
}

/// A surge instance as the outside system reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: ServerName,
    /// The order it belongs to.
    pub key: Key,
    /// `host:port` where it serves, as soon as it is known.
    pub address: Option<String>,
    /// Its state.
    pub state: InstanceState,
}

/// Where surge comes from: processes, a cloud, standby servers.
#[async_trait]
pub trait Provisioner: Send + Sync {
    /// Every instance that carries Presurge's tag for this fleet, whichever order it belongs to.
    /// Instances that were given back are not listed.
    async fn observe(&self) -> Result<Vec<Instance>, PortError>;

    /// Makes exactly the wanted instances run under the key: starts what is missing, ends what
    /// is no longer wanted.
    ///
    /// Already so: `Done` with the running instances (empty when none are wanted). Not yet:
    /// `Pending`. An instance that was lost is *not* replaced under the same name: it is listed
    /// as [`InstanceState::Lost`] in `Done`, and ended for good when it is no longer wanted.
    /// Nothing is left under an unwanted name: `Done`. The offer is sold out or over its limit: an error
    /// that says so, with [`Retry::Never`]: what has not come is then not waited for, and another offer
    /// takes its place.
    ///
    /// [`Retry::Never`]: super::Retry::Never
    async fn ensure_surge(&self, order: &SurgeOrder) -> Result<Progress<Vec<Instance>>, PortError>;
}
