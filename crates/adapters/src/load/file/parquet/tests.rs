use std::path::PathBuf;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::super::read_series;

/// One row: series, time, value.
type Line = (&'static str, i64, Option<f64>);

/// Writes the rows under a schema with the columns `unique_id`, `ds` and `y`.
fn write(schema: &str, rows: &[Line]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("load.parquet");
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let snappy = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(snappy)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let names: Vec<ByteArray> = rows.iter().map(|(name, _, _)| ByteArray::from(*name)).collect();
    column.typed::<ByteArrayType>().write_batch(&names, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let times: Vec<i64> = rows.iter().map(|(_, at, _)| *at).collect();
    column.typed::<Int64Type>().write_batch(&times, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let known: Vec<i16> = rows.iter().map(|(_, _, y)| i16::from(y.is_some())).collect();
    let values: Vec<f64> = rows.iter().filter_map(|(_, _, y)| *y).collect();
    column.typed::<DoubleType>().write_batch(&values, Some(&known), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    (folder, path)
}

fn schema(time: &str) -> String {
    format!(
        "message load {{ required binary unique_id (UTF8); required int64 ds ({time}); \
         optional double y; }}"
    )
}

#[test]
fn series_times_and_gaps_are_read_in_every_unit_of_time() {
    for (unit, factor) in [("MILLIS", 1_000), ("MICROS", 1_000_000), ("NANOS", 1_000_000_000)] {
        let noon = 1_777_896_000 * factor;
        let rows = [("b", noon, Some(1.5)), ("a", noon, Some(-3.0)), ("b", noon + factor, None)];
        let (_folder, path) = write(&schema(&format!("TIMESTAMP({unit},true)")), &rows);
        let series = read_series(&path).unwrap();
        assert_eq!(series.len(), 2);
        let (name, samples) = &series[0];
        assert_eq!((name.as_str(), samples.len()), ("b", 2));
        assert_eq!(samples[0].at.to_string(), "2026-05-04T12:00:00Z");
        assert_eq!(samples[1].at.as_second() - samples[0].at.as_second(), 1);
        assert!(samples[0].value == 1.5 && samples[1].value.is_nan());
        assert_eq!(series[1].0, "a");
    }
}

#[test]
fn a_wrong_row_or_column_is_named() {
    let day = schema("TIMESTAMP(MILLIS,true)");
    let (_folder, path) = write(&day, &[("a", 2_000, Some(1.0)), ("a", 1_000, Some(2.0))]);
    let error = read_series(&path).unwrap_err().to_string();
    assert!(error.contains("load.parquet:2: 1970-01-01T00:00:01Z comes after"), "{error}");

    let (_folder, path) = write(&day, &[("a", 1_000, Some(f64::INFINITY))]);
    let error = read_series(&path).unwrap_err().to_string();
    assert!(error.contains("y is inf; expected a finite number"), "{error}");

    let plain =
        "message load { required binary unique_id (UTF8); required int64 ds; optional double y; }";
    let (_folder, path) = write(plain, &[("a", 1_000, Some(1.0))]);
    let error = read_series(&path).unwrap_err().to_string();
    assert!(error.contains("ds is 1000; expected a timestamp"), "{error}");

    let other = "message load { required binary name (UTF8); required int64 ds (TIMESTAMP(MILLIS,true)); optional double load; }";
    let (_folder, path) = write(other, &[("a", 1_000, Some(1.0))]);
    let error = read_series(&path).unwrap_err().to_string();
    assert!(error.contains("the column y is missing: found name,ds,load"), "{error}");

    let (_folder, path) = write(&day, &[]);
    assert!(read_series(&path).unwrap_err().to_string().contains("holds no sample"));
}

#[test]
fn a_broken_file_is_an_error_at_every_length() {
    let rows: Vec<Line> = (0..50).map(|i| ("a", i * 1_000, Some(i as f64))).collect();
    let (folder, path) = write(&schema("TIMESTAMP(MILLIS,true)"), &rows);
    let whole = std::fs::read(&path).unwrap();
    let broken = folder.path().join("broken.parquet");
    for length in (4..whole.len() - 1).step_by(7) {
        std::fs::write(&broken, &whole[..length]).unwrap();
        let error = read_series(&broken).unwrap_err().to_string();
        assert!(error.contains("broken.parquet: cannot be read"), "{error}");
    }
    // A flipped bit may hit a value and pass; it never ends the process.
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        std::fs::write(&broken, &bytes).unwrap();
        let _ = read_series(&broken);
    }
}
