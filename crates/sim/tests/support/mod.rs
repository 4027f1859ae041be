//! A stage for the driver: one fleet, one rollout, one journal, any number of drivers.

#![allow(dead_code, reason = "each test file uses a part of the stage")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::event::{Created, Event, FORMAT, HookPoint, Member, OnFailure, OnTimeout, Policy};
use domain::freeze::Freezes;
use domain::journal::{Actor, Digest, Entry, Head, Record};
use domain::name::{Dimension, FleetName, OfferName, RolloutId, ServerName, Version};
use domain::ports::{
    Append, Authority, Clock, Hook, Journal, LoadSource, PortError, Size, Traffic,
};
use domain::series::Sample;
use jiff::Timestamp;
use rollout::State;
use rollout::driver::{Audience, DriveError, Driver, Ended, LoadWatch, Stop, World};
use rollout::gates::Gate;
use rollout::observe::Seen;
use rollout::planner::Planner;
use rollout::settings::Pace;
use sim::fuse::Fused;
use sim::planner::Timetable;
use sim::{Fuse, MemoryJournal, Settings, SimClock, SimWorld, run_until_stuck};

/// The version that the fleet starts with.
pub fn old() -> Version {
    Version::new("1").unwrap()
}

/// The version that the rollout brings.
pub fn new() -> Version {
    Version::new("2").unwrap()
}

/// The world, the journal and the timetable of one rollout.
pub struct Stage {
    pub hands: Hands,
    pub timetable: Timetable,
    pub drivers: u32,
    /// How often the load was asked for.
    pub queries: Arc<AtomicU32>,
    /// The auto-scaler, where it is not that of the world.
    pub size: Option<Arc<dyn Size>>,
    /// The load balancer, where it is not that of the world.
    pub traffic: Option<Arc<dyn Traffic>>,
    /// The planner, where it is not the timetable.
    pub planner: Option<Arc<dyn Planner>>,
    script: Arc<Script>,
}

/// What a test can touch while a driver runs.
#[derive(Clone)]
pub struct Hands {
    pub world: SimWorld,
    pub clock: SimClock,
    pub journal: Arc<MemoryJournal>,
    pub id: RolloutId,
}

impl std::ops::Deref for Stage {
    type Target = Hands;
    fn deref(&self) -> &Hands {
        &self.hands
    }
}

type Action = Box<dyn FnOnce(&Hands) + Send>;

/// Things that happen while a driver runs, in the order of their moments.
struct Script {
    hands: Hands,
    acts: Mutex<VecDeque<(Timestamp, Action)>>,
    /// What happens when an event of this name is written.
    then: Mutex<Option<(&'static str, Action)>>,
}

impl Audience for Script {
    fn recorded(&self, _: &State, record: &Record) {
        let act = self.then.lock().unwrap().take_if(|(kind, _)| *kind == record.kind);
        if let Some((_, act)) = act {
            act(&self.hands);
        }
    }
    fn troubled(&self, _: &str) {}
    fn looked(&self, _: &State, _: &Seen, now: Timestamp) {
        loop {
            let mut acts = self.acts.lock().unwrap();
            let Some(act) = acts.pop_front_if(|(at, _)| *at <= now) else { return };
            drop(acts);
            act.1(&self.hands);
        }
    }
}

/// Every point at which a hook may run.
pub const POINTS: [HookPoint; 3] = [HookPoint::Before, HookPoint::AfterBatch, HookPoint::After];

/// The waits and bounds of a rollout.
fn policy() -> Policy {
    Policy {
        drain_timeout_seconds: 600.0,
        drain_on_timeout: OnTimeout::Hold,
        update_timeout_seconds: 900.0,
        verify_timeout_seconds: 300.0,
        warmup_seconds: 30.0,
        warmup_seconds_in: Default::default(),
        warmup_steps: 1,
        degrade: false,
        retries: 0,
        failure_budget: 0,
        on_failure: OnFailure::Hold,
        reversible: true,
        hold: None,
        approval: None,
        hooks: Vec::new(),
        size: None,
        surge_timeout_seconds: 900.0,
        canary_watch_seconds: 60.0,
        stabilisation_seconds: 300.0,
        band_breaches: 3,
        stale_after_seconds: 300.0,
    }
}

impl Stage {
    /// Six servers in batches of two with two surge instances, created and planned.
    pub fn new(settings: Settings) -> Self {
        Self::with(settings, |_| {})
    }

