//! A load balancer that counts what each server gets, and what is learned from it.

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::event::{Event, Known, Outcome, SharedOut, WarmUp};
use domain::hour::Hour;
use domain::journal::Record;
use domain::learned::{Figure, Figures, Hourly, Quantity};
use domain::name::ServerName;
use domain::ports::{
    Admission, Backend, BackendState, Drained, PortError, Progress, Served, Traffic,
};
use domain::spread::Spread;
use jiff::Timestamp;
use rollout::driver::Ended;
use rollout::lessons;
use sim::{Fuse, Settings};
use support::{Hands, Stage};

/// How the servers behind the load balancer are.
#[derive(Clone, Copy)]
struct Behind {
    /// `web-1` gets so many times the share of the others.
    favours: f64,
    /// So many seconds after its return a server answers slowly.
    cold_seconds: f64,
    /// The new version needs so many times as long for each answer.
    slower: f64,
}

/// The moving mean of a server, as HAProxy makes it, and rounded as it does.
#[derive(Clone, Copy, Default)]
struct Counter {
    requests: f64,
    mean_millis: f64,
}

struct Counting {
    hands: Hands,
    behind: Behind,
    counts: Mutex<(Option<Timestamp>, BTreeMap<ServerName, Counter>)>,
}

const REQUESTS_PER_SECOND: f64 = 900.0;

impl Counting {
    fn millis(&self, server: &ServerName, now: Timestamp) -> f64 {
        let facts = self.hands.world.facts();
        let away = facts.away.iter().rev().find(|away| away.server == *server);
        let Some(back) = away.and_then(|away| away.back.as_ref()) else { return 20.0 };
        let since = now.duration_since(back.warm_at).as_secs_f64();
        let cold = if since < self.behind.cold_seconds { 3.0 } else { 1.0 };
        20.0 * cold * self.behind.slower
    }
}

#[async_trait]
impl Traffic for Counting {
    async fn observe(&self) -> Result<Vec<Backend>, PortError> {
        let mut seen = self.hands.world.traffic().observe().await?;
        let now = self.hands.world.clock().now();
        let mut counts = self.counts.lock().unwrap();
        let (before, counters) = &mut *counts;
        let seconds = before.map_or(0.0, |before| now.duration_since(before).as_secs_f64());
        *before = Some(now);
        let favour =
            |name: &ServerName| if name.as_str() == "web-1" { self.behind.favours } else { 1.0 };
        let weight = |b: &Backend| match b.state {
            BackendState::InService => f64::from(b.weight.unwrap_or(100)) * favour(&b.server),
            _ => 0.0,
        };
        let all: f64 = seen.iter().map(weight).sum();
        for backend in &mut seen {
            let counter = counters.entry(backend.server.clone()).or_default();
            let new = REQUESTS_PER_SECOND * seconds * weight(backend) / all;
            let stays = (1.0 - 1.0 / 512.0f64).powf(new);
            let millis = self.millis(&backend.server, now);
            counter.mean_millis = counter.mean_millis * stays + millis * (1.0 - stays);
            counter.requests += new;
            backend.served = Some(Served {
                requests: counter.requests as u64,
                response_micros: Some(1000 * counter.mean_millis.round() as u64),
            });
        }
        Ok(seen)
    }

    async fn ensure_admission(&self, wish: &Admission) -> Result<Progress<Drained>, PortError> {
        self.hands.world.traffic().ensure_admission(wish).await
    }
}

/// What was written down after one batch.
type Written = (Option<SharedOut>, Vec<WarmUp>);

/// The journal of a rollout with these servers.
fn journal(behind: Behind) -> Vec<Record> {
    let mut stage = Stage::under(Settings::default(), |_, policy| policy.warmup_steps = 2);
    let hands = stage.hands.clone();
    stage.traffic = Some(Arc::new(Counting { hands, behind, counts: Mutex::default() }));
    assert_eq!(stage.drive(&Fuse::at(400_000)).unwrap(), Ended::Finished(Outcome::Done));
    stage.records()
}

/// What was written down of a rollout with these servers, and what it teaches.
fn performed(behind: Behind) -> (Vec<Written>, Figures) {
    let records = journal(behind);
    let told = records.iter().filter_map(|record| match record.event().unwrap() {
        Event::ServingSeen { shared, warmed } => Some((shared, warmed)),
        _ => None,
    });
    let configured: Figures = [
        (Quantity::Warmup, Figure::duration(Spread::exactly(Duration::from_secs(30)))),
        (Quantity::Balance, Figure::probability(1.0)),
    ]
    .into();
    let history = vec![lessons::observed(&records).unwrap().unwrap(); 12];
    let found = lessons::findings(&configured, &history).into_iter();
    (told.collect(), found.map(|(what, of)| (what, of.figure)).collect())
}

const EVEN: Behind = Behind { favours: 1.0, cold_seconds: 0.0, slower: 1.0 };

