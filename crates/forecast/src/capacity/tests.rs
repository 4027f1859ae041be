use super::*;

const HOUR: i64 = 3_600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_772_323_200 + seconds).unwrap()
}

/// Values that look random and are always the same, around 0.
fn noise(i: i64) -> f64 {
    ((i * i % 9_973) as f64 * 0.618).sin()
}

/// Every ten minutes of some days, a load between 300 and 700 of one server, served by `value`.
fn history(days: i64, value: impl Fn(i64, f64) -> f64) -> Vec<Observation> {
    let load = |i: i64| {
        500.0 + 180.0 * (std::f64::consts::TAU * i as f64 / 144.0).sin() + 20.0 * noise(7 * i)
    };
    let one = |i: i64| Observation { at: at(600 * i), load: load(i), value: value(i, load(i)) };
    (0..days * 144).map(one).collect()
}

fn days(count: i64) -> Timestamp {
    at(count * 24 * HOUR)
}

#[test]
fn utilisation_says_where_a_server_is_full() {
    // A tenth is used by itself; 800 would use all of it.
    let used = |i, load: f64| 0.1 + 0.9 * load / 800.0 + 0.01 * noise(i);
    let learned = learn(&history(10, used), Objective::Utilisation(0.85), days(10)).unwrap();
    let truth = (0.85 - 0.1) * 800.0 / 0.9;
    assert!(
        (learned.quantile(0.5) / truth - 1.0).abs() < 0.03,
        "{} {truth}",
        learned.quantile(0.5)
    );
    assert!(learned.quantile(0.5) < truth, "with room for what scatters");
    assert!(learned.quantile(0.05) > 0.95 * truth && learned.missing.is_none());
}

#[test]
fn latency_says_where_a_server_is_full() {
    // An M/M/1 queue that serves 900 a second, and its 99 % quantile.
    let quantile = |load: f64| 100.0_f64.ln() / (900.0 - load);
    let slow = |i, load: f64| quantile(load) * (1.0 + 0.05 * noise(i));
    let most = quantile(720.0);
    let learned = learn(&history(10, slow), Objective::Latency(most), days(10)).unwrap();
    let middle = learned.quantile(0.5);
    assert!((690.0..=720.0).contains(&middle), "{middle}");
}

#[test]
fn nothing_is_believed_far_beyond_what_was_carried() {
    let used = |_, load: f64| load / 2_000.0;
    let all = history(10, used);
    let learned = learn(&all, Objective::Utilisation(0.9), days(10)).unwrap();
    let most = all.iter().map(|o| o.load).fold(0.0, f64::max);
    assert!(learned.quantile(0.95) <= 1.1 * most && learned.quantile(0.5) > most);
    // What was carried badly does not count as carried.
    let learned = learn(&all, Objective::Utilisation(0.3), days(10)).unwrap();
    assert!(learned.carried <= 600.0 && learned.quantile(0.95) <= 660.0);
}

/// Eight days of one speed, and then of another.
fn turned(now: f64, before: f64, since: i64) -> Vec<Observation> {
    let used = move |i: i64, load: f64| {
        let speed = if 600 * i >= since { now } else { before };
        load / speed + 0.005 * noise(i)
    };
    history(10, used)
}

#[test]
fn a_decrease_acts_at_once_and_an_increase_after_a_day() {
    let limit = Objective::Utilisation(0.7);
    let learned = |now: f64, before: f64, hours: i64| {
        let moment = at(8 * 24 * HOUR + hours * HOUR);
        learn(&turned(now, before, 8 * 24 * HOUR), limit, moment).unwrap().quantile(0.5)
    };
    let before = learned(800.0, 1_000.0, 0);
    // A fifth slower for a day: known at its end.
    let after = learned(800.0, 1_000.0, 24);
    assert!((after / before / 0.8 - 1.0).abs() < 0.03, "{after} {before}");
    // As much faster: nothing on the first day, and not all of it on the second.
    let slow = learned(1_000.0, 800.0, 0);
    assert!((learned(1_000.0, 800.0, 23) / slow - 1.0).abs() < 0.01);
    let second = learned(1_000.0, 800.0, 47);
    assert!(second < 1.24 * slow, "{second} {slow}");
}

