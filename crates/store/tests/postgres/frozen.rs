//! A process that is frozen past its lease, and comes back.
//!
//! The process is this test binary itself, started again for the one test named [`HOLDER`].

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use domain::journal::{Head, verify};
use domain::ports::{AppendError, Journal};

use crate::server::Server;
use crate::{id, now, open, pair};

const HOLDER: &str = "frozen::holds_until_fenced";
const ADDRESS: &str = "STORE_TEST_ADDRESS";
const LEASE: Duration = Duration::from_secs(1);

/// Renews its lease and appends until it is fenced, and prints what comes of each.
#[tokio::test]
#[ignore = "a holder that another test starts and freezes"]
async fn holds_until_fenced() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let store = open(&address);
    let lease = store.lease(&id(), "holder", now(), LEASE).await.unwrap().expect("free");
    let mut head = Head::empty();
    // The lease is renewed every 20 appends, and checked by each.
    for turn in 1_u64.. {
        if turn.is_multiple_of(20) {
            let renewed = store.lease(&id(), "holder", now(), LEASE).await.unwrap();
            println!("\nrenewed {}", renewed.is_some_and(|new| new.epoch == lease.epoch));
        }
        match pair(&store, Some(&lease), &head, "holder").await {
            Ok(written) => {
                head = written;
                println!("\nwrote {}", head.seq);
            }
            Err(AppendError::Fenced { held, current }) => {
                return println!("\nfenced {held} {current}");
            }
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct Holder {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Holder {
    fn start(address: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", HOLDER, "--ignored", "--nocapture"])
            .env(ADDRESS, address)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// What it says next under a word.
    fn says(&mut self, word: &str) -> Option<String> {
        self.lines.by_ref().map_while(Result::ok).find(|line| line.starts_with(word))
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_was_frozen_past_its_lease_writes_nothing_more() {
    let Some(server) = Server::start() else { return };
    let store = open(&server.address("presurge"));
    for round in 1..=3 {
        let mut holder = Holder::start(&server.address("presurge"));
        // It begins an empty chain: the one of the round before is put aside.
        for _ in 0..5 {
            holder.says("wrote").expect("it writes");
        }
        holder.signal("-STOP");
        assert_eq!(store.lease(&id(), "other", now(), LEASE).await.unwrap(), None, "still held");
        let lease = loop {
            match store.lease(&id(), "other", now(), LEASE * 100).await.unwrap() {
                Some(lease) => break lease,
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        let before = store.read(&id(), 0).await.unwrap();
        let head = before.last().unwrap().head();
        let head = pair(&store, Some(&lease), &head, "other").await.expect("the new owner writes");
        holder.signal("-CONT");
        let said = holder.says("fenced").expect("it is told that it lost its lease");
        let fenced = format!("fenced {} {}", lease.epoch - 1, lease.epoch);
        assert_eq!(said, fenced, "round {round}");
        let records = store.read(&id(), 0).await.unwrap();
        assert_eq!(verify(&records), Ok(head), "nothing of the old owner came after");
        server.sql(
            "presurge",
            "ALTER TABLE presurge.record DISABLE TRIGGER kept; DELETE FROM presurge.record;
             DELETE FROM presurge.rollout; ALTER TABLE presurge.record ENABLE TRIGGER kept",
        );
    }
}
