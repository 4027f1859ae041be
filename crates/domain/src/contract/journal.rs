//! What every journal has to show.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{cut_short, together};
use crate::event::Event;
use crate::journal::{Actor, Digest, Entry, Head, Record, verify};
use crate::name::RolloutId;
use crate::ports::{Append, AppendError, Authority, Journal, Lease};

/// A store for one case.
pub trait World: Send + Sync {
    /// Another handle on the same store, as another process opens it.
    fn journal(&self) -> Arc<dyn Journal>;
}

const LENGTH: Duration = Duration::from_secs(30);

/// Runs every case against a fresh world.
///
/// # Panics
/// When the adapter breaks its contract; the message says how.
pub async fn run<W: World>(make: impl AsyncFn() -> W) {
    what_was_appended_is_read_in_order(&make().await).await;
    an_unknown_rollout_has_no_records(&make().await).await;
    chains_are_apart(&make().await).await;
    a_head_that_was_not_seen_is_a_conflict(&make().await).await;
    one_of_many_writers_wins(&make().await).await;
    a_lease_keeps_others_out_until_it_ends(&make().await).await;
    a_driver_that_lost_its_lease_is_fenced(&make().await).await;
    a_released_lease_is_free_at_once(&make().await).await;
    an_operator_writes_beside_a_driver(&make().await).await;
    an_append_cut_short_is_all_or_nothing(&make().await).await;
    odd_values_come_back_as_they_were(&make().await).await;
}

async fn what_was_appended_is_read_in_order<W: World>(world: &W) {
    let (journal, id) = (world.journal(), rollout("a#1"));
    assert_eq!(write(world, &id, &Head::empty(), entries(0)).await.unwrap(), []);
    assert!(journal.rollouts().await.unwrap().is_empty(), "nothing was appended");
    let first = write(world, &id, &Head::empty(), entries(3)).await.unwrap();
    let head = verify(&first).expect("what is returned is a chain");
    let second = write(world, &id, &head, entries(2)).await.unwrap();
    let all: Vec<Record> = first.iter().chain(&second).cloned().collect();
    for journal in [journal, world.journal()] {
        assert_eq!(journal.read(&id, 0).await.unwrap(), all);
        assert_eq!(journal.read(&id, 2).await.unwrap(), all[2..]);
        assert_eq!(journal.read(&id, 5).await.unwrap(), []);
        assert_eq!(journal.read(&id, u64::MAX).await.unwrap(), []);
        assert_eq!(journal.rollouts().await.unwrap(), std::slice::from_ref(&id));
    }
    let head = verify(&all).expect("what is read is a chain");
    assert_eq!(head, second[1].head());
}

async fn an_unknown_rollout_has_no_records<W: World>(world: &W) {
    let (journal, id) = (world.journal(), rollout("never#1"));
    assert_eq!(journal.read(&id, 0).await.unwrap(), []);
    assert!(take(world, &id, "one", 0).await.is_some(), "a lease needs no record");
    assert!(journal.rollouts().await.unwrap().is_empty(), "a lease is no record");
}

async fn chains_are_apart<W: World>(world: &W) {
    let ids = [rollout("z#1"), rollout("a#1"), rollout("m#1")];
    for id in &ids {
        write(world, id, &Head::empty(), entries(2)).await.unwrap();
    }
    for id in &ids {
        let records = world.journal().read(id, 0).await.unwrap();
        assert_eq!(records.len(), 2);
        assert!(records.iter().all(|record| record.rollout == *id));
        verify(&records).expect("each is a chain of its own");
    }
    assert_eq!(world.journal().rollouts().await.unwrap(), ids, "in the order of creation");
    let lease = take(world, &ids[0], "one", 0).await.expect("free");
    assert!(take(world, &ids[1], "two", 0).await.is_some(), "leases are apart");
    let head = world.journal().read(&ids[1], 0).await.unwrap()[1].head();
    let append = Append {
        rollout: &ids[1],
        authority: Authority::Driver(&lease),
        after: &head,
        entries: entries(1),
    };
    let error = world.journal().append(append).await.expect_err("the lease of another rollout");
    assert!(matches!(error, AppendError::Fenced { .. }), "{error}");
}

