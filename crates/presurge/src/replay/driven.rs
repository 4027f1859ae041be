//! Presurge itself: the production pipeline and the production driver in the replayed world.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::event::{Event, Outcome};
use domain::journal::{Actor, Entry, Head, Record};
use domain::name::{RolloutId, ServerName, Version};
use domain::plan::{Batch, Plan, Refused};
use domain::ports::{Append, Authority, Clock, Journal};
use domain::spread::Spread;
use jiff::Timestamp;
use plan::{Absence, Facts};
use rollout::driver::{Driver, Ended as Stopped, Nobody, Stop, World};
use rollout::planner::{Planner, ReviseError, Revision, Weighed};
use rollout::settings::Pace;
use sim::{MemoryJournal, Settings, SimClock, SimWorld, Sold, run_until_stuck};

use super::course::{Course, Ended, Hire, Told};
use super::settings::{LONGEST_TICK, LOOKS_PER_STEP, MOST_REVISIONS, PATIENCE};
use super::{Broken, Case};
use crate::apply::planner::{not_revised, question, schedule, weighed};
use crate::apply::world::{created, watches};
use crate::pipeline::{Made, PlanError, Prepared};

/// Plans at the instant from what was known then, and carries the plan out.
pub fn drive(case: &Case<'_>) -> Result<Course, Broken> {
    let clock = SimClock::at(case.instant);
    let prepared = Arc::new(case.recorded.seen_by(case.prepared, &clock));
    let made = match first_plan(case, &prepared) {
        Ok(made) => made,
        Err(PlanError::Refused(refused)) => {
            return Ok(Course { refused: Some(refused), ..case.still(Ended::Refused) });
        }
        Err(error) => return Err(case.broken(error)),
    };
    let stage = Stage::set(case, &prepared, &clock, &made)?;
    let stopped = stage.run().map_err(|e| case.broken(e))?;
    let unfinished = stopped != Some(Stopped::Finished(Outcome::Done));
    if !matches!(stopped, Some(Stopped::Finished(_))) {
        stage.append(vec![Event::AbortRequested {}], "a hold lasted too long, nobody came")?;
        stage.run().map_err(|e| case.broken(e))?;
    }
    let mut course = course(case, &stage.world, clock.now())?;
    if unfinished {
        course.ended = Ended::Unfinished;
    }
    course.told = told(&stage.records()?, &course.told, made.plan);
    Ok(course)
}

/// The plan as `presurge plan --now` makes it.
pub fn first_plan(case: &Case<'_>, prepared: &Prepared) -> Result<Made, PlanError> {
    let histories = run_until_stuck(prepared.histories(case.instant));
    let histories = histories.expect("recorded load never waits")?;
    prepared.compute(prepared.first(case.instant, case.seed)?, histories)
}

/// The world, the journal and the driver of one replayed rollout.
struct Stage {
    world: SimWorld,
    journal: Arc<MemoryJournal>,
    id: RolloutId,
    driver: Driver,
    clock: SimClock,
}

impl Stage {
    fn set(
        case: &Case<'_>,
        prepared: &Arc<Prepared>,
        clock: &SimClock,
        made: &Made,
    ) -> Result<Self, Broken> {
        let names: Vec<ServerName> = super::course::servers(&case.facts);
        let before = Version::new("as-it-was").expect("a version");
        let world = SimWorld::new(clock.clone(), settings(case), &names, &before, |_| 0.0);
        let journal = Arc::new(MemoryJournal::new());
        let id = RolloutId::new(format!("{}#1", prepared.rollout.name));
        let id = id.map_err(|e| case.broken(e))?;
        let step = prepared.rollout.step.duration();
        let tick = (step / LOOKS_PER_STEP).clamp(std::time::Duration::from_secs(1), LONGEST_TICK);
        let planner =
            Replanner { prepared: prepared.clone(), seed: case.seed, asked: Mutex::default() };
        let driver = Driver {
            world: World {
                clock: world.clock(),
                traffic: world.traffic(),
                provisioner: Some(world.provisioner()),
                updater: world.updater(),
                gates: Vec::new(),
                load: watches(prepared, &made.histories),
                hooks: BTreeMap::new(),
                size: None,
                shares: Default::default(),
            },
            journal: journal.clone(),
            planner: Arc::new(planner),
            decide: rollout::decide,
            audience: Arc::new(Nobody),
            owner: "replay".into(),
            build: env!("CARGO_PKG_VERSION").into(),
            pace: Pace { tick, call_timeout: tick, lease: tick * 6, load_every: step },
            patience: Some(PATIENCE),
            stop: Stop::default(),
        };
        let stage = Self { world, journal, id, driver, clock: clock.clone() };
        let mut created = created(prepared, &made.histories, &made.plan, case.facts.deadline);
        // Nothing outside is called here, and nobody is there to be asked.
        created.policy.hooks.clear();
        created.policy.size = None;
        created.policy.approval = None;
        created.before = names.into_iter().map(|name| (name, before.clone())).collect();
        let plan = Event::PlanAdopted { plan: Box::new(made.plan.clone()) };
        stage.append(vec![Event::RolloutCreated(Box::new(created)), plan], "it is replayed")?;
        Ok(stage)
    }

    fn run(&self) -> Result<Option<Stopped>, rollout::driver::DriveError> {
        run_until_stuck(self.driver.run(&self.id)).transpose()
    }

    fn records(&self) -> Result<Vec<Record>, Broken> {
        let read = run_until_stuck(self.journal.read(&self.id, 0));
        read.expect("a journal in memory never waits").map_err(|e| Broken::new(self.clock.now(), e))
    }