#[test]
fn an_even_load_balancer_and_warm_servers_change_little() {
    let (told, figures) = performed(EVEN);
    // Once after each of three batches.
    assert_eq!(told.len(), 3, "{told:?}");
    for (shared, warmed) in &told {
        let shared = shared.unwrap();
        assert!(shared.stretches >= 3 && shared.least > 0.99, "{shared:?}");
        assert_eq!(warmed.len(), 2, "{warmed:?}");
        let most = |w: &WarmUp| w.known == Known::AtMost && w.seconds == 30.0;
        assert!(warmed.iter().all(most), "as fast as the others all the way: {warmed:?}");
    }
    let Figure::Probability { probability } = figures[&Quantity::Balance] else { panic!() };
    assert!(probability > 0.99, "{probability}");
    let warmup = figures[&Quantity::Warmup].spread().unwrap();
    let p50 = warmup.p50().as_secs_f64();
    assert!((18.0..30.0).contains(&p50), "a little shorter than configured: {warmup:?}");
}

#[test]
fn an_uneven_load_balancer_is_known_by_what_its_busiest_server_gets() {
    let (told, figures) = performed(Behind { favours: 1.25, ..EVEN });
    // With all six in service, of which one gets a quarter more: mean over peak.
    let least = told.iter().filter_map(|(shared, _)| Some(shared.as_ref()?.least));
    let least = least.fold(1.0, f64::min);
    assert!((least - (5.0 + 1.25) / 6.0 / 1.25).abs() < 0.01, "{told:?}");
    let Figure::Probability { probability } = figures[&Quantity::Balance] else { panic!() };
    assert!((0.82..0.90).contains(&probability), "{probability}");
    let one = Figure::probability(1.0);
    assert!(lessons::moves(&Quantity::Balance, one, figures[&Quantity::Balance]));
}

#[test]
fn a_server_that_stays_cold_for_longer_than_configured_is_known_by_its_answers() {
    let (told, figures) = performed(Behind { cold_seconds: 150.0, ..EVEN });
    for (_, warmed) in &told {
        assert_eq!(warmed.len(), 2, "{told:?}");
        // To the next look: they are twenty seconds apart, and one may lie across.
        let good = |w: &WarmUp| w.known == Known::Exactly && (130.0..=190.0).contains(&w.seconds);
        assert!(warmed.iter().all(good), "{warmed:?}");
    }
    let warmup = figures[&Quantity::Warmup].spread().unwrap();
    assert!((110.0..=190.0).contains(&warmup.p50().as_secs_f64()), "{warmup:?}");
}

#[test]
fn a_slower_version_is_not_for_ever_warming_up() {
    // Slower all the time: nobody can say whether it warms up. Cold and then slower: it does.
    let (told, figures) = performed(Behind { slower: 1.5, ..EVEN });
    let first = &told[0].1;
    assert!(first.is_empty(), "slower than the others all the time: {first:?}");
    assert!(
        figures
            .get(&Quantity::Warmup)
            .is_none_or(|figure| { figure.spread().unwrap().p50() <= Duration::from_secs(30) })
    );
    let (told, _) = performed(Behind { slower: 1.5, cold_seconds: 150.0, ..EVEN });
    let good = |w: &WarmUp| w.known == Known::Exactly && (130.0..=190.0).contains(&w.seconds);
    assert!(told[0].1.len() == 2 && told[0].1.iter().all(good), "{:?}", told[0]);
}

#[test]
fn what_cannot_have_been_counted_is_refused() {
    let append = |shared: Option<SharedOut>, warmed: Vec<WarmUp>| {
        let stage = Stage::new(Settings::default());
        stage.append(vec![Event::ServingSeen { shared, warmed }]);
        rollout::machine::fold(&stage.records()).map(|_| ())
    };
    let shared = |balance, least| Some(SharedOut { stretches: 1, balance, least });
    let warm = |name: &str, seconds| WarmUp {
        server: ServerName::new(name).unwrap(),
        seconds,
        known: Known::Exactly,
    };
    append(shared(0.9, 0.8), vec![warm("web-1", 20.0)]).unwrap();
    for bad in [shared(1.1, 0.8), shared(0.8, 0.9), shared(0.8, 0.0)] {
        append(bad, vec![]).unwrap_err();
    }
    append(None, vec![warm("nobody", 20.0)]).unwrap_err();
    append(None, vec![warm("web-1", -1.0)]).unwrap_err();
}

#[test]
fn a_warm_up_counts_for_the_hour_in_which_the_server_came_back() {
    let mut records = journal(Behind { cold_seconds: 20.0, ..EVEN });
    // It is known later, in another hour.
    for here in 1..records.len() {
        if records[here].kind == "ServingSeen" {
            records[here].at += Duration::from_secs(3600);
        }
        records[here].previous = records[here - 1].hash.clone();
        records[here].hash = records[here].computed_hash();
    }
    let observed = lessons::observed(&records).unwrap().unwrap();
    let back = |record: &&Record| record.kind == "Restored";
    let mut all = 0;
    for hour in Hour::all() {
        let returned = records.iter().filter(back).filter(|record| Hour::of(record.at) == hour);
        let at = Quantity::At(Hourly::Warmup, hour);
        let seen = observed.lengths.get(&at).map_or(0, Vec::len);
        assert_eq!(seen, returned.count(), "{hour}");
        all += seen;
    }
    assert_eq!(all, 6);
    assert_eq!(observed.lengths[&Quantity::Warmup].len(), 6);
}
