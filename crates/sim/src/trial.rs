//! A trial: one rollout under everything that a seed has in store. The driver, the decider and
//! the state machine are those of production; the world, its faults and its people are drawn.
//!
//! The same seed gives the same journal, byte for byte. What has to be true is judged by a
//! witness that knows the truth of the world: at every call, at every event, and at the end.

mod fate;
mod forecaster;
mod judge;
mod planner;
mod scaler;
mod scene;
mod witness;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::event::{Event, HookPoint, Outcome};
use domain::journal::Record;
use domain::ports::{
    Clock, Health, Hook, Journal, LoadSource, Provisioner, Size, Traffic, Updater,
};
use jiff::Timestamp;
use rollout::driver::{Decider, DriveError, Driver, Ended, LoadWatch, Nobody, Stop, World};
use rollout::gates::Gate;
use rollout::planner::Planner;
use rollout::settings::Pace;

use crate::faults::{Dice, Faulty};
use crate::fuse::{Fuse, Fused};
use crate::run_until_stuck;
use fate::Lots;
use scene::Scene;
use witness::Watched;

/// One seed of so many is planned by the planner of production.
const PLANNED_EVERY: u64 = 20;

/// The distance of two samples of load.
const SAMPLE: Duration = Duration::from_secs(60);

/// Once everything works, a rollout ends within this, or holds for a person.
const PATIENCE_AFTER_CALM: Duration = Duration::from_secs(12 * 3600);

/// What happened less long ago cannot have been seen: old news, a tick, a call that hangs, a
/// call that is to be asked again in a minute.
const UNSEEN: Duration = Duration::from_secs(150);

/// Once everything works, a driver has this long to find out.
const SETTLING: Duration = Duration::from_secs(900);

/// A hold that lasts for so long is shown to a person.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Drivers that die do so before this many crossings.
const LONG_LIFE: u64 = 1500;

/// No life of a driver has more crossings, or it goes round in circles.
const LONGEST_LIFE: u64 = 400_000;

/// So often a person says resume before they say abort.
const RESUMES: u32 = 3;

/// More lives than this are not needed to finish anything.
const MOST_LIVES: u32 = 2000;

/// How a port is built into a trial: as it is, or changed.
pub type Fit<P> = fn(Arc<P>) -> Arc<P>;

/// The parts of a driver. The default is production; a part can be exchanged for a broken one,
/// to see that it is found out.
#[derive(Clone, Copy)]
pub struct Rig {
    /// Who decides.
    pub decide: Decider,
    /// The load balancer as the driver reaches it.
    pub traffic: Fit<dyn Traffic>,
    /// The seller of surge as the driver reaches it.
    pub provisioner: Fit<dyn Provisioner>,
    /// The updater as the driver reaches it.
    pub updater: Fit<dyn Updater>,
    /// The health gate as the driver reaches it.
    pub health: Fit<dyn Health>,
    /// The load as the driver reaches it.
    pub load: Fit<dyn LoadSource>,
    /// The journal as the driver reaches it.
    pub journal: Fit<dyn Journal>,
    /// The planner as the driver reaches it.
    pub planner: Fit<dyn Planner>,
    /// The load balancer as it is.
    pub balancer: Fit<dyn Traffic>,
    /// The seller as it is.
    pub seller: Fit<dyn Provisioner>,
    /// The updater as it is.
    pub worker: Fit<dyn Updater>,
    /// What runs hooks, as it is.
    pub runner: Fit<dyn Hook>,
    /// The auto-scaler as it is.
    pub scaler: Fit<dyn Size>,
}

impl Default for Rig {
    fn default() -> Self {
        Self {
            decide: rollout::decide,
            traffic: |port| port,
            provisioner: |port| port,
            updater: |port| port,
            health: |port| port,
            load: |port| port,
            journal: |port| port,
            planner: |port| port,
            balancer: |port| port,
            seller: |port| port,
            worker: |port| port,
            runner: |port| port,
            scaler: |port| port,
        }
    }
}

/// What came of a trial.
#[derive(Debug, Clone)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How the rollout ended; `None` when it did not.
    pub outcome: Option<Outcome>,
    /// The whole journal.
    pub records: Vec<Record>,
    /// What is not as it should be; empty for a good trial.
    pub accusations: Vec<String>,
    /// How often what happened.
    pub happenings: BTreeMap<String, u64>,
    /// Drivers that were needed.
    pub lives: u32,
    /// Virtual time from the beginning to the end.
    pub took: Duration,
    /// What happened, line by line, where it was asked for.
    pub story: Vec<String>,
}

/// Whether a trial tells its story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// Only the report.
    Silent,
    /// Line by line.
    Story,
}

