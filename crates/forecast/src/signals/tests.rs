use std::f64::consts::TAU;

use domain::forecast::Probability;
use domain::series::{Series, Step};
use jiff::{Timestamp, ToSpan};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{AutoForecaster, ModelChoice, Options, auto};

const STEP: i64 = 3_600;
const LENGTH: usize = 1_400;
const HORIZON: usize = 24;

/// Monday, 1 January 2024, and so many hours.
fn at(hour: usize) -> Timestamp {
    Timestamp::from_second(1_704_067_200 + hour as i64 * STEP).unwrap()
}

fn event(from: usize, to: usize) -> Interval {
    Interval::new(at(from), at(to)).unwrap()
}

/// Even numbers of mean 0 and spread 1.
fn noise(seed: u64, count: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.732..1.732)).collect()
}

fn load(seed: u64, extra: impl Fn(usize) -> f64) -> Series {
    let noise = noise(seed, LENGTH);
    let day = |i: usize| 20.0 * (TAU * (i % 24) as f64 / 24.0).sin();
    let values = (0..LENGTH).map(|i| 100.0 + day(i) + 4.0 * noise[i] + extra(i));
    Series::new(at(0), Step::from_seconds(STEP).unwrap(), values.collect())
}

/// Campaigns of eight hours at odd times, the last of them after the end of the history.
fn campaigns() -> Vec<usize> {
    (0..12).map(|k| 50 + 119 * k + (k * k * 7) % 23).chain([LENGTH + 8]).collect()
}

/// What a campaign adds: before it, while it lasts, and after it.
fn lift(i: usize, lead: usize, tail: usize) -> f64 {
    let of = |start: usize| match i as i64 - start as i64 {
        since if since >= -(lead as i64) && since < 0 => 20.0,
        since if (0..8).contains(&since) => 60.0,
        since if since >= 8 && since < 8 + tail as i64 => 30.0,
        _ => 0.0,
    };
    campaigns().into_iter().map(of).sum()
}

fn options(signals: Signals) -> Options {
    let models = ModelChoice::Named(vec!["seasonal-naive".into(), "rho-profile".into()]);
    Options { models, horizon: Some(HORIZON), signals, ..Options::default() }
}

fn told(forecaster: &AutoForecaster) -> SignalsReport {
    forecaster.report().signals.unwrap()
}

fn campaign_signals() -> Signals {
    let times = campaigns().into_iter().map(|start| event(start, start + 8)).collect();
    Signals { events: vec![Category { name: "campaign".into(), times }], series: vec![] }
}

#[test]
fn lift_lead_and_tail_of_campaigns_are_found() {
    for (seed, lead, tail) in [(1, 5, 10), (2, 0, 3), (3, 12, 0), (4, 24, 7)] {
        let series = load(seed, |i| lift(i, lead, tail));
        let forecaster = auto(&series, &options(campaign_signals())).unwrap();
        let report = told(&forecaster);
        let one = &report.each[0];
        let near = |found: f64, wanted: f64| (found - wanted).abs() <= 0.2 * wanted;
        assert_eq!(one.unused, None, "{one:?}");
        assert!(near(one.effect, 60.0), "{lead} {tail}: {one:?}");
        assert!(near(one.lead.0 as f64, lead as f64), "{lead} {tail}: {one:?}");
        assert!(near(one.tail.0 as f64, tail as f64), "{lead} {tail}: {one:?}");
        assert!(lead == 0 || near(one.lead.1, 20.0), "{lead} {tail}: {one:?}");
        assert!(tail == 0 || near(one.tail.1, 30.0), "{lead} {tail}: {one:?}");
        assert!(one.loss.1 < 0.8 * one.loss.0, "{one:?}");
        assert!(report.loss.1 < 0.8 * report.loss.0 && report.weight > 0.9, "{report:?}");
        // The campaign that is to come lifts the forecast, before and after it too.
        let forecast = forecaster.forecast(HORIZON, &[Probability::new(0.5).unwrap()]).unwrap();
        assert!(forecast.model.contains("+signals"), "{}", forecast.model);
        for (h, mean) in forecast.mean.iter().enumerate() {
            let i = LENGTH + h;
            let day = 20.0 * (TAU * (i % 24) as f64 / 24.0).sin();
            let wanted = 100.0 + day + lift(i, lead, tail);
            assert!((mean - wanted).abs() < 14.0, "{lead} {tail} at {h}: {mean} {wanted}");
        }
    }
}

