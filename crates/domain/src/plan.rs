//! A plan: every quantity of a rollout, fixed before its first command (see the design, "Plan").
//!
//! The types mirror the published JSON; field names are camelCase on the outside.

mod basis;
mod part;
mod tail;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::schema::Moment;
use serde::{Deserialize, Serialize};

pub use basis::{
    Alone, Basis, Binding, ChosenOn, CountedOn, KeptLine, LossLine, OfferLine, OutageLine,
    ShareOfBefore, SupplyLine, UpdateFailures, UpdatedLine,
};
pub use part::{FleetPart, joint_probability};
pub use tail::{NoTail, Tail, TailModel, survival};

use crate::journal::{Digest, digest_of};
use crate::learned::Figures;
use crate::name::{Dimension, FleetName, OfferName, ServerName};
use crate::signal::SignalBrought;

/// A value per dimension.
pub type PerDimension<T> = BTreeMap<Dimension, T>;

/// A plan revision. Immutable: another number is another revision with a parent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Always [`API_VERSION`].
    pub api_version: String,
    /// Always `Plan`.
    pub kind: String,
    /// The name of the rollout that this plan performs.
    pub rollout: String,
    /// 1 for the first plan of a rollout; a revision counts up.
    pub revision: u32,
    /// The digest of the plan that this one replaces.
    pub parent: Option<Digest>,
    /// The seed of the sampled paths.
    pub seed: u64,
    /// When the plan was made.
    #[schemars(with = "Moment")]
    pub created_at: Timestamp,
    /// After this the plan must be made again.
    #[schemars(with = "Moment")]
    pub valid_until: Timestamp,
    /// The first order or removal.
    #[schemars(with = "Moment")]
    pub start_at: Timestamp,
    /// The last `backAt`.
    #[schemars(with = "Moment")]
    pub finish_at: Timestamp,
    /// When the watch after the last batch ends.
    #[schemars(with = "Moment")]
    pub stabilised_at: Timestamp,
    /// When the last surge is gone.
    #[schemars(with = "Moment")]
    pub done_at: Timestamp,
    /// How sure the plan is.
    pub risk: Risk,
    /// What it costs beyond the fleet itself.
    pub cost: Cost,
    /// The batches in order; a batch opens only when the previous one is back.
    pub batches: Vec<Batch>,
    /// The surge to buy.
    pub surge: Vec<SurgePurchase>,
    /// Capacity, load and risk over time, on intervals `[from, to)`.
    pub timeline: Vec<TimelineEntry>,
    /// Headroom at the next forecast peak after the end.
    pub exposure: Option<Exposure>,
    /// Starts and batch sizes that were looked at and not taken, with the reason.
    pub rejected: Vec<Rejected>,
    /// What the plan was made from.
    pub inputs: Inputs,
    /// What its figures are made of, per fleet; empty in plans of former releases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub basis: Vec<Basis>,
    /// The share and the figures of each fleet, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fleets: Vec<FleetPart>,
    /// Digest of the plan without `createdAt` and `digest`.
    pub digest: Digest,
}

/// The version of every document that Presurge reads and writes.
pub const API_VERSION: &str = "presurge/v1";

impl Plan {
    /// The digest that the plan should carry: SHA-256 over its canonical JSON without
    /// `createdAt` and `digest`.
    pub fn computed_digest(&self) -> Digest {
        let mut value = serde_json::to_value(self).expect("a plan is plain data");
        if let Some(object) = value.as_object_mut() {
            object.remove("createdAt");
            object.remove("digest");
        }
        digest_of(&value)
    }

    /// The plan with its digest set.
    pub fn sealed(mut self) -> Self {
        self.digest = self.computed_digest();
        self
    }

    /// The timeline entry of `fleet` that covers `at`.
    pub fn timeline_at(&self, fleet: &FleetName, at: Timestamp) -> Option<&TimelineEntry> {
        self.timeline.iter().find(|e| e.fleet == *fleet && e.from <= at && at < e.to)
    }
}

/// Probability of attributable overload, from the first order or removal to the end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Risk {
    /// The risk that the operator allows.
    pub target: f64,
    /// The estimate for this plan, on paths that were not used to choose it.
    pub planned: f64,
    /// One-sided 95 % upper bound of `planned`.
    pub upper95: f64,
    /// The smallest risk that the history can show by itself.
    pub resolution: f64,
    /// Whether the tail beyond the history was extrapolated.
    pub extrapolated: bool,
    /// Probability that load exceeds what the whole healthy fleet carries anyway.
    pub baseline: f64,
    /// What a model of the tail says where the target lies beyond the history, beside the bound
    /// that the paths prove. Nothing is chosen by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<Tail>,
    /// Why there is no such model where there should be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_tail: Option<NoTail>,
}

/// Money beyond the running cost of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cost {
    /// ISO 4217 code, or whatever unit the prices are in.
    pub currency: String,
    /// Cost of the surge, minimum billing included.
    pub surge: f64,
    /// Cost of holding an auto-scaler's size.
    pub size: f64,
}

/// Servers that are out together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Batch {
    /// 1 for the first.
    pub index: u32,
    /// The fleet of the servers.
    pub fleet: FleetName,
    /// Who goes out.
    pub servers: Vec<ServerName>,
    /// Not before this instant the batch starts to drain.
    #[schemars(with = "Moment")]
    pub out_at: Timestamp,
    /// When it is expected to carry full load again.
    #[schemars(with = "Moment")]
    pub back_at: Timestamp,
    /// What opening it spends of the rollout's risk; the batches of a plan spend at most its
    /// target together. Plans of former releases do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<f64>,
}

