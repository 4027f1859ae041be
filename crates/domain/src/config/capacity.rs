//! What a server carries: `850`, `"850 req/s"`, `{value, base, unit}` or `learn`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::number::{Amount, Capacity};
use crate::name::Dimension;

/// The capacity of one server in one dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct CapacitySpec {
    /// How much it carries; `None` means: learn it.
    pub value: Option<Capacity>,
    /// Load that a server has without any demand, part of `value`.
    pub base: Amount,
    /// The unit, where it is said; it has to be the unit of the load.
    pub unit: Option<String>,
}

/// The capacities of one server: per dimension, or `learn` for all.
#[derive(Debug, Clone, PartialEq)]
pub enum CapacitiesSpec {
    /// What each dimension carries.
    Given(BTreeMap<Dimension, CapacitySpec>),
    /// All of them are learned.
    Learn,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(rename = "ServerCapacityParts")]
struct Fields {
    value: Capacity,
    #[serde(default = "nothing")]
    base: Amount,
    #[serde(default)]
    unit: Option<String>,
}

fn nothing() -> Amount {
    Amount::new(0.0).expect("zero is 0 or more")
}

struct CapacityVisitor;

impl<'de> de::Visitor<'de> for CapacityVisitor {
    type Value = CapacitySpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number above 0 such as 850, \"850 req/s\", {value, base, unit} or learn")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<CapacitySpec, E> {
        let value = Some(Capacity::new(value).map_err(E::custom)?);
        Ok(CapacitySpec { value, base: nothing(), unit: None })
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<CapacitySpec, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<CapacitySpec, E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<CapacitySpec, E> {
        if text == "learn" {
            return Ok(CapacitySpec { value: None, base: nothing(), unit: None });
        }
        let (number, unit) = text.trim().split_once(' ').unwrap_or((text, ""));
        let Ok(value) = number.parse::<f64>() else {
            return Err(E::invalid_value(de::Unexpected::Str(text), &self));
        };
        let unit = unit.trim();
        if unit.is_empty() {
            let message = format!("expected a number above 0, found text {text:?}");
            return Err(E::custom(format!("{message}; write it without quotes")));
        }
        Ok(CapacitySpec { unit: Some(unit.to_owned()), ..self.visit_f64(value)? })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<CapacitySpec, A::Error> {
        let fields = Fields::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(CapacitySpec { value: Some(fields.value), base: fields.base, unit: fields.unit })
    }
}

impl<'de> Deserialize<'de> for CapacitySpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CapacityVisitor)
    }
}

impl JsonSchema for CapacitySpec {
    fn schema_name() -> Cow<'static, str> {
        "ServerCapacity".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (number, fields) =
            (generator.subschema_for::<Capacity>(), generator.subschema_for::<Fields>());
        let text = json_schema!({ "type": "string", "pattern": "^(learn|[0-9.]+ .+)$" });
        json_schema!({ "oneOf": [number, text, fields] })
    }
}

impl<'de> Deserialize<'de> for CapacitiesSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = CapacitiesSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one entry per dimension such as { requests: 850 }, or learn")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<CapacitiesSpec, E> {
                if text == "learn" {
                    return Ok(CapacitiesSpec::Learn);
                }
                Err(E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<CapacitiesSpec, A::Error> {
                let given = BTreeMap::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(CapacitiesSpec::Given(given))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for CapacitiesSpec {
    fn schema_name() -> Cow<'static, str> {
        "ServerCapacities".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let given = generator.subschema_for::<BTreeMap<Dimension, CapacitySpec>>();
        json_schema!({ "oneOf": [given, { "const": "learn" }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<CapacitySpec, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn all_forms_mean_the_same() {
        let plain = read("850").unwrap();
        assert_eq!(plain.value.unwrap().get(), 850.0);
        let with_unit = read("\"850 req/s\"").unwrap();
        assert_eq!((with_unit.value, with_unit.unit.as_deref()), (plain.value, Some("req/s")));
        let whole = read(r#"{"value": 850, "base": 10, "unit": "req/s"}"#).unwrap();
        assert_eq!((whole.value, whole.base.get()), (plain.value, 10.0));
        assert_eq!(read("\"learn\"").unwrap().value, None);
    }

    #[test]
    fn other_forms_are_refused() {
        assert!(read("-1").unwrap_err().contains("expected a number above 0, found -1"));
        assert!(read("\"-1 req/s\"").unwrap_err().contains("above 0, found -1"));
        assert!(read("\"850\"").unwrap_err().contains("without quotes"));
        assert!(read("\"many\"").unwrap_err().contains("expected a number above 0 such as 850"));
        assert!(read(r#"{"valeu": 1}"#).unwrap_err().contains("unknown field `valeu`"));
    }
}
