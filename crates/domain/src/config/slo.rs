//! The objective from which the capacity of a server is learned.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adapter::{InServiceSpec, UpdatedSpec, with_adapter};
use super::number::Capacity;
use super::span::Span;
use crate::name::Dimension;

/// The objectives of a fleet, one for each dimension whose capacity is learned.
pub type SlosSpec = BTreeMap<Dimension, SloSpec>;

/// What the samples of an objective say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Is {
    /// How long answers take: a mean or a quantile, in any unit.
    #[default]
    Latency,
    /// How much of a server is in use, of any whole.
    Utilisation,
}

with_adapter!(
    /// What a server has to keep while it carries its load, with the source that says how well it
    /// does.
    pub struct SloSpec for "load" {
        /// What a sample says.
        is("is"): Is = Is::Latency,
        /// It is kept up to this, in the unit of the samples.
        most("most"): Option<Capacity> = None,
        /// A sample is complete once this has passed.
        delay("delay"): Span = Span::ZERO,
        /// The series with the number of servers in service; all of the fleet unless given.
        in_service("inService"): InServiceSpec = InServiceSpec::default(),
        /// The same of the servers that run the target alone; `{target}` in it is replaced by the version.
        updated("updated"): UpdatedSpec = UpdatedSpec::default(),
    }
);
