//! Events and outside series that `forecast` and `backtest` are given.

use std::path::PathBuf;

use adapters::calendar::holidays::{Country, YEARS};
use adapters::load::file::{FileError, Wide, WideRow, read_wide};
use adapters::signal::holidays::{between, country};
use adapters::signal::ical::Calendar;
use clap::Args;
use domain::series::Series;
use forecast::signals::{Category, Outside, Reach, Signals};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Failed;
use super::series::{Named, warn};
use crate::causes::chain;
use crate::pipeline::categories;

/// So long after the forecast, in seconds or steps, an event may still lift its end.
const LEAD_SECONDS: i64 = 3 * 86_400;
const LEAD_STEPS: i64 = 14;

/// What is known beside the load.
#[derive(Debug, Clone, Args)]
pub struct SignalArgs {
    /// Scheduled events that may move the load: an iCalendar file; may be given again. Events of
    /// the same CATEGORIES (else SUMMARY) act alike
    #[arg(long, value_name = "FILE.ics")]
    events: Vec<PathBuf>,
    /// Countries whose public holidays may move the load, for instance DE,US
    #[arg(long, value_name = "CC[,CC]", value_delimiter = ',', value_parser = country)]
    holidays: Vec<Country>,
    /// Outside series that may explain the load: ds and a column for each
    #[arg(long, value_name = "FILE.csv")]
    regressors: Option<PathBuf>,
    /// Columns of --regressors whose future is known and given; the others are known up to now
    /// only, and act as late as the horizon is long
    #[arg(long, value_name = "COLUMN[,COLUMN]", value_delimiter = ',', requires = "regressors")]
    known: Vec<String>,
}

/// The signals as they were read.
pub struct Given {
    events: Vec<Calendar>,
    holidays: Vec<Country>,
    regressors: Option<(PathBuf, Wide)>,
    known: Vec<String>,
}

impl SignalArgs {
    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.holidays.is_empty() && self.regressors.is_none()
    }

    /// Reads the files.
    pub fn read(&self) -> Result<Given, Failed> {
        let mut events = Vec::new();
        for path in &self.events {
            let calendar = Calendar::read(path).map_err(|error| Failed::data(chain(&error)))?;
            if calendar.is_empty() {
                eprintln!("warning: {}: holds no event", path.display());
            }
            events.push(calendar);
        }
        let mut regressors = None;
        if let Some(path) = &self.regressors {
            let wide = read_wide(path).map_err(Failed::data)?;
            for name in &self.known {
                if !wide.names.contains(name) {
                    let hint = domain::config::hint(name, wide.names.iter().map(String::as_str));
                    let text = format!("--known: {} has no column {name:?}{hint}", path.display());
                    return Err(Failed::usage(text));
                }
            }
            regressors = Some((path.clone(), wide));
        }
        let (holidays, known) = (self.holidays.clone(), self.known.clone());
        Ok(Given { events, holidays, regressors, known })
    }
}

impl Given {
    /// The signals of one series, as far as they are needed for a forecast of `horizon` steps
    /// from its end; 0 where it is only tried on its past.
    pub fn of(&self, named: &Named, horizon: usize) -> Result<Signals, Failed> {
        let mut notes = Vec::new();
        let events = self.categories(&named.series, horizon, &mut notes)?;
        let series = match &self.regressors {
            Some((path, wide)) => {
                let aligned = Aligned { path, wide, named, horizon };
                aligned.columns(&self.known, &mut notes).map_err(Failed::data)?
            }
            None => Vec::new(),
        };
        let twice = events.iter().find(|event| series.iter().any(|one| one.name == event.name));
        if let Some(event) = twice {
            let text = format!("{:?} is an event and a column; rename the column", event.name);
            return Err(Failed::data(text));
        }
        warn(&notes.iter().map(|note| format!("{}: {note}", named.name)).collect::<Vec<_>>());
        Ok(Signals { events, series })
    }

    fn categories(
        &self,
        series: &Series,
        horizon: usize,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Category>, Failed> {
        let step = series.step().seconds();
        let (from, end) = (series.start(), series.at(series.values().len() + horizon));
        let reach = SignedDuration::from_secs(LEAD_SECONDS.max(LEAD_STEPS * step));
        let to = end.checked_add(reach).unwrap_or(Timestamp::MAX);
        let mut all = Vec::new();
        for calendar in &self.events {
            all.extend(calendar.between(from, to).map_err(|error| Failed::data(chain(&error)))?);
        }
        for country in &self.holidays {
            all.push(between(*country, from, to));
            let year = |at: Timestamp| TimeZone::UTC.to_datetime(at).year();
            if !YEARS.contains(&year(from)) || !YEARS.contains(&year(end)) {
                let (first, last) = (YEARS.start(), YEARS.end());
                notes.push(format!("holidays are known from {first} to {last} only"));
            }
        }
        let mut used = Vec::new();
        for category in categories(all) {
            if category.times.is_empty() {
                notes.push(format!(
                    "no event {:?} lies between {from} and {end}, where the load and its forecast \
                     are; it is left out",
                    category.name
                ));
            } else {
                used.push(category);
            }
        }
        Ok(used)
    }
}

/// A file of signals beside one series.
struct Aligned<'a> {
    path: &'a PathBuf,
    wide: &'a Wide,
    named: &'a Named,
    horizon: usize,
}

