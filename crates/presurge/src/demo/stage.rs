//! One run: a fresh fleet behind a load balancer, the load, and whoever rolls.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use adapters::clock::ScaledClock;
use adapters::health::http::{HttpConfig, HttpHealth};
use domain::event::{Event, Outcome};
use domain::journal::{Actor, Entry, Head, Record, digest_of};
use domain::name::{RolloutId, ServerName, Version};
use domain::plan::Plan;
use domain::ports::{
    Append, AppendError, Authority, BackendState, Clock, Journal, PortError, Provisioner, Target,
};
use domain::series::Sample;
use jiff::Timestamp;
use rollout::driver::{self, DriveError, Driver, Ended, LoadWatch, World};
use rollout::gates::Gate;
use rollout::settings::Pace;
use store::{Sqlite, StoreError};

use super::balancer::{Balancer, BalancerError, Kind};
use super::board::{Board, End, Figures, Run};
use super::fixed::{FixedError, FixedRoll};
use super::fleet::{Fleet, LaunchError};
use super::load::{Arrival, Measured, send};
use super::outlook::{self, Outlook, OutlookError, ROLLOUT, Reviser, created, dimension};
use super::plan_words::in_words;
use super::profile::step;
use super::settings::{
    FIXED_BATCH, INSTALL, PATIENCE, PLANNED_UPDATE, RUN, SERVER_CAPACITY, SPEED, WATCH_EVERY,
};
use super::stop::Stop;
use super::surge;
use super::teller::Teller;
use super::updater::{Restarts, Wait};

