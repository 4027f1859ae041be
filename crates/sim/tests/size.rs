//! The auto-scaler is kept from fighting for the time of a rollout, and put back at its end by
//! compare-and-set, whatever happens to the driver; and what somebody puts in the place of an updated
//! server is updated again.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::contract::size as contract;
use domain::event::{Event, HoldReason, Outcome, SizeRule};
use domain::name::ServerName;
use domain::notice::Topic;
use domain::ports::{Clock, Size};
use domain::size::{SizeField, SizeSettings};
use rollout::driver::Ended;
use rollout::machine::fold;
use rollout::notices::Notices;
use sim::{Fuse, REPLACING, Settings, SimClock, SimWorld, run_until_stuck};
use support::{Hands, Stage, all, new, old, only};

fn server(n: u32) -> ServerName {
    ServerName::new(format!("web-{n}")).unwrap()
}

/// What the auto-scaler is set to when nobody rolls out anything.
fn usual() -> SizeSettings {
    let suspended = BTreeSet::from(["launch".to_owned()]);
    SizeSettings { minimum: 2, maximum: 6, protected: [server(1)].into(), suspended }
}

/// What a rollout of six servers with two instances of surge needs.
fn kept() -> SizeSettings {
    let suspended = BTreeSet::from(["launch".to_owned(), REPLACING.to_owned()]);
    let protected = (1..=6).map(server).collect();
    SizeSettings { minimum: 6, maximum: 8, protected, suspended }
}

fn stage() -> Stage {
    // What is left of the risk is for servers that are to be updated again.
    let stage = Stage::under(Settings::default(), |timetable, policy| {
        timetable.target = 0.002;
        policy.size = Some(SizeRule { suspend: [REPLACING.to_owned()].into() });
    });
    stage.world.set_scaler(usual());
    stage
}

/// Two batches and short waits: the fewest crossings with everything in them.
fn small_stage() -> Stage {
    let stage = Stage::under(Settings::default(), |timetable, policy| {
        (timetable.surge.1, timetable.batch) = (1, 3);
        (policy.canary_watch_seconds, policy.stabilisation_seconds) = (0.0, 20.0);
        policy.size = Some(SizeRule { suspend: [REPLACING.to_owned()].into() });
    });
    stage.world.set_scaler(usual());
    stage
}

fn play(stage: &mut Stage) -> Ended {
    stage.drive(&Fuse::never()).unwrap()
}

#[test]
fn it_is_taken_before_everything_and_put_back_after_everything() {
    let mut stage = stage();
    stage.later(700, |h| assert_eq!(h.world.size_now(), Some(kept())));
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert_eq!(stage.world.size_now(), Some(usual()));
    let kinds = stage.kinds();
    let place = |kind: &str| kinds.iter().position(|k| k == kind).unwrap();
    let last = |kind: &str| kinds.iter().rposition(|k| k == kind).unwrap();
    assert!(place("SizeTaken") < place("SizeSet") && place("SizeSet") < place("SurgeOrdered"));
    assert!(last("SurgeReleased") < place("SizeRestoring"));
    assert!(
        place("SizeRestoring") < place("SizeRestored") && place("SizeRestored") < place("Finished")
    );
    let taken = only(&stage, "SizeTaken").event().unwrap();
    assert_eq!(taken, Event::SizeTaken { before: usual(), found: usual(), during: kept() });
    let restored = only(&stage, "SizeRestored").event().unwrap();
    assert_eq!(restored, Event::SizeRestored { left_alone: vec![] });
}

#[test]
fn the_driver_may_die_at_every_crossing_and_it_is_put_back() {
    let mut whole = small_stage();
    let counter = Fuse::never();
    assert!(whole.drive(&counter).is_some());
    let crossings = counter.crossings();
    assert!(crossings > 500, "only {crossings} crossings: the test has lost its eyes");
    for crossing in 1..=crossings {
        let mut stage = small_stage();
        assert_eq!(stage.drive(&Fuse::at(crossing)), None, "crossing {crossing}");
        assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done), "crossing {crossing}");
        assert_eq!(stage.world.size_now(), Some(usual()), "stopped at crossing {crossing}");
        assert!(stage.world.not_back(&new()).is_empty(), "crossing {crossing}");
        assert!(stage.world.facts().updates.values().all(|n| *n == 1), "crossing {crossing}");
        let taken = all(&stage, "SizeTaken").len() + all(&stage, "SizeRestored").len();
        assert_eq!(taken, 2, "crossing {crossing}");
    }
}

