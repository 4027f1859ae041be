//! What is performed is what was shown: production pipeline, planner and driver in a simulated
//! world in which nothing unforeseen happens, to the second and the cent.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::event::{Event, Outcome};
use domain::journal::{Actor, Entry, Head};
use domain::name::{RolloutId, ServerName, Version};
use domain::plan::{Batch, Plan};
use domain::ports::{Append, Authority, Clock, Journal};
use domain::spread::Spread;
use jiff::Timestamp;
use plan::bill;
use rollout::driver::{Driver, Ended, Nobody, Stop, World};
use rollout::gates::Gate;
use rollout::planner::{Planner, ReviseError, Revision, Weighed};
use rollout::settings::Pace;
use sim::{MemoryJournal, Settings, SimClock, SimWorld, Sold};

use super::planner::{not_revised, question, schedule, weighed};
use super::world::{created, watches};
use crate::pipeline::{Made, Prepared, facts};
use crate::replay::Recorded;

/// Nobody should need another plan; the one that was shown is weighed as in production.
struct NoMore {
    prepared: Prepared,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Planner for NoMore {
    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        self.asked.lock().unwrap().push(ask.why.clone());
        Err(ReviseError::Failed("nothing else was shown".into()))
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        let stands = self.prepared.stands(question(ask, 1), schedule(rest)).await;
        Ok(weighed(&stands.map_err(not_revised)?.standing))
    }
}

/// One configuration that differs from the others in what shifts times.
struct Case {
    name: &'static str,
    now: &'static str,
    durations: &'static str,
    offers: &'static str,
    rollout: &'static str,
    tick_seconds: u64,
    /// How many offers the plan buys from at least, and how many batches it has at least.
    at_least: (usize, usize),
}

const ONE_OFFER: &str = "
      - { name: od, capacity: { requests: 100 }, price: 0.2, lead: 3m, max: 20 }";

/// None suffices alone; leads and prices have no common measure.
const THREE_OFFERS: &str = "
      - { name: od, capacity: { requests: 100 }, price: 0.211, lead: 2m35s, max: 2 }
      - { name: large, capacity: { requests: 210 }, price: 0.517, lead: 4m10s, max: 1,
          billing: { minimum: 60s, granularity: 60s } }
      - { name: spare, market: standby, capacity: { requests: 90 }, price: 0.0, lead: 47s, max: 1 }";

const CASES: [Case; 6] = [
    Case {
        name: "round times",
        now: "2026-03-16T11:40:00Z",
        durations: "drain: 1m, update: 5m, warmup: 2m",
        offers: ONE_OFFER,
        rollout: "  deadline: 45m\n",
        tick_seconds: 10,
        at_least: (1, 2),
    },
    Case {
        name: "odd times, a slow look",
        now: "2026-03-16T11:37:23Z",
        durations: "drain: 47s, update: 4m18s, warmup: 1m7s",
        offers: ONE_OFFER,
        rollout: "  deadline: 45m\n  stabilisation: 7m13s\n",
        tick_seconds: 30,
        at_least: (1, 2),
    },
    Case {
        name: "several offers with leads of their own, a canary that is watched",
        now: "2026-03-17T11:30:11Z",
        durations: "drain: 33s, update: 5m5s, warmup: 1m31s",
        offers: THREE_OFFERS,
        rollout: "  deadline: 75m\n  batch: { canary: { size: 2, watch: 3m20s } }\n",
        tick_seconds: 30,
        at_least: (2, 3),
    },
    Case {
        name: "gates that take their time",
        now: "2026-03-17T11:40:00Z",
        durations: "drain: 20s, update: 3m, warmup: 40s",
        offers: ONE_OFFER,
        rollout: "  deadline: 45m\n  gates: [ { tcp: { address: \"127.0.0.1:80\" }, every: 17s, successes: 3 } ]\n",
        tick_seconds: 10,
        at_least: (1, 2),
    },
    Case {
        name: "windows and freezes by the wall clock, steps of five minutes",
        now: "2026-03-18T09:03:00Z",
        durations: "drain: 2m, update: 11m, warmup: 0s",
        offers: THREE_OFFERS,
        rollout: "  deadline: 6h\n  step: 5m\n  stabilisation: 20m\n  \
                  windows: [ { days: [wed], start: \"12:30\", end: \"15:45\", timezone: Europe/Berlin } ]\n  \
                  freezes: [ { from: 2026-03-18T11:40:00Z, to: 2026-03-18T11:50:00Z } ]\n",
        tick_seconds: 30,
        at_least: (1, 2),
    },
    Case {
        name: "at night, nothing is bought",
        now: "2026-03-18T22:10:00Z",
        durations: "drain: 50s, update: 8m20s, warmup: 1m",
        offers: ONE_OFFER,
        rollout: "  deadline: 8h\n",
        tick_seconds: 30,
        at_least: (0, 2),
    },
];