/// Why a run ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A server did not come up.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The load balancer did not come up.
    #[error(transparent)]
    Balancer(#[from] BalancerError),
    /// The journal cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal does not take what is written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// An adapter cannot be made.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The driver stopped.
    #[error("the rollout stopped")]
    Drive(#[from] DriveError),
    /// The fixed roll stopped.
    #[error(transparent)]
    Fixed(#[from] FixedError),
    /// There is no plan.
    #[error(transparent)]
    Outlook(#[from] OutlookError),
    /// Somebody asked the demo to end.
    #[error("it was interrupted")]
    Interrupted,
    /// The rollout held when the load ended, and could not be aborted either.
    #[error("the rollout could not be aborted within {PATIENCE:?} of the story")]
    Stuck,
}

/// What all runs have in common.
pub struct Common {
    /// Which load balancer.
    pub balancer: Kind,
    /// The requests of a run.
    pub arrivals: Vec<Arrival>,
    /// When the rollout is asked for.
    pub origin: Timestamp,
    /// The last server is back by then.
    pub deadline: Timestamp,
    /// Forecast and plan.
    pub outlook: Arc<Outlook>,
    /// The server processes.
    pub fleet: Arc<Fleet>,
    /// For the files of the load balancer.
    pub folder: PathBuf,
    /// For the records of Presurge.
    pub journal: PathBuf,
    /// Whether somebody wants it to end.
    pub stop: Stop,
    /// Where everything is shown.
    pub board: Board,
}

/// A fleet in service, before its load begins.
struct Stage<'a> {
    common: &'a Common,
    balancer: Balancer,
    provisioner: Arc<dyn Provisioner>,
    targets: Vec<Target>,
    load: Arc<Measured>,
    clock: ScaledClock,
}

/// What the rollout of a run came to.
struct Rolled {
    end: End,
    surge_cost: f64,
    /// When it ended; `None` when there was none.
    ended: Option<Timestamp>,
    journal_events: u64,
}

fn old() -> Version {
    Version::new("1.0").expect("a number is a version")
}

fn new() -> Version {
    Version::new("1.1").expect("a number is a version")
}

/// Performs a run on a fresh fleet, and takes everything down again. `load` is what the run
/// measures; its requests are counted there.
///
/// # Errors
/// The first thing that did not work.
pub async fn perform(
    common: &Common,
    run: Run,
    load: Arc<Measured>,
) -> Result<Figures, StageError> {
    let Common { fleet, stop, folder, .. } = common;
    let old = old();
    let targets = tokio::select! {
        targets = fleet.start(&old) => targets?,
        () = stop.wanted() => return Err(StageError::Interrupted),
    };
    let balancer = Balancer::start(common.balancer, fleet, &targets, folder).await?;
    let clock = ScaledClock::new(common.origin, SPEED).expect("the speed is one that a clock has");
    let provisioner = surge::provisioner(fleet, &old, folder)?;
    let stage = Stage { common, balancer, provisioner, targets, load, clock };
    let played = tokio::select! {
        played = stage.play(run) => played,
        () = stop.wanted() => Err(StageError::Interrupted),
    };
    let given_back = surge::give_back(stage.provisioner.as_ref()).await;
    stage.balancer.stop().await;
    fleet.stop().await;
    // What went wrong first says more.
    let figures = played?;
    given_back?;
    Ok(figures)
}

impl Stage<'_> {
    async fn play(&self, run: Run) -> Result<Figures, StageError> {
        let Common { board, origin, arrivals, .. } = self.common;
        board.begin(run, (*origin, *origin + RUN), Fleet::names());
        let tally = Arc::clone(&self.load.tally);
        let requests = send(arrivals, self.balancer.address, self.clock, *origin, tally);
        let rolled = self.roll(run);
        let both = async { tokio::join!(requests, rolled) };
        let ((), rolled) = tokio::select! {
            both = both => both,
            () = self.watch() => unreachable!("watching has no end"),
        };
        let rolled = rolled?;
        let real = |at: Timestamp| at.duration_since(*origin).as_secs_f64() / SPEED;
        let figures = Figures {
            end: rolled.end,
            totals: self.load.tally.totals(),
            surge_cost: rolled.surge_cost,
            duration_seconds: rolled.ended.map_or(0.0, real),
            journal_events: rolled.journal_events,
        };
        board.end(run, figures);
        Ok(figures)
    }

    async fn roll(&self, run: Run) -> Result<Rolled, StageError> {
        match run {
            Run::Presurge => self.presurge().await,
            Run::NoRollout => {
                let end = End::NoRollout;
                Ok(Rolled { end, surge_cost: 0.0, ended: None, journal_events: 0 })
            }
            Run::Fixed => self.fixed(0).await,
            Run::FixedSurge => self.fixed(FIXED_BATCH).await,
        }
    }

    async fn fixed(&self, surge: usize) -> Result<Rolled, StageError> {
        let roll = FixedRoll {
            traffic: Arc::clone(&self.balancer.traffic),
            updater: Arc::new(Restarts::new(
                Arc::clone(&self.common.fleet),
                Arc::new(Wait(INSTALL)),
            )),
            provisioner: Arc::clone(&self.provisioner),
            clock: self.clock,
            board: self.common.board.clone(),
        };
        let surge_cost = roll.run(&self.targets, &new(), surge).await?;
        let ended = Some(self.clock.now());
        Ok(Rolled { end: End::Done, surge_cost, ended, journal_events: 0 })
    }

    async fn presurge(&self) -> Result<Rolled, StageError> {
        let journal: Arc<dyn Journal> = Arc::new(Sqlite::open(&self.common.journal)?);
        let id = RolloutId::new(format!("{ROLLOUT}#1")).expect("a name and a number are an id");
        let plan = self.common.outlook.first(self.common.origin)?;
        self.common.board.event(self.common.origin, &in_words(&plan));
        self.common.board.plan(in_words(&plan));
        self.create(journal.as_ref(), &id, plan).await?;
        let driver = self.driver(&journal)?;
        // The load has an end, and a rollout that still waits then waits for nothing.
        let over = self.clock.sleep_until(self.common.origin + RUN);
        let ended = tokio::select! {
            ended = driver.run(&id) => ended?,
            () = over => self.give_up(&journal, &id, &driver).await?,
        };
        let records = journal.read(&id, 0).await?;
        match ended {
            Ended::Finished(Outcome::Done) => Ok(rolled(End::Done, &records)),
            Ended::Finished(Outcome::Incomplete | Outcome::Aborted | Outcome::RolledBack) => {
                Ok(rolled(End::Aborted, &records))
            }
            Ended::Waiting | Ended::Stopped => Err(StageError::Stuck),
        }
    }

    async fn create(
        &self,
        journal: &dyn Journal,
        id: &RolloutId,
        plan: Plan,
    ) -> Result<(), StageError> {
        let spec = digest_of(&(ROLLOUT, self.common.deadline));
        let created = created(&self.targets, &new(), self.common.deadline, spec);
        let entry = |cause, reason: &str, event| Entry {
            at: self.common.origin,
            actor: Actor::operator("demo"),
            cause,
            reason: reason.into(),
            inputs: None,
            event,
        };
        let entries = vec![
            entry(None, "the demo was started", Event::RolloutCreated(Box::new(created))),
            entry(Some(1), "it is the cheapest", Event::PlanAdopted { plan: Box::new(plan) }),
        ];
        let (authority, after) = (Authority::Operator, Head::empty());
        journal.append(Append { rollout: id, authority, after: &after, entries }).await?;
        Ok(())
    }

    fn driver(&self, journal: &Arc<dyn Journal>) -> Result<Driver, StageError> {
        let real = |seconds: f64| Duration::from_secs_f64(seconds * SPEED);
        let health = HttpHealth::new(HttpConfig {
            url: "http://{address}/health".into(),
            status: vec![200],
            timeout: "2s".parse().expect("two seconds are a length of time"),
            body: None,
        })?;
        let gate = Gate {
            name: "http".into(),
            health: Arc::new(health),
            every: real(0.1),
            successes: 2,
            failures: 3,
            timeout: PLANNED_UPDATE * 12,
        };
        let watch = LoadWatch {
            dimension: dimension(),
            source: self.load.clone(),
            scale: 1.0,
            delay: Duration::ZERO,
            step: step().duration(),
        };
        Ok(Driver {
            world: World {
                clock: Arc::new(self.clock),
                traffic: Arc::clone(&self.balancer.traffic),
                provisioner: Some(Arc::clone(&self.provisioner)),
                updater: Arc::new(Restarts::new(
                    Arc::clone(&self.common.fleet),
                    Arc::new(Wait(INSTALL)),
                )),
                gates: vec![gate],
                load: vec![watch],
                hooks: BTreeMap::new(),
                size: None,
                shares: Default::default(),
            },
            journal: Arc::clone(journal),
            planner: Arc::new(Reviser(Arc::clone(&self.common.outlook))),
            decide: rollout::decide,
            audience: Arc::new(Teller::new(self.common.board.clone())),
            owner: format!("demo-{}", std::process::id()),
            build: concat!("presurge ", env!("CARGO_PKG_VERSION")).into(),
            pace: Pace {
                tick: real(0.05),
                call_timeout: real(4.0),
                lease: real(12.0),
                load_every: real(0.25),
            },
            patience: None,
            stop: driver::Stop::default(),
        })
    }

    /// Asks the rollout to put everything back, and drives it there.
    async fn give_up(
        &self,
        journal: &Arc<dyn Journal>,
        id: &RolloutId,
        driver: &Driver,
    ) -> Result<Ended, StageError> {
        let after = journal.read(id, 0).await?.last().map_or_else(Head::empty, Record::head);
        let entry = Entry {
            at: self.clock.now(),
            actor: Actor::operator("demo"),
            cause: Some(after.seq),
            reason: "the load of the demo has ended".into(),
            inputs: None,
            event: Event::AbortRequested {},
        };
        let (authority, entries) = (Authority::Operator, vec![entry]);
        journal.append(Append { rollout: id, authority, after: &after, entries }).await?;
        let limit = self.clock.now() + PATIENCE;
        tokio::select! {
            ended = driver.run(id) => Ok(ended?),
            () = self.clock.sleep_until(limit) => Ok(Ended::Waiting),
        }
    }

    /// Shows how things stand, for ever.
    async fn watch(&self) {
        let board = &self.common.board;
        loop {
            let now = self.clock.now();
            let tally = &self.load.tally;
            board.stands(now, tally.totals(), tally.seconds(), self.live(now));
            if let Ok(backends) = self.balancer.traffic.observe().await {
                let up = backends.iter().filter(|b| b.state == BackendState::InService).count();
                board.capacity(now, up as f64 * SERVER_CAPACITY);
            }
            self.clock.sleep_until(now + WATCH_EVERY).await;
        }
    }

    /// The load of this run so far, by the middle of its steps.
    fn live(&self, now: Timestamp) -> Vec<Sample> {
        let half = step().duration() / 2;
        let all = self.load.complete(now).into_iter().filter(|s| s.at >= self.common.origin);
        all.map(|s| Sample { at: s.at + half, ..s }).collect()
    }
}

/// What the journal says of surge and end.
fn rolled(end: End, records: &[Record]) -> Rolled {
    let mut orders = BTreeMap::new();
    let (mut surge_cost, mut ended) = (0.0, None);
    for record in records {
        match record.event() {
            Ok(Event::SurgeOrdered { key, names, .. }) => {
                orders.insert(key, (names.len(), record.at));
            }
            Ok(Event::SurgeReleased { key }) => {
                if let Some((count, at)) = orders.remove(&key) {
                    surge_cost += outlook::surge_cost(count, at, record.at);
                }
            }
            Ok(Event::Finished { .. }) => ended = Some(record.at),
            _ => {}
        }
    }
    Rolled { end, surge_cost, ended, journal_events: records.len() as u64 }
}

/// The short name of a server: surge is numbered.
pub fn short(name: &ServerName) -> String {
    match name.as_str().rsplit_once('-') {
        Some((front, number)) if front.starts_with("surge") => format!("+{number}"),
        Some((_, number)) => number.to_owned(),
        None => name.to_string(),
    }
}
