//! Whether the stated risk holds however often a rollout is planned again: rollouts by the production
//! driver, decider and planner, under load whose process the planner knows, and whose truth nobody
//! does. After every batch somebody pauses until the next one is late, so that it is planned again
//! with what is left of the risk; besides, everything takes its random time and spot instances
//! are lost. What really happened is judged by the capacity ledger.

mod planner;
mod process;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::event::{Created, Event, FORMAT, Member, OnFailure, OnTimeout, Outcome, Policy};
use domain::journal::{Actor, Digest, Entry, Head, Record};
use domain::name::{RolloutId, ServerName, Version};
use domain::plan::Plan;
use domain::ports::{Append, Authority, Clock, Journal};
use domain::spread::Spread;
use jiff::Timestamp;
use plan::{Absence, Interruption, Ledger, Presence, uniform};
use rollout::State;
use rollout::driver::{Audience, Driver, Ended, LoadWatch, Stop, World};
use rollout::gates::Gate;
use rollout::machine::fold;
use rollout::observe::Seen;
use rollout::settings::Pace;

use self::planner::{Informed, Terms, dimension, fleet};
use self::process::Process;
use crate::{MemoryJournal, Settings, SimClock, SimWorld, Sold, run_until_stuck};

/// The servers of the fleet; one of them goes out at a time.
const SERVERS: usize = 14;

/// The last server has to be back by then, in hours.
const DEADLINE_HOURS: u64 = 10;

/// From the end of a batch a person pauses for this long, in seconds.
const PAUSE_SECONDS: (f64, f64) = (600.0, 900.0);

/// A rollout that holds for longer than this, and than any pause, is left to stand: what it has done is
/// judged.
const PATIENCE: Duration = Duration::from_secs(1_000);

/// Deficits below this share of the fleet are rounding.
const ROUNDING_RATIO: f64 = 1e-9;

/// The stream of draws of everything but the load.
const STREAM: u64 = 0x40;

/// What became of one rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// How often it was planned again.
    pub revisions: usize,
    /// How many batches went out.
    pub batches: usize,
    /// How it ended; `None`: it waits for a plan that fits.
    pub outcome: Option<Outcome>,
    /// Whether the fleet lacked capacity that it would have had without the rollout, in any step.
    pub overloaded: bool,
    /// What its batches spent of the risk, a probability.
    pub spent: f64,
    /// Instances of surge that were bought.
    pub bought: usize,
    /// Instances of surge that were lost.
    pub lost: usize,
}

/// What a rollout is performed with, unless a test shows that it would be found out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rig {
    /// What the planner is told of the load, as a share of the truth.
    pub tells: f64,
    /// Whether the driver looks if the load is in its band.
    pub looks: bool,
}

impl Default for Rig {
    fn default() -> Self {
        Self { tells: 1.0, looks: true }
    }
}

/// Performs the rollout of a seed at a risk; `None` where no plan fits at its start.
pub fn perform(seed: u64, risk: f64, rig: Rig) -> Option<Course> {
    let start: Timestamp = "2026-03-01T00:00:00Z".parse().ok()?;
    let stage = Stage::set(seed, start, rig.tells);
    let first = stage.planner.first(start, risk).ok()?;
    let policy = Policy { band_breaches: if rig.looks { 3 } else { u32::MAX }, ..policy() };
    stage.create(first, risk, policy);
    let driver = stage.driver();
    let ended = run_until_stuck(driver.run(&stage.hands.id)).and_then(Result::ok);
    Some(stage.course(ended))
}

struct Stage {
    hands: Arc<Hands>,
    world: SimWorld,
    names: Vec<ServerName>,
    planner: Arc<Informed>,
}

impl Stage {
    fn set(seed: u64, start: Timestamp, tells: f64) -> Self {
        let draw = |nth: u64| uniform(seed, [STREAM, nth, 0]);
        let clock = SimClock::at(start);
        let name = |n: usize| ServerName::new(format!("web-{n}")).expect("a name");
        let names: Vec<_> = (1..=SERVERS).map(name).collect();
        let process = Arc::new(Process::drawn(seed, start, SERVERS));
        let settings = settings(seed, draw(0));
        let truth = process.clone();
        let world =
            SimWorld::new(clock.clone(), settings.clone(), &names, &version("1"), move |at| {
                truth.truth(at)
            });
        let deadline = start + Duration::from_secs(DEADLINE_HOURS * 3600);
        let terms =
            Terms { settings, names: names.clone(), deadline, stabilisation: STABILISATION };
        let planner = Arc::new(Informed { process, terms, seed, tells });
        let hands = Arc::new(Hands {
            clock,
            journal: Arc::new(MemoryJournal::new()),
            id: RolloutId::new("horizon#1").expect("a name"),
            seed,
            pauses: Mutex::default(),
        });
        Self { hands, world, names, planner }
    }