/// Its values on the grid of the load, the line of each step (0 where there is none), and the last
/// line of the series.
struct Placed {
    columns: Vec<Vec<f64>>,
    lines: Vec<u64>,
    last: u64,
}

impl Aligned<'_> {
    fn bad<T>(&self, line: u64, reason: String) -> Result<T, FileError> {
        Err(FileError::Line { path: self.path.clone(), line, reason })
    }

    /// The values of the file on the grid of the load.
    fn placed(&self, known: &[String]) -> Result<Placed, FileError> {
        let series = &self.named.series;
        let (length, end) = (series.values().len(), series.end());
        let mut lines = vec![0; length + self.horizon];
        let mut columns = vec![vec![f64::NAN; length + self.horizon]; self.wide.names.len()];
        let mut last: Option<&WideRow> = None;
        for row in self.wide.rows.iter().filter(|row| self.is_of(row)) {
            if let Some(before) = last.filter(|before| before.at >= row.at) {
                let reason = format!(
                    "{} does not come after {} in line {}; give each step one row, in order of time",
                    row.at, before.at, before.line
                );
                return self.bad(row.line, reason);
            }
            last = Some(row);
            let since = row.at.as_second() - series.start().as_second();
            let step = series.step().seconds();
            if since % step != 0 || row.at.subsec_nanosecond() != 0 {
                let reason = format!(
                    "ds is {}, which is no step of the load: one every {} s from {} on",
                    row.at,
                    step,
                    series.start()
                );
                return self.bad(row.line, reason);
            }
            let index = since / step;
            for (name, value) in self.wide.names.iter().zip(&row.values) {
                if !known.contains(name) && value.is_finite() && index >= length as i64 {
                    let reason = format!(
                        "{name} is known up to now only, but has a value at {}, and the load ends \
                         before {end}; empty the field, or name it in --known if it is known ahead",
                        row.at
                    );
                    return self.bad(row.line, reason);
                }
            }
            let Ok(index) = usize::try_from(index) else { continue };
            if index < lines.len() {
                lines[index] = row.line;
                columns.iter_mut().zip(&row.values).for_each(|(column, v)| column[index] = *v);
            }
        }
        let Some(last) = last else {
            let name = &self.named.name;
            let reason = format!("there is no row of the series {name}");
            return Err(FileError::Series { path: self.path.clone(), reason });
        };
        Ok(Placed { columns, lines, last: last.line })
    }

    fn columns(
        &self,
        known: &[String],
        notes: &mut Vec<String>,
    ) -> Result<Vec<Outside>, FileError> {
        let Placed { columns, lines, last } = self.placed(known)?;
        let named = self.wide.names.iter().zip(columns);
        let one = |(name, values): (&String, Vec<f64>)| {
            let reach = if known.contains(name) { Reach::KnownAhead } else { Reach::PastOnly };
            let outside = Outside { name: name.clone(), reach, values };
            self.checked(outside, &lines, last, notes)
        };
        named.map(one).collect()
    }

    /// A column, once all is there that has to be.
    fn checked(
        &self,
        mut outside: Outside,
        lines: &[u64],
        last: u64,
        notes: &mut Vec<String>,
    ) -> Result<Outside, FileError> {
        let series = &self.named.series;
        let length = series.values().len();
        let (name, values) = (&outside.name, &outside.values);
        let gaps = values[..length].iter().filter(|value| !value.is_finite()).count();
        if gaps == length {
            let (start, end) = (series.start(), series.end());
            let reason =
                format!("{name} has no value between {start} and {end}, where the load is");
            return self.bad(last, reason);
        }
        if gaps > 0 {
            notes.push(format!(
                "{name} has no value for {gaps} of {length} steps: the value before each holds on"
            ));
        }
        if outside.reach == Reach::PastOnly {
            outside.values.truncate(length);
            return Ok(outside);
        }
        match (length..values.len()).find(|index| !values[*index].is_finite()) {
            None => Ok(outside),
            Some(index) => {
                let reason = format!(
                    "{name} is known ahead, but has no value at {}; the forecast needs one for \
                     every step before {}",
                    series.at(index),
                    series.at(values.len())
                );
                self.bad(if lines[index] > 0 { lines[index] } else { last }, reason)
            }
        }
    }

    fn is_of(&self, row: &WideRow) -> bool {
        row.series.as_ref().is_none_or(|name| *name == self.named.name)
    }
}
