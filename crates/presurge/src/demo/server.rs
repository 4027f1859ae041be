//! A small HTTP server to roll: its workers wait instead of burning CPU, its queue is bounded.
//!
//! `GET /work/MS` occupies a worker for `MS` milliseconds, after waiting for a free one; the
//! answer says in [`WAITED`] how long that took. When the queue is full the answer is 503 at
//! once. `/health` answers `ok`, `/version` the version and the boot id on two lines.

use std::convert::Infallible;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Pid, test_kill_process};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::settings::{QUEUE, WORKERS};
use crate::cli::{Code, Failed};

/// The header with the wait for a worker, in whole milliseconds.
pub const WAITED: &str = "x-queue-wait-ms";

/// The longest work that can be asked for, in milliseconds.
const LONGEST_WORK_MS: u64 = 10_000;

/// A head of a request that has not come after this long ends the connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the server looks whether its owner still runs.
const OWNER_EVERY: Duration = Duration::from_millis(200);

/// A demo server.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The port on 127.0.0.1 to listen on
    #[arg(long)]
    port: u16,
    /// The version that it says it runs
    #[arg(long)]
    version: String,
    /// The process without which it ends
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    owner: i32,
}

struct Server {
    version: String,
    boot_id: String,
    workers: Semaphore,
    /// Requests that wait for a worker or have one.
    inside: AtomicUsize,
}

/// Serves until the owner is gone; says `ready` on standard output when it listens.
///
/// # Errors
/// When the port is taken.
pub fn run(args: Args) -> Result<Code, Failed> {
    // One thread: a fleet of these is small.
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(live(args))?)
}

async fn live(args: Args) -> std::io::Result<Code> {
    let owner = Pid::from_raw(args.owner)
        .ok_or_else(|| std::io::Error::other("the owner is no process id"))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = TcpListener::bind(address).await?;
    let server = Arc::new(Server {
        version: args.version,
        boot_id: std::process::id().to_string(),
        workers: Semaphore::new(WORKERS),
        inside: AtomicUsize::new(0),
    });
    let mut out = std::io::stdout();
    // Whoever started it may not listen; it serves all the same.
    let _ = writeln!(out, "ready").and_then(|()| out.flush());
    tokio::select! {
        () = accept(listener, server) => {}
        () = gone(owner) => {}
    }
    Ok(Code::Done)
}

/// Returns when the process does not exist any more.
async fn gone(owner: Pid) {
    while test_kill_process(owner).is_ok() {
        pause(OWNER_EVERY).await;
    }
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, Arc::clone(&server)));
            }
            // Out of file descriptors, most likely: those under way have to end first.
            Err(_) => pause(Duration::from_millis(20)).await,
        }
    }
}

async fn serve(stream: TcpStream, server: Arc<Server>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(&request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    // A client that breaks the connection off is its own business.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

impl Server {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        match request.uri().path() {
            "/health" => text(StatusCode::OK, "ok\n"),
            "/version" => {
                let lines = format!("{}\n{}\n", self.version, self.boot_id);
                text(StatusCode::OK, lines)
            }
            path => match path.strip_prefix("/work/").and_then(|ms| ms.parse().ok()) {
                Some(ms) if ms <= LONGEST_WORK_MS => self.work(Duration::from_millis(ms)).await,
                Some(_) => text(StatusCode::BAD_REQUEST, "at most 10000 milliseconds\n"),
                None => text(StatusCode::NOT_FOUND, "see /work/MS, /health, /version\n"),
            },
        }
    }

    async fn work(&self, length: Duration) -> Response<Full<Bytes>> {
        let inside = Inside::enter(&self.inside);
        if inside.before >= WORKERS + QUEUE {
            return text(StatusCode::SERVICE_UNAVAILABLE, "the queue is full\n");
        }
        let asked = now();
        let Ok(_worker) = self.workers.acquire().await else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "no worker\n");
        };
        let waited = asked.elapsed().as_millis();
        pause(length).await;
        let mut answer = text(StatusCode::OK, "done\n");
        if let Ok(value) = waited.to_string().parse() {
            answer.headers_mut().insert(WAITED, value);
        }
        answer
    }
}

/// A request is counted as long as this lives, however its handler ends.
struct Inside<'a> {
    count: &'a AtomicUsize,
    before: usize,
}

impl<'a> Inside<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        Self { count, before: count.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
}

#[expect(clippy::disallowed_methods, reason = "the server measures real waits")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "work is real waiting")]
async fn pause(length: Duration) {
    tokio::time::sleep(length).await;
}
