//! Calendar values: windows and freezes in local time, and the instants that they allow.

mod recurrence;

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

pub use recurrence::{BadRecurrence, Length, Recurrence, moment};

/// The instants `from ≤ t < to`, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "(Timestamp, Timestamp)", into = "(Timestamp, Timestamp)")]
pub struct Interval {
    from: Timestamp,
    to: Timestamp,
}

/// An interval that holds no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{from} is not before {to}: an interval ends after it begins")]
pub struct EmptyInterval {
    from: Timestamp,
    to: Timestamp,
}

impl Interval {
    /// The interval `[from, to)`.
    pub fn new(from: Timestamp, to: Timestamp) -> Result<Self, EmptyInterval> {
        if from < to { Ok(Self { from, to }) } else { Err(EmptyInterval { from, to }) }
    }

    /// Its first instant.
    pub fn from(self) -> Timestamp {
        self.from
    }

    /// The instant just after it.
    pub fn to(self) -> Timestamp {
        self.to
    }

    /// Whether `at` lies in it.
    pub fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// Whether all of `[from, to)` lies in it.
    pub fn covers(self, from: Timestamp, to: Timestamp) -> bool {
        self.from <= from && to <= self.to
    }

    /// What it shares with `[from, to)`.
    fn clip(self, from: Timestamp, to: Timestamp) -> Option<Self> {
        Self::new(self.from.max(from), self.to.min(to)).ok()
    }
}

impl TryFrom<(Timestamp, Timestamp)> for Interval {
    type Error = EmptyInterval;
    fn try_from((from, to): (Timestamp, Timestamp)) -> Result<Self, EmptyInterval> {
        Self::new(from, to)
    }
}

impl From<Interval> for (Timestamp, Timestamp) {
    fn from(interval: Interval) -> Self {
        (interval.from, interval.to)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

/// A time of day from `00:00` to `24:00`, in whole seconds after midnight by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayTime(u32);

/// A text that is no time of day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time of day; write HH:MM or HH:MM:SS, from 00:00 to 24:00")]
pub struct BadDayTime(String);

impl DayTime {
    /// The end of the day, `24:00`.
    pub const END: Self = Self(86_400);

    /// Whole seconds after midnight, at most 86,400.
    pub fn seconds(self) -> u32 {
        self.0
    }
}

impl FromStr for DayTime {
    type Err = BadDayTime;

    fn from_str(text: &str) -> Result<Self, BadDayTime> {
        let bad = || BadDayTime(text.chars().take(40).collect());
        let part = |part: &str| {
            let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            if digits { part.parse::<u32>().map_err(|_| bad()) } else { Err(bad()) }
        };
        let parts: Vec<u32> = text.split(':').map(part).collect::<Result<_, _>>()?;
        let (hours, minutes, seconds) = match parts[..] {
            [h, m] => (h, m, 0),
            [h, m, s] => (h, m, s),
            _ => return Err(bad()),
        };
        let time = Self(hours * 3600 + minutes * 60 + seconds);
        if minutes < 60 && seconds < 60 && time <= Self::END { Ok(time) } else { Err(bad()) }
    }
}

impl fmt::Display for DayTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minutes, seconds) = (self.0 / 60, self.0 % 60);
        write!(f, "{:02}:{:02}", minutes / 60, minutes % 60)?;
        if seconds > 0 { write!(f, ":{seconds:02}") } else { Ok(()) }
    }
}

/// A window that comes back every week, in the local time of a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Weekly {
    days: Vec<Weekday>,
    start: DayTime,
    end: DayTime,
    zone: TimeZone,
}

/// Values that are no weekly window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWeekly {
    /// It would never open.
    #[error("a weekly window needs at least one day, for instance [mon, tue]")]
    NoDays,
    /// It would begin on another day than the one named.
    #[error("a window cannot start at 24:00; name the next day and start at 00:00")]
    StartsAtEnd,
}

