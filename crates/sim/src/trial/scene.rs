//! One rollout in one world, with everything that happens to it.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::event::{Created, Event, FORMAT, Member};
use domain::journal::{Actor, Digest, Entry};
use domain::name::{Dimension, FleetName, RolloutId, ServerName, Version};
use domain::plan::{Plan, Replacement};
use domain::ports::{Append, Authority, Journal, LoadSource, PortError};
use domain::series::Sample;
use jiff::{SignedDuration, Timestamp};
use rollout::State;
use rollout::planner::Planner;

use super::fate::{FOR_EVER, Fate, Happening, Lie, offers};
use super::forecaster::{Forecaster, Process};
use super::planner::{Careful, Searching};
use super::scaler::Scaling;
use super::witness::Witness;
use crate::agenda::Agenda;
use crate::planner::Timetable;
use crate::{MemoryJournal, SimClock, SimWorld, run_until_stuck};

/// Load that one server carries, in requests a second.
pub(super) const SERVER_CARRIES: f64 = 100.0;

/// The usual load, as a share of what is there while a batch is out.
const USUAL: f64 = 0.6;

/// The upper edge of the band, as a multiple of the usual load.
const BAND: f64 = 1.3;

/// What a rollout may spend.
const RISK: f64 = 0.01;

/// What it may spend where it is searched for: a coarser risk needs fewer paths.
const SEARCHED_RISK: f64 = 0.05;

pub(super) struct Scene {
    pub(super) fate: Fate,
    pub(super) names: Vec<ServerName>,
    pub(super) agenda: Arc<Agenda>,
    pub(super) world: SimWorld,
    pub(super) journal: Arc<MemoryJournal>,
    pub(super) witness: Arc<Witness>,
    pub(super) feed: Arc<Feed>,
    pub(super) planner: Arc<dyn Planner>,
    pub(super) refused: Arc<Mutex<Option<String>>>,
    pub(super) id: RolloutId,
    /// Whether plans are searched for as in production.
    pub(super) searches: bool,
    load: Usual,
}

/// The load as it usually is: the same at all times, or one path of a process.
#[derive(Debug, Clone, Copy)]
struct Usual {
    process: Process,
    varies: bool,
}

impl Usual {
    fn at(self, moment: Timestamp) -> f64 {
        if self.varies { self.process.truth(moment) } else { self.process.mean }
    }
}

pub(super) fn old() -> Version {
    Version::new("1").expect("a name")
}

/// Whoever operates the rollouts of trials.
fn person() -> Actor {
    Actor::operator("trial")
}

pub(super) fn target() -> Version {
    Version::new("2").expect("a name")
}

/// The server of a number from 1.
pub(super) fn server(number: usize) -> ServerName {
    ServerName::new(format!("web-{number}")).expect("a name")
}

pub(super) fn dimension() -> Dimension {
    Dimension::new("requests").expect("a name")
}

impl Scene {
    /// The scene of a seed: created and planned, nothing done yet, everything that will happen
    /// written down.
    pub(super) fn set(seed: u64, start: Timestamp, witness_tells: bool) -> Arc<Self> {
        let fate = Fate::drawn(seed, start);
        let clock = SimClock::at(start);
        let horizon = fate.calm_at + super::PATIENCE_AFTER_CALM;
        let agenda = Agenda::new(clock.clone(), horizon);
        let names = fate.names.clone();
        let usual = (fate.servers - fate.batch) as f64 * SERVER_CARRIES * USUAL;
        let load = Usual { process: Process { seed, mean: usual }, varies: fate.plans };
        let now = move |at| load.at(at);
        let world = SimWorld::new(clock, fate.settings.clone(), &names, &old(), now);
        let searching = fate.plans.then(|| Forecaster {
            process: load.process,
            world: world.clone(),
            names: names.clone(),
            fate: fate.clone(),
            deadline: start + fate.deadline,
        });
        let journal = Arc::new(MemoryJournal::new());
        let id = RolloutId::new("trial#1").expect("a name");
        let witness = Witness::new(
            id.clone(),
            journal.clone(),
            world.clone(),
            agenda.clone(),
            (fate.batch, fate.surge as usize),
            witness_tells,
        );
        let refused = Arc::new(Mutex::default());
        let made = Careful {
            timetable: timetable(&fate, usual * BAND),
            world: world.clone(),
            servers: fate.servers,
            seed,
            fails: fate.planner_fails,
            until: fate.calm_at,
            asked: AtomicU64::new(0),
            refused: refused.clone(),
        };
        let timed = made.timetable.plan(start, &names, fate.surge, (1, None), RISK);
        let searched = searching.and_then(|forecaster| {
            let first = forecaster.first(start, SEARCHED_RISK).ok()?;
            Some((first, forecaster))
        });
        let searches = searched.is_some();
        let (first, risk, planner): (Plan, f64, Arc<dyn Planner>) = match searched {
            Some((first, forecaster)) => {
                let planner = Searching { forecaster, refused: refused.clone() };
                (first, SEARCHED_RISK, Arc::new(planner))
            }
            None => (timed, RISK, Arc::new(made)),
        };
        let feed = Arc::new(Feed { world: world.clone(), mood: Mutex::new(Mood::Truthful) });
        let scene = Self {
            fate,
            names,
            agenda,
            world,
            journal,
            witness,
            feed,
            planner,
            refused,
            id,
            searches,
            load,
        };
        if let Some(scaler) = &scene.fate.scaler {
            scene.world.set_scaler(scaler.settings.clone());
        }
        scene.world.fail_hooks(scene.fate.hook_failures);
        scene.create(first, risk);
        let scene = Arc::new(scene);
        scene.foresee();
        scene
    }