    fn create(&self, plan: Plan, risk: f64, policy: Policy) {
        let member = |name: &ServerName| Member { name: name.clone(), zone: None, address: None };
        let created = Created {
            format: FORMAT,
            name: "horizon".into(),
            spec: Digest::of_bytes(b"horizon"),
            fleet: fleet(),
            target: version("2"),
            servers: self.names.iter().map(member).collect(),
            before: BTreeMap::new(),
            learned: Default::default(),
            deadline: self.planner.terms.deadline,
            risk,
            policy,
        };
        let created = Event::RolloutCreated(Box::new(created));
        self.hands.say(vec![created, Event::PlanAdopted { plan: Box::new(plan) }]);
    }

    fn driver(&self) -> Driver {
        let gate = Gate {
            name: "http".into(),
            health: self.world.health(),
            every: Duration::from_secs(5),
            successes: 2,
            failures: 2,
            timeout: Duration::from_secs(300),
        };
        let watch = LoadWatch {
            dimension: dimension(),
            source: self.world.load(),
            scale: 1.0,
            delay: Duration::ZERO,
            step: Duration::from_secs(60),
        };
        Driver {
            world: World {
                clock: self.world.clock(),
                traffic: self.world.traffic(),
                provisioner: Some(self.world.provisioner()),
                updater: self.world.updater(),
                gates: vec![gate],
                load: vec![watch],
                hooks: BTreeMap::new(),
                size: None,
                shares: Default::default(),
            },
            journal: self.hands.journal.clone(),
            planner: self.planner.clone(),
            decide: rollout::decide,
            audience: self.hands.clone(),
            owner: "horizon".into(),
            build: "horizon".into(),
            pace: Pace {
                tick: Duration::from_secs(20),
                call_timeout: Duration::from_secs(4),
                lease: Duration::from_secs(60),
                load_every: Duration::from_secs(60),
            },
            patience: Some(PATIENCE),
            stop: Stop::default(),
        }
    }

    fn course(&self, ended: Option<Ended>) -> Course {
        let records = self.hands.records();
        let state = fold(&records).ok().flatten();
        let count = |kind: &str| records.iter().filter(|record| record.kind == kind).count();
        let facts = self.world.facts();
        Course {
            revisions: count("PlanAdopted").saturating_sub(1),
            batches: count("BatchOpened"),
            outcome: match ended {
                Some(Ended::Finished(outcome)) => Some(outcome),
                _ => None,
            },
            overloaded: self.is_overloaded(),
            spent: state.map_or(0.0, |state| state.account.spent()),
            bought: facts.hired.len(),
            lost: facts.hired.iter().filter(|hired| hired.lost).count(),
        }
    }

    /// Whether any step has attributable overload: the least capacity in it against the load that
    /// the whole fleet could have carried.
    fn is_overloaded(&self) -> bool {
        let (end, facts) = (self.hands.clock.now(), self.world.facts());
        let absence = |away: &crate::world::Away| Absence {
            servers: vec![away.server.clone()],
            out_at: away.out_at,
            warm_at: away.back.map_or(end, |back| back.warm_at),
            back_at: away.back.map_or(end, |back| back.full_at),
        };
        let presence = |hired: &crate::world::Hired| {
            let (joined, left_at) = (hired.joined?, hired.left_at.unwrap_or(end));
            let (offer, ready_at) = (hired.offer.clone(), joined.full_at);
            (ready_at < left_at).then_some(Presence {
                offer,
                count: 1,
                ready_at,
                release_at: left_at,
            })
        };
        let absences: Vec<_> = facts.away.iter().map(absence).collect();
        let presences: Vec<_> = facts.hired.iter().filter_map(presence).collect();
        let Some(first) = absences.iter().map(|absence| absence.out_at).min() else { return false };
        let last = absences.iter().map(|absence| absence.back_at).max().unwrap_or(first);
        let known = self.planner.facts(first, first, &[], &[], &[]);
        let ledger = Ledger::of_record(&known, &[dimension()], &absences, &presences)
            .expect("servers and offers of the fleet");
        let full = ledger.full[0];
        self.planner.process.steps(first, last).any(|(from, to)| {
            let load = self.planner.process.truth(from);
            let could = if load > full { full } else { load };
            let least = ledger.least(from.max(first), to)[&dimension()];
            could - least > full * ROUNDING_RATIO
        })
    }
}

