use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn interval(from: &str, to: &str) -> Interval {
    Interval::new(at(from), at(to)).unwrap()
}

fn weekly(days: &[Weekday], start: &str, end: &str, zone: &str) -> Weekly {
    let zone = TimeZone::get(zone).unwrap();
    Weekly::new(days.to_vec(), start.parse().unwrap(), end.parse().unwrap(), zone).unwrap()
}

const ALL: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

fn calendar(windows: Vec<Weekly>, freezes: Vec<Interval>) -> Calendar {
    Calendar { windows, freezes, ..Calendar::default() }
}

#[test]
fn a_window_across_midnight_belongs_to_its_start_day() {
    let monday = weekly(&[Weekday::Monday], "22:00", "04:00", "UTC");
    let allowed =
        calendar(vec![monday], vec![]).allowed(at("2026-03-01T00:00Z"), at("2026-03-08T00:00Z"));
    assert_eq!(allowed, vec![interval("2026-03-02T22:00Z", "2026-03-03T04:00Z")]);
}

#[test]
fn a_window_that_has_begun_is_cut_to_the_question() {
    let monday = weekly(&[Weekday::Monday], "22:00", "04:00", "UTC");
    let allowed =
        calendar(vec![monday], vec![]).allowed(at("2026-03-03T01:00Z"), at("2026-03-03T02:00Z"));
    assert_eq!(allowed, vec![interval("2026-03-03T01:00Z", "2026-03-03T02:00Z")]);
}

#[test]
fn whole_days_join_to_one_interval_through_clock_changes() {
    let always = weekly(&ALL, "00:00", "24:00", "Europe/Berlin");
    let (from, to) = (at("2026-03-20T00:00Z"), at("2026-11-05T00:00Z"));
    let allowed = calendar(vec![always], vec![]).allowed(from, to);
    assert_eq!(allowed, vec![Interval::new(from, to).unwrap()]);
    let also = weekly(&ALL, "00:00", "00:00", "Europe/Berlin");
    assert_eq!(calendar(vec![also], vec![]).allowed(from, to).len(), 1);
}

#[test]
fn a_local_time_that_is_skipped_moves_forward() {
    // Berlin springs from 02:00 (+1) to 03:00 (+2) on 2026-03-29.
    let night = weekly(&[Weekday::Sunday], "02:30", "04:00", "Europe/Berlin");
    let allowed =
        calendar(vec![night], vec![]).allowed(at("2026-03-29T00:00Z"), at("2026-03-30T00:00Z"));
    assert_eq!(allowed, vec![interval("2026-03-29T01:30Z", "2026-03-29T02:00Z")]);
    let inside = weekly(&[Weekday::Sunday], "01:00", "02:30", "Europe/Berlin");
    let allowed =
        calendar(vec![inside], vec![]).allowed(at("2026-03-29T00:00Z"), at("2026-03-30T00:00Z"));
    assert_eq!(allowed, vec![interval("2026-03-29T00:00Z", "2026-03-29T01:30Z")]);
}

#[test]
fn a_local_time_that_comes_twice_is_the_first_for_a_start_and_the_last_for_an_end() {
    // Berlin falls from 03:00 (+2) to 02:00 (+1) on 2026-10-25.
    let night = weekly(&[Weekday::Sunday], "02:15", "02:45", "Europe/Berlin");
    let allowed =
        calendar(vec![night], vec![]).allowed(at("2026-10-25T00:00Z"), at("2026-10-26T00:00Z"));
    assert_eq!(allowed, vec![interval("2026-10-25T00:15Z", "2026-10-25T01:45Z")]);
}

#[test]
fn freezes_cut_holes_and_may_leave_nothing() {
    let always = weekly(&ALL, "00:00", "24:00", "UTC");
    let (from, to) = (at("2026-03-02T00:00Z"), at("2026-03-03T00:00Z"));
    let two = vec![
        interval("2026-03-02T05:00Z", "2026-03-02T07:00Z"),
        interval("2026-03-02T06:00Z", "2026-03-02T08:00Z"),
    ];
    let allowed = calendar(vec![always.clone()], two).allowed(from, to);
    let left = [
        interval("2026-03-02T00:00Z", "2026-03-02T05:00Z"),
        interval("2026-03-02T08:00Z", "2026-03-03T00:00Z"),
    ];
    assert_eq!(allowed, left);
    let all = vec![interval("2026-03-01T00:00Z", "2026-03-04T00:00Z")];
    assert!(calendar(vec![always], all).allowed(from, to).is_empty());
    assert!(Calendar::default().allowed(from, to).is_empty());
}

#[test]
fn times_of_day_are_checked_at_the_door() {
    for good in ["00:00", "24:00", "23:59:59", "07:05"] {
        let time: DayTime = good.parse().unwrap();
        assert_eq!(time.to_string(), good);
    }
    for bad in [
        "",
        "24:01",
        "24:00:01",
        "7:05",
        "12:60",
        "ab:cd",
        "12",
        "12:00:00:00",
        "-1:00",
        "99:99",
        "+1:00",
    ] {
        assert!(bad.parse::<DayTime>().is_err(), "{bad:?}");
    }
    assert_eq!(
        Weekly::new(ALL.to_vec(), DayTime::END, DayTime::END, TimeZone::UTC),
        Err(BadWeekly::StartsAtEnd)
    );
    assert_eq!(
        Weekly::new(vec![], DayTime(0), DayTime::END, TimeZone::UTC),
        Err(BadWeekly::NoDays)
    );
}