/// Ten servers of 100 under a wave that peaks at noon, with some unrest.
fn load() -> String {
    let mut text = String::from("ds,y\n");
    for (day, minute) in (1..20).flat_map(|d| (0..1440).step_by(5).map(move |m| (d, m))) {
        let at = f64::from(minute) / 1440.0 * std::f64::consts::TAU;
        let unrest = f64::from((day * 1440 + minute) / 5 * 7919 % 31) - 15.0;
        let (hour, minutes, value) = (minute / 60, minute % 60, 600.0 - 330.0 * at.cos() + unrest);
        writeln!(text, "2026-03-{day:02}T{hour:02}:{minutes:02}:00Z,{value}").unwrap();
    }
    text
}

fn configuration(case: &Case) -> String {
    format!(
        "apiVersion: presurge/v1\nkind: Fleet\nmetadata: {{ name: web }}\nspec:\n  servers: {{ \
         static: {{ prefix: web, count: 10 }} }}\n  capacity: {{ requests: 100 }}\n  load: {{ \
         requests: {{ csv: {{ path: load.csv }} }} }}\n  durations: {{ {} }}\n  surge:\n    \
         offers:{}\n---\napiVersion: presurge/v1\nkind: Rollout\nmetadata: {{ name: kernel \
         }}\nspec:\n  fleets: [web]\n  target: {{ version: \"2\" }}\n  risk: 0.02\n{}",
        case.durations, case.offers, case.rollout
    )
}

/// What came of a case.
struct Performed {
    plan: Plan,
    prepared: Prepared,
    world: SimWorld,
    ended_at: Timestamp,
}

async fn perform(case: &Case) -> Performed {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web.yaml");
    std::fs::write(&file, configuration(case)).unwrap();
    std::fs::write(folder.path().join("load.csv"), load()).unwrap();
    let clock = SimClock::at(case.now.parse().unwrap());
    let time: Arc<dyn Clock> = Arc::new(clock.clone());
    let prepared = Prepared::of_file(&file, &time);
    let until = clock.now() + Duration::from_secs(24 * 3600);
    let recorded = Recorded::read(&prepared, clock.now(), until).await.unwrap();
    let prepared = recorded.seen_by(&prepared, &clock);
    let ask = prepared.first(clock.now(), 1).unwrap();
    let deadline = ask.deadline;
    let made = prepared.make_plan(ask).await.unwrap_or_else(|e| panic!("{}: {e:?}", case.name));
    let names: Vec<ServerName> = prepared.fleet.servers.iter().map(|s| s.name.clone()).collect();
    let before = Version::new("1").unwrap();
    let world = SimWorld::new(clock.clone(), settings(&prepared), &names, &before, |_| 0.0);
    let journal = Arc::new(MemoryJournal::new());
    let id = RolloutId::new("kernel#1").unwrap();
    create(&journal, &id, &prepared, &made, deadline, clock.now()).await;
    let planner = Arc::new(NoMore { prepared: prepared.clone(), asked: Mutex::default() });
    let driver = driver(case, &prepared, &made, &world, journal.clone(), planner.clone());
    let ended = driver.run(&id).await.unwrap();
    let records = journal.read(&id, 0).await.unwrap();
    let told: Vec<String> = records
        .iter()
        .filter(|record| ["Held", "CommandFailed", "SurgeLost"].contains(&record.kind.as_str()))
        .map(|record| format!("{} {:?}", record.at, record.event()))
        .collect();
    let asked = planner.asked.lock().unwrap().clone();
    assert_eq!((told, asked), (vec![], vec![]), "{}: not as foreseen", case.name);
    assert_eq!(ended, Ended::Finished(Outcome::Done), "{}", case.name);
    Performed { plan: made.plan, prepared, world, ended_at: clock.now() }
}

fn settings(prepared: &Prepared) -> Settings {
    let durations = &prepared.fleet.durations;
    let offers = prepared.fleet.offers.iter().map(|offer| {
        let interruption = plan::Interruption::default();
        (offer.name.clone(), Sold { lead: offer.lead, interruption })
    });
    Settings {
        drain: durations.drain,
        update: durations.update,
        start: Duration::ZERO,
        warmup: durations.warmup,
        boot: Spread::ZERO,
        hook: Duration::ZERO,
        offers: offers.collect(),
        fails_first: Vec::new(),
        fails_always: Vec::new(),
        bad: Vec::new(),
        seed: 1,
    }
}

async fn create(
    journal: &MemoryJournal,
    id: &RolloutId,
    prepared: &Prepared,
    made: &Made,
    deadline: Timestamp,
    at: Timestamp,
) {
    let created = created(prepared, &made.histories, &made.plan, deadline);
    let plan = Event::PlanAdopted { plan: Box::new(made.plan.clone()) };
    let entry = |event| Entry {
        at,
        actor: Actor::operator("test"),
        cause: None,
        reason: "it was shown".into(),
        inputs: None,
        event,
    };
    let entries = vec![entry(Event::RolloutCreated(Box::new(created))), entry(plan)];
    let (authority, after) = (Authority::Operator, Head::empty());
    journal.append(Append { rollout: id, authority, after: &after, entries }).await.unwrap();
}

