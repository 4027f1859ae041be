//! Where the load of a fleet is read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::adapter::with_adapter;
use super::number::Amount;
use super::span::Span;

/// What a sample says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// Load in the unit of the capacity, as it is.
    #[default]
    Rate,
    /// Events since the sample before; divided by the length of the sample in seconds.
    Count,
    /// A level, such as bytes of memory.
    Level,
    /// Percent of the capacity in service.
    Utilisation,
}

with_adapter!(
    /// One dimension of load, with its source.
    pub struct LoadSpec for "load" {
        /// What a sample says.
        measure("measure"): Measure = Measure::Rate,
        /// The unit, for people and for the check against the unit of the capacity.
        unit("unit"): Option<String> = None,
        /// A sample is complete once this has passed.
        delay("delay"): Span = Span::ZERO,
        /// So many samples may be missing before the load counts as unknown.
        stale_after("staleAfter"): u32 = 3,
        /// The series with the number of servers in service, for `utilisation`.
        in_service("inService"): Option<Value> = None,
    }
);

with_adapter!(
    /// When samples are at saturation, and say only that the load was at least so much.
    pub struct SaturationSpec for "load" {
        /// Above this the sample counts as saturated.
        above("above"): Option<Amount> = None,
    }
);
