//! Freezes from an iCalendar file (RFC 5545): every event that takes time is one; and scheduled
//! events that move the load, by category.
//!
//! Read are start, end or duration, `RRULE`, `EXDATE` and `RDATE`. Cancelled events are left out.
//! An occurrence that was moved is frozen at both its times. Times without a zone are in the zone
//! of `X-WR-TIMEZONE`, or UTC; zones have to be known by their IANA name.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use domain::calendar::{Length, Recurrence, moment};
use domain::ports::{PortError, Retry};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo};

/// No larger file is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// No more events are read.
const MOST_EVENTS: usize = 20_000;

/// The freezes of a file.
///
/// # Errors
/// It cannot be read, or an event in it cannot be understood; none is left out silently.
pub fn freezes(path: &Path) -> Result<Vec<Recurrence>, PortError> {
    parse(path, &read(path)?)
}

fn failed(path: &Path, source: Box<dyn std::error::Error + Send + Sync>) -> PortError {
    let adapter = format!("ical {}", path.display());
    PortError::new(adapter, "the calendar cannot be read", Retry::Never, source)
}

/// The freezes of a file that was read already from `path`, or kept.
///
/// # Errors
/// An event in it cannot be understood; none is left out silently.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Recurrence>, PortError> {
    events(text).map_err(|error| failed(path, error.into()))
}

/// An event that moves the load.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduled {
    /// Its `CATEGORIES`, or its `SUMMARY` where it has none: events alike share one.
    pub categories: Vec<String>,
    /// When it takes place. One that takes no time lasts a second.
    pub times: Recurrence,
    /// Where in the file it begins.
    pub line: usize,
}

/// The scheduled events of a file.
///
/// # Errors
/// It cannot be read, or an event in it cannot be understood or has no name; none is left out
/// silently but those that are cancelled.
pub fn scheduled(path: &Path) -> Result<Vec<Scheduled>, PortError> {
    each(&read(path)?, |event, zone| event.scheduled(zone))
        .map_err(|error| failed(path, error.into()))
}

/// A file as it is.
///
/// # Errors
/// It cannot be read, is too large, or is no text.
pub fn read(path: &Path) -> Result<String, PortError> {
    let failed = |source| failed(path, source);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| failed(error.into()))?;
    let read = file.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(error.into()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(format!("it is larger than {} MiB", LARGEST >> 20).into()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        failed(BadCalendar { line, what: "is not in UTF-8; save the file in it".into() }.into())
    })
}

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
struct BadCalendar {
    line: usize,
    what: String,
}

/// A content line: `NAME;PARAMETER=…:value`.
#[derive(Debug, Clone)]
struct Line<'a> {
    /// Counts from 1 in the file.
    number: usize,
    name: &'a str,
    zone: Option<&'a str>,
    value: &'a str,
}

impl Line<'_> {
    fn bad<T>(&self, what: impl std::fmt::Display) -> Result<T, BadCalendar> {
        let what = format!("{}: {what}", self.name);
        Err(BadCalendar { line: self.number, what })
    }
}

fn events(text: &str) -> Result<Vec<Recurrence>, BadCalendar> {
    each(text, |event, zone| event.freeze(zone))
}

