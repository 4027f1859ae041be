//! Load from a CSV file in the long format `unique_id,ds,y`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use csv::{ByteRecord, ReaderBuilder, Trim};
use domain::ports::{LoadSource, PortError, Retry};
use domain::series::Sample;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use schemars::JsonSchema;
use serde::Deserialize;

/// The largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 30;

/// The most characters of the file that an error repeats.
const MAX_QUOTE: usize = 40;

/// The name of the only series of a file without the column `unique_id`.
pub const ONLY_SERIES: &str = "series";

/// Load from a CSV file with the columns `ds` (RFC 3339, or `YYYY-MM-DD HH:MM:SS` as UTC), `y`
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

/// A file that cannot be used as load, with the place and the way out.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the operating system, or the file's beginning, says.
        reason: String,
    },
    /// There is no sample in it.
    #[error(
        "{}: holds no sample: write the header unique_id,ds,y and one line per sample",
        path.display()
    )]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// The first line is not a header that can be used.
    #[error("{}:{line}: {reason}; the header is unique_id,ds,y (unique_id only for several series)", path.display())]
    Header {
        /// Which file.
        path: PathBuf,
        /// The line of the header.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// One line is wrong.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// The line, 1 for the first.
        line: u64,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// The series is not in the file, or it must be said which one is meant.
    #[error("{}: {reason}", path.display())]
    Series {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and which series there are.
        reason: String,
    },
}

