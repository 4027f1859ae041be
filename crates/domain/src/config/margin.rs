//! What is bought on top of the forecast: `10%`, or per dimension as a share or an amount.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::count::Percent;
use super::number::Amount;
use crate::name::Dimension;

/// Extra load that is planned for in one dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Extra {
    /// A share of the load.
    Percent(Percent),
    /// So much, in the unit of the load.
    Absolute(Amount),
}

impl Extra {
    /// Whether nothing is added.
    pub fn is_zero(self) -> bool {
        match self {
            Self::Percent(percent) => percent == Percent::ZERO,
            Self::Absolute(amount) => amount.get() == 0.0,
        }
    }
}

/// The margin of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct MarginSpec {
    /// For every dimension that has none of its own.
    pub default: Extra,
    /// For single dimensions.
    pub dimensions: BTreeMap<Dimension, Extra>,
}

impl Default for MarginSpec {
    fn default() -> Self {
        Self { default: Extra::Percent(Percent::ZERO), dimensions: BTreeMap::new() }
    }
}

impl MarginSpec {
    /// The margin of a dimension.
    pub fn of(&self, dimension: &Dimension) -> Extra {
        self.dimensions.get(dimension).copied().unwrap_or(self.default)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ExtraAmount")]
struct Fixed {
    absolute: Amount,
}

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = Extra;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percentage such as \"10%\", or { absolute: 500 }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Extra, E> {
                text.parse().map(Extra::Percent).map_err(E::custom)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Extra, A::Error> {
                let fixed = Fixed::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Extra::Absolute(fixed.absolute))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Extra {
    fn schema_name() -> Cow<'static, str> {
        "Extra".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (percent, fixed) =
            (generator.subschema_for::<Percent>(), generator.subschema_for::<Fixed>());
        json_schema!({ "oneOf": [percent, fixed] })
    }
}

impl<'de> Deserialize<'de> for MarginSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = MarginSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a percentage such as \"10%\", or one entry per dimension beside `default`",
                )
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<MarginSpec, E> {
                let default = text.parse().map(Extra::Percent).map_err(E::custom)?;
                Ok(MarginSpec { default, dimensions: BTreeMap::new() })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<MarginSpec, A::Error> {
                let mut margin = MarginSpec::default();
                while let Some(key) = map.next_key::<Dimension>()? {
                    let extra = map.next_value()?;
                    if key.as_str() == "default" {
                        margin.default = extra;
                    } else {
                        margin.dimensions.insert(key, extra);
                    }
                }
                Ok(margin)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for MarginSpec {
    fn schema_name() -> Cow<'static, str> {
        "Margin".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let extra = generator.subschema_for::<Extra>();
        let percent = generator.subschema_for::<Percent>();
        json_schema!({ "oneOf": [percent, { "type": "object", "additionalProperties": extra }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_one_share_or_one_entry_per_dimension() {
        let read = |json: &str| serde_json::from_str::<MarginSpec>(json);
        let requests = Dimension::new("requests").unwrap();
        let ten = Extra::Percent("10%".parse().unwrap());
        assert_eq!(read("\"10%\"").unwrap().of(&requests), ten);
        let margin = read(r#"{"default": "10%", "requests": {"absolute": 500}}"#).unwrap();
        assert_eq!(margin.of(&requests), Extra::Absolute(Amount::new(500.0).unwrap()));
        assert_eq!(margin.of(&Dimension::new("cpu").unwrap()), ten);
        assert!(read("10").unwrap_err().to_string().contains("expected a percentage such as"));
        assert!(read(r#"{"cpu": {"absolute": -5}}"#).unwrap_err().to_string().contains("found -5"));
    }
}