    /// The same with another timetable.
    pub fn with(settings: Settings, change: impl FnOnce(&mut Timetable)) -> Self {
        Self::under(settings, |timetable, _| change(timetable))
    }

    /// The same under other waits and bounds.
    pub fn under(settings: Settings, change: impl FnOnce(&mut Timetable, &mut Policy)) -> Self {
        Self::set(settings, change, |name| (name.clone(), old()))
    }

    /// The same where nobody could tell what the servers ran before.
    pub fn blind(settings: Settings, change: impl FnOnce(&mut Policy)) -> Self {
        let nothing = |_: &ServerName| (ServerName::new("nobody").unwrap(), old());
        Self::set(settings, |_, policy| change(policy), nothing)
    }

    fn set(
        settings: Settings,
        change: impl FnOnce(&mut Timetable, &mut Policy),
        before: impl Fn(&ServerName) -> (ServerName, Version),
    ) -> Self {
        let clock = SimClock::at("2026-03-01T02:00:00Z".parse().unwrap());
        let names: Vec<_> = (1..=6).map(|n| ServerName::new(format!("web-{n}")).unwrap()).collect();
        let world = SimWorld::new(clock.clone(), settings, &names, &old(), |_| 100.0);
        let mut timetable = Timetable {
            rollout: "kernel".into(),
            fleet: FleetName::new("web").unwrap(),
            dimension: Dimension::new("requests").unwrap(),
            upper: 200.0,
            revised_upper: 200.0,
            target: 0.01,
            blind: Vec::new(),
            refuses_until: None,
            batch_risk: 0.0,
            batch: 2,
            every: Duration::from_secs(600),
            surge: (OfferName::new("spare").unwrap(), 2),
            each_costs: 0.0,
            on_loss: None,
            lead: Duration::from_secs(240),
            first_spends: 0.2,
            stabilisation: Duration::from_secs(300),
        };
        let mut policy = policy();
        change(&mut timetable, &mut policy);
        let journal = Arc::new(MemoryJournal::new());
        let id = RolloutId::new("kernel#1").unwrap();
        let hands = Hands { world, clock, journal, id };
        let script =
            Script { hands: hands.clone(), acts: Mutex::default(), then: Mutex::default() };
        let queries = Arc::default();
        let script = Arc::new(script);
        let (size, traffic, planner) = (None, None, None);
        let stage = Self { hands, timetable, drivers: 0, queries, size, traffic, planner, script };
        stage.create(&names, policy, names.iter().map(before).collect());
        stage
    }

    fn create(&self, names: &[ServerName], policy: Policy, before: BTreeMap<ServerName, Version>) {
        let now = self.clock.now();
        let member = |name: &ServerName| Member { name: name.clone(), zone: None, address: None };
        let created = Created {
            format: FORMAT,
            name: "kernel".into(),
            spec: Digest::of_bytes(b"spec"),
            fleet: self.timetable.fleet.clone(),
            target: new(),
            servers: names.iter().map(member).collect(),
            before,
            learned: Default::default(),
            deadline: now + Duration::from_secs(86_400),
            risk: 0.01,
            policy,
        };
        let (buy, target) = (self.timetable.surge.1, self.timetable.target);
        let plan = self.timetable.plan(now, names, buy, (1, None), target);
        let first = Event::RolloutCreated(Box::new(created));
        self.append(vec![first, Event::PlanAdopted { plan: Box::new(plan) }]);
    }

    /// Something happens after this long, if a driver runs then.
    pub fn later(&self, seconds: u64, act: impl FnOnce(&Hands) + Send + 'static) {
        let at = self.clock.now() + Duration::from_secs(seconds);
        self.script.acts.lock().unwrap().push_back((at, Box::new(act)));
    }

    /// Something happens when an event of this name is written for the first time.
    pub fn when(&self, kind: &'static str, act: impl FnOnce(&Hands) + Send + 'static) {
        *self.script.then.lock().unwrap() = Some((kind, Box::new(act)));
    }

    /// Runs a new driver behind a fuse; `None` when the fuse has stopped it.
    pub fn drive(&mut self, fuse: &Arc<Fuse>) -> Option<Ended> {
        self.try_to_drive(fuse).map(|ended| ended.unwrap())
    }