    fn append(&self, events: Vec<Event>, reason: &str) -> Result<(), Broken> {
        let records = self.records()?;
        let after = records.last().map_or_else(Head::empty, Record::head);
        let at = self.clock.now();
        let entry = |event| Entry {
            at,
            actor: Actor::operator("replay"),
            cause: records.last().map(|record| record.seq),
            reason: reason.into(),
            inputs: None,
            event,
        };
        let entries = events.into_iter().map(entry).collect();
        let authority = Authority::Operator;
        let append = Append { rollout: &self.id, authority, after: &after, entries };
        let done = run_until_stuck(self.journal.append(append));
        done.expect("a journal in memory never waits").map_err(|e| Broken::new(at, e))?;
        Ok(())
    }
}

/// The world as the configuration says that it is.
fn settings(case: &Case<'_>) -> Settings {
    let durations = &case.facts.durations;
    let sold = |offer: &plan::Offer| {
        let sold = Sold { lead: offer.lead, interruption: offer.interruption };
        (offer.name.clone(), sold)
    };
    Settings {
        drain: durations.drain,
        update: durations.work,
        start: std::time::Duration::ZERO,
        warmup: durations.warmup,
        boot: Spread::ZERO,
        hook: std::time::Duration::ZERO,
        offers: case.facts.offers.iter().map(sold).collect(),
        fails_first: Vec::new(),
        fails_always: Vec::new(),
        bad: Vec::new(),
        seed: case.seed,
    }
}

/// What the world wrote down.
fn course(case: &Case<'_>, world: &SimWorld, now: Timestamp) -> Result<Course, Broken> {
    let facts = world.facts();
    let absences: Vec<Absence> = facts
        .away
        .iter()
        .map(|away| {
            let back = away.back.map(|back| (back.warm_at, back.full_at));
            let (warm_at, back_at) = back.unwrap_or((now, now));
            Absence { servers: vec![away.server.clone()], out_at: away.out_at, warm_at, back_at }
        })
        .collect();
    let hire = |hired: &sim::world::Hired| {
        let left = hired.left_at.unwrap_or(now);
        let service = hired.joined.map(|joined| (joined.full_at, left));
        Hire {
            offer: hired.offer.clone(),
            ordered_at: hired.ordered_at,
            service: service.filter(|(ready, left)| ready < left),
            ended_at: hired.ended_at.unwrap_or(now),
        }
    };
    let hires = facts.hired.iter().map(hire).collect();
    let lost = facts.hired.iter().filter(|hired| hired.lost).count();
    let mut course = case.course(&absences, hires)?;
    course.told.lost = u32::try_from(lost).unwrap_or(u32::MAX);
    Ok(course)
}

fn told(records: &[Record], told: &Told, plan: Plan) -> Told {
    let count = |kind: &str| {
        let of_kind = records.iter().filter(|record| record.kind == kind);
        u32::try_from(of_kind.count()).unwrap_or(u32::MAX)
    };
    let hold = records.iter().rev().find_map(|record| match record.event() {
        Ok(Event::Held { hold, detail }) => Some(format!("{hold:?}: {detail}")),
        _ => None,
    });
    Told {
        last_hold: hold,
        revisions: count("PlanAdopted").saturating_sub(1),
        holds: count("Held"),
        lost: told.lost,
        plan: Some(Box::new(plan)),
    }
}

/// Makes revisions at the virtual moment, through the pipeline.
struct Replanner {
    prepared: Arc<Prepared>,
    seed: u64,
    asked: Mutex<Asked>,
}

/// What was asked before.
#[derive(Default)]
struct Asked {
    times: u32,
    /// The last refusal, with what was known then: how far the load, and who was left.
    refused: Option<(Vec<Timestamp>, Vec<ServerName>, Refused)>,
}

#[derive(Debug, thiserror::Error)]
#[error("{MOST_REVISIONS} revisions were made already; the replay makes no more for one rollout")]
struct TooMany;

#[async_trait]
impl Planner for Replanner {
    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        if ask.deadline <= ask.now {
            let detail = format!("{} is not after the present moment {}", ask.deadline, ask.now);
            let binding = "deadline".into();
            return Err(Refused { binding, detail, would_fit: Vec::new() }.into());
        }
        let histories = self.prepared.histories(ask.now).await.map_err(not_revised)?;
        let known: Vec<Timestamp> = histories.values().map(|h| h.series.end()).collect();
        {
            let mut asked = self.asked.lock().expect("no panic under the lock");
            if let Some((before, pending, refused)) = &asked.refused
                && *before == known
                && *pending == ask.pending
            {
                // Nothing new is known, and there is less time than before.
                return Err(refused.clone().into());
            }
            asked.times += 1;
            if asked.times > MOST_REVISIONS {
                return Err(ReviseError::Failed(TooMany.to_string()));
            }
        }
        match self.prepared.compute(question(ask, self.seed), histories) {
            Ok(made) => Ok(made.plan),
            Err(error) => {
                let error = not_revised(error);
                if let ReviseError::Refused(refused) = &error {
                    let mut asked = self.asked.lock().expect("no panic under the lock");
                    asked.refused = Some((known, ask.pending.clone(), refused.clone()));
                }
                Err(error)
            }
        }
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        let histories = self.prepared.histories(ask.now).await.map_err(not_revised)?;
        let made = self.prepared.weigh(question(ask, self.seed), schedule(rest), histories);
        Ok(weighed(&made.map_err(not_revised)?.standing))
    }
}

/// What the offers and durations of a rollout are at an instant.
pub fn facts(prepared: &Prepared, instant: Timestamp, seed: u64) -> Result<Facts, PlanError> {
    let ask = prepared.first(instant, seed)?;
    Ok(crate::pipeline::facts(&prepared.fleet, &prepared.rollout, &ask))
}
