//! `presurge backtest`: models against the past of some series.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use domain::forecast::Forecast as Future;
use domain::series::Series;
use forecast::backtest::{Backtest as Trial, Row, Run};
use forecast::signals::Signals;
use forecast::{ForecastError, Options, Report};
use serde_json::{Value, json};

use super::output::{self, Format};
use super::progress::Progress;
use super::render::{added, plot};
use super::series::{Named, SeriesArgs};
use super::signals::SignalArgs;
use super::{Code, Failed, write_file};
use crate::causes::chain;

/// Forecasts the newest third of each series again and again from what was known before, and
/// says how each model did: mean over series, origins and steps.
#[derive(Debug, Args)]
pub struct Backtest {
    #[command(flatten)]
    series: SeriesArgs,
    #[command(flatten)]
    signals: SignalArgs,
    /// How many steps to forecast from each origin
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    horizon: u32,
    /// From how many origins
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    origins: u32,
    /// Draw forecast against actual, from each origin, into a page
    #[arg(long, value_name = "FILE.html|FILE.svg")]
    plot: Option<PathBuf>,
    /// How to print the table
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// How many horizons before the first origin a picture shows.
const SHOWN_PAST: usize = 2;

const COLUMNS: [&str; 15] = [
    "model",
    "series",
    "origins",
    "smape",
    "mase",
    "owa",
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
struct Score<'a> {
    row: Row,
    series: usize,
    seconds: f64,
    /// The forecasts of the first series.
    drawn: Vec<(&'a Named, Vec<Future>)>,
    /// What the fits found.
    reports: Vec<Report>,
}

impl Backtest {
    /// The signals of each series, which are known over its past only.
    fn given(&self, all: &[Named]) -> Result<Vec<Signals>, Failed> {
        if self.signals.is_empty() {
            return Ok(vec![Signals::default(); all.len()]);
        }
        let given = self.signals.read()?;
        all.iter().map(|named| given.of(named, 0)).collect()
    }

    /// The table, and what each model added to the first of its lines if that was asked for.
    fn print(&self, rows: &[Value], added: Option<&[Value]>) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        let Some(added) = added else {
            return output::rows(&mut out, self.output, &COLUMNS, rows);
        };
        let tell = |out: &mut dyn Write| {
            let mut out = out;
            writeln!(out)?;
            output::rows(&mut out, Format::Table, &added::COLUMNS_OF_MANY, added)
        };
        match self.output {
            Format::Table => {
                output::rows(&mut out, self.output, &COLUMNS, rows)?;
                tell(&mut out)
            }
            Format::Csv => {
                output::rows(&mut out, self.output, &COLUMNS, rows)?;
                tell(&mut std::io::stderr().lock())
            }
            format => output::value(&mut out, format, &json!({ "rows": rows, "models": added })),
        }
    }

    pub fn run(self) -> Result<Code, Failed> {
        let plot = plot::Kind::asked(self.plot.as_deref())?;
        let all = self.series.read()?;
        let options = self.series.taught(&all, self.series.options(self.horizon as usize)?)?;
        let names = self.series.model_names();
        let (horizon, origins) = (self.horizon as usize, self.origins as usize);
        let trial = Trial::of(horizon, origins, &options, &names);
        let given = self.given(&all)?;
        let lines = lines(&trial.rows, &given);
        let progress = Progress::new("backtest", lines.len() * all.len());
        let mut scores: Vec<Score<'_>> = Vec::new();
        for (line, signals) in &lines {
            match score(&all, signals, line, (horizon, origins), &progress) {
                Ok(score) => scores.push(score),
                Err((name, error)) if line.0.starts_with("auto") => {
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
            .map(|Score { row, series, seconds, .. }| {
                json!({
                    "model": row.model, "series": series, "origins": row.origins,
                    "smape": round(row.smape), "mase": round(row.mase), "owa": round(row.owa()),
                    "pinball-50": round(row.pinball[0]), "pinball-90": round(row.pinball[1]),
                    "pinball-95": round(row.pinball[2]), "pinball-99": round(row.pinball[3]),
                    "coverage-80": round(row.coverage[0]), "coverage-90": round(row.coverage[1]),
                    "coverage-95": round(row.coverage[2]), "width-95": round(row.width),
                    "seconds": (seconds * 1e3).round() / 1e3,
                })
            })
            .collect();
        let added = scores.first().filter(|_| self.series.asks_for_added());
        let added = added.map(|first| added::rows_of_many(first.reports.iter()));
        self.print(&rows, added.as_deref())?;
        if let Some((path, kind)) = plot {
            let cells = |row: &Value| COLUMNS.map(|name| output::cell(&row[name])).to_vec();
            let heads = vec![COLUMNS.map(str::to_owned).to_vec()];
            let table: Vec<Vec<String>> = heads.into_iter().chain(rows.iter().map(cells)).collect();
            let pictures: Vec<_> =
                scores.first().map_or(&[][..], |first| &first.drawn).iter().map(picture).collect();
            let pictures: Vec<&dyn plot::Drawing> = pictures.iter().map(|one| one as _).collect();
            let head = format!("Backtest: {} origins, {} steps each", self.origins, self.horizon);
            write_file(path, plot::file(kind, &head, &table, &pictures).as_bytes())?;
        }
        Ok(Code::Done)
    }
}

/// The lines of the table, each with the signals of every series: the automatic choice with all
/// signals, without each and without any, then the models alone.
fn lines(rows: &[(String, Options)], given: &[Signals]) -> Vec<((String, Options), Vec<Signals>)> {
    let none = vec![Signals::default(); given.len()];
    let mut lines: Vec<((String, Options), Vec<Signals>)> = Vec::new();
    let mut rows = rows.iter();
    if given.iter().all(Signals::is_empty) {
        return rows.map(|row| (row.clone(), none.clone())).collect();
    }
    if let Some((name, options)) = rows.next() {
        let line = |name: String| (name, options.clone());
        lines.push((line(name.clone()), given.to_vec()));
        let mut signals: Vec<&str> = given.iter().flat_map(Signals::names).collect();
        signals.sort_unstable();
        signals.dedup();
        for signal in signals.iter().filter(|_| signals.len() > 1) {
            let rest = given.iter().map(|own| own.without(signal)).collect();
            lines.push((line(format!("{name} without {signal}")), rest));
        }
        lines.push((line(format!("{name} without signals")), none.clone()));
    }
    lines.extend(rows.map(|row| (row.clone(), none.clone())));
    lines
}

/// One model on every series, each of equal weight.
#[allow(
    clippy::disallowed_methods,
    reason = "how long a model takes on this machine is what is asked"
)]
fn score<'a>(
    all: &'a [Named],
    signals: &[Signals],
    line: &(String, Options),
    (horizon, origins): (usize, usize),
    progress: &Progress,
) -> Result<Score<'a>, (&'a str, ForecastError)> {
    let started = Instant::now();
    let (mut rows, mut drawn, mut reports) = (Vec::new(), Vec::new(), Vec::new());
    for (named, signals) in all.iter().zip(signals) {
        let options = Options { signals: signals.clone(), ..line.1.clone() };
        let one = run(&named.series, &(line.0.clone(), options), horizon, origins);
        progress.step();
        let run = one.map_err(|error| (named.name.as_str(), error))?;
        rows.push(run.row);
        reports.extend(run.reports);
        if drawn.len() <= plot::MAX_PICTURES {
            drawn.push((named, run.forecasts));
        }
    }
    let series = rows.len();
    let row = Row::mean(rows).ok_or(("", ForecastError::Nothing))?;
    Ok(Score { row, series, seconds: started.elapsed().as_secs_f64(), drawn, reports })
}

