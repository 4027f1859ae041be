//! Lengths of time as they stand in a configuration: `500ms`, `30s`, `5m`, `1h30m`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest length of time that is accepted: 366 days.
pub const LONGEST: Duration = Duration::from_secs(366 * 86_400);

const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A length of time from zero to [`LONGEST`] in whole milliseconds, written as numbers with `d`,
/// `h`, `m`, `s` or `ms`, the larger units first: `1h30m`, `0s`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

/// A text that is no length of time.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum BadSpan {
    /// It is not written as one.
    #[error("{0:?} is not a length of time; write for instance 30s, 5m or 1h30m")]
    Syntax(String),
    /// It is longer than [`LONGEST`].
    #[error("{0} is longer than 366 days")]
    TooLong(String),
    /// It is zero where something has to last.
    #[error("a length of time above zero is needed here, for instance 30s")]
    Zero,
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// A span of whole seconds; more than [`LONGEST`] is cut to it.
    pub const fn seconds(seconds: u32) -> Self {
        let seconds = seconds as u64;
        Self(Duration::from_secs(if seconds < LONGEST.as_secs() {
            seconds
        } else {
            LONGEST.as_secs()
        }))
    }

    /// The length.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// Whether it is zero.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let shown = || text.chars().take(40).collect::<String>();
        let bad = || BadSpan::Syntax(shown());
        let (mut rest, mut units, mut millis) = (text, UNITS.iter(), 0_u64);
        if text.is_empty() {
            return Err(bad());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let letters = rest[digits..].bytes().take_while(u8::is_ascii_lowercase).count();
            let name = &rest[digits..digits + letters];
            let (_, size) = units.find(|(unit, _)| *unit == name).ok_or_else(bad)?;
            if digits == 0 {
                return Err(bad());
            }
            let long = || BadSpan::TooLong(shown());
            let count: u64 = rest[..digits].parse().map_err(|_| long())?;
            let part = count.checked_mul(*size).ok_or_else(long)?;
            millis = millis.checked_add(part).ok_or_else(long)?;
            rest = &rest[digits + letters..];
        }
        let length = Duration::from_millis(millis);
        if length > LONGEST { Err(BadSpan::TooLong(shown())) } else { Ok(Self(length)) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.pad("0s");
        }
        let mut text = String::new();
        for (unit, size) in UNITS {
            if millis >= size {
                text.push_str(&format!("{}{unit}", millis / size));
                millis %= size;
            }
        }
        f.pad(&text)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Span({self})")
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

struct SpanVisitor;

impl de::Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a length of time such as 30s, 5m or 1h30m")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(SpanVisitor)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time: 500ms, 30s, 5m, 1h30m.",
            "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
            "minLength": 2,
        })
    }
}

/// A [`Span`] above zero: a time-out, an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PositiveSpan(Span);

impl PositiveSpan {
    /// A span of whole seconds, at least one.
    pub const fn seconds(seconds: u32) -> Self {
        Self(Span::seconds(if seconds == 0 { 1 } else { seconds }))
    }

    /// The length.
    pub const fn duration(self) -> Duration {
        self.0.duration()
    }
}

impl TryFrom<Span> for PositiveSpan {
    type Error = BadSpan;
    fn try_from(span: Span) -> Result<Self, BadSpan> {
        if span.is_zero() { Err(BadSpan::Zero) } else { Ok(Self(span)) }
    }
}

impl From<PositiveSpan> for Span {
    fn from(span: PositiveSpan) -> Self {
        span.0
    }
}

impl FromStr for PositiveSpan {
    type Err = BadSpan;
    fn from_str(text: &str) -> Result<Self, BadSpan> {
        text.parse::<Span>()?.try_into()
    }
}

impl fmt::Display for PositiveSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for PositiveSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PositiveSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Span::deserialize(deserializer)?.try_into().map_err(de::Error::custom)
    }
}

impl JsonSchema for PositiveSpan {
    fn schema_name() -> Cow<'static, str> {
        "PositiveSpan".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Span::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_written_alike() {
        for (text, millis) in [
            ("0s", 0),
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1m500ms", 60_500),
            ("1d", 86_400_000),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.duration(), Duration::from_millis(millis));
            assert_eq!(span.to_string(), text);
            let json = serde_json::to_string(&span).unwrap();
            assert_eq!(serde_json::from_str::<Span>(&json).unwrap(), span);
        }
        assert_eq!("90m".parse::<Span>().unwrap().to_string(), "1h30m");
        assert_eq!(PositiveSpan::seconds(0), PositiveSpan::seconds(1));
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in ["", "5", "s", "5 s", "-5s", "5m1h", "5s5s", "1.5h", "5µs", "5M", "é5s"] {
            assert!(matches!(text.parse::<Span>(), Err(BadSpan::Syntax(_))), "{text:?}");
        }
        for text in ["367d", "99999999999999999999s", "18446744073709551615d"] {
            assert!(matches!(text.parse::<Span>(), Err(BadSpan::TooLong(_))), "{text:?}");
        }
        assert_eq!("0s".parse::<PositiveSpan>(), Err(BadSpan::Zero));
        let error = serde_json::from_str::<Span>("5").unwrap_err().to_string();
        assert!(error.contains("expected a length of time such as 30s"), "{error}");
    }
}