#[test]
fn a_load_that_was_never_carried_before_raises_nothing_for_a_day() {
    let since = 8 * 24 * HOUR;
    let twice = |o: &Observation| {
        let load = if o.at >= at(since) { 2.0 * o.load } else { o.load };
        Observation { load, value: load / 2_000.0, ..*o }
    };
    let all: Vec<Observation> = history(10, |_, _| 0.0).iter().map(twice).collect();
    let learned = |hours: i64| {
        let moment = at(since + hours * HOUR);
        learn(&all, Objective::Utilisation(0.9), moment).unwrap().quantile(0.95)
    };
    let before = learned(0);
    assert!(learned(23) < 1.01 * before, "{} {before}", learned(23));
    assert!(learned(48) > 1.5 * before, "{} {before}", learned(48));
}

#[test]
fn wrong_values_move_little() {
    let used = |i: i64, load: f64| if i % 50 == 7 { 3.0 } else { load / 1_000.0 + 0.01 * noise(i) };
    let learned = learn(&history(10, used), Objective::Utilisation(0.7), days(10)).unwrap();
    assert!((learned.quantile(0.5) / 700.0 - 1.0).abs() < 0.05, "{}", learned.quantile(0.5));
}

#[test]
fn what_cannot_be_known_says_what_is_missing() {
    let flat = |i, _| 0.02 + 0.001 * noise(i);
    let all = history(10, flat);
    let learned = learn(&all, Objective::Latency(0.2), days(10)).unwrap();
    assert!(matches!(learned.missing, Some(Missing::Response { .. })), "{learned:?}");
    // What was carried on the newest day raises nothing.
    let known = all.iter().filter(|o| o.at < days(9));
    let most = known.map(|o| o.load).fold(0.0, f64::max);
    assert_eq!((learned.quantile(0.05), learned.draw(17)), (most, most));
    assert!(learned.missing.unwrap().to_string().contains("nearer to the limit"));

    let same: Vec<Observation> =
        all.iter().map(|o| Observation { load: 500.0 + 0.1 * (o.load - 500.0), ..*o }).collect();
    let learned = learn(&same, Objective::Latency(0.2), days(10)).unwrap();
    assert!(matches!(learned.missing, Some(Missing::Contrast { .. })), "{learned:?}");

    let few = learn(&all[..15], Objective::Latency(0.2), days(10)).unwrap_err();
    assert!(few.to_string().contains("seen together at 15 times over 2 hours"), "{few}");
    let never = learn(&all, Objective::Latency(0.001), days(10)).unwrap_err();
    assert!(matches!(never, Unknown::NeverKept { .. }), "{never}");
}

#[test]
fn broken_values_and_the_future_are_left_out() {
    let used = |_, load: f64| load / 1_000.0;
    let mut all = history(10, used);
    let clean = learn(&all, Objective::Utilisation(0.6), days(10)).unwrap();
    for (k, bad) in [f64::NAN, f64::INFINITY, -1.0].into_iter().enumerate() {
        all.push(Observation { value: bad, ..all[10 * k] });
        all.push(Observation { load: bad, ..all[10 * k] });
    }
    all.push(Observation { at: days(10), load: 1e9, value: 0.1 });
    all.reverse();
    assert_eq!(learn(&all, Objective::Utilisation(0.6), days(10)).unwrap(), clean);
}

#[test]
fn draws_come_equally_often() {
    let draws = (0..50).map(f64::from).collect();
    let learned = Learned { draws, carried: 1.0, observations: 1, missing: None };
    let mut counts = [0; 50];
    (0..5_000).for_each(|future| counts[learned.draw(future) as usize] += 1);
    assert!(counts.iter().all(|count| (90..=110).contains(count)), "{counts:?}");
}

mod versions {
    use super::super::version::{Share, Unseen, share};
    use super::*;

    /// Samples of one updated server every minute after ten days, at a load as at night.
    fn canary(count: i64, value: impl Fn(i64, f64) -> f64) -> Vec<Observation> {
        let load = |i: i64| 350.0 + 10.0 * noise(3 * i);
        let one = |i: i64| Observation {
            at: at(10 * 24 * HOUR + 60 * i),
            load: load(i),
            value: value(i, load(i)),
        };
        (0..count).map(one).collect()
    }

