//! What it costs to keep many series up to date: `cargo bench -p forecast`.
//!
//! 10,000 hourly series of 1,000 values with a day and a week (copies of fifty fits): one new
//! sample each, updated and forecast again (48 steps, 5 quantiles) on all cores; the time of
//! further rounds; memory per series as the growth of the resident set, and the saved state.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::time::Instant;

use domain::forecast::Probability;
use domain::series::{Sample, Series, Step};
use forecast::{AutoForecaster, Options, auto};
use jiff::Timestamp;
use rayon::prelude::*;

const VALUES: usize = 1_000;
const HORIZON: usize = 48;
const FITS: usize = 50;
/// Until as many forecasts wait for their values as ever do.
const ROUNDS: usize = 60;

fn value(series: usize, index: usize) -> f64 {
    let seed = (series * 7_919 + index * 104_729) % 100_003;
    let noise = ((seed * seed) as f64 * 0.618).sin();
    let day = (std::f64::consts::TAU * (index % 24) as f64 / 24.0).sin();
    let weekend = if (index / 24) % 7 >= 5 { 0.6 } else { 1.0 };
    100.0 + (40.0 + series as f64) * weekend * day + (1.0 + (series % 9) as f64) * noise
}

/// The resident set in KiB, where the system tells it.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok()).unwrap_or(f64::NAN)
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let count = numbers.first().copied().unwrap_or(10_000);
    let step = Step::from_seconds(3_600).expect("an hour is a step");
    let options = Options { horizon: Some(HORIZON), ..Options::default() };
    let start = Instant::now();
    let fitted: Vec<AutoForecaster> = (0..FITS)
        .into_par_iter()
        .map(|series| {
            let values = (0..VALUES).map(|index| value(series, index)).collect();
            auto(&Series::new(Timestamp::UNIX_EPOCH, step, values), &options).expect("it is fitted")
        })
        .collect();
    let fit = start.elapsed().as_secs_f64();
    println!("fit                {:10.1} ms per series on all cores", 1e3 * fit / FITS as f64);
    let saved: usize = fitted.iter().map(|f| f.save().len()).sum();
    println!("saved state        {:10.1} KiB per series", saved as f64 / FITS as f64 / 1_024.0);
    let before = resident();
    let mut all: Vec<AutoForecaster> = (0..count).map(|k| fitted[k % FITS].clone()).collect();
    println!("kept in memory     {:10.1} KiB per series", (resident() - before) / count as f64);
    let levels = [0.05, 0.5, 0.9, 0.95, 0.99].map(|l| Probability::new(l).expect("a level"));
    for round in 0..ROUNDS {
        let start = Instant::now();
        let sum: f64 = all
            .par_iter_mut()
            .enumerate()
            .map(|(k, forecaster)| {
                let sample =
                    Sample { at: forecaster.end(), value: value(k % FITS, VALUES + round) };
                forecaster.update(sample).expect("the sample is the next one");
                forecaster.forecast(HORIZON, &levels).expect("there is a forecast").quantiles[0][4]
            })
            .collect::<Vec<f64>>()
            .iter()
            .sum();
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "round {round}            {seconds:10.2} s for {count} series ({:.0} us each, mean {:.1})",
            1e6 * seconds / count as f64,
            sum / count as f64
        );
    }
    println!(
        "kept in memory     {:10.1} KiB per series, later",
        (resident() - before) / count as f64
    );
}
