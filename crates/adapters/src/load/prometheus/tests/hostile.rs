//! Servers that hang, drip, flood, and answer what nobody asked for.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers each connection by what `answer` does with it.
    async fn start<F: Future<Output = ()> + Send + 'static>(
        answer: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read_request(&mut stream).await;
                kept.lock().unwrap().push(request);
                answer(stream).await;
            }
        });
        Self { url, requests, task }
    }

    /// Answers everything with these bytes.
    async fn saying(text: impl Into<Vec<u8>>) -> Self {
        let text = Arc::new(text.into());
        Self::start(move |mut stream| {
            let text = text.clone();
            async move {
                let _ = stream.write_all(&text).await;
            }
        })
        .await
    }

    fn load(&self) -> PrometheusLoad {
        PrometheusLoad::new(config(&self.url), Path::new("/"), Arc::new(SystemClock)).unwrap()
    }

    async fn samples(&self) -> Result<Vec<Sample>, PortError> {
        self.load().samples(at(600), at(720)).await
    }

    async fn error(&self) -> (Retry, String) {
        let error = self.samples().await.expect_err("this is no good answer");
        let text = error.chain();
        assert!(text.len() < 700 && !text.contains(char::is_control), "{text}");
        (error.retry, text)
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}

fn answer(status: &str, more: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\n{more}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn success(result: &str) -> String {
    let body =
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}}}"#);
    answer("200 OK", "", &body)
}

async fn said(text: String) -> (Retry, String) {
    Server::saying(text).await.error().await
}

