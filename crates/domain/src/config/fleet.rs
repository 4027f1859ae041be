//! The document `Fleet` as it is written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::adapter::{
    AdapterSlot, PORT_MARK, ProvisionerSpec, SignalSpec, TrafficSpec, UpdateSpec,
};
use super::capacity::{CapacitiesSpec, CapacitySpec};
use super::durations::DurationsSpec;
use super::load::{LoadSpec, SaturationSpec};
use super::number::PositiveShare;
use super::offer::{OfferSpec, QuotaSpec};
use super::size::SizeSpec;
use super::slo::SlosSpec;
use super::span::{PositiveSpan, Span};
use crate::event::OnTimeout;
use crate::name::{Dimension, ServerName, Zone};

/// The most servers of one fleet.
pub const MOST_SERVERS: u32 = 100_000;

/// What a fleet is.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FleetSpec {
    /// Who is in the fleet: a static list, or an adapter that discovers it.
    pub servers: ServersSpec,
    /// What one server carries.
    pub capacity: CapacitiesSpec,
    /// The objectives from which capacities are learned, one entry per dimension.
    #[serde(default)]
    pub slo: SlosSpec,
    /// Mean over peak load of the servers behind the load balancer; 1 is perfectly even.
    #[serde(default)]
    pub balance: Option<PositiveShare>,
    /// The load, one entry per dimension.
    pub load: BTreeMap<Dimension, LoadSpec>,
    /// When load samples are at saturation.
    #[serde(default)]
    pub saturation: BTreeMap<Dimension, SaturationSpec>,
    /// How long the parts of an update take.
    #[serde(default)]
    pub durations: DurationsSpec,
    /// Events and outside series.
    #[serde(default)]
    pub signals: Vec<SignalSpec>,
    /// Temporary capacity.
    #[serde(default)]
    pub surge: SurgeSpec,
    /// The currency of all prices.
    #[serde(default)]
    pub currency: Option<String>,
    /// The load balancer.
    #[serde(default)]
    pub traffic: TrafficSpec,
    /// How servers are drained.
    #[serde(default)]
    pub drain: DrainSpec,
    /// How a server comes to run another version.
    #[serde(default)]
    pub update: UpdateSpec,
    /// The auto-scaler that must not fight.
    #[serde(default)]
    pub size: Option<SizeSpec>,
    /// Servers that Presurge stands on: its host (which it finds by its name as well), its database,
    /// its metrics. They serve and are never taken out.
    #[serde(default, rename = "self")]
    pub own: Vec<ServerName>,
}

/// Who is in a fleet.
#[derive(Debug, Clone, PartialEq)]
pub enum ServersSpec {
    /// Named in the configuration.
    Static(StaticServers),
    /// Found by an adapter.
    Discovered(AdapterSlot),
}

/// Servers by a list, or by a prefix and a number.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StaticServers {
    /// `web` makes `web-1`, `web-2`, …
    #[serde(default)]
    pub prefix: Option<String>,
    /// How many there are under the prefix.
    #[serde(default)]
    pub count: Option<u32>,
    /// All of them by name.
    #[serde(default)]
    pub servers: Option<Vec<ServerSpec>>,
}

/// One server by name.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ServerSpec {
    /// Its name, unique in the fleet.
    pub name: ServerName,
    /// Its availability zone.
    #[serde(default)]
    pub zone: Option<Zone>,
    /// `host:port` where it serves, where the load balancer does not say it.
    #[serde(default)]
    pub address: Option<String>,
    /// What it carries, where that differs from the rest of the fleet.
    #[serde(default)]
    pub capacity: Option<CapacitiesSpec>,
}

impl<'de> Deserialize<'de> for ServersSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneKey;
        impl<'de> de::Visitor<'de> for OneKey {
            type Value = ServersSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the key static, or with one adapter as a key")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<ServersSpec, A::Error> {
                let (mut listed, mut slot) = (None, AdapterSlot::default());
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "static" => listed = Some(map.next_value()?),
                        _ => slot.push(key, map.next_value()?),
                    }
                }
                match listed {
                    Some(listed) if slot.is_empty() => Ok(ServersSpec::Static(listed)),
                    Some(_) => Err(de::Error::custom(format!(
                        "names both `static` and `{}`; keep one",
                        slot.entries()[0].adapter
                    ))),
                    None => Ok(ServersSpec::Discovered(slot)),
                }
            }
        }
        deserializer.deserialize_any(OneKey)
    }
}

impl JsonSchema for ServersSpec {
    fn schema_name() -> Cow<'static, str> {
        "Servers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let listed = generator.subschema_for::<StaticServers>();
        json_schema!({ "type": "object", "properties": { "static": listed }, PORT_MARK: "servers" })
    }
}

/// Which version surge runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SurgeVersion {
    /// The version that the fleet runs now.
    #[default]
    Old,
    /// The target.
    New,
}

/// Temporary capacity for a rollout.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SurgeSpec {
    /// Which version it runs.
    #[serde(default)]
    pub version: SurgeVersion,
    /// Whether it stays instead of servers that would have to be replaced.
    #[serde(default)]
    pub adopt: bool,
    /// What can be bought.
    #[serde(default)]
    pub offers: Vec<OfferSpec>,
    /// Capacity that serves beside the fleet the whole time and costs nothing, per dimension; used
    /// before anything is bought.
    #[serde(default)]
    pub spare: BTreeMap<Dimension, CapacitySpec>,
    /// Limits over several offers.
    #[serde(default)]
    pub quotas: Vec<QuotaSpec>,
    /// Who starts and ends the instances.
    #[serde(default)]
    pub provisioner: ProvisionerSpec,
}

/// How a server is drained.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DrainSpec {
    /// How long a drain is expected to take; the same as `durations.drain`.
    #[serde(default)]
    pub expect: Option<Span>,
    /// It may take this long.
    #[serde(default = "ten_minutes")]
    pub timeout: PositiveSpan,
    /// What happens when it takes longer.
    #[serde(default = "hold")]
    pub on_timeout: OnTimeout,
}

fn ten_minutes() -> PositiveSpan {
    PositiveSpan::seconds(600)
}

fn hold() -> OnTimeout {
    OnTimeout::Hold
}

impl Default for DrainSpec {
    fn default() -> Self {
        Self { expect: None, timeout: ten_minutes(), on_timeout: hold() }
    }
}
