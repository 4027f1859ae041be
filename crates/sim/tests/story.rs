//! What happens when things do not go by plan: each test is one story, told by the journal.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use domain::event::{Event, HoldReason, OnTimeout, Outcome, Policy};
use domain::hour::Hour;
use domain::name::{OfferName, ServerName};
use domain::plan::{Batch, Plan, Replacement};
use domain::ports::Journal;
use domain::spread::Spread;
use rollout::driver::Ended;
use rollout::planner::{Planner, ReviseError, Revision, Weighed};
use sim::planner::Timetable;
use sim::{Fuse, Settings, Sold, run_until_stuck};
use support::{Hands, Stage, new};

fn name(text: &str) -> ServerName {
    ServerName::new(text).unwrap()
}

fn play(stage: &mut Stage) -> Ended {
    stage.drive(&Fuse::at(200_000)).expect("the story ends")
}

fn holds(stage: &Hands) -> Vec<HoldReason> {
    let events = stage.records().into_iter().map(|r| r.event().unwrap());
    let hold = |event| match event {
        Event::Held { hold, .. } => Some(hold),
        _ => None,
    };
    events.filter_map(hold).collect()
}

fn position(stage: &Hands, kind: &str) -> usize {
    let kinds = stage.kinds();
    kinds.iter().position(|k| k == kind).unwrap_or_else(|| panic!("no {kind} in {kinds:#?}"))
}

#[test]
fn surge_is_in_service_before_the_first_server_goes_out_and_goes_after_stabilisation() {
    let mut stage = Stage::new(Settings::default());
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    let order = ["SurgeOrdered", "SurgeRunning", "SurgeJoined", "BatchOpened", "DrainStarted"];
    let order =
        order.iter().chain(&["Drained", "UpdateStarted", "Updated", "Verified", "Restored"]);
    let order = order.chain(&["Warmed", "BatchClosed", "StabilisationStarted", "SurgeReleasing"]);
    let order: Vec<_> = order.chain(&["SurgeReleased", "Finished"]).collect();
    let places: Vec<_> = order.iter().map(|kind| position(&stage, kind)).collect();
    assert!(places.is_sorted(), "{order:?} at {places:?}");
}

