//! Fields that name an adapter: the domain knows the slot, never the adapter.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// One adapter by its name, with its own configuration, not looked into yet.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterRef {
    /// The key that names it: `csv`, `haproxy`, …
    pub adapter: String,
    /// What stands under that key.
    pub config: Value,
}

/// The keys of an object that are not fields of the domain. A good configuration has at most one
/// of them, and it is the name of an adapter; the registry of adapters is the judge of that.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AdapterSlot(Vec<AdapterRef>);

impl AdapterSlot {
    /// The adapter, when exactly one key names one.
    pub fn only(&self) -> Option<&AdapterRef> {
        match self.0.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every key that is no field of the domain.
    pub fn entries(&self) -> &[AdapterRef] {
        &self.0
    }

    /// Takes up one more key.
    pub(super) fn push(&mut self, adapter: String, config: Value) {
        self.0.push(AdapterRef { adapter, config });
    }
}

impl<'de> Deserialize<'de> for AdapterSlot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> de::Visitor<'de> for Keys {
            type Value = AdapterSlot;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object with the name of one adapter as its key")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<AdapterSlot, A::Error> {
                let mut slot = AdapterSlot::default();
                while let Some(adapter) = map.next_key()? {
                    slot.push(adapter, map.next_value()?);
                }
                Ok(slot)
            }
        }
        deserializer.deserialize_any(Keys)
    }
}

/// The key under which the schema of a slot says which port its adapters implement. Whoever
/// composes the published schema replaces it by the adapters that there are.
pub const PORT_MARK: &str = "x-presurge-port";

/// The schema of an object with known fields and one adapter of `port`.
pub(super) fn slot_schema(port: &str, required: bool, fields: Value) -> Schema {
    let mark = if required { format!("{port}!") } else { port.to_owned() };
    json_schema!({ "type": "object", "properties": fields, PORT_MARK: mark })
}

/// A struct with known fields and an [`AdapterSlot`] for every other key.
///
/// Each known field has a name in the document and a default; the slot is the field `adapter`, which
/// has to be there unless the port is followed by `optional`.
macro_rules! with_adapter {
    (
        $(#[$doc:meta])*
        pub struct $name:ident for $port:literal $($optional:ident)? {
            $( $(#[$field_doc:meta])* $field:ident ($key:literal): $type:ty = $default:expr, )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[$field_doc])* pub $field: $type, )*
            /// The adapter, under its own key.
            pub adapter: $crate::config::AdapterSlot,
        }

        impl $name {
            /// The names of the fields that stand beside the adapter's key.
            pub const FIELDS: &'static [&'static str] = &[$($key),*];
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object with one adapter as a key")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<$name, A::Error> {
                        let mut seen = $name {
                            $( $field: $default, )*
                            adapter: $crate::config::AdapterSlot::default(),
                        };
                        while let Some(key) = map.next_key::<String>()? {
                            match key.as_str() {
                                $( $key => seen.$field = map.next_value()?, )*
                                _ => seen.adapter.push(key, map.next_value()?),
                            }
                        }
                        Ok(seen)
                    }
                }
                deserializer.deserialize_any(Fields)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut fields = serde_json::Map::new();
                $( fields.insert($key.into(), generator.subschema_for::<$type>().to_value()); )*
                let optional: &[&str] = &[$(stringify!($optional))?];
                $crate::config::adapter::slot_schema($port, optional.is_empty(), fields.into())
            }
        }
    };
}

pub(super) use with_adapter;

macro_rules! slot {
    ($(#[$doc:meta])* $name:ident for $port:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub AdapterSlot);

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                slot_schema($port, false, Value::Object(serde_json::Map::new()))
            }
        }
    };
}

slot!(
    /// The load balancer in front of a fleet.
    TrafficSpec for "traffic"
);
slot!(
    /// How a server comes to run another version.
    UpdateSpec for "updater"
);
slot!(
    /// Where surge comes from.
    ProvisionerSpec for "provisioner"
);
slot!(
    /// The number of servers in service.
    InServiceSpec for "load"
);
slot!(
    /// How well the servers that run the target keep an objective.
    UpdatedSpec for "load"
);
slot!(
    /// Events and outside series.
    SignalSpec for "signal"
);
slot!(
    /// Whom to tell.
    NotifySpec for "notify"
);
