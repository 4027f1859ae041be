//! What the figures of a plan are made of, so that each can be computed again from the plan alone.

use jiff::Timestamp;

use crate::schema::Moment;
use serde::{Deserialize, Serialize};

use super::PerDimension;
use crate::name::{Dimension, FleetName, OfferName, Zone};

/// What the figures of one fleet are made of. Capacities are in the unit of the load and after
/// `balance`; lists follow the order of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Basis {
    /// The fleet.
    pub fleet: FleetName,
    /// The sampled load that the plan was chosen on.
    pub chosen: ChosenOn,
    /// The sampled load that the risk is counted on.
    pub counted: CountedOn,
    /// Independent windows of the rollout's kind in the history; `resolution` is 1 / (this + 1).
    pub comparable_windows: u32,
    /// The quantile of the sampled load at which `load.upper` of the timeline stands.
    pub band_level: f64,
    /// Peak-to-mean efficiency of the load balancer; capacities have it in them already.
    pub balance: f64,
    /// The share of its capacity that a server has when its warm-up begins.
    pub warmup_from: f64,
    /// How many servers are healthy.
    pub healthy: u32,
    /// What all healthy servers carry.
    pub full: PerDimension<f64>,
    /// Capacity that is there for nothing.
    pub spare: PerDimension<f64>,
    /// Batches as the ledger has them.
    pub outages: Vec<OutageLine>,
    /// Surge as the ledger has it: what is held, then what is bought.
    pub supplies: Vec<SupplyLine>,
    /// What is reckoned with as lost the whole time; empty where nothing has to be survived.
    pub losses: Vec<LossLine>,
    /// Everything that was on offer.
    pub offers: Vec<OfferLine>,
    /// What held surge goes on costing.
    pub kept: Vec<KeptLine>,
    /// The moment that decides what has to be bought.
    pub binding: Option<Binding>,
    /// Servers whose update fails; `None` where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_failures: Option<UpdateFailures>,
    /// What is reckoned with of a new version that carries less; `None` where it carries the same as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<UpdatedLine>,
}

/// A new version under which servers carry less than before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdatedLine {
    /// So many servers run it already.
    pub servers: u32,
    /// What these carry less than before.
    pub slower: PerDimension<f64>,
    /// What a server carries under it, in shares of what it carried before.
    pub share: PerDimension<ShareOfBefore>,
}

/// A share of what was carried before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareOfBefore {
    /// At least this, with a probability of 95 %; `exposure` goes by it.
    pub p05: f64,
    /// The median, which quantities are computed with.
    pub p50: f64,
}

/// What is reckoned with as failed updates: such a server stays out until the end of the watch,
/// and no further batch opens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateFailures {
    /// The probability that the update of one server fails.
    pub each: f64,
    /// So many servers are updated.
    pub servers: u32,
    /// On so many of the paths that the risk is counted on, some server fails.
    pub paths: u64,
}

/// See [`Basis::chosen`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChosenOn {
    /// How many paths.
    pub paths: u64,
    /// So many of them may lack capacity.
    pub allowed_hits: f64,
    /// The confidence of the bound that follows from it.
    pub confidence: f64,
}

/// See [`Basis::counted`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountedOn {
    /// How many paths.
    pub paths: u64,
    /// On so many of them there is attributable overload; `planned` is their share.
    pub hits: u64,
    /// On so many of them load exceeds the whole fleet; `baseline` is their share.
    pub baseline: u64,
    /// The confidence of `upper95`, the bound of Clopper and Pearson on `planned`.
    pub confidence: f64,
}

