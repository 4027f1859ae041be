//! Work stays bounded on long series.
#![allow(clippy::disallowed_methods)] // it measures time

use std::time::Instant;

use domain::forecast::Probability;
use domain::series::{Series, Step};
use forecast::{Options, auto};
use jiff::Timestamp;

fn load(step: i64, length: usize) -> Series {
    let day = usize::try_from(86_400 / step).unwrap();
    let value = |i: usize| {
        let hour = (i % day) as f64 / day as f64;
        let weekend = if (i / day) % 7 >= 5 { 0.6 } else { 1.0 };
        let noise = ((i * i % 10_007) as f64 * 0.618).sin();
        100.0 + weekend * 60.0 * (std::f64::consts::TAU * hour).sin() + 8.0 * noise
    };
    let step = Step::from_seconds(step).unwrap();
    Series::new(Timestamp::UNIX_EPOCH, step, (0..length).map(value).collect())
}

#[test]
fn a_year_of_minutes_and_a_month_of_five_minutes_are_fitted_in_seconds() {
    let levels = [Probability::new(0.95).unwrap()];
    for (step, length, seconds) in [(60, 525_600, 60.0), (300, 8_064, 10.0), (10, 60_480, 60.0)] {
        let series = load(step, length);
        let start = Instant::now();
        let forecaster = auto(&series, &Options::default()).unwrap();
        let fit = start.elapsed().as_secs_f64();
        let forecast = forecaster.forecast(240, &levels).unwrap();
        println!("{length} values at {step} s: {fit:.2} s, {:?}", forecaster.report().seasons);
        assert!(forecast.quantiles.iter().all(|q| q[0] < 400.0));
        assert!(fit < seconds, "{length} values at {step} s took {fit} s");
    }
}
