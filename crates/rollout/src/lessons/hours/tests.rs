use std::time::Duration;

use domain::name::FleetName;

use super::*;
use crate::lessons::findings;

/// A number in (0, 1) that looks random and depends on its arguments alone.
fn noise(seed: u64, at: u64) -> f64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at.wrapping_add(77);
    for _ in 0..3 {
        x = (x ^ (x >> 31)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    ((x >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

fn hour(number: u8) -> Hour {
    Hour::new(number).unwrap()
}

fn at(number: u8) -> Quantity {
    Quantity::At(Hourly::Update, hour(number))
}

fn spread(p50: f64, p95: f64) -> Spread {
    Spread::between(Duration::from_secs_f64(p50), Duration::from_secs_f64(p95)).unwrap()
}

fn configured() -> BTreeMap<Quantity, Figure> {
    [(Quantity::Update, Figure::duration(spread(300.0, 300.0)))].into()
}

/// What updates take by day: 5 minutes in the middle, 6 in 95 %.
fn day() -> Spread {
    spread(300.0, 360.0)
}

/// How rollouts are spread over the day.
#[derive(Clone, Copy)]
struct Habit {
    /// Rollouts that are looked at.
    rollouts: u64,
    /// Servers that each updates in an hour.
    servers: u64,
    /// Hours that one lasts.
    hours: u64,
    /// How far apart rollouts lie, as the standard deviation of the logarithm.
    apart: f64,
}

const HABIT: Habit = Habit { rollouts: 32, servers: 6, hours: 8, apart: 0.0 };

/// Rollouts that begin at any hour; what begins in an hour takes `factor` times as long as by day.
fn history(seed: u64, habit: Habit, factor: impl Fn(u8) -> f64) -> Vec<Observed> {
    let rollout = |age: u64| {
        let draw = |nth: u64| noise(seed, age * 1000 + nth);
        let start = (draw(0) * 24.0) as u64;
        let own = (habit.apart * domain::spread::normal_quantile(draw(1))).exp();
        let mut lengths: BTreeMap<Quantity, Vec<Length>> = BTreeMap::new();
        for nth in 0..habit.hours * habit.servers {
            let number = ((start + nth / habit.servers) % 24) as u8;
            let seconds = day().quantile_seconds(draw(nth + 2)) * own * factor(number);
            for what in [Quantity::Update, at(number)] {
                lengths.entry(what).or_default().push(Length::Ended(seconds));
            }
        }
        let fleet = FleetName::new("web").unwrap();
        Observed { fleet, lengths, trials: BTreeMap::new() }
    };
    (0..habit.rollouts).map(rollout).collect()
}

/// The hours that have figures of their own.
fn hours_of(found: &BTreeMap<Quantity, Finding>) -> Vec<u8> {
    let number = |what: &Quantity| match what {
        Quantity::At(_, hour) => Some(hour.number()),
        _ => None,
    };
    found.keys().filter_map(number).collect()
}

fn p50(found: &BTreeMap<Quantity, Finding>, what: &Quantity) -> f64 {
    found[what].figure.spread().unwrap().p50().as_secs_f64()
}

fn night(number: u8) -> f64 {
    if (1..5).contains(&number) { 1.6 } else { 1.0 }
}

#[test]
fn without_a_difference_no_hour_has_a_figure() {
    let shared = Habit { apart: 0.15, ..HABIT };
    let sparse = Habit { servers: 1, hours: 3, ..HABIT };
    let short = Habit { servers: 40, hours: 1, ..shared };
    for (name, habit) in
        [("plain", HABIT), ("shared", shared), ("sparse", sparse), ("short", short)]
    {
        let any = |seed: &u64| {
            let found = findings(&configured(), &history(*seed, habit, |_| 1.0));
            !hours_of(&found).is_empty()
        };
        let wrong: Vec<u64> = (0..200).filter(any).collect();
        assert!(wrong.len() <= 2, "{name}: {wrong:?}");
    }
}

#[test]
fn a_slow_night_is_found_and_only_there() {
    let (mut wrong, mut missed, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..100 {
        let found = findings(&configured(), &history(seed, HABIT, night));
        let hours = hours_of(&found);
        wrong.extend(hours.iter().filter(|hour| night(**hour) == 1.0).map(|hour| (seed, *hour)));
        for number in (1..5).filter(|number| !hours.contains(number)) {
            missed.push((seed, number));
        }
        for number in hours.iter().filter(|hour| night(**hour) > 1.0) {
            let spread = found[&at(*number)].figure.spread().unwrap();
            // What lies far back counts little, so that the day has more say.
            shares.push(p50(&found, &at(*number)) / 480.0);
            assert!((0.8..1.1).contains(shares.last().unwrap()), "{seed} {spread:?}");
            // Few observations give a wider spread.
            let p95 = spread.p95().as_secs_f64() / 576.0;
            assert!((0.85..1.4).contains(&p95), "{seed} {spread:?}");
        }
        // The day is that of the other hours.
        assert!((p50(&found, &Quantity::Update) / 300.0 - 1.0).abs() < 0.05, "{seed}");
    }
    shares.sort_by(f64::total_cmp);
    assert!((shares[shares.len() / 2] - 1.0).abs() < 0.05, "{shares:?}");
    // Of 2,000 hours by day and 400 by night.
    assert!(wrong.len() <= 4, "{wrong:?}");
    assert!(missed.len() <= 4, "{missed:?}");
}

#[test]
fn few_observations_of_an_hour_lie_between_it_and_the_day() {
    // In every rollout one update at three, and many around noon.
    let rollouts = |count: usize| {
        let rollout = |age: usize| {
            let draw = |nth: usize| day().quantile_seconds(noise(age as u64, nth as u64));
            let noon = (0..20).map(|nth| (12 + nth / 10, draw(nth)));
            let all =
                noon.chain([(3, 1.6 * draw(20))]).map(|(hour, seconds)| (hour as u8, seconds));
            let mut lengths: BTreeMap<Quantity, Vec<Length>> = BTreeMap::new();
            for (hour, seconds) in all {
                for what in [Quantity::Update, at(hour)] {
                    lengths.entry(what).or_default().push(Length::Ended(seconds));
                }
            }
            let fleet = FleetName::new("web").unwrap();
            Observed { fleet, lengths, trials: BTreeMap::new() }
        };
        (0..count).map(rollout).collect::<Vec<_>>()
    };
    // What was configured is far off, and says nothing of the hour where the day is known.
    let configured = [(Quantity::Update, Figure::duration(spread(60.0, 60.0)))].into();
    let few = findings(&configured, &rollouts(4));
    let many = findings(&configured, &rollouts(30));
    let (few, many) = (p50(&few, &at(3)), p50(&many, &at(3)));
    assert!(few > 360.0 && few < many && many < 490.0, "{few} {many}");
    // One is no sign of anything.
    assert!(hours_of(&findings(&configured, &rollouts(1))).is_empty());
}

#[test]
fn what_nobody_saw_end_counts_for_its_hour() {
    let cut = |mut observed: Observed| {
        for lengths in observed.lengths.values_mut() {
            for length in lengths.iter_mut() {
                if let Length::Ended(seconds) = length
                    && *seconds > 480.0
                {
                    *length = Length::AtLeast(480.0);
                }
            }
        }
        observed
    };
    let history: Vec<Observed> = history(5, HABIT, night).into_iter().map(cut).collect();
    let found = findings(&configured(), &history);
    for number in 1..5 {
        // Half of the night's are cut in the middle of it.
        assert!((p50(&found, &at(number)) / 480.0 - 1.0).abs() < 0.12, "{number}: {found:#?}");
    }
    assert!(found[&at(2)].evidence.of_which > 10.0);
}

#[test]
fn an_hour_that_one_rollout_saw_shows_the_rollout() {
    // Each rollout has an hour of its own, and a length of its own.
    let habit = Habit { hours: 1, servers: 20, rollouts: 8, apart: 0.5 };
    for seed in 0..50 {
        assert!(hours_of(&findings(&configured(), &history(seed, habit, |_| 1.0))).is_empty());
    }
}

#[test]
fn neighbours_help_an_hour_that_has_few_of_its_own() {
    let rollout = |age: u64| {
        // Two updates a rollout, in one of three hours of the night, and more by day.
        let number = 1 + (age % 3) as u8;
        let draw = |nth: u64| day().quantile_seconds(noise(age, nth));
        let by_day = (0..6).map(|nth| (8 + nth as u8, draw(nth)));
        let by_night = (6..8).map(|nth| (number, 1.6 * draw(nth)));
        let mut lengths: BTreeMap<Quantity, Vec<Length>> = BTreeMap::new();
        for (hour, seconds) in by_day.chain(by_night) {
            lengths.entry(at(hour)).or_default().push(Length::Ended(seconds));
            lengths.entry(Quantity::Update).or_default().push(Length::Ended(seconds));
        }
        let fleet = FleetName::new("web").unwrap();
        Observed { fleet, lengths, trials: BTreeMap::new() }
    };
    let history: Vec<Observed> = (0..6).map(rollout).collect();
    let found = findings(&configured(), &history);
    // Four of its own, of two rollouts, and of the hours before and after as many as it lacks.
    assert_eq!(found[&at(2)].evidence, Evidence { rollouts: 6, seen: 12.0, of_which: 0.0 });
    assert!(p50(&found, &at(2)) > 410.0, "{found:#?}");
}

#[test]
fn what_was_over_by_the_first_look_makes_no_difference_between_hours() {
    // Looks come later by night than by day, and nothing else is known.
    let bounded = |night: Length, day: Length| {
        let mut all = history(5, Habit { servers: 2, ..HABIT }, |_| 1.0);
        let of_hour = |number: u8| if (1..5).contains(&number) { night } else { day };
        for observed in &mut all {
            let old = std::mem::take(&mut observed.lengths);
            for number in 0..24 {
                let count = old.get(&at(number)).map_or(0, Vec::len);
                for what in [Quantity::Update, at(number)] {
                    let lengths = observed.lengths.entry(what).or_default();
                    lengths.extend(std::iter::repeat_n(of_hour(number), count));
                }
            }
        }
        hours_of(&findings(&configured(), &all))
    };
    assert_eq!(bounded(Length::AtMost(480.0), Length::AtMost(60.0)), [0_u8; 0]);
    // Nor does an hour of which no more is known differ from hours of which it is known.
    let found = bounded(Length::AtMost(60.0), Length::Ended(480.0));
    assert!(!found.contains(&2) && !found.contains(&3), "{found:?}");
    // But what lasts until then by night differs from what is over by then by day.
    let found = bounded(Length::Ended(480.0), Length::AtMost(60.0));
    assert!((1..5).all(|number| found.contains(&number)), "{found:?}");
}
