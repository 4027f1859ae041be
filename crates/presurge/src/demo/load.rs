//! The load: requests at moments that the seed fixes, sent whether or not the earlier ones have
//! been answered, so that a slow fleet gets no relief.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::clock::ScaledClock;
use async_trait::async_trait;
use domain::ports::{Clock, LoadSource, PortError};
use domain::series::Sample;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::profile::{Curve, step};
use super::server::WAITED;
use super::settings::{IN_FLIGHT, REQUEST_TIMEOUT, SPEED, WORK_MS};
use super::tally::{Met, Tally};

/// A request to come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// Real time since the beginning of the run.
    pub at: Duration,
    /// How long a worker is busy with it, in milliseconds.
    pub work_ms: u64,
}

/// The resolution at which the rate is summed up, in real seconds.
const SUM_EVERY: f64 = 0.01;

/// Every request of a run of `length` (time of the story) from `from` on.
///
/// One request falls at a random point of each unit of accumulated load. So requests come as
/// unevenly as their neighbours allow, while each second has its rate almost exactly: the load
/// that is measured is the load that was meant, not a noisy count of it.
pub fn arrivals(curve: &Curve, from: Timestamp, length: Duration, seed: u64) -> Vec<Arrival> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let end = length.as_secs_f64() / SPEED;
    let (mut list, mut sum, mut unit) = (Vec::new(), 0.0, 0.0);
    let mut next = rng.random_range(0.0..1.0);
    let mut tick = 0_u32;
    loop {
        let begin = f64::from(tick) * SUM_EVERY;
        if begin >= end {
            return list;
        }
        let middle = Duration::from_secs_f64((begin + SUM_EVERY / 2.0) * SPEED);
        let grown = curve.rate_at(from + middle) * SUM_EVERY;
        while next < sum + grown {
            let at = begin + (next - sum) / grown * SUM_EVERY;
            let work_ms = rng.random_range(WORK_MS.0..=WORK_MS.1);
            list.push(Arrival { at: Duration::from_secs_f64(at), work_ms });
            unit += 1.0;
            next = unit + rng.random_range(0.0..1.0);
        }
        sum += grown;
        tick += 1;
    }
}

type Http = Client<HttpConnector, Empty<Bytes>>;

/// Sends every request at its moment, `origin` being the beginning; returns when the last one
/// has been answered or given up. Dropped: what is under way is dropped as well.
pub async fn send(
    arrivals: &[Arrival],
    target: SocketAddr,
    clock: ScaledClock,
    origin: Timestamp,
    tally: Arc<Tally>,
) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Http =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(IN_FLIGHT).build(connector);
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut under_way = JoinSet::new();
    for arrival in arrivals {
        clock.sleep_until(origin + arrival.at.mul_f64(SPEED)).await;
        let second = arrival.at.as_secs() as usize;
        tally.sent(second);
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tally.met(second, Met::Failure);
            continue;
        };
        let (client, tally, work_ms) = (client.clone(), Arc::clone(&tally), arrival.work_ms);
        under_way.spawn(async move {
            tally.met(second, ask(&client, target, work_ms).await);
            drop(place);
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

async fn ask(client: &Http, target: SocketAddr, work_ms: u64) -> Met {
    let Ok(uri) = format!("http://{target}/work/{work_ms}").parse::<Uri>() else {
        return Met::Failure;
    };
    let asked = now();
    let whole = async {
        let answer = client.get(uri).await.ok()?;
        let (head, body) = answer.into_parts();
        // The body is a word; reading it frees the connection.
        body.collect().await.ok()?;
        Some(head)
    };
    let Ok(Some(head)) = tokio::time::timeout(REQUEST_TIMEOUT, whole).await else {
        return Met::Failure;
    };
    let waited = head.headers.get(WAITED).and_then(|v| v.to_str().ok()?.parse().ok());
    match (head.status, waited) {
        (StatusCode::OK, Some(ms)) => {
            Met::Answer { took: asked.elapsed(), waited: Duration::from_millis(ms) }
        }
        (StatusCode::SERVICE_UNAVAILABLE, _) => Met::Refusal,
        _ => Met::Failure,
    }
}

#[expect(clippy::disallowed_methods, reason = "latency is measured in real time")]
fn now() -> Instant {
    Instant::now()
}

/// The load as a metrics system would show it: the history, then what was sent, second by second.
pub struct Measured {
    /// Complete steps before the run.
    pub history: Vec<Sample>,
    /// When the run began; on the grid of the steps.
    pub origin: Timestamp,
    /// What is sent, one real second for each step.
    pub tally: Arc<Tally>,
}

impl Measured {
    /// Every step so far, the newest incomplete.
    pub fn all(&self) -> Vec<Sample> {
        let length = step().duration();
        let seconds = self.tally.seconds();
        let live = seconds.iter().zip(0_u32..).map(|(second, index)| Sample {
            at: self.origin + length * index,
            value: f64::from(second.sent) / (length.as_secs_f64() / SPEED),
        });
        self.history.iter().copied().chain(live).collect()
    }

    /// The steps that had ended by then.
    pub fn complete(&self, now: Timestamp) -> Vec<Sample> {
        let length = step().duration();
        self.all().into_iter().take_while(|s| s.at + length <= now).collect()
    }
}

#[async_trait]
impl LoadSource for Measured {
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
        Ok(self.all().into_iter().filter(|s| from <= s.at && s.at < to).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Timestamp {
        "2026-03-04T17:30:00Z".parse().unwrap()
    }

    #[test]
    fn each_second_has_its_rate_and_the_seed_fixes_the_moments() {
        let curve = Curve::generate(5, origin(), 20);
        let length = Duration::from_secs(10 * 1_800);
        let list = arrivals(&curve, origin(), length, 5);
        assert_eq!(list, arrivals(&curve, origin(), length, 5));
        assert_ne!(list, arrivals(&curve, origin(), length, 6));
        assert!(list.is_sorted_by_key(|a| a.at));
        for second in 0..10_u64 {
            let count = list.iter().filter(|a| a.at.as_secs() == second).count() as f64;
            let middle = origin() + Duration::from_secs(second * 1_800 + 900);
            let wanted = curve.rate_at(middle);
            assert!((count - wanted).abs() < 0.03 * wanted, "{second}: {count} for {wanted}");
        }
        assert!(list.iter().all(|a| (WORK_MS.0..=WORK_MS.1).contains(&a.work_ms)));
    }

    #[tokio::test]
    async fn what_was_sent_is_the_load_and_an_open_second_is_not_complete() {
        let tally = Arc::new(Tally::default());
        for second in [0, 0, 1] {
            tally.sent(second);
        }
        let old = Sample { at: origin() - step().duration(), value: 7.0 };
        let measured = Measured { history: vec![old], origin: origin(), tally };
        let until = origin() + step().duration();
        let complete = measured.complete(until);
        assert_eq!(complete.iter().map(|s| s.value).collect::<Vec<_>>(), [7.0, 2.0]);
        let asked = measured.samples(origin(), until + step().duration()).await.unwrap();
        assert_eq!(asked.iter().map(|s| s.value).collect::<Vec<_>>(), [2.0, 1.0]);
    }
}