/// Every series of a file, in the order of appearance, each in rising order of time; `NaN` is a
/// gap. A file without the column `unique_id` holds one series, [`ONLY_SERIES`].
///
/// Reads the whole file, blocking.
///
/// # Errors
/// Anything but a header, times that do not fall within a series, and finite numbers or empty
/// fields; see [`CsvError`].
pub fn read_series(path: &Path) -> Result<Vec<(String, Vec<Sample>)>, CsvError> {
    let unreadable = |reason: String| CsvError::Unreadable { path: path.to_path_buf(), reason };
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let about = file.metadata().map_err(|error| unreadable(error.to_string()))?;
    if about.is_dir() {
        return Err(unreadable("it is a folder; name the file".into()));
    }
    if about.len() > MAX_BYTES {
        return Err(unreadable(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    let mut input = BufReader::with_capacity(1 << 18, file.take(MAX_BYTES));
    let start = input.fill_buf().map_err(|error| unreadable(error.to_string()))?;
    if start.starts_with(b"PAR1") {
        return Err(unreadable("it is a Parquet file, which is not supported yet".into()));
    }
    if start.contains(&0) {
        return Err(unreadable("it is not UTF-8 text; save it as CSV in UTF-8".into()));
    }
    parse(path, input)
}

/// Where the columns are.
#[derive(Debug, Clone, Copy)]
struct Columns {
    id: Option<usize>,
    ds: usize,
    y: usize,
    count: usize,
}

/// The series as they grow.
#[derive(Default)]
struct Table {
    series: Vec<(String, Vec<Sample>)>,
    index: HashMap<Vec<u8>, usize>,
    /// The series of the line before: neighbours mostly belong together.
    last: usize,
}

impl Table {
    fn of(&mut self, name: &[u8]) -> Result<&mut Vec<Sample>, String> {
        let same = self.series.get(self.last).is_some_and(|(last, _)| last.as_bytes() == name);
        if !same {
            self.last = match self.index.get(name) {
                Some(index) => *index,
                None => {
                    let text = std::str::from_utf8(name).map_err(|_| {
                        "unique_id is not UTF-8; save the file in UTF-8".to_string()
                    })?;
                    if text.is_empty() {
                        return Err("unique_id is empty; every line names its series".into());
                    }
                    self.series.push((text.to_string(), Vec::new()));
                    self.index.insert(name.to_vec(), self.series.len() - 1);
                    self.series.len() - 1
                }
            };
        }
        Ok(&mut self.series[self.last].1)
    }
}

fn parse(path: &Path, input: impl Read) -> Result<Vec<(String, Vec<Sample>)>, CsvError> {
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(input);
    let at_line =
        |line: u64, reason: String| CsvError::Line { path: path.to_path_buf(), line, reason };
    let mut record = ByteRecord::new();
    let mut columns = None;
    let mut table = Table::default();
    loop {
        let before = reader.position().line();
        let more = reader
            .read_byte_record(&mut record)
            .map_err(|error| at_line(before, format!("cannot be read: {error}")))?;
        if !more {
            break;
        }
        let place = record.position().cloned().unwrap_or_else(csv::Position::new);
        let Some(columns) = columns else {
            let found = header(&record).map_err(|reason| CsvError::Header {
                path: path.to_path_buf(),
                line: line(path, &place),
                reason,
            })?;
            columns = Some(found);
            continue;
        };
        row(&record, columns, &mut table).map_err(|reason| at_line(line(path, &place), reason))?;
    }
    if table.series.is_empty() {
        return Err(CsvError::Empty { path: path.to_path_buf() });
    }
    Ok(table.series)
}

/// The line where a record begins. Its place may lie before empty lines, which the reader skips,
/// so the file is looked at again; a file that cannot be rewound leaves the number as it is.
fn line(path: &Path, place: &csv::Position) -> u64 {
    let skipped = || -> io::Result<u64> {
        if !std::fs::metadata(path)?.is_file() {
            return Ok(0);
        }
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(place.byte()))?;
        let mut lines = 0;
        for byte in BufReader::new(file).bytes() {
            match byte? {
                b'\n' => lines += 1,
                b'\r' => {}
                _ => break,
            }
        }
        Ok(lines)
    };
    place.line() + skipped().unwrap_or(0)
}

fn header(record: &ByteRecord) -> Result<Columns, String> {
    let find = |name: &str| -> Result<Option<usize>, String> {
        let mut places = (0..record.len()).filter(|index| &record[*index] == name.as_bytes());
        match (places.next(), places.next()) {
            (_, Some(_)) => Err(format!("the column {name} is there twice")),
            (place, None) => Ok(place),
        }
    };
    let found = || {
        let line = record.iter().map(quote).collect::<Vec<_>>().join(",");
        let hint = if record.len() == 1 && (record[0].contains(&b';') || record[0].contains(&b'\t'))
        {
            " (columns are separated by commas)"
        } else {
            ""
        };
        format!("found {line}{hint}")
    };
    match (find("unique_id")?, find("ds")?, find("y")?) {
        (id, Some(ds), Some(y)) => Ok(Columns { id, ds, y, count: record.len() }),
        (_, None, None) => Err(format!("the header is missing: {}", found())),
        (_, None, _) => Err(format!("the column ds is missing: {}", found())),
        (_, _, None) => Err(format!("the column y is missing: {}", found())),
    }
}

fn row(record: &ByteRecord, columns: Columns, table: &mut Table) -> Result<(), String> {
    if record.len() != columns.count {
        return Err(format!(
            "has {} fields where the header has {}; a field with a comma needs quotes",
            record.len(),
            columns.count
        ));
    }
    let at = time(&record[columns.ds])?;
    let value = number(&record[columns.y])?;
    let name = columns.id.map_or(ONLY_SERIES.as_bytes(), |id| &record[id]);
    let samples = table.of(name)?;
    if let Some(last) = samples.last()
        && at < last.at
    {
        return Err(format!(
            "{at} comes after {} in the same series; sort the file by unique_id and ds",
            last.at
        ));
    }
    samples.push(Sample { at, value });
    Ok(())
}

fn time(field: &[u8]) -> Result<Timestamp, String> {
    let expected = || {
        format!(
            "ds is {}; expected a time such as 2026-05-04T13:00:00Z or 2026-05-04 13:00:00 (UTC)",
            quote(field)
        )
    };
    let text = std::str::from_utf8(field).map_err(|_| expected())?;
    let local = match text.len() {
        10 => text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0)),
        19 => text.parse::<DateTime>().ok(),
        _ => None,
    };
    if let Some(local) = local {
        return Offset::UTC.to_timestamp(local).map_err(|_| expected());
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let local = text.parse::<DateTime>().map_err(|_| expected())?;
    Offset::UTC.to_timestamp(local).map_err(|_| expected())
}

fn number(field: &[u8]) -> Result<f64, String> {
    if field.is_empty() || field.eq_ignore_ascii_case(b"nan") {
        return Ok(f64::NAN);
    }
    let parsed = std::str::from_utf8(field).ok().and_then(|text| text.parse::<f64>().ok());
    parsed.filter(|value| value.is_finite()).ok_or_else(|| {
        format!("y is {}; expected a number such as 1234.5, or nothing for a gap", quote(field))
    })
}

/// A field as an error may show it: short and printable.
fn quote(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field);
    if text.is_empty() {
        return "empty".into();
    }
    let short: String = text.chars().take(MAX_QUOTE).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{:?}{more}", short)
}

/// The series that is meant, out of those of a file.
fn choose(
    path: &Path,
    series: Vec<(String, Vec<Sample>)>,
    wanted: Option<&str>,
) -> Result<Vec<Sample>, CsvError> {
    let error = |reason: String| CsvError::Series { path: path.to_path_buf(), reason };
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

    fn load(&self) -> Result<Arc<Vec<Sample>>, CsvError> {
        let about = std::fs::metadata(&self.path).map_err(|error: io::Error| {
            CsvError::Unreadable { path: self.path.clone(), reason: error.to_string() }
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