/// Surge of one offer, bought and given back together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SurgePurchase {
    /// The fleet that it supports.
    pub fleet: FleetName,
    /// The offer that it is bought from.
    pub offer: OfferName,
    /// How many instances.
    pub count: u32,
    /// When it is ordered.
    #[schemars(with = "Moment")]
    pub order_at: Timestamp,
    /// When it is expected to carry load.
    #[schemars(with = "Moment")]
    pub ready_at: Timestamp,
    /// When it starts to drain.
    #[schemars(with = "Moment")]
    pub release_at: Timestamp,
    /// When it stops costing.
    #[schemars(with = "Moment")]
    pub end_at: Timestamp,
    /// Price of one instance per hour.
    pub price_per_hour: f64,
    /// What takes the place of each instance that is lost, at once. Without it a loss is planned
    /// for when the batch that is out is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_loss: Option<Replacement>,
}

/// The answer to the loss of a surge instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Replacement {
    /// The offer that it is bought from.
    pub offer: OfferName,
    /// Seconds from its order until it is expected to carry load.
    pub ready_seconds: i64,
}

/// One interval of the timeline of one fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimelineEntry {
    /// The fleet.
    pub fleet: FleetName,
    /// Start of the interval.
    #[schemars(with = "Moment")]
    pub from: Timestamp,
    /// End of the interval, exclusive.
    #[schemars(with = "Moment")]
    pub to: Timestamp,
    /// Servers of the fleet in service.
    pub in_service: u32,
    /// Surge instances in service.
    pub surge: u32,
    /// Least capacity in the interval.
    pub capacity: PerDimension<f64>,
    /// Load in the interval.
    pub load: PerDimension<LoadBand>,
    /// Probability of attributable overload in the interval.
    pub overload_probability: f64,
}

/// Load as it is forecast for one interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBand {
    /// The mean over the paths, at its highest step.
    pub mean: f64,
    /// The upper edge of the band; load above it has left the forecast.
    pub upper: f64,
}

/// What the new version has to prove at the next peak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exposure {
    /// When the next forecast peak after the end comes.
    #[schemars(with = "Moment")]
    pub next_peak_at: Timestamp,
    /// Capacity minus the upper load at that peak.
    pub headroom: PerDimension<f64>,
}

/// A choice that was not taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rejected {
    /// The start that was looked at.
    #[schemars(with = "Moment")]
    pub start_at: Timestamp,
    /// The batch size that was looked at.
    pub batch: u32,
    /// Why not, in words with numbers.
    pub reason: String,
}

/// What a plan was made from; a plan whose inputs have moved is not performed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inputs {
    /// Digest of the configuration: fleets, rollout, membership, offers.
    pub config: Digest,
    /// Digest of the load history per `fleet/dimension`.
    pub load: BTreeMap<String, Digest>,
    /// The end of the newest sample that was used.
    #[schemars(with = "Moment")]
    pub until: Timestamp,
    /// Digest of each calendar file, by its path as it is configured; none in plans of former releases.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calendars: BTreeMap<String, Digest>,
    /// What was learned of each fleet and takes the place of what the configuration says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<FleetName, BTreeMap<String, serde_json::Value>>")]
    pub learned: BTreeMap<FleetName, Figures>,
    /// What events and outside series brought to each forecast, per `fleet/dimension`; none where none
    /// are configured.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub signals: BTreeMap<String, Vec<SignalBrought>>,
    /// What one server was taken to carry, per `fleet/dimension`, where that is learned.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capacity: BTreeMap<String, Carries>,
    /// Digest of the state of the forecaster per `fleet/dimension`, where one was kept fresh; what is not
    /// named was fitted to the history.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, Digest>,
}

/// What one server was taken to carry, in the unit of the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Carries {
    /// At least this, with a probability of 95 %.
    pub p05: f64,
    /// The median, which quantities are computed with.
    pub p50: f64,
    /// The highest load of one server at which the objective was kept.
    pub carried: f64,
    /// Observations that it was learned from.
    pub observations: usize,
    /// What would have to be seen to know more, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// What it carries under the target, once servers that run it were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<UnderTarget>,
}

/// What one server was taken to carry under the new version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnderTarget {
    /// In shares of what it carries else, at most 1; nothing where that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<ShareOfBefore>,
    /// Whether it carries less by more than chance: quantities are computed with that only then.
    pub slower: bool,
    /// Observations of updated servers.
    pub observations: usize,
    /// What would have to be seen to know it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// Why there is no plan, and what would have to give way.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, thiserror::Error,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[error("no plan fits: {binding}: {detail}")]
pub struct Refused {
    /// The constraint that binds: `deadline`, `risk`, `maxUnavailable`, `maxSurge`, `windows`, …
    pub binding: String,
    /// Step, dimension and numbers.
    pub detail: String,
    /// The nearest plans that would fit if one constraint gave way.
    pub would_fit: Vec<WouldFit>,
}

/// A plan that would fit if one constraint gave way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WouldFit {
    /// The change: for instance `deadline: 3h20m`.
    pub change: String,
    /// When that plan would finish.
    #[schemars(with = "Moment")]
    pub finish_at: Timestamp,
    /// What its surge would cost.
    pub cost: f64,
    /// Its risk.
    pub risk: f64,
}
