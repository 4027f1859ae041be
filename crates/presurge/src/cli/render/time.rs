//! Moments and lengths of time for people.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Tells moments in the time zone of this machine, beside how far away they are.
pub struct Teller {
    zone: TimeZone,
    now: Timestamp,
}

impl Teller {
    /// In the time zone of this machine.
    pub fn local(now: Timestamp) -> Self {
        Self { zone: TimeZone::system(), now }
    }

    /// In a given time zone.
    #[cfg(test)]
    pub fn within(zone: TimeZone, now: Timestamp) -> Self {
        Self { zone, now }
    }

    /// `Wed 25 Nov 02:13`.
    pub fn day(&self, at: Timestamp) -> String {
        at.to_zoned_datetime(self.zone.clone()).strftime("%a %d %b %H:%M").to_string()
    }

    /// `Wed 25 Nov 02:13 CET`.
    pub fn day_and_zone(&self, at: Timestamp) -> String {
        at.to_zoned_datetime(self.zone.clone()).strftime("%a %d %b %H:%M %Z").to_string()
    }

    /// `Wed 25 Nov`.
    pub fn date(&self, at: Timestamp) -> String {
        at.to_zoned_datetime(self.zone.clone()).strftime("%a %d %b").to_string()
    }

    /// `02:13`, or to the second if it is `fine`.
    pub fn clock(&self, at: Timestamp, fine: bool) -> String {
        let format = if fine { "%H:%M:%S" } else { "%H:%M" };
        at.to_zoned_datetime(self.zone.clone()).strftime(format).to_string()
    }

    /// `in 6h24m`, `now`, `5m ago`.
    pub fn away(&self, at: Timestamp) -> String {
        let seconds = at.duration_since(self.now).as_secs();
        if seconds.abs() < 5 {
            return "now".to_owned();
        }
        let length = length(Duration::from_secs(seconds.unsigned_abs()));
        if seconds > 0 { format!("in {length}") } else { format!("{length} ago") }
    }
}

/// A length of time in its two largest units: `6h24m`, `2d3h`, `45s`.
pub fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds % 60, "s")];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let shown = parts.iter().skip(first).take(2).filter(|(count, _)| *count > 0);
    let text: String = shown.map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A number with the digits that matter: `13,600`, `850`, `12.5`, `0.071`.
pub fn number(value: f64) -> String {
    // Adding zero turns a negative zero, which sums of nothing are, into a plain one.
    let value = value + 0.0;
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        large if large >= 10.0 => 1,
        large if large >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |rest| ("-", rest));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let part = part.trim_end_matches('0');
    let point = if part.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{part}")
}

/// A probability in percent: `0.61 %`, `<0.01 %`.
pub fn percent(probability: f64) -> String {
    let percent = probability * 100.0;
    if percent > 0.0 && percent < 0.01 {
        return "<0.01 %".to_owned();
    }
    format!("{} %", number((percent * 100.0).round() / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_two_units_and_few_digits() {
        for (seconds, text) in
            [(0, "0s"), (45, "45s"), (60, "1m"), (3_725, "1h2m"), (86_400, "1d"), (100_000, "1d3h")]
        {
            assert_eq!(length(Duration::from_secs(seconds)), text);
        }
        for (value, text) in [
            (13_600.0, "13,600"),
            (850.0, "850"),
            (12.5, "12.5"),
            (0.071, "0.071"),
            (-1_234_567.0, "-1,234,567"),
            (0.0, "0"),
            (-0.0, "0"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(percent(0.0061), "0.61 %");
        assert_eq!(percent(0.000_01), "<0.01 %");
        assert_eq!(percent(0.0), "0 %");
    }

    #[test]
    fn moments_are_told_absolutely_and_relatively() {
        let now: Timestamp = "2026-11-24T20:00:00Z".parse().unwrap();
        let teller = Teller::within(TimeZone::UTC, now);
        let at: Timestamp = "2026-11-25T02:13:00Z".parse().unwrap();
        assert_eq!(teller.day_and_zone(at), "Wed 25 Nov 02:13 UTC");
        assert_eq!((teller.clock(at, false), teller.away(at)), ("02:13".into(), "in 6h13m".into()));
        assert_eq!(
            (teller.clock(at, true), teller.date(at)),
            ("02:13:00".into(), "Wed 25 Nov".into())
        );
        assert_eq!((teller.away(now), teller.day(now)), ("now".into(), "Tue 24 Nov 20:00".into()));
        assert_eq!(Teller::within(TimeZone::UTC, at).away(now), "6h13m ago");
    }
}
