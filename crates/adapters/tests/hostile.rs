//! Files that people and programs write wrongly: an error that names the file and the line, never a
//! panic and never a search without end.
#![allow(clippy::disallowed_methods, reason = "it measures that reading ends")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use adapters::calendar::ical;
use adapters::load::file::read_wide;
use jiff::Timestamp;
use proptest::prelude::*;

/// The longest that one small file may take, on a machine that does other things as well.
const LONGEST: Duration = Duration::from_secs(20);

const CALENDAR: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nX-WR-TIMEZONE:Europe/Berlin\r\n\
    BEGIN:VEVENT\r\nSUMMARY:Sale\\, of summer\r\nCATEGORIES:sale,summer\r\n\
    DTSTART;TZID=Europe/Paris:20260105T080000\r\nDTEND;TZID=Europe/Paris:20260105T180000\r\n\
    RRULE:FREQ=WEEKLY;BYDAY=MO,TU;UNTIL=20260601T000000Z\r\n\
    EXDATE;TZID=Europe/Paris:20260112T080000\r\n\
    BEGIN:VALARM\r\nTRIGGER:-PT5M\r\nEND:VALARM\r\nEND:VEVENT\r\n\
    BEGIN:VEVENT\r\nSUMMARY:Match\r\nDTSTART:20260301\r\nDURATION:P1D\r\n\
    RRULE:FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=5\r\nRDATE:20260704T190000Z\r\nEND:VEVENT\r\n\
    END:VCALENDAR\r\n";

const SIGNALS: &str = "unique_id,ds,price,\"sales, all\"\nweb,2026-01-01T00:00:00Z,1.5,\n\
    web,2026-01-01T01:00:00Z,nan,2e3\n\"shop\",2026-01-01T00:00:00+02:00,-4,7\n";

fn told(error: &dyn Error) -> String {
    let next = error.source().map(|source| format!(": {}", told(source)));
    format!("{error}{}", next.unwrap_or_default())
}

/// Whether an error says where to look: the file, and a line of it unless the file as a whole is
/// what is wrong.
fn names_its_place(path: &Path, error: &dyn Error, lines: usize) -> Result<(), TestCaseError> {
    let text = told(error);
    prop_assert!(text.contains(&path.display().to_string()), "no file in {text}");
    if text.contains("holds no row") {
        return Ok(());
    }
    // Tables say it as compilers do, calendars in words.
    let after = text.split(&format!("{}:", path.display())).nth(1).unwrap_or_default();
    let after = if after.starts_with(|c: char| c.is_ascii_digit()) {
        Some(after)
    } else {
        text.split("line ").nth(1)
    };
    let number = after.map(|rest| {
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<usize>()
    });
    let Some(Ok(number)) = number else {
        return Err(TestCaseError::fail(format!("no line in {text}")));
    };
    // The end of a file that ends with a line break counts as a line of its own.
    prop_assert!((1..=lines + 1).contains(&number), "line {number} of {lines} in {text}");
    Ok(())
}

/// Reads bytes as a calendar and as signals, and follows every event.
fn read(bytes: &[u8]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given.file");
    std::fs::write(&path, bytes).unwrap();
    let lines = bytes.split(|b| *b == b'\n').count().max(bytes.split(|b| *b == b'\r').count());
    let (from, to): (Timestamp, Timestamp) =
        ("2026-01-01T00:00:00Z".parse().unwrap(), "2026-12-31T00:00:00Z".parse().unwrap());
    let begun = Instant::now();
    match ical::scheduled(&path) {
        Ok(events) => events.iter().for_each(|event| {
            let times = event.times.occurrences(from, to);
            assert!(times.iter().all(|time| time.from() < to && time.to() > from));
        }),
        Err(error) => names_its_place(&path, &error, lines)?,
    }
    match ical::freezes(&path) {
        Ok(_) => {}
        Err(error) => names_its_place(&path, &error, lines)?,
    }
    if let Err(error) = read_wide(&path) {
        names_its_place(&path, &error, lines)?;
    }
    prop_assert!(
        begun.elapsed() < LONGEST,
        "{:?} for {:?}",
        begun.elapsed(),
        String::from_utf8_lossy(bytes)
    );
    Ok(())
}