async fn a_head_that_was_not_seen_is_a_conflict<W: World>(world: &W) {
    let id = rollout("a#1");
    let records = write(world, &id, &Head::empty(), entries(2)).await.unwrap();
    let now = records[1].head();
    let forged = Head { hash: Digest::of_bytes(b"another history"), ..now.clone() };
    let ahead = Head { seq: 9, hash: now.hash.clone() };
    for seen in [Head::empty(), records[0].head(), forged, ahead] {
        match write(world, &id, &seen, entries(1)).await {
            Err(AppendError::Conflict(head)) => assert_eq!(head, now),
            other => panic!("after {seen:?}: {other:?}"),
        }
    }
    assert_eq!(world.journal().read(&id, 0).await.unwrap(), records, "nothing was appended");
}

async fn one_of_many_writers_wins<W: World>(world: &W) {
    let id = rollout("a#1");
    let mut head = Head::empty();
    for _ in 0..5 {
        let (one, two, three) = (
            write(world, &id, &head, entries(2)),
            write(world, &id, &head, entries(2)),
            write(world, &id, &head, entries(2)),
        );
        let answers = together(one, two, three).await;
        let won: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        head = won[0][1].head();
        for answer in &answers {
            if let Err(error) = answer {
                assert!(matches!(error, AppendError::Conflict(seen) if *seen == head), "{error}");
            }
        }
    }
    let records = world.journal().read(&id, 0).await.unwrap();
    assert_eq!(verify(&records).expect("a whole chain"), head);
    assert_eq!(head.seq, 10);
}

async fn a_lease_keeps_others_out_until_it_ends<W: World>(world: &W) {
    let id = rollout("a#1");
    let first = take(world, &id, "one", 0).await.expect("free");
    assert_eq!(first.until, at(0) + LENGTH);
    assert_eq!((first.rollout.clone(), first.owner.as_str()), (id.clone(), "one"));
    assert_eq!(take(world, &id, "two", 29).await, None, "it is held");
    let renewed = take(world, &id, "one", 20).await.expect("the owner renews");
    assert_eq!(renewed.epoch, first.epoch, "a renewal is no change of owner");
    assert_eq!(renewed.until, at(50));
    assert_eq!(take(world, &id, "two", 49).await, None, "it is held longer now");
    let second = take(world, &id, "two", 50).await.expect("it has ended");
    assert!(second.epoch > first.epoch, "a new owner, a new epoch");
    assert_eq!(take(world, &id, "one", 60).await, None, "the old owner has to wait");
    let third = take(world, &id, "one", 80).await.expect("it has ended again");
    assert!(third.epoch > second.epoch, "epochs only rise");
}

async fn a_driver_that_lost_its_lease_is_fenced<W: World>(world: &W) {
    let id = rollout("a#1");
    let old = take(world, &id, "one", 0).await.expect("free");
    let records = drive(world, &old, &Head::empty(), entries(1)).await.unwrap();
    let head = records[0].head();
    let new = take(world, &id, "two", 31).await.expect("it has ended");
    for seen in [&head, &Head::empty()] {
        match drive(world, &old, seen, entries(1)).await {
            Err(AppendError::Fenced { held, current }) => {
                assert_eq!((held, current), (old.epoch, new.epoch));
            }
            other => panic!("the old owner may not write: {other:?}"),
        }
    }
    assert_eq!(world.journal().read(&id, 0).await.unwrap(), records, "nothing was appended");
    drive(world, &new, &head, entries(1)).await.expect("the new owner writes");
    world.journal().release(&old).await.expect("not held: nothing happens");
    let records = world.journal().read(&id, 0).await.unwrap();
    drive(world, &new, &records[1].head(), entries(1)).await.expect("it is still the owner");
    assert_eq!(take(world, &id, "one", 32).await, None, "it is still held");
}

