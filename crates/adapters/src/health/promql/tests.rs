//! The real Prometheus, which scrapes a server whose errors the tests set; and answers of servers
//! that are none.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::contract::health as contract;
use domain::name::ServerName;
use domain::ports::Clock as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::clock::SystemClock;

fn config(url: &str, query: &str) -> PromqlConfig {
    PromqlConfig {
        url: url.into(),
        query: query.into(),
        at_least: None,
        at_most: Some(0.1),
        timeout: "300ms".parse().unwrap(),
        bearer_token_file: None,
        tenant: None,
    }
}

fn gate(url: &str, query: &str) -> PromqlHealth {
    PromqlHealth::new(config(url, query), Path::new("/")).unwrap()
}

fn target() -> Target {
    let server = ServerName::new("web-1").unwrap();
    Target { server, address: Some("127.0.0.1:80".into()) }
}

async fn pause(length: Duration) {
    SystemClock.sleep_until(SystemClock.now() + length).await;
}

/// Answers each connection with what `say` makes of the request.
async fn answering<F: Future<Output = ()> + Send>(
    listener: TcpListener,
    say: impl Fn(TcpStream, String) -> F + Send + 'static,
) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = vec![0; 4096];
        let read = stream.read(&mut request).await.unwrap_or(0);
        say(stream, String::from_utf8_lossy(&request[..read]).into_owned()).await;
    }
}

