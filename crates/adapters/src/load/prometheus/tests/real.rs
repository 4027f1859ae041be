//! The real Prometheus and the real VictoriaMetrics, each with a month of samples.

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use domain::contract::load as contract;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::free_port::free_port;

const DAY: i64 = 86_400;

/// A server with samples, behind a wire that can be cut.
struct Server {
    process: Child,
    wire: JoinHandle<()>,
    port: u16,
    cut: Arc<AtomicBool>,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.wire.abort();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn have(programs: &[&str]) -> bool {
    for program in programs {
        let mut version = Command::new(program);
        version.arg("-version").stdout(Stdio::null()).stderr(Stdio::null());
        if version.status().is_err() {
            println!("skipped: {program} is not on the PATH");
            return false;
        }
    }
    true
}

/// Eight days ago, on the grid: old enough for every block to be closed, young enough to be kept.
fn end() -> i64 {
    SystemClock.now().as_second().div_euclid(DAY) * DAY - 8 * DAY
}

/// The value at each query time.
fn value(time: i64) -> f64 {
    1_000.0 + 500.0 * ((time % DAY) as f64 / DAY as f64 * std::f64::consts::TAU).sin()
}

/// A sample a minute for 28 days, and two sparse series of one a quarter of an hour.
fn times(step: i64) -> impl Iterator<Item = i64> {
    let first = end() - 28 * DAY;
    (first..=end()).step_by(step as usize)
}

fn stored(step: i64) -> Vec<Sample> {
    let sample = |time: i64| Sample { at: at(time - step), value: value(time) };
    times(step).map(sample).collect()
}

async fn start(mut command: Command, port: u16, folder: tempfile::TempDir) -> Server {
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let cut = Arc::new(AtomicBool::new(false));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wire_port = listener.local_addr().unwrap().port();
    let cuts = cut.clone();
    let wire = tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            if cuts.swap(false, Ordering::SeqCst) {
                continue;
            }
            tokio::spawn(async move {
                if let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await {
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    let server = Server { process, wire, port: wire_port, cut, _folder: folder };
    for _ in 0..500 {
        if server.load("vector(1)", 60).samples(at(0), at(60)).await.is_ok() {
            return server;
        }
        SystemClock.sleep_until(SystemClock.now() + Duration::from_millis(20)).await;
    }
    panic!("the server does not come up");
}

impl Server {
    fn load(&self, query: &str, step: u32) -> PrometheusLoad {
        let mut config = config(format!("http://127.0.0.1:{}", self.port));
        config.query = query.into();
        config.step = PositiveSpan::seconds(step);
        config.timeout = default_timeout();
        PrometheusLoad::new(config, Path::new("/"), Arc::new(SystemClock)).unwrap()
    }
}

async fn prometheus() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "# TYPE load gauge\n".to_string();
    for time in times(60) {
        writeln!(text, "load {} {time}", value(time)).unwrap();
    }
    text.push_str("# TYPE sparse gauge\n");
    for zone in ["a", "b"] {
        for time in times(900) {
            writeln!(text, "sparse{{zone=\"{zone}\"}} {} {time}", value(time)).unwrap();
        }
    }
    text.push_str("# EOF\n");
    let input = folder.path().join("history.om");
    std::fs::write(&input, text).unwrap();
    let data = folder.path().join("data");
    let mut fill = Command::new("promtool");
    fill.args(["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=672h"]);
    let filled = fill.arg(&input).arg(&data).stdout(Stdio::null()).output().unwrap();
    assert!(filled.status.success(), "{}", String::from_utf8_lossy(&filled.stderr));
    let settings = folder.path().join("prometheus.yml");
    std::fs::write(&settings, "global: {}\n").unwrap();
    let port = free_port();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", settings.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg("--storage.tsdb.retention.time=90d")
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    start(command, port, folder).await
}

async fn victoria_metrics() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut command = Command::new("victoria-metrics");
    command
        .arg(format!("-storageDataPath={}", folder.path().join("data").display()))
        .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
        .args(["-retentionPeriod=3", "-search.latencyOffset=0s"]);
    let server = start(command, port, folder).await;
    let mut text = String::new();
    for time in times(60) {
        writeln!(text, "load {} {}", value(time), time * 1_000).unwrap();
    }
    for time in times(900) {
        for zone in ["a", "b"] {
            writeln!(text, "sparse{{zone=\"{zone}\"}} {} {}", value(time), time * 1_000).unwrap();
        }
    }
    let client = crate::web::client().build().unwrap();
    let place = format!("http://127.0.0.1:{}", server.port);
    let imported =
        client.post(format!("{place}/api/v1/import/prometheus")).body(text).send().await.unwrap();
    assert!(imported.status().is_success());
    client.get(format!("{place}/internal/force_flush")).send().await.unwrap();
    server
}

struct World(Arc<Server>);

#[async_trait]
impl contract::World for World {
    fn source(&self) -> Arc<dyn LoadSource> {
        // Sparser than the look-back of both servers: nothing is shown past its time.
        Arc::new(self.0.load("max(sparse)", 900))
    }
    fn stored(&self) -> Vec<Sample> {
        stored(900)
    }
    async fn fail_next(&self) -> bool {
        self.0.cut.store(true, Ordering::SeqCst);
        true
    }
}

/// What both servers have to do, on one start of each.
async fn judge(server: Server) {
    let stored = stored(60);
    let (first, end) = (stored[0].at, stored[stored.len() - 1].at + Duration::from_secs(60));
    let samples = server.load("load", 60).samples(first, end).await.unwrap();
    assert!(samples.len() as i64 > 3 * 11_000, "split over several requests");
    assert_eq!(samples.len(), stored.len());
    for (one, other) in samples.iter().zip(&stored) {
        assert_eq!(one.at, other.at);
        // VictoriaMetrics keeps about twelve digits.
        assert!((one.value / other.value - 1.0).abs() < 1e-9, "{one:?} is not {other:?}");
    }

    let error = server.load("sparse", 900).samples(first, end).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(error.chain().contains("2 series, told apart by zone (a, b"), "{}", error.chain());

    let error = server.load("sum(", 60).samples(first, end).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never, "{}", error.chain());
    assert!(error.chain().contains("try the query"), "{}", error.chain());

    let nothing = server.load("no_such_metric", 60).samples(first, end).await.unwrap();
    assert!(nothing.is_empty());

    // Nothing in the contract of a load source changes what it holds: one server is enough.
    let server = Arc::new(server);
    contract::run(async || World(server.clone())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_is_read_from_prometheus() {
    if have(&["prometheus", "promtool"]) {
        judge(prometheus().await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_is_read_from_victoria_metrics() {
    if have(&["victoria-metrics"]) {
        judge(victoria_metrics().await).await;
    }
}
