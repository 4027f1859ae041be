//! Follows the server traces sample by sample after one fit, and prints the losses of the live
//! forecast beside those of each benchmark: `cargo run --release -p forecast --example live`.
//!
//! Columns: the mean pinball loss over the planning levels and the next 4 hours, relative to
//! seasonal naive (mean over traces); the share of values inside the central 95 % interval;
//! drifts per 10,000 samples.
#![allow(clippy::disallowed_methods)] // it measures time

#[path = "../tests/data/mod.rs"]
mod data;

use std::time::Instant;

use domain::forecast::Probability;
use domain::series::{Sample, Series};
use forecast::{Event, ModelChoice, Options, auto, metrics};
use rayon::prelude::*;

const FILES: [&str; 5] = [
    "nab_aws_5min.csv",
    "nab_tweets_5min.csv",
    "ms_cloud_1min.csv",
    "azure_vm_cpu_5min.csv",
    "worldcup98_requests_5min.csv",
];

/// How a forecaster lives on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Life {
    /// Updates alone.
    Updates,
    /// Updates, and a new fit when it says that one is due.
    RefitWhenDue,
    /// A new fit every day.
    RefitDaily,
}

#[derive(Debug, Clone, Copy, Default)]
struct Outcome {
    loss: f64,
    covered: f64,
    drifts: f64,
    fits: f64,
    updates: f64,
    seconds: f64,
}

fn follow(series: &Series, options: &Options, life: Life) -> Option<Outcome> {
    let values = series.values();
    let horizon = usize::try_from(14_400 / series.step().seconds()).unwrap();
    let day = 6 * horizon;
    let levels = [0.025, 0.5, 0.9, 0.95, 0.975, 0.99].map(|l| Probability::new(l).unwrap());
    let from = values.len() * 2 / 3;
    let known = |to: usize| Series::new(series.start(), series.step(), values[..to].to_vec());
    let options = Options { horizon: Some(horizon), ..options.clone() };
    let mut forecaster = auto(&known(from), &options).ok()?;
    let mut out = Outcome::default();
    let (mut scored, mut inside, mut seen) = (0.0, 0.0, 0.0);
    let start = Instant::now();
    for origin in from..values.len() - horizon {
        if (origin - from).is_multiple_of(horizon / 4) {
            let forecast = forecaster.forecast(horizon, &levels).unwrap();
            let actual = &values[origin..origin + horizon];
            for (row, came) in forecast.quantiles.iter().zip(actual) {
                if came.is_finite() {
                    inside += f64::from(u8::from((row[0]..=row[4]).contains(came)));
                    for (q, level) in [(1, 0.5), (2, 0.9), (3, 0.95), (5, 0.99)] {
                        out.loss += metrics::pinball(*came, row[q], level);
                    }
                    seen += 1.0;
                }
            }
            scored += 1.0;
        }
        let events = forecaster.update(Sample { at: series.at(origin), value: values[origin] });
        let events = events.unwrap();
        out.drifts += events.iter().filter(|e| matches!(e, Event::Drifted(_))).count() as f64;
        if std::env::args().any(|a| a == "--events") && life == Life::Updates {
            events.iter().for_each(|event| println!("  {origin}: {event}"));
        }
        out.updates += 1.0;
        let daily = life == Life::RefitDaily && (origin - from) % day == day - 1;
        if daily || (life == Life::RefitWhenDue && forecaster.refit_due().is_some()) {
            forecaster.refit(&known(origin + 1), &options).unwrap();
            out.fits += 1.0;
        }
    }
    out.seconds = start.elapsed().as_secs_f64();
    out.loss /= f64::max(seen, 1.0);
    out.covered = inside / f64::max(seen, 1.0);
    (scored > 0.0).then_some(out)
}

fn main() {
    if data::folder().is_none() {
        println!("skipped: the data folder is missing (set PRESURGE_DATA)");
        return;
    }
    let all: Vec<(String, Series)> =
        FILES.iter().flat_map(|file| data::read(file).into_iter()).collect();
    let named = |name: &str| Options {
        models: ModelChoice::Named(vec![name.to_owned()]),
        ..Options::default()
    };
    let bench: Vec<Option<Outcome>> = all
        .par_iter()
        .map(|(_, series)| follow(series, &named("seasonal-naive"), Life::Updates))
        .collect();
    println!(
        "{:<26} {:>8} {:>7} {:>9} {:>6} {:>10}",
        "", "ratio", "cov95", "drifts/1e4", "fits", "us/update"
    );
    let mut rows = vec![("auto, updates", Options::default(), Life::Updates)];
    if std::env::args().any(|a| a == "--refits") {
        rows.push(("auto, refit when due", Options::default(), Life::RefitWhenDue));
        rows.push(("auto, refit daily", Options::default(), Life::RefitDaily));
    }
    if std::env::args().any(|a| a == "--each") {
        rows.extend(forecast::models::NAMES.map(|name| (name, named(name), Life::Updates)));
    }
    for (name, options, life) in rows {
        let outcomes: Vec<Option<Outcome>> =
            all.par_iter().map(|(_, series)| follow(series, &options, life)).collect();
        let mut sum = Outcome::default();
        let mut count = 0.0;
        for ((found, bench), (id, _)) in outcomes.iter().zip(&bench).zip(&all) {
            let (Some(found), Some(bench)) = (found, bench) else { continue };
            let ratio = found.loss / bench.loss;
            if std::env::args().any(|a| a == "--traces") {
                println!("    {id:<40} {ratio:8.4} {:6.1}", 100.0 * found.covered);
            }
            sum.loss += ratio;
            sum.covered += found.covered;
            sum.drifts += found.drifts;
            sum.updates += found.updates;
            sum.fits += found.fits;
            sum.seconds += found.seconds;
            count += 1.0;
        }
        println!(
            "{name:<26} {:8.4} {:7.1} {:10.1} {:6.1} {:10.1}",
            sum.loss / count,
            100.0 * sum.covered / count,
            1e4 * sum.drifts / sum.updates,
            sum.fits / count,
            1e6 * sum.seconds / sum.updates,
        );
    }
}
