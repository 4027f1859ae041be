//! Files as calendars write them, and files that are broken.

use super::*;

fn calendar(event: &str) -> String {
    let lines =
        ["BEGIN:VCALENDAR", "VERSION:2.0", "BEGIN:VEVENT", event, "END:VEVENT", "END:VCALENDAR"];
    lines.join("\n").replace('\n', "\r\n")
}

/// The freezes of one event in 2026, in words.
fn of(event: &str) -> Vec<String> {
    let events = events(&calendar(event)).unwrap();
    let (from, to) = ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    let all = events.iter().flat_map(|e| e.occurrences(from.parse().unwrap(), to.parse().unwrap()));
    all.map(|interval| interval.to_string()).collect()
}

#[test]
fn an_event_freezes_its_time() {
    assert_eq!(
        of("DTSTART;TZID=Europe/Berlin:20261124T020000\nDTEND;TZID=Europe/Berlin:20261124T060000"),
        ["2026-11-24T01:00:00Z to 2026-11-24T05:00:00Z"]
    );
    assert_eq!(
        of("DTSTART:20261124T020000Z\nDURATION:P1DT2H"),
        ["2026-11-24T02:00:00Z to 2026-11-25T04:00:00Z"]
    );
    // Whole days, the end is not included; without an end it is one day.
    assert_eq!(
        of("DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227"),
        ["2026-12-24T00:00:00Z to 2026-12-27T00:00:00Z"]
    );
    assert_eq!(of("DTSTART;VALUE=DATE:20261224"), ["2026-12-24T00:00:00Z to 2026-12-25T00:00:00Z"]);
    // A moment takes no time, and what is cancelled none either.
    assert_eq!(of("DTSTART:20261124T020000Z"), [""; 0]);
    assert_eq!(of("DTSTART;VALUE=DATE:20261224\nSTATUS:CANCELLED"), [""; 0]);
}

#[test]
fn an_event_comes_back_without_its_exceptions() {
    let event = "DTSTART;TZID=Europe/Berlin:20260326T023000\nDTEND;TZID=Europe/Berlin:20260326T033000\n\
                 RRULE:FREQ=DAILY;COUNT=5\nEXDATE;TZID=Europe/Berlin:20260327T023000\n\
                 RDATE:20260601T003000Z";
    // The clocks skip 02:30 on 2026-03-29.
    assert_eq!(
        of(event),
        [
            "2026-03-26T01:30:00Z to 2026-03-26T02:30:00Z",
            "2026-03-28T01:30:00Z to 2026-03-28T02:30:00Z",
            "2026-03-29T01:30:00Z to 2026-03-29T02:30:00Z",
            "2026-03-30T00:30:00Z to 2026-03-30T01:30:00Z",
            "2026-06-01T00:30:00Z to 2026-06-01T01:30:00Z",
        ]
    );
}

#[test]
fn lines_are_unfolded_and_alarms_are_no_part_of_the_event() {
    let event = "SUMMARY:a long text: with a colon\n  that goes on\nDTSTART:2026112\n 4T020000Z\n\
                 BEGIN:VALARM\nDURATION:PT5H\nTRIGGER:-PT5M\nEND:VALARM\nDTEND:20261124T030000Z";
    assert_eq!(of(event), ["2026-11-24T02:00:00Z to 2026-11-24T03:00:00Z"]);
}

#[test]
fn times_without_a_zone_are_in_that_of_the_calendar() {
    let text = calendar("DTSTART:20261124T020000\nDURATION:PT1H");
    let text = text.replace("VERSION:2.0", "X-WR-TIMEZONE:Asia/Tokyo");
    let from = "2026-11-23T17:00:00Z".parse().unwrap();
    let all = events(&text).unwrap()[0].occurrences(from, from + Duration::from_secs(1));
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].from(), from);
}

#[test]
fn events_are_scheduled_under_their_categories_or_their_summary() {
    let of = |event: &str| each(&calendar(event), |event, zone| event.scheduled(zone));
    let names = |event: &str| of(event).unwrap().remove(0).categories;
    let start = "DTSTART:20261124T020000Z\nDURATION:PT1H\n";
    assert_eq!(names(&format!("{start}SUMMARY:Sale\\, big\nCATEGORIES:b,a\\,c")), ["a,c", "b"]);
    assert_eq!(names(&format!("{start}SUMMARY:Sale\\, big")), ["Sale, big"]);
    // A moment is an event too, a cancelled one is not, and one without a name is refused.
    assert_eq!(names("SUMMARY:mail\nDTSTART:20261124T020000Z"), ["mail"]);
    assert_eq!(of(&format!("{start}SUMMARY:x\nSTATUS:CANCELLED")), Ok(vec![]));
    let error = of(start.trim_end()).unwrap_err().to_string();
    assert!(
        error.contains("line 3") && error.contains("neither CATEGORIES nor SUMMARY"),
        "{error}"
    );
    let error = of("SUMMARY:x\nDTSTART;TZID=Mars/Base:20261124T020000").unwrap_err().to_string();
    assert!(error.contains("line 5") && error.contains("is no time zone"), "{error}");
}

#[test]
fn what_cannot_be_understood_is_named_with_its_line() {
    let says = |text: &str, what: &str| {
        let error = events(text).unwrap_err().to_string();
        assert!(error.contains(what), "{text}\n{error}");
    };
    says("", "line 1: expected BEGIN:VCALENDAR");
    says(&calendar("SUMMARY:x"), "line 3: BEGIN: the event has no DTSTART");
    says(&calendar("DTSTART:tomorrow"), "line 4: DTSTART: \"tomorrow\" is no time");
    says(&calendar("DTSTART;TZID=W. Europe Standard Time:20261124T020000"), "is no time zone");
    says(&calendar("DTSTART:20261124T020000Z\nDTEND:20261124T010000Z"), "line 5: DTEND: is before");
    says(&calendar("DTSTART:20261124T020000Z\nDURATION:soon"), "is no length of time");
    says(&calendar("DTSTART:20261124\nRRULE:FREQ=MINUTELY"), "line 5: RRULE: FREQ=MINUTELY; use");
    says(&calendar("DTSTART:20261124\nDTSTART:20261125"), "line 5: DTSTART: is there twice");
    says(&calendar("DTSTART:20261124\nEXRULE:FREQ=DAILY"), "is not read");
    says("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261124", "seems to be cut");
}

#[test]
fn a_file_is_read_and_a_missing_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.ics"), calendar("DTSTART:20261124")).unwrap();
    assert_eq!(freezes(&folder.path().join("a.ics")).unwrap().len(), 1);
    let error = freezes(&folder.path().join("b.ics")).unwrap_err();
    assert!(error.chain().contains("b.ics: the calendar cannot be read: "), "{}", error.chain());
}