fn driver(
    case: &Case,
    prepared: &Prepared,
    made: &Made,
    world: &SimWorld,
    journal: Arc<MemoryJournal>,
    planner: Arc<NoMore>,
) -> Driver {
    let gates = prepared.rollout.gates.iter().map(|gate| Gate {
        name: gate.adapter.adapter.clone(),
        health: world.health(),
        every: gate.every,
        successes: gate.successes,
        failures: gate.failures,
        timeout: gate.timeout,
    });
    let tick = Duration::from_secs(case.tick_seconds);
    Driver {
        world: World {
            clock: world.clock(),
            traffic: world.traffic(),
            provisioner: Some(world.provisioner()),
            updater: world.updater(),
            gates: gates.collect(),
            load: watches(prepared, &made.histories),
            hooks: BTreeMap::new(),
            size: None,
            shares: Default::default(),
        },
        journal,
        planner,
        decide: rollout::decide,
        audience: Arc::new(Nobody),
        owner: "test".into(),
        build: "test".into(),
        pace: Pace { tick, call_timeout: tick, lease: tick * 6, load_every: tick * 2 },
        patience: Some(Duration::from_secs(3600)),
        stop: Stop::default(),
    }
}

/// Who was away from when to when, in the plan and in the world.
type Times = BTreeMap<ServerName, (Timestamp, Timestamp)>;

fn removals(performed: &Performed) -> (Times, Times) {
    let of_batch = |batch: &domain::plan::Batch| {
        let (out, back) = (batch.out_at, batch.back_at);
        batch.servers.clone().into_iter().map(move |server| (server, (out, back)))
    };
    let planned: Times = performed.plan.batches.iter().flat_map(of_batch).collect();
    let away = performed.world.facts().away;
    let came = away
        .iter()
        .map(|away| (away.server.clone(), (away.out_at, away.back.expect("it came back").full_at)));
    let came: Times = came.collect();
    assert_eq!(came.len(), away.len(), "a server was away twice");
    (planned, came)
}

/// Offer, order, full load, release, end, of every instance.
type Stay = (String, [Timestamp; 4]);

fn stays(performed: &Performed) -> (Vec<Stay>, Vec<Stay>) {
    let planned = performed.plan.surge.iter().flat_map(|p| {
        let times = [p.order_at, p.ready_at, p.release_at, p.end_at];
        (0..p.count).map(move |_| (p.offer.to_string(), times))
    });
    let hired = performed.world.facts().hired;
    let came = hired.iter().map(|h| {
        let (left, ended) = (h.left_at.unwrap(), h.ended_at.unwrap());
        (h.offer.to_string(), [h.ordered_at, h.joined.unwrap().full_at, left, ended])
    });
    let (mut planned, mut came): (Vec<Stay>, Vec<Stay>) = (planned.collect(), came.collect());
    planned.sort();
    came.sort();
    (planned, came)
}

/// What the seller bills for what the world wrote down.
fn billed(performed: &Performed) -> f64 {
    let Performed { prepared, plan, .. } = performed;
    let ask = prepared.first(plan.created_at, 1).unwrap();
    let facts = facts(&prepared.fleet, &prepared.rollout, &ask);
    let hired = performed.world.facts().hired;
    let each = hired.iter().map(|hired| {
        let offer = facts.offer(&hired.offer).unwrap();
        let seconds = hired.ended_at.unwrap().duration_since(hired.ordered_at).as_secs();
        bill(offer.billing, offer.price_per_hour, 1, seconds)
    });
    each.sum()
}

#[tokio::test]
async fn every_removal_return_order_and_release_comes_when_it_was_shown_and_so_does_the_bill() {
    for case in &CASES {
        let performed = perform(case).await;
        let (plan, name) = (&performed.plan, case.name);
        let (offers, batches) = (plan.surge.len(), plan.batches.len());
        let enough = offers >= case.at_least.0 && batches >= case.at_least.1;
        assert!(enough, "{name}: {offers} offers, {batches} batches show too little");
        let (planned, came) = removals(&performed);
        assert_eq!(planned, came, "{name}");
        let (planned, came) = stays(&performed);
        assert_eq!(planned, came, "{name}");
        let billed = billed(&performed);
        assert!((plan.cost.surge - billed).abs() < 1e-9, "{name}: {} {billed}", plan.cost.surge);
        assert!(offers == 0 || billed > 0.0 || plan.cost.surge == 0.0, "{name}");
        assert_eq!(plan.done_at, performed.ended_at, "{name}");
    }
}
