//! `presurge lab-server`: an HTTP server whose requests take a stated time of waiting.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use domain::config::Span;
use domain::ports::Clock;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::cli::{Code, Failed};

/// A server to try things on.
#[derive(Debug, Args)]
pub struct LabServer {
    /// Where it listens
    #[arg(long, value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// The version that it says it runs
    #[arg(long)]
    version: String,
    /// Requests that are served at once; others wait
    #[arg(long, default_value_t = 8)]
    workers: usize,
    /// How long a request takes
    #[arg(long, value_name = "SPAN", default_value = "100ms")]
    service: Span,
}

impl LabServer {
    pub fn run(self) -> Result<Code, Failed> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.serve())
    }

    async fn serve(self) -> Result<Code, Failed> {
        let listener = TcpListener::bind(self.listen).await?;
        let workers = Arc::new(Semaphore::new(self.workers.max(1)));
        let (version, service) = (Arc::new(self.version), self.service);
        loop {
            let (stream, _) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            let (workers, version) = (workers.clone(), version.clone());
            tokio::spawn(async move {
                let answer = service_fn(|request: Request<Incoming>| {
                    let (workers, version) = (workers.clone(), version.clone());
                    async move {
                        let text = match request.uri().path() {
                            "/health" => "well".to_owned(),
                            "/version" => version.to_string(),
                            _ => {
                                let _worker = workers.acquire().await;
                                let clock = adapters::clock::SystemClock;
                                clock.sleep_until(clock.now() + service.duration()).await;
                                format!("served by {version}")
                            }
                        };
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
                    }
                });
                let io = TokioIo::new(stream);
                let server = hyper::server::conn::http1::Builder::new();
                let _ = server.serve_connection(io, answer).await;
            });
        }
    }
}
