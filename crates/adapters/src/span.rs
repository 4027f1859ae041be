//! Lengths of time as they stand in a configuration: `500ms`, `5s`, `1h30m`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};

/// A length of time above zero and at most a year, written as numbers with `ms`, `s`, `m`, `h`
/// or `d`, the larger units first: `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

/// A text that is no length of time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is not a length of time above zero and at most a year; write for instance 5s or 1h30m"
)]
pub struct BadSpan(String);

const LONGEST: Duration = Duration::from_secs(366 * 86_400);
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    /// A span of whole seconds, at least one; more than a year is cut to a year.
    pub const fn seconds(seconds: u32) -> Self {
        let seconds = if seconds == 0 { 1 } else { seconds as u64 };
        Self(Duration::from_secs(if seconds < LONGEST.as_secs() {
            seconds
        } else {
            LONGEST.as_secs()
        }))
    }

    /// The length.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl std::str::FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let bad = || BadSpan(text.chars().take(40).collect());
        let (mut rest, mut units, mut millis) = (text, UNITS.iter(), 0_u64);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let letters = rest[digits..].bytes().take_while(u8::is_ascii_lowercase).count();
            let count: u64 = rest[..digits].parse().map_err(|_| bad())?;
            let name = &rest[digits..digits + letters];
            let (_, size) = units.find(|(unit, _)| *unit == name).ok_or_else(bad)?;
            let part = count.checked_mul(*size).ok_or_else(bad)?;
            millis = millis.checked_add(part).ok_or_else(bad)?;
            rest = &rest[digits + letters..];
        }
        let span = Duration::from_millis(millis);
        if span.is_zero() || span > LONGEST { Err(bad()) } else { Ok(Self(span)) }
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        for (unit, size) in UNITS {
            if millis >= size {
                write!(f, "{}{unit}", millis / size)?;
                millis %= size;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time: 500ms, 5s, 1h30m.",
            "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_written() {
        for (text, millis) in
            [("5s", 5_000), ("1h30m", 5_400_000), ("500ms", 500), ("1d", 86_400_000)]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.duration(), Duration::from_millis(millis));
            assert_eq!(span.to_string(), text);
        }
        assert_eq!(Span::seconds(0), Span::seconds(1));
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "0s",
            "5 s",
            "-5s",
            "5m1h",
            "5s5s",
            "1.5h",
            "5µs",
            "999999d",
            "99999999999999999999s",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
        let error = serde_json::from_str::<Span>("\"5\"").unwrap_err().to_string();
        assert!(error.contains("write for instance 5s or 1h30m"), "{error}");
    }
}
