//! Hooks run at their points, once each, whatever happens to the driver; one that fails holds.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use domain::contract::hook as contract;
use domain::event::{Event, HoldReason, HookLimit, HookPoint, Outcome};
use domain::journal::Record;
use domain::ports::{Clock, Hook, HookOrder};
use rollout::driver::Ended;
use rollout::machine::fold;
use sim::{Fuse, Settings, SimClock, SimWorld, run_until_stuck};
use support::{Hands, POINTS, Stage, all, new, old, only};

fn limits(points: &[HookPoint]) -> Vec<HookLimit> {
    points.iter().map(|hook| HookLimit { hook: *hook, timeout_seconds: 120.0 }).collect()
}

fn stage_with(points: &[HookPoint], hook: Duration) -> Stage {
    let settings = Settings { hook, ..Settings::default() };
    Stage::under(settings, |_, policy| policy.hooks = limits(points))
}

fn stage() -> Stage {
    stage_with(&POINTS, Duration::from_secs(20))
}

fn play(stage: &mut Stage) -> Ended {
    stage.drive(&Fuse::at(200_000)).expect("the story ends")
}

/// What really ran: the hook, the batch, and how many servers it was told of.
fn ran(stage: &Hands) -> Vec<(HookPoint, Option<u32>, usize)> {
    let facts = stage.world.facts();
    facts.hooks.iter().map(|order| (order.hook, order.batch, order.servers.len())).collect()
}

fn as_planned() -> Vec<(HookPoint, Option<u32>, usize)> {
    use HookPoint::{After, AfterBatch, Before};
    let batch = |index| (AfterBatch, Some(index), 2);
    vec![(Before, None, 6), batch(1), batch(2), batch(3), (After, None, 6)]
}

#[test]
fn hooks_run_before_after_each_batch_and_at_the_end() {
    let mut stage = stage();
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert_eq!(ran(&stage), as_planned());
    let kinds = stage.kinds();
    let place = |kind: &str| kinds.iter().position(|k| k == kind).unwrap();
    assert!(place("HookEnded") < place("SurgeOrdered"), "before the first order: {kinds:#?}");
    let mut waits = false;
    for (kind, next) in kinds.iter().zip(&kinds[1..]) {
        match kind.as_str() {
            "BatchClosed" => waits = true,
            "HookEnded" => waits = false,
            "BatchOpened" | "StabilisationStarted" => assert!(!waits, "{kinds:#?}"),
            _ => {}
        }
        assert!(next != "Finished" || kind == "HookEnded", "{kinds:#?}");
    }
    let closed = all(&stage, "BatchClosed");
    let after = all(&stage, "HookStarted");
    let watch = after[1].at.duration_since(closed[0].at).as_secs();
    assert_eq!(watch, 60, "the canary is watched first");
    let order: &HookOrder = &stage.world.facts().hooks[2];
    assert_eq!((order.rollout.as_str(), order.version.as_str()), ("kernel#1", "2"));
    assert_eq!(order.key.as_str(), "kernel#1/hook/afterBatch/2/1");
}

#[test]
fn a_rollout_without_surge_runs_its_last_hook_after_the_watch() {
    let mut stage = Stage::under(Settings::default(), |timetable, policy| {
        timetable.surge.1 = 0;
        policy.hooks = limits(&[HookPoint::After]);
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert_eq!(ran(&stage), [(HookPoint::After, None, 6)]);
    let watched =
        only(&stage, "HookStarted").at.duration_since(only(&stage, "StabilisationStarted").at);
    assert_eq!(watched.as_secs(), 300);
}

/// Two batches, no surge and short waits: the fewest crossings with every hook in them.
fn small_stage() -> Stage {
    Stage::under(Settings::default(), |timetable, policy| {
        (timetable.surge.1, timetable.batch) = (0, 3);
        (policy.canary_watch_seconds, policy.stabilisation_seconds) = (0.0, 20.0);
        policy.hooks = limits(&POINTS);
    })
}

#[test]
fn the_driver_may_die_at_every_crossing_and_no_hook_runs_twice() {
    let mut whole = small_stage();
    let counter = Fuse::never();
    whole.drive(&counter);
    let (crossings, as_played) = (counter.crossings(), ran(&whole));
    assert_eq!(as_played.len(), 4, "{as_played:?}");
    assert!(crossings > 500, "only {crossings} crossings: the test has lost its eyes");
    for crossing in 1..=crossings {
        let mut stage = small_stage();
        assert_eq!(stage.drive(&Fuse::at(crossing)), None, "crossing {crossing}");
        assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done), "crossing {crossing}");
        assert_eq!(ran(&stage), as_played, "stopped at crossing {crossing}");
        let keys: BTreeSet<_> = stage.world.facts().hooks.into_iter().map(|o| o.key).collect();
        assert_eq!(keys.len(), 4, "stopped at crossing {crossing}");
        assert!(stage.world.not_back(&new()).is_empty(), "crossing {crossing}");
    }
}

