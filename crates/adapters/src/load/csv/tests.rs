use std::fmt::Write as _;

use domain::contract::load as contract;

use super::*;

fn write(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("load.csv");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn read(text: impl AsRef<[u8]>) -> Result<Vec<(String, Vec<Sample>)>, CsvError> {
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
    refused(b"PAR1\x15\x04", ": cannot be read: it is a Parquet file");
    refused(b"\xff\xfed\0s\0,\0y\0", ": cannot be read: it is not UTF-8 text");
    let folder = tempfile::tempdir().unwrap();
    let error = read_series(folder.path()).unwrap_err().to_string();
    assert!(error.contains("it is a folder"), "{error}");
    let error = read_series(&folder.path().join("gone.csv")).unwrap_err().to_string();
    assert!(error.contains("gone.csv: cannot be read: No such file"), "{error}");
}

fn source(path: &Path, series: Option<&str>) -> CsvLoad {
    let config = CsvConfig { path: path.to_path_buf(), series: series.map(str::to_string) };
    CsvLoad::new(config, Path::new("/"))
}

async fn series_refused(path: &Path, series: Option<&str>) -> String {
    let error = source(path, series).samples(Timestamp::MIN, Timestamp::MAX).await;
    error.expect_err("the series cannot be chosen").chain()
}

#[tokio::test]
async fn the_series_that_is_meant_must_be_there() {
    let rows = "web,2026-05-04 13:00:00,1\napi,2026-05-04 13:00:00,1\n";
    let (_folder, path) = write(format!("unique_id,ds,y\n{rows}"));
    let error = series_refused(&path, Some("wbe")).await;
    assert!(
        error.contains("has no series \"wbe\" (did you mean web?); it holds web, api"),
        "{error}"
    );
    let error = series_refused(&path, None).await;
    assert!(error.contains("set series to one of web, api"), "{error}");
    let samples = source(&path, Some("api")).samples(Timestamp::MIN, Timestamp::MAX).await;
    assert_eq!(samples.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_grows_is_read_again() {
    let (_folder, path) = write("ds,y\n2026-05-04 13:00:00,1\n");
    let source = source(&path, None);
    let count = async || source.samples(Timestamp::MIN, Timestamp::MAX).await.unwrap().len();
    assert_eq!(count().await, 1);
    std::fs::write(&path, "ds,y\n2026-05-04 13:00:00,1\n2026-05-04 13:01:00,2\n").unwrap();
    assert_eq!(count().await, 2);
}

#[test]
fn the_configuration_is_strict_and_relative_to_its_file() {
    let config: CsvConfig = serde_json::from_str(r#"{"path":"load.csv"}"#).unwrap();
    assert_eq!(
        CsvLoad::new(config, Path::new("/etc/presurge")).path,
        Path::new("/etc/presurge/load.csv")
    );
    assert!(serde_json::from_str::<CsvConfig>(r#"{"path":"a","serie":"x"}"#).is_err());
}

struct World {
    _folder: tempfile::TempDir,
    path: PathBuf,
    stored: Vec<Sample>,
}

#[async_trait]
impl contract::World for World {
    fn source(&self) -> Arc<dyn LoadSource> {
        Arc::new(source(&self.path, Some("web")))
    }
    fn stored(&self) -> Vec<Sample> {
        self.stored.clone()
    }
    async fn fail_next(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn it_keeps_the_contract() {
    contract::run(async || {
        let mut text = "unique_id,ds,y\n".to_string();
        let mut stored = Vec::new();
        for index in 0..20_u32 {
            let at = at("2026-05-04T13:00:00Z") + std::time::Duration::from_secs(60) * index;
            let value = f64::from(index) * 1.1;
            writeln!(text, "web,{at},{value}\nother,{at},7").unwrap();
            stored.push(Sample { at, value });
        }
        let (folder, path) = write(text);
        World { _folder: folder, path, stored }
    })
    .await;
}
