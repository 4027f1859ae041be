//! What a server has to show, and what happens when it does not, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::adapter::with_adapter;
use super::span::PositiveSpan;
use crate::event::{AfterHold, HookPoint};

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
    /// Who may, by login name; everybody unless given.
    #[serde(default)]
    pub by: Vec<String>,
}

with_adapter!(
    /// Something of the operator's own that runs at a point of a rollout.
    pub struct HookSpec for "hook" {
        /// It is ended, with everything that it started, after this long.
        timeout("timeout"): PositiveSpan = PositiveSpan::seconds(600),
    }
);

/// What runs around a rollout. A hook that fails, or takes too long, holds the rollout.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HooksSpec {
    /// Before the first order or removal.
    #[serde(default)]
    pub before: Option<HookSpec>,
    /// After each batch, when it is back and watched.
    #[serde(default)]
    pub after_batch: Option<HookSpec>,
    /// Before the rollout is done.
    #[serde(default)]
    pub after: Option<HookSpec>,
}

impl HooksSpec {
    /// The hooks that are given.
    pub fn given(&self) -> impl Iterator<Item = (HookPoint, &HookSpec)> {
        let all = [
            (HookPoint::Before, &self.before),
            (HookPoint::AfterBatch, &self.after_batch),
            (HookPoint::After, &self.after),
        ];
        all.into_iter().filter_map(|(point, hook)| Some((point, hook.as_ref()?)))
    }
}
