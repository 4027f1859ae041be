//! `presurge forecast`: from a file of series to their future.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use domain::forecast::{Forecast as Future, Probability};
use forecast::models::prophet::Components;
use forecast::signals::{Signals, components};
use forecast::{Failure, ForecastError, ModelReport, Options, Report, auto};
use rayon::prelude::*;
use serde_json::Value;

use super::output::{self, Format};
use super::progress::Progress;
use super::render::{added, brought, chart, plot};
use super::series::{Named, SeriesArgs, warn};
use super::signals::SignalArgs;
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
    #[command(flatten)]
    signals: SignalArgs,
    /// Draw the forecast into a file
    #[arg(long, value_name = "FILE.svg|FILE.html")]
    plot: Option<PathBuf>,
}

/// The models that take no part for another reason than too little history or no season, which
/// is in their nature, or than that they are not worth it.
fn left_out(report: &Report) -> Vec<String> {
    let failed = |model: &ModelReport| match &model.failure {
        None | Some(Failure::NotFitted { .. } | Failure::NotWorth) => None,
        Some(failure) => Some(format!("{} is left out: {failure}", model.name)),
    };
    report.models.iter().filter_map(failed).collect()
}

/// What worked, what its signals brought, and what did not work.
#[derive(Default)]
struct Outcome<'a> {
    done: Vec<(&'a Named, Future)>,
    brought: Vec<Value>,
    /// What each model added, if that was asked for.
    added: Vec<Value>,
    /// What each series is made of, where signals were given and a picture is asked for.
    parts: Vec<Option<Components>>,
    failed: Vec<(&'a str, ForecastError)>,
}

/// One picture for each part of a series: trend, seasons, events, outside series.
fn panels(named: &Named, parts: &Components, horizon: usize) -> Vec<plot::Picture> {
    let count = named.series.values().len() + horizon;
    let shown = count.saturating_sub((SHOWN_PAST + 1) * horizon);
    let panel = |kind: &str, name: &str, values: &[f64]| {
        let points = (shown..count).map(|index| (named.series.at(index), values[index]));
        let future = plot::Future { mean: points.collect(), bands: Vec::new() };
        let title = format!("{}: {kind}{name}", named.name);
        plot::Picture { title, seen: Vec::new(), futures: vec![future] }
    };
    let kinds =
        [("season: ", &parts.seasons), ("event: ", &parts.events), ("signal: ", &parts.regressors)];
    let rest = kinds.into_iter().flat_map(|(kind, list)| list.iter().map(move |part| (kind, part)));
    let rest = rest.map(|(kind, part)| panel(kind, &part.name, &part.values));
    std::iter::once(panel("trend", "", &parts.trend)).chain(rest).collect()
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
        let file = self.file_format()?;
        let plot = plot::Kind::asked(self.plot.as_deref())?;
        let horizon = self.horizon as usize;
        let all = self.series.read()?;
        let signals = self.signals_of(&all, horizon)?;
        let options = self.series.taught(&all, self.series.options(horizon)?)?;
        let Outcome { done, brought, added, parts, failed } =
            self.forecast(&all, &signals, &options, horizon);
        for (name, error) in &failed {
            eprintln!("error: series {name}: {}", chain(error));
        }
        if done.is_empty() {
            return Err(Failed::data("none of the series can be forecast"));
        }
        let table = Table { levels: &self.levels, rows: &done, brought: &brought, added: &added };
        match (&self.out, file) {
            (Some(path), Some(format)) => self.write(path, format, &table)?,
            _ => self.print(&table)?,
        }
        if let Some((path, kind)) = plot {
            self.draw(path, kind, &table, &parts)?;
        }
        if failed.is_empty() {
            return Ok(Code::Done);
        }
        let (bad, total) = (failed.len(), all.len());
        Err(Failed::data(format!("{bad} of {total} series cannot be forecast; see above")))
    }

    /// The format of the file that was asked for.
    fn file_format(&self) -> Result<Option<FileFormat>, Failed> {
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

    fn draw(
        &self,
        path: &Path,
        kind: plot::Kind,
        table: &Table<'_>,
        parts: &[Option<Components>],
    ) -> Result<(), Failed> {
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
        let series = table.rows.iter().zip(parts).take(plot::MAX_PICTURES + 1);
        let pictures: Vec<_> = series
            .flat_map(|(row, parts)| {
                let panels = parts.iter().flat_map(|parts| panels(row.0, parts, row.1.horizon()));
                std::iter::once(one(row)).chain(panels).collect::<Vec<_>>()
            })
            .collect();
        let pictures: Vec<&dyn plot::Drawing> = pictures.iter().map(|one| one as _).collect();
        let head = format!("Forecast of {} steps, bands {} %", self.horizon, self.levels.names());
        let text = plot::file(kind, &head, &[], &pictures);
        write_file(path, text.as_bytes())
    }

    /// The signals of each series; none where none were given.
    fn signals_of(&self, all: &[Named], horizon: usize) -> Result<Vec<Signals>, Failed> {
        if self.signals.is_empty() {
            return Ok(vec![Signals::default(); all.len()]);
        }
        let given = self.signals.read()?;
        all.iter().map(|named| given.of(named, horizon)).collect()
    }

    fn forecast<'a>(
        &self,
        all: &'a [Named],
        signals: &[Signals],
        options: &Options,
        horizon: usize,
    ) -> Outcome<'a> {
        let levels = self.levels.all();
        let progress = Progress::new("forecast", all.len());
        let one = |named: &'a Named, signals: &Signals| {
            let options = Options { signals: signals.clone(), ..options.clone() };
            let forecaster = auto(&named.series, &options)?;
            let report = forecaster.report();
            let notes = report.notes.iter().map(ToString::to_string);
            let notes: Vec<String> = notes
                .chain(left_out(&report))
                .map(|note| format!("{}: {note}", named.name))
                .collect();
            let future = forecaster.forecast(horizon, &levels);
            let told = report.signals.as_ref().filter(|_| self.plot.is_some());
            let parts = told.and_then(|told| {
                components(&named.series, &report.seasons, signals, told, horizon)
            });
            progress.step();
            let asked = self.series.asks_for_added();
            let added = if asked { added::rows(&named.name, &report) } else { Vec::new() };
            future.map(|future| (future, notes, report.signals, added, parts))
        };
        let results: Vec<_> =
            all.par_iter().zip(signals).map(|(named, own)| (named, one(named, own))).collect();
        drop(progress);
        let mut outcome = Outcome::default();
        let mut odd = Vec::new();
        for (named, result) in results {
            match result {
                Ok((future, notes, signals, added, parts)) => {
                    odd.extend(notes);
                    outcome.added.extend(added);
                    outcome.parts.push(parts);
                    let told = signals.iter();
                    let told =
                        told.flat_map(|told| brought::rows(&named.name, &named.series, told));
                    outcome.brought.extend(told);
                    outcome.done.push((named, future));
                }
                Err(error) => outcome.failed.push((named.name.as_str(), error)),
            }
        }
        warn(&odd);
        outcome
    }

    fn write(&self, path: &Path, format: FileFormat, table: &Table<'_>) -> Result<(), Failed> {
        let mut bytes = Vec::new();
        match format {
            FileFormat::Csv => table.csv(&mut bytes)?,
            FileFormat::Json => output::value(&mut bytes, Format::Json, &table.whole())?,
            FileFormat::Parquet => bytes = parquet::bytes(table).map_err(Failed::from)?,
        }
        write_file(path, &bytes)?;
        if std::io::stderr().is_terminal() {
            self.chart(&mut std::io::stderr().lock(), table)?;
        }
        if !matches!(format, FileFormat::Json) {
            table.tell(&mut std::io::stderr().lock())?;
        }
        let (series, steps) = (table.rows.len(), self.horizon);
        eprintln!("{}: {series} series, {steps} steps each", path.display());
        Ok(())
    }

    fn print(&self, table: &Table<'_>) -> Result<(), Failed> {
        let mut out = std::io::stdout().lock();
        match self.output {
            Format::Csv => {
                table.csv(&mut out)?;
                table.tell(&mut std::io::stderr().lock())?;
            }
            Format::Table => {
                if out.is_terminal() {
                    self.chart(&mut out, table)?;
                }
                let columns = table.columns();
                let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
                output::rows(&mut out, Format::Table, &columns, &table.readable())?;
                table.tell(&mut out)?;
            }
            format => output::value(&mut out, format, &table.whole())?,
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