#[test]
fn a_hook_that_fails_holds_and_resume_runs_it_again_under_a_new_key() {
    // Which of the runs fails: before everything, after the second batch, at the end.
    for (nth, opened) in [(0, 0), (2, 2), (4, 3)] {
        let mut stage = stage();
        let moment = [0, 700, 2_000][nth / 2];
        stage.later(moment, |h| h.world.fail_hooks(1));
        assert_eq!(play(&mut stage), Ended::Waiting, "run {nth}");
        let held = only(&stage, "Held").event().unwrap();
        let Event::Held { hold: HoldReason::HookFailed, detail } = held else { panic!("{held:?}") };
        let what = ["before", "afterBatch after batch 2", "after"][nth / 2];
        assert_eq!(detail, format!("the hook {what} failed: the command ended with exit code 1"));
        assert_eq!(ran(&stage), as_planned()[..=nth], "it does not run again by itself");
        assert_eq!(all(&stage, "BatchOpened").len(), opened, "nothing goes on meanwhile");
        assert!(stage.world.out().is_empty());
        stage.append(vec![Event::ResumeRequested {}]);
        assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done), "run {nth}");
        // What is left was planned again, so that its batches have other numbers.
        let points = |all: Vec<(HookPoint, Option<u32>, usize)>| -> Vec<_> {
            all.into_iter().map(|(hook, _, servers)| (hook, servers)).collect()
        };
        let mut expected = points(as_planned());
        expected.insert(nth, expected[nth]);
        assert_eq!(points(ran(&stage)), expected, "it ran once more");
        let hooks = stage.world.facts().hooks;
        assert!(hooks[nth].key.as_str().ends_with("/1"), "{}", hooks[nth].key);
        assert!(hooks[nth + 1].key.as_str().ends_with("/2"), "{}", hooks[nth + 1].key);
        assert!(stage.world.not_back(&new()).is_empty());
    }
}

#[test]
fn a_hook_that_is_not_ended_in_its_time_is_given_up() {
    let mut stage = stage_with(&[HookPoint::AfterBatch], Duration::from_secs(3_000));
    assert_eq!(play(&mut stage), Ended::Waiting);
    let (started, failed) = (only(&stage, "HookStarted"), only(&stage, "HookFailed"));
    assert_eq!(failed.at.duration_since(started.at).as_secs(), 120 + 60);
    assert_eq!(failed.cause, Some(started.seq));
    assert_eq!(all(&stage, "Held").len(), 1);
}

#[test]
fn an_abort_waits_for_no_hook_and_runs_none() {
    for moment in [5, 700, 2_100] {
        let mut stage = stage_with(&POINTS, Duration::from_secs(90));
        stage.later(moment, |h| h.append(vec![Event::AbortRequested {}]));
        assert_eq!(play(&mut stage), Ended::Finished(Outcome::Aborted), "after {moment} s");
        let at = only(&stage, "AbortRequested").at;
        assert!(all(&stage, "HookStarted").iter().all(|record| record.at <= at));
        assert!(stage.world.out().is_empty() && stage.world.surge_running().is_empty());
    }
}

#[test]
fn what_has_not_begun_does_not_begin_while_it_is_paused() {
    let mut stage = stage();
    stage.append(vec![Event::PauseRequested {}]);
    assert_eq!(play(&mut stage), Ended::Waiting);
    assert!(stage.world.facts().hooks.is_empty());
    stage.append(vec![Event::ResumeRequested {}]);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert_eq!(ran(&stage)[0], (HookPoint::Before, None, 6));
    // A pause in the middle keeps what follows a batch from nothing.
    let mut stage = self::stage();
    stage.later(300, |h| h.append(vec![Event::PauseRequested {}]));
    stage.later(1_200, |h| {
        assert_eq!(ran(h).len(), 2, "batch 1 is back, and its hook has run");
        h.append(vec![Event::ResumeRequested {}]);
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
}

#[test]
fn a_journal_in_which_a_hook_is_left_out_is_no_rollout() {
    let mut stage = stage();
    play(&mut stage);
    let records = stage.records();
    let first = records.iter().position(|record| record.kind == "HookStarted").unwrap();
    for end in first + 1..records.len() {
        if !matches!(records[end].kind.as_str(), "SurgeOrdered" | "BatchOpened" | "Finished") {
            continue;
        }
        // The same story with the end of the hook before it left out.
        let hook = records[..end].iter().rposition(|record| record.kind == "HookEnded").unwrap();
        let without: Vec<Record> = records[..=end]
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != hook)
            .map(|(_, r)| r.clone())
            .collect();
        assert!(fold(&chain(without)).is_err(), "{} without its hook", records[end].kind);
    }
}

/// Numbers and hashes computed anew.
fn chain(records: Vec<Record>) -> Vec<Record> {
    let mut previous = domain::journal::Head::empty();
    let mut list = Vec::new();
    for mut record in records {
        (record.seq, record.previous) = (previous.seq + 1, previous.hash.clone());
        record.cause = record.cause.map(|cause| cause.min(record.seq - 1).max(1));
        record.hash = record.computed_hash();
        previous = record.head();
        list.push(record);
    }
    list
}

struct InWorld(SimWorld);

#[async_trait::async_trait]
impl contract::World for InWorld {
    fn hook(&self) -> std::sync::Arc<dyn Hook> {
        self.0.hook()
    }
    fn clock(&self) -> std::sync::Arc<dyn Clock> {
        self.0.clock()
    }
    async fn begun(&self) -> usize {
        self.0.facts().hooks.len()
    }
    async fn hold(&self, held: bool) {
        self.0.hold_hooks(held);
    }
    async fn fail(&self, failing: bool) {
        self.0.fail_hooks(if failing { u32::MAX } else { 0 });
    }
    async fn interrupt(&self) -> bool {
        false
    }
}

#[test]
fn the_hooks_of_the_simulated_world_keep_the_contract() {
    let run = contract::run(async || {
        let clock = SimClock::at("2026-03-01T02:00:00Z".parse().unwrap());
        let settings = Settings { hook: Duration::from_secs(5), ..Settings::default() };
        InWorld(SimWorld::new(clock, settings, &[], &old(), |_| 0.0))
    });
    run_until_stuck(run).expect("it never waits for anybody");
}
