use std::fmt::Write as _;

use domain::contract::load as contract;

use super::*;

fn write(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("load.csv");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
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