/// A batch in the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutageLine {
    /// The index of the batch.
    pub batch: u32,
    /// How many healthy servers it takes out.
    pub servers: u32,
    /// What they carry together.
    pub capacity: PerDimension<f64>,
    /// They carry nothing from here on.
    #[schemars(with = "Moment")]
    pub out_at: Timestamp,
    /// Their warm-up starts.
    #[schemars(with = "Moment")]
    pub warm_at: Timestamp,
    /// They carry everything again.
    #[schemars(with = "Moment")]
    pub back_at: Timestamp,
    /// What they carry less from then on than before, where a new version carries less.
    #[serde(default, skip_serializing_if = "PerDimension::is_empty")]
    pub then: PerDimension<f64>,
}

/// Surge in the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SupplyLine {
    /// From which offer.
    pub offer: OfferName,
    /// How many instances.
    pub count: u32,
    /// What they carry together.
    pub capacity: PerDimension<f64>,
    /// They carry load from here on.
    #[schemars(with = "Moment")]
    pub ready_at: Timestamp,
    /// Until here.
    #[schemars(with = "Moment")]
    pub release_at: Timestamp,
}

/// A loss that is survived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LossLine {
    /// In which dimension.
    pub dimension: Dimension,
    /// The zones that are gone.
    pub zones: Vec<Zone>,
    /// So many servers or instances are gone besides.
    pub servers: u32,
    /// What all that carries while nothing is out.
    pub capacity: f64,
}

/// An offer with all that its cost follows from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfferLine {
    /// Which.
    pub offer: OfferName,
    /// So many are bought.
    pub count: u32,
    /// What one instance carries.
    pub capacity: PerDimension<f64>,
    /// Price of one instance per hour.
    pub price_per_hour: f64,
    /// From the order until an instance carries full load, at the quantile `planAt`.
    pub lead_seconds: i64,
    /// How long an instance is needed: from the order until its drain is over.
    pub run_seconds: i64,
    /// At least this long is billed.
    pub billing_minimum_seconds: f64,
    /// Begun units of this length are billed; zero bills exactly.
    pub billing_granularity_seconds: f64,
    /// So long one instance is billed.
    pub billed_seconds: f64,
    /// What one instance costs.
    pub cost_each: f64,
    /// At most so many are to be had.
    pub max: u32,
    /// Probability that one instance is lost within an hour.
    pub lost_per_hour: f64,
    /// Probability that all instances are lost together within an hour.
    pub pool_lost_per_hour: f64,
    /// Probability that an instance does not come up.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub boot_failure: f64,
    /// The share of an order that is delivered.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub fulfilment: f64,
    /// What the offer alone would cost, `None` where it alone does not cover the need.
    pub alone: Option<Alone>,
}

fn one() -> f64 {
    1.0
}

fn is_one(value: &f64) -> bool {
    *value == 1.0
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// A purchase of one offer only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alone {
    /// How many instances.
    pub count: u32,
    /// What they cost, with what is kept.
    pub cost: f64,
}

/// Surge that runs already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeptLine {
    /// From which offer.
    pub offer: OfferName,
    /// How many instances.
    pub count: u32,
    /// Price of one instance per hour.
    pub price_per_hour: f64,
    /// From the making of the plan until it is gone.
    pub seconds: i64,
    /// What that costs.
    pub cost: f64,
}

/// The moment that decides: of the paths that must be covered, the worst, at the step and in the
/// dimension in which it lacks most without any purchase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Binding {
    /// The step begins then.
    #[schemars(with = "Moment")]
    pub at: Timestamp,
    /// Its length.
    pub step_seconds: i64,
    /// In which dimension.
    pub dimension: Dimension,
    /// The share of the paths that have to be covered: the quantile of the load's course that is
    /// planned for.
    pub quantile: f64,
    /// The load of that path at that step, with its margin, at most what the whole fleet carries.
    pub load: f64,
    /// What is in service then without a purchase, after the losses that are survived.
    pub in_service: f64,
    /// `load − inService`: what is short without surge; negative where there is room.
    pub short: f64,
    /// The zones that are reckoned as lost.
    pub lost_zones: Vec<Zone>,
    /// So many servers or instances are reckoned as lost besides.
    pub lost_servers: u32,
}
