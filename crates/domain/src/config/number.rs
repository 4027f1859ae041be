//! Checked numbers: each is finite and in its range.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// A number that lies outside the range of its field.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct OutOfRange {
    expected: &'static str,
    found: f64,
}

/// Reads any number as a float; text that looks like a number is told to lose its quotes.
struct Number(&'static str);

impl de::Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
        let hint =
            if text.trim().parse::<f64>().is_ok() { "; write it without quotes" } else { "" };
        let shown: String = text.chars().take(40).collect();
        Err(E::custom(format!("expected {}, found text {shown:?}{hint}", self.0)))
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $check:expr, $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
        #[serde(transparent)]
        pub struct $name(f64);

        impl $name {
            #[doc = concat!("Checks that it is ", $expected, ".")]
            pub fn new(value: f64) -> Result<Self, OutOfRange> {
                let check: fn(f64) -> bool = $check;
                if value.is_finite() && check(value) {
                    Ok(Self(value))
                } else {
                    Err(OutOfRange { expected: $expected, found: value })
                }
            }

            /// The number.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = deserializer.deserialize_any(Number($expected))?;
                Self::new(value).map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

number!(
    /// What a server carries, or a load: above 0, in the unit of its dimension.
    Capacity, "a number above 0", |value| value > 0.0,
    { "type": "number", "exclusiveMinimum": 0, "description": "Load that is carried safely." }
);
number!(
    /// Money, or a price: 0 or more, in the currency of the fleet.
    Money, "an amount of money of 0 or more", |value| value >= 0.0,
    { "type": "number", "minimum": 0, "description": "Money in the fleet's currency." }
);
number!(
    /// A load of 0 or more, in the unit of its dimension.
    Amount, "a number of 0 or more", |value| value >= 0.0,
    { "type": "number", "minimum": 0 }
);
number!(
    /// A share of something, from 0 to 1.
    Share, "a number from 0 to 1", |value| (0.0..=1.0).contains(&value),
    { "type": "number", "minimum": 0, "maximum": 1 }
);
number!(
    /// A share of something, above 0 and at most 1.
    PositiveShare, "a number above 0 and at most 1", |value| value > 0.0 && value <= 1.0,
    { "type": "number", "exclusiveMinimum": 0, "maximum": 1 }
);
number!(
    /// A probability strictly between 0 and 1.
    OpenShare, "a probability strictly between 0 and 1", |value| value > 0.0 && value < 1.0,
    { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 }
);
number!(
    /// How likely something fails.
    Chance, "a probability from 0 to below 1", |value| (0.0..1.0).contains(&value),
    { "type": "number", "minimum": 0, "exclusiveMaximum": 1 }
);

impl From<OpenShare> for crate::forecast::Probability {
    fn from(share: OpenShare) -> Self {
        Self::new(share.get()).expect("both types have the same range")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error<T: for<'de> Deserialize<'de> + fmt::Debug>(json: &str) -> String {
        serde_json::from_str::<T>(json).unwrap_err().to_string()
    }

    #[test]
    fn numbers_are_checked_at_the_door() {
        assert_eq!(serde_json::from_str::<Capacity>("850").unwrap().get(), 850.0);
        assert_eq!(serde_json::from_str::<Money>("0").unwrap().get(), 0.0);
        assert_eq!(serde_json::from_str::<PositiveShare>("1").unwrap().get(), 1.0);
        assert!(error::<Capacity>("-5").contains("expected a number above 0, found -5"));
        assert!(error::<Capacity>("0").contains("expected a number above 0, found 0"));
        assert!(error::<OpenShare>("1").contains("strictly between 0 and 1, found 1"));
        assert!(error::<OpenShare>("0").contains("strictly between 0 and 1, found 0"));
        assert_eq!(serde_json::from_str::<Chance>("0").unwrap().get(), 0.0);
        assert!(error::<Chance>("1").contains("a probability from 0 to below 1, found 1"));
        assert!(error::<Share>("1.5").contains("from 0 to 1, found 1.5"));
        assert!(error::<Money>("\"0.2\"").contains("found text \"0.2\"; write it without quotes"));
        assert!(error::<Money>("\"cheap\"").contains("found text \"cheap\""));
        assert!(error::<Money>("true").contains("boolean `true`, expected an amount of money"));
        assert!(Money::new(f64::NAN).is_err() && Money::new(f64::INFINITY).is_err());
    }
}
