//! What a rollout was asked for.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Policy;
use crate::journal::Digest;
use crate::learned::Figures;
use crate::name::{FleetName, ServerName, Version, Zone};

/// A server of the fleet, as it was when the rollout was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Member {
    /// Its name, unique in the rollout.
    pub name: ServerName,
    /// Its availability zone.
    pub zone: Option<Zone>,
    /// `host:port` where it serves, if it is known.
    pub address: Option<String>,
}

/// The first event of a journal: what was asked for, frozen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Created {
    /// The format of the events that follow, see [`FORMAT`](super::FORMAT).
    pub format: u32,
    /// The name in the configuration.
    pub name: String,
    /// The digest of the rollout's specification: `apply` is keyed by it.
    pub spec: Digest,
    /// The fleet.
    pub fleet: FleetName,
    /// What every server shall run.
    pub target: Version,
    /// Who is in the fleet.
    pub servers: Vec<Member>,
    /// What each of them ran before, where the updater could tell: what a roll-back puts back. Former
    /// releases did not look.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub before: BTreeMap<ServerName, Version>,
    /// What was learned of the fleet by then, and takes the place of what the configuration says: every
    /// plan of the rollout is made with it. None in journals of former releases.
    #[serde(default, skip_serializing_if = "Figures::is_empty")]
    pub learned: Figures,
    /// The last server is back by then.
    pub deadline: Timestamp,
    /// The allowed probability of attributable overload.
    pub risk: f64,
    /// Waits and bounds.
    pub policy: Policy,
}