#[test]
fn an_abort_at_any_moment_puts_it_back() {
    for seconds in (0..3_000).step_by(37) {
        let mut stage = small_stage();
        stage.later(seconds, |h| {
            if !h.kinds().iter().any(|kind| kind == "Finished") {
                h.append(vec![Event::AbortRequested {}]);
            }
        });
        let Ended::Finished(_) = play(&mut stage) else { panic!("after {seconds} s") };
        assert_eq!(stage.world.size_now(), Some(usual()), "after {seconds} s");
    }
}

#[test]
fn what_somebody_else_changed_meanwhile_is_left_alone_and_told() {
    let mut stage = stage();
    stage.later(700, |h| {
        h.world.touch_size(|size| {
            (size.minimum, size.maximum) = (7, 20);
            size.suspended.insert("alarms".into());
        });
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    let mut expected = usual();
    (expected.minimum, expected.maximum) = (7, 20);
    expected.suspended.insert("alarms".into());
    assert_eq!(stage.world.size_now(), Some(expected));
    let restored = only(&stage, "SizeRestored").event().unwrap();
    use SizeField::{Maximum, Minimum, Suspended};
    let left_alone = vec![Minimum, Maximum, Suspended];
    assert_eq!(restored, Event::SizeRestored { left_alone });
    assert!(all(&stage, "Held").is_empty(), "less freedom harms nobody");
}

#[test]
fn more_freedom_holds_until_it_is_taken_back() {
    let mut stage = stage();
    stage.later(700, |h| h.world.touch_size(|size| size.minimum = 3));
    stage.later(2_000, |h| {
        assert_eq!(all(h, "BatchOpened").len(), 1, "nobody goes out meanwhile");
        h.world.touch_size(|size| size.minimum = 6);
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    let held = all(&stage, "Held").iter().map(|record| record.event().unwrap()).collect::<Vec<_>>();
    let [Event::Held { hold: HoldReason::SizeChanged, detail }] = &held[..] else {
        panic!("{held:?}")
    };
    assert!(detail.contains("minimum is 3 instead of 6"), "{detail}");
    assert!(detail.contains("`resume` sets it again"), "{detail}");
}

#[test]
fn resume_sets_it_again_and_what_they_wanted_is_put_back() {
    let mut stage = stage();
    stage.later(700, |h| h.world.touch_size(|size| size.minimum = 3));
    assert_eq!(play(&mut stage), Ended::Waiting);
    assert_eq!(stage.world.size_now().unwrap().minimum, 3, "it is left alone");
    stage.append(vec![Event::ResumeRequested {}]);
    stage.later(300, |h| assert_eq!(h.world.size_now(), Some(kept())));
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    let expected = SizeSettings { minimum: 3, ..usual() };
    assert_eq!(stage.world.size_now(), Some(expected), "three is what they want by now");
    assert_eq!(all(&stage, "SizeTaken").len(), 2);
}

/// Somebody else changes the settings each time that a driver has looked and not yet set them.
struct Racing(SimWorld, std::sync::atomic::AtomicU32, u32);

#[async_trait::async_trait]
impl Size for Racing {
    async fn observe(&self) -> Result<SizeSettings, domain::ports::PortError> {
        self.0.size().observe().await
    }
    async fn ensure(
        &self,
        order: &domain::ports::SizeOrder,
    ) -> Result<domain::ports::Progress<domain::ports::SizeEnd>, domain::ports::PortError> {
        let call = self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if call < self.2 {
            self.0.touch_size(|size| size.maximum = 30 + call);
        }
        self.0.size().ensure(order).await
    }
}

#[test]
fn somebody_who_is_always_faster_is_left_to_a_person() {
    let mut stage = stage();
    let world = stage.world.clone();
    let racing =
        |times| -> Arc<dyn Size> { Arc::new(Racing(world.clone(), Default::default(), times)) };
    stage.size = Some(racing(3));
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done), "a few times harm nobody");
    assert_eq!(stage.world.size_now(), Some(SizeSettings { maximum: 32, ..usual() }));
    assert_eq!(all(&stage, "SizeChanged").len(), 3);
    let mut stage = self::stage();
    let world = stage.world.clone();
    stage.size = Some(Arc::new(Racing(world, Default::default(), 1_000)));
    assert_eq!(play(&mut stage), Ended::Waiting);
    let held = only(&stage, "Held").event().unwrap();
    let Event::Held { hold: HoldReason::SizeChanged, detail } = held else { panic!("{held:?}") };
    assert!(detail.contains("faster 5 times in a row"), "{detail}");
    assert!(all(&stage, "BatchOpened").is_empty() && all(&stage, "SurgeOrdered").is_empty());
}

#[test]
fn an_auto_scaler_that_is_not_kept_fights() {
    // The world's auto-scaler replaces what it likes while nobody keeps it from it.
    let replace = |h: &Hands| {
        let well = h.clock.now() + Duration::from_secs(60);
        h.world.scaler_replaces(&server(1), &old(), well);
    };
    for (kept, replaced) in [(true, 0), (false, 1)] {
        let mut stage = stage();
        if !kept {
            stage = Stage::new(Settings::default());
            let free = SizeSettings { protected: BTreeSet::new(), ..usual() };
            stage.world.set_scaler(free);
        }
        stage.later(1_000, replace);
        play(&mut stage);
        assert_eq!(stage.world.facts().replaced.values().sum::<u32>(), replaced);
    }
}

#[test]
fn a_server_that_is_replaced_after_its_update_is_updated_again() {
    // While other batches go out, and while the fleet is watched before the surge goes.
    for moment in [1_300, 2_200] {
        let mut stage = Stage::with(Settings::default(), |timetable| timetable.target = 0.002);
        stage.later(moment, |h| {
            let well = h.clock.now() + Duration::from_secs(60);
            h.world.replace(&server(1), &old(), well);
        });
        assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done), "after {moment} s");
        let reverted = only(&stage, "ServerReverted").event().unwrap();
        assert_eq!(reverted, Event::ServerReverted { server: server(1), version: old() });
        assert!(stage.world.not_back(&new()).is_empty(), "after {moment} s");
        assert_eq!(stage.world.facts().updates[&server(1)], 2);
        assert!(stage.world.surge_running().is_empty());
    }
}