/// The watch after the last batch.
const STABILISATION: Duration = Duration::from_secs(300);

fn version(text: &str) -> Version {
    Version::new(text).expect("a name")
}

fn settings(seed: u64, kind: f64) -> Settings {
    let spread = |p50: u64, p95: u64| {
        Spread::between(Duration::from_secs(p50), Duration::from_secs(p95)).expect("they rise")
    };
    let lead = spread(120, 200);
    let sold =
        |per_hour| Sold { lead, interruption: Interruption { per_hour, pool_per_hour: 0.0 } };
    let [spot, sure] = planner::offers();
    let lost_per_hour = if kind < 0.5 { 0.05 } else { 0.2 };
    Settings {
        drain: spread(30, 60),
        update: spread(240, 420),
        start: Duration::from_secs(10),
        warmup: Spread::exactly(WARMUP),
        boot: lead,
        hook: Duration::ZERO,
        offers: BTreeMap::from([(spot, sold(lost_per_hour)), (sure, sold(0.0))]),
        fails_first: Vec::new(),
        fails_always: Vec::new(),
        bad: Vec::new(),
        seed,
    }
}

/// From the first request to full load.
const WARMUP: Duration = Duration::from_secs(30);

fn policy() -> Policy {
    Policy {
        drain_timeout_seconds: 600.0,
        drain_on_timeout: OnTimeout::Hold,
        update_timeout_seconds: 3600.0,
        verify_timeout_seconds: 300.0,
        warmup_seconds: WARMUP.as_secs_f64(),
        warmup_seconds_in: BTreeMap::new(),
        warmup_steps: 1,
        degrade: false,
        retries: 0,
        failure_budget: 0,
        on_failure: OnFailure::Hold,
        reversible: true,
        hold: None,
        size: None,
        approval: None,
        hooks: Vec::new(),
        surge_timeout_seconds: 1800.0,
        canary_watch_seconds: 60.0,
        stabilisation_seconds: STABILISATION.as_secs_f64(),
        band_breaches: 3,
        stale_after_seconds: 300.0,
    }
}

/// The person who pauses, and the journal.
struct Hands {
    clock: SimClock,
    journal: Arc<MemoryJournal>,
    id: RolloutId,
    seed: u64,
    pauses: Mutex<Pauses>,
}

#[derive(Default)]
struct Pauses {
    /// After so many batches there was a pause.
    after: usize,
    /// The one that is on ends then.
    until: Option<Timestamp>,
}

impl Audience for Hands {
    fn recorded(&self, _: &State, _: &Record) {}

    fn looked(&self, state: &State, _: &Seen, now: Timestamp) {
        let mut pauses = self.pauses.lock().expect("no panic under the lock");
        match pauses.until {
            Some(until) if now >= until => {
                pauses.until = None;
                self.say(vec![Event::ResumeRequested {}]);
            }
            None if state.closed_ever > pauses.after && !state.pending().is_empty() => {
                pauses.after = state.closed_ever;
                let level = uniform(self.seed, [STREAM, 1, state.closed_ever as u64]);
                let (least, most) = PAUSE_SECONDS;
                let pause = Duration::from_secs_f64(least + (most - least) * level);
                pauses.until = Some(now + pause);
                self.say(vec![Event::PauseRequested {}]);
            }
            _ => {}
        }
    }

    fn troubled(&self, _: &str) {}
}

impl Hands {
    fn records(&self) -> Vec<Record> {
        let records = run_until_stuck(self.journal.read(&self.id, 0));
        records.and_then(Result::ok).unwrap_or_default()
    }

    fn say(&self, events: Vec<Event>) {
        let after = self.records().last().map_or_else(Head::empty, Record::head);
        let entry = |event| Entry {
            at: self.clock.now(),
            actor: Actor::operator("horizon"),
            cause: None,
            reason: "asked for".into(),
            inputs: None,
            event,
        };
        let entries = events.into_iter().map(entry).collect();
        let authority = Authority::Operator;
        let append = Append { rollout: &self.id, authority, after: &after, entries };
        run_until_stuck(self.journal.append(append));
    }
}