/// What `of` makes of each event, in a calendar with this time zone.
fn each<T>(
    text: &str,
    of: impl Fn(&Event<'_>, &TimeZone) -> Result<Option<T>, BadCalendar>,
) -> Result<Vec<T>, BadCalendar> {
    let unfolded = unfold(text);
    let lines: Vec<Line<'_>> =
        unfolded.iter().filter_map(|(number, line)| split(*number, line)).collect();
    if !lines.first().is_some_and(|l| l.name == "BEGIN" && l.value == "VCALENDAR") {
        let what = "expected BEGIN:VCALENDAR; give a file in the iCalendar format".into();
        return Err(BadCalendar { line: 1, what });
    }
    let zone = match lines.iter().find(|line| line.name == "X-WR-TIMEZONE") {
        Some(line) => TimeZone::get(line.value)
            .or_else(|_| line.bad(format!("{:?} is no time zone", line.value)))?,
        None => TimeZone::UTC,
    };
    let mut list = Vec::new();
    let mut open: Option<(Event<'_>, usize)> = None;
    for line in &lines {
        match (line.name, line.value, &mut open) {
            ("BEGIN", "VEVENT", None) => open = Some((Event::new(line), 0)),
            // What lies in an event, as an alarm does, is no property of it.
            ("BEGIN", _, Some((_, inner))) => *inner += 1,
            ("END", _, Some((_, inner))) if *inner > 0 => *inner -= 1,
            ("END", "VEVENT", Some((event, _))) => {
                list.extend(of(event, &zone)?);
                open = None;
                if list.len() > MOST_EVENTS {
                    return line.bad(format!("more than {MOST_EVENTS} events; split the file"));
                }
            }
            (_, _, Some((event, 0))) => event.take(line)?,
            _ => {}
        }
    }
    match open {
        Some((event, _)) => event.begin.bad("the event does not end; the file seems to be cut"),
        None => Ok(list),
    }
}

/// Lines that are continued on the next are one (RFC 5545, 3.1), with the number of the first.
fn unfold(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let text = text.trim_start_matches('\u{feff}');
    for (index, line) in text.split('\n').enumerate() {
        let line = line.trim_end_matches('\r');
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(more), Some((_, last))) => last.push_str(more),
            _ => lines.push((index + 1, line.to_owned())),
        }
    }
    lines
}

fn split(number: usize, line: &str) -> Option<Line<'_>> {
    // A colon in a quoted parameter does not end the name.
    let mut quoted = false;
    let colon = line.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == ':' && !quoted
    });
    let (head, value) = (line.get(..colon?.0)?, line.get(colon?.0 + 1..)?);
    let mut parts = head.split(';');
    let name = parts.next()?;
    let zone = parts.find_map(|part| part.strip_prefix("TZID="));
    Some(Line { number, name, zone, value: value.trim_end() })
}

/// What is known of an event.
#[derive(Debug, Clone)]
struct Event<'a> {
    begin: Line<'a>,
    start: Option<Line<'a>>,
    end: Option<Line<'a>>,
    duration: Option<Line<'a>>,
    rule: Option<Line<'a>>,
    except: Vec<Line<'a>>,
    besides: Vec<Line<'a>>,
    categories: Vec<Line<'a>>,
    summary: Option<Line<'a>>,
    cancelled: bool,
}

impl<'a> Event<'a> {
    fn new(begin: &Line<'a>) -> Self {
        Self {
            begin: begin.clone(),
            start: None,
            end: None,
            duration: None,
            rule: None,
            except: Vec::new(),
            besides: Vec::new(),
            categories: Vec::new(),
            summary: None,
            cancelled: false,
        }
    }

    fn take(&mut self, line: &Line<'a>) -> Result<(), BadCalendar> {
        match line.name {
            "EXDATE" => self.except.push(line.clone()),
            "RDATE" => self.besides.push(line.clone()),
            "CATEGORIES" => self.categories.push(line.clone()),
            "SUMMARY" => self.summary = Some(line.clone()),
            "STATUS" => self.cancelled = line.value == "CANCELLED",
            _ => {}
        }
        let slot = match line.name {
            "DTSTART" => &mut self.start,
            "DTEND" => &mut self.end,
            "DURATION" => &mut self.duration,
            "RRULE" => &mut self.rule,
            "EXRULE" => return line.bad("is not read; write EXDATE"),
            _ => return Ok(()),
        };
        match slot.replace(line.clone()) {
            Some(_) => line.bad("is there twice in one event"),
            None => Ok(()),
        }
    }

    /// The freeze; `None` for an event that is cancelled or takes no time.
    fn freeze(&self, zone: &TimeZone) -> Result<Option<Recurrence>, BadCalendar> {
        if self.cancelled {
            return Ok(None);
        }
        self.times(zone, None)
    }

    /// The event with its categories; `None` for one that is cancelled.
    fn scheduled(&self, zone: &TimeZone) -> Result<Option<Scheduled>, BadCalendar> {
        if self.cancelled {
            return Ok(None);
        }
        let listed = self.categories.iter().flat_map(|line| texts(line.value));
        let mut categories: Vec<String> = listed.filter(|name| !name.is_empty()).collect();
        if categories.is_empty() {
            categories.extend(self.summary.iter().map(|line| texts(line.value).join(",")));
        }
        if categories.iter().all(|name| name.trim().is_empty()) {
            return self.begin.bad("the event has neither CATEGORIES nor SUMMARY; name what it is");
        }
        categories.sort();
        categories.dedup();
        let moment = Some(Length::Exact(Duration::from_secs(1)));
        let line = self.begin.number;
        let times = self.times(zone, moment)?;
        Ok(times.map(|times| Scheduled { categories, times, line }))
    }