#[test]
fn the_watch_does_not_end_before_everybody_was_asked() {
    // Without a watch: who is replaced in the last moment is found as well.
    let mut stage = Stage::under(Settings::default(), |timetable, policy| {
        timetable.target = 0.002;
        (timetable.surge.1, policy.stabilisation_seconds) = (0, 0.0);
    });
    let world = stage.world.clone();
    stage.when("StabilisationStarted", move |h| {
        world.replace(&server(6), &old(), h.clock.now());
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert_eq!(all(&stage, "ServerReverted").len(), 1);
    assert!(stage.world.not_back(&new()).is_empty());
}

/// The notices of a topic that the journal gives, by their titles and details.
fn told(hands: &Hands, topic: Topic) -> Vec<(String, String)> {
    let records = hands.records();
    let mut notices = Notices::default();
    let of = |(index, record)| {
        let state = fold(&records[..=index]).unwrap().unwrap();
        notices.take(&state, record)
    };
    let all = records.iter().enumerate().flat_map(of);
    let own = all.filter(|notice| notice.topic == topic);
    own.map(|notice| (notice.title, notice.detail)).collect()
}

#[test]
fn people_are_told_what_others_did() {
    let mut stage = stage();
    stage.later(700, |h| h.world.touch_size(|size| size.maximum = 20));
    stage.later(1_300, |h| h.world.replace(&server(1), &old(), h.clock.now()));
    let names = vec![ServerName::new("surge-of-yesterday").unwrap()];
    stage.append(vec![Event::OrphansSuspected { names: names.clone() }]);
    play(&mut stage);
    let [(title, detail)] = &told(&stage, Topic::Size)[..] else { panic!() };
    assert_eq!(title, "kernel#1: somebody else has changed the auto-scaler; that stays");
    assert_eq!(detail, "maximum is 20; the rollout had set 8");
    let [(title, _)] = &told(&stage, Topic::Server)[..] else { panic!() };
    assert_eq!(title, "kernel#1: web-1 was updated and runs 1 again");
    let [(title, detail)] = &told(&stage, Topic::Orphan)[..] else { panic!() };
    assert_eq!(title, "kernel#1: surge that nobody answers for costs money");
    assert!(detail.starts_with("surge-of-yesterday: "), "{detail}");
}

struct InWorld(SimWorld);

#[async_trait::async_trait]
impl contract::World for InWorld {
    fn size(&self) -> Arc<dyn Size> {
        self.0.size()
    }
    fn clock(&self) -> Arc<dyn Clock> {
        self.0.clock()
    }
    fn members(&self) -> Vec<ServerName> {
        (1..=3).map(server).collect()
    }
    fn processes(&self) -> Vec<String> {
        ["replace", "launch"].map(str::to_owned).into()
    }
    async fn set(&self, settings: &SizeSettings) {
        self.0.touch_size(|size| *size = settings.clone());
    }
}

#[test]
fn the_auto_scaler_of_the_simulated_world_keeps_the_contract() {
    let run = contract::run(async || {
        let clock = SimClock::at("2026-03-01T02:00:00Z".parse().unwrap());
        let world = SimWorld::new(clock, Settings::default(), &[], &old(), |_| 0.0);
        world.set_scaler(usual());
        InWorld(world)
    });
    run_until_stuck(run).expect("it never waits for anybody");
}
