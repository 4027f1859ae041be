//! Load from a file in the long format `unique_id,ds,y`, CSV or Parquet.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use domain::ports::{LoadSource, PortError, Retry};
use domain::series::Sample;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::file::{FileError, read_series};

/// Load from a CSV or Parquet file with the columns `ds` (RFC 3339, or `YYYY-MM-DD HH:MM:SS` as UTC), `y`
/// (a number, or empty for a gap) and, where it holds several series, `unique_id`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CsvConfig {
    /// The file; a relative path is relative to the file that names it.
    pub path: PathBuf,
    /// Which `unique_id`; may be left out when the file holds one series only.
    #[serde(default)]
    pub series: Option<String>,
}

/// The series that is meant, out of those of a file.
fn choose(
    path: &Path,
    series: Vec<(String, Vec<Sample>)>,
    wanted: Option<&str>,
) -> Result<Vec<Sample>, FileError> {
    let error = |reason: String| FileError::Series { path: path.to_path_buf(), reason };
    let names: Vec<String> = series.iter().map(|(name, _)| name.clone()).collect();
    let listed = || {
        let shown = names.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
        if names.len() > 10 { format!("{shown}, … ({} in all)", names.len()) } else { shown }
    };
    let Some(wanted) = wanted else {
        let mut series = series.into_iter();
        return match (series.next(), series.next()) {
            (Some((_, samples)), None) => Ok(samples),
            _ => Err(error(format!("holds several series; set series to one of {}", listed()))),
        };
    };
    if let Some((_, samples)) = series.into_iter().find(|(name, _)| name == wanted) {
        return Ok(samples);
    }
    let near = names
        .iter()
        .map(|name| (strsim::osa_distance(name, wanted), name))
        .filter(|(distance, _)| *distance * 3 <= wanted.chars().count())
        .min_by_key(|(distance, _)| *distance);
    let near = near.map_or(String::new(), |(_, name)| format!(" (did you mean {name}?)"));
    Err(error(format!("has no series {wanted:?}{near}; it holds {}", listed())))
}

/// What a file was like when it was read.
type Stamp = (u64, Option<SystemTime>);

/// What was read, and when it was like that.
type Reading = (Stamp, Arc<Vec<Sample>>);

/// A file as a load source. It is read again whenever its length or time of change differs.
#[derive(Debug, Clone)]
pub struct CsvLoad {
    path: PathBuf,
    series: Option<String>,
    read: Arc<Mutex<Option<Reading>>>,
}

impl CsvLoad {
    /// A source; the file is opened at the first call.
    pub fn new(config: CsvConfig, base_dir: &Path) -> Self {
        Self {
            path: base_dir.join(config.path),
            series: config.series,
            read: Arc::new(Mutex::new(None)),
        }
    }

    fn load(&self) -> Result<Arc<Vec<Sample>>, FileError> {
        let about = std::fs::metadata(&self.path).map_err(|error: io::Error| {
            FileError::Unreadable { path: self.path.clone(), reason: error.to_string() }
        })?;
        let stamp = (about.len(), about.modified().ok());
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, samples)) = &*read
            && *known == stamp
        {
            return Ok(samples.clone());
        }
        let series = read_series(&self.path)?;
        let samples = Arc::new(choose(&self.path, series, self.series.as_deref())?);
        *read = Some((stamp, samples.clone()));
        Ok(samples)
    }

    fn failed(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PortError {
        PortError::new("csv", "read load", Retry::Never, source)
    }
}

#[async_trait]
impl LoadSource for CsvLoad {
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
        let own = self.clone();
        let samples = tokio::task::spawn_blocking(move || own.load())
            .await
            .map_err(|error| self.failed(error))?
            .map_err(|error| self.failed(error))?;
        let start = samples.partition_point(|sample| sample.at < from);
        let end = samples.partition_point(|sample| sample.at < to);
        Ok(samples.get(start..end).unwrap_or_default().to_vec())
    }
}

#[cfg(test)]
mod tests;
