//! When a rollout may work.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::nearest;
use crate::calendar::{Calendar, DayTime, Interval, Weekly};
use crate::config::place::{Findings, Place};
use crate::config::schedule::{Day, FreezeSpec, WindowSpec};

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
        calendar.windows.extend(window(spec, &place.index(index), findings));
    }
    if windows.is_empty() {
        let always = WindowSpec::default();
        calendar.windows.extend(window(&always, &place, findings));
    }
    let place = Place::spec().key("freezes");
    for (index, spec) in freezes.iter().enumerate() {
        calendar.freezes.extend(freeze(spec, &place.index(index), findings));
    }
    calendar
}

fn window(spec: &WindowSpec, place: &Place, findings: &mut Findings) -> Option<Weekly> {
    if spec.rrule.is_some() || spec.duration.is_some() {
        let key = if spec.rrule.is_some() { "rrule" } else { "duration" };
        let instead = "write days, start, end and timezone";
        findings.unsupported(place.key(key), "a window by recurrence rule", instead);
        return None;
    }
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

fn freeze(spec: &FreezeSpec, place: &Place, findings: &mut Findings) -> Option<Interval> {
    let later = [
        ("rrule", spec.rrule.is_some()),
        ("duration", spec.duration.is_some()),
        ("ical", spec.ical.is_some()),
        ("promql", spec.promql.is_some()),
    ];
    if let Some((key, _)) = later.iter().find(|(_, given)| *given) {
        let instead = "write { from: …, to: … }";
        findings.unsupported(place.key(key), "such a freeze", instead);
        return None;
    }
    let (Some(from), Some(to)) = (spec.from, spec.to) else {
        findings.add(place.clone(), "expected { from: …, to: … }, both as RFC 3339 times");
        return None;
    };
    let interval = Interval::new(from.0, to.0);
    interval.map_err(|error| findings.add(place.clone(), error.to_string())).ok()
}