fn run(
    series: &Series,
    line: &(String, Options),
    horizon: usize,
    origins: usize,
) -> Result<Run, ForecastError> {
    let trial = Trial { horizon, origins, rows: vec![line.clone()] };
    trial.run(series)?.pop().ok_or(ForecastError::Nothing)
}

/// One series with the forecasts from each origin, and what came.
fn picture((named, forecasts): &(&Named, Vec<Future>)) -> plot::Picture {
    let (series, begins) = (&named.series, forecasts.first().map(|forecast| forecast.start));
    let values = series.values();
    let horizon = forecasts.first().map_or(1, Future::horizon);
    let first = begins.map_or(0, |at| values.len().min(index(series, at)));
    let seen = (first.saturating_sub(SHOWN_PAST * horizon)..values.len())
        .map(|index| (series.at(index), values[index]))
        .collect();
    let band = |forecast: &Future, low: usize, high: usize| {
        let edge = |step: usize| {
            let row = &forecast.quantiles[step];
            (forecast.at(step), row[low], row[high])
        };
        (0..forecast.horizon()).map(edge).collect::<Vec<_>>()
    };
    let futures = forecasts.iter().map(|forecast| plot::Future {
        mean: (0..forecast.horizon())
            .map(|step| (forecast.at(step), forecast.mean[step]))
            .collect(),
        // The edges of 95 and of 80 % among the levels of a backtest.
        bands: vec![band(forecast, 0, 6), band(forecast, 2, 4)],
    });
    plot::Picture { title: named.name.clone(), seen, futures: futures.collect() }
}

fn index(series: &Series, at: jiff::Timestamp) -> usize {
    let seconds = at.duration_since(series.start()).as_secs();
    usize::try_from(seconds / series.step().seconds()).unwrap_or(0)
}