/// Load whose day, and whose campaigns, are shares of its level.
fn multiplied(seed: u64, lead: usize, tail: usize) -> Series {
    let noise = noise(seed, LENGTH);
    let value = |i: usize| {
        let day = 0.9 * (TAU * (i % 24) as f64 / 24.0).sin();
        let campaign = lift(i, lead, tail) / 100.0;
        100.0 * f64::exp(day + 0.04 * noise[i]) * (1.0 + campaign)
    };
    Series::new(at(0), Step::from_seconds(STEP).unwrap(), (0..LENGTH).map(value).collect())
}

#[test]
fn campaigns_that_multiply_the_load_are_told_from_those_that_add() {
    for (seed, lead, tail) in [(1, 5, 10), (2, 0, 6), (3, 12, 0)] {
        let models = ["seasonal-naive", "rho-profile", "rho-profile-log"].map(str::to_owned);
        let options =
            Options { models: ModelChoice::Named(models.to_vec()), ..options(campaign_signals()) };
        let forecaster = auto(&multiplied(seed, lead, tail), &options).unwrap();
        let report = told(&forecaster);
        let one = &report.each[0];
        assert_eq!((one.unused, report.acts), (None, Acts::Multiplies), "{report:?}");
        let near = |found: f64, wanted: f64| (found - wanted).abs() <= 0.2 * wanted;
        assert!(near(one.effect, 0.6), "{lead} {tail}: {one:?}");
        // Where there is no window, what is found has no effect.
        for (found, wanted) in [(one.lead, lead), (one.tail, tail)] {
            let is_found = match wanted {
                0 => found.1.abs() < 0.02,
                _ => near(found.0 as f64, wanted as f64),
            };
            assert!(is_found, "{lead} {tail}: {one:?}");
        }
        assert!(lead == 0 || near(one.lead.1, 0.2), "{lead} {tail}: {one:?}");
        assert!(tail == 0 || near(one.tail.1, 0.3), "{lead} {tail}: {one:?}");
        assert!(report.loss.1 < 0.8 * report.loss.0 && report.weight > 0.7, "{report:?}");
        // A campaign in the valley of the day lifts the valley, not the day.
        let forecast = forecaster.forecast(HORIZON, &[Probability::new(0.5).unwrap()]).unwrap();
        for (h, mean) in forecast.mean.iter().enumerate() {
            let i = LENGTH + h;
            let day = f64::exp(0.9 * (TAU * (i % 24) as f64 / 24.0).sin());
            let wanted = 100.0 * day * (1.0 + lift(i, lead, tail) / 100.0);
            assert!((mean / wanted - 1.0).abs() < 0.15, "{lead} {tail} at {h}: {mean} {wanted}");
        }
    }
    // The same campaigns in the unit of the load, on a load whose models work on it as it is.
    let added = auto(&load(1, |i| lift(i, 5, 10)), &options(campaign_signals())).unwrap();
    assert_eq!(told(&added).acts, Acts::Adds);
}

