//! A real HTTP server that can be sick, hold requests, take its time, and be killed.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::name::ServerName;
use domain::ports::Target;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::pause;

/// How long a slow request takes.
const SLOW: Duration = Duration::from_secs(3);

/// A request that arrived at a server, and the way to let it go.
pub(super) struct Arrival {
    pub(super) server: ServerName,
    pub(super) release: oneshot::Sender<()>,
}

struct Shared {
    name: ServerName,
    healthy: AtomicBool,
    arrivals: mpsc::UnboundedSender<Arrival>,
}

pub(super) struct Server {
    pub(super) name: ServerName,
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(name: &str, arrivals: mpsc::UnboundedSender<Arrival>) -> Self {
        let name = ServerName::new(name).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let healthy = AtomicBool::new(true);
        let shared = Arc::new(Shared { name: name.clone(), healthy, arrivals });
        let task = tokio::spawn(serve(listener, shared.clone()));
        Self { name, address, shared, task }
    }

    pub(super) fn target(&self) -> Target {
        Target { server: self.name.clone(), address: Some(self.address.to_string()) }
    }

    pub(super) fn set_healthy(&self, healthy: bool) {
        self.shared.healthy.store(healthy, Ordering::SeqCst);
    }

    /// Ends it as a kill does: every connection closes where it is.
    pub(super) async fn kill(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    pub(super) async fn restart(&mut self) {
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
