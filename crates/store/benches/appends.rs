//! How many appends a second SQLite and PostgreSQL take, each durable when it returns, and how long
//! one takes: from one writer, and from as many as drive rollouts side by side in one process.
//!
//! `cargo bench -p store --features postgres`. Figures are of one run on one machine; the ratio says more.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

#[path = "../tests/postgres/server.rs"]
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::event::Event;
use domain::journal::{Actor, Entry, Head};
use domain::name::RolloutId;
use domain::ports::{Append, Authority, Lease};
use jiff::Timestamp;
use store::postgres::Address;
use store::{Postgres, Sqlite, Store};

/// Rollouts of one process.
const ROLLOUTS: usize = 1_000;

/// Appends in one measurement.
const APPENDS: usize = 4_000;

struct Measured {
    per_second: f64,
    median: Duration,
    p99: Duration,
}

/// Each writer takes its share of the rollouts under a lease, and appends to one after the other.
async fn measure(store: &Arc<dyn Store>, run: &str, writers: usize) -> Measured {
    let mut tasks = Vec::new();
    for writer in 0..writers {
        let store = store.clone();
        let count = ROLLOUTS.div_ceil(writers).min(APPENDS / writers);
        let names: Vec<RolloutId> = (0..count)
            .map(|number| RolloutId::new(format!("{run}-{writer}-{number}#1")).unwrap())
            .collect();
        tasks.push(tokio::spawn(async move {
            let mut held: Vec<(Lease, Head)> = Vec::new();
            for name in &names {
                let lease = store.lease(name, "bench", Timestamp::now(), Duration::from_secs(600));
                held.push((lease.await.unwrap().unwrap(), Head::empty()));
            }
            (store, held)
        }));
    }
    let mut ready = Vec::new();
    for task in tasks {
        ready.push(task.await.unwrap());
    }
    let begun = Instant::now();
    let writing: Vec<_> = ready
        .into_iter()
        .map(|(store, mut held)| {
            tokio::spawn(async move {
                let mut times = Vec::new();
                for turn in 0..APPENDS / writers {
                    let index = turn % held.len();
                    let (lease, head) = &mut held[index];
                    let begun = Instant::now();
                    *head = append(store.as_ref(), lease, head).await;
                    times.push(begun.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in writing {
        times.extend(task.await.unwrap());
    }
    let took = begun.elapsed();
    times.sort();
    let per_second = times.len() as f64 / took.as_secs_f64();
    Measured { per_second, median: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
}

async fn append(store: &dyn Store, lease: &Lease, head: &Head) -> Head {
    let entry = Entry {
        at: Timestamp::now(),
        actor: Actor::decider(),
        cause: Some(head.seq),
        reason: "servers of this batch are drained; the next one is a quarter of the fleet".into(),
        inputs: None,
        event: Event::BatchClosed { index: 7 },
    };
    let (authority, entries) = (Authority::Driver(lease), vec![entry]);
    let append = Append { rollout: &lease.rollout, authority, after: head, entries };
    store.append(append).await.expect("nobody else writes")[0].head()
}

fn main() {
    let settings = ["fsync=on", "max_connections=50"];
    let Some(server) = server::Server::with(&settings, &[]) else { return };
    let folder = tempfile::TempDir::new().unwrap();
    let file: Arc<dyn Store> = Arc::new(Sqlite::open(folder.path().join("bench.db")).unwrap());
    let address = Address::parse(&server.address("presurge"), |_| None).unwrap();
    let database: Arc<dyn Store> = Arc::new(Postgres::new(address));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("writers  store       appends/s  median ms  p99 ms  times the rate of SQLite");
    for writers in [1, 10, 100, 1_000] {
        let run = format!("bench-{writers}");
        let sqlite = runtime.block_on(measure(&file, &run, writers));
        let postgres = runtime.block_on(measure(&database, &run, writers));
        let ratio = postgres.per_second / sqlite.per_second;
        for (name, measured, ratio) in [("SQLite", &sqlite, 1.0), ("PostgreSQL", &postgres, ratio)]
        {
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            println!(
                "{writers:>7}  {name:<10} {:>10.0} {:>10.2} {:>7.1} {ratio:>25.2}",
                measured.per_second,
                ms(measured.median),
                ms(measured.p99),
            );
        }
    }
}
