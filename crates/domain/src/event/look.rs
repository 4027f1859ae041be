//! What a driver sees and knows when it decides.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::journal::Digest;
use crate::plan::PerDimension;

/// What the driver saw when it looked again before a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Look {
    /// When.
    pub at: Timestamp,
    /// The newest complete load sample per dimension.
    pub load: PerDimension<f64>,
    /// The upper edge of the forecast band at that sample.
    pub upper: PerDimension<f64>,
    /// Servers of the fleet in service.
    pub in_service: u32,
    /// Surge instances in service.
    pub surge: u32,
    /// What the batches that are left are estimated to risk by the load known then; absent while the plan is too young to be weighed again, or where that cannot be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreseen: Option<f64>,
    /// What that was estimated from; absent where `foreseen` is, and in journals of former releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighed: Option<Box<Weighing>>,
    /// What the load was known from.
    #[serde(default, skip_serializing_if = "is_live")]
    pub rung: Rung,
}

/// What the batches that are left were weighed by, so that it can be computed again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Weighing {
    /// When: up to a minute before the look.
    pub at: Timestamp,
    /// The number of the last record that was known then.
    pub after: u64,
    /// The digest of the load per `fleet/dimension`, kept in the archive; none where nothing was known
    /// of the load.
    pub load: BTreeMap<String, Digest>,
    /// The digest of the state of the forecaster per `fleet/dimension`, kept in the archive; what is not
    /// named was fitted to the load.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, Digest>,
}

/// What a driver makes and weighs plans with, beside the configuration and the journal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Planning {
    /// The seed of every draw, below 2⁵³.
    pub seed: u64,
    /// The risk of the rollout, a probability: of one fleet of several that began after the others,
    /// what these leave of it.
    pub risk: f64,
    /// What its surge may cost, in the currency of the fleet: of one fleet of several, its part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_live(rung: &Rung) -> bool {
    *rung == Rung::Live
}

/// What a batch takes from the account of the rollout's risk. Amounts are probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RiskSpent {
    /// What this batch spends.
    pub spent: f64,
    /// What is left after it.
    pub left: f64,
}

/// What a rollout knows of the load, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rung {
    /// The newest samples.
    #[default]
    Live,
    /// A forecast from the last load that is known, whose band widens with its age.
    LastForecast,
    /// Nothing: whatever is out is replaced by surge, so that the capacity of the whole fleet stays.
    StaticSurge,
    /// Nothing, and surge does not replace what would be out: no more batches.
    Refuse,
}