/// A good file with bytes exchanged, lines twice, missing or from the other file, or its end cut.
fn spoiled(good: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let one = (0..6_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>());
    proptest::collection::vec(one, 0..5).prop_map(move |changes| {
        let mut bytes = good.as_bytes().to_vec();
        for (kind, a, b, byte) in changes {
            if bytes.is_empty() {
                break;
            }
            let place = a.index(bytes.len());
            let lines = || bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec);
            match kind {
                0 => bytes[place] = byte,
                1 => bytes.truncate(place),
                2 => bytes.insert(place, byte),
                3 => {
                    bytes.remove(place);
                }
                _ => {
                    let mut all: Vec<Vec<u8>> = lines().collect();
                    let line = all[b.index(all.len())].clone();
                    let at = a.index(all.len());
                    if kind == 4 {
                        all.insert(at, line)
                    } else {
                        drop(all.remove(at))
                    }
                    bytes = all.concat();
                }
            }
        }
        bytes
    })
}

/// Rules made of parts that fit together or do not.
fn rule() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        (0..400_i32).prop_map(|n| format!("INTERVAL={n}")),
        (-5..40_i32).prop_map(|n| format!("COUNT={n}")),
        (-40..40_i32).prop_map(|n| format!("BYMONTHDAY={n}")),
        (-1..14_i32).prop_map(|n| format!("BYMONTH={n}")),
        (-400..400_i32).prop_map(|n| format!("BYYEARDAY={n}")),
        (-60..60_i32).prop_map(|n| format!("BYWEEKNO={n}")),
        (-7..7_i32).prop_map(|n| format!("BYDAY={n}FR")),
        (-400..400_i32).prop_map(|n| format!("BYSETPOS={n}")),
        (-1..26_i32).prop_map(|n| format!("BYHOUR={n}")),
        (-1..62_i32).prop_map(|n| format!("BYMINUTE={n}")),
        Just("UNTIL=99991231T235959Z".to_owned()),
        "[A-Z]{2,8}=[A-Z0-9,-]{0,8}",
    ];
    let of = prop::sample::select(vec!["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "SECONDLY"]);
    (of, proptest::collection::vec(part, 0..4))
        .prop_map(|(of, parts)| format!("FREQ={of};{}", parts.join(";")))
}

fn event(start: &str, rule: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x\nDTSTART:{start}\nDURATION:PT1H\nRRULE:{rule}\n\
         END:VEVENT\nEND:VCALENDAR\n"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_an_error_with_its_place(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(&bytes)?;
    }

    #[test]
    fn text_is_read_or_an_error_with_its_place(text in "(BEGIN:VCALENDAR\n)?[A-Z;:=,0-9\\n\" \u{e9}]{0,200}") {
        read(text.as_bytes())?;
    }

    #[test]
    fn a_spoiled_calendar_is_read_or_an_error_with_its_place(bytes in spoiled(CALENDAR)) {
        read(&bytes)?;
    }

    #[test]
    fn spoiled_signals_are_read_or_an_error_with_its_place(bytes in spoiled(SIGNALS)) {
        read(&bytes)?;
    }
}

proptest! {
    // Each may follow a rule for centuries.
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_comes_to_an_end(rule in rule()) {
        read(event("20251201T080000", &rule).as_bytes())?;
    }
}

#[test]
fn good_files_are_good() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    assert_eq!(ical::scheduled(&write("a.ics", CALENDAR)).unwrap().len(), 2);
    assert_eq!(read_wide(&write("b.csv", SIGNALS)).unwrap().rows.len(), 3);
}

#[test]
fn rules_without_end_or_without_any_day_are_followed_no_further_than_asked() {
    for rule in [
        "FREQ=DAILY",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=YEARLY;BYMONTH=4;BYMONTHDAY=31",
        "FREQ=WEEKLY;BYDAY=MO;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23",
    ] {
        for start in ["19000101T000000", "20260101T000000"] {
            let begun = Instant::now();
            read(event(start, rule).as_bytes()).unwrap();
            println!("{start} {rule}: {:?}", begun.elapsed());
        }
    }
}
