//! The kill switch: within one tick no more server goes out, whatever the rollout was about to do.

mod support;

use std::time::Duration;

use domain::event::{Event, HoldReason, Outcome};
use domain::name::FleetName;
use rollout::driver::Ended;
use sim::{Fuse, Settings};
use support::{Hands, Stage, new};

fn play(stage: &mut Stage) -> Ended {
    stage.drive(&Fuse::at(200_000)).expect("the story ends")
}

fn everything() -> Event {
    Event::FreezeRequested { fleet: None, until: None }
}

fn lift() -> Event {
    Event::UnfreezeRequested { fleet: None }
}

fn count(hands: &Hands, kind: &str) -> usize {
    hands.kinds().iter().filter(|k| *k == kind).count()
}

#[test]
fn whenever_it_is_frozen_no_further_batch_goes_out_and_what_is_out_comes_back() {
    for after in (0..2_400).step_by(40) {
        let mut stage = Stage::new(Settings::default());
        let frozen_at = stage.clock_now() + Duration::from_secs(after);
        stage.later(after, |h| h.freeze(everything()));
        stage.later(after + 1_500, move |h| {
            let opened = h.records().into_iter().filter(|r| r.kind == "BatchOpened");
            let late: Vec<_> = opened.filter(|r| r.at >= frozen_at).collect();
            assert!(late.is_empty(), "frozen after {after} s, and then {late:#?}");
            assert!(h.world.out().is_empty(), "after {after} s: {:?} is still out", h.world.out());
            assert_eq!(count(h, "Finished"), 0, "surge is kept: {:#?}", h.kinds());
            h.freeze(lift());
        });
        assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done), "after {after} s");
        assert!(stage.world.not_back(&new()).is_empty(), "after {after} s");
    }
}

#[test]
fn a_freeze_is_a_hold_that_says_by_whom_and_why_and_ends_with_it() {
    let mut stage = Stage::new(Settings::default());
    stage.later(400, |h| h.freeze(everything()));
    stage.later(2_000, |h| h.freeze(lift()));
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    let records = stage.records();
    let held = records.iter().find_map(|r| match r.event().unwrap() {
        Event::Held { hold: HoldReason::Frozen, detail } => Some((r.at, detail)),
        _ => None,
    });
    let (at, detail) = held.expect("the freeze is in the journal of the rollout");
    assert!(detail.starts_with("everything is frozen by operator:test since "), "{detail}");
    assert!(detail.ends_with(": asked for"), "{detail}");
    let ended = records.iter().find(|r| r.kind == "HoldEnded" && r.at > at);
    let waited = ended.expect("and so is its end").at.duration_since(at).as_secs();
    assert!((1_580..=1_620).contains(&waited), "held for {waited} s");
}

#[test]
fn a_driver_that_starts_later_is_frozen_and_buys_nothing() {
    let mut stage = Stage::new(Settings::default());
    stage
        .freeze(Event::FreezeRequested { fleet: Some(stage.timetable.fleet.clone()), until: None });
    assert_eq!(play(&mut stage), Ended::Waiting, "patience ends first");
    for kind in ["SurgeOrdered", "BatchOpened", "DrainStarted"] {
        assert_eq!(count(&stage, kind), 0, "{kind}");
    }
}

#[test]
fn another_fleet_s_freeze_and_one_that_is_over_stop_nothing() {
    let mut stage = Stage::new(Settings::default());
    let (other, now) = (FleetName::new("db").unwrap(), stage.clock_now());
    stage.freeze(Event::FreezeRequested { fleet: Some(other), until: None });
    stage.freeze(Event::FreezeRequested { fleet: None, until: Some(now) });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert_eq!(count(&stage, "Held"), 0);
}

#[test]
fn a_freeze_with_an_end_ends_by_itself() {
    let mut stage = Stage::new(Settings::default());
    let until = Some(stage.clock_now() + Duration::from_secs(1_800));
    stage.freeze(Event::FreezeRequested { fleet: None, until });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    let first = stage.records().into_iter().find(|r| r.kind == "BatchOpened").unwrap();
    assert!(Some(first.at) >= until, "{first:?}");
}

#[test]
fn an_abort_is_carried_out_all_the_same() {
    let mut stage = Stage::new(Settings::default());
    stage.later(400, |h| h.freeze(everything()));
    stage.later(500, |h| h.append(vec![Event::AbortRequested {}]));
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Aborted));
    assert!(stage.world.out().is_empty() && stage.world.surge_running().is_empty());
}

#[test]
fn what_cannot_be_read_stops_new_batches_and_says_so() {
    let mut stage = Stage::new(Settings::default());
    // A chain that this build cannot read: somebody wrote what is no freeze into it.
    stage.freeze(Event::PauseRequested {});
    assert_eq!(play(&mut stage), Ended::Waiting);
    assert_eq!(count(&stage, "BatchOpened"), 0);
    let held = stage.records().into_iter().find_map(|r| match r.event().unwrap() {
        Event::Held { hold: HoldReason::AdapterFailing, detail } => Some(detail),
        _ => None,
    });
    let detail = held.expect("it holds");
    assert!(detail.contains("journal of freezes"), "{detail}");
}