/// Runs the trial of a seed.
pub fn run(seed: u64) -> Report {
    run_with(seed, &Rig::default(), Telling::Silent)
}

/// Runs the trial of a seed with other parts.
pub fn run_with(seed: u64, rig: &Rig, telling: Telling) -> Report {
    let start: Timestamp = "2026-03-01T02:00:00Z".parse().expect("a moment");
    let scene = Scene::set(seed, start, telling == Telling::Story);
    let dice = Dice::new(seed, scene.fate.faults.clone(), scene.agenda.clone());
    let mut trial = Trial { scene, dice, rig, lots: Lots::new(!seed), lives: 0, life: 0 };
    let outcome = trial.play();
    trial.report(seed, outcome, start)
}

struct Trial<'a> {
    scene: Arc<Scene>,
    dice: Arc<Dice>,
    rig: &'a Rig,
    lots: Lots,
    lives: u32,
    /// After so many crossings the present driver dies.
    life: u64,
}

impl Trial<'_> {
    /// One driver after the other, until the rollout has ended.
    fn play(&mut self) -> Option<Outcome> {
        let mut asked = 0;
        while self.lives < MOST_LIVES {
            let witness = self.scene.witness.clone();
            match self.live() {
                None if self.scene.agenda.is_over() => {
                    witness.accuse("it neither ends nor holds for a person");
                    return None;
                }
                None if self.life == LONGEST_LIFE => {
                    witness.accuse("the driver goes round in circles");
                    return None;
                }
                None => self.rest("the driver was killed"),
                Some(Ok(Ended::Finished(outcome))) => {
                    // Whatever is still under way arrives.
                    self.scene.agenda.pass(self.scene.agenda.true_now() + PATIENCE);
                    judge::ended_well(&self.scene, outcome);
                    return Some(outcome);
                }
                Some(Ok(Ended::Waiting | Ended::Stopped)) => {
                    asked += 1;
                    self.person(asked);
                }
                Some(Err(DriveError::Store(_) | DriveError::LeaseLost(_))) => {
                    self.rest("the store failed, and the driver gave up");
                }
                Some(Err(error)) => {
                    witness.accuse(format!("the driver cannot go on: {error:?}"));
                    return None;
                }
            }
        }
        self.scene.witness.accuse("no number of drivers is enough");
        None
    }

    fn is_calm(&self) -> bool {
        self.scene.agenda.true_now() >= self.scene.fate.calm_at
    }

    fn rest(&mut self, why: &str) {
        self.scene.witness.tell(format!("-- {why}"));
        let pause = if self.lots.chance(0.8) { 5 } else { self.lots.magnitude(10, 900) };
        let agenda = &self.scene.agenda;
        agenda.pass(agenda.true_now() + Duration::from_secs(pause));
    }

    /// A person looks at a rollout that waits.
    fn person(&mut self, asked: u32) {
        let scene = self.scene.clone();
        if let Some(digest) = scene.unapproved() {
            let agrees = self.lots.chance(0.9);
            // Somebody who takes an hour each time may be asked for as long as spot instances are lost.
            if self.is_calm() {
                scene.agenda.look_ahead(scene.agenda.true_now() + PATIENCE_AFTER_CALM);
            }
            return scene.say(match agrees {
                true => Event::PlanApproved { digest },
                false => Event::PlanRejected { digest },
            });
        }
        if scene.agenda.true_now() < scene.fate.calm_at + SETTLING {
            let pause = Duration::from_secs(self.lots.whole(60, 1800));
            scene.agenda.pass(scene.agenda.true_now() + pause);
            if self.lots.chance(0.5) {
                scene.say(Event::ResumeRequested {});
            }
            return;
        }
        judge::waits_for_a_reason(&scene, &self.dice);
        if self.lots.chance(0.5) || asked > RESUMES {
            scene.witness.tell("-- a person mends what is broken");
            scene.mend();
        }
        scene.agenda.look_ahead(scene.agenda.true_now() + PATIENCE_AFTER_CALM);
        let resumes = asked <= RESUMES && self.lots.chance(0.7);
        scene.say(if resumes { Event::ResumeRequested {} } else { Event::AbortRequested {} });
    }

    /// One driver from its start until it ends, returns or dies.
    fn live(&mut self) -> Option<Result<Ended, DriveError>> {
        self.lives += 1;
        let dies = self.lives <= self.scene.fate.deaths && !self.is_calm();
        self.life = if dies { self.lots.magnitude(1, LONG_LIFE) } else { LONGEST_LIFE };
        let driver = self.driver(&Fuse::at(self.life));
        run_until_stuck(driver.run(&self.scene.id))
    }

    fn driver(&self, fuse: &Arc<Fuse>) -> Driver {
        let (scene, dice, rig) = (&self.scene, &self.dice, self.rig);
        let (world, witness) = (&scene.world, &scene.witness);
        let clock: Arc<dyn Clock> = scene.agenda.clone();
        let balancer = (rig.balancer)(world.traffic());
        let traffic = Watched::<dyn Traffic>::new(witness, Faulty::new(dice, balancer));
        let seller = (rig.seller)(world.provisioner());
        let provisioner = Watched::<dyn Provisioner>::new(witness, Faulty::new(dice, seller));
        let worker = (rig.worker)(world.updater());
        let faulty: Arc<dyn Updater> = Faulty::<_, ()>::new(dice, worker);
        let updater = Watched::<dyn Updater>::new(witness, faulty);
        let health: Arc<dyn Health> = Faulty::<_, ()>::new(dice, world.health());
        let feed: Arc<dyn LoadSource> = scene.feed.clone();
        let feed: Arc<dyn LoadSource> = Faulty::<_, ()>::new(dice, feed);
        let load = Watched::<dyn LoadSource>::new(witness, feed);
        let journal: Arc<dyn Journal> = scene.journal.clone();
        let journal: Arc<dyn Journal> = Watched::<dyn Journal>::new(witness, journal);
        let journal: Arc<dyn Journal> = Faulty::<_, ()>::new(dice, journal);
        let faulty: Arc<dyn Hook> = Faulty::<_, ()>::new(dice, (rig.runner)(world.hook()));
        let watched: Arc<dyn Hook> = Watched::<dyn Hook>::new(witness, faulty);
        let hook: Arc<dyn Hook> = Fused::<dyn Hook>::new(fuse, watched);
        let faulty = Faulty::<dyn Size, _>::new(dice, (rig.scaler)(world.size()));
        let size: Arc<dyn Size> = Watched::<dyn Size>::new(witness, faulty);
        let hooks = [HookPoint::Before, HookPoint::AfterBatch, HookPoint::After];
        let gate = Gate {
            name: "http".into(),
            health: (rig.health)(Fused::new(fuse, health)),
            every: Duration::from_secs(5),
            successes: 2,
            failures: 2,
            timeout: Duration::from_secs(300),
        };
        let watch = LoadWatch {
            dimension: scene::dimension(),
            source: (rig.load)(Fused::<dyn LoadSource>::new(fuse, load)),
            scale: 1.0,
            delay: Duration::ZERO,
            step: SAMPLE,
        };
        Driver {
            world: World {
                clock: Fused::<dyn Clock>::new(fuse, clock),
                traffic: (rig.traffic)(Fused::<dyn Traffic>::new(fuse, traffic)),
                provisioner: Some((rig.provisioner)(Fused::<dyn Provisioner>::new(
                    fuse,
                    provisioner,
                ))),
                updater: (rig.updater)(Fused::<dyn Updater>::new(fuse, updater)),
                gates: vec![gate],
                load: vec![watch],
                hooks: hooks.map(|point| (point, hook.clone())).into(),
                size: Some(Fused::<dyn Size>::new(fuse, size)),
                shares: Default::default(),
            },
            journal: (rig.journal)(Fused::<dyn Journal>::new(fuse, journal)),
            planner: (rig.planner)(scene.planner.clone()),
            decide: rig.decide,
            audience: Arc::new(Nobody),
            owner: format!("driver-{}", self.lives),
            build: "trial".into(),
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

    fn report(self, seed: u64, outcome: Option<Outcome>, start: Timestamp) -> Report {
        let Self { scene, dice, .. } = self;
        scene.agenda.clear();
        let mut happenings = scene.witness.happenings();
        let thrown = dice.thrown().into_iter();
        happenings.extend(thrown.map(|(fault, count)| (format!("call {fault:?}"), count)));
        happenings.insert("driver killed".into(), u64::from(self.lives) - 1);
        let records = scene.witness.records();
        let kinds = [
            "HookEnded",
            "HookFailed",
            "PlanApproved",
            "PlanRejected",
            "ServerReverted",
            "SizeChanged",
        ];
        for kind in kinds {
            let count = records.iter().filter(|record| record.kind == kind).count();
            happenings.insert(kind.into(), count as u64);
        }
        if scene.searches {
            let plans = records.iter().filter(|record| record.kind == "PlanAdopted").count();
            happenings.insert("plan searched for".into(), plans as u64);
        }
        let took = scene.agenda.true_now().duration_since(start);
        Report {
            seed,
            outcome,
            records,
            accusations: scene.witness.accusations(),
            happenings,
            lives: self.lives,
            took: Duration::try_from(took).unwrap_or_default(),
            story: scene.witness.story(),
        }
    }
}
