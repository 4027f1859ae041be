//! The connection is cut at every byte of an append and of its answer: nothing is lost, nothing is
//! there twice.

use std::time::Duration;

use domain::journal::{Head, verify};
use domain::ports::{AppendError, Journal, Lease, PortError, Retry};
use store::Postgres;

use crate::relay::Relay;
use crate::server::Server;
use crate::{id, now, open, pair};

/// Writes a pair as a driver does: where it is not told that it was written, it reads on first.
async fn insist(store: &Postgres, lease: &Lease, mut head: Head, reason: &str) -> (Head, u32) {
    let mut errors = 0;
    loop {
        match pair(store, Some(lease), &head, reason).await {
            Ok(head) => return (head, errors),
            Err(AppendError::Port(error)) => {
                assert_eq!(error.retry, Retry::Backoff, "{}", error.chain());
                errors += 1;
            }
            Err(AppendError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
        let records = loop {
            match store.read(&id(), 0).await {
                Ok(records) => break records,
                Err(error) => assert!(errors < 50, "{}", error.chain()),
            }
            errors += 1;
        };
        head = records.last().map_or_else(Head::empty, |record| record.head());
        if records.iter().any(|record| record.reason == reason) {
            return (head, errors);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_anywhere_nothing_is_lost_and_nothing_is_there_twice() {
    let Some(server) = Server::start() else { return };
    let relay = Relay::start(server.port).await;
    let store = open(&server.address_by(relay.port, "presurge"));
    let length = Duration::from_secs(600);
    let lease = store.lease(&id(), "one", now(), length).await.unwrap().expect("free");
    let (mut head, mut errors, mut reasons) = (Head::empty(), 0, Vec::new());
    // A request has about 2,600 bytes, its answer about 100.
    let requests = (0..2_800).step_by(100).map(|bytes| (true, bytes));
    let answers = (0..120).step_by(10).map(|bytes| (false, bytes));
    for (request, bytes) in requests.chain(answers) {
        let reason = format!("{request} {bytes}");
        match request {
            true => relay.cut_requests_after(bytes),
            false => relay.cut_answers_after(bytes),
        }
        let written = pair(&store, Some(&lease), &head, &reason).await;
        relay.mend();
        if let Err(error) = &written {
            errors += 1;
            assert!(matches!(error, AppendError::Port(PortError { retry: Retry::Backoff, .. })));
        }
        (head, _) = match written {
            Ok(head) => (head, 0),
            Err(_) => {
                // It has not seen its answer, so that it reads on from where it was.
                let known = open(&server.address("presurge")).read(&id(), 0).await.unwrap();
                let there = known.iter().any(|record| record.reason == reason);
                match there {
                    true => (known.last().unwrap().head(), 0),
                    false => insist(&store, &lease, head, &reason).await,
                }
            }
        };
        reasons.extend([reason.clone(), reason]);
    }
    let records = store.read(&id(), 0).await.unwrap();
    assert_eq!(verify(&records), Ok(head));
    let found: Vec<&str> = records.iter().map(|record| record.reason.as_str()).collect();
    assert_eq!(found, reasons, "each pair once, whole and in order");
    assert!(errors > 20, "only {errors} cuts were felt: the test has lost its eyes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_whose_answer_was_lost_is_there_and_is_no_success() {
    let Some(server) = Server::start() else { return };
    let relay = Relay::start(server.port).await;
    let store = open(&server.address_by(relay.port, "presurge"));
    let head = pair(&store, None, &Head::empty(), "one").await.unwrap();
    relay.cut_answers_after(0);
    let error = pair(&store, None, &head, "two").await.expect_err("the answer was lost");
    relay.mend();
    let AppendError::Port(error) = error else { panic!("{error}") };
    assert!(error.chain().contains("may have been done"), "{}", error.chain());
    // A connection that was cut as well may be noticed by the next call.
    let mut tries = 0;
    let error = loop {
        match pair(&store, None, &head, "two").await.expect_err("it was done") {
            AppendError::Port(error) if tries < 10 => {
                assert_eq!(error.retry, Retry::Backoff, "{}", error.chain());
                tries += 1;
            }
            error => break error,
        }
    };
    assert!(matches!(&error, AppendError::Conflict(head) if head.seq == 4), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_still_does_not_hold_up_calls_for_ever() {
    let Some(server) = Server::start() else { return };
    let relay = Relay::start(server.port).await;
    let store = open(&server.address_by(relay.port, "presurge"));
    let head = pair(&store, None, &Head::empty(), "one").await.unwrap();
    relay.keep_still();
    for _ in 0..2 {
        let calls = (0..8).map(|_| {
            let (store, head) = (store.clone(), head.clone());
            tokio::spawn(async move { pair(&store, None, &head, "two").await })
        });
        for call in calls.collect::<Vec<_>>() {
            // They are given up after four seconds; a busy machine may tell it late.
            let call = tokio::time::timeout(Duration::from_secs(60), call).await;
            let error = call.expect("no end").unwrap().expect_err("nobody answers");
            assert!(matches!(error, AppendError::Port(_)), "{error}");
        }
    }
    relay.mend();
    let mut head = store.read(&id(), 0).await.expect("it is back")[1].head();
    (head, _) = loop {
        match pair(&store, None, &head, "three").await {
            Ok(head) => break (head, ()),
            Err(AppendError::Conflict(seen)) => head = seen,
            Err(error) => panic!("{error}"),
        }
    };
    let records = store.read(&id(), 0).await.unwrap();
    assert_eq!(verify(&records), Ok(head));
}
