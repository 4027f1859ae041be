//! What a journal has to withstand: tampering, loss, nonsense, and the passing of releases.

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use domain::contract;
use domain::event::Outcome;
use domain::journal::{Entry, Head, Record, verify};
use domain::ports::Journal;
use rollout::machine::{FoldError, fold};
use rollout::state::Phase;
use sim::{Fuse, MemoryJournal, Settings, run_until_stuck};
use support::Stage;

fn finished() -> Vec<Record> {
    let mut stage = Stage::new(Settings::default());
    stage.drive(&Fuse::never());
    stage.records()
}

/// The same events as a chain of their own.
fn chain_anew(records: impl Iterator<Item = Record>) -> Vec<Record> {
    let mut head = Head::empty();
    let mut chain = Vec::new();
    for old in records {
        let event = old.event().unwrap();
        let cause = None;
        let (at, actor, reason, inputs) = (old.at, old.actor, old.reason, old.inputs);
        let entry = Entry { at, actor, cause, reason, inputs, event };
        let record = Record::chain(&old.rollout, &head, entry);
        head = record.head();
        chain.push(record);
    }
    chain
}

#[test]
fn every_edit_loss_and_exchange_of_records_is_found_at_its_place() {
    let good = finished();
    assert!(verify(&good).is_ok());
    for index in 0..good.len() {
        let seq = good[index].seq;
        let mut edited = good.clone();
        edited[index].reason.push('!');
        assert_eq!(verify(&edited).unwrap_err().seq, seq, "an edited reason");
        let mut dated = good.clone();
        dated[index].at += std::time::Duration::from_secs(1);
        assert_eq!(verify(&dated).unwrap_err().seq, seq, "an edited time");
        if index + 1 < good.len() {
            let mut short = good.clone();
            short.remove(index);
            assert_eq!(verify(&short).unwrap_err().seq, seq, "a lost record");
            let mut swapped = good.clone();
            swapped.swap(index, index + 1);
            assert_eq!(verify(&swapped).unwrap_err().seq, seq, "two records exchanged");
        }
    }
    let tail = &good[..good.len() - 3];
    assert!(verify(tail).is_ok(), "a cut tail cannot be seen from the chain alone");
}

#[test]
fn a_chain_that_leaves_out_a_step_is_no_rollout() {
    let good = finished();
    for left_out in &good[..good.len() - 1] {
        // Who drives, what gates say, and whether surge was in service, is the decider's business,
        // not the fold's.
        if matches!(left_out.kind.as_str(), "DriverStarted" | "SurgeJoined" | "GateJudged") {
            continue;
        }
        let rest = good.iter().filter(|r| r.seq != left_out.seq).cloned();
        match fold(&chain_anew(rest)) {
            Err(FoldError::Illegal { .. }) => {}
            other => panic!("without {} {}: {other:?}", left_out.seq, left_out.kind),
        }
    }
}

#[test]
fn a_chain_that_repeats_a_step_is_no_rollout() {
    let good = finished();
    for twice in &good {
        if matches!(twice.kind.as_str(), "DriverStarted") {
            continue;
        }
        let twofold =
            good.iter().flat_map(|r| vec![r.clone(); 1 + usize::from(r.seq == twice.seq)]);
        let folded = fold(&chain_anew(twofold));
        assert!(matches!(folded, Err(FoldError::Illegal { .. })), "{} twice", twice.kind);
    }
}

#[test]
fn an_event_of_a_later_release_refuses_to_load() {
    let mut records = finished();
    records.truncate(3);
    records[2].kind = "ServerTeleported".into();
    records[2].hash = records[2].computed_hash();
    let error = fold(&records).unwrap_err();
    assert!(matches!(error, FoldError::Unknown(_)), "{error}");
}

/// `UPDATE_GOLDEN=1` writes the journal of the present release; those of former ones stay.
#[test]
fn journals_of_every_release_keep_loading() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let lines: String =
            finished().iter().map(|r| serde_json::to_string(r).unwrap() + "\n").collect();
        let name = format!("journal-{}.jsonl", env!("CARGO_PKG_VERSION"));
        std::fs::write(folder.join(name), lines).unwrap();
    }
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let records: Vec<Record> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let state = fold(&records).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(state.unwrap().phase, Phase::Finished(Outcome::Done), "{}", path.display());
        seen += 1;
    }
    assert!(seen > 0, "there is no golden journal");
}

struct InMemory(Arc<MemoryJournal>);

impl contract::journal::World for InMemory {
    fn journal(&self) -> Arc<dyn Journal> {
        self.0.clone()
    }
}

#[test]
fn the_journal_in_memory_keeps_the_contract_of_freezes() {
    let run = contract::freezes::run(async || InMemory(Arc::new(MemoryJournal::new())));
    run_until_stuck(run).expect("nobody waits for anything");
}

#[test]
fn the_journal_in_memory_keeps_the_contract_of_journals() {
    let run = contract::journal::run(async || InMemory(Arc::new(MemoryJournal::new())));
    run_until_stuck(run).expect("it never waits");
}