/// Campaigns of two hours, in steps of five minutes: a load that is judged in longer steps.
#[test]
fn a_load_of_many_steps_is_judged_in_longer_ones() {
    let (step, length) = (300, 7_000_usize);
    let starts: Vec<usize> =
        (0..14).map(|k| 200 + 490 * k + (k * k * 37) % 90).chain([length + 24]).collect();
    let noise = noise(3, length);
    let value = |i: usize| {
        let on = starts.iter().any(|start| (*start..start + 24).contains(&i));
        let before = starts.iter().any(|start| (start.saturating_sub(12)..*start).contains(&i));
        let day = 20.0 * (TAU * (i % 288) as f64 / 288.0).sin();
        let lift = if on {
            60.0
        } else if before {
            30.0
        } else {
            0.0
        };
        100.0 + day + 5.0 * noise[i] + lift
    };
    let start = Timestamp::from_second(1_704_067_200).unwrap();
    let step = Step::from_seconds(step).unwrap();
    let series = Series::new(start, step, (0..length).map(value).collect());
    let time = |from: &usize| Interval::new(series.at(*from), series.at(from + 24)).unwrap();
    let times = starts.iter().map(time).collect();
    let signals =
        Signals { events: vec![Category { name: "campaign".into(), times }], series: vec![] };
    let seasons = crate::SeasonChoice::Given(vec![288]);
    let options = Options { horizon: Some(72), seasons, ..options(signals) };
    let forecaster = auto(&series, &options).unwrap();
    let report = told(&forecaster);
    let one = &report.each[0];
    assert_eq!(one.unused, None, "{one:?}");
    assert!((one.effect - 60.0).abs() < 12.0 && (one.lead.1 - 30.0).abs() < 6.0, "{one:?}");
    assert!((9..=15).contains(&one.lead.0) && one.tail.1.abs() < 6.0, "{one:?}");
    let forecast = forecaster.forecast(72, &[Probability::new(0.5).unwrap()]).unwrap();
    for (h, mean) in forecast.mean.iter().enumerate().filter(|(h, _)| !(9..16).contains(h)) {
        let i = length + h;
        let day = 20.0 * (TAU * (i % 288) as f64 / 288.0).sin();
        let lift = match h {
            12..24 => 30.0,
            24..48 => 60.0,
            _ => 0.0,
        };
        assert!((mean - 100.0 - day - lift).abs() < 16.0, "at {h}: {mean}");
    }
}

/// Every kind of signal that says nothing, by seed.
fn random(seed: u64) -> Signals {
    let mut rng = ChaCha8Rng::seed_from_u64(1_000 + seed);
    let starts = (0..14).map(|_| rng.random_range(0..LENGTH));
    let times = starts.map(|start| event(start, start + 6)).collect();
    let white = noise(2_000 + seed, LENGTH + HORIZON);
    let slow: Vec<f64> = noise(3_000 + seed, LENGTH + HORIZON)
        .into_iter()
        .scan(0.0, |level, noise| {
            *level = 0.95 * *level + noise;
            Some(*level)
        })
        .collect();
    let past = slow[..LENGTH].iter().rev().copied().collect();
    let outside = |name: &str, reach, values| Outside { name: name.into(), reach, values };
    Signals {
        events: vec![Category { name: "events".into(), times }],
        series: vec![
            outside("white", Reach::KnownAhead, white),
            outside("slow", Reach::KnownAhead, slow),
            outside("past", Reach::PastOnly, past),
        ],
    }
}

/// How many of `seeds` let each of the four random signals in.
fn let_in(seeds: std::ops::Range<u64>) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> =
        random(0).names().iter().map(|name| ((*name).to_owned(), 0)).collect();
    for seed in seeds {
        // Errors of the load hang together, as they do in real load.
        let noise = noise(seed, LENGTH);
        let level: Vec<f64> = noise
            .iter()
            .scan(0.0, |level, noise| {
                *level = 0.8 * *level + noise;
                Some(3.0 * *level)
            })
            .collect();
        let report = told(&auto(&load(seed, |i| level[i]), &options(random(seed))).unwrap());
        for (count, one) in counts.iter_mut().zip(&report.each) {
            count.1 += usize::from(one.unused.is_none());
            assert!(one.unused.is_none() || one.effect == 0.0, "{one:?}");
        }
    }
    counts
}

#[test]
fn a_signal_that_says_nothing_has_no_weight() {
    let counts = let_in(0..10);
    assert!(counts.iter().all(|(_, count)| *count <= 1), "{counts:?}");
    assert!(counts.iter().map(|(_, count)| count).sum::<usize>() <= 2, "{counts:?}");
}

#[test]
#[ignore = "takes a minute; run it when the choice changes"]
fn random_signals_have_no_weight_in_95_of_100_seeds() {
    let counts = let_in(0..100);
    println!("let in, of 100: {counts:?}");
    assert!(counts.iter().all(|(_, count)| *count <= 5), "{counts:?}");
}

