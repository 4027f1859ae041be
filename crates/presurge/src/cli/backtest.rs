//! `presurge backtest`: models against the past of some series.

use std::time::Instant;

use clap::Args;
use domain::series::Series;
use forecast::backtest::{Backtest as Trial, Row};
use forecast::{ForecastError, Options};
use serde_json::json;

use super::output::{self, Format};
use super::progress::Progress;
use super::series::{Named, SeriesArgs};
use super::{Code, Failed};
use crate::causes::chain;

/// Forecasts the newest third of each series again and again from what was known before, and
/// says how each model did: mean over series, origins and steps.
#[derive(Debug, Args)]
pub struct Backtest {
    #[command(flatten)]
    series: SeriesArgs,
    /// How many steps to forecast from each origin
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    horizon: u32,
    /// From how many origins
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    origins: u32,
    /// How to print the table
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

const COLUMNS: [&str; 14] = [
    "model",
    "series",
    "origins",
    "smape",
    "mase",
    "pinball-50",
    "pinball-90",
    "pinball-95",
    "pinball-99",
    "coverage-80",
    "coverage-90",
    "coverage-95",
    "width-95",
    "seconds",
];

/// What one model did over all series.
struct Score {
    row: Row,
    series: usize,
    seconds: f64,
}

impl Backtest {
    pub fn run(self) -> Result<Code, Failed> {
        let all = self.series.read()?;
        let options = self.series.options(self.horizon as usize);
        let names = self.series.model_names();
        let (horizon, origins) = (self.horizon as usize, self.origins as usize);
        let trial = Trial::of(horizon, origins, &options, &names);
        let progress = Progress::new("backtest", trial.rows.len() * all.len());
        let mut scores: Vec<Score> = Vec::new();
        for line in &trial.rows {
            match score(&all, line, (horizon, origins), &progress) {
                Ok(score) => scores.push(score),
                Err((name, error)) if line.0 == "auto" => {
                    let text = format!("series {name}: {}", chain(&error));
                    return Err(Failed::data(text));
                }
                Err((name, error)) => {
                    eprintln!("warning: {} is left out: series {name}: {}", line.0, chain(&error));
                }
            }
        }
        drop(progress);
        let round = |value: f64| (value * 1e4).round() / 1e4;
        let rows: Vec<_> = scores
            .iter()
            .map(|Score { row, series, seconds }| {
                json!({
                    "model": row.model, "series": series, "origins": row.origins,
                    "smape": round(row.smape), "mase": round(row.mase),
                    "pinball-50": round(row.pinball[0]), "pinball-90": round(row.pinball[1]),
                    "pinball-95": round(row.pinball[2]), "pinball-99": round(row.pinball[3]),
                    "coverage-80": round(row.coverage[0]), "coverage-90": round(row.coverage[1]),
                    "coverage-95": round(row.coverage[2]), "width-95": round(row.width),
                    "seconds": (seconds * 1e3).round() / 1e3,
                })
            })
            .collect();
        output::rows(&mut std::io::stdout().lock(), self.output, &COLUMNS, &rows)?;
        Ok(Code::Done)
    }
}

/// One model on every series, each of equal weight.
#[allow(
    clippy::disallowed_methods,
    reason = "how long a model takes on this machine is what is asked"
)]
fn score<'a>(
    all: &'a [Named],
    line: &(String, Options),
    (horizon, origins): (usize, usize),
    progress: &Progress,
) -> Result<Score, (&'a str, ForecastError)> {
    let started = Instant::now();
    let mut sum: Option<Row> = None;
    for named in all {
        let one = run(&named.series, line, horizon, origins);
        progress.step();
        let row = one.map_err(|error| (named.name.as_str(), error))?;
        match &mut sum {
            None => sum = Some(row),
            Some(sum) => add(sum, &row),
        }
    }
    let mut row = sum.ok_or(("", ForecastError::Nothing))?;
    divide(&mut row, all.len() as f64);
    Ok(Score { row, series: all.len(), seconds: started.elapsed().as_secs_f64() })
}

fn run(
    series: &Series,
    line: &(String, Options),
    horizon: usize,
    origins: usize,
) -> Result<Row, ForecastError> {
    let trial = Trial { horizon, origins, rows: vec![line.clone()] };
    trial.run(series)?.pop().ok_or(ForecastError::Nothing)
}

fn add(sum: &mut Row, row: &Row) {
    sum.origins += row.origins;
    sum.smape += row.smape;
    sum.mase += row.mase;
    sum.width += row.width;
    sum.pinball.iter_mut().zip(row.pinball).for_each(|(sum, value)| *sum += value);
    sum.coverage.iter_mut().zip(row.coverage).for_each(|(sum, value)| *sum += value);
}

/// Everything but the number of origins becomes a mean.
fn divide(row: &mut Row, by: f64) {
    row.smape /= by;
    row.mase /= by;
    row.width /= by;
    row.pinball.iter_mut().for_each(|value| *value /= by);
    row.coverage.iter_mut().for_each(|value| *value /= by);
}
