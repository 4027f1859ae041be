//! A rollout to a version that is slower, in a simulated world.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::event::{Event, Outcome};
use domain::journal::{Actor, Entry, Head, Record};
use domain::name::{RolloutId, ServerName, Version};
use domain::plan::{Batch, Plan};
use domain::ports::{Append, Authority, Clock, LoadSource, PortError};
use domain::series::Sample;
use domain::spread::Spread;
use jiff::Timestamp;
use rollout::driver::{Driver, Ended, Nobody, Stop, World};
use rollout::planner::{Planner, ReviseError, Revision, Weighed};
use rollout::settings::Pace;
use sim::{MemoryJournal, Settings, SimClock, SimWorld, Sold, run_until_stuck};

use super::planner::{not_revised, question, schedule, weighed};
use super::world::{created, watches};
use crate::pipeline::{Made, Prepared, Witness};

const DAYS: i64 = 14;
/// Minutes between two samples of the load.
const STEP: i64 = 5;

const CONFIGURATION: &str = "apiVersion: presurge/v1\nkind: Fleet\nmetadata: { name: web }\nspec:
  servers: { static: { prefix: web, count: 10 } }
  capacity: { requests: learn }
  slo:
    requests:
      csv: { path: used.csv }
      is: utilisation
      most: 0.82
      updated: { csv: { path: \"never-{target}.csv\" } }
  load: { requests: { csv: { path: load.csv } } }
  durations: { drain: 1m, update: 5m, warmup: 2m }
  surge: { offers: [{ name: od, capacity: { requests: 80 }, price: 0.2, lead: 3m, max: 9 }] }
---\napiVersion: presurge/v1\nkind: Rollout\nmetadata: { name: kernel }\nspec:
  fleets: [web]
  target: { version: \"2\" }
  risk: 0.02
  batch: { canary: { size: 1, watch: 30m }, maxUnavailable: 1 }
  stabilisation: { min: 10m }
  deadline: 4h\n";

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_772_323_200 + 60 * minute).unwrap()
}

fn unrest(minute: i64) -> f64 {
    (minute * 7_919 % 31 - 15) as f64
}

fn load(minute: i64) -> f64 {
    let day = (minute as f64 / 1_440.0 * std::f64::consts::TAU).sin();
    560.0 - 120.0 * day + 0.3 * unrest(minute / STEP)
}

/// How much of a server is in use that needs so many times the work for each request.
fn used(minute: i64, times: f64) -> f64 {
    let minute = minute.div_euclid(STEP) * STEP;
    0.1 + 0.9 * times * load(minute) / 10.0 / 100.0 + 0.0005 * unrest(minute + 1)
}

/// The servers of a simulated world that run the target, minute by minute.
struct Updated {
    world: SimWorld,
    times: f64,
}

#[async_trait]
impl LoadSource for Updated {
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
        let back = self.world.facts().away.iter().filter_map(|away| Some(away.back?.full_at)).min();
        let minutes = 0..DAYS * 1_440 + 1_440;
        let served = minutes.filter(|m| back.is_some_and(|back| back <= at(*m)));
        let asked = served.filter(|m| from <= at(*m) && at(*m) < to);
        Ok(asked.map(|m| Sample { at: at(m), value: used(m, self.times) }).collect())
    }
}

/// What is known beforehand, sample by sample.
struct Told(Vec<Sample>);

#[async_trait]
impl LoadSource for Told {
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
        Ok(self.0.iter().filter(|sample| from <= sample.at && sample.at < to).copied().collect())
    }
}

fn told(value: impl Fn(i64) -> f64) -> Arc<dyn LoadSource> {
    let minutes = (0..(DAYS + 1) * 1_440).step_by(STEP as usize);
    Arc::new(Told(minutes.map(|m| Sample { at: at(m), value: value(m) }).collect()))
}

/// The production pipeline, at once.
struct Plans(Arc<Prepared>);

#[async_trait]
impl Planner for Plans {
    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        let histories = self.0.histories(ask.now).await.map_err(not_revised)?;
        Ok(self.0.compute(question(ask, 7), histories).map_err(not_revised)?.plan)
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        let histories = self.0.histories(ask.now).await.map_err(not_revised)?;
        let stands = self.0.weigh(question(ask, 7), schedule(rest), histories);
        Ok(weighed(&stands.map_err(not_revised)?.standing))
    }
}

