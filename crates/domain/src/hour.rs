//! An hour of the day, UTC: what takes another time by night stands by its hour.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One of the 24 hours of a day, UTC, as the grids of plans are: 3 is from 03:00 to before 04:00.
/// Written with two digits. Where clocks change for the summer, an hour of people lies in two of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hour(u8);

/// A text or a number that is no hour of the day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no hour of the day; write 00 to 23, UTC, such as update@03")]
pub struct BadHour(String);

/// Hours of a day.
const OF_A_DAY: i64 = 24;

/// Seconds of an hour.
pub const HOUR_SECONDS: i64 = 3600;

impl Hour {
    /// The hour of that number, from 0 to 23.
    ///
    /// # Errors
    /// There is none.
    pub fn new(number: u8) -> Result<Self, BadHour> {
        if i64::from(number) < OF_A_DAY {
            Ok(Self(number))
        } else {
            Err(BadHour(number.to_string()))
        }
    }

    /// All of them, in order.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (0..OF_A_DAY as u8).map(Self)
    }

    /// The one in which an instant lies.
    pub fn of(at: Timestamp) -> Self {
        Self::of_second(at.as_second())
    }

    /// The one in which a second after midnight of any day lies.
    pub fn of_second(second: i64) -> Self {
        Self(second.div_euclid(HOUR_SECONDS).rem_euclid(OF_A_DAY) as u8)
    }

    /// Its number, from 0 to 23.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Seconds from midnight to its beginning.
    pub fn second(self) -> i64 {
        i64::from(self.0) * HOUR_SECONDS
    }

    /// How many hours lie between the two on the clock, the shorter way round: at most 12.
    pub fn distance(self, other: Self) -> u8 {
        let apart = self.0.abs_diff(other.0);
        apart.min(OF_A_DAY as u8 - apart)
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

impl FromStr for Hour {
    type Err = BadHour;

    /// Two digits.
    fn from_str(text: &str) -> Result<Self, BadHour> {
        let bad = || BadHour(text.chars().take(8).collect());
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten().ok_or_else(bad)?;
        Self::new(number).map_err(|_| bad())
    }
}

impl TryFrom<String> for Hour {
    type Error = BadHour;

    fn try_from(text: String) -> Result<Self, BadHour> {
        text.parse()
    }
}

impl From<Hour> for String {
    fn from(hour: Hour) -> String {
        hour.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_two_digits() {
        for hour in Hour::all() {
            assert_eq!(hour.to_string().parse(), Ok(hour));
        }
        assert_eq!("03".parse::<Hour>().unwrap().number(), 3);
        for text in ["", "3", "24", "003", "+3", "-1", "aa", "3 ", "٠٣"] {
            assert!(text.parse::<Hour>().is_err(), "{text}");
        }
        assert!(Hour::new(24).is_err());
    }

    #[test]
    fn an_instant_lies_in_the_hour_that_has_begun() {
        let hour = |text: &str| Hour::of(text.parse().unwrap()).number();
        assert_eq!(hour("2026-03-02T02:59:59.999Z"), 2);
        assert_eq!(hour("2026-03-02T03:00:00Z"), 3);
        assert_eq!(hour("2026-03-02T03:00:00+05:30"), 21);
        assert_eq!(hour("1969-12-31T23:30:00Z"), 23);
    }

    #[test]
    fn the_clock_is_round() {
        let hour = |number| Hour::new(number).unwrap();
        assert_eq!(hour(23).distance(hour(1)), 2);
        assert_eq!(hour(1).distance(hour(23)), 2);
        assert_eq!(hour(0).distance(hour(12)), 12);
        assert_eq!(hour(5).distance(hour(5)), 0);
    }
}