impl Weekly {
    /// A window that begins at `start` on each of `days` and ends at `end` of the same day, or
    /// of the next one where `end ≤ start`.
    ///
    /// A local time that a clock change skips is moved forward by the length of the change. One
    /// that comes twice means the first for a start and the last for an end.
    pub fn new(
        days: Vec<Weekday>,
        start: DayTime,
        end: DayTime,
        zone: TimeZone,
    ) -> Result<Self, BadWeekly> {
        if days.is_empty() {
            return Err(BadWeekly::NoDays);
        }
        if start >= DayTime::END {
            return Err(BadWeekly::StartsAtEnd);
        }
        Ok(Self { days, start, end, zone })
    }

    /// The time zone of its times of day.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Every occurrence that shares an instant with `[from, to)`, uncut, rising.
    ///
    /// Occurrences beyond the range of [`Timestamp`] are left out.
    pub fn occurrences(&self, from: Timestamp, to: Timestamp) -> Vec<Interval> {
        let local = |at: Timestamp| self.zone.to_datetime(at).date();
        let (Ok(first), Ok(last)) =
            (local(from).checked_sub(days(2)), local(to).checked_add(days(1)))
        else {
            return Vec::new();
        };
        let dates = first.series(days(1)).take_while(|date| *date <= last);
        let dates = dates.filter(|date| self.days.contains(&date.weekday()));
        let all = dates.filter_map(|date| self.on(date));
        all.filter(|i| i.clip(from, to).is_some()).collect()
    }

    fn on(&self, date: Date) -> Option<Interval> {
        let next = if self.end <= self.start { date.tomorrow().ok()? } else { date };
        let start = self.zone.to_ambiguous_timestamp(civil(date, self.start)?).compatible();
        let end = self.zone.to_ambiguous_timestamp(civil(next, self.end)?).later();
        Interval::new(start.ok()?, end.ok()?).ok()
    }
}

fn days(count: i64) -> Span {
    Span::new().days(count)
}

/// The wall-clock time on that day; `24:00` is the midnight that follows.
fn civil(date: Date, time: DayTime) -> Option<jiff::civil::DateTime> {
    let midnight = date.to_datetime(jiff::civil::Time::midnight());
    midnight.checked_add(Span::new().seconds(i64::from(time.0))).ok()
}

/// When servers may be out: the union of the windows, minus the freezes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calendar {
    /// Windows; without one nothing is ever allowed.
    pub windows: Vec<Weekly>,
    /// Windows by recurrence rule.
    pub recurring: Vec<Recurrence>,
    /// Times at which nothing is allowed whatever the windows say.
    pub freezes: Vec<Interval>,
    /// Such times by recurrence rule.
    pub recurring_freezes: Vec<Recurrence>,
}

impl Calendar {
    /// The allowed intervals within `[from, to)`: apart from each other, rising.
    pub fn allowed(&self, from: Timestamp, to: Timestamp) -> Vec<Interval> {
        let open = self.windows.iter().flat_map(|w| w.occurrences(from, to));
        let recurring = self.recurring.iter().flat_map(|w| w.occurrences(from, to));
        let open = open.chain(recurring).filter_map(|i| i.clip(from, to));
        let closed = self.recurring_freezes.iter().flat_map(|f| f.occurrences(from, to));
        let closed: Vec<Interval> = self.freezes.iter().copied().chain(closed).collect();
        subtract(&union(open.collect()), &closed)
    }
}

/// The same instants as intervals that neither overlap nor touch, rising.
pub fn union(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.sort_unstable();
    let mut merged: Vec<Interval> = Vec::with_capacity(intervals.len());
    for interval in intervals {
        match merged.last_mut() {
            Some(last) if interval.from <= last.to => last.to = last.to.max(interval.to),
            _ => merged.push(interval),
        }
    }
    merged
}

/// The instants of `intervals` that lie in none of `holes`, as intervals apart, rising.
pub fn subtract(intervals: &[Interval], holes: &[Interval]) -> Vec<Interval> {
    let holes = union(holes.to_vec());
    let mut left = Vec::new();
    for interval in union(intervals.to_vec()) {
        let mut from = interval.from;
        for hole in holes.iter().filter(|h| h.clip(interval.from, interval.to).is_some()) {
            left.extend(Interval::new(from, hole.from).ok());
            from = from.max(hole.to);
        }
        left.extend(Interval::new(from, interval.to).ok());
    }
    left
}

#[cfg(test)]
#[path = "calendar/tests.rs"]
mod tests;