async fn a_released_lease_is_free_at_once<W: World>(world: &W) {
    let id = rollout("a#1");
    let first = take(world, &id, "one", 0).await.expect("free");
    world.journal().release(&first).await.unwrap();
    let error = drive(world, &first, &Head::empty(), entries(1)).await.expect_err("released");
    assert!(matches!(error, AppendError::Fenced { .. }), "{error}");
    let second = take(world, &id, "two", 1).await.expect("it is free");
    assert!(second.epoch > first.epoch);
    world.journal().release(&first).await.expect("again: nothing happens");
    assert_eq!(take(world, &id, "three", 2).await, None, "it is held by two");
    world.journal().release(&second).await.unwrap();
    world.journal().release(&second).await.unwrap();
    let third = take(world, &id, "two", 3).await.expect("it is free again");
    assert!(third.epoch > second.epoch, "what was released is not taken up again");
}

async fn an_operator_writes_beside_a_driver<W: World>(world: &W) {
    let id = rollout("a#1");
    let lease = take(world, &id, "one", 0).await.expect("free");
    let driven = drive(world, &lease, &Head::empty(), entries(1)).await.unwrap();
    let asked = write(world, &id, &driven[0].head(), entries(1)).await.unwrap();
    match drive(world, &lease, &driven[0].head(), entries(1)).await {
        Err(AppendError::Conflict(head)) => assert_eq!(head, asked[0].head()),
        other => panic!("the driver has not read on: {other:?}"),
    }
    drive(world, &lease, &asked[0].head(), entries(1)).await.expect("now it has");
}

async fn an_append_cut_short_is_all_or_nothing<W: World>(world: &W) {
    let id = rollout("a#1");
    let mut head = Head::empty();
    for polls in 0..6 {
        let append = Append {
            rollout: &id,
            authority: Authority::Operator,
            after: &head,
            entries: entries(3),
        };
        cut_short(world.journal().append(append), polls).await;
        // Whatever became of it, a second try finds out by its conflict.
        head = match write(world, &id, &head, entries(3)).await {
            Ok(records) => records[2].head(),
            Err(AppendError::Conflict(seen)) => seen,
            Err(error) => panic!("{error}"),
        };
        let records = world.journal().read(&id, 0).await.unwrap();
        assert_eq!(verify(&records).expect("a whole chain"), head);
        assert_eq!(records.len() as u64, 3 * (u64::from(polls) + 1), "three or none, once");
    }
}

async fn odd_values_come_back_as_they_were<W: World>(world: &W) {
    let id = rollout("a#1");
    let mut odd = entries(1);
    odd[0].at = Timestamp::MAX;
    odd[0].actor = Actor::operator("o'brien \"x\"; DROP TABLE record; --");
    odd[0].cause = Some(9_007_199_254_740_991);
    odd[0].reason = "tabs\t, lines\n, nulls\0, ü, 🚀 and 'quotes'".repeat(100);
    odd[0].inputs = Some(Digest::of_bytes(b"inputs"));
    let mut early = entries(1);
    early[0].at = Timestamp::MIN;
    odd.extend(early);
    let written = write(world, &id, &Head::empty(), odd).await.unwrap();
    let read = world.journal().read(&id, 0).await.unwrap();
    assert_eq!(read, written);
    verify(&read).expect("hashes survive the store");
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a moment")
}

fn rollout(name: &str) -> RolloutId {
    RolloutId::new(name).expect("a name")
}

fn entries(count: u32) -> Vec<Entry> {
    (0..count)
        .map(|index| Entry {
            at: at(0),
            actor: Actor::decider(),
            cause: None,
            reason: format!("entry {index}"),
            inputs: None,
            event: Event::BatchClosed { index },
        })
        .collect()
}

async fn take<W: World>(world: &W, id: &RolloutId, owner: &str, now: i64) -> Option<Lease> {
    world.journal().lease(id, owner, at(now), LENGTH).await.expect("the store works")
}

async fn write<W: World>(
    world: &W,
    id: &RolloutId,
    after: &Head,
    entries: Vec<Entry>,
) -> Result<Vec<Record>, AppendError> {
    let append = Append { rollout: id, authority: Authority::Operator, after, entries };
    world.journal().append(append).await
}

async fn drive<W: World>(
    world: &W,
    lease: &Lease,
    after: &Head,
    entries: Vec<Entry>,
) -> Result<Vec<Record>, AppendError> {
    let authority = Authority::Driver(lease);
    world.journal().append(Append { rollout: &lease.rollout, authority, after, entries }).await
}