    fn create(&self, plan: Plan, risk: f64) {
        let member = |name: &ServerName| Member { name: name.clone(), zone: None, address: None };
        let created = Created {
            format: FORMAT,
            name: "trial".into(),
            spec: Digest::of_bytes(b"trial"),
            fleet: fleet(),
            target: target(),
            servers: self.names.iter().map(member).collect(),
            before: self.names.iter().map(|name| (name.clone(), old())).collect(),
            learned: Default::default(),
            deadline: self.agenda.true_now() + self.fate.deadline,
            risk,
            policy: self.fate.policy.clone(),
        };
        let created = Event::RolloutCreated(Box::new(created));
        self.ask(vec![created, Event::PlanAdopted { plan: Box::new(plan) }]);
    }

    /// Appends events as a person does.
    pub(super) fn ask(&self, events: Vec<Event>) {
        let after = self.witness.head();
        let entry = |event| Entry {
            at: self.agenda.true_now(),
            actor: person(),
            cause: None,
            reason: "asked for".into(),
            inputs: None,
            event,
        };
        let entries = events.into_iter().map(entry).collect();
        let authority = Authority::Operator;
        let append = Append { rollout: &self.id, authority, after: &after, entries };
        if let Some(Ok(records)) = run_until_stuck(self.journal.append(append)) {
            self.witness.wrote(&records);
        }
    }

    /// A person says something, unless it is over.
    pub(super) fn say(&self, event: Event) {
        if !self.witness.has_ended() {
            self.ask(vec![event]);
        }
    }

    /// A person asks for a roll-back, where that is possible.
    pub(super) fn roll_back(&self) {
        if self.witness.with_state(|state| state.may_roll_back().is_ok()) == Some(true) {
            self.ask(vec![Event::RollbackRequested {}]);
        }
    }

    /// The plan that waits for somebody who agrees, if one does.
    pub(super) fn unapproved(&self) -> Option<Digest> {
        let needed = |state: &State| {
            let (digest, _) = state.approval_needed()?;
            state.may_approve(&person().0, digest).ok().map(|()| digest.clone())
        };
        self.witness.with_state(needed).flatten()
    }

    fn foresee(self: &Arc<Self>) {
        if self.fate.policy.approval.is_some() {
            let scene = self.clone();
            let moment = self.agenda.true_now() + self.fate.agreed_after;
            self.agenda.at(moment, move || {
                if let Some(digest) = scene.unapproved() {
                    scene.say(Event::PlanApproved { digest });
                }
            });
        }
        for (moment, happening) in &self.fate.happenings {
            let (scene, happening) = (self.clone(), *happening);
            self.agenda.at(*moment, move || scene.happens(happening));
        }
    }

    /// After so many seconds, or when it is calm, if that comes before.
    fn after(self: &Arc<Self>, seconds: u64, act: impl FnOnce(&Arc<Self>) + Send + 'static) {
        if seconds == FOR_EVER {
            return;
        }
        let scene = self.clone();
        let moment = self.agenda.true_now() + Duration::from_secs(seconds);
        self.agenda.at(moment.min(self.fate.calm_at), move || act(&scene));
    }

