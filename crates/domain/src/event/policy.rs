//! The waits, bounds and rules of a rollout, frozen at its creation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::hour::Hour;

/// What to do when a drain takes longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnTimeout {
    /// Hold the rollout and ask a person.
    Hold,
    /// Cut what is left, and count it.
    Force,
    /// Put the server back and leave it for the end.
    Skip,
}

/// What happens when a hold has lasted its maximum.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum AfterHold {
    /// Tell a person, and go on holding.
    #[default]
    Page,
    /// Put the old version back.
    Rollback,
    /// End, with everything that works back in service.
    Abort,
}

/// What happens when more servers fail than the failure budget allows.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum OnFailure {
    /// Stand still and ask a person.
    #[default]
    Hold,
    /// Put the old version back.
    Rollback,
}

/// How long a rollout may hold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldLimit {
    /// At most so long without a break, whatever the reasons.
    pub max_seconds: f64,
    /// And then.
    pub then: AfterHold,
}

/// Who has to agree to plans before they are performed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalRule {
    /// The operators who may, by name; empty: every one.
    pub by: Vec<String>,
    /// What the surge of the whole rollout may cost without another approval; `None`: what the
    /// approved plan says.
    pub budget: Option<f64>,
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HookPoint {
    /// Before the first order or removal.
    Before,
    /// After each batch, when it is back and watched.
    AfterBatch,
    /// Before the rollout says that it is done.
    After,
}

impl HookPoint {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::AfterBatch => "afterBatch",
            Self::After => "after",
        }
    }
}

impl std::fmt::Display for HookPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A hook of a rollout, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookLimit {
    /// When it runs.
    pub hook: HookPoint,
    /// It is ended after this long.
    pub timeout_seconds: f64,
}

/// How an auto-scaler is kept from fighting.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SizeRule {
    /// The processes that are suspended meanwhile.
    pub suspend: BTreeSet<String>,
}

/// The waits and bounds of a rollout, frozen at its creation. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// A drain may take this long.
    pub drain_timeout_seconds: f64,
    /// What happens when it takes longer.
    pub drain_on_timeout: OnTimeout,
    /// An update may take this long.
    pub update_timeout_seconds: f64,
    /// The health gates of a server may take this long.
    pub verify_timeout_seconds: f64,
    /// A server that came back reaches full capacity after this.
    pub warmup_seconds: f64,
    /// The same for one that comes back in some hours of the day, where it was learned that it takes another time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub warmup_seconds_in: BTreeMap<Hour, f64>,
    /// Surge may take this long from its order until it is in service.
    pub surge_timeout_seconds: f64,
    /// A server that comes back gets its traffic in so many equal steps over its warm-up; 1: all
    /// of it at once, as in former releases.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub warmup_steps: u32,
    /// Whether batches may go on without metrics, down the rungs of [`Rung`](super::Rung); former releases held.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub degrade: bool,
    /// A server that failed is tried again by itself so many times; former releases asked a person.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// So many servers may fail for good and stay out while the rollout goes on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failure_budget: u32,
    /// What happens when more fail; former releases asked a person.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_failure: OnFailure,
    /// Whether the update can be undone, so that a roll-back is possible.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub reversible: bool,
    /// How long it may hold; in former releases for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldLimit>,
    /// Who has to agree, where somebody has to; former releases asked nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalRule>,
    /// What runs around it; former releases had no hooks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookLimit>,
    /// How the auto-scaler is kept from fighting, where there is one; former releases knew of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<SizeRule>,
    /// Watch this long after the canary batch and before the next one.
    pub canary_watch_seconds: f64,
    /// Watch this long after the last batch, before the surge is released.
    pub stabilisation_seconds: f64,
    /// This many newest samples in a row above the band make a hold.
    pub band_breaches: u32,
    /// Newest samples older than this hold new removals.
    pub stale_after_seconds: f64,
}

impl Policy {
    /// How long a server warms up that comes back, or surge that comes up, at an instant.
    pub fn warmup_at(&self, at: Timestamp) -> Duration {
        let seconds = self.warmup_seconds_in.get(&Hour::of(at)).unwrap_or(&self.warmup_seconds);
        Duration::from_secs_f64(*seconds)
    }
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(steps: &u32) -> bool {
    *steps == 1
}