    /// When it takes place; one that takes no time lasts for `least`, if that is given.
    fn times(
        &self,
        zone: &TimeZone,
        least: Option<Length>,
    ) -> Result<Option<Recurrence>, BadCalendar> {
        let Some(line) = &self.start else {
            return self.begin.bad("the event has no DTSTART");
        };
        let (start, place) = at(line, zone)?;
        let Some(length) = self.length(line, start, &place)?.or(least) else { return Ok(None) };
        let once = Recurrence::once(start, place.clone(), length);
        let mut times = once.or_else(|error| line.bad(error))?;
        if let Some(rule) = &self.rule {
            times = times.repeated(rule.value).or_else(|error| rule.bad(error))?;
        }
        let (except, besides) = (moments(&self.except, &place)?, moments(&self.besides, &place)?);
        Ok(Some(times.except(except).besides(besides)))
    }

    /// How long it lasts; `None` where it takes no time.
    fn length(
        &self,
        line: &Line<'_>,
        start: DateTime,
        place: &TimeZone,
    ) -> Result<Option<Length>, BadCalendar> {
        let whole_days = line.value.len() == 8;
        let instant = |at: DateTime, zone: &TimeZone| zone.to_ambiguous_timestamp(at).compatible();
        let exact = |length: Duration| (!length.is_zero()).then_some(Length::Exact(length));
        match (&self.end, &self.duration) {
            (Some(end), _) => {
                let (until, zone) = at(end, place)?;
                let before = || end.bad("is before DTSTART");
                if whole_days {
                    let days = start.until(until).map(|span| span.get_days());
                    let days = days.ok().and_then(|days| u32::try_from(days).ok());
                    let Some(days) = days else { return before() };
                    return Ok((days > 0).then_some(Length::Days(days)));
                }
                let (Ok(from), Ok(to)) = (instant(start, place), instant(until, &zone)) else {
                    return end.bad("is too far away");
                };
                Duration::try_from(to.duration_since(from))
                    .map_or_else(|_| before(), |l| Ok(exact(l)))
            }
            (None, Some(line)) => {
                let span: Result<Span, _> = line.value.parse();
                let length = span.and_then(|s| s.to_duration(SpanRelativeTo::days_are_24_hours()));
                let length = length.ok().and_then(|length| Duration::try_from(length).ok());
                length
                    .map_or_else(|| line.bad("is no length of time such as PT2H"), |l| Ok(exact(l)))
            }
            (None, None) => Ok(whole_days.then_some(Length::Days(1))),
        }
    }
}

/// The texts of a list, without their escapes (RFC 5545, 3.3.11).
fn texts(value: &str) -> Vec<String> {
    let mut list = vec![String::new()];
    let mut escaped = false;
    for c in value.chars() {
        let last = list.len() - 1;
        match (escaped, c) {
            (false, '\\') => {
                escaped = true;
                continue;
            }
            (false, ',') => list.push(String::new()),
            (true, 'n' | 'N') => list[last].push(' '),
            (_, other) => list[last].push(other),
        }
        escaped = false;
    }
    list.into_iter().map(|text| text.trim().to_owned()).collect()
}

fn at(line: &Line<'_>, zone: &TimeZone) -> Result<(DateTime, TimeZone), BadCalendar> {
    moment(line.zone, line.value, zone).or_else(|error| line.bad(error))
}

/// Local times in `place` of lists of moments.
fn moments(lines: &[Line<'_>], place: &TimeZone) -> Result<Vec<DateTime>, BadCalendar> {
    let mut list = Vec::new();
    for line in lines {
        for value in line.value.split(',') {
            let one = Line { value, ..line.clone() };
            let (at, zone) = at(&one, place)?;
            let instant = zone.to_ambiguous_timestamp(at).compatible();
            let instant = instant.or_else(|_| one.bad("is too far away"))?;
            list.push(place.to_datetime(instant));
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests;