#[test]
fn intervals_hold_at_least_one_instant() {
    let noon = at("2026-03-02T12:00Z");
    let error = Interval::new(noon, noon).unwrap_err().to_string();
    assert!(error.contains("ends after it begins"), "{error}");
    let text = "[\"2026-03-02T12:00:00Z\",\"2026-03-02T11:00:00Z\"]";
    assert!(serde_json::from_str::<Interval>(text).is_err());
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    /// A whole hour in the days around both clock changes of 2026 in Berlin, New York and
    /// Lord Howe (which moves by half an hour).
    fn hours() -> impl Strategy<Value = i64> {
        let changes = [1_774_742_400, 1_792_886_400, 1_772_928_000, 1_793_491_200, 1_775_314_800];
        (prop::sample::select(changes.to_vec()), -72_i64..72)
            .prop_map(|(change, hour)| change + 3600 * hour)
    }

    fn zones() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "UTC",
        ])
    }

    fn windows() -> impl Strategy<Value = Weekly> {
        let days = prop::collection::vec(prop::sample::select(ALL.to_vec()), 1..4);
        (days, 0_u32..96, 0_u32..=96, zones()).prop_map(|(days, start, end, zone)| {
            let zone = TimeZone::get(zone).unwrap();
            Weekly::new(days, DayTime(start * 900), DayTime(end * 900), zone).unwrap()
        })
    }

    fn freezes() -> impl Strategy<Value = Vec<Interval>> {
        let one = (hours(), 1_i64..40).prop_map(|(from, length)| {
            let second = |s| Timestamp::from_second(s).unwrap();
            Interval::new(second(from), second(from + 3600 * length)).unwrap()
        });
        prop::collection::vec(one, 0..3)
    }

    /// Whether a window is open, asked of the local clock alone. Not defined near a clock
    /// change, where the local clock does not name an instant.
    fn open_by_the_wall_clock(window: &Weekly, at: Timestamp) -> Option<bool> {
        let local = window.zone.to_datetime(at);
        let offset =
            |hours: i64| window.zone.to_offset(at + jiff::SignedDuration::from_hours(hours));
        if offset(-26) != offset(26) {
            return None;
        }
        let second = (i64::from(local.hour()) * 60 + i64::from(local.minute())) * 60;
        let second = u32::try_from(second).unwrap() + u32::try_from(local.second()).unwrap();
        let today = window.days.contains(&local.weekday());
        let yesterday = window.days.contains(&local.weekday().previous());
        let (start, end) = (window.start.0, window.end.0);
        Some(if end > start {
            today && (start..end).contains(&second)
        } else {
            (today && second >= start) || (yesterday && second < end)
        })
    }

    proptest! {
        #[test]
        fn allowed_is_what_the_wall_clock_allows(
            windows in prop::collection::vec(windows(), 1..3),
            freezes in freezes(),
            from in hours(),
            length in 1_i64..200,
            probe in 0.0_f64..1.0,
        ) {
            let (first, last) = (from, from + 3600 * length);
            let calendar = calendar(windows, freezes);
            let second = |s| Timestamp::from_second(s).unwrap();
            let allowed = calendar.allowed(second(first), second(last));
            for pair in allowed.windows(2) {
                prop_assert!(pair[0].to() < pair[1].from());
            }
            prop_assert!(allowed.iter().all(|i| i.from() >= second(first) && i.to() <= second(last)));
            let at = second(first + ((last - first) as f64 * probe) as i64);
            let says = allowed.iter().any(|i| i.contains(at));
            let frozen = calendar.freezes.iter().any(|f| f.contains(at));
            prop_assert!(!(frozen && says));
            let open = calendar.windows.iter().map(|w| open_by_the_wall_clock(w, at));
            let open: Option<Vec<bool>> = open.collect();
            if let Some(open) = open {
                prop_assert_eq!(says, !frozen && open.contains(&true));
            }
        }

        #[test]
        fn asking_in_two_halves_allows_the_same(
            window in windows(), from in hours(), length in 2_i64..200, cut in 1_i64..199,
        ) {
            prop_assume!(cut < length);
            let second = |s| Timestamp::from_second(s).unwrap();
            let calendar = calendar(vec![window], vec![]);
            let (a, b, c) = (second(from), second(from + 3600 * cut), second(from + 3600 * length));
            let mut halves = calendar.allowed(a, b);
            halves.extend(calendar.allowed(b, c));
            prop_assert_eq!(union(halves), calendar.allowed(a, c));
        }

        #[test]
        fn no_start_is_lost_in_a_clock_change(window in windows(), from in hours()) {
            // Every named day of three weeks opens once, however the clock moves.
            let second = |s| Timestamp::from_second(s).unwrap();
            let (a, b) = (second(from), second(from + 21 * 86_400));
            let mut named = window.days.clone();
            named.sort_by_key(|d| d.to_monday_zero_offset());
            named.dedup();
            let count = window.occurrences(a, b).len();
            prop_assert!(count.abs_diff(named.len() * 3) <= 2, "{} for {:?}", count, named);
        }
    }
}