    fn seen(objective: Objective, value: impl Fn(i64, f64, f64) -> f64, times: f64) -> Share {
        let before = history(10, |i, load| value(i, load, 1.0));
        let updated = canary(15, |i, load| value(i, load, times));
        share(&before, &updated, objective, days(11)).unwrap()
    }

    fn used(i: i64, load: f64, times: f64) -> f64 {
        0.1 + 0.9 * times * load / 800.0 + 0.01 * noise(11 * i)
    }

    /// The 99 % quantile of a queue that serves 900 a second.
    fn slow(i: i64, load: f64, times: f64) -> f64 {
        100.0_f64.ln() / (900.0 / times - load) * (1.0 + 0.03 * noise(11 * i))
    }

    #[test]
    fn a_slower_version_is_told_from_a_quarter_of_an_hour_of_one_server() {
        let found = seen(Objective::Utilisation(0.85), used, 1.15);
        assert!((found.quantile(0.5) * 1.15 - 1.0).abs() < 0.02, "{}", found.quantile(0.5));
        assert!(found.is_slower() && found.quantile(0.05) > 0.8, "{}", found.quantile(0.05));
        // A queue whose rate falls to 900 / 1.15 carries 720 − 117 where it carried 720.
        let most = 100.0_f64.ln() / (900.0 - 720.0);
        let found = seen(Objective::Latency(most), slow, 1.15);
        let truth = (900.0 / 1.15 - 180.0) / 720.0;
        assert!(
            (found.quantile(0.5) / truth - 1.0).abs() < 0.04,
            "{} {truth}",
            found.quantile(0.5)
        );
        assert!(found.is_slower());
        let spread = found.spread();
        let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
        assert!((mean(&spread) / found.quantile(0.5) - 1.0).abs() < 0.05, "{spread:?}");
        assert!(spread.iter().all(|share| (0.0..=1.0).contains(share)));
    }

    #[test]
    fn the_same_version_or_a_faster_one_is_never_told_slower() {
        for times in [1.0, 0.8] {
            let found = seen(Objective::Utilisation(0.85), used, times);
            assert!(!found.is_slower() && found.quantile(0.95) == 1.0, "{found:?}");
            assert!(!seen(Objective::Latency(0.03), slow, times).is_slower());
        }
    }

    #[test]
    fn what_strays_for_hours_by_itself_is_no_slower_version() {
        // Each day has hours in which everything takes a tenth more, whoever serves.
        let moody = |i: i64, load: f64| {
            let mood = if i.rem_euclid(36) < 12 { 1.12 } else { 1.0 };
            0.1 + 0.9 * mood * load / 800.0 + 0.01 * noise(11 * i)
        };
        let before = history(10, moody);
        let updated = canary(15, |i, load| used(i, load, 1.08));
        let objective = Objective::Utilisation(0.85);
        assert!(!share(&before, &updated, objective, days(11)).unwrap().is_slower());
        let steady = history(10, |i, load| used(i, load, 1.0));
        assert!(share(&steady, &updated, objective, days(11)).unwrap().is_slower());
    }

    #[test]
    fn what_cannot_be_told_says_why() {
        let objective = Objective::Utilisation(0.85);
        let before = history(10, |i, load| used(i, load, 1.0));
        let few = share(&before, &canary(4, |i, l| used(i, l, 1.2)), objective, days(11));
        let few = few.unwrap_err();
        assert!(
            few.to_string().contains("seen 4 times") && few.to_string().contains("watch"),
            "{few}"
        );
        let broken = canary(9, |i, l| if i % 3 == 0 { f64::NAN } else { used(i, l, 1.2) });
        assert_eq!(share(&before, &broken, objective, days(11)).unwrap().observations, 6);
        let all = canary(9, |i, l| used(i, l, 1.2));
        let short = share(&before[..15], &all, objective, days(11)).unwrap_err();
        assert!(short.to_string().starts_with("before the update load and objective"), "{short}");
        let flat = history(10, |i, _| 0.3 + 0.01 * noise(i));
        assert_eq!(share(&flat, &all, objective, days(11)), Err(Unseen::Response { found: 9 }));
    }
}
