//! `presurge forecast`: from a file of series to their future.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use domain::forecast::{Forecast as Future, Probability};
use forecast::{Failure, ForecastError, ModelReport, Report, auto};
use rayon::prelude::*;

use super::output::{self, Format};
use super::progress::Progress;
use super::render::{chart, plot};
use super::series::{Named, SeriesArgs, warn};
use super::{Code, Failed, write_file};
use crate::causes::chain;

mod levels;
mod parquet;
mod table;

use levels::Levels;
use table::Table;

/// How many horizons of the past a picture shows.
const SHOWN_PAST: usize = 4;

/// The most steps that are forecast.
const MAX_HORIZON: u32 = 100_000;

/// Forecasts every series of a file, with intervals.
#[derive(Debug, Args)]
pub struct Forecast {
    #[command(flatten)]
    series: SeriesArgs,
    /// How many steps to forecast
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_HORIZON)))]
    horizon: u32,
    /// Central intervals in percent
    #[arg(long, value_name = "L[,L]", default_value = "80,95")]
    levels: Levels,
    /// Write the forecast to a file: .csv, .json or .parquet
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How to print the forecast when it is not written to a file
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Events that move the load (not supported yet)
    #[arg(long, value_name = "FILE.ics")]
    events: Option<PathBuf>,
    /// Series that explain the load (not supported yet)
    #[arg(long, value_name = "FILE.csv")]
    regressors: Option<PathBuf>,
    /// Draw the forecast into a file
    #[arg(long, value_name = "FILE.svg|FILE.html")]
    plot: Option<PathBuf>,
}

/// The models that take no part for another reason than too little history or no season, which
/// is in their nature.
fn left_out(report: &Report) -> Vec<String> {
    let failed = |model: &ModelReport| match &model.failure {
        None | Some(Failure::NotFitted { .. }) => None,
        Some(failure) => Some(format!("{} is left out: {failure}", model.name)),
    };
    report.models.iter().filter_map(failed).collect()
}

/// How the file is written.
#[derive(Debug, Clone, Copy)]
enum FileFormat {
    Csv,
    Json,
    Parquet,
}

impl Forecast {
    pub fn run(self) -> Result<Code, Failed> {
        let file = self.refuse_what_is_not_built()?;
        let plot = plot::Kind::asked(self.plot.as_deref())?;
        let horizon = self.horizon as usize;
        let all = self.series.read()?;
        let (done, failed) = self.forecast(&all, horizon);
        for (name, error) in &failed {
            eprintln!("error: series {name}: {}", chain(error));
        }
        if done.is_empty() {
            return Err(Failed::data("none of the series can be forecast"));
        }
        let table = Table { levels: &self.levels, rows: &done };
        match (&self.out, file) {
            (Some(path), Some(format)) => self.write(path, format, &table)?,
            _ => self.print(&table)?,
        }
        if let Some((path, kind)) = plot {
            self.draw(path, kind, &table)?;
        }
        if failed.is_empty() {
            return Ok(Code::Done);
        }
        let (bad, total) = (failed.len(), all.len());
        Err(Failed::data(format!("{bad} of {total} series cannot be forecast; see above")))
    }

    /// The format of the file, once nothing is asked for that is not there.
    fn refuse_what_is_not_built(&self) -> Result<Option<FileFormat>, Failed> {
        let later = [("--events", &self.events), ("--regressors", &self.regressors)];
        if let Some((name, _)) = later.iter().find(|(_, given)| given.is_some()) {
            return Err(Failed::usage(format!("{name} is not supported yet; leave it out")));
        }
        let Some(path) = &self.out else { return Ok(None) };
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
        match ending.as_deref() {
            Some("csv") => Ok(Some(FileFormat::Csv)),
            Some("json") => Ok(Some(FileFormat::Json)),
            Some("parquet") => Ok(Some(FileFormat::Parquet)),
            _ => {
                let name = path.display();
                Err(Failed::usage(format!(
                    "--out {name}: end the name with .csv, .json or .parquet"
                )))
            }
        }
    }

