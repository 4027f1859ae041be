//! Intervals that come back by a rule of RFC 5545, in the local time of a place.
//!
//! The rule runs in local time without a zone; each start then becomes an instant, so that clock
//! changes are treated here as everywhere: a skipped start moves forward, and of two the first
//! counts.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rrule::RRuleSet;

use super::Interval;

/// A rule without a start of its own counts from here, a Saturday at midnight.
const ANCHOR: DateTime = jiff::civil::datetime(2000, 1, 1, 0, 0, 0, 0);

/// A rule may start at most so many times a day.
const STARTS_A_DAY_AT_MOST: usize = 24;

/// At most so many starts are gone through, from the first one on: 24 a day for 150 years.
const STARTS_AT_MOST: usize = 24 * 366 * 150;

/// No rule starts earlier; birthdays in calendars do start early.
const EARLIEST_YEAR: i16 = 1900;

/// No occurrence is longer than this many days.
const LONGEST_DAYS: u64 = 366;

/// A text that is no recurrence rule, or one that cannot be used: what, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRecurrence(String);

fn bad<T>(message: impl Into<String>) -> Result<T, BadRecurrence> {
    Err(BadRecurrence(message.into()))
}

/// How long an occurrence lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// So much time, whatever clocks do meanwhile.
    Exact(Duration),
    /// So many days by the calendar, to the same time of day.
    Days(u32),
}

/// Until when a rule runs, the last moment included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Local(DateTime),
    Instant(Timestamp),
}

/// An interval that comes back, or one alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurrence {
    start: DateTime,
    rule: Option<RRuleSet>,
    until: Option<Until>,
    zone: TimeZone,
    length: Length,
    except: Vec<DateTime>,
    besides: Vec<DateTime>,
}

impl Recurrence {
    /// One interval from `start` on, by the clocks of `zone`.
    pub fn once(start: DateTime, zone: TimeZone, length: Length) -> Result<Self, BadRecurrence> {
        let days = match length {
            Length::Exact(length) => length.as_secs().div_ceil(86_400),
            Length::Days(days) => u64::from(days),
        };
        if days == 0 || days > LONGEST_DAYS {
            return bad(format!("it lasts {days} days; use more than nothing and at most a year"));
        }
        if start.year() < EARLIEST_YEAR {
            return bad(format!("it starts at {start}; use a start from {EARLIEST_YEAR} on"));
        }
        let (except, besides) = (Vec::new(), Vec::new());
        Ok(Self { start, rule: None, until: None, zone, length, except, besides })
    }

    /// Occurrences by a text: a rule such as `FREQ=WEEKLY;BYDAY=SA,SU;BYHOUR=2`, or a line
    /// `DTSTART;TZID=Europe/Berlin:20260105T020000` and a line `RRULE:…`. A rule alone counts from
    /// Saturday, 2000-01-01, 00:00 by the clocks of `zone`.
    ///
    /// # Errors
    /// What is wrong with the text, and what to write.
    pub fn parse(text: &str, zone: TimeZone, length: Length) -> Result<Self, BadRecurrence> {
        let mut start = None;
        let mut rule = None;
        let mut place = zone;
        for line in text.split_whitespace() {
            let (name, value) = match line.split_once(':') {
                Some((name, value)) => (name.to_ascii_uppercase(), value),
                None => ("RRULE".to_owned(), line),
            };
            let slot_is_free = if name == "RRULE" { rule.is_none() } else { start.is_none() };
            match (name.as_str(), slot_is_free) {
                ("RRULE", true) => rule = Some(value.to_owned()),
                (name, true) if name == "DTSTART" || name.starts_with("DTSTART;") => {
                    let zone_name = line[..line.len() - value.len() - 1].split_once('=');
                    let (at, zone) = moment(zone_name.map(|(_, zone)| zone), value, &place)?;
                    (start, place) = (Some(at), zone);
                }
                _ => return bad(format!("expected one rule such as FREQ=DAILY, found {line:?}")),
            }
        }
        let Some(rule) = rule else {
            return bad("holds no rule; write for instance FREQ=WEEKLY;BYDAY=SA,SU;BYHOUR=2");
        };
        match start {
            Some(start) => Self::once(start, place, length)?.repeated(&rule),
            None => Self::once(ANCHOR, place, length)?.unanchored(&rule),
        }
    }

