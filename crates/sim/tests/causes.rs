//! Every event says who, why, and what it follows from: from each one the causes lead back to what
//! a person asked for.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use domain::event::Event;
use domain::journal::{Actor, Record};
use domain::name::{OfferName, ServerName};
use domain::spread::Spread;
use serde_json::Value;
use sim::{Fuse, Settings, Sold};
use support::{Hands, Stage};

/// What each outcome, and each decision about one thing, follows from. What is not listed (a hold,
/// a failure, a revision, a new driver) may follow from anything that came before.
const FOLLOWS: &[(&str, &[&str])] = &[
    ("BatchOpened", &["PlanAdopted"]),
    ("DrainStarted", &["BatchOpened"]),
    ("Drained", &["DrainStarted"]),
    ("UpdateStarted", &["Drained", "ServerRetried"]),
    ("Updated", &["UpdateStarted"]),
    ("Verified", &["Updated"]),
    ("RestoreStarted", &["Verified", "DrainStarted", "Drained"]),
    ("Restored", &["RestoreStarted"]),
    ("Warmed", &["Restored"]),
    ("BatchClosed", &["BatchOpened"]),
    ("ServerRetried", &["ServerFailed"]),
    ("SurgeOrdered", &["PlanAdopted", "SurgeLost"]),
    ("SurgeRunning", &["SurgeOrdered", "SurgeMissed"]),
    ("SurgeMissed", &["SurgeOrdered", "SurgeRunning", "SurgeMissed"]),
    ("SurgeJoining", &["SurgeRunning"]),
    ("SurgeJoined", &["SurgeJoining"]),
    ("SurgeDrained", &["SurgeReleasing"]),
    ("SurgeLeft", &["SurgeDrained", "SurgeReleasing"]),
    ("SurgeReleased", &["SurgeReleasing", "SurgeMissed"]),
];

/// What a person does has no cause in the journal.
const REQUESTS: &[&str] =
    &["RolloutCreated", "PlanAdopted", "PauseRequested", "ResumeRequested", "AbortRequested"];

/// Checks a whole journal, and notes which kinds of events it has.
fn judge(records: &[Record], seen: &mut BTreeSet<String>, context: &str) {
    for record in records {
        let place = format!("{context}: record {} {}", record.seq, record.kind);
        assert!(!record.actor.0.trim().is_empty(), "{place}: nobody did it");
        assert!(!record.reason.trim().is_empty(), "{place}: for no reason");
        seen.insert(record.kind.clone());
        let Some(seq) = record.cause else {
            let person = record.actor.0.starts_with(&Actor::operator("").0);
            assert!(person, "{place}: {} did it without a cause", record.actor.0);
            assert!(REQUESTS.contains(&record.kind.as_str()), "{place}: nobody asks for this");
            continue;
        };
        // Causes lie behind, so that they lead to an event without one: to a request.
        assert!(seq >= 1 && seq < record.seq, "{place}: its cause is {seq}");
        let cause = &records[seq as usize - 1];
        if let Some((_, fit)) = FOLLOWS.iter().find(|(kind, _)| *kind == record.kind) {
            let from = cause.kind.as_str();
            assert!(fit.contains(&from), "{place}: follows from {seq} {from}");
            same_thing(record, cause, &place);
        }
    }
}

/// A cause is about the same server, order or batch.
fn same_thing(record: &Record, cause: &Record, place: &str) {
    for field in ["server", "key"] {
        if let (Value::String(here), Value::String(there)) =
            (&record.payload[field], &cause.payload[field])
        {
            assert_eq!(here, there, "{place}: its cause is of another {field}");
        }
    }
    if record.kind == "BatchClosed" {
        assert_eq!(record.payload["index"], cause.payload["index"], "{place}");
    }
}

/// Its name, its world, and what happens in it.
type Story = (&'static str, fn() -> Settings, fn(&Stage));

fn slow_drain() -> Settings {
    Settings { drain: Spread::exactly(Duration::from_secs(1200)), ..Settings::default() }
}

fn failing() -> Settings {
    let fails_first = vec![ServerName::new("web-3").unwrap()];
    Settings { fails_first, ..Settings::default() }
}

fn ask_when_open(hands: &Hands, event: Event) {
    if !hands.kinds().iter().any(|kind| kind == "Finished") {
        hands.append(vec![event]);
    }
}

/// Rollouts in trouble, each with what happens.
const STORIES: &[Story] = &[
    ("undisturbed", Settings::default, |_| {}),
    ("paused", Settings::default, |stage| {
        stage.later(400, |h| ask_when_open(h, Event::PauseRequested {}));
        stage.later(2000, |h| ask_when_open(h, Event::ResumeRequested {}));
    }),
    ("aborted early", Settings::default, |stage| {
        stage.later(100, |h| ask_when_open(h, Event::AbortRequested {}));
    }),
    ("aborted in a batch", Settings::default, |stage| {
        stage.later(460, |h| ask_when_open(h, Event::AbortRequested {}));
    }),
    ("a failed server, tried again", failing, |stage| {
        stage.later(2500, |h| ask_when_open(h, Event::ResumeRequested {}));
    }),
    ("load above the band", Settings::default, |stage| {
        stage.later(300, |h| h.world.set_load(|_| 500.0));
        stage.later(2400, |h| h.world.set_load(|_| 100.0));
    }),
    ("load unknown", Settings::default, |stage| {
        stage.later(300, |h| h.world.set_load(|_| f64::NAN));
        stage.later(2400, |h| h.world.set_load(|_| 100.0));
    }),
    ("sold out", Settings::default, |stage| {
        stage.world.limit_stock(&OfferName::new("spare").unwrap(), 1);
    }),
    ("a drain without end", slow_drain, |_| {}),
];

#[test]
fn every_event_of_a_simulated_rollout_has_an_actor_a_reason_and_a_cause() {
    let mut seen = BTreeSet::new();
    for (name, settings, script) in STORIES {
        for stopped in [0, 40, 170, 333, 512, 700] {
            let mut stage = Stage::new(settings());
            script(&stage);
            if stopped > 0 {
                stage.drive(&Fuse::at(stopped));
            }
            stage.drive(&Fuse::never());
            judge(&stage.records(), &mut seen, &format!("{name}, stopped at {stopped}"));
        }
    }
    for seed in 0..30 {
        let spare = OfferName::new("spare").unwrap();
        let taken = Sold {
            lead: Spread::exactly(Duration::from_secs(120)),
            interruption: plan::Interruption { per_hour: 0.75, pool_per_hour: 0.0 },
        };
        let offers = [(spare, taken)].into();
        let mut stage = Stage::new(Settings { offers, seed, ..Settings::default() });
        stage.drive(&Fuse::never());
        judge(&stage.records(), &mut seen, &format!("surge taken away, seed {seed}"));
    }
    let trouble = ["Held", "HoldEnded", "ServerFailed", "ServerRetried", "SurgeLost"];
    let missing: Vec<&str> = FOLLOWS
        .iter()
        .map(|(kind, _)| *kind)
        .chain(trouble)
        .filter(|kind| !seen.contains(*kind))
        .collect();
    assert!(missing.is_empty(), "the test has lost its eyes for {missing:?}");
}

#[test]
fn every_event_of_the_golden_journals_has_an_actor_a_reason_and_a_cause() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let records: Vec<Record> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        judge(&records, &mut seen, &path.display().to_string());
    }
    assert!(seen.contains("Finished"), "{seen:?}");
}