#[test]
fn outside_series_help_as_far_as_they_are_known() {
    let price = noise(7, LENGTH + HORIZON);
    let early = noise(8, LENGTH);
    // One acts at once, the other so late that its past is enough.
    let late = |i: usize| if i >= HORIZON { 12.0 * early[i - HORIZON] } else { 0.0 };
    let series = load(9, |i| 15.0 * price[i] + late(i));
    let of = |price_reach| Signals {
        events: vec![],
        series: vec![
            Outside { name: "price".into(), reach: price_reach, values: price.clone() },
            Outside { name: "early".into(), reach: Reach::PastOnly, values: early.clone() },
            Outside { name: "flat".into(), reach: Reach::KnownAhead, values: vec![3.0; 2_000] },
        ],
    };
    let report = told(&auto(&series, &options(of(Reach::KnownAhead))).unwrap());
    assert!((report.each[0].effect - 15.0).abs() < 1.5, "{report:?}");
    assert!((report.each[1].effect - 12.0).abs() < 1.5, "{report:?}");
    assert_eq!(report.each[2].unused, Some(Unused::Constant));
    assert!(report.weight > 0.9);
    // What acts at once and is not known ahead is of no use.
    let report = told(&auto(&series, &options(of(Reach::PastOnly))).unwrap());
    assert!(report.each[0].unused.is_some(), "{report:?}");
    assert_eq!(report.each[0].effect, 0.0);
}

#[test]
fn what_is_not_known_yet_is_never_read() {
    let early = noise(8, LENGTH);
    let late = |i: usize| if i >= HORIZON { 12.0 * early[i - HORIZON] } else { 0.0 };
    let series = load(9, late);
    let of = |values: Vec<f64>| Signals {
        events: vec![],
        series: vec![Outside { name: "early".into(), reach: Reach::PastOnly, values }],
    };
    let head = series.head(1_000);
    let forecast = |values: Vec<f64>| {
        let forecaster = auto(&head, &options(of(values))).unwrap();
        assert_eq!(told(&forecaster).each[0].unused, None);
        forecaster.forecast(HORIZON, &[Probability::new(0.9).unwrap()]).unwrap()
    };
    let mut changed = early.clone();
    changed[1_000..].fill(1e6);
    assert_eq!(forecast(early), forecast(changed));
}

#[test]
fn a_series_is_taken_apart_with_its_signals_by_name() {
    let price = noise(7, LENGTH + HORIZON);
    let series = load(9, |i| lift(i, 4, 6) + 15.0 * price[i]);
    let mut signals = campaign_signals();
    signals.series =
        vec![Outside { name: "price".into(), reach: Reach::KnownAhead, values: price.clone() }];
    let report = auto(&series, &options(signals.clone())).unwrap().report();
    let told = report.signals.as_ref().unwrap();
    let parts = components(&series, &report.seasons, &signals, told, HORIZON).unwrap();
    assert_eq!(parts.trend.len(), LENGTH + HORIZON);
    assert_eq!((parts.events.len(), parts.regressors.len()), (1, 1));
    assert_eq!((&*parts.events[0].name, &*parts.regressors[0].name), ("campaign", "price"));
    let start = campaigns()[3];
    for (step, wanted) in
        [(start - 2, 20.0), (start + 3, 60.0), (start + 10, 30.0), (start - 9, 0.0)]
    {
        assert!((parts.events[0].values[step] - wanted).abs() < 4.0, "{step} {wanted}");
    }
    assert!((parts.regressors[0].values[5] - 15.0 * price[5]).abs() < 3.0);
}

#[test]
fn events_that_never_happened_have_no_effect_and_shared_categories_have() {
    let mut signals = campaign_signals();
    let times = vec![event(LENGTH + 2, LENGTH + 5)];
    signals.events.push(Category { name: "new".into(), times });
    let series = load(1, |i| lift(i, 0, 0));
    let report = told(&auto(&series, &options(signals)).unwrap());
    assert_eq!(report.each[1].unused, Some(Unused::NeverHappened));
    assert_eq!(report.each[0].unused, None);
}

