//! A real HTTP server that can be sick, hold requests, take its time, and be killed, and its
//! clients: what the tests of every load balancer need.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::contract::traffic as contract;
use domain::name::ServerName;
use domain::ports::{Clock as _, Target};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::clock::SystemClock;

/// How long a slow request takes.
const SLOW: Duration = Duration::from_secs(3);

/// A request that arrived at a server, and the way to let it go.
pub(in crate::traffic) struct Arrival {
    pub(in crate::traffic) server: ServerName,
    pub(in crate::traffic) release: oneshot::Sender<()>,
}

struct Shared {
    name: ServerName,
    healthy: AtomicBool,
    arrivals: mpsc::UnboundedSender<Arrival>,
}

pub(in crate::traffic) struct Server {
    pub(in crate::traffic) name: ServerName,
    pub(in crate::traffic) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Server {
    pub(in crate::traffic) async fn start(
        name: &str,
        arrivals: mpsc::UnboundedSender<Arrival>,
    ) -> Self {
        let name = ServerName::new(name).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let healthy = AtomicBool::new(true);
        let shared = Arc::new(Shared { name: name.clone(), healthy, arrivals });
        let task = tokio::spawn(serve(listener, shared.clone()));
        Self { name, address, shared, task }
    }

    pub(in crate::traffic) fn target(&self) -> Target {
        Target { server: self.name.clone(), address: Some(self.address.to_string()) }
    }

    pub(in crate::traffic) fn set_healthy(&self, healthy: bool) {
        self.shared.healthy.store(healthy, Ordering::SeqCst);
    }

    /// Ends it as a kill does: every connection closes where it is.
    pub(in crate::traffic) async fn kill(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    pub(in crate::traffic) async fn restart(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.task = tokio::spawn(serve(listener, self.shared.clone()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and with it every connection.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, shared.clone()));
            let io = TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match request.uri().path() {
        "/health" if !shared.healthy.load(Ordering::SeqCst) => {
            let mut sick = Response::new(Full::from("sick"));
            *sick.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return Ok(sick);
        }
        "/hold" => {
            let (release, released) = oneshot::channel();
            let _ = shared.arrivals.send(Arrival { server: shared.name.clone(), release });
            let _ = released.await;
            "held".into()
        }
        "/slow" => {
            let (release, _) = oneshot::channel();
            let _ = shared.arrivals.send(Arrival { server: shared.name.clone(), release });
            pause(SLOW).await;
            "slow".into()
        }
        _ => shared.name.to_string(),
    };
    Ok(Response::new(Full::from(body)))
}

/// A request that is under way.
pub(in crate::traffic) type Answer = JoinHandle<Result<String, String>>;

/// One request on a connection of its own.
pub(in crate::traffic) async fn get(port: u16, path: &str) -> Result<String, String> {
    let talk = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = talk.await.map_err(|error| error.to_string())?;
    if !answer.starts_with("HTTP/1.1 200") {
        return Err(answer.lines().next().unwrap_or("no answer").to_string());
    }
    Ok(answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_string())
}

struct Held {
    release: oneshot::Sender<()>,
    answer: Answer,
}

#[async_trait]
impl contract::Held for Held {
    async fn finish(self: Box<Self>) -> Result<(), String> {
        self.release.send(()).map_err(|()| "the server lost the request".to_string())?;
        let answer = self.answer.await.map_err(|error| error.to_string())??;
        if answer == "held" { Ok(()) } else { Err(answer) }
    }
}

/// Requests one after the other, counted by who answered.
pub(in crate::traffic) async fn requests(
    front: u16,
    count: usize,
) -> Result<BTreeMap<ServerName, usize>, String> {
    let mut answered = BTreeMap::new();
    for _ in 0..count {
        let name = ServerName::new(get(front, "/").await?).map_err(|e| e.to_string())?;
        *answered.entry(name).or_default() += 1;
    }
    Ok(answered)
}

/// Sends requests until one is held at `server`.
pub(in crate::traffic) async fn hold(
    front: u16,
    arrivals: &Mutex<mpsc::UnboundedReceiver<Arrival>>,
    server: &ServerName,
) -> Result<Box<dyn contract::Held>, String> {
    for _ in 0..50 {
        let answer = tokio::spawn(get(front, "/hold"));
        let arrival = arrivals.lock().await.recv().await.ok_or("no server is left")?;
        if arrival.server == *server {
            return Ok(Box::new(Held { release: arrival.release, answer }));
        }
        let _ = arrival.release.send(());
        answer.await.map_err(|error| error.to_string())??;
    }
    Err(format!("no request reaches {server}"))
}

/// Waits on the real clock.
pub(in crate::traffic) async fn pause(length: Duration) {
    SystemClock.sleep_until(SystemClock.now() + length).await;
}