    /// A rule without a start may not depend on one.
    fn unanchored(self, rule: &str) -> Result<Self, BadRecurrence> {
        let parts = parts(rule)?;
        let of = |key: &str| parts.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
        if of("COUNT").is_some() || of("INTERVAL").is_some_and(|every| every != "1") {
            return bad(
                "COUNT and INTERVAL count from a start; write DTSTART:20260105T020000 before the \
                 rule",
            );
        }
        let day = |keys: &[&str]| keys.iter().any(|key| of(key).is_some());
        let says_its_day = match of("FREQ") {
            Some("WEEKLY") => day(&["BYDAY"]),
            Some("MONTHLY") => day(&["BYDAY", "BYMONTHDAY"]),
            Some("YEARLY") => day(&["BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"]),
            _ => true,
        };
        if !says_its_day {
            return bad("does not say on which days; add for instance BYDAY=MO, or a DTSTART");
        }
        self.repeated(rule)
    }

    /// The same, coming back by a rule (the value of an `RRULE`) that counts from its start.
    ///
    /// # Errors
    /// What is wrong with the rule, and what to write.
    pub fn repeated(mut self, rule: &str) -> Result<Self, BadRecurrence> {
        let parts = parts(rule)?;
        let of = |key: &str| parts.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
        match of("FREQ") {
            Some("DAILY" | "WEEKLY" | "MONTHLY" | "YEARLY") => {}
            Some(other) => {
                return bad(format!("FREQ={other}; use DAILY, WEEKLY, MONTHLY or YEARLY"));
            }
            None => return bad("has no FREQ; write for instance FREQ=WEEKLY;BYDAY=SA"),
        }
        let many = |key: &str| of(key).map_or(1, |list| list.split(',').count());
        let starts = many("BYHOUR") * many("BYMINUTE") * many("BYSECOND");
        if starts > STARTS_A_DAY_AT_MOST {
            return bad(format!(
                "starts {starts} times a day, at most {STARTS_A_DAY_AT_MOST} are allowed"
            ));
        }
        self.until = of("UNTIL").map(|text| until(text, &self.zone)).transpose()?;
        let rest = parts.iter().filter(|(key, _)| key != "UNTIL");
        let rest: Vec<String> = rest.map(|(key, value)| format!("{key}={value}")).collect();
        let start = self.start.strftime("%Y%m%dT%H%M%S");
        let set: RRuleSet = format!("DTSTART:{start}Z\nRRULE:{}", rest.join(";"))
            .parse()
            .map_err(|error: rrule::RRuleError| BadRecurrence(format!("is no rule: {error}")))?;
        self.rule = Some(set);
        Ok(self)
    }

    /// The same without the occurrences that start at these local times.
    #[must_use]
    pub fn except(mut self, starts: Vec<DateTime>) -> Self {
        self.except.extend(starts);
        self
    }

    /// The same with more occurrences that start at these local times.
    #[must_use]
    pub fn besides(mut self, starts: Vec<DateTime>) -> Self {
        self.besides.extend(starts);
        self
    }

