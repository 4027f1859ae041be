//! Outside series from a CSV file with a column for each.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use domain::config::hint;
use domain::ports::{PortError, Retry, SignalSource, Tells};
use domain::series::Sample;
use domain::signal::{Reach, Signal};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::load::file::{FileError, Wide, WideRow, read_wide};

/// Outside series from a CSV file: `ds`, a column for each, and `unique_id` where it holds those of
/// several series. A value holds until the next; an empty field is a gap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CsvSignalsConfig {
    /// The file; a relative path is relative to the file that names it.
    pub path: PathBuf,
    /// Which `unique_id`; may be left out when the file has no such column, or one series only.
    #[serde(default)]
    pub series: Option<String>,
    /// The columns whose future is known and given, as that of prices is. The others are known up to
    /// now only: what the file says of later is not read.
    #[serde(default)]
    pub known: Vec<String>,
}

/// A file that is read at every call.
#[derive(Debug, Clone)]
pub struct CsvSignals {
    path: PathBuf,
    config: CsvSignalsConfig,
}

impl CsvSignals {
    /// A source; the file is opened at the first call.
    pub fn new(config: CsvSignalsConfig, base_dir: &Path) -> Self {
        Self { path: base_dir.join(&config.path), config }
    }

    fn read(
        &self,
        from: Timestamp,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Signal>, FileError> {
        let wide = read_wide(&self.path)?;
        let rows = self.rows(&wide)?;
        let unknown = self.config.known.iter().find(|name| !wide.names.contains(name));
        if let Some(name) = unknown {
            let near = hint(name, wide.names.iter().map(String::as_str));
            return Err(self.bad(format!("known: there is no column {name:?}{near}")));
        }
        let one = |(index, name): (usize, &String)| {
            let (reach, end) = if self.config.known.contains(name) {
                (Reach::KnownAhead, until)
            } else {
                (Reach::PastOnly, until.min(now))
            };
            let within = rows.iter().filter(|row| from <= row.at && row.at < end);
            let sample = |row: &&WideRow| Sample { at: row.at, value: row.values[index] };
            let samples = within.map(sample).filter(|sample| sample.value.is_finite()).collect();
            Signal::Series { name: name.clone(), reach, samples }
        };
        Ok(wide.names.iter().enumerate().map(one).collect())
    }

    /// The rows of the series that is meant.
    fn rows<'a>(&self, wide: &'a Wide) -> Result<Vec<&'a WideRow>, FileError> {
        let wanted = match &self.config.series {
            Some(name) => Some(name),
            None => wide.rows.first().and_then(|row| row.series.as_ref()),
        };
        let is_wanted = |row: &&WideRow| row.series.is_none() || row.series.as_ref() == wanted;
        let ids = wide.rows.iter().filter_map(|row| row.series.as_deref());
        let other = wide.rows.iter().find(|row| !is_wanted(row));
        if self.config.series.is_none() && other.is_some() {
            return Err(self.bad("holds several series; set series to one of them".into()));
        }
        let rows: Vec<&WideRow> = wide.rows.iter().filter(is_wanted).collect();
        if let (Some(name), true) = (&self.config.series, rows.is_empty()) {
            return Err(self.bad(format!("has no series {name:?}{}", hint(name, ids))));
        }
        match rows.windows(2).find(|pair| pair[1].at <= pair[0].at) {
            None => Ok(rows),
            Some(pair) => Err(FileError::Line {
                path: self.path.clone(),
                line: pair[1].line,
                reason: format!(
                    "{} does not come after {} in line {}; give rows in order of time, each time \
                     once",
                    pair[1].at, pair[0].at, pair[0].line
                ),
            }),
        }
    }

    fn bad(&self, reason: String) -> FileError {
        FileError::Series { path: self.path.clone(), reason }
    }
}

#[async_trait]
impl SignalSource for CsvSignals {
    fn tells(&self) -> Tells {
        Tells::Series
    }

    async fn signals(
        &self,
        from: Timestamp,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Signal>, PortError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
            PortError::new("csv", "read signals", Retry::Never, source)
        };
        let own = self.clone();
        let joined = tokio::task::spawn_blocking(move || own.read(from, now, until)).await;
        joined.map_err(|error| failed(error.into()))?.map_err(|error| failed(error.into()))
    }
}