#[tokio::test]
async fn a_good_answer_is_stamped_with_the_start_of_its_intervals() {
    let values = r#"{"metric":{},"values":[[660,"1.5"],[720,"NaN"]]}"#;
    let server = Server::saying(success(values)).await;
    let samples = server.samples().await.unwrap();
    assert_eq!((samples[0].at, samples[0].value), (at(600), 1.5));
    assert_eq!(samples[1].at, at(660));
    assert!(samples[1].value.is_nan());
    let request = server.requests.lock().unwrap()[0].clone();
    assert!(request.starts_with("POST /api/v1/query_range HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("query=load&start=660&end=720&step=60"), "{request}");
    assert!(Server::saying(success("")).await.samples().await.unwrap().is_empty());
}

#[tokio::test]
async fn infinite_values_are_gaps_and_words_are_refused() {
    let values = r#"{"metric":{},"values":[[660,"+Inf"],[720,"-Inf"]]}"#;
    let samples = Server::saying(success(values)).await.samples().await.unwrap();
    assert!(samples.iter().all(|sample| sample.value.is_nan()));
    let (retry, text) = said(success(r#"{"metric":{},"values":[[660,"many"]]}"#)).await;
    assert_eq!(retry, Retry::Backoff);
    assert!(text.contains("a value is \"many\""), "{text}");
}

#[tokio::test]
async fn points_that_nobody_asked_for_are_refused() {
    for values in [
        r#"[600,"1"]"#,
        r#"[661,"1"]"#,
        r#"[660.5,"1"]"#,
        r#"[780,"1"]"#,
        r#"[660,"1"],[660,"1"]"#,
        r#"[720,"1"],[660,"1"]"#,
        r#"[9.2e18,"1"]"#,
        r#"[-9.3e18,"1"]"#,
    ] {
        let (retry, text) = said(success(&format!(r#"{{"values":[{values}]}}"#))).await;
        assert_eq!(retry, Retry::Backoff, "{values}");
        assert!(text.contains("was not asked for"), "{values}: {text}");
    }
}

#[tokio::test]
async fn several_series_are_told_apart_by_their_labels() {
    let series = |instance: &str| {
        format!(r#"{{"metric":{{"job":"web","instance":"{instance}"}},"values":[[660,"1"]]}}"#)
    };
    let result = [series("a"), series("b"), series("c"), series("d")].join(",");
    let (retry, text) = said(success(&result)).await;
    assert_eq!(retry, Retry::Never);
    let expected = "4 series, told apart by instance (a, b, c, …); make it one with sum(…)";
    assert!(text.contains(expected), "{text}");
}

#[tokio::test]
async fn half_an_answer_counts_for_nothing() {
    let body = r#"{"status":"success","warnings":["No StoreAPIs matched"],"data":{"resultType":"matrix","result":[]}}"#;
    let (retry, text) = said(answer("200 OK", "", body)).await;
    assert_eq!(retry, Retry::Backoff);
    assert!(text.contains("the answer is incomplete: No StoreAPIs"), "{text}");
    let body =
        r#"{"status":"success","isPartial":true,"data":{"resultType":"matrix","result":[]}}"#;
    assert_eq!(said(answer("200 OK", "", body)).await.0, Retry::Backoff);
    let body = r#"{"status":"success","warnings":["PromQL info: no counter"],"data":{"resultType":"matrix","result":[]}}"#;
    assert!(Server::saying(answer("200 OK", "", body)).await.samples().await.is_ok());
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let bad = r#"{"status":"error","errorType":"bad_data","error":"1:3: parse error"}"#;
    let page = "<html><body>Sign in</body></html>";
    for (status, more, body, retry, expected) in [
        (
            "400 Bad Request",
            "",
            bad,
            Retry::Never,
            "answered 400 (bad_data: 1:3: parse error); try",
        ),
        ("422 No", "", bad, Retry::Never, "try the query"),
        ("401 No", "", "", Retry::Never, "answered 401; give a token"),
        ("403 No", "", page, Retry::Never, "answered 403; give a token"),
        ("404 No", "", "no", Retry::Never, "answered 404 (no); is url the server's address"),
        ("302 Found", "Location: /login\r\n", "", Retry::Never, "302 to /login: set url"),
        ("503 Busy", "", page, Retry::Backoff, "answered 503"),
        ("503 Busy", "Retry-After: 7\r\n", "", Retry::After(Duration::from_secs(7)), "503"),
        ("429 Slow", "Retry-After: x\r\n", "", Retry::Backoff, "answered 429"),
        ("200 OK", "", page, Retry::Never, "with a web page; is url the server itself"),
        ("200 OK", "", bad, Retry::Backoff, "bad_data"),
        ("200 OK", "", "{}", Retry::Backoff, "not what Prometheus answers"),
        ("200 OK", "", "\u{1b}[2J", Retry::Backoff, "not what Prometheus answers"),
        ("200 OK", "", "", Retry::Backoff, "not what Prometheus answers"),
        ("200 OK", "", r#"{"status":"success"}"#, Retry::Backoff, "has no data"),
        (
            "200 OK",
            "",
            r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
            Retry::Never,
            "the result is a vector",
        ),
    ] {
        let (found, text) = said(answer(status, more, body)).await;
        assert_eq!(found, retry, "{status}: {text}");
        assert!(text.contains(expected), "{status}: {text}");
    }
}

#[tokio::test]
async fn what_is_no_http_may_be_better_later() {
    for text in ["", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"] {
        let (retry, chain) = said(text.into()).await;
        assert_eq!(retry, Retry::Backoff, "{chain}");
        assert!(chain.contains("broke off or is no HTTP"), "{chain}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_slow_or_silent_is_given_up() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    let load = PrometheusLoad::new(config(url), Path::new("/"), Arc::new(SystemClock)).unwrap();
    let error = load.samples(at(600), at(720)).await.unwrap_err();
    assert_eq!(error.retry, Retry::Backoff);
    assert!(error.chain().contains("cannot connect"), "{}", error.chain());

    let silent = Server::start(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let dripping = Server::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(b" ").await.is_ok() {
            SystemClock.sleep_until(SystemClock.now() + Duration::from_millis(50)).await;
        }
    });
    for server in [silent.await, dripping.await] {
        let (retry, text) = server.error().await;
        assert_eq!(retry, Retry::Backoff);
        assert!(text.contains("no whole answer in time"), "{text}");
    }
}

#[tokio::test]
async fn a_flood_is_cut_off() {
    let server = Server::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n[").await;
        while stream.write_all(&[b' '; 1 << 16]).await.is_ok() {}
    })
    .await;
    let mut patient = config(&server.url);
    patient.timeout = "60s".parse().unwrap();
    let load = PrometheusLoad::new(patient, Path::new("/"), Arc::new(SystemClock)).unwrap();
    let error = load.samples(at(600), at(720)).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(error.chain().contains("over 16 MiB"), "{}", error.chain());
}

#[tokio::test]
async fn the_token_is_read_anew_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::saying(answer("401 No", "", "")).await;
    let mut secret = config(&server.url);
    secret.bearer_token_file = Some("token".into());
    secret.tenant = Some("team-a".into());
    let load = PrometheusLoad::new(secret, folder.path(), Arc::new(SystemClock)).unwrap();
    let ask = async || load.samples(at(600), at(720)).await.unwrap_err().chain();
    assert!(ask().await.contains("token: No such file"), "{}", ask().await);
    for bad in ["", "two\nlines", "\u{e9}"] {
        std::fs::write(folder.path().join("token"), bad).unwrap();
        assert!(ask().await.contains("does not hold a token"), "{}", ask().await);
    }
    for token in ["first-secret", "second-secret"] {
        std::fs::write(folder.path().join("token"), format!("{token}\n")).unwrap();
        let text = ask().await;
        assert!(text.contains("answered 401") && !text.contains("secret"), "{text}");
        let request = server.requests.lock().unwrap().pop().unwrap().to_ascii_lowercase();
        assert!(request.contains(&format!("authorization: bearer {token}\r\n")), "{request}");
        assert!(request.contains("x-scope-orgid: team-a\r\n"), "{request}");
    }
}

#[tokio::test]
async fn a_series_that_changes_its_labels_over_time_is_refused() {
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = Server::start(move |mut stream| {
        let index = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            let values = format!(r#"{{"metric":{{"pod":"p{index}"}},"values":[]}}"#);
            let _ = stream.write_all(success(&values).as_bytes()).await;
        }
    })
    .await;
    let error = server.load().samples(at(0), at(60 * 20_000)).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(error.chain().contains("another series over time"), "{}", error.chain());
    assert_eq!(server.requests.lock().unwrap().len(), 2);
}