    fn draw(&self, path: &Path, kind: plot::Kind, table: &Table<'_>) -> Result<(), Failed> {
        let quantiles = self.levels.widest_first();
        let one = |(named, future): &(&Named, Future)| {
            let (past, ahead) = (&named.series, 0..future.horizon());
            let shown = past.values().len().saturating_sub(SHOWN_PAST * future.horizon());
            let seen = (shown..past.values().len()).map(|i| (past.at(i), past.values()[i]));
            let band = |(low, high): &(Probability, Probability)| {
                let edge = |step| {
                    (future.at(step), future.quantile(step, *low), future.quantile(step, *high))
                };
                ahead.clone().map(edge).collect()
            };
            plot::Picture {
                title: format!("{}: {}", named.name, future.model),
                seen: seen.collect(),
                futures: vec![plot::Future {
                    mean: ahead.clone().map(|step| (future.at(step), future.mean[step])).collect(),
                    bands: quantiles.iter().map(band).collect(),
                }],
            }
        };
        let pictures: Vec<_> = table.rows.iter().take(plot::MAX_PICTURES + 1).map(one).collect();
        let pictures: Vec<&dyn plot::Drawing> = pictures.iter().map(|one| one as _).collect();
        let head = format!("Forecast of {} steps, bands {} %", self.horizon, self.levels.names());
        let text = plot::file(kind, &head, &[], &pictures);
        write_file(path, text.as_bytes())
    }

    #[allow(clippy::type_complexity, reason = "what worked, and what did not")]
    fn forecast<'a>(
        &self,
        all: &'a [Named],
        horizon: usize,
    ) -> (Vec<(&'a Named, Future)>, Vec<(&'a str, ForecastError)>) {
        let (options, levels) = (self.series.options(horizon), self.levels.all());
        let progress = Progress::new("forecast", all.len());
        let one = |named: &'a Named| {
            let forecaster = auto(&named.series, &options)?;
            let report = forecaster.report();
            let notes = report.notes.iter().map(ToString::to_string);
            let notes: Vec<String> = notes
                .chain(left_out(&report))
                .map(|note| format!("{}: {note}", named.name))
                .collect();
            let future = forecaster.forecast(horizon, &levels);
            progress.step();
            future.map(|future| (future, notes))
        };
        let results: Vec<_> = all.par_iter().map(|named| (named, one(named))).collect();
        drop(progress);
        let (mut done, mut failed, mut odd) = (Vec::new(), Vec::new(), Vec::new());
        for (named, result) in results {
            match result {
                Ok((future, notes)) => {
                    odd.extend(notes);
                    done.push((named, future));
                }
                Err(error) => failed.push((named.name.as_str(), error)),
            }
        }
        warn(&odd);
        (done, failed)
    }

    fn write(&self, path: &Path, format: FileFormat, table: &Table<'_>) -> Result<(), Failed> {
        let mut bytes = Vec::new();
        match format {
            FileFormat::Csv => table.csv(&mut bytes)?,
            FileFormat::Json => output::value(&mut bytes, Format::Json, &table.values())?,
            FileFormat::Parquet => bytes = parquet::bytes(table).map_err(Failed::from)?,
        }
        write_file(path, &bytes)?;
        if std::io::stderr().is_terminal() {
            self.chart(&mut std::io::stderr().lock(), table)?;
        }
        let (series, steps) = (table.rows.len(), self.horizon);
        eprintln!("{}: {series} series, {steps} steps each", path.display());
        Ok(())
    }

    fn print(&self, table: &Table<'_>) -> Result<(), Failed> {
        let mut out = std::io::stdout().lock();
        match self.output {
            Format::Csv => table.csv(&mut out)?,
            Format::Table => {
                if out.is_terminal() {
                    self.chart(&mut out, table)?;
                }
                let columns = table.columns();
                let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
                output::rows(&mut out, Format::Table, &columns, &table.readable())?;
            }
            format => output::value(&mut out, format, &table.values())?,
        }
        Ok(())
    }

    /// The first series as a chart.
    fn chart(&self, out: &mut impl Write, table: &Table<'_>) -> std::io::Result<()> {
        let Some((named, future)) = table.rows.first() else { return Ok(()) };
        let quantiles = self.levels.quantiles();
        let Some((low, high)) = quantiles.last() else { return Ok(()) };
        let side = |level| (0..future.horizon()).map(|step| future.quantile(step, level)).collect();
        let picture = chart::Picture {
            title: format!(
                "{}: {} ({} % band)",
                named.name,
                future.model,
                self.levels.0.last().map_or("", |l| &l.0)
            ),
            history: &named.series,
            mean: &future.mean,
            low: side(*low),
            high: side(*high),
        };
        chart::draw(out, &picture)
    }
}
