//! When a rollout may work, as it is written: windows, freezes, deadlines.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Weekday;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use crate::calendar::DayTime;

use super::span::{PositiveSpan, Span};

/// A day of the week.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the days of the week need no words")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    /// The whole week.
    pub const ALL: [Self; 7] =
        [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];
}

impl From<Day> for Weekday {
    fn from(day: Day) -> Self {
        match day {
            Day::Mon => Self::Monday,
            Day::Tue => Self::Tuesday,
            Day::Wed => Self::Wednesday,
            Day::Thu => Self::Thursday,
            Day::Fri => Self::Friday,
            Day::Sat => Self::Saturday,
            Day::Sun => Self::Sunday,
        }
    }
}

/// A local time of day, `"00:00"` to `"24:00"`, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(pub DayTime);

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = TimeOfDay;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time of day such as \"02:00\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<TimeOfDay, E> {
                text.parse().map(TimeOfDay).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for TimeOfDay {
    fn schema_name() -> Cow<'static, str> {
        "TimeOfDay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$|^24:00$" })
    }
}

/// When servers may be out: days and local times, or a recurrence.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WindowSpec {
    /// The days on which it starts; all unless given.
    #[serde(default)]
    pub days: Option<Vec<Day>>,
    /// Local time at which it starts; `00:00` unless given.
    #[serde(default)]
    pub start: Option<TimeOfDay>,
    /// Local time at which it ends; not after `start` means the next day; `24:00` unless given.
    #[serde(default)]
    pub end: Option<TimeOfDay>,
    /// IANA name of the time zone; UTC unless given.
    #[serde(default)]
    pub timezone: Option<String>,
    /// A recurrence rule (RFC 5545) in place of days and times: `FREQ=MONTHLY;BYDAY=2TU;BYHOUR=20`
    /// in the time zone, or after a line `DTSTART;TZID=…:…` of its own.
    #[serde(default)]
    pub rrule: Option<String>,
    /// How long each occurrence of the rule lasts.
    #[serde(default)]
    pub duration: Option<PositiveSpan>,
}

/// When servers may not be out, whatever the windows say.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FreezeSpec {
    /// The first instant.
    #[serde(default)]
    pub from: Option<Instant>,
    /// The instant after the last.
    #[serde(default)]
    pub to: Option<Instant>,
    /// A recurrence rule (RFC 5545) in UTC, or after a line `DTSTART;TZID=…:…` of its own.
    #[serde(default)]
    pub rrule: Option<String>,
    /// How long each occurrence of the rule lasts.
    #[serde(default)]
    pub duration: Option<PositiveSpan>,
    /// A calendar file (iCalendar): every event in it is a freeze.
    #[serde(default)]
    pub ical: Option<IcalSpec>,
    /// A query that is true while the freeze holds.
    #[serde(default)]
    pub promql: Option<Value>,
}

/// A calendar file: its path, or `{ path: … }`; relative to the file that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IcalSpec {
    /// The file.
    pub path: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "IcalFile")]
struct IcalFile {
    path: String,
}

impl<'de> Deserialize<'de> for IcalSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = IcalSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a file such as holidays.ics, or { path: … }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<IcalSpec, E> {
                Ok(IcalSpec { path: text.to_owned() })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<IcalSpec, A::Error> {
                let file = IcalFile::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(IcalSpec { path: file.path })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for IcalSpec {
    fn schema_name() -> Cow<'static, str> {
        "Ical".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (path, file) =
            (generator.subschema_for::<String>(), generator.subschema_for::<IcalFile>());
        json_schema!({ "oneOf": [path, file] })
    }
}

/// An instant, written as RFC 3339 with an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub Timestamp);

/// A text that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an instant; write it with its offset, for instance 2026-11-24T02:00:00Z")]
pub struct BadInstant(String);

impl FromStr for Instant {
    type Err = BadInstant;
    fn from_str(text: &str) -> Result<Self, BadInstant> {
        text.parse().map(Self).map_err(|_| BadInstant(text.chars().take(60).collect()))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Instant;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an instant such as 2026-11-24T02:00:00Z")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Instant, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Instant {
    fn schema_name() -> Cow<'static, str> {
        "Instant".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// When the last server has to be back: a time from now, or an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadlineSpec {
    /// So long after the rollout is created.
    After(Span),
    /// At this instant.
    At(Timestamp),
}

impl DeadlineSpec {
    /// The instant, for a rollout that is created at `now`.
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::After(span) => now.saturating_add(span.duration()).unwrap_or(Timestamp::MAX),
            Self::At(at) => at,
        }
    }
}

impl<'de> Deserialize<'de> for DeadlineSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = DeadlineSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as 24h, or an instant")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<DeadlineSpec, E> {
                if text.contains('T') || text.contains('-') {
                    let at: Instant = text.parse().map_err(E::custom)?;
                    return Ok(DeadlineSpec::At(at.0));
                }
                let span: PositiveSpan = text.parse().map_err(E::custom)?;
                Ok(DeadlineSpec::After(span.into()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for DeadlineSpec {
    fn schema_name() -> Cow<'static, str> {
        "Deadline".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (span, instant) =
            (generator.subschema_for::<Span>(), generator.subschema_for::<Instant>());
        // Formats are not checked by every validator, so that both may seem to fit.
        json_schema!({ "anyOf": [span, instant] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_a_span_or_an_instant() {
        let read = |text: &str| {
            serde_json::from_value::<DeadlineSpec>(Value::from(text))
                .map_err(|error| error.to_string())
        };
        let now: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let day = read("24h").unwrap().from(now);
        assert_eq!(read("2026-11-25T01:00:00+01:00").unwrap().from(now), day);
        assert!(read("0s").unwrap_err().contains("above zero"));
        assert!(read("2026-11-25").unwrap_err().contains("with its offset"));
        assert!(read("tomorrow").unwrap_err().contains("30s, 5m or 1h30m"));
    }
}
