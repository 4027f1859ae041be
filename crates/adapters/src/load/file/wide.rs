//! CSV with a column for each signal: `unique_id` (optional), `ds`, and the signals.

use std::fs::File;
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder, Trim};
use jiff::Timestamp;

use super::{FileError, MAX_BYTES, text};

/// A file of signals.
#[derive(Debug, Clone, PartialEq)]
pub struct Wide {
    /// The names of the signals.
    pub names: Vec<String>,
    /// The rows, in the order of the file.
    pub rows: Vec<WideRow>,
}

/// One row of it.
#[derive(Debug, Clone, PartialEq)]
pub struct WideRow {
    /// Its line in the file, from 1.
    pub line: u64,
    /// Its series; `None` in a file without `unique_id`, whose signals are those of every series.
    pub series: Option<String>,
    /// When.
    pub at: Timestamp,
    /// One value for each signal; `NaN` is a gap.
    pub values: Vec<f64>,
}

/// Reads a whole file, blocking.
///
/// # Errors
/// Anything but a header with `ds` and at least one signal, times, and finite numbers or empty
/// fields; see [`FileError`].
pub fn read_wide(path: &Path) -> Result<Wide, FileError> {
    let unreadable = |reason: String| FileError::Unreadable { path: path.to_path_buf(), reason };
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let about = file.metadata().map_err(|error| unreadable(error.to_string()))?;
    if about.is_dir() {
        return Err(unreadable("it is a folder; name the file".into()));
    }
    if about.len() > MAX_BYTES {
        return Err(unreadable(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(file);
    let mut record = ByteRecord::new();
    let mut header: Option<Header> = None;
    let mut rows = Vec::new();
    loop {
        let before = reader.position().line();
        let bad = |line, reason| FileError::Line { path: path.to_path_buf(), line, reason };
        let more = reader.read_byte_record(&mut record);
        if !more.map_err(|error| bad(before, format!("cannot be read: {error}")))? {
            break;
        }
        let place = record.position().cloned().unwrap_or_else(csv::Position::new);
        let line = text::line(path, &place);
        match &header {
            None => header = Some(Header::of(&record).map_err(|reason| bad(line, reason))?),
            Some(header) => {
                rows.push(header.row(&record, line).map_err(|reason| bad(line, reason))?);
            }
        }
    }
    match header {
        Some(header) if !rows.is_empty() => {
            Ok(Wide { names: header.signals.into_iter().map(|(_, name)| name).collect(), rows })
        }
        _ => Err(unreadable(
            "it holds no row: write the header ds,NAME,… and one row per step".into(),
        )),
    }
}

/// Where the columns are.
struct Header {
    id: Option<usize>,
    ds: usize,
    signals: Vec<(usize, String)>,
    count: usize,
}

impl Header {
    fn of(record: &ByteRecord) -> Result<Self, String> {
        let names: Vec<String> =
            record.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
        let names: Vec<&str> = names.iter().map(|n| n.trim_start_matches('\u{feff}')).collect();
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() {
                return Err(format!("column {} has no name", index + 1));
            }
            if names[..index].contains(name) {
                return Err(format!("the column {name} is there twice"));
            }
        }
        let find = |wanted: &str| names.iter().position(|name| *name == wanted);
        let Some(ds) = find("ds") else {
            return Err(format!("the column ds is missing: found {}", names.join(",")));
        };
        let id = find("unique_id");
        // The load itself, as in a file for Prophet that holds everything, is no signal.
        let is_signal =
            |(index, name): &(usize, &&str)| *index != ds && Some(*index) != id && **name != "y";
        let signals: Vec<(usize, String)> = names
            .iter()
            .enumerate()
            .filter(is_signal)
            .map(|(index, name)| (index, (*name).to_owned()))
            .collect();
        if signals.is_empty() {
            return Err("there is no signal: write the header ds,NAME,…".into());
        }
        Ok(Self { id, ds, signals, count: record.len() })
    }

    fn row(&self, record: &ByteRecord, line: u64) -> Result<WideRow, String> {
        if record.len() != self.count {
            let (found, wanted) = (record.len(), self.count);
            return Err(format!("has {found} fields where the header has {wanted}"));
        }
        let at = text::time(&record[self.ds])?;
        let series = self.id.map(|id| String::from_utf8_lossy(&record[id]).into_owned());
        if series.as_ref().is_some_and(String::is_empty) {
            return Err("unique_id is empty; every row names its series".into());
        }
        let value = |(index, name): &(usize, String)| number(&record[*index], name);
        Ok(WideRow {
            line,
            series,
            at,
            values: self.signals.iter().map(value).collect::<Result<_, _>>()?,
        })
    }
}

fn number(field: &[u8], name: &str) -> Result<f64, String> {
    if field.is_empty() || field.eq_ignore_ascii_case(b"nan") {
        return Ok(f64::NAN);
    }
    let parsed = std::str::from_utf8(field).ok().and_then(|text| text.parse::<f64>().ok());
    parsed.filter(|value| value.is_finite()).ok_or_else(|| {
        let found = text::quote(field);
        format!("{name} is {found}; expected a number such as 1234.5, or nothing for a gap")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Wide, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        std::fs::write(&path, text).unwrap();
        read_wide(&path).map_err(|error| {
            let error = error.to_string();
            error.split_once("x.csv").expect("an error names its file").1.to_owned()
        })
    }

    #[test]
    fn columns_are_signals_and_empty_fields_gaps() {
        let wide =
            read("ds,y,price,promo\n2026-05-04,9,1.5,\n2026-05-04T01:00:00Z,9,2,1\n").unwrap();
        assert_eq!(wide.names, ["price", "promo"]);
        assert_eq!((wide.rows[1].line, wide.rows[1].values.clone()), (3, vec![2.0, 1.0]));
        assert!(wide.rows[0].values[1].is_nan() && wide.rows[0].series.is_none());
        let wide = read("unique_id,ds,x\na,2026-05-04,1\n").unwrap();
        assert_eq!(wide.rows[0].series.as_deref(), Some("a"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let refused = |text: &str, what: &str| {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(what), "{error}");
        };
        refused("", ": cannot be read: it holds no row");
        refused("ds,x\n", ": cannot be read: it holds no row");
        refused("time,x\n1,2\n", ":1: the column ds is missing: found time,x");
        refused("ds,y\n2026-05-04,2\n", ":1: there is no signal");
        refused("ds,x,x\n", ":1: the column x is there twice");
        refused("ds,x,\n", ":1: column 3 has no name");
        refused("ds,x\nnow,2\n", ":2: ds is \"now\"");
        refused("ds,x\n2026-05-04,many\n", ":2: x is \"many\"; expected a number");
        refused("ds,x\n2026-05-04,inf\n", ":2: x is \"inf\"");
        refused("ds,x\n2026-05-04\n", ":2: has 1 fields where the header has 2");
        refused("unique_id,ds,x\n,2026-05-04,1\n", ":2: unique_id is empty");
    }
}