    /// Every occurrence that shares an instant with `[from, to)`, uncut, rising.
    pub fn occurrences(&self, from: Timestamp, to: Timestamp) -> Vec<Interval> {
        let last = self.zone.to_datetime(to).saturating_add(Span::new().days(1));
        let by_rule = self.rule.iter().flat_map(|set| set.into_iter().take(STARTS_AT_MOST));
        let by_rule = by_rule.map_while(|at| Timestamp::from_second(at.timestamp()).ok());
        let by_rule = by_rule.map(|at| TimeZone::UTC.to_datetime(at));
        let first = self.rule.is_none().then_some(self.start);
        let starts = first.into_iter().chain(by_rule).take_while(|at| *at <= last);
        let starts = starts.take_while(|at| self.goes_on(*at));
        let starts = starts.filter(|at| !self.except.contains(at));
        let all = starts.chain(self.besides.iter().copied()).filter_map(|at| self.at(at));
        let mut all: Vec<Interval> = all.filter(|i| i.clip(from, to).is_some()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn goes_on(&self, at: DateTime) -> bool {
        match self.until {
            None => true,
            Some(Until::Local(until)) => at <= until,
            Some(Until::Instant(until)) => self.instant(at).is_some_and(|at| at <= until),
        }
    }

    fn instant(&self, at: DateTime) -> Option<Timestamp> {
        self.zone.to_ambiguous_timestamp(at).compatible().ok()
    }

    fn at(&self, start: DateTime) -> Option<Interval> {
        let from = self.instant(start)?;
        let to = match self.length {
            Length::Exact(length) => from.checked_add(length).ok()?,
            Length::Days(days) => {
                let end = start.checked_add(Span::new().days(i64::from(days))).ok()?;
                self.zone.to_ambiguous_timestamp(end).later().ok()?
            }
        };
        Interval::new(from, to).ok()
    }
}

/// The parts of a rule, keys in capitals, each once.
fn parts(rule: &str) -> Result<Vec<(String, String)>, BadRecurrence> {
    let mut parts: Vec<(String, String)> = Vec::new();
    for part in rule.split(';').filter(|part| !part.is_empty()) {
        let Some((key, value)) = part.split_once('=') else {
            return bad(format!("{part:?} is no part of a rule; write for instance FREQ=DAILY"));
        };
        let key = key.trim().to_ascii_uppercase();
        if parts.iter().any(|(known, _)| *known == key) {
            return bad(format!("{key} is there twice"));
        }
        parts.push((key, value.trim().to_ascii_uppercase()));
    }
    Ok(parts)
}

fn until(text: &str, zone: &TimeZone) -> Result<Until, BadRecurrence> {
    if text.len() == 8 {
        let end = local(text)?.date().to_datetime(Time::constant(23, 59, 59, 0));
        return Ok(Until::Local(end));
    }
    let (at, place) = moment(None, text, zone)?;
    let instant = || place.to_ambiguous_timestamp(at).compatible();
    match text.ends_with('Z') {
        true => instant().map(Until::Instant).or_else(|_| bad(format!("UNTIL={text} is too far"))),
        false => Ok(Until::Local(at)),
    }
}

/// A date, or a date with a time, as RFC 5545 writes it, with the zone that it is in: UTC with a
/// `Z`, else the one that is named, else `zone`.
///
/// # Errors
/// What is wrong with the text, and what to write.
pub fn moment(
    named: Option<&str>,
    text: &str,
    zone: &TimeZone,
) -> Result<(DateTime, TimeZone), BadRecurrence> {
    let at = local(text.trim_end_matches(['Z', 'z']))?;
    if text.ends_with(['Z', 'z']) {
        return Ok((at, TimeZone::UTC));
    }
    let Some(name) = named else { return Ok((at, zone.clone())) };
    match TimeZone::get(name.trim_matches('"')) {
        Ok(zone) => Ok((at, zone)),
        Err(_) => bad(format!("{name:?} is no time zone; use an IANA name such as Europe/Berlin")),
    }
}

/// `20260105` or `20260105T020000`.
fn local(text: &str) -> Result<DateTime, BadRecurrence> {
    let parsed = match text.len() {
        8 => Date::strptime("%Y%m%d", text).map(|date| date.to_datetime(Time::midnight())),
        _ => DateTime::strptime("%Y%m%dT%H%M%S", text),
    };
    parsed.or_else(|_| bad(format!("{text:?} is no time; write it as 20260105T020000")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Length = Length::Exact(Duration::from_secs(3600));

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn starts(rule: &Recurrence, from: &str, to: &str) -> Vec<String> {
        let all = rule.occurrences(from.parse().unwrap(), to.parse().unwrap());
        all.iter().map(|i| i.from().to_string()).collect()
    }

    fn berlin(text: &str) -> Recurrence {
        Recurrence::parse(text, zone("Europe/Berlin"), HOUR).unwrap()
    }

    #[test]
    fn a_rule_runs_in_local_time_through_clock_changes() {
        let nightly = berlin("FREQ=DAILY;BYHOUR=2;BYMINUTE=30");
        // Berlin springs from 02:00 (+1) to 03:00 (+2) on 2026-03-29: the start moves forward.
        assert_eq!(
            starts(&nightly, "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z"),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
        );
        // It falls from 03:00 to 02:00 on 2026-10-25: the first of two counts, and an hour is one.
        let all = nightly.occurrences(
            "2026-10-25T00:00:00Z".parse().unwrap(),
            "2026-10-25T12:00:00Z".parse().unwrap(),
        );
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].to_string(), "2026-10-25T00:30:00Z to 2026-10-25T01:30:00Z");
        // A day by the calendar is 23 and 25 hours long on these days.
        let daily =
            Recurrence::parse("FREQ=DAILY", zone("Europe/Berlin"), Length::Days(1)).unwrap();
        let hours = |from: &str, to: &str| {
            let all = daily.occurrences(from.parse().unwrap(), to.parse().unwrap());
            all[0].to().duration_since(all[0].from()).as_hours()
        };
        assert_eq!(hours("2026-03-29T10:00:00Z", "2026-03-29T11:00:00Z"), 23);
        assert_eq!(hours("2026-10-25T10:00:00Z", "2026-10-25T11:00:00Z"), 25);
    }

    #[test]
    fn weeks_months_ordinals_and_counts() {
        let (from, to) = ("2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z");
        let patch = Recurrence::parse("FREQ=MONTHLY;BYDAY=2TU;BYHOUR=20", TimeZone::UTC, HOUR);
        assert_eq!(
            starts(&patch.unwrap(), from, to),
            ["2026-01-13T20:00:00Z", "2026-02-10T20:00:00Z", "2026-03-10T20:00:00Z"]
        );
        let counted = berlin("DTSTART:20260105T020000 RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=3");
        assert_eq!(
            starts(&counted, from, to),
            ["2026-01-05T01:00:00Z", "2026-01-19T01:00:00Z", "2026-02-02T01:00:00Z"]
        );
        let tokyo = berlin("DTSTART;TZID=Asia/Tokyo:20260105T020000\nRRULE:FREQ=DAILY;COUNT=1");
        assert_eq!(starts(&tokyo, from, to), ["2026-01-04T17:00:00Z"]);
    }

    #[test]
    fn until_is_the_last_moment_included() {
        let (from, to) = ("2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z");
        let rule = |until: &str| {
            let text = format!("DTSTART:20260105T003000 RRULE:FREQ=DAILY;UNTIL={until}");
            starts(&berlin(&text), from, to).len()
        };
        assert_eq!(rule("20260107"), 3);
        assert_eq!(rule("20260107T003000"), 3);
        assert_eq!(rule("20260107T002959"), 2);
        // The third start is 23:30 the day before in UTC.
        assert_eq!(rule("20260106T233000Z"), 3);
        assert_eq!(rule("20260106T232959Z"), 2);
    }

    #[test]
    fn exceptions_and_additions() {
        let at = |day| jiff::civil::datetime(2026, 1, day, 2, 0, 0, 0);
        let rule = Recurrence::once(at(5), TimeZone::UTC, HOUR).unwrap();
        let rule = rule.repeated("FREQ=DAILY;COUNT=3").unwrap();
        let rule = rule.except(vec![at(6)]).besides(vec![at(20), at(5)]);
        assert_eq!(
            starts(&rule, "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            ["2026-01-05T02:00:00Z", "2026-01-07T02:00:00Z", "2026-01-20T02:00:00Z"]
        );
    }

    #[test]
    fn one_that_has_begun_is_found_and_endless_ones_end() {
        let rule = Recurrence::parse(
            "FREQ=DAILY",
            TimeZone::UTC,
            Length::Exact(Duration::from_secs(7200)),
        );
        let from = "2026-01-05T01:30:00Z";
        assert_eq!(starts(&rule.unwrap(), from, "2026-01-05T01:31:00Z"), ["2026-01-05T00:00:00Z"]);
        // A day that never comes.
        let never = berlin("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30");
        assert_eq!(starts(&never, from, "2027-01-01T00:00:00Z"), [""; 0]);
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let says = |text: &str, what: &str| {
            let error = Recurrence::parse(text, TimeZone::UTC, HOUR).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        };
        says("", "holds no rule");
        says("daily", "\"daily\" is no part of a rule");
        says("BYDAY=MO", "has no FREQ");
        says("FREQ=SECONDLY", "use DAILY, WEEKLY");
        says("FREQ=DAILY;BYDAY=XX", "is no rule: ");
        says("FREQ=DAILY;FREQ=DAILY", "FREQ is there twice");
        says("FREQ=DAILY;COUNT=3", "count from a start");
        says("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "count from a start");
        says("FREQ=WEEKLY", "does not say on which days");
        says("DTSTART:2026-01-05 RRULE:FREQ=DAILY", "write it as 20260105T020000");
        says("DTSTART;TZID=Moon:20260105 RRULE:FREQ=DAILY", "\"Moon\" is no time zone");
        says("DTSTART:18990105 RRULE:FREQ=DAILY", "from 1900 on");
        says("FREQ=DAILY FREQ=DAILY", "expected one rule");
        let minutes: Vec<String> = (0..60).map(|m| m.to_string()).collect();
        says(&format!("FREQ=DAILY;BYMINUTE={}", minutes.join(",")), "starts 60 times a day");
        let long = Length::Exact(Duration::from_secs(400 * 86_400));
        assert!(Recurrence::parse("FREQ=DAILY", TimeZone::UTC, long).is_err());
        assert!(Recurrence::parse("FREQ=DAILY", TimeZone::UTC, Length::Days(0)).is_err());
    }
}