    fn happens(self: &Arc<Self>, happening: Happening) {
        self.witness.happened(&happening);
        let now = self.agenda.true_now();
        let world = &self.world;
        let until = |seconds: u64| now + Duration::from_secs(seconds);
        match happening {
            Happening::SpotLoss => {
                if let Some(name) = world.surge_running().first() {
                    world.lose(name);
                }
            }
            Happening::BootFailures(count) => {
                world.fail_boots(count);
                self.after(FOR_EVER - 1, |scene| scene.world.fail_boots(0));
            }
            Happening::UpdateFailures(count) => {
                world.fail_updates(count);
                self.after(FOR_EVER - 1, |scene| scene.world.fail_updates(0));
            }
            Happening::Death { server, seconds } => {
                world.kill(&self.names[server], until(seconds).min(self.fate.calm_at));
            }
            Happening::Replacement { server, seconds } => {
                world.replace(&self.names[server], &old(), until(seconds));
            }
            Happening::TakenOut { server, seconds } => {
                world.take_out(&self.names[server]);
                self.after(seconds, move |scene| scene.world.put_back(&scene.names[server]));
            }
            Happening::Reload => world.reload(),
            Happening::EndlessConnections { server, of_surge, seconds } => {
                let surge = world.surge_running();
                let name = if of_surge { surge.first() } else { self.names.get(server) };
                if let Some(name) = name {
                    world.hang(name, until(seconds));
                }
            }
            Happening::Load { times, seconds } => {
                let load = self.load;
                world.set_load(move |at| load.at(at) * times);
                self.after(seconds, |scene| scene.usual_load());
            }
            Happening::MetricsVanish { seconds } => self.metrics(Mood::Absent, seconds),
            Happening::MetricsLag { by, seconds } => self.metrics(Mood::Late(by), seconds),
            Happening::MetricsLie { lie, seconds } => self.metrics(Mood::Lying(lie), seconds),
            Happening::ClockStep { by, seconds } => {
                let by = SignedDuration::from_secs(by);
                self.agenda.step_clock(by);
                self.after(seconds, move |scene| scene.agenda.step_clock(-by));
            }
            Happening::SoldOut { seconds } => {
                offers().iter().for_each(|offer| world.limit_stock(offer, 0));
                self.after(seconds, |scene| scene.restock());
            }
            Happening::Pause { seconds } => {
                self.say(Event::PauseRequested {});
                self.after(seconds, |scene| scene.say(Event::ResumeRequested {}));
            }
            Happening::Resume => self.say(Event::ResumeRequested {}),
            Happening::Abort => self.say(Event::AbortRequested {}),
            Happening::Rollback => self.roll_back(),
            Happening::Scaling(Scaling::ScalerReplaces { server, seconds }) => {
                let name = &self.names[server];
                if world.scaler_replaces(name, &old(), until(seconds)) {
                    self.witness.was_replaced(name);
                }
            }
            Happening::Scaling(scaling) => {
                world.touch_size(|settings| scaling.sets(settings, &self.names));
            }
        }
    }

    fn metrics(self: &Arc<Self>, mood: Mood, seconds: u64) {
        self.feed.set(mood);
        self.after(seconds, |scene| scene.feed.set(Mood::Truthful));
    }

    fn usual_load(&self) {
        let load = self.load;
        self.world.set_load(move |at| load.at(at));
    }

    fn restock(&self) {
        offers().iter().for_each(|offer| self.world.restock(offer));
    }

    /// Somebody mends what would not have ended by itself.
    pub(super) fn mend(&self) {
        self.usual_load();
        self.restock();
        self.world.unhang();
        self.names.iter().for_each(|name| self.world.put_back(name));
    }
}

pub(super) fn fleet() -> FleetName {
    FleetName::new("web").expect("a name")
}

fn timetable(fate: &Fate, upper: f64) -> Timetable {
    let [spare, sure] = offers();
    let instead = Replacement { offer: sure, ready_seconds: 300 };
    Timetable {
        rollout: "trial".into(),
        fleet: fleet(),
        dimension: dimension(),
        upper,
        revised_upper: upper,
        target: 1.0,
        blind: Vec::new(),
        refuses_until: None,
        batch_risk: 0.0,
        batch: fate.batch,
        every: Duration::from_secs(600),
        surge: (spare, fate.surge),
        each_costs: 0.0,
        on_loss: fate.replaces.then_some(instead),
        lead: Duration::from_secs(240),
        first_spends: fate.first_spends,
        stabilisation: Duration::from_secs_f64(fate.policy.stabilisation_seconds),
    }
}

#[derive(Debug, Clone, Copy)]
enum Mood {
    Truthful,
    Absent,
    Late(u64),
    Lying(Lie),
}

/// The metrics of the world, which may vanish, lag or lie.
pub(super) struct Feed {
    world: SimWorld,
    mood: Mutex<Mood>,
}

impl Feed {
    fn set(&self, mood: Mood) {
        *self.mood.lock().expect("no panic under the lock") = mood;
    }
}

#[async_trait]
impl LoadSource for Feed {
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
        let mood = *self.mood.lock().expect("no panic under the lock");
        // Metrics are stamped by clocks of their own, and know nothing of what comes.
        let to = to.min(self.world.true_now());
        let lag = if let Mood::Late(by) = mood { Duration::from_secs(by) } else { Duration::ZERO };
        let mut samples = self.world.load().samples(from, to - lag).await?;
        match mood {
            Mood::Absent => samples.clear(),
            Mood::Lying(lie) => samples.iter_mut().for_each(|sample| {
                sample.value = match lie {
                    Lie::NotANumber => f64::NAN,
                    Lie::Zero => 0.0,
                    Lie::Half => sample.value / 2.0,
                };
            }),
            Mood::Truthful | Mood::Late(_) => {}
        }
        Ok(samples)
    }
}
