//! Parquet: the same columns, as pandas, polars, Spark or DuckDB write them.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use domain::series::Sample;
use jiff::Timestamp;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::{Type, TypePtr};

use super::table::Table;
use super::{FileError, ONLY_SERIES, text};

/// Where a column is, and how its whole numbers count time.
struct Columns {
    id: Option<usize>,
    ds: usize,
    y: usize,
    /// Units of an integer `ds` in a second.
    per_second: Option<i64>,
}

pub(super) fn read(path: &Path, file: File) -> Result<Vec<(String, Vec<Sample>)>, FileError> {
    let unreadable = |reason: String| FileError::Unreadable { path: path.to_path_buf(), reason };
    // The library is fuzzed, but a panic on a broken file would still be the file's fault.
    let read = catch_unwind(AssertUnwindSafe(|| rows(path, file)));
    read.unwrap_or_else(|_| Err(unreadable("it is broken Parquet; write it again".into())))
}

fn rows(path: &Path, file: File) -> Result<Vec<(String, Vec<Sample>)>, FileError> {
    let broken = |error: parquet::errors::ParquetError| FileError::Unreadable {
        path: path.to_path_buf(),
        reason: format!("{error}; write it as Parquet, uncompressed or with Snappy, or as CSV"),
    };
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    let schema = reader.metadata().file_metadata().schema();
    let (columns, wanted) = columns(schema).map_err(|reason| FileError::Header {
        path: path.to_path_buf(),
        line: 1,
        reason,
    })?;
    let mut table = Table::default();
    for (index, row) in reader.get_row_iter(Some(wanted)).map_err(broken)?.enumerate() {
        let row = row.map_err(broken)?;
        sample(&row, &columns, &mut table).map_err(|reason| FileError::Line {
            path: path.to_path_buf(),
            line: index as u64 + 1,
            reason,
        })?;
    }
    if table.is_empty() {
        return Err(FileError::Empty { path: path.to_path_buf() });
    }
    Ok(table.series())
}

/// The three columns, and the schema with no other.
fn columns(schema: &Type) -> Result<(Columns, Type), String> {
    let wanted: Vec<TypePtr> = schema
        .get_fields()
        .iter()
        .filter(|field| ["unique_id", "ds", "y"].contains(&field.name()))
        .cloned()
        .collect();
    let find = |name: &str| wanted.iter().position(|field| field.name() == name);
    let missing = |name: &str| {
        let found: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
        format!("the column {name} is missing: found {}", found.join(","))
    };
    let ds = find("ds").ok_or_else(|| missing("ds"))?;
    let y = find("y").ok_or_else(|| missing("y"))?;
    let per_second = match wanted[ds].get_basic_info().logical_type_ref() {
        Some(LogicalType::Timestamp(time)) => Some(match time.unit {
            TimeUnit::MILLIS => 1_000,
            TimeUnit::MICROS => 1_000_000,
            TimeUnit::NANOS => 1_000_000_000,
        }),
        _ => None,
    };
    let columns = Columns { id: find("unique_id"), ds, y, per_second };
    let schema = Type::group_type_builder(schema.name()).with_fields(wanted).build();
    schema.map(|schema| (columns, schema)).map_err(|error| error.to_string())
}

fn sample(row: &Row, columns: &Columns, table: &mut Table) -> Result<(), String> {
    let field = |index: usize| row.get_column_iter().nth(index).map(|(_, field)| field);
    let at = time(field(columns.ds), columns.per_second)?;
    let value = number(field(columns.y))?;
    let name = match columns.id.and_then(field) {
        None => ONLY_SERIES.to_owned(),
        Some(Field::Str(name)) => name.clone(),
        Some(Field::Bytes(name)) => String::from_utf8_lossy(name.data()).into_owned(),
        Some(Field::Null) => String::new(),
        Some(other) => other.to_string(),
    };
    table.push(name.as_bytes(), Sample { at, value })
}

fn time(field: Option<&Field>, per_second: Option<i64>) -> Result<Timestamp, String> {
    let of = |count: i64, per_second: i64| {
        let (seconds, rest) = (count.div_euclid(per_second), count.rem_euclid(per_second));
        let nanos = i32::try_from(rest * (1_000_000_000 / per_second)).ok();
        nanos.and_then(|nanos| Timestamp::new(seconds, nanos).ok())
    };
    let at = match field {
        Some(Field::TimestampMillis(count)) => of(*count, 1_000),
        Some(Field::TimestampMicros(count)) => of(*count, 1_000_000),
        Some(Field::Long(count)) => per_second.and_then(|per_second| of(*count, per_second)),
        Some(Field::Date(days)) => of(i64::from(*days) * 86_400, 1),
        Some(Field::Str(text)) => return text::time(text.as_bytes()),
        _ => None,
    };
    at.ok_or_else(|| match field {
        None | Some(Field::Null) => "ds is empty; every row has a time".to_owned(),
        Some(other) => format!("ds is {other}; expected a timestamp, a date, or text in RFC 3339"),
    })
}

fn number(field: Option<&Field>) -> Result<f64, String> {
    let value = match field {
        None | Some(Field::Null) => return Ok(f64::NAN),
        Some(Field::Double(value)) => *value,
        Some(Field::Float(value)) => f64::from(*value),
        Some(Field::Byte(value)) => f64::from(*value),
        Some(Field::Short(value)) => f64::from(*value),
        Some(Field::Int(value)) => f64::from(*value),
        Some(Field::Long(value)) => *value as f64,
        Some(Field::UByte(value)) => f64::from(*value),
        Some(Field::UShort(value)) => f64::from(*value),
        Some(Field::UInt(value)) => f64::from(*value),
        Some(Field::ULong(value)) => *value as f64,
        Some(other) => return Err(format!("y is {other}; expected a number, or null for a gap")),
    };
    if value.is_infinite() {
        return Err(format!("y is {value}; expected a finite number, or null for a gap"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
