//! What a server has to show, and what happens when it does not, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::adapter::with_adapter;
use super::span::PositiveSpan;
use crate::event::AfterHold;

with_adapter!(
    /// A health check that a server has to pass before it gets traffic again.
    pub struct GateSpec for "health" {
        /// How often it is asked.
        every("every"): PositiveSpan = PositiveSpan::seconds(5),
        /// So many passes in a row open the gate.
        successes("successes"): u32 = 3,
        /// So many failures in a row close it.
        failures("failures"): u32 = 2,
        /// It has to open within this time.
        timeout("timeout"): PositiveSpan = PositiveSpan::seconds(300),
    }
);

/// What happens when more servers fail than the failure budget allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnFailure {
    /// Stand still and ask a person.
    #[default]
    Hold,
    /// Put the old version back.
    Rollback,
}

/// How long a rollout may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldSpec {
    /// At most so long; 2h unless given.
    #[serde(default = "two_hours")]
    pub max: PositiveSpan,
    /// And then.
    #[serde(default)]
    pub then: AfterHold,
}

fn two_hours() -> PositiveSpan {
    PositiveSpan::seconds(7_200)
}

impl Default for HoldSpec {
    fn default() -> Self {
        Self { max: two_hours(), then: AfterHold::default() }
    }
}

/// Who has to agree before a plan is performed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalSpec {
    /// Whether anybody has to.
    #[serde(default)]
    pub required: bool,
    /// Who may.
    #[serde(default)]
    pub by: Vec<String>,
}

/// Commands around a rollout.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HooksSpec {
    /// Before the first batch.
    #[serde(default)]
    pub before: Option<Value>,
    /// After each batch.
    #[serde(default)]
    pub after_batch: Option<Value>,
    /// After the end.
    #[serde(default)]
    pub after: Option<Value>,
}
