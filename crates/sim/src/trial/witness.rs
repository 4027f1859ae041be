//! A witness between the driver and the world: it knows the journal and the truth, and says
//! where what is done is not what was written, or not what was allowed.

mod ports;
mod record;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard};

use domain::journal::{Head, Record};
use domain::name::{RolloutId, ServerName};
use domain::ports::{
    Admission, Clock, HookOrder, Journal, SizeOrder, SurgeOrder, UpdateOrder, Wanted,
};
use domain::series::Sample;
use jiff::Timestamp;
use rollout::State;
use rollout::machine;
use rollout::size::SizeStage;
use rollout::state::{OrderStage, Stage, SurgeStage, Way};

use super::fate::Happening;
use super::scene::{old, target};
use crate::agenda::Agenda;
use crate::{MemoryJournal, SimWorld, run_until_stuck};

pub(super) use ports::Watched;

/// More accusations than this are not written down.
const MOST_ACCUSATIONS: usize = 12;

pub(super) struct Witness {
    id: RolloutId,
    journal: Arc<MemoryJournal>,
    world: SimWorld,
    agenda: Arc<Agenda>,
    most_out: usize,
    most_surge: usize,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// The journal as it is, folded.
    state: Option<State>,
    unreadable: bool,
    head: Option<Head>,
    /// The complete samples that the driver was told last.
    told: Vec<Sample>,
    spent: f64,
    aborted: bool,
    /// Somebody has agreed to a plan.
    agreed: bool,
    /// When the watch after the last batch was over.
    watched: Option<Timestamp>,
    accusations: Vec<String>,
    happened: BTreeMap<String, u64>,
    story: Option<Vec<String>>,
}

impl Witness {
    pub(super) fn new(
        id: RolloutId,
        journal: Arc<MemoryJournal>,
        world: SimWorld,
        agenda: Arc<Agenda>,
        (most_out, most_surge): (usize, usize),
        tells: bool,
    ) -> Arc<Self> {
        let story = tells.then(Vec::new);
        let notes = Mutex::new(Notes { story, ..Notes::default() });
        Arc::new(Self { id, journal, world, agenda, most_out, most_surge, notes })
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no panic under the lock")
    }

    /// Something is not as it should be.
    pub(super) fn accuse(&self, what: impl Display) {
        let text = format!("{}: {what}", moment(self.agenda.true_now()));
        self.tell(format!("!! {what}"));
        let mut notes = self.notes();
        if notes.accusations.len() < MOST_ACCUSATIONS {
            notes.accusations.push(text);
        }
    }

    pub(super) fn accusations(&self) -> Vec<String> {
        self.notes().accusations.clone()
    }

    /// Adds a line to the story, where one is told.
    pub(super) fn tell(&self, line: impl Display) {
        let now = moment(self.agenda.true_now());
        if let Some(story) = &mut self.notes().story {
            story.push(format!("{now}  {line}"));
        }
    }

    pub(super) fn story(&self) -> Vec<String> {
        self.notes().story.take().unwrap_or_default()
    }

    pub(super) fn happened(&self, happening: &Happening) {
        let text = format!("{happening:?}");
        let text = text.strip_prefix("Scaling(").map_or(text.clone(), str::to_owned);
        let kind = text.split([' ', '(', '{', ')']).next().unwrap_or_default().to_owned();
        *self.notes().happened.entry(kind).or_default() += 1;
        self.tell(format!("** {text}"));
    }

    pub(super) fn happenings(&self) -> BTreeMap<String, u64> {
        self.notes().happened.clone()
    }

    /// When the watch after the last batch was over, by the time of the world.
    pub(super) fn watched(&self) -> Option<Timestamp> {
        self.notes().watched
    }

    /// The end of the journal.
    pub(super) fn head(&self) -> Head {
        self.notes().head.clone().unwrap_or_else(Head::empty)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.with_state(|state| state.outcome().is_some()).unwrap_or(true)
    }

    pub(super) fn with_state<T>(&self, f: impl FnOnce(&State) -> T) -> Option<T> {
        self.notes().state.as_ref().map(f)
    }

    /// Takes in what was written, whoever wrote it.
    pub(super) fn wrote(&self, records: &[Record]) {
        for record in records {
            self.tell(line(record));
            let before = self.notes().state.take();
            let Ok(event) = record.event() else {
                self.accuse(format!("record {} cannot be read", record.seq));
                continue;
            };
            let after = match before {
                None if record.seq == 1 => machine::fold([record.clone()].as_slice()),
                None => Ok(None),
                Some(mut state) => {
                    self.judge(&state, record, &event);
                    machine::apply(&mut state, record).map(|()| Some(state))
                }
            };
            let mut notes = self.notes();
            notes.head = Some(record.head());
            match after {
                Ok(state) => notes.state = state,
                Err(error) => {
                    let first = !std::mem::replace(&mut notes.unreadable, true);
                    drop(notes);
                    if first {
                        self.accuse(format!("the journal cannot be folded: {error}"));
                    }
                }
            }
        }
    }

