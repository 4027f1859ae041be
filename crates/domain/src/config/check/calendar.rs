//! When a rollout may work.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::nearest;
use crate::calendar::{Calendar, DayTime, Interval, Length, Recurrence, Weekly};
use crate::config::place::{Findings, Place};
use crate::config::schedule::{Day, FreezeSpec, WindowSpec};
use crate::config::span::PositiveSpan;

/// Some names that a wrong time zone is compared with.
const ZONES: [&str; 16] = [
    "UTC",
    "Europe/London",
    "Europe/Paris",
    "Europe/Berlin",
    "Europe/Zurich",
    "Europe/Madrid",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Asia/Tokyo",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Kolkata",
    "Australia/Sydney",
];

/// Checks windows and freezes; without a window every instant is allowed.
pub(super) fn calendar(
    windows: &[WindowSpec],
    freezes: &[FreezeSpec],
    findings: &mut Findings,
) -> Calendar {
    let place = Place::spec().key("windows");
    let mut calendar = Calendar::default();
    for (index, spec) in windows.iter().enumerate() {
        let here = place.index(index);
        match spec.rrule.is_some() || spec.duration.is_some() {
            true => calendar.recurring.extend(by_rule(spec, &here, findings)),
            false => calendar.windows.extend(window(spec, &here, findings)),
        }
    }
    if windows.is_empty() {
        let always = WindowSpec::default();
        calendar.windows.extend(window(&always, &place, findings));
    }
    let place = Place::spec().key("freezes");
    for (index, spec) in freezes.iter().enumerate() {
        freeze(spec, &place.index(index), &mut calendar, findings);
    }
    calendar
}

fn window(spec: &WindowSpec, place: &Place, findings: &mut Findings) -> Option<Weekly> {
    let days = spec.days.as_deref().unwrap_or(&Day::ALL);
    let days: Vec<Weekday> = days.iter().map(|day| Weekday::from(*day)).collect();
    if days.is_empty() {
        findings.add(place.key("days"), "is empty: leave it out for every day");
        return None;
    }
    let start = match spec.start {
        Some(start) => start.0,
        None => "00:00".parse().expect("midnight is a time of day"),
    };
    let end = spec.end.map_or(DayTime::END, |end| end.0);
    let zone = match zone(spec.timezone.as_deref()) {
        Ok(zone) => zone,
        Err(message) => {
            findings.add(place.key("timezone"), message);
            return None;
        }
    };
    let weekly = Weekly::new(days, start, end, zone);
    weekly.map_err(|error| findings.add(place.key("start"), error.to_string())).ok()
}

/// The time zone of an IANA name; `UTC` unless given.
fn zone(name: Option<&str>) -> Result<TimeZone, String> {
    let name = name.unwrap_or("UTC");
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| {
        let near = nearest(name, ZONES);
        let near = near.map_or(String::new(), |zone| format!("did you mean {zone:?}? "));
        format!("{name:?} is not a time zone; {near}use an IANA name such as Europe/Berlin")
    })
}

/// A window by a rule, in place of days and times.
fn by_rule(spec: &WindowSpec, place: &Place, findings: &mut Findings) -> Option<Recurrence> {
    let other = [
        ("days", spec.days.is_some()),
        ("start", spec.start.is_some()),
        ("end", spec.end.is_some()),
    ];
    if let Some((key, _)) = other.iter().find(|(_, given)| *given) {
        let message = "does not go with rrule and duration; write the days and the hour into the \
                       rule, for instance FREQ=WEEKLY;BYDAY=SA;BYHOUR=2";
        findings.add(place.key(key), message);
        return None;
    }
    match zone(spec.timezone.as_deref()) {
        Ok(zone) => rule(spec.rrule.as_deref(), spec.duration, zone, place, findings),
        Err(message) => {
            findings.add(place.key("timezone"), message);
            None
        }
    }
}

fn rule(
    text: Option<&str>,
    duration: Option<PositiveSpan>,
    zone: TimeZone,
    place: &Place,
    findings: &mut Findings,
) -> Option<Recurrence> {
    let (text, duration) = match (text, duration) {
        (Some(text), Some(duration)) => (text, duration),
        (Some(_), None) => {
            findings.add(place.clone(), "does not say how long it lasts; add duration: 4h");
            return None;
        }
        (None, _) => {
            let message = "has no rule; add for instance rrule: FREQ=WEEKLY;BYDAY=SA;BYHOUR=2";
            findings.add(place.clone(), message);
            return None;
        }
    };
    let length = Length::Exact(duration.duration());
    let rule = Recurrence::parse(text, zone, length);
    rule.map_err(|error| findings.add(place.key("rrule"), error.to_string())).ok()
}

/// A calendar file that a rollout names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreezeFile {
    /// Where the rollout names it.
    pub place: Place,
    /// The file, as it is written.
    pub path: String,
}

/// The calendar files that the freezes name.
pub(super) fn files(freezes: &[FreezeSpec]) -> Vec<FreezeFile> {
    let place = Place::spec().key("freezes");
    let file = |(index, spec): (usize, &FreezeSpec)| {
        let path = spec.ical.as_ref()?.path.clone();
        Some(FreezeFile { place: place.index(index).key("ical"), path })
    };
    freezes.iter().enumerate().filter_map(file).collect()
}

fn freeze(spec: &FreezeSpec, place: &Place, calendar: &mut Calendar, findings: &mut Findings) {
    if spec.promql.is_some() {
        let instead = "write { from: …, to: … }, { rrule: …, duration: … } or { ical: … }";
        findings.unsupported(place.key("promql"), "a freeze by a query", instead);
        return;
    }
    let span = spec.from.is_some() || spec.to.is_some();
    let by_rule = spec.rrule.is_some() || spec.duration.is_some();
    match (span, by_rule, &spec.ical) {
        (false, false, Some(file)) if file.path.trim().is_empty() => {
            findings.add(place.key("ical"), "is empty; give the path of a file");
        }
        (false, false, Some(_)) => {}
        (false, true, None) => {
            let (text, zone) = (spec.rrule.as_deref(), TimeZone::UTC);
            let rule = rule(text, spec.duration, zone, place, findings);
            calendar.recurring_freezes.extend(rule);
        }
        (true, false, None) => {
            let (Some(from), Some(to)) = (spec.from, spec.to) else {
                let message = "expected { from: …, to: … }, both as RFC 3339 times";
                findings.add(place.clone(), message);
                return;
            };
            let interval = Interval::new(from.0, to.0);
            let interval = interval.map_err(|error| findings.add(place.clone(), error.to_string()));
            calendar.freezes.extend(interval);
        }
        _ => {
            let message = "expected one of { from: …, to: … }, { rrule: …, duration: … } and \
                           { ical: … }; write several freezes as several entries";
            findings.add(place.clone(), message);
        }
    }
}
