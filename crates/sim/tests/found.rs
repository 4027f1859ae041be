//! What the trials by seeds have found, each told as a story of its own so that it stays mended.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::event::{Event, HoldReason, Outcome, SizeRule};
use domain::name::{Key, ServerName};
use domain::ports::{
    Admission, Clock, PortError, Progress, Size, SizeEnd, SizeOrder, Target, Wanted,
};
use domain::size::SizeSettings;
use jiff::Timestamp;
use rollout::driver::Ended;
use sim::{Fuse, REPLACING, Settings, SimClock, run_until_stuck};
use support::{Hands, Stage, crossing_after, new, old};

const DONE: Option<Ended> = Some(Ended::Finished(Outcome::Done));

fn has(hands: &Hands, kind: &str) -> bool {
    hands.kinds().iter().any(|k| k == kind)
}

fn wait(stage: &Stage, seconds: u64) {
    let until = stage.clock.now() + Duration::from_secs(seconds);
    run_until_stuck(stage.clock.sleep_until(until));
}

/// Seed 24: the load balancer was reloaded while no driver lived; the next one made the drain so
/// again and began the update at the same moment.
#[test]
fn a_server_whose_drain_was_forgotten_is_drained_again_before_its_update_begins() {
    for kind in ["Drained", "UpdateStarted"] {
        let mut stage = Stage::new(Settings::default());
        assert_eq!(stage.drive(&Fuse::at(crossing_after(kind))), None);
        assert!(stage.world.facts().updates.is_empty(), "it has begun already");
        stage.world.reload();
        wait(&stage, 300);
        assert_eq!(stage.drive(&Fuse::never()), DONE, "{kind}");
        let facts = stage.world.facts();
        assert!(facts.updated_under_load.is_empty(), "{kind}: {:?}", facts.updated_under_load);
        assert!(facts.updates.values().all(|n| *n == 1), "{kind}: {facts:?}");
    }
}

/// Seeds 16525, 18219, 18692: somebody had put another machine in the place of a server that was to
/// be updated. It was admitted and still starting, and its update began before it was drained.
#[test]
fn a_machine_that_replaced_a_drained_server_is_drained_before_its_update_begins() {
    let mut stage = Stage::new(Settings::default());
    assert_eq!(stage.drive(&Fuse::at(crossing_after("UpdateStarted"))), None);
    let until = stage.clock.now() + Duration::from_secs(600);
    stage.world.replace(&ServerName::new("web-1").unwrap(), &old(), until);
    wait(&stage, 300);
    assert_eq!(stage.drive(&Fuse::never()), DONE);
    assert!(stage.world.facts().updated_under_load.is_empty());
}

/// Seed 239: surge that cannot be drained was waited for without a word, at its price per hour.
#[test]
fn surge_whose_connections_do_not_end_is_a_hold_and_goes_when_they_have_ended() {
    for abort in [false, true] {
        let mut stage = Stage::new(Settings::default());
        stage.later(500, |h| {
            let forever = h.clock.now() + Duration::from_secs(1_000_000);
            h.world.hang(&h.world.surge_running()[0], forever);
        });
        if abort {
            stage.later(700, |h| h.append(vec![Event::AbortRequested {}]));
        }
        assert_eq!(stage.drive(&Fuse::at(200_000)), Some(Ended::Waiting), "abort: {abort}");
        let records = stage.records();
        let held = records.iter().rev().find(|record| record.kind == "Held").unwrap();
        assert_eq!(held.payload["hold"], "drainTimeout");
        assert!(held.payload["detail"].as_str().unwrap().contains("surge-"), "{}", held.payload);
        assert_eq!(stage.world.surge_running().len(), 2, "an order is given back as a whole");
        stage.world.unhang();
        let outcome = if abort { Outcome::Aborted } else { Outcome::Done };
        assert_eq!(stage.drive(&Fuse::at(200_000)), Some(Ended::Finished(outcome)));
        assert!(stage.world.surge_running().is_empty());
    }
}

/// Seeds 42933, 130638, 292058 and nine others: a server that had failed was to be tried again, and had
/// requests that never ended. It was waited for without a word.
#[test]
fn a_failed_server_whose_connections_do_not_end_is_a_hold_and_is_tried_again_when_they_have_ended()
{
    let server = ServerName::new("web-1").unwrap();
    let settings = Settings { fails_first: vec![server.clone()], ..Settings::default() };
    let mut stage = Stage::new(settings);
    stage.when("ServerFailed", move |h| {
        // A reload forgets the drain, and somebody connects for good.
        h.world.reload();
        h.world.hang(&server, h.clock.now() + Duration::from_secs(1_000_000));
    });
    stage.later(2000, |h| h.append(vec![Event::ResumeRequested {}]));
    assert_eq!(stage.drive(&Fuse::at(200_000)), Some(Ended::Waiting), "{:#?}", stage.kinds());
    let records = stage.records();
    let held = records.iter().rev().find(|record| record.kind == "Held").unwrap();
    assert_eq!(held.payload["hold"], "drainTimeout");
    let detail = held.payload["detail"].as_str().unwrap();
    assert!(detail.contains("web-1 failed and still has requests"), "{detail}");
    assert!(!has(&stage, "ServerRetried"));
    stage.world.unhang();
    assert_eq!(stage.drive(&Fuse::at(200_000)), DONE, "{:#?}", stage.kinds());
    assert!(has(&stage, "ServerRetried"));
}

/// An auto-scaler that for a minute still shows what it was set to before the newest command.
struct Stale {
    inner: Arc<dyn Size>,
    clock: SimClock,
    before: Mutex<Option<(Timestamp, SizeSettings)>>,
}

