//! `presurge lab-load`: requests at a steady rate, whatever becomes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::cli::{Code, Failed};

/// More requests than this are not kept under way.
const MOST: u64 = 10_000;

/// Steady requests to try things under.
#[derive(Debug, Args)]
pub struct LabLoad {
    /// What is asked for, on this machine
    #[arg(long)]
    url: Uri,
    /// Requests per second
    #[arg(long)]
    rate: f64,
}

impl LabLoad {
    pub fn run(self) -> Result<Code, Failed> {
        let local = ["127.0.0.1", "localhost", "[::1]"];
        if !self.url.host().is_some_and(|host| local.contains(&host)) {
            return Err(Failed::usage(
                "--url must be on this machine: 127.0.0.1, localhost or [::1]",
            ));
        }
        if !(self.rate > 0.0 && self.rate <= 1_000.0) {
            return Err(Failed::usage("--rate must be above 0 and at most 1000"));
        }
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.ask())
    }

    async fn ask(self) -> Result<Code, Failed> {
        let client: Client<HttpConnector, Empty<Bytes>> =
            Client::builder(TokioExecutor::new()).build_http();
        let [good, bad, under_way] = [(); 3].map(|()| Arc::new(AtomicU64::new(0)));
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / self.rate));
        let mut told = tokio::time::interval(Duration::from_secs(10));
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = told.tick() => {
                    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                    eprintln!("{} served, {} failed", of(&good), of(&bad));
                    continue;
                }
            }
            if under_way.load(Ordering::Relaxed) >= MOST {
                continue;
            }
            let (client, url) = (client.clone(), self.url.clone());
            let (good, bad, under_way) = (good.clone(), bad.clone(), under_way.clone());
            under_way.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let served = match client.get(url).await {
                    Ok(answer) if answer.status() == StatusCode::OK => {
                        answer.into_body().collect().await.is_ok()
                    }
                    _ => false,
                };
                if served { &good } else { &bad }.fetch_add(1, Ordering::Relaxed);
                under_way.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
}
