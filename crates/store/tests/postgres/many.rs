//! Many who want the same rollout: one owner at any time, and epochs that rise.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::journal::{Head, verify};
use domain::ports::{AppendError, Journal, Lease};
use store::Postgres;

use crate::server::Server;
use crate::{id, now, open, pair};

/// Short, so that it is lost often.
const LEASE: Duration = Duration::from_millis(150);

/// What came of a driver's try to write.
#[derive(Debug, PartialEq, Eq)]
enum Tried {
    Wrote,
    Overtaken,
    Fenced,
}

async fn try_to_write(store: &Postgres, lease: &Lease) -> Tried {
    let records = store.read(&id(), 0).await.unwrap();
    let head = records.last().map_or_else(Head::empty, |record| record.head());
    let reason = format!("{} {}", lease.epoch, lease.owner);
    match pair(store, Some(lease), &head, &reason).await {
        Ok(_) => Tried::Wrote,
        Err(AppendError::Conflict(_)) => Tried::Overtaken,
        Err(AppendError::Fenced { held, current }) => {
            assert!(held == lease.epoch && current > held, "{held} {current}");
            Tried::Fenced
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_drivers_one_writes_and_epochs_rise() {
    let Some(server) = Server::start() else { return };
    let mut drivers = Vec::new();
    for number in 0..8_u64 {
        let store = open(&server.address("presurge"));
        drivers.push(tokio::spawn(async move {
            let owner = format!("driver-{number}");
            let (mut wrote, mut fenced) = (0, 0);
            for turn in 0..40 {
                let lease = store.lease(&id(), &owner, now(), LEASE).await.unwrap();
                let Some(lease) = lease else {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                };
                // Now and then it is late, as one is that was frozen.
                if (turn + number) % 3 == 0 {
                    tokio::time::sleep(LEASE * 2).await;
                }
                match try_to_write(&store, &lease).await {
                    Tried::Wrote => wrote += 1,
                    Tried::Fenced => fenced += 1,
                    Tried::Overtaken => {}
                }
                if turn % 7 == 0 {
                    store.release(&lease).await.unwrap();
                    assert_eq!(try_to_write(&store, &lease).await, Tried::Fenced, "given up");
                }
            }
            (wrote, fenced)
        }));
    }
    let (mut wrote, mut fenced) = (0, 0);
    for driver in drivers {
        let (written, refused) = driver.await.unwrap();
        (wrote, fenced) = (wrote + written, fenced + refused);
    }
    assert!(wrote > 10 && fenced > 5, "{wrote} written, {fenced} fenced: too few to tell");
    let records = open(&server.address("presurge")).read(&id(), 0).await.unwrap();
    verify(&records).expect("a whole chain");
    assert_eq!(records.len(), 2 * wrote);
    let mut owners = BTreeMap::new();
    let mut last = 0;
    for record in &records {
        let (epoch, owner) = record.reason.split_once(' ').unwrap();
        let epoch: u64 = epoch.parse().unwrap();
        assert!(epoch >= last, "record {} of epoch {epoch} comes after {last}", record.seq);
        let known = owners.entry(epoch).or_insert_with(|| owner.to_owned());
        assert_eq!(known, owner, "epoch {epoch} has one owner");
        last = epoch;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_database_that_many_open_at_once_serves_them_all() {
    let Some(server) = Server::start() else { return };
    for round in 0..5 {
        let database = format!("fresh_{round}");
        server.sql("postgres", &format!("CREATE DATABASE {database}"));
        let openers: Vec<_> = (0..10)
            .map(|_| {
                let store = open(&server.address(&database));
                tokio::spawn(async move { store.rollouts().await })
            })
            .collect();
        for opener in openers {
            let known = opener.await.unwrap().expect("whoever comes first makes the tables");
            assert!(known.is_empty());
        }
    }
}
