//! A real Alertmanager.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use domain::notice::Course;
use domain::ports::Clock as _;
use serde_json::{Value, json};

use super::{alertmanager, notice};
use crate::clock::SystemClock;

/// Debian's name of the program, and its own.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["prometheus-alertmanager", "alertmanager"];
    let files: Vec<PathBuf> =
        std::env::split_paths(&path).flat_map(|f| names.map(|name| f.join(name))).collect();
    files.into_iter().find(|file| file.is_file())
}

struct Running(Child, #[allow(dead_code, reason = "its folder")] tempfile::TempDir);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn start(program: PathBuf) -> (Running, String) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("alertmanager.yml");
    let text = "route: { receiver: nobody }\nreceivers: [ { name: nobody } ]\n";
    std::fs::write(&config, text).unwrap();
    let port = crate::free_port::free_port();
    let child = Command::new(program)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (Running(child, folder), format!("http://127.0.0.1:{port}"))
}

async fn alerts(url: &str) -> Vec<Value> {
    let answer = crate::web::client().build().unwrap().get(format!("{url}/api/v2/alerts")).send();
    let (body, _) = crate::web::body(answer.await.unwrap(), 1 << 20).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn a_real_alertmanager_fires_from_begin_to_end() {
    let Some(program) = program() else {
        eprintln!("skipped: alertmanager is not on the PATH; `scripts/test` installs it");
        return;
    };
    let (_running, url) = start(program).await;
    let notify = alertmanager(json!({ "url": url, "labels": { "team": "sre" } })).unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut tries = 0;
    while notify.reach().await.is_err() {
        tick.tick().await;
        tries += 1;
        assert!(tries < 600, "it does not become ready within a minute");
    }
    assert_eq!(alerts(&url).await, Vec::<Value>::new(), "asking tells nothing");

    let now = SystemClock.now();
    let mut told = notice();
    told.at = now - Duration::from_secs(60);
    for _ in 0..3 {
        notify.tell(&told).await.unwrap();
    }
    let firing = alerts(&url).await;
    assert_eq!(firing.len(), 1, "told again it is the same alert: {firing:#?}");
    assert_eq!(firing[0]["labels"]["alertname"], "PresurgeHold");
    assert_eq!(firing[0]["labels"]["team"], "sre");
    assert_eq!(firing[0]["annotations"]["description"], "web-3: <!channel> & failed");
    assert_eq!(firing[0]["status"]["state"], "active");

    told.course = Course::Over { begun: told.at };
    told.at = now - Duration::from_secs(1);
    told.title = "kernel#1: hold is over".into();
    notify.tell(&told).await.unwrap();
    assert_eq!(alerts(&url).await, Vec::<Value>::new(), "it fires no more");
}
