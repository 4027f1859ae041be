//! Whatever the series, there is a forecast or a clear error: never a panic, a `NaN`, an
//! infinite width or crossed quantiles.

use domain::forecast::Probability;
use domain::series::{Sample, Series, Step};
use forecast::{AutoForecaster, ForecastError, ModelChoice, Options, auto, hygiene};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]))
}

/// Values that break arithmetic when they meet.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => 0.0..100.0f64,
        2 => Just(0.0),
        1 => (0..5i32).prop_map(f64::from),
        2 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => -1e6..1e6f64,
        1 => Just(1e300),
        1 => Just(-1e300),
        1 => Just(1e-300),
    ]
}

/// Hostile shapes: anything, constants with holes, steps, spikes, clean seasons, tiny noise on a
/// huge level.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let length = 0..220usize;
    prop_oneof![
        proptest::collection::vec(value(), length.clone()),
        (length.clone(), value()).prop_map(|(n, v)| vec![v; n]),
        (length.clone(), 2..40usize, any::<bool>()).prop_map(|(n, m, holes)| {
            let wave =
                |i: usize| if holes && i.is_multiple_of(5) { f64::NAN } else { (i % m) as f64 };
            (0..n).map(wave).collect()
        }),
        (length.clone(), 1e-9..1e12f64)
            .prop_map(|(n, size)| (0..n).map(|i| 1e12 + size * (i as f64).sin()).collect()),
        (length.clone(), 0..200usize, -1e3..1e6f64).prop_map(|(n, at, level)| {
            let new = |i: usize| if i < at { 50.0 + (i % 7) as f64 } else { level };
            (0..n).map(new).collect()
        }),
        (length.clone(), 24..60usize).prop_map(|(n, every)| {
            let dead = |i: usize| if i % every < 2 { 0.0 } else { 80.0 + (i % 24) as f64 };
            (0..n).map(dead).collect()
        }),
        (length, 0..200usize)
            .prop_map(|(n, at)| (0..n).map(|i| if i == at { 1e9 } else { 1.0 }).collect()),
    ]
}

fn check(
    series: &Series,
    options: &Options,
    horizon: usize,
    updates: &[f64],
) -> Result<(), TestCaseError> {
    let levels: Vec<Probability> = [0.0005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.9995]
        .iter()
        .map(|l| Probability::new(*l).unwrap())
        .collect();
    let mut forecaster = match auto(series, options) {
        Ok(forecaster) => forecaster,
        // A model that was asked for may say that it cannot.
        Err(ForecastError::NoModel { .. }) if options.models != ModelChoice::Auto => return Ok(()),
        Err(error) => {
            let finite = series.values().iter().filter(|v| v.is_finite()).count();
            prop_assert!(finite < 2, "{finite} values are enough for a forecast: {error}");
            return Ok(());
        }
    };
    let not_below = |v: &f64| !v.is_finite() || *v >= 0.0;
    let mut least = if series.values().iter().all(not_below) { 0.0 } else { f64::NEG_INFINITY };
    sound(&forecaster, horizon, &levels, least)?;
    for (round, value) in updates.iter().enumerate() {
        let gap = series.step().duration() * u32::try_from(round % 4).unwrap();
        let sample = Sample { at: forecaster.end() + gap, value: *value };
        if round % 3 == 2 {
            forecaster.update_at_saturation(sample).unwrap();
        } else {
            forecaster.update(sample).unwrap();
        }
        if !not_below(value) {
            least = f64::NEG_INFINITY;
        }
        if round % 2 == 0 {
            sound(&forecaster, horizon, &levels, least)?;
        }
    }
    sound(&forecaster, horizon, &levels, least)
}

/// Finite and rising quantiles, none below zero where nothing was, and whole paths.
fn sound(
    forecaster: &AutoForecaster,
    horizon: usize,
    levels: &[Probability],
    least: f64,
) -> Result<(), TestCaseError> {
    let forecast = forecaster.forecast(horizon, levels).unwrap();
    prop_assert!(forecast.mean.iter().all(|m| m.is_finite()));
    for row in &forecast.quantiles {
        prop_assert!(row.iter().all(|q| q.is_finite()), "{row:?}");
        prop_assert!(row.windows(2).all(|w| w[0] <= w[1]), "{row:?}");
        prop_assert!((row[row.len() - 1] - row[0]).is_finite(), "{row:?}");
        prop_assert!(row[0] >= least, "{row:?}");
    }
    let paths = forecaster.paths(horizon, 20, 1).unwrap();
    prop_assert_eq!((paths.count(), paths.steps()), (20, horizon));
    prop_assert_eq!(forecast.start, forecaster.end());
    Ok(())
}

