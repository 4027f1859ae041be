//! Ports that may be given out.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// Ports from the first to the last, both included, written `20000-20100`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRange(RangeInclusive<u16>);

/// A text that is no range of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no range of ports; write the first and the last from 1 to 65535: 20000-20100")]
pub struct BadPortRange(String);

impl FromStr for PortRange {
    type Err = BadPortRange;

    fn from_str(text: &str) -> Result<Self, BadPortRange> {
        let bad = || BadPortRange(text.chars().take(40).collect());
        let (first, last) = text.split_once('-').ok_or_else(bad)?;
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let (first, last) = (port(first).ok_or_else(bad)?, port(last).ok_or_else(bad)?);
        if first <= last { Ok(Self(first..=last)) } else { Err(bad()) }
    }
}

impl PortRange {
    /// The first port that is not taken and that nobody listens on; `None` when there is none.
    pub(super) fn free(&self, taken: &BTreeSet<u16>) -> Option<u16> {
        self.0.clone().find(|port| {
            !taken.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
        })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.start(), self.0.end())
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for PortRange {
    fn schema_name() -> Cow<'static, str> {
        "PortRange".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Ports from the first to the last: 20000-20100.",
            "pattern": "^[0-9]+-[0-9]+$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_others_refused() {
        let range: PortRange = "20000-20100".parse().unwrap();
        assert_eq!(range.to_string(), "20000-20100");
        for bad in ["", "20000", "0-10", "10-5", "1-65536", "a-b", "1-2-3", "-5"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ports_in_use_are_left_alone() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let only: PortRange = format!("{port}-{port}").parse().unwrap();
        assert_eq!(only.free(&BTreeSet::new()), None);
        drop(listener);
        assert_eq!(only.free(&BTreeSet::new()), Some(port));
        assert_eq!(only.free(&BTreeSet::from([port])), None);
    }
}
