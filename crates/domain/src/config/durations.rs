//! How long the parts of an update take: `5m` or `{p50: 5m, p95: 9m}`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::number::Share;
use super::span::Span;
use crate::spread::{BadSpread, Spread};

/// A duration that is known exactly or by its median and its 95 % quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpreadSpec(pub Spread);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SpreadQuantiles")]
struct Quantiles {
    p50: Span,
    p95: Span,
}

impl<'de> Deserialize<'de> for SpreadSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = SpreadSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as 5m, or { p50: 5m, p95: 9m }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<SpreadSpec, E> {
                let exactly: Span = text.parse().map_err(E::custom)?;
                Ok(SpreadSpec(Spread::exactly(exactly.duration())))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<SpreadSpec, A::Error> {
                let Quantiles { p50, p95 } =
                    Quantiles::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let message = match Spread::between(p50.duration(), p95.duration()) {
                    Ok(spread) => return Ok(SpreadSpec(spread)),
                    Err(BadSpread::Crossed { .. }) => {
                        format!("p95 is {p95}, which is shorter than p50, {p50}")
                    }
                    Err(error) => error.to_string(),
                };
                Err(de::Error::custom(message))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for SpreadSpec {
    fn schema_name() -> Cow<'static, str> {
        "Spread".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (span, quantiles) =
            (generator.subschema_for::<Span>(), generator.subschema_for::<Quantiles>());
        json_schema!({ "oneOf": [span, quantiles] })
    }
}

/// How long the parts of an update take.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DurationsSpec {
    /// Until a server that gets no new requests has finished those under way.
    #[serde(default)]
    pub drain: Option<SpreadSpec>,
    /// From the start of the update until the server runs the target, a reboot included.
    #[serde(default)]
    pub update: Option<SpreadSpec>,
    /// From the order until a replaced server runs.
    #[serde(default)]
    pub boot: Option<SpreadSpec>,
    /// From the first request until a server carries its full load.
    #[serde(default)]
    pub warmup: Option<SpreadSpec>,
    /// The share of its capacity that a server has when its warm-up begins.
    #[serde(default)]
    pub warmup_from: Option<Share>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_one_time_or_two_quantiles() {
        let read = |json: &str| {
            serde_json::from_str::<SpreadSpec>(json).map_err(|error| error.to_string())
        };
        let minutes = |count: u64| std::time::Duration::from_secs(60 * count);
        assert_eq!(read("\"5m\"").unwrap().0, Spread::exactly(minutes(5)));
        let both = read(r#"{"p50": "5m", "p95": "9m"}"#).unwrap();
        assert_eq!(both.0, Spread::between(minutes(5), minutes(9)).unwrap());
        assert!(read(r#"{"p50": "0s", "p95": "5m"}"#).unwrap_err().contains("p50 is zero"));
        let error = read(r#"{"p50": "9m", "p95": "5m"}"#).unwrap_err();
        assert!(error.contains("p95 is 5m, which is shorter than p50, 9m"), "{error}");
        assert!(read(r#"{"p50": "9m"}"#).unwrap_err().contains("missing field `p95`"));
        assert!(read("5").unwrap_err().contains("expected a length of time such as 5m, or {"));
    }
}