/// A rollout of ten servers from noon on, when the load rises, to a version that needs so many times the work.
fn performed(times: f64) -> Vec<Record> {
    let begin = at(DAYS * 1_440 + 720);
    let clock = SimClock::at(begin);
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let mut prepared = Prepared::of_text(CONFIGURATION, &shared);
    let exactly = |minutes: u64| Spread::exactly(Duration::from_secs(60 * minutes));
    let offer = prepared.fleet.offers[0].name.clone();
    let settings = Settings {
        drain: exactly(1),
        update: exactly(5),
        start: Duration::ZERO,
        warmup: exactly(2),
        boot: Spread::ZERO,
        hook: Duration::ZERO,
        offers: [(offer, Sold { lead: exactly(3), interruption: Default::default() })].into(),
        fails_first: Vec::new(),
        fails_always: Vec::new(),
        bad: Vec::new(),
        seed: 7,
    };
    let names: Vec<ServerName> = prepared.fleet.servers.iter().map(|s| s.name.clone()).collect();
    let before = Version::new("1").unwrap();
    let world = SimWorld::new(clock, settings, &names, &before, |_| 0.0);
    let feed = &mut prepared.feeds[0];
    feed.source = told(load);
    let judged = feed.judged.as_mut().expect("an objective is configured");
    let Witness::Told { source, updated, .. } = &mut judged.witness else { panic!("it is told") };
    *source = told(|minute| used(minute, 1.0));
    *updated = Some(Arc::new(Updated { world: world.clone(), times }));
    let prepared = Arc::new(prepared);

    let ask = prepared.first(begin, 7).unwrap();
    let histories = run_until_stuck(prepared.histories(begin)).unwrap().unwrap();
    let Made { plan, histories, .. } = prepared.compute(ask, histories).unwrap();
    let step = prepared.rollout.step.duration();
    let driver = Driver {
        world: World {
            clock: world.clock(),
            traffic: world.traffic(),
            provisioner: Some(world.provisioner()),
            updater: world.updater(),
            gates: Vec::new(),
            load: watches(&prepared, &histories),
            hooks: BTreeMap::new(),
            size: None,
            shares: Default::default(),
        },
        journal: Arc::new(MemoryJournal::new()),
        planner: Arc::new(Plans(prepared.clone())),
        decide: rollout::decide,
        audience: Arc::new(Nobody),
        owner: "test".into(),
        build: "test".into(),
        pace: Pace { tick: step / 4, call_timeout: step / 4, lease: step, load_every: step },
        patience: None,
        stop: Stop::default(),
    };
    let id = RolloutId::new("kernel#1").unwrap();
    let mut created = created(&prepared, &histories, &plan, begin + Duration::from_secs(4 * 3_600));
    created.before = names.into_iter().map(|name| (name, before.clone())).collect();
    let entry = |event| Entry {
        at: begin,
        actor: Actor::operator("test"),
        cause: None,
        reason: "a test".into(),
        inputs: None,
        event,
    };
    let adopted = Event::PlanAdopted { plan: Box::new(plan) };
    let entries = vec![entry(Event::RolloutCreated(Box::new(created))), entry(adopted)];
    let (authority, after) = (Authority::Operator, Head::empty());
    let append = Append { rollout: &id, authority, after: &after, entries };
    run_until_stuck(driver.journal.append(append)).unwrap().unwrap();
    let ended = run_until_stuck(driver.run(&id)).expect("it does not wait for ever").unwrap();
    let records = run_until_stuck(driver.journal.read(&id, 0)).unwrap().unwrap();
    assert_eq!(ended, Ended::Finished(Outcome::Done), "{:?}", records.last());
    records
}

/// The plan that was in force when a batch opened.
fn planned_for(records: &[Record], batch: u32) -> Plan {
    let mut plan = None;
    for record in records {
        match record.event().unwrap() {
            Event::PlanAdopted { plan: next } => plan = Some(*next),
            Event::BatchOpened { index, .. } if index == batch => break,
            _ => {}
        }
    }
    plan.expect("there is one from the first record on")
}

#[test]
fn the_second_batch_is_planned_for_the_slower_version_that_the_first_one_shows() {
    let same = performed(1.0);
    let plan = planned_for(&same, 2);
    assert!(
        plan.surge.is_empty()
            && plan.basis[0]
                .updated
                .as_ref()
                .is_none_or(|u| u.share.values().all(|s| s.p50 == 1.0))
    );

    let slower = performed(1.15);
    let first = planned_for(&slower, 1);
    assert!(first.surge.is_empty() && first.inputs.capacity["web/requests"].updated.is_none());
    let second = planned_for(&slower, 2);
    let known = second.inputs.capacity["web/requests"].updated.clone().unwrap();
    let share = known.share.unwrap();
    assert!(known.slower && (share.p50 * 1.15 - 1.0).abs() < 0.03, "{known:?}");
    assert!(share.p05 <= share.p50 && share.p05 > 0.8, "{share:?}");
    assert_eq!(second.basis[0].updated.as_ref().unwrap().servers, 1);
    assert!(!second.surge.is_empty(), "{:?}", second.surge);
    let room = |plan: &Plan| plan.exposure.as_ref().unwrap().headroom.values().sum::<f64>();
    assert!(room(&second) < room(&first) - 80.0, "{} {}", room(&second), room(&first));
}