fn http(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain; version=0.0.4\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Prometheus, and the server that it scrapes.
struct Prometheus {
    process: Child,
    port: u16,
    /// Errors of web-1 in thousandths; `u64::MAX`: it tells nothing.
    errors: Arc<AtomicU64>,
    exporter: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.exporter.abort();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What is asked of it.
const ERRORS: &str = "errors{server=\"{server}\"}";

impl Prometheus {
    async fn start() -> Option<Self> {
        let mut version = Command::new("prometheus");
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        if version.status().is_err() {
            println!("skipped: prometheus is not on the PATH");
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        let errors = Arc::new(AtomicU64::new(0));
        let told = errors.clone();
        let exporter = tokio::spawn(answering(listener, move |mut stream, _| {
            let thousandths = told.load(Ordering::SeqCst);
            async move {
                let mut text = String::from("# TYPE errors gauge\nerrors{server=\"web-2\"} 0\n");
                if thousandths != u64::MAX {
                    let value = thousandths as f64 / 1e3;
                    text.push_str(&format!("errors{{server=\"web-1\"}} {value}\n"));
                }
                let _ = stream.write_all(http(&text).as_bytes()).await;
            }
        }));
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 50ms, scrape_timeout: 50ms }}\n\
             scrape_configs:\n- job_name: app\n  static_configs: [ {{ targets: [\"{target}\"] }} ]\n"
        );
        std::fs::write(&settings, text).unwrap();
        let port = crate::free_port::free_port();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", settings.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let this = Self { process, port, errors, exporter, _folder: folder };
        this.until(ERRORS, |verdict| matches!(verdict, Verdict::Pass(_))).await;
        Some(this)
    }

    fn gate(&self, query: &str) -> PromqlHealth {
        gate(&format!("http://127.0.0.1:{}", self.port), query)
    }

    async fn ask(&self, query: &str) -> Verdict {
        self.gate(query).check(&target()).await.unwrap()
    }

    async fn until(&self, query: &str, is_so: impl Fn(&Verdict) -> bool) {
        for _ in 0..500 {
            if self.gate(query).check(&target()).await.is_ok_and(|verdict| is_so(&verdict)) {
                return;
            }
            pause(Duration::from_millis(20)).await;
        }
        panic!("{query} never gives what it should");
    }

    /// The server has these errors, and Prometheus knows it.
    async fn set(&self, thousandths: u64) {
        self.errors.store(thousandths, Ordering::SeqCst);
        let shown = match thousandths {
            u64::MAX => "gives nothing".to_owned(),
            _ => format!("gives {}", thousandths as f64 / 1e3),
        };
        let says = |verdict: &Verdict| match verdict {
            Verdict::Pass(text) | Verdict::Fail(text) | Verdict::Inconclusive(text) => {
                text.contains(&shown)
            }
        };
        self.until(ERRORS, says).await;
    }
}

struct World(Arc<Prometheus>);

#[async_trait]
impl contract::World for World {
    fn gate(&self) -> Arc<dyn Health> {
        Arc::new(self.0.gate(ERRORS))
    }
    fn target(&self) -> Target {
        target()
    }
    async fn set(&self, condition: contract::Condition) -> bool {
        match condition {
            contract::Condition::Well => self.0.set(2).await,
            contract::Condition::Sick => self.0.set(700).await,
            // What becomes of a server otherwise, Prometheus does not know.
            _ => return false,
        }
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_judges_a_server() {
    let Some(prometheus) = Prometheus::start().await else { return };
    let prometheus = Arc::new(prometheus);
    contract::run(async || World(prometheus.clone())).await;

    prometheus.set(100).await;
    assert_eq!(prometheus.ask(ERRORS).await, Verdict::Pass("the query gives 0.1".into()));
    prometheus.set(250).await;
    let above = "the query gives 0.25, above 0.1";
    assert_eq!(prometheus.ask(ERRORS).await, Verdict::Fail(above.into()));
    prometheus.set(u64::MAX).await;
    let vague = |text: &str| Verdict::Inconclusive(text.into());
    assert_eq!(prometheus.ask(ERRORS).await, vague("the query gives nothing"));
    prometheus.set(0).await;
    for (query, expected) in [
        ("errors > 5", "the query gives nothing"),
        ("sum(errors) / sum(errors)", "the query gives NaN, no number"),
        ("1 / sum(errors)", "the query gives +Inf, no number"),
        ("errors[1m]", "the result is a matrix, not one number"),
        ("\"0\"", "the result is a string, not one number"),
    ] {
        assert_eq!(prometheus.ask(query).await, vague(expected), "{query}");
    }
    let Verdict::Inconclusive(several) = prometheus.ask("errors").await else {
        panic!("several series are no verdict");
    };
    assert!(several.contains("2 series, told apart by server (web-1, web-2, …)"), "{several}");
    assert_eq!(
        prometheus.ask("scalar(sum(errors))").await,
        Verdict::Pass("the query gives 0".into())
    );

    let error = prometheus.gate("sum(").check(&target()).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(error.chain().contains("try the query in the server's own page"), "{}", error.chain());
}

/// What a gate makes of an answer.
async fn said(text: &str) -> Result<Verdict, PortError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (text, requests) = (text.to_owned(), Arc::new(Mutex::new(Vec::new())));
    let kept = requests.clone();
    let task = tokio::spawn(answering(listener, move |mut stream, request| {
        kept.lock().unwrap().push(request);
        let text = text.clone();
        async move {
            let _ = stream.write_all(text.as_bytes()).await;
        }
    }));
    let verdict = gate(&url, "x").check(&target()).await;
    task.abort();
    assert!(requests.lock().unwrap()[0].starts_with("POST /api/v1/query HTTP/1.1\r\n"));
    verdict
}

#[tokio::test]
async fn an_answer_that_says_nothing_is_never_a_pass() {
    let vector = |result: &str, more: &str| {
        let data = format!(r#"{{"resultType":"vector","result":[{result}]}}"#);
        http(&format!(r#"{{"status":"success","data":{data}{more}}}"#))
    };
    let zero = r#"{"metric":{},"value":[1,"0"]}"#;
    assert_eq!(said(&vector(zero, "")).await.unwrap(), Verdict::Pass("the query gives 0".into()));
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(MAX_ANSWER + 1));
    for (text, expected) in [
        (vector(zero, r#","warnings":["a store is away"]"#), "the answer is incomplete"),
        (vector(zero, r#","isPartial":true"#), "the answer is incomplete"),
        (vector(r#"{"metric":{},"value":[1,"zero"]}"#, ""), "gives zero, no number"),
        (vector(r#"{"metric":{}}"#, ""), "not what Prometheus answers"),
        (vector("7", ""), "not what Prometheus answers"),
        (http(r#"{"status":"success"}"#), "has no data"),
        (http(r#"{"status":"error","errorType":"timeout","error":"slow"}"#), "timeout: slow"),
        ("HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n".into(), "answered 503"),
        ("SSH-2.0-OpenSSH_9.2\r\n".into(), "is no HTTP"),
        (endless, "too long for one number"),
    ] {
        let verdict = said(&text).await.unwrap();
        let Verdict::Inconclusive(why) = &verdict else { panic!("{expected}: {verdict:?}") };
        assert!(why.contains(expected), "{expected}: {why}");
    }
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", hangs.local_addr().unwrap());
    let verdict = gate(&url, "x").check(&target()).await.unwrap();
    assert!(matches!(&verdict, Verdict::Inconclusive(why) if why.contains("in time")));
    drop(hangs);
    let verdict = gate(&url, "x").check(&target()).await.unwrap();
    assert!(matches!(&verdict, Verdict::Inconclusive(why) if why.contains("cannot connect")));
    // Who may not ask has a gate that is broken.
    let error = said("HTTP/1.1 403 No\r\nConnection: close\r\n\r\n").await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
}

#[test]
fn a_gate_that_cannot_work_is_refused() {
    let wrong = |change: fn(&mut PromqlConfig)| {
        let mut config = config("http://x:9090", "x");
        change(&mut config);
        PromqlHealth::new(config, Path::new("/")).err().unwrap().chain()
    };
    assert!(wrong(|config| config.query = " ".into()).contains("query: is empty"));
    assert!(wrong(|config| config.query = "{sever}".into()).contains("{sever} is not known"));
    assert!(wrong(|config| config.at_most = None).contains("give atLeast, atMost, or both"));
    assert!(wrong(|config| config.at_least = Some(1.0)).contains("atLeast: 1 is above atMost"));
    assert!(wrong(|config| config.url = "x".into()).contains("url: "));
    assert!(serde_json::from_str::<PromqlConfig>(r#"{"url":"x","query":"y","above":1}"#).is_err());
}
