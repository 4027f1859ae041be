//! Counts that may be given as a share: `3` or `"25%"`, and margins.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A percentage from 0 to [`Percent::MOST`], written `25%` or `2.5%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percent(f64);

/// A text that is no percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a percentage from 0% to 10000% such as \"25%\", found {0:?}")]
pub struct BadPercent(String);

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);
    /// The whole.
    pub const WHOLE: Self = Self(100.0);
    /// The largest percentage that is accepted.
    pub const MOST: f64 = 10_000.0;

    /// As a share: 0.25 for `25%`.
    pub fn ratio(self) -> f64 {
        self.0 / 100.0
    }
}

impl FromStr for Percent {
    type Err = BadPercent;

    fn from_str(text: &str) -> Result<Self, BadPercent> {
        let bad = || BadPercent(text.chars().take(40).collect());
        let number = text.strip_suffix('%').ok_or_else(bad)?;
        let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let value: f64 = number.parse().map_err(|_| bad())?;
        if plain && (0.0..=Self::MOST).contains(&value) { Ok(Self(value)) } else { Err(bad()) }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Percent;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percentage such as \"25%\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Percent, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?%$" })
    }
}

/// A number of servers, or a percentage of the servers of the fleet: `3` or `"25%"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CountOrPercent {
    /// Exactly so many.
    Count(u32),
    /// A share of the fleet.
    Percent(Percent),
}

impl CountOrPercent {
    /// How many of `total` at most, where too many do harm: a share rounds down.
    pub fn rounded_down(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => bounded((f64::from(total) * percent.ratio() + 1e-9).floor()),
        }
    }

    /// How many of `total`, where too few do harm: a share rounds up.
    pub fn rounded_up(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => bounded((f64::from(total) * percent.ratio() - 1e-9).ceil()),
        }
    }

    /// Whether it is nothing, of any total.
    pub fn is_zero(self) -> bool {
        match self {
            Self::Count(count) => count == 0,
            Self::Percent(percent) => percent == Percent::ZERO,
        }
    }
}

/// A float that is no NaN as a count; what does not fit is cut.
fn bounded(count: f64) -> u32 {
    count.clamp(0.0, f64::from(u32::MAX)) as u32
}

impl fmt::Display for CountOrPercent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}"),
        }
    }
}

impl Serialize for CountOrPercent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Percent(percent) => percent.serialize(serializer),
        }
    }
}

struct CountVisitor;

impl de::Visitor<'_> for CountVisitor {
    type Value = CountOrPercent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number such as 3, or a percentage such as \"25%\"")
    }

    fn visit_u64<E: de::Error>(self, count: u64) -> Result<CountOrPercent, E> {
        let count = u32::try_from(count)
            .map_err(|_| E::custom(format!("expected at most {}, found {count}", u32::MAX)))?;
        Ok(CountOrPercent::Count(count))
    }

    fn visit_i64<E: de::Error>(self, count: i64) -> Result<CountOrPercent, E> {
        let found = de::Unexpected::Signed(count);
        u64::try_from(count)
            .map_err(|_| E::invalid_value(found, &self))
            .and_then(|count| self.visit_u64(count))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<CountOrPercent, E> {
        if !text.ends_with('%') {
            return Err(E::invalid_value(de::Unexpected::Str(text), &self));
        }
        text.parse().map(CountOrPercent::Percent).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for CountOrPercent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

impl JsonSchema for CountOrPercent {
    fn schema_name() -> Cow<'static, str> {
        "CountOrPercent".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let percent = generator.subschema_for::<Percent>();
        json_schema!({ "oneOf": [{ "type": "integer", "minimum": 0 }, percent] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<CountOrPercent, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn shares_round_to_the_safe_side_and_whole_shares_are_exact() {
        let quarter = read("\"25%\"").unwrap();
        assert_eq!((quarter.rounded_down(10), quarter.rounded_up(10)), (2, 3));
        assert_eq!((quarter.rounded_down(12), quarter.rounded_up(12)), (3, 3));
        for total in 1..=400 {
            for percent in 1..=100 {
                let share = read(&format!("\"{percent}%\"")).unwrap();
                let exact = u64::from(total) * percent;
                assert_eq!(u64::from(share.rounded_down(total)), exact / 100, "{total} {percent}");
                assert_eq!(u64::from(share.rounded_up(total)), exact.div_ceil(100));
            }
        }
        let three = read("3").unwrap();
        assert_eq!((three.rounded_down(10), three.rounded_up(10)), (3, 3));
    }

    #[test]
    fn what_is_neither_is_refused_with_what_was_expected() {
        for bad in ["-1", "2.5", "\"25\"", "\"-5%\"", "\"nan%\"", "\"1e3%\"", "\"%\"", "true", "[]"]
        {
            assert!(read(bad).unwrap_err().contains("expected a"), "{bad}");
        }
        assert!(read("\"10001%\"").is_err());
        assert!(read("5000000000").unwrap_err().contains("at most"));
        let json = serde_json::to_string(&read("\"2.5%\"").unwrap()).unwrap();
        assert_eq!(json, "\"2.5%\"");
    }
}