    /// What the driver was told of the load, as far as it is complete by its clock.
    fn told(&self, samples: &[Sample]) {
        let now = self.agenda.now();
        let ended = |s: &&Sample| s.value.is_finite() && s.at + super::SAMPLE <= now;
        self.notes().told = samples.iter().filter(ended).copied().collect();
    }

    /// Every action is one that the journal ordered before.
    fn admits(&self, wish: &Admission) {
        let name = &wish.target.server;
        let ordered = self.with_state(|state| {
            if let Some(server) = state.servers.get(name) {
                return match wish.wanted {
                    Wanted::Drain => server.stage == Stage::Draining || server.must_be_drained(),
                    Wanted::Cut => server.stage == Stage::Cutting,
                    Wanted::Admit(_) => {
                        matches!(server.stage, Stage::Restoring | Stage::Warming(_))
                    }
                    Wanted::Remove => false,
                };
            }
            let stage = state.surge_instance(name).map(|(_, instance)| instance.stage);
            match wish.wanted {
                Wanted::Drain => stage == Some(SurgeStage::Draining),
                Wanted::Cut => stage == Some(SurgeStage::Cutting),
                Wanted::Admit(_) => {
                    matches!(stage, Some(SurgeStage::Joining | SurgeStage::Joined(_)))
                }
                Wanted::Remove => stage == Some(SurgeStage::Drained),
            }
        });
        if ordered == Some(false) {
            self.accuse(format!("{:?} of {name} was not decided", wish.wanted));
        }
    }

    fn orders(&self, order: &SurgeOrder) {
        let ordered = self.with_state(|state| {
            let Some(known) = state.orders.get(&order.key) else { return false };
            match order.names.is_empty() {
                true => known.stage == OrderStage::Releasing,
                false => known.stage == OrderStage::Ordered && known.names == order.names,
            }
        });
        if ordered == Some(false) {
            let count = order.names.len();
            self.accuse(format!("{count} instances under {} were not decided", order.key));
        }
    }

    fn updates(&self, order: &UpdateOrder) {
        let name = &order.target.server;
        let ordered = self.with_state(|state| {
            let server = state.servers.get(name);
            server.is_some_and(|s| {
                let (way, version) = match s.way {
                    Way::Forth => ("update", target()),
                    Way::Back => ("back", old()),
                };
                let attempt = order.key.as_str().ends_with(&format!("/{way}/{}", s.attempts));
                s.stage == Stage::Updating && attempt && order.version == version
            })
        });
        if ordered == Some(false) {
            self.accuse(format!("the update of {name} under {} was not decided", order.key));
        }
    }

    fn runs(&self, order: &HookOrder) {
        // A roll-back that was asked for meanwhile makes nobody wait for it, and does not undo it.
        let ordered =
            self.with_state(|state| state.hook.as_ref().is_some_and(|run| run.key == order.key));
        if ordered == Some(false) {
            self.accuse(format!("the hook {} was not decided", order.key));
        }
    }

    fn sizes(&self, order: &SizeOrder) {
        let ordered = self.with_state(|state| {
            state.size.as_ref().is_some_and(|taken| {
                let wanted = match &taken.stage {
                    SizeStage::Taking => &taken.lent.during,
                    SizeStage::Restoring { wanted, .. } => wanted,
                    _ => return false,
                };
                *wanted == order.wanted && taken.found == order.expected
            })
        });
        if ordered == Some(false) {
            self.accuse(format!("{} under {} was not decided", order.wanted, order.key));
        }
    }

    /// The auto-scaler put another machine in the place of a member: not while it was kept from it.
    pub(super) fn was_replaced(&self, name: &ServerName) {
        let kept = self.with_state(|state| state.size_is_kept()).unwrap_or(false);
        let touched = self.world.size_touched().is_some();
        if kept && !touched {
            self.accuse(format!("{name} was replaced although the auto-scaler is kept"));
        }
    }

    /// The whole journal.
    pub(super) fn records(&self) -> Vec<Record> {
        let records = run_until_stuck(self.journal.read(&self.id, 0));
        records.and_then(Result::ok).unwrap_or_default()
    }
}

fn moment(at: Timestamp) -> impl Display {
    at.strftime("%dT%H:%M:%S")
}

fn line(record: &Record) -> String {
    let mut payload = record.payload.to_string();
    if payload.len() > 160 {
        payload = payload.chars().take(160).chain("…".chars()).collect();
    }
    format!("#{} {} {} {payload}, {}", record.seq, record.actor.0, record.kind, record.reason)
}
