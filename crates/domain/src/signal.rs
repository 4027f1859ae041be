//! Signals: what is known beside the load and may explain it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calendar::Interval;
use crate::series::Sample;

/// How far a series is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Reach {
    /// Over the time that is forecast, as prices and timetables are.
    KnownAhead,
    /// Up to now, as other measurements are.
    PastOnly,
}

/// One signal, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// Scheduled events that move the load alike.
    Events {
        /// What people call them.
        name: String,
        /// When they took place, and will.
        times: Vec<Interval>,
    },
    /// An outside series.
    Series {
        /// What people call it.
        name: String,
        /// How far it is known.
        reach: Reach,
        /// Its values, finite and in rising order of time: each holds until the next.
        samples: Vec<Sample>,
    },
}

impl Signal {
    /// What people call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Events { name, .. } | Self::Series { name, .. } => name,
        }
    }
}

/// What one signal brought to the forecast that a plan was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignalBrought {
    /// What people call it.
    pub name: String,
    /// `event`, `known-ahead` or `past-only`; empty where nobody could tell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Why it has no weight, if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused: Option<String>,
    /// The held-out loss without it, in the unit of the load, where it was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_without: Option<f64>,
    /// The same with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_with: Option<f64>,
    /// The share of the forecast that comes from models that know of it, 0 to 1.
    pub weight: f64,
    /// `adds` or `multiplies`: whether its effects are loads, or shares of what the load would be.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub acts: String,
    /// What it adds to the load while it lasts, or for one standard deviation of a series.
    pub effect: f64,
    /// So many seconds before an event the load begins to move.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lead_seconds: u64,
    /// For so many seconds after an event it stays moved.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tail_seconds: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(seconds: &u64) -> bool {
    *seconds == 0
}
