//! Scores of the automatic choice on the developers' data.

use std::fmt;

use domain::forecast::{Forecast, Probability};
use domain::series::Series;
use forecast::{Fleet, Options, auto, metrics};
use rayon::prelude::*;

use super::data;

pub const HEADER: &str =
    " OWA/ratio   sMAPE    MASE   pb.50   pb.90   pb.95   pb.99  cov80  cov90  cov95 wid95   ms";

/// The levels that are scored: both ends of the 80, 90 and 95 % intervals, median and tails.
pub fn levels() -> Vec<Probability> {
    [0.025, 0.05, 0.1, 0.5, 0.9, 0.95, 0.975, 0.99].map(|l| Probability::new(l).unwrap()).to_vec()
}

/// Means over series, losses in units of the seasonal naive change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Score {
    pub smape: f64,
    pub mase: f64,
    /// OWA on M4; the mean ratio of the upper pinball losses to those of seasonal naive on traces.
    pub owa: f64,
    /// At 0.5, 0.9, 0.95, 0.99.
    pub pinball: [f64; 4],
    /// At 80, 90, 95 %.
    pub coverage: [f64; 3],
    pub width: f64,
    upper: f64,
    count: f64,
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:10.4}{:8.3}{:8.3}", self.owa, self.smape, self.mase)?;
        for p in self.pinball {
            write!(f, "{p:8.4}")?;
        }
        for c in self.coverage {
            write!(f, "{:7.1}", 100.0 * c)?;
        }
        write!(f, "{:6.2}", self.width)
    }
}

impl Score {
    fn of(forecast: &Forecast, actual: &[f64], scale: f64) -> Self {
        let column = |level: f64| -> Vec<f64> {
            let level = Probability::new(level).unwrap();
            (0..forecast.horizon()).map(|h| forecast.quantile(h, level)).collect()
        };
        let known: Vec<usize> = (0..actual.len()).filter(|h| actual[*h].is_finite()).collect();
        let pinball = [0.5, 0.9, 0.95, 0.99].map(|level| {
            let q = column(level);
            let sum: f64 = known.iter().map(|h| metrics::pinball(actual[*h], q[*h], level)).sum();
            sum / known.len() as f64 / scale
        });
        let coverage = [0.8, 0.9, 0.95]
            .map(|c| metrics::coverage(actual, &column((1.0 - c) / 2.0), &column((1.0 + c) / 2.0)));
        Self {
            smape: metrics::smape(actual, &forecast.mean),
            mase: metrics::mae(actual, &forecast.mean) / scale,
            owa: 0.0,
            pinball,
            coverage,
            width: metrics::width(&column(0.025), &column(0.975)) / scale,
            upper: pinball[1] + pinball[2] + pinball[3],
            count: 1.0,
        }
    }

    fn mean<'a>(scores: impl Iterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for s in scores {
            sum.smape += s.smape;
            sum.mase += s.mase;
            sum.owa += s.owa;
            sum.width += s.width;
            sum.upper += s.upper;
            sum.count += s.count;
            for (a, b) in sum.pinball.iter_mut().zip(s.pinball) {
                *a += b;
            }
            for (a, b) in sum.coverage.iter_mut().zip(s.coverage) {
                *a += b;
            }
        }
        let n = sum.count.max(1.0);
        Self {
            smape: sum.smape / n,
            mase: sum.mase / n,
            owa: sum.owa / n,
            pinball: sum.pinball.map(|p| p / n),
            coverage: sum.coverage.map(|c| c / n),
            width: sum.width / n,
            upper: sum.upper / n,
            count: n,
        }
    }
}

/// The M4 hourly series of the developers' half: one origin, 48 steps.
pub fn m4(options: &Options) -> Score {
    let train: Vec<Series> = data::read("m4_hourly_train.csv").into_values().collect();
    let test: Vec<Series> = data::read("m4_hourly_test.csv").into_values().collect();
    let fleet = Fleet::of(&train, options).unwrap();
    let options = &Options { fleet, ..options.clone() };
    let scores: Vec<(Score, f64, f64)> = train
        .par_iter()
        .zip(&test)
        .filter_map(|(history, actual)| {
            let (past, actual) = (history.values(), actual.values());
            let scale = metrics::seasonal_scale(past, 24);
            let forecast = auto(history, options).ok()?.forecast(48, &levels()).unwrap();
            let naive2 = metrics::naive2(past, 24, 48);
            let bench = (metrics::smape(actual, &naive2), metrics::mae(actual, &naive2) / scale);
            Some((Score::of(&forecast, actual, scale), bench.0, bench.1))
        })
        .collect();
    let n = scores.len() as f64;
    let mut score = Score::mean(scores.iter().map(|s| &s.0));
    let (smape, mase) = scores.iter().fold((0.0, 0.0), |(a, b), (_, s, m)| (a + s / n, b + m / n));
    score.owa = metrics::owa(score.smape, score.mase, smape, mase);
    score
}