/// Series whose parts are marked as lower bounds, or not; and what comes afterwards.
type Case = (Vec<f64>, i64, usize, Vec<f64>, u8);

fn cases() -> impl Strategy<Value = Case> {
    let steps = prop_oneof![Just(10i64), Just(60), Just(300), Just(3_600), Just(86_400)];
    (values(), steps, 1..60usize, proptest::collection::vec(value(), 0..8), 0..4u8)
}

fn fuzz(count: u32, options: &Options) {
    runner(count)
        .run(&cases(), |(values, step, horizon, updates, marks)| {
            let step = Step::from_seconds(step).unwrap();
            let length = i64::try_from(values.len()).unwrap() * step.seconds();
            let series = Series::new(Timestamp::UNIX_EPOCH, step, values);
            let at = |share: i64| Timestamp::from_second(length * share / 8).unwrap();
            let marked = match marks {
                0 => series.saturated_during(&[(at(1), at(3)), (at(7), at(8))]),
                1 => series.saturated_during(&[(at(0), at(8))]),
                _ => series,
            };
            check(&marked, options, horizon, &updates)
        })
        .unwrap();
}

#[test]
fn any_series_gives_a_sound_forecast_or_an_error() {
    fuzz(250, &Options::default());
}

#[test]
fn any_series_gives_prophet_a_sound_forecast_or_an_error() {
    for name in ["prophet", "prophet-multiplicative"] {
        let models = ModelChoice::Named(vec![name.to_owned()]);
        fuzz(250, &Options { models, ..Options::default() });
    }
}

/// `cargo test --release -p forecast --test hostile -- --ignored`
#[test]
#[ignore = "minutes; part of the soak"]
fn ten_thousand_series_give_sound_forecasts_or_errors() {
    fuzz(10_000, &Options::default());
}

#[test]
fn any_samples_give_a_regular_series_or_an_error() {
    let sample = (-1_000_000..1_000_000i64, value())
        .prop_map(|(second, value)| Sample { at: Timestamp::from_second(second).unwrap(), value });
    runner(300)
        .run(&proptest::collection::vec(sample, 0..60), |samples| {
            if let Ok(clean) = hygiene::clean(&samples, &hygiene::Hygiene::default()) {
                let values = clean.series.values();
                prop_assert!(values.first().is_some_and(|v| v.is_finite()));
                prop_assert!(values.last().is_some_and(|v| v.is_finite()));
                prop_assert!(values.iter().all(|v| !v.is_infinite()));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn two_points_are_enough() {
    let step = Step::from_seconds(60).unwrap();
    let series = Series::new(Timestamp::UNIX_EPOCH, step, vec![10.0, 12.0]);
    let forecaster = auto(&series, &Options::default()).unwrap();
    let levels = [0.05, 0.95].map(|l| Probability::new(l).unwrap());
    let forecast = forecaster.forecast(10, &levels).unwrap();
    assert_eq!(forecast.model, "naive");
    assert_eq!(forecast.mean[0], 12.0);
    let width = |h: usize| forecast.quantiles[h][1] - forecast.quantiles[h][0];
    assert!(width(0) > 4.0 && width(9) > 2.0 * width(0), "{:?}", forecast.quantiles);
    assert!(!forecaster.report().notes.is_empty());
}

#[test]
fn the_same_input_gives_the_same_bits() {
    let step = Step::from_seconds(300).unwrap();
    let values: Vec<f64> =
        (0..900).map(|i| ((i * i) as f64 * 0.37).sin() + (i % 288) as f64 / 50.0).collect();
    let series = Series::new(Timestamp::UNIX_EPOCH, step, values);
    let levels = [0.1, 0.9].map(|l| Probability::new(l).unwrap());
    let (a, b) = (auto(&series, &Options::default()), auto(&series, &Options::default()));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.forecast(48, &levels), b.forecast(48, &levels));
    assert_eq!(a.paths(48, 64, 5), b.paths(48, 64, 5));
}