#[test]
fn a_pause_opens_no_batch_and_a_resume_goes_on() {
    let mut stage = Stage::new(Settings::default());
    stage.later(400, |h| h.append(vec![Event::PauseRequested {}]));
    stage.later(2000, |h| {
        let opened = h.kinds().iter().filter(|k| *k == "BatchOpened").count();
        assert_eq!(opened, 1, "a batch was opened during the pause");
        assert!(h.world.out().is_empty(), "the batch that was out has come back");
        h.append(vec![Event::ResumeRequested {}]);
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert!(stage.world.not_back(&new()).is_empty());
    let adopted = stage.kinds().iter().filter(|k| *k == "PlanAdopted").count();
    assert!(adopted >= 2, "what was late was planned again");
}

#[test]
fn an_abort_brings_back_what_is_out_and_gives_back_the_surge() {
    for after in [30, 130, 260, 300, 400, 700, 900] {
        let mut stage = Stage::new(Settings::default());
        stage.later(after, |h| h.append(vec![Event::AbortRequested {}]));
        assert_eq!(play(&mut stage), Ended::Finished(Outcome::Aborted), "after {after} s");
        assert!(stage.world.out().is_empty(), "after {after} s: {:?}", stage.world.out());
        assert!(stage.world.surge_running().is_empty(), "after {after} s");
        assert!(stage.world.facts().updates.len() <= 4, "after {after} s it went on updating");
    }
}

#[test]
fn a_failed_server_stays_out_the_rest_of_its_batch_returns_and_the_rollout_holds() {
    let settings = Settings { fails_first: vec![name("web-3")], ..Settings::default() };
    let mut stage = Stage::new(settings);
    assert_eq!(play(&mut stage), Ended::Waiting);
    assert_eq!(holds(&stage), [HoldReason::ServerFailed]);
    assert_eq!(stage.world.out(), [name("web-3")]);
    assert_eq!(stage.world.surge_running().len(), 2, "the surge stays while the fleet is short");
    stage.append(vec![Event::ResumeRequested {}]);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert!(stage.world.not_back(&new()).is_empty());
    assert_eq!(stage.world.facts().updates[&name("web-3")], 2);
    assert!(stage.world.surge_running().is_empty());
}

#[test]
fn load_above_the_band_holds_and_load_back_in_it_goes_on() {
    let mut stage = Stage::new(Settings::default());
    stage.later(300, |h| h.world.set_load(|_| 500.0));
    stage.later(2400, |h| {
        let opened = h.kinds().iter().filter(|k| *k == "BatchOpened").count();
        assert_eq!(opened, 1, "a batch went out under load that nobody had foreseen");
        h.world.set_load(|_| 100.0);
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    // Another plan is asked for once a minute; none fits what comes.
    let minutes = (2400 - 300) / 60;
    assert!((2..=minutes).contains(&holds(&stage).len()), "{:?}", holds(&stage));
    assert!(holds(&stage).iter().all(|hold| *hold == HoldReason::LoadLeftBand));
    assert!(stage.kinds().contains(&"HoldEnded".to_owned()));
}

#[test]
fn load_above_the_band_is_planned_for_again_and_the_rollout_goes_on() {
    let mut stage = Stage::with(Settings::default(), |t| t.revised_upper = 600.0);
    stage.later(300, |h| h.world.set_load(|_| 500.0));
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert_eq!(holds(&stage), [HoldReason::LoadLeftBand]);
    let revised = stage.kinds().iter().rposition(|kind| kind == "PlanAdopted").unwrap();
    let next = stage.kinds().iter().rposition(|kind| kind == "BatchOpened").unwrap();
    assert!(position(&stage, "Held") < revised && revised < next, "{:#?}", stage.kinds());
    assert_eq!(stage.world.facts().most_out, 2);
}

#[test]
fn load_that_cannot_be_seen_holds() {
    let mut stage = Stage::new(Settings::default());
    stage.later(300, |h| h.world.set_load(|_| f64::NAN));
    stage.later(2400, |h| h.world.set_load(|_| 100.0));
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert_eq!(holds(&stage), [HoldReason::LoadUnknown]);
}

#[test]
fn a_load_balancer_that_was_reloaded_is_drained_again() {
    let mut stage = Stage::new(Settings::default());
    stage.later(400, |h| {
        assert_eq!(h.world.out().len(), 2);
        h.world.reload();
    });
    stage.later(460, |h| assert_eq!(h.world.out().len(), 2, "the drains were not made so again"));
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert!(holds(&stage).is_empty(), "surge that was forgotten was added again in time");
}

#[test]
fn surge_that_is_lost_is_bought_again_before_the_next_batch() {
    let mut stage = Stage::new(Settings::default());
    stage.later(500, |h| {
        let running = h.world.surge_running();
        h.world.lose(&running[0]);
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    let kinds = stage.kinds();
    assert!(kinds.contains(&"SurgeLost".to_owned()), "{kinds:#?}");
    assert_eq!(kinds.iter().filter(|k| *k == "SurgeOrdered").count(), 2);
    assert_eq!(stage.world.facts().purchases.len(), 3);
    assert!(stage.world.surge_running().is_empty());
}

#[test]
fn surge_that_is_lost_is_replaced_at_once_where_the_plan_foresees_it() {
    let sure = OfferName::new("sure").unwrap();
    // It takes so long that the next batch has to wait for longer than a plan otherwise may.
    let instead = Replacement { offer: sure.clone(), ready_seconds: 450 };
    let lead = Spread::exactly(Duration::from_secs(420));
    let offers = BTreeMap::from([(sure.clone(), Sold { lead, interruption: Default::default() })]);
    let settings = Settings { offers, ..Settings::default() };
    let mut stage = Stage::with(settings, |t| t.on_loss = Some(instead));
    stage.later(540, |h| {
        assert_eq!(h.world.out().len(), 2, "a batch is out");
        let running = h.world.surge_running();
        h.world.lose(&running[0]);
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    let records = stage.records();
    let lost =
        records.iter().find(|r| matches!(r.event().unwrap(), Event::SurgeLost { .. })).unwrap();
    let bought = records.iter().find(|r| {
        matches!(r.event().unwrap(), Event::SurgeOrdered { offer, names, .. } if offer == sure && names.len() == 1)
    });
    let bought = bought.expect("another is bought from the offer of the plan");
    assert_eq!((bought.at, bought.cause), (lost.at, Some(lost.seq)), "at once, and because of it");
    let revisions = stage.kinds().iter().filter(|k| *k == "PlanAdopted").count();
    assert_eq!(revisions, 1, "the plan stays in force");
    // The next batch waits until the replacement carries load.
    let joined = records
        .iter()
        .rposition(|r| matches!(r.event().unwrap(), Event::SurgeJoined { .. }))
        .unwrap();
    let next = records
        .iter()
        .position(|r| matches!(r.event().unwrap(), Event::BatchOpened { index: 2, .. }));
    assert!(joined < next.unwrap());
    assert_eq!(stage.world.facts().purchases.len(), 3);
    assert!(stage.world.surge_running().is_empty());
}

#[test]
fn surge_that_is_sold_out_everywhere_holds_and_nothing_goes_out() {
    let mut stage = Stage::new(Settings::default());
    stage.world.limit_stock(&OfferName::new("spare").unwrap(), 1);
    assert_eq!(play(&mut stage), Ended::Waiting);
    assert!(holds(&stage).contains(&HoldReason::NoPlan), "{:?}", holds(&stage));
    assert_eq!(stage.world.facts().most_out, 0);
    stage.append(vec![Event::AbortRequested {}]);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Aborted));
    assert!(stage.world.surge_running().is_empty(), "the one that came is given back");
}

#[test]
fn a_drain_that_does_not_end_holds() {
    let settings =
        Settings { drain: Spread::exactly(Duration::from_secs(1200)), ..Settings::default() };
    let mut stage = Stage::new(settings);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert!(holds(&stage).contains(&HoldReason::DrainTimeout), "{:?}", holds(&stage));
    assert!(stage.world.facts().updated_under_load.is_empty());
}

#[test]
fn a_second_driver_does_not_drive_beside_the_first() {
    let mut stage = Stage::new(Settings::default());
    assert_eq!(stage.drive(&Fuse::at(400)), None);
    let started = stage.clock_now();
    stage.drive(&Fuse::at(200_000)).expect("the second takes over when the lease runs out");
    let records = stage.records();
    let second = records.iter().filter(|r| r.kind == "DriverStarted").nth(1).unwrap();
    assert!(second.at >= started + Duration::from_secs(20), "{} {}", second.at, started);
}

/// A planner that takes a minute or longer, while somebody else tries to take the lease.
struct Slow {
    /// In how many thirds of a lease it answers.
    thirds: u32,
    hands: Hands,
    timetable: Timetable,
    tries: AtomicU32,
}

impl Slow {
    async fn thinks(&self) {
        let (journal, mut looks) = (&self.hands.journal, 0);
        let look = |_: &mut Context<'_>| {
            let now = self.hands.clock_now();
            let lease = journal.lease(&self.hands.id, "another", now, Duration::from_secs(60));
            assert!(run_until_stuck(lease).unwrap().unwrap().is_none(), "it is held at {now}");
            self.tries.fetch_add(1, Ordering::Relaxed);
            looks += 1;
            if looks <= self.thirds { Poll::Pending } else { Poll::Ready(()) }
        };
        std::future::poll_fn(look).await;
    }
}

#[async_trait]
impl Planner for Slow {
    fn takes_long(&self) -> bool {
        true
    }

    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        self.thinks().await;
        self.timetable.revise(ask).await
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        self.thinks().await;
        self.timetable.weigh(rest, ask).await
    }
}

#[test]
fn while_a_planner_takes_long_the_lease_is_kept() {
    // The second takes longer than a verdict is good for.
    for thirds in [3, 4] {
        let mut stage = Stage::new(Settings::default());
        let (hands, timetable) = (stage.hands.clone(), stage.timetable.clone());
        let slow = Arc::new(Slow { thirds, hands, timetable, tries: AtomicU32::new(0) });
        stage.planner = Some(slow.clone());
        assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
        let tries = slow.tries.load(Ordering::Relaxed);
        assert!(tries > 2 * thirds, "all but the first batch are weighed again");
        assert_eq!(stage.kinds().iter().filter(|kind| *kind == "DriverStarted").count(), 1);
        // A weighing counts from when it is there: none is asked for again until the batch is late.
        assert_eq!(stage.kinds().iter().filter(|kind| *kind == "PlanAdopted").count(), 1);
    }
}

#[test]
fn the_world_writes_down_who_was_away_and_what_was_hired() {
    let warmup = Spread::exactly(Duration::from_secs(30));
    let mut stage = Stage::new(Settings { warmup, ..Settings::default() });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    let facts = stage.world.facts();
    assert_eq!((facts.away.len(), facts.hired.len()), (6, 2));
    for away in &facts.away {
        let back = away.back.expect("everybody came back");
        // 30 s of drain, 300 s of update and 10 s of start, seen every 20 s; two gates 5 s apart.
        let out = back.warm_at.duration_since(away.out_at).as_secs();
        assert!((340..=420).contains(&out), "{out}");
        assert_eq!(back.full_at.duration_since(back.warm_at).as_secs(), 30);
    }
    for hired in &facts.hired {
        let joined = hired.joined.expect("it came into service");
        assert!(joined.warm_at.duration_since(hired.ordered_at).as_secs() >= 120);
        assert!(joined.full_at <= facts.away[0].out_at, "it was warm before anybody went");
        let (left, ended) = (hired.left_at.unwrap(), hired.ended_at.unwrap());
        assert!(facts.away.iter().all(|away| away.back.unwrap().full_at <= left));
        assert!(left < ended && !hired.lost);
    }
}

#[test]
fn surge_that_the_seller_takes_away_is_bought_again() {
    let lead = Spread::exactly(Duration::from_secs(120));
    // Half of the instances live for less than half an hour.
    let interruption = plan::Interruption { per_hour: 0.75, pool_per_hour: 0.0 };
    let offers: BTreeMap<_, _> =
        [(OfferName::new("spare").unwrap(), sim::Sold { lead, interruption })].into();
    let mut lost = 0;
    for seed in 0..8 {
        let offers = BTreeMap::clone(&offers);
        let mut stage = Stage::new(Settings { offers, seed, ..Settings::default() });
        assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done), "seed {seed}");
        let facts = stage.world.facts();
        for hired in facts.hired.iter().filter(|hired| hired.lost) {
            lost += 1;
            assert_eq!(hired.left_at, hired.ended_at, "seed {seed}: lost and paid for");
        }
        assert!(stage.world.surge_running().is_empty(), "seed {seed}");
    }
    assert!(lost > 0, "nothing was lost: the test has lost its eyes");
}

#[test]
fn what_is_left_is_weighed_before_each_batch_and_planned_again_where_it_risks_too_much() {
    let mut stage = Stage::with(Settings::default(), |t| t.batch_risk = 0.004);
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    let events: Vec<_> = stage.records().into_iter().map(|r| (r.event().unwrap(), r)).collect();
    let foreseen: Vec<_> = events
        .iter()
        .filter_map(|(event, _)| match event {
            Event::BatchOpened { look, .. } => Some(look.foreseen),
            _ => None,
        })
        .collect();
    // Three batches at 0.004 each are more than 0.01; the revision is too young to be weighed.
    assert_eq!(foreseen.len(), 3);
    assert_eq!(foreseen[0], None);
    let adopted = |(event, _): &&(Event, _)| matches!(event, Event::PlanAdopted { .. });
    let (_, why) = events.iter().rfind(adopted).unwrap();
    assert!(why.reason.starts_with("what is left risks 1.20e-2"), "{}", why.reason);
    assert!(holds(&stage).is_empty(), "{:?}", holds(&stage));
}

/// The journal's events of one server, by their kind, with what was cut or what weight it got.
fn story_of(stage: &Hands, server: &str) -> Vec<String> {
    let told = |event| match event {
        Event::DrainStarted { server } => Some((server, "drains".into())),
        Event::DrainForced { server } => Some((server, "is cut".into())),
        Event::Drained { server, cut } | Event::SurgeDrained { server, cut } => {
            Some((server, format!("drained, {cut} cut")))
        }
        Event::UpdateStarted { server, .. } => Some((server, "updates".into())),
        Event::RestoreStarted { server } => Some((server, "comes back".into())),
        Event::WeightRaised { server, percent } => Some((server, format!("{percent} %"))),
        Event::Warmed { server } => Some((server, "is warm".into())),
        _ => None,
    };
    let events = stage.records().into_iter().filter_map(|r| told(r.event().unwrap()));
    events.filter(|(name, _)| name.as_str() == server).map(|(_, text): (_, String)| text).collect()
}

fn slow_drains() -> Settings {
    Settings { drain: Spread::exactly(Duration::from_secs(1200)), ..Settings::default() }
}

#[test]
fn a_drain_that_does_not_end_is_forced_where_the_policy_says_so() {
    let mut stage = Stage::under(slow_drains(), |_, policy| {
        (policy.drain_timeout_seconds, policy.drain_on_timeout) = (90.0, OnTimeout::Force);
    });
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    assert!(!holds(&stage).contains(&HoldReason::DrainTimeout), "{:?}", holds(&stage));
    let story = story_of(&stage, "web-1");
    assert_eq!(story[..4], ["drains", "is cut", "drained, 1 cut", "updates"], "{story:?}");
    // To the second, whatever the tick is.
    let at = |wanted: &str| {
        let mut all = stage.records().into_iter();
        all.find(|r| r.kind == wanted).map(|record| record.at).unwrap()
    };
    assert_eq!(at("DrainForced").duration_since(at("DrainStarted")).as_secs(), 90);
    assert!(stage.world.facts().updated_under_load.is_empty());
    let surge = stage.world.facts().hired[0].name.to_string();
    assert_eq!(story_of(&stage, &surge).last().unwrap(), "drained, 1 cut", "surge as well");
}

#[test]
fn a_drain_that_does_not_end_is_skipped_once_and_then_holds() {
    let mut stage = Stage::under(slow_drains(), |timetable, policy| {
        (policy.drain_timeout_seconds, policy.drain_on_timeout) = (90.0, OnTimeout::Skip);
        // What was skipped has spent its risk; the second turn needs some as well.
        timetable.target = 0.004;
    });
    // The connections end by themselves after 20 minutes: the hold is over then.
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    let story = story_of(&stage, "web-1");
    let expected =
        ["drains", "comes back", "is warm", "drains", "drained, 0 cut", "updates", "comes back"];
    assert_eq!(story[..7], expected, "{story:?}");
    assert!(holds(&stage).contains(&HoldReason::DrainTimeout), "{:?}", holds(&stage));
    assert!(stage.world.not_back(&new()).is_empty());
    assert!(stage.world.facts().updates.values().all(|times| *times == 1));
}

#[test]
fn what_comes_back_gets_its_traffic_step_by_step() {
    step_by_step(|policy| policy.warmup_seconds = 120.0);
    // It counts in which hour something comes back.
    step_by_step(|policy| {
        policy.warmup_seconds_in = Hour::all().map(|hour| (hour, 120.0)).collect();
    });
}

fn step_by_step(warm_up: fn(&mut Policy)) {
    let mut stage = Stage::under(Settings::default(), |_, policy| {
        policy.warmup_steps = 4;
        warm_up(policy);
    });
    let mut seen = Vec::new();
    assert_eq!(play(&mut stage), Ended::Finished(Outcome::Done));
    for record in stage.records() {
        match record.event().unwrap() {
            Event::Restored { server, .. } if server.as_str() == "web-1" => {
                seen.push((record.at, 25));
            }
            Event::WeightRaised { server, percent } if server.as_str() == "web-1" => {
                seen.push((record.at, percent));
            }
            Event::Warmed { server } if server.as_str() == "web-1" => seen.push((record.at, 0)),
            _ => {}
        }
    }
    let after: Vec<_> = seen
        .iter()
        .map(|(at, percent)| (at.duration_since(seen[0].0).as_secs(), *percent))
        .collect();
    assert_eq!(after, [(0, 25), (30, 50), (60, 75), (90, 100), (120, 0)]);
    let surge = stage.world.facts().hired[0].name.to_string();
    assert_eq!(story_of(&stage, &surge)[..3], ["50 %", "75 %", "100 %"], "surge as well");
}
