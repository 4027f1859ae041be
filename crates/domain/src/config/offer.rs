//! What surge can be bought, as it is written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::capacity::CapacitySpec;
use super::durations::SpreadSpec;
use super::number::{Amount, Chance, Money, PositiveShare, Share};
use super::span::{PositiveSpan, Span};
use crate::name::{Dimension, OfferName, Zone};

/// How capacity is sold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// Ours until we give it back.
    #[default]
    OnDemand,
    /// Cheaper, and may be taken away.
    Spot,
    /// Our own, waiting for its use.
    Standby,
}

/// One kind of temporary capacity.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OfferSpec {
    /// Its name, unique in the fleet.
    pub name: OfferName,
    /// How it is sold.
    #[serde(default)]
    pub market: Market,
    /// Where it stands.
    #[serde(default)]
    pub zone: Option<Zone>,
    /// What one instance carries, per dimension.
    pub capacity: BTreeMap<Dimension, CapacitySpec>,
    /// Price of one instance per hour.
    pub price: Money,
    /// From the order until an instance runs, its boot included.
    pub lead: SpreadSpec,
    /// At most so many at a time.
    pub max: u32,
    /// How often an instance is taken away.
    #[serde(default)]
    pub interruption: Option<InterruptionSpec>,
    /// The share of an order that is delivered, each instance by itself; all unless given.
    #[serde(default)]
    pub fulfilment: Option<PositiveShare>,
    /// Probability that an instance does not come up; 0 unless given.
    #[serde(default)]
    pub boot_failure: Option<Chance>,
    /// What is billed.
    #[serde(default)]
    pub billing: BillingSpec,
}

/// How an instance is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BillingSpec {
    /// At least this long.
    #[serde(default = "one_minute")]
    pub minimum: Span,
    /// In units of this.
    #[serde(default = "one_second")]
    pub granularity: PositiveSpan,
}

fn one_minute() -> Span {
    Span::seconds(60)
}

fn one_second() -> PositiveSpan {
    PositiveSpan::seconds(1)
}

impl Default for BillingSpec {
    fn default() -> Self {
        Self { minimum: one_minute(), granularity: one_second() }
    }
}

/// The chance that an instance is taken away: a probability per hour, or its parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InterruptionSpec {
    /// Probability that one instance is lost within an hour.
    pub per_hour: f64,
    /// Probability that the whole pool is lost within an hour.
    pub pool_per_hour: f64,
    /// How long before a loss it is announced.
    pub notice: Span,
}

impl InterruptionSpec {
    /// Instances are never lost.
    pub const NEVER: Self = Self::per_hour(0.0);

    /// Each instance is lost within an hour with this probability, from 0 to 1.
    pub const fn per_hour(probability: f64) -> Self {
        Self { per_hour: probability, pool_per_hour: 0.0, notice: Span::ZERO }
    }

    /// Whether instances are never lost.
    pub fn is_never(&self) -> bool {
        self.per_hour == 0.0 && self.pool_per_hour == 0.0
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "InterruptionParts")]
struct Parts {
    per_hour: Share,
    #[serde(default)]
    pool_per_hour: Option<Share>,
    #[serde(default)]
    notice: Span,
}

impl<'de> Deserialize<'de> for InterruptionSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = InterruptionSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a number from 0 to 1 such as 0.05, or { perHour, poolPerHour, notice }",
                )
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<InterruptionSpec, E> {
                let share = Share::new(value).map_err(E::custom)?;
                Ok(InterruptionSpec::per_hour(share.get()))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<InterruptionSpec, E> {
                self.visit_f64(value as f64)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<InterruptionSpec, E> {
                self.visit_f64(value as f64)
            }
            fn visit_map<A: de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<InterruptionSpec, A::Error> {
                let parts = Parts::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(InterruptionSpec {
                    per_hour: parts.per_hour.get(),
                    pool_per_hour: parts.pool_per_hour.map_or(0.0, Share::get),
                    notice: parts.notice,
                })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for InterruptionSpec {
    fn schema_name() -> Cow<'static, str> {
        "Interruption".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (share, parts) =
            (generator.subschema_for::<Share>(), generator.subschema_for::<Parts>());
        json_schema!({ "oneOf": [share, parts] })
    }
}

/// A limit over several offers.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct QuotaSpec {
    /// Its name.
    pub name: String,
    /// The limit.
    pub limit: Amount,
    /// What is used already.
    #[serde(default)]
    pub used: Option<Amount>,
    /// What one instance of an offer uses.
    pub per: BTreeMap<OfferName, Amount>,
}
