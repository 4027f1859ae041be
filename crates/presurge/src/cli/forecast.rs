//! `presurge forecast`: from a file of series to their future.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use domain::forecast::{Forecast as Future, Probability};
use forecast::{ForecastError, auto};
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::output::{self, Format};
use super::progress::Progress;
use super::render::chart;
use super::render::time::number;
use super::series::{Named, SeriesArgs, warn};
use super::{Code, Failed, write_file};
use crate::causes::chain;

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
    /// Write the forecast to a file: .csv or .json
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
    /// A picture of the forecast (not supported yet)
    #[arg(long, value_name = "FILE.svg|FILE.html")]
    plot: Option<PathBuf>,
}

/// Central intervals in percent, as they were asked for.
#[derive(Debug, Clone)]
struct Levels(Vec<(String, f64)>);

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut levels: Vec<(String, f64)> = Vec::new();
        for part in text.split(',') {
            let name = part.trim();
            let plain = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let level = name.parse::<f64>().ok().filter(|level| plain && *level > 0.0);
            let Some(level) = level.filter(|level| *level < 100.0) else {
                return Err(format!("{part:?} is no level: give percents such as 80,95"));
            };
            if levels.iter().any(|(_, known)| *known == level) {
                return Err(format!("the level {name} is there twice"));
            }
            levels.push((name.to_owned(), level));
        }
        Ok(Self(levels))
    }
}

impl Levels {
    /// The lower and the upper quantile of each interval.
    fn quantiles(&self) -> Vec<(Probability, Probability)> {
        let at = |share: f64| Probability::new(share).expect("levels lie between 0 and 100 %");
        self.0.iter().map(|(_, level)| (at(0.5 - level / 200.0), at(0.5 + level / 200.0))).collect()
    }

    /// All quantiles, rising.
    fn all(&self) -> Vec<Probability> {
        let mut all: Vec<Probability> =
            self.quantiles().into_iter().flat_map(|(low, high)| [low, high]).collect();
        all.sort_by(|one, other| one.get().total_cmp(&other.get()));
        all.dedup();
        all
    }
}

/// How the file is written.
#[derive(Debug, Clone, Copy)]
enum FileFormat {
    Csv,
    Json,
}

impl Forecast {
    pub fn run(self) -> Result<Code, Failed> {
        let file = self.refuse_what_is_not_built()?;
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
        if failed.is_empty() {
            return Ok(Code::Done);
        }
        let (bad, total) = (failed.len(), all.len());
        Err(Failed::data(format!("{bad} of {total} series cannot be forecast; see above")))
    }

    /// The format of the file, once nothing is asked for that is not there.
    fn refuse_what_is_not_built(&self) -> Result<Option<FileFormat>, Failed> {
        let later = [
            ("--events", &self.events),
            ("--regressors", &self.regressors),
            ("--plot", &self.plot),
        ];
        if let Some((name, _)) = later.iter().find(|(_, given)| given.is_some()) {
            return Err(Failed::usage(format!("{name} is not supported yet; leave it out")));
        }
        let Some(path) = &self.out else { return Ok(None) };
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
        match ending.as_deref() {
            Some("csv") => Ok(Some(FileFormat::Csv)),
            Some("json") => Ok(Some(FileFormat::Json)),
            Some("parquet") => {
                let text = "--out: Parquet is not supported yet; write .csv or .json";
                Err(Failed::usage(text))
            }
            _ => {
                let name = path.display();
                Err(Failed::usage(format!("--out {name}: end the name with .csv or .json")))
            }
        }
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
            let notes: Vec<String> = forecaster
                .report()
                .notes
                .iter()
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

/// The forecast in the long format.
struct Table<'a> {
    levels: &'a Levels,
    rows: &'a [(&'a Named, Future)],
}

impl Table<'_> {
    fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> =
            ["unique_id", "ds", "model", "mean"].map(str::to_owned).into();
        for (name, _) in &self.levels.0 {
            columns.extend([format!("lo-{name}"), format!("hi-{name}")]);
        }
        columns
    }

    /// The numbers of one step: the mean, then both ends of each interval.
    fn numbers(&self, future: &Future, step: usize) -> Vec<f64> {
        let mut numbers = vec![future.mean[step]];
        for (low, high) in self.levels.quantiles() {
            numbers.extend([future.quantile(step, low), future.quantile(step, high)]);
        }
        numbers
    }

    fn csv(&self, out: &mut impl Write) -> Result<(), Failed> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(self.columns())?;
        for (named, future) in self.rows {
            for step in 0..future.horizon() {
                let mut record =
                    vec![named.name.clone(), future.at(step).to_string(), future.model.clone()];
                record.extend(self.numbers(future, step).iter().map(f64::to_string));
                writer.write_record(&record)?;
            }
        }
        writer.flush()?;
        Ok(())
    }

    /// The same with numbers as people read them.
    fn readable(&self) -> Vec<Value> {
        let mut rows = self.values();
        for value in rows.iter_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
            if let Some(exact) = value.as_f64() {
                *value = json!(number(exact));
            }
        }
        rows
    }

    fn values(&self) -> Vec<Value> {
        let columns = self.columns();
        let mut rows = Vec::new();
        for (named, future) in self.rows {
            for step in 0..future.horizon() {
                let mut row = Map::new();
                row.insert("unique_id".into(), json!(named.name));
                row.insert("ds".into(), json!(future.at(step)));
                row.insert("model".into(), json!(future.model));
                let numbers = self.numbers(future, step);
                row.extend(
                    columns.iter().skip(3).cloned().zip(numbers.into_iter().map(Value::from)),
                );
                rows.push(Value::Object(row));
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_percents_once_each() {
        let levels: Levels = "80,95".parse().unwrap();
        let shares: Vec<f64> = levels.all().iter().map(|level| level.get()).collect();
        assert_eq!(shares.len(), 4);
        for (share, expected) in shares.iter().zip([0.025, 0.1, 0.9, 0.975]) {
            assert!((share - expected).abs() < 1e-12);
        }
        for bad in ["", "0", "100", "-5", "80,80", "nan", "1e1", "80;95"] {
            assert!(bad.parse::<Levels>().is_err(), "{bad:?}");
        }
    }
}
