//! Replicas of two releases share a store while they are upgraded: the newer one takes over what the
//! older one has begun, and the older one leaves alone what it may not be able to read.

mod support;

use std::sync::Arc;
use std::time::Duration;

use domain::event::{Event, FORMAT, Outcome, format_of};
use domain::journal::{Entry, Head, Record};
use domain::ports::{Append, Authority, Clock, Journal};
use rollout::driver::{DriveError, Ended};
use rollout::machine::{FoldError, fold};
use sim::{Fuse, MemoryJournal, Settings, run_until_stuck};
use support::{Stage, all, crossing_after, only};

/// The stage with a journal of another format.
fn of_format(format: u32) -> Stage {
    let mut stage = Stage::new(Settings::default());
    let entries = stage.records().into_iter().map(|record| {
        let mut event = record.event().unwrap();
        if let Event::RolloutCreated(created) = &mut event {
            created.format = format;
        }
        let (at, actor, cause, reason, inputs) =
            (record.at, record.actor, record.cause, record.reason, record.inputs);
        Entry { at, actor, cause, reason, inputs, event }
    });
    let journal = Arc::new(MemoryJournal::new());
    let (after, authority) = (Head::empty(), Authority::Operator);
    let append =
        Append { rollout: &stage.id, authority, after: &after, entries: entries.collect() };
    run_until_stuck(journal.append(append)).unwrap().unwrap();
    stage.hands.journal = journal;
    stage
}

/// Nobody holds the lease, and nobody ever did.
fn was_left_alone(stage: &Stage) {
    let (now, length) = (stage.clock.now(), Duration::from_secs(60));
    let lease = stage.journal.lease(&stage.id, "another", now, length);
    let lease = run_until_stuck(lease).unwrap().unwrap().expect("the lease is free");
    assert_eq!(lease.epoch, 1, "it was never taken");
}

fn refused(stage: &mut Stage) -> String {
    match stage.try_to_drive(&Fuse::never()) {
        Some(Err(DriveError::Fold(_, error @ FoldError::Newer { .. }))) => error.to_string(),
        other => panic!("a newer format is left alone: {other:?}"),
    }
}

#[test]
fn a_rollout_that_a_newer_release_began_is_left_alone() {
    let mut stage = of_format(FORMAT + 1);
    let before = stage.records();
    let said = refused(&mut stage);
    let formats = format!("have format {}, this build reads up to {FORMAT}", FORMAT + 1);
    assert!(said.contains("a newer presurge drives it") && said.contains(&formats), "{said}");
    assert_eq!(stage.records(), before, "nothing was written");
    was_left_alone(&stage);
}

#[test]
fn a_rollout_that_a_newer_release_took_over_is_left_alone_whatever_its_events_are() {
    let mut stage = Stage::new(Settings::default());
    let (owner, build) = ("newer".to_owned(), "9.9.9".to_owned());
    let format = Some(FORMAT + 1);
    stage.append(vec![Event::DriverStarted { owner, epoch: 1, build, planning: None, format }]);
    // The newer release says more of itself than this one can read.
    let mut records = stage.records();
    let last = records.last_mut().unwrap();
    last.payload["mood"] = "good".into();
    last.hash = last.computed_hash();
    assert_eq!(format_of(&records), FORMAT + 1);
    let folded = fold(&records);
    assert!(matches!(folded, Err(FoldError::Newer { found }) if found == FORMAT + 1), "{folded:?}");
    refused(&mut stage);
    was_left_alone(&stage);
}

#[test]
fn a_rollout_of_the_release_before_is_taken_over_and_marked() {
    let mut stage = of_format(FORMAT - 1);
    let ended = stage.drive(&Fuse::never());
    assert_eq!(ended, Some(Ended::Finished(Outcome::Done)));
    let started = only(&stage, "DriverStarted");
    assert_eq!(started.payload["format"], FORMAT, "an older replica can tell from here on");
    let records: Vec<Record> = stage.records();
    assert_eq!((format_of(&records[..2]), format_of(&records)), (FORMAT - 1, FORMAT));
    fold(&records).expect("the two formats make one journal");
}

/// Each driver of the present release states its format once.
#[test]
fn a_rollout_of_this_release_says_its_format_once() {
    let mut stage = Stage::new(Settings::default());
    let stop = crossing_after("BatchOpened");
    assert_eq!(stage.drive(&Fuse::at(stop)), None, "it is stopped on the way");
    stage.drive(&Fuse::never()).expect("the second takes over");
    let started = all(&stage, "DriverStarted");
    assert_eq!(started.len(), 2);
    assert!(started.iter().all(|record| record.payload.get("format").is_none()), "{started:#?}");
}

/// A journal that cannot be folded, though its format can be read, keeps nobody else waiting.
#[test]
fn the_lease_of_a_journal_that_cannot_be_read_is_given_back() {
    let mut stage = Stage::new(Settings::default());
    // A person cannot do that; it is what a defect would leave behind.
    stage.append(vec![Event::BatchClosed { index: 7 }]);
    let ended = stage.try_to_drive(&Fuse::never());
    assert!(matches!(ended, Some(Err(DriveError::Fold(..)))), "{ended:?}");
    let (now, length) = (stage.clock.now(), Duration::from_secs(60));
    let lease = stage.journal.lease(&stage.id, "another", now, length);
    assert!(run_until_stuck(lease).unwrap().unwrap().is_some(), "it is free at once");
}
