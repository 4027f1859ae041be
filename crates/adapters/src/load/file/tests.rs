use std::path::PathBuf;

use jiff::Timestamp;

use super::*;

fn write(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("load.csv");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn read(text: impl AsRef<[u8]>) -> Result<Vec<(String, Vec<Sample>)>, FileError> {
    let (_folder, path) = write(text);
    read_series(&path)
}

/// The message without the folder, which differs from run to run.
#[track_caller]
fn refused(text: impl AsRef<[u8]>, expected: &str) {
    let error = read(text).expect_err("the file is wrong").to_string();
    let message = error.split_once("load.csv").expect("an error names its file").1;
    assert!(message.starts_with(expected), "{message}");
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn series_are_read_in_the_order_of_appearance() {
    let series = read(
        "unique_id,ds,y\n\
         b,2026-05-04 13:00:00,1\n\
         a,2026-05-04T15:00:00+02:00,2.5e3\n\
         b,2026-05-04 13:01:00,\n\
         a,2026-05-04T13:01:00Z,-3\n\
         b,2026-05-05,NaN\n",
    )
    .unwrap();
    assert_eq!(series.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(series[1].1[0], Sample { at: at("2026-05-04T13:00:00Z"), value: 2500.0 });
    assert_eq!(series[1].1[1].value, -3.0);
    let b = &series[0].1;
    assert_eq!(b[0], Sample { at: at("2026-05-04T13:00:00Z"), value: 1.0 });
    assert_eq!(b[1].at, at("2026-05-04T13:01:00Z"));
    assert!(b[1].value.is_nan() && b[2].value.is_nan());
    assert_eq!(b[2].at, at("2026-05-05T00:00:00Z"));
}

#[test]
fn what_spreadsheets_write_is_understood() {
    let series = read(
        "\u{feff}\"ds\",\"note\",\"y\"\r\n\
         \"2026-05-04 13:00:00\",\"a, b\",\"1.5\"\r\n\
         \r\n\
         2026-05-04 13:00:00.5 , x , 2 ",
    )
    .unwrap();
    assert_eq!(series.len(), 1);
    let (name, samples) = &series[0];
    assert_eq!(name, ONLY_SERIES);
    assert_eq!(samples.iter().map(|sample| sample.value).collect::<Vec<_>>(), [1.5, 2.0]);
    assert_eq!(samples[1].at, at("2026-05-04T13:00:00.5Z"));
}

#[test]
fn equal_times_are_passed_on() {
    let series = read("ds,y\n2026-05-04 13:00:00,1\n2026-05-04 13:00:00,2\n").unwrap();
    assert_eq!(series[0].1.len(), 2);
}

#[test]
fn a_wrong_line_is_named() {
    let good = "ds,y\n2026-05-04 13:00:00,1\n";
    refused(format!("{good}2026-05-04 13:01:00,many"), ":3: y is \"many\"; expected a number");
    refused(format!("{good}2026-05-04 13:01:00,inf"), ":3: y is \"inf\"; expected a number");
    refused(format!("{good}2026-05-04 13:01:00,\u{fb}"), ":3: y is ");
    refused(format!("{good}yesterday,1"), ":3: ds is \"yesterday\"; expected a time such as");
    refused(format!("{good},1"), ":3: ds is empty; expected a time such as");
    refused(format!("{good}17,1"), ":3: ds is \"17\"; expected a time such as");
    refused(format!("{good}2026-13-04 13:00:00,1"), ":3: ds is \"2026-13-04 13:00:00\"");
    refused(format!("{good}2026-05-04 12:59:59,1"), ":3: 2026-05-04T12:59:59Z comes after");
    refused(format!("{good}2026-05-04 13:01:00"), ":3: has 1 fields where the header has 2");
    refused(format!("{good}2026-05-04 13:01:00,1,2"), ":3: has 3 fields where the header has 2");
    refused(format!("{good}\n\n2026-05-04 13:01:00,x"), ":5: y is \"x\"");
    refused("unique_id,ds,y\n,2026-05-04 13:00:00,1", ":2: unique_id is empty");
    refused(b"unique_id,ds,y\n\xff,2026-05-04 13:00:00,1", ":2: unique_id is not UTF-8");
    refused(format!("{good}\"2026-05-04 13:01:00,1\n\n\n"), ":3: has 1 fields");
}

#[test]
fn an_error_repeats_little_of_the_file() {
    let error = read(format!("ds,y\n2026-05-04 13:00:00,{}", "x".repeat(1 << 20))).unwrap_err();
    assert!(error.to_string().len() < 400, "{}", error.to_string().len());
    let error = read(format!("ds,y\n2026-05-04 13:00:00,\u{1b}[31m{}", "x")).unwrap_err();
    assert!(!error.to_string().contains('\u{1b}'), "{error}");
}

#[test]
fn a_wrong_header_is_named() {
    refused("2026-05-04 13:00:00,1\n", ":1: the header is missing: found \"2026-05-04 13:00:00\"");
    refused("unique_id,time,y\n", ":1: the column ds is missing: found \"unique_id\",\"time\"");
    refused("unique_id,ds,load\n", ":1: the column y is missing");
    refused("ds,y,y\n", ":1: the column y is there twice");
    refused("unique_id;ds;y\n", ":1: the header is missing: found \"unique_id;ds;y\" (columns");
}

#[test]
fn a_file_without_samples_is_refused() {
    for text in ["", "\n\n", "ds,y\n", "\u{feff}"] {
        refused(text, ": holds no sample: write the header");
    }
}

#[test]
fn what_is_no_text_is_refused() {
    refused(b"PAR1\x15\x04", ": cannot be read: EOF: Parquet file too small");
    refused(b"\xff\xfed\0s\0,\0y\0", ": cannot be read: it is not UTF-8 text");
    let folder = tempfile::tempdir().unwrap();
    let error = read_series(folder.path()).unwrap_err().to_string();
    assert!(error.contains("it is a folder"), "{error}");
    let error = read_series(&folder.path().join("gone.csv")).unwrap_err().to_string();
    assert!(error.contains("gone.csv: cannot be read: No such file"), "{error}");
}