    /// The same where it may refuse to.
    pub fn try_to_drive(&mut self, fuse: &Arc<Fuse>) -> Option<Result<Ended, DriveError>> {
        self.drivers += 1;
        let clock = Fused::<dyn Clock>::new(fuse, self.world.clock());
        let gate = Gate {
            name: "http".into(),
            health: Fused::new(fuse, self.world.health()),
            every: Duration::from_secs(5),
            successes: 2,
            failures: 2,
            timeout: Duration::from_secs(300),
        };
        let load = Arc::new(Counted(self.world.load(), self.queries.clone()));
        let watch = LoadWatch {
            dimension: self.timetable.dimension.clone(),
            source: Fused::<dyn LoadSource>::new(fuse, load),
            scale: 1.0,
            delay: Duration::ZERO,
            step: Duration::from_secs(60),
        };
        let hook = || -> Arc<dyn Hook> { Fused::<dyn Hook>::new(fuse, self.world.hook()) };
        let journal: Arc<dyn Journal> = self.journal.clone();
        let size = self.size.clone().unwrap_or_else(|| self.world.size());
        let size = Fused::<dyn Size>::new(fuse, size);
        let traffic = self.traffic.clone().unwrap_or_else(|| self.world.traffic());
        let driver = Driver {
            world: World {
                clock,
                traffic: Fused::<dyn Traffic>::new(fuse, traffic),
                provisioner: Some(Fused::new(fuse, self.world.provisioner())),
                updater: Fused::new(fuse, self.world.updater()),
                gates: vec![gate],
                load: vec![watch],
                hooks: POINTS.map(|point| (point, hook())).into(),
                size: Some(size),
                shares: BTreeMap::new(),
            },
            journal: Fused::new(fuse, journal),
            planner: self.planner.clone().unwrap_or_else(|| Arc::new(self.timetable.clone())),
            decide: rollout::decide,
            audience: self.script.clone(),
            owner: format!("driver-{}", self.drivers),
            build: "test".into(),
            pace: Pace {
                tick: Duration::from_secs(20),
                call_timeout: Duration::from_secs(4),
                lease: Duration::from_secs(60),
                load_every: Duration::from_secs(60),
            },
            patience: Some(Duration::from_secs(3600)),
            stop: Stop::default(),
        };
        run_until_stuck(driver.run(&self.id))
    }
}

/// A source that counts how often it is asked.
struct Counted(Arc<dyn LoadSource>, Arc<AtomicU32>);

#[async_trait]
impl LoadSource for Counted {
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.samples(from, to).await
    }
}

impl Hands {
    /// Appends events as a person does.
    pub fn append(&self, events: Vec<Event>) {
        self.append_to(&self.id, events);
    }

    /// Writes into the chain of freezes as a person does.
    pub fn freeze(&self, event: Event) {
        self.append_to(&Freezes::chain(), vec![event]);
    }

    fn append_to(&self, rollout: &RolloutId, events: Vec<Event>) {
        let records = run_until_stuck(self.journal.read(rollout, 0)).unwrap().unwrap();
        let after = records.last().map_or_else(Head::empty, Record::head);
        let entry = |event| Entry {
            at: self.clock.now(),
            actor: Actor::operator("test"),
            cause: None,
            reason: "asked for".into(),
            inputs: None,
            event,
        };
        let entries = events.into_iter().map(entry).collect();
        let authority = Authority::Operator;
        let append = Append { rollout, authority, after: &after, entries };
        run_until_stuck(self.journal.append(append)).unwrap().unwrap();
    }

    /// The whole journal.
    pub fn records(&self) -> Vec<Record> {
        run_until_stuck(self.journal.read(&self.id, 0)).unwrap().unwrap()
    }

    /// The names of all events so far.
    pub fn kinds(&self) -> Vec<String> {
        self.records().into_iter().map(|r| r.kind).collect()
    }
}

impl Hands {
    /// The present moment of the simulated world.
    pub fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// All records of a kind.
pub fn all(hands: &Hands, kind: &str) -> Vec<Record> {
    hands.records().into_iter().filter(|record| record.kind == kind).collect()
}

/// The only record of a kind.
pub fn only(hands: &Hands, kind: &str) -> Record {
    let mut records = all(hands, kind);
    assert_eq!(records.len(), 1, "{kind}: {records:#?}");
    records.remove(0)
}

/// The first crossing after which an event is in the journal of a plain stage.
pub fn crossing_after(kind: &str) -> u64 {
    let written = |crossing: u64| {
        let mut stage = Stage::new(Settings::default());
        stage.drive(&Fuse::at(crossing));
        stage.kinds().iter().any(|k| k == kind)
    };
    let (mut before, mut after) = (0, 1);
    while !written(after) {
        (before, after) = (after, after * 2);
    }
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if written(middle) { after = middle } else { before = middle }
    }
    after
}
