//! CSV: every line is checked, and an error names the one that is wrong.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder, Trim};
use domain::series::Sample;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use super::table::Table;
use super::{FileError, ONLY_SERIES};

/// The most characters of the file that an error repeats.
const MAX_QUOTE: usize = 40;

/// Where the columns are.
#[derive(Debug, Clone, Copy)]
struct Columns {
    id: Option<usize>,
    ds: usize,
    y: usize,
    count: usize,
}

pub(super) fn read(path: &Path, input: impl Read) -> Result<Vec<(String, Vec<Sample>)>, FileError> {
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(input);
    let at_line =
        |line: u64, reason: String| FileError::Line { path: path.to_path_buf(), line, reason };
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
            let found = header(&record).map_err(|reason| FileError::Header {
                path: path.to_path_buf(),
                line: line(path, &place),
                reason,
            })?;
            columns = Some(found);
            continue;
        };
        row(&record, columns, &mut table).map_err(|reason| at_line(line(path, &place), reason))?;
    }
    if table.is_empty() {
        return Err(FileError::Empty { path: path.to_path_buf() });
    }
    Ok(table.series())
}

/// The line where a record begins. Its place may lie before empty lines, which the reader skips,
/// so the file is looked at again; a file that cannot be rewound leaves the number as it is.
pub(super) fn line(path: &Path, place: &csv::Position) -> u64 {
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
    table.push(name, Sample { at, value })
}

/// A moment as files write it.
pub(super) fn time(field: &[u8]) -> Result<Timestamp, String> {
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
pub(super) fn quote(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field);
    if text.is_empty() {
        return "empty".into();
    }
    let short: String = text.chars().take(MAX_QUOTE).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{:?}{more}", short)
}