#[async_trait]
impl Size for Stale {
    async fn observe(&self) -> Result<SizeSettings, PortError> {
        let before = self.before.lock().unwrap().clone();
        match before.filter(|(at, _)| self.clock.now() < *at + Duration::from_secs(60)) {
            Some((_, settings)) => Ok(settings),
            None => self.inner.observe().await,
        }
    }

    async fn ensure(&self, order: &SizeOrder) -> Result<Progress<SizeEnd>, PortError> {
        let was = self.inner.observe().await?;
        let ended = self.inner.ensure(order).await?;
        if was == order.expected {
            *self.before.lock().unwrap() = Some((self.clock.now(), was));
        }
        Ok(ended)
    }
}

/// Seeds 97387, 285369 and thirteen others: the auto-scaler was set twice within a minute, and an answer that
/// was older than the first command was taken for what somebody else wants. It was left too large.
#[test]
fn an_answer_that_is_older_than_the_last_command_is_nobodys_wish() {
    let usual = SizeSettings { minimum: 2, maximum: 6, protected: [].into(), suspended: [].into() };
    for seconds in (400..1200).step_by(100) {
        let mut stage = Stage::under(Settings::default(), |timetable, policy| {
            timetable.target = 0.002;
            policy.size = Some(SizeRule { suspend: [REPLACING.to_owned()].into() });
        });
        stage.world.set_scaler(usual.clone());
        let (inner, clock) = (stage.world.size(), stage.clock.clone());
        stage.size = Some(Arc::new(Stale { inner, clock, before: Mutex::default() }));
        for after in [0, 10, 20] {
            stage.later(seconds + after, |h| {
                if let Some(name) = h.world.surge_running().first() {
                    h.world.lose(name);
                }
            });
        }
        assert_eq!(stage.drive(&Fuse::never()), DONE, "{seconds}: {:#?}", stage.kinds());
        assert_eq!(stage.world.size_now().as_ref(), Some(&usual), "after {seconds} s");
    }
}

/// Seeds 584229 and 704460: somebody raised the maximum, and later set it back to what it had been from the
/// beginning. Since the rollout had left it at that, it was taken for its own doing, and raised again.
#[test]
fn what_somebody_sets_back_to_what_it_was_stays() {
    let usual = SizeSettings { minimum: 2, maximum: 9, protected: [].into(), suspended: [].into() };
    let mut stage = Stage::under(Settings::default(), |_, policy| {
        policy.size = Some(SizeRule { suspend: [REPLACING.to_owned()].into() });
    });
    stage.world.set_scaler(usual.clone());
    stage.later(300, |h| h.world.touch_size(|settings| settings.maximum = 58));
    stage.later(400, |h| h.world.touch_size(|settings| settings.suspended.clear()));
    stage.later(500, |h| h.append(vec![Event::ResumeRequested {}]));
    stage.later(700, |h| h.world.touch_size(|settings| settings.maximum = 9));
    stage.later(800, |h| h.world.touch_size(|settings| settings.suspended.clear()));
    stage.later(900, |h| h.append(vec![Event::ResumeRequested {}]));
    assert_eq!(stage.drive(&Fuse::never()), DONE, "{:#?}", stage.kinds());
    let taken = stage.kinds().iter().filter(|kind| *kind == "SizeTaken").count();
    assert_eq!(taken, 3, "{:#?}", stage.kinds());
    assert_eq!(stage.world.size_now(), Some(usual));
}

/// A drain that was sent before, and lost on its way, arrives when the server is back.
#[test]
fn a_drain_that_arrives_late_does_not_leave_a_server_out() {
    let mut stage = Stage::new(Settings::default());
    let sent = Arc::new(AtomicBool::new(false));
    for second in (500..1000).step_by(5) {
        let sent = sent.clone();
        stage.later(second, move |h| {
            let server = ServerName::new("web-1").unwrap();
            let back = has(h, "Restored") && !h.world.out().contains(&server);
            if back && !has(h, "Warmed") && !sent.swap(true, Ordering::Relaxed) {
                let (target, key) = (Target { server, address: None }, Key::new("late").unwrap());
                let drain = Admission { key, target, wanted: Wanted::Drain };
                run_until_stuck(h.world.traffic().ensure_admission(&drain));
            }
        });
    }
    assert_eq!(stage.drive(&Fuse::at(200_000)), DONE, "{:#?}", stage.kinds());
    assert!(stage.world.not_back(&new()).is_empty(), "{:?}", stage.world.out());
    assert!(sent.load(Ordering::Relaxed) && !has(&stage, "Held"));
}

/// The load was asked for at every look, whatever the pace said.
#[test]
fn the_load_is_asked_for_at_its_own_pace() {
    let mut stage = Stage::new(Settings::default());
    let began = stage.clock_now();
    assert_eq!(stage.drive(&Fuse::never()), DONE);
    let minutes = stage.clock_now().duration_since(began).as_mins();
    let queries = i64::from(stage.queries.load(Ordering::Relaxed));
    assert!((minutes / 2..=minutes + 1).contains(&queries), "{queries} in {minutes} minutes");
}

/// A driver that was started on an old hold returned before it had looked whether it is over.
#[test]
fn a_driver_looks_before_it_runs_out_of_patience() {
    let mut stage = Stage::new(Settings::default());
    stage.later(300, |h| h.world.set_load(|_| f64::NAN));
    assert_eq!(stage.drive(&Fuse::at(200_000)), Some(Ended::Waiting));
    let records = stage.records();
    let held = records.iter().rev().find_map(|record| match record.event().unwrap() {
        Event::Held { hold, .. } => Some(hold),
        _ => None,
    });
    assert_eq!(held, Some(HoldReason::LoadUnknown));
    stage.world.set_load(|_| 100.0);
    assert_eq!(stage.drive(&Fuse::at(200_000)), DONE, "nobody had to say resume");
}
