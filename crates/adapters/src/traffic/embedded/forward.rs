//! Requests on their way through the proxy, and the health checks beside them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use domain::ports::Clock as _;
use futures_util::future::join_all;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::members::{Members, Pass};
use crate::clock::{SystemClock, monotonic_now};

/// Headers that speak of one connection only (RFC 9110, 7.6.1).
const OF_ONE_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A connection to a server is made within this time or not at all.
const CONNECT: Duration = Duration::from_secs(2);

/// A health check is answered within this time or has failed.
const CHECK: Duration = Duration::from_secs(1);

/// After a connection that could not be taken, the next one is tried so much later.
const ACCEPT_AGAIN: Duration = Duration::from_millis(20);

/// So many idle connections to each server are kept.
const IDLE: usize = 64;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Body = UnsyncBoxBody<Bytes, BoxError>;

/// What a proxy has counted since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that arrived.
    pub requests: u64,
    /// Requests that no server could take: 503.
    pub refused: u64,
    /// Requests whose server broke off or could not be reached: 502.
    pub broken: u64,
    /// Requests whose server took too long: 504.
    pub late: u64,
}

/// What carries requests from clients to servers.
pub(super) struct Forwarder {
    members: Arc<Members>,
    client: Client<HttpConnector, Incoming>,
    checker: Client<HttpConnector, Empty<Bytes>>,
    timeout: Duration,
    most: usize,
    in_flight: AtomicUsize,
    requests: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    late: AtomicU64,
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_nodelay(true);
    connector
}

impl Forwarder {
    pub(super) fn new(members: Arc<Members>, timeout: Duration, most: usize) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_max_idle_per_host(IDLE);
        // A check on a connection of its own says whether the server takes new ones.
        let mut checks = Client::builder(TokioExecutor::new());
        checks.pool_max_idle_per_host(0);
        Self {
            members,
            client: builder.build(connector()),
            checker: checks.build(connector()),
            timeout,
            most,
            in_flight: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            late: AtomicU64::new(0),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            requests: of(&self.requests),
            refused: of(&self.refused),
            broken: of(&self.broken),
            late: of(&self.late),
        }
    }

    async fn forward(&self, request: Request<Incoming>) -> Response<Body> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let place = self.in_flight.fetch_add(1, Ordering::SeqCst);
        let _leaves = Leaves(&self.in_flight);
        let pass = if place < self.most { self.members.pick() } else { None };
        let Some(mut pass) = pass else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return says(StatusCode::SERVICE_UNAVAILABLE, "no server is in service");
        };
        let request = match readdressed(request, pass.address) {
            Ok(request) => request,
            Err(_) => return says(StatusCode::BAD_REQUEST, "this is no request for a proxy"),
        };
        let asked = monotonic_now();
        let answer = tokio::time::timeout(self.timeout, self.client.request(request));
        let answer = tokio::select! {
            answer = answer => answer,
            () = &mut pass.cut => {
                self.broken.fetch_add(1, Ordering::Relaxed);
                return says(StatusCode::BAD_GATEWAY, "the server was taken out");
            }
        };
        match answer {
            Ok(Ok(response)) => {
                self.members.responded(&pass.server, asked.elapsed());
                returned(response, pass)
            }
            Ok(Err(error)) => {
                if error.is_connect() {
                    self.members.checked(&pass.server, pass.address, false);
                }
                self.broken.fetch_add(1, Ordering::Relaxed);
                says(StatusCode::BAD_GATEWAY, "the server broke off")
            }
            Err(_) => {
                self.late.fetch_add(1, Ordering::Relaxed);
                says(StatusCode::GATEWAY_TIMEOUT, "the server takes too long")
            }
        }
    }

    async fn is_well(&self, address: SocketAddr, path: &str) -> bool {
        let Ok(uri) = format!("http://{address}{path}").parse::<Uri>() else { return false };
        let answer = tokio::time::timeout(CHECK, self.checker.get(uri)).await;
        matches!(answer, Ok(Ok(response)) if response.status() == StatusCode::OK)
    }
}

struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn says(status: StatusCode, text: &'static str) -> Response<Body> {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response
}

fn readdressed(
    request: Request<Incoming>,
    address: SocketAddr,
) -> Result<Request<Incoming>, hyper::http::Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    parts.uri = Uri::builder()
        .scheme("http")
        .authority(address.to_string())
        .path_and_query(path)
        .build()?;
    parts.version = hyper::Version::HTTP_11;
    strip(&mut parts.headers);
    Ok(Request::from_parts(parts, body))
}

/// The answer of a server. It counts as under way until its last byte has been passed on.
fn returned(response: Response<Incoming>, pass: Pass) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers);
    Response::from_parts(parts, Passed { body, pass }.boxed_unsync())
}

/// The body of an answer, which ends with an error when its server's connections are cut.
struct Passed {
    body: Incoming,
    pass: Pass,
}

#[derive(Debug, thiserror::Error)]
#[error("the server was taken out")]
struct WasCut;

impl hyper::body::Body for Passed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { body, pass } = self.get_mut();
        if pass.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(WasCut.into())));
        }
        Pin::new(body).poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn strip(headers: &mut HeaderMap) {
    for name in OF_ONE_HOP {
        headers.remove(name);
    }
}

/// Takes connections until the task is ended; the connections end with it.
pub(super) async fn accept(listener: TcpListener, forwarder: Arc<Forwarder>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Too many files are open: spinning would not close one.
                    SystemClock.sleep_until(SystemClock.now() + ACCEPT_AGAIN).await;
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let forwarder = forwarder.clone();
                connections.spawn(async move {
                    let service = service_fn(|request| {
                        let forwarder = forwarder.clone();
                        async move { Ok::<_, Infallible>(forwarder.forward(request).await) }
                    });
                    let io = TokioIo::new(stream);
                    let mut server = hyper::server::conn::http1::Builder::new();
                    server.timer(TokioTimer::new());
                    let _ = server.serve_connection(io, service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Asks every server for its health, again and again.
pub(super) async fn watch(forwarder: Arc<Forwarder>, path: String, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let all = forwarder.members.addresses();
        join_all(all.into_iter().map(|(name, address)| {
            let (forwarder, path) = (&forwarder, &path);
            async move {
                let well = forwarder.is_well(address, path).await;
                forwarder.members.checked(&name, address, well);
            }
        }))
        .await;
    }
}