#[test]
fn without_signals_nothing_changes_and_saved_ones_go_on() {
    let series = load(1, |i| lift(i, 4, 4));
    let levels = [Probability::new(0.5).unwrap()];
    let plain = auto(&series, &options(Signals::default())).unwrap();
    assert_eq!(plain.report().signals, None);
    // Signals that say nothing leave the forecast as it is.
    let nothing = Signals { events: vec![], series: random(3).series[..1].to_vec() };
    let idle = auto(&series, &options(nothing)).unwrap();
    assert_eq!(plain.forecast(HORIZON, &levels), idle.forecast(HORIZON, &levels));
    let mut kept = auto(&series, &options(campaign_signals())).unwrap();
    let mut back = AutoForecaster::load(&kept.save()).unwrap();
    for hour in 0..30 {
        let sample = domain::series::Sample { at: kept.end(), value: 100.0 + f64::from(hour) };
        assert_eq!(kept.forecast(HORIZON, &levels), back.forecast(HORIZON, &levels));
        assert_eq!(kept.update(sample).unwrap(), back.update(sample).unwrap());
    }
    assert!(kept.save() == back.save());
}

#[test]
fn a_short_history_judges_nothing() {
    let series = load(1, |_| 0.0).head(8);
    let naive = ModelChoice::Named(vec!["naive".into()]);
    let options = Options { models: naive, ..options(campaign_signals()) };
    let report = told(&auto(&series, &options).unwrap());
    assert!(report.each[0].unused.is_some());
}

mod grid {
    use super::super::columns::{Windows, mask, moved, of_events, of_outside};
    use super::*;

    fn series(length: usize) -> Series {
        Series::new(at(0), Step::from_seconds(STEP).unwrap(), vec![0.0; length])
    }

    fn steps(mask: &[bool]) -> Vec<usize> {
        (0..mask.len()).filter(|i| mask[*i]).collect()
    }

    #[test]
    fn an_event_takes_the_steps_that_it_covers_by_half() {
        let series = series(10);
        let of = |from: i64, to: i64| {
            let time = Interval::new(at(0) + from.minutes(), at(0) + to.minutes()).unwrap();
            steps(&mask(&[time], &series, 10))
        };
        assert_eq!(of(60, 180), [1, 2]);
        assert_eq!(of(89, 151), [1, 2]);
        assert_eq!(of(91, 149), [1]);
        assert_eq!(of(70, 75), [1]);
        assert_eq!(of(-500, 90), [0, 1]);
        assert_eq!(of(540, 9_000), [9]);
        assert_eq!(of(-500, -400), [0_usize; 0]);
        assert_eq!(of(9_000, 9_100), [0_usize; 0]);
    }

    #[test]
    fn windows_lie_before_and_after_and_never_on_an_event() {
        let mut mask = vec![false; 12];
        for on in [3, 4, 7] {
            mask[on] = true;
        }
        let columns = of_events(&mask, Windows { lead: 2, tail: 4 }, 11);
        let places = |column: &[f64]| (0..column.len()).filter(|i| column[*i] == 1.0).collect();
        let places: Vec<Vec<usize>> = columns.iter().map(|c| places(c)).collect();
        assert_eq!(places, [vec![3, 4, 7], vec![1, 2, 5, 6], vec![5, 6, 8, 9, 10]]);
        assert_eq!(of_events(&mask, Windows::default(), 11).len(), 1);
    }

    #[test]
    fn gaps_hold_the_value_before_them_and_the_past_comes_late() {
        let values = vec![1.0, f64::NAN, 3.0, 4.0];
        let mut outside = Outside { name: String::new(), reach: Reach::KnownAhead, values };
        assert_eq!(of_outside(&outside, 2, 5), [1.0, 1.0, 3.0, 4.0, 4.0]);
        outside.reach = Reach::PastOnly;
        let late = of_outside(&outside, 2, 6);
        assert!(late[0].is_nan() && late[1].is_nan());
        assert_eq!(late[2..], [1.0, 1.0, 3.0, 4.0]);
        assert_eq!(moved(&[1.0, 2.0, 3.0, 9.0], 3, 1), [2.0, 3.0, 1.0, 9.0]);
    }
}
