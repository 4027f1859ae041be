//! Samples as they really come: what must not mislead a forecast.

use domain::forecast::Probability;
use domain::series::{Sample, Series, Step};
use forecast::{AutoForecaster, ModelChoice, Options, auto, hygiene};
use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn step(seconds: i64) -> Step {
    Step::from_seconds(seconds).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn noise(i: usize) -> f64 {
    ((i * i) as f64 * 0.618).sin()
}

/// A day with a peak at 6:00, every `day` steps.
fn load(i: usize, day: usize) -> f64 {
    let turn = std::f64::consts::TAU * (i % day) as f64 / day as f64;
    100.0 + 50.0 * turn.sin() + 2.0 * noise(i)
}

/// Fast models that show what the data taught.
fn options(horizon: usize) -> Options {
    let models = ["naive", "seasonal-naive", "rho-profile", "delta-profile"];
    Options {
        models: ModelChoice::Named(models.map(str::to_owned).to_vec()),
        horizon: Some(horizon),
        ..Options::default()
    }
}

fn fitted(values: Vec<f64>, seconds: i64, horizon: usize) -> AutoForecaster {
    auto(&Series::new(at(0), step(seconds), values), &options(horizon)).unwrap()
}

/// The quantiles at `levels`, one row per step.
fn quantiles<const N: usize>(
    forecaster: &AutoForecaster,
    horizon: usize,
    levels: [f64; N],
) -> Vec<Vec<f64>> {
    let levels = levels.map(|l| Probability::new(l).unwrap());
    forecaster.forecast(horizon, &levels).unwrap().quantiles
}

#[test]
fn what_is_cut_at_capacity_does_not_teach_the_cap() {
    let (n, day, cap) = (24 * 21, 24, 130.0);
    let truth: Vec<f64> = (0..n + day).map(|i| load(i, day)).collect();
    let cut: Vec<f64> = truth[..n].iter().map(|v| if *v > cap { cap } else { *v }).collect();
    let series = Series::new(at(0), step(3_600), cut);
    let spans: Vec<(Timestamp, Timestamp)> = (0..n)
        .filter(|i| truth[*i] > cap)
        .map(|i| (at(3_600 * i as i64), at(3_600 * (i as i64 + 1))))
        .collect();
    let peak = |series: &Series| {
        let rows = quantiles(&auto(series, &options(day)).unwrap(), day, [0.5, 0.99]);
        let most = |k: usize| rows.iter().map(|r| r[k]).fold(f64::NEG_INFINITY, f64::max);
        (most(0), most(1))
    };
    let truly = truth[n..].iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (blind, _) = peak(&series);
    let (told, upper) = peak(&series.saturated_during(&spans));
    assert!(blind < 0.9 * truly, "without marks the cap is learned: {blind} of {truly}");
    assert!((told / truly - 1.0).abs() < 0.1, "{told} is not {truly}");
    assert!(upper > truly, "{upper} is not above {truly}");
}

#[test]
fn lower_bounds_that_come_live_raise_the_forecast_and_never_lower_it() {
    let day = 24;
    let make = || fitted((0..24 * 14).map(|i| load(i, day)).collect(), 3_600, day);
    let (mut bound, mut plain) = (make(), make());
    let before = quantiles(&bound, day, [0.95]);
    for _ in 0..day {
        let low = Sample { at: bound.end(), value: 60.0 };
        bound.update_at_saturation(low).unwrap();
        plain.update(low).unwrap();
    }
    let (told, taught) = (quantiles(&bound, day, [0.95]), quantiles(&plain, day, [0.95]));
    let sum = |rows: &[Vec<f64>]| rows.iter().map(|r| r[0]).sum::<f64>();
    assert!(sum(&told) > 0.97 * sum(&before), "{} after {}", sum(&told), sum(&before));
    assert!(sum(&told) > 1.1 * sum(&taught), "{} and {}", sum(&told), sum(&taught));
    for _ in 0..day {
        bound.update_at_saturation(Sample { at: bound.end(), value: 300.0 }).unwrap();
    }
    let raised = quantiles(&bound, 1, [0.5, 0.95]);
    assert!(raised[0][1] > before[0][0] + 30.0, "{raised:?} after {:?}", before[0]);
}

#[test]
fn a_dead_hour_is_not_a_season_and_teaches_nothing() {
    let (n, day) = (288 * 10, 288);
    let alive: Vec<f64> = (0..n).map(|i| load(i, day)).collect();
    let mut dead = alive.clone();
    dead[n - 300..n - 288].fill(0.0);
    let (clean, hurt) = (fitted(alive, 300, 48), fitted(dead, 300, 48));
    assert_eq!(clean.report().seasons, hurt.report().seasons);
    let (a, b) = (quantiles(&clean, 48, [0.5, 0.95]), quantiles(&hurt, 48, [0.5, 0.95]));
    for (a, b) in a.iter().zip(&b) {
        assert!((a[0] - b[0]).abs() < 4.0 && (a[1] - b[1]).abs() < 8.0, "{a:?} and {b:?}");
    }
    let notes: Vec<String> = hurt.report().notes.iter().map(ToString::to_string).collect();
    assert!(notes.iter().any(|n| n.contains("12 steps")), "{notes:?}");
}

#[test]
fn an_outage_that_comes_live_releases_nothing_until_it_has_lasted() {
    let day = 288;
    let series = Series::new(at(0), step(300), (0..day * 8).map(|i| load(i, day)).collect());
    let naive = ModelChoice::Named(vec!["naive".to_owned()]);
    let mut forecaster = auto(&series, &Options { models: naive, ..options(48) }).unwrap();
    let usual = quantiles(&forecaster, 12, [0.5]);
    for _ in 0..12 {
        forecaster.update(Sample { at: forecaster.end(), value: 0.0 }).unwrap();
    }
    let after = quantiles(&forecaster, 12, [0.5]);
    assert!(after[0][0] > 0.8 * usual[0][0], "{} after {}", after[0][0], usual[0][0]);
    for _ in 0..36 {
        forecaster.update(Sample { at: forecaster.end(), value: 0.0 }).unwrap();
    }
    let believed = quantiles(&forecaster, 1, [0.5])[0][0];
    assert!(believed < 0.5 * usual[0][0], "{believed}");
}

#[test]
fn a_new_level_is_followed() {
    let day = 24;
    let mut values: Vec<f64> = (0..24 * 20).map(|i| load(i, day)).collect();
    values.extend((24 * 20..24 * 21).map(|i| 4.0 * load(i, day)));
    let rows = quantiles(&fitted(values, 3_600, 12), 12, [0.5, 0.95]);
    for (h, row) in rows.iter().enumerate() {
        let truth = 4.0 * load(24 * 21 + h, day);
        assert!(row[1] > 0.8 * truth, "step {h}: {row:?} of {truth}");
    }
}

#[test]
fn one_wild_value_does_not_move_the_forecast() {
    let day = 24;
    let calm: Vec<f64> = (0..24 * 20).map(|i| load(i, day)).collect();
    let mut wild = calm.clone();
    wild[333] = 1e6;
    let (a, b) = (
        quantiles(&fitted(calm, 3_600, 24), 24, [0.5]),
        quantiles(&fitted(wild, 3_600, 24), 24, [0.5]),
    );
    for (a, b) in a.iter().zip(&b) {
        assert!((a[0] - b[0]).abs() < 25.0, "{a:?} and {b:?}");
    }
}

#[test]
fn clock_changes_leave_a_gap_or_a_mean() {
    // Local time read as if it were UTC: in spring an hour is missing, in autumn one comes twice.
    let value = |i: i64| load(usize::try_from(i).unwrap(), 24);
    let spring: Vec<Sample> = (0..240)
        .map(|i| Sample { at: at(3_600 * if i < 100 { i } else { i + 1 }), value: value(i) })
        .collect();
    let clean = hygiene::clean(&spring, &hygiene::Hygiene::default()).unwrap();
    assert_eq!(clean.series.values().len(), 241);
    assert!(clean.warnings.contains(&hygiene::Warning::Bridged { steps: 1 }));
    let autumn: Vec<Sample> = (0..240)
        .map(|i| Sample { at: at(3_600 * if i < 100 { i } else { i - 1 }), value: value(i) })
        .collect();
    let clean = hygiene::clean(&autumn, &hygiene::Hygiene::default()).unwrap();
    assert_eq!(clean.series.values().len(), 239);
    assert!((clean.series.values()[99] - (value(99) + value(100)) / 2.0).abs() < 1e-9);
    assert!(clean.warnings.contains(&hygiene::Warning::Duplicates { samples: 1 }));
}

#[test]
fn counts_near_zero_stay_sensible() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let few = |_| if rng.random_range(0..10) < 2 { f64::from(rng.random_range(1..4)) } else { 0.0 };
    let values: Vec<f64> = (0..24 * 20).map(few).collect();
    let rows = quantiles(&fitted(values, 3_600, 24), 48, [0.0005, 0.05, 0.5, 0.95, 0.9995]);
    for row in rows {
        assert!(row[0] >= 0.0 && row.windows(2).all(|w| w[0] <= w[1]), "{row:?}");
        assert!(row[2] < 1.0 && row[4] < 10.0, "{row:?}");
    }
}

#[test]
fn every_step_from_ten_seconds_to_a_day_and_twenty_points_are_enough() {
    for seconds in [10, 15, 60, 300, 900, 3_600, 21_600, 86_400] {
        for n in [20, 150] {
            let values = (0..n).map(|i| 50.0 + 3.0 * noise(i)).collect();
            let rows = quantiles(&fitted(values, seconds, 8), 8, [0.05, 0.5, 0.95]);
            for row in rows {
                assert!(row[0] < row[1] && row[1] < row[2], "{n} at {seconds} s: {row:?}");
                assert!((40.0..60.0).contains(&row[1]), "{n} at {seconds} s: {row:?}");
            }
        }
    }
}