/// The server traces, by name.
pub fn trace_series() -> Vec<(String, Series)> {
    const FILES: [&str; 5] = [
        "nab_aws_5min.csv",
        "nab_tweets_5min.csv",
        "ms_cloud_1min.csv",
        "azure_vm_cpu_5min.csv",
        "worldcup98_requests_5min.csv",
    ];
    FILES.iter().flat_map(|file| data::read(file).into_iter()).collect()
}

/// Server traces at 5 minutes and 1 minute: rolling origins over the last third, 4 hours ahead.
/// Returns the mean over traces and how many fits were made.
pub fn traces(options: &Options, verbose: bool) -> (Score, usize) {
    let all = trace_series();
    let mut jobs = Vec::new();
    for (which, (_, series)) in all.iter().enumerate() {
        let (n, step) = (series.values().len(), series.step().seconds());
        let horizon = usize::try_from(14_400 / step).unwrap();
        let from = n * 2 / 3;
        for k in 0..ORIGINS {
            jobs.push((which, from + k * (n - horizon - from) / (ORIGINS - 1), horizon));
        }
    }
    let scores: Vec<(usize, Score)> = jobs
        .par_iter()
        .filter_map(|&(which, origin, horizon)| {
            Some((which, trace(&all[which].1, origin, horizon, options)?))
        })
        .collect();
    let per_trace: Vec<Score> = (0..all.len())
        .map(|which| Score::mean(scores.iter().filter(|s| s.0 == which).map(|s| &s.1)))
        .map(|score| Score { owa: score.upper / score.owa.max(1e-9), ..score })
        .collect();
    if verbose {
        for ((name, _), score) in all.iter().zip(&per_trace) {
            println!("{:<36}{score}", name);
        }
    }
    let mut mean = Score::default();
    let n = per_trace.len() as f64;
    for s in &per_trace {
        mean.owa += s.owa / n;
        mean.smape += s.smape / n;
        mean.mase += s.mase / n;
        mean.width += s.width / n;
        for (a, b) in mean.pinball.iter_mut().zip(s.pinball) {
            *a += b / n;
        }
        for (a, b) in mean.coverage.iter_mut().zip(s.coverage) {
            *a += b / n;
        }
    }
    (mean, scores.len())
}

/// Origins per trace.
const ORIGINS: usize = 24;

fn trace(series: &Series, origin: usize, horizon: usize, options: &Options) -> Option<Score> {
    let values = series.values();
    let past = Series::new(series.start(), series.step(), values[..origin].to_vec());
    let actual = &values[origin..origin + horizon];
    if actual.iter().filter(|v| v.is_finite()).count() * 2 < horizon {
        return None;
    }
    let day = usize::try_from(86_400 / series.step().seconds()).unwrap();
    let scale = metrics::seasonal_scale(&values[..origin], day);
    let options = Options { horizon: Some(horizon), ..options.clone() };
    let forecast = auto(&past, &options).ok()?.forecast(horizon, &levels()).unwrap();
    let mut score = Score::of(&forecast, actual, scale);
    // The benchmark: yesterday's values with the plain quantiles of day-to-day changes.
    let bench = seasonal_naive(&values[..origin], day, horizon);
    let bench = Score::of(&bench_forecast(&forecast, bench), actual, scale);
    score.owa = bench.upper;
    Some(score)
}

fn seasonal_naive(past: &[f64], day: usize, horizon: usize) -> Vec<Vec<f64>> {
    let n = past.len();
    let mut changes: Vec<f64> =
        past.iter().zip(&past[day..]).map(|(a, b)| b - a).filter(|c| c.is_finite()).collect();
    changes.sort_by(f64::total_cmp);
    let filled = |i: usize| (0..).map(|k| past[i - k]).find(|v| v.is_finite()).unwrap();
    let quantile = |l: f64| changes[((changes.len() - 1) as f64 * l) as usize];
    (0..horizon)
        .map(|h| levels().iter().map(|l| filled(n - day + h % day) + quantile(l.get())).collect())
        .collect()
}

fn bench_forecast(like: &Forecast, quantiles: Vec<Vec<f64>>) -> Forecast {
    let mean = quantiles.iter().map(|row| row[3]).collect();
    Forecast { mean, quantiles, ..like.clone() }
}
