//! The frame of every document: version, kind, name.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FleetSpec, RolloutSpec};

/// The version of the configuration format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first one.
    #[serde(rename = "presurge/v1")]
    V1,
}

/// What a document describes. It is read before the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// Servers, their load, and where more capacity comes from.
    Fleet,
    /// One update of fleets.
    Rollout,
}

/// How a document is named.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(bound = "N: JsonSchema", rename = "MetadataOf{N}")]
pub struct Metadata<N> {
    /// Unique among the documents of its kind.
    pub name: N,
    /// Anything that helps to find it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// The name of a rollout in the configuration: short enough that its attempts, `NAME#1`, and the
/// keys of their commands stay names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct RolloutName(String);

/// The longest name of a rollout, in bytes.
pub const LONGEST_ROLLOUT_NAME: usize = 63;

impl RolloutName {
    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RolloutName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl From<RolloutName> for String {
    fn from(name: RolloutName) -> Self {
        name.0
    }
}

/// A text that names no rollout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a rollout name: use 1 to {LONGEST_ROLLOUT_NAME} letters, digits and . _ -, \
     beginning with a letter or digit"
)]
pub struct BadRolloutName(String);

impl TryFrom<String> for RolloutName {
    type Error = BadRolloutName;
    fn try_from(text: String) -> Result<Self, BadRolloutName> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let all = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if first && all && text.len() <= LONGEST_ROLLOUT_NAME {
            return Ok(Self(text));
        }
        Err(BadRolloutName(text.chars().take(80).collect()))
    }
}

/// A document of kind `Fleet`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FleetDocument {
    /// Always `presurge/v1`.
    pub api_version: ApiVersion,
    /// Always `Fleet`.
    pub kind: Kind,
    /// How it is named.
    pub metadata: Metadata<crate::name::FleetName>,
    /// What it is.
    pub spec: FleetSpec,
}

/// A document of kind `Rollout`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RolloutDocument {
    /// Always `presurge/v1`.
    pub api_version: ApiVersion,
    /// Always `Rollout`.
    pub kind: Kind,
    /// How it is named.
    pub metadata: Metadata<RolloutName>,
    /// What it is.
    pub spec: RolloutSpec,
}
