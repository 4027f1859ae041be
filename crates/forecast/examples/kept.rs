//! Whether a forecaster that is kept forecasts as well as one that is fitted when it is asked:
//! `cargo run --release -p forecast --example kept`.
//!
//! Each server trace is fitted on two thirds and carried on sample by sample, with the fits that it asks
//! for, as the daemon does; a dozen times another one is fitted to all that is known. Both forecast the
//! next four hours. Prints the pinball loss of the kept one as a share of the other's, over all traces
//! (geometric mean) and for the pooled losses, and the processor time of a fit, of one update with the
//! state that is saved for the journal, and of sampled paths.
#![allow(clippy::disallowed_methods, reason = "it measures time")]

#[path = "../tests/data/mod.rs"]
mod data;

use std::time::Instant;

use domain::forecast::Probability;
use domain::series::{Sample, Series};
use forecast::{AutoForecaster, Options, auto, metrics};
use rayon::prelude::*;

const FILES: [&str; 5] = [
    "nab_aws_5min.csv",
    "nab_tweets_5min.csv",
    "ms_cloud_1min.csv",
    "azure_vm_cpu_5min.csv",
    "worldcup98_requests_5min.csv",
];
const LEVELS: [f64; 4] = [0.5, 0.9, 0.95, 0.99];
const ORIGINS: usize = 12;

/// Sums of losses at each level in units of the mean change from step to step: kept, fitted anew.
#[derive(Debug, Clone, Copy, Default)]
struct Losses {
    kept: [f64; LEVELS.len()],
    anew: [f64; LEVELS.len()],
    values: f64,
    fits: f64,
    refits: f64,
    seconds: [f64; 3],
    updates: f64,
    bytes: usize,
}

fn add(
    sums: &mut [f64; LEVELS.len()],
    forecaster: &AutoForecaster,
    came: &[f64],
    unit: f64,
) -> usize {
    let levels = LEVELS.map(|level| Probability::new(level).expect("a level"));
    let said = forecaster.forecast(came.len(), &levels).expect("there is a forecast");
    let pairs = said.quantiles.iter().zip(came).filter(|(_, value)| value.is_finite());
    let mut count = 0;
    for (row, value) in pairs {
        for ((sum, quantile), level) in sums.iter_mut().zip(row).zip(LEVELS) {
            *sum += metrics::pinball(*value, *quantile, level) / unit;
        }
        count += 1;
    }
    count
}

fn follow(series: &Series) -> Option<Losses> {
    let values = series.values();
    let seconds = series.step().seconds();
    let (ahead, day) = ((14_400 / seconds) as usize, (86_400 / seconds) as usize);
    let (from, last) = (values.len() * 2 / 3, values.len().checked_sub(ahead)?);
    let changes = values.windows(2).map(|w| (w[1] - w[0]).abs()).filter(|c| c.is_finite());
    let unit = (changes.sum::<f64>() / values.len() as f64).max(f64::MIN_POSITIVE);
    let every = (last.checked_sub(from)? / ORIGINS).max(1);
    // A plan looks a day beyond its end.
    let planned = Options { horizon: Some(day + ahead), ..Options::default() };
    let kept_for = Options { horizon: Some(day), ..Options::default() };
    let mut kept = auto(&series.head(from), &kept_for).ok()?;
    let mut out = Losses::default();
    for index in from..last {
        if (index - from) % every == every - 1 {
            let start = Instant::now();
            let anew = auto(&series.head(index), &planned).ok()?;
            out.seconds[0] += start.elapsed().as_secs_f64();
            out.fits += 1.0;
            let came = &values[index..index + ahead];
            add(&mut out.kept, &kept, came, unit);
            out.values += add(&mut out.anew, &anew, came, unit) as f64;
            let start = Instant::now();
            out.bytes += kept.save().len();
            out.seconds[1] += start.elapsed().as_secs_f64();
        }
        let start = Instant::now();
        kept.update(Sample { at: series.at(index), value: values[index] }).ok()?;
        out.seconds[2] += start.elapsed().as_secs_f64();
        out.updates += 1.0;
        if kept.refit_due().is_some() {
            kept.refit(&series.head(index + 1), &kept_for).ok()?;
            out.refits += 1.0;
        }
    }
    Some(out)
}

fn main() {
    if data::folder().is_none() {
        println!("skipped: the data folder is missing (set PRESURGE_DATA)");
        return;
    }
    let all: Vec<(String, Series)> =
        FILES.iter().flat_map(|file| data::read(file).into_iter()).collect();
    let found: Vec<Option<Losses>> = all.par_iter().map(|(_, series)| follow(series)).collect();
    let mut pooled = Losses::default();
    let (mut logs, mut traces) = ([0.0; LEVELS.len()], 0.0);
    println!(
        "{:<40} {:>8} {:>8} {:>8} {:>8} {:>7}",
        "kept / anew", ".5", ".9", ".95", ".99", "refits"
    );
    for ((id, _), one) in all.iter().zip(&found) {
        let Some(one) = one else { continue };
        let ratios: Vec<f64> = one.kept.iter().zip(one.anew).map(|(k, a)| k / a).collect();
        let cells: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:8.4}")).collect();
        println!("{id:<40} {} {:7.0}", cells.join(" "), one.refits);
        for (k, ratio) in ratios.iter().enumerate() {
            logs[k] += ratio.ln();
            pooled.kept[k] += one.kept[k] / one.values;
            pooled.anew[k] += one.anew[k] / one.values;
        }
        (0..3).for_each(|k| pooled.seconds[k] += one.seconds[k]);
        pooled.fits += one.fits;
        pooled.updates += one.updates;
        pooled.bytes += one.bytes;
        traces += 1.0;
    }
    let means: Vec<String> =
        logs.iter().map(|log| format!("{:8.4}", (log / traces).exp())).collect();
    println!("{:<40} {}", "geometric mean", means.join(" "));
    let pooled_ratio: Vec<String> =
        (0..LEVELS.len()).map(|k| format!("{:8.4}", pooled.kept[k] / pooled.anew[k])).collect();
    println!("{:<40} {}", "pooled", pooled_ratio.join(" "));
    println!(
        "a fit takes {:.1} ms, an update {:.3} ms, saving the state {:.3} ms ({:.0} KiB)",
        1e3 * pooled.seconds[0] / pooled.fits,
        1e3 * pooled.seconds[2] / pooled.updates,
        1e3 * pooled.seconds[1] / pooled.fits,
        pooled.bytes as f64 / pooled.fits / 1024.0,
    );
}
