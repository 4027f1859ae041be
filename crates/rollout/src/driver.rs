//! The driver: looks at the world, decides, writes down, acts, writes down what came of it.
//!
//! It may be stopped at any point and started again: it folds the journal, asks the world, and
//! goes on. Everything that it keeps in memory can be lost without harm.

mod book;
mod freezes;
mod issue;
mod memory;
mod sight;
mod size;
mod versions;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::event::{Event, HoldReason, HookPoint, Outcome, Weighing};
use domain::journal::{Actor, Digest, Entry, Head, Record};
use domain::name::{Dimension, RolloutId, ServerName};
use domain::plan::Plan;
use domain::ports::{
    Clock, Hook, Journal, LoadSource, PortError, Provisioner, Size, Traffic, Updater,
};
use futures_util::future::{Either, select};
use jiff::Timestamp;

use crate::asked::{self, Asked};
use crate::decide::{Decision, due};
use crate::gates::Gate;
use crate::machine::FoldError;
use crate::observe::{Seen, Unweighed, Verdict};
use crate::planner::{Planner, ReviseError};
use crate::settings::{LEAST_PAUSE, MAX_ROUNDS, Pace};
use crate::state::State;
use book::{Book, Written};
use memory::Memory;

/// Where the newest load of one dimension comes from.
#[derive(Clone)]
pub struct LoadWatch {
    /// Which dimension.
    pub dimension: Dimension,
    /// The source.
    pub source: Arc<dyn LoadSource>,
    /// From the source's values to the unit of the capacity.
    pub scale: f64,
    /// A sample is complete when this has passed since the end of its interval.
    pub delay: Duration,
    /// The length of a sample's interval.
    pub step: Duration,
}

/// The outside systems of one rollout.
#[derive(Clone)]
pub struct World {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The load balancer.
    pub traffic: Arc<dyn Traffic>,
    /// Where surge comes from; `None` when no plan may buy any.
    pub provisioner: Option<Arc<dyn Provisioner>>,
    /// How servers are updated.
    pub updater: Arc<dyn Updater>,
    /// The health gates.
    pub gates: Vec<Gate>,
    /// The newest load.
    pub load: Vec<LoadWatch>,
    /// What runs at the points of the rollout.
    pub hooks: BTreeMap<HookPoint, Arc<dyn Hook>>,
    /// The auto-scaler, where there is one.
    pub size: Option<Arc<dyn Size>>,
    /// What each server carries, in shares of any one amount; 1 where it is missing.
    pub shares: BTreeMap<ServerName, f64>,
}

/// Who watches a rollout: a terminal, a log, nobody.
pub trait Audience: Send + Sync {
    /// A record was written, by this driver or by somebody else.
    fn recorded(&self, state: &State, record: &Record);
    /// The chain of freezes was read on, and ends here now.
    fn read_freezes(&self, _: &Head) {}
    /// The world was looked at.
    fn looked(&self, state: &State, seen: &Seen, now: Timestamp);
    /// Something outside does not work; it is tried again.
    fn troubled(&self, text: &str);
}

/// Nobody watches.
pub struct Nobody;

impl Audience for Nobody {
    fn recorded(&self, _: &State, _: &Record) {}
    fn looked(&self, _: &State, _: &Seen, _: Timestamp) {}
    fn troubled(&self, _: &str) {}
}

/// Why a driver stopped before the end.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The journal cannot be folded.
    #[error("the state of {0} cannot be read from its journal")]
    Fold(RolloutId, #[source] FoldError),
    /// There is no such rollout.
    #[error("there is no rollout {0}")]
    NoSuchRollout(RolloutId),
    /// Another driver has taken over.
    #[error("another driver has taken over (epoch {0})")]
    LeaseLost(u64),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] PortError),
}

/// How a run of the driver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The rollout has ended.
    Finished(Outcome),
    /// The rollout has been paused or has held for longer than the driver was told to wait.
    Waiting,
    /// The driver was asked to stop; the rollout is open, and its lease is free.
    Stopped,
}

/// Asks drivers to stop: each ends its turn, gives its lease back and returns.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on every driver that was given this stops.
    pub fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Who decides: [`decide`](crate::decide()), unless a test exchanges it for a broken one.
pub type Decider = fn(&State, &Seen, Timestamp) -> Vec<Decision>;

/// Carries out one rollout in one world.
pub struct Driver {
    /// The outside systems.
    pub world: World,
    /// Where events are kept.
    pub journal: Arc<dyn Journal>,
    /// Who makes revisions.
    pub planner: Arc<dyn Planner>,
    /// Who decides.
    pub decide: Decider,
    /// Who watches.
    pub audience: Arc<dyn Audience>,
    /// Which process on which host this is.
    pub owner: String,
    /// Version and architecture of this build.
    pub build: String,
    /// How it paces itself.
    pub pace: Pace,
    /// How long a pause or a hold may last before the driver returns; `None`: for ever.
    pub patience: Option<Duration>,
    /// Who may ask it to stop.
    pub stop: Stop,
}

impl Driver {
    /// Drives the rollout until it has ended, until patience ends, or until it is asked to stop.
    pub async fn run(&self, id: &RolloutId) -> Result<Ended, DriveError> {
        let Some(mut book) = Book::open(self, id).await? else { return Ok(Ended::Stopped) };
        let mut memory = Memory::default();
        loop {
            if let Some(outcome) = book.state().outcome() {
                book.close().await;
                return Ok(Ended::Finished(outcome));
            }
            if self.stop.is_asked() {
                book.close().await;
                return Ok(Ended::Stopped);
            }
            let now = self.world.clock.now();
            if !self.turn(&mut book, &mut memory).await? {
                if self.out_of_patience(book.state(), now) {
                    book.close().await;
                    return Ok(Ended::Waiting);
                }
                let until = self.next_look(book.state(), &memory, now);
                self.world.clock.sleep_until(until).await;
            }
        }
    }

    /// When to look again: after a tick, or sooner where something falls due, so that times are
    /// kept to the second however slow the tick is.
    fn next_look(&self, state: &State, memory: &Memory, now: Timestamp) -> Timestamp {
        let tick = self.pace.tick;
        let asked = memory.next_call(&self.world.gates, now);
        let asked = asked.map(|at| at.max(now + tick.min(LEAST_PAUSE)));
        due(state, now).into_iter().chain(asked).fold(now + tick, Timestamp::min)
    }

    /// One turn: renew, read on, look, decide, act. `true` when something moved, so that the next
    /// turn need not wait.
    async fn turn(&self, book: &mut Book<'_>, memory: &mut Memory) -> Result<bool, DriveError> {
        book.renew().await?;
        if book.catch_up().await? == Written::Troubled {
            return Ok(false);
        }
        let seen = self.look(book.state(), memory).await;
        self.audience.looked(book.state(), &seen, self.world.clock.now());
        let before = book.state().head.seq;
        let mut found = self.losses(book.state(), &seen);
        found.extend(self.reversions(book.state(), &seen));
        found.extend(self.verdicts(book.state(), memory));
        found.extend(self.served(book.state(), memory));
        if book.write(found).await? != Written::Done {
            return Ok(false);
        }
        if self.settle(book, memory, &seen).await? != Written::Done {
            return Ok(false);
        }
        if !book.outlasts_calls() {
            // Looking took long, or this process was frozen meanwhile: perhaps somebody else drives by now.
            book.renew().await?;
            if !book.outlasts_calls() {
                return Ok(false);
            }
        }
        let answered = self.issue(book.state(), &seen, memory).await;
        if book.write(answered).await? != Written::Done {
            return Ok(false);
        }
        Ok(book.state().head.seq != before)
    }

    /// Decides until nothing follows any more, and writes every decision down.
    async fn settle(
        &self,
        book: &mut Book<'_>,
        memory: &mut Memory,
        seen: &Seen,
    ) -> Result<Written, DriveError> {
        let mut seen = seen.clone();
        for _ in 0..MAX_ROUNDS {
            // Asked again before every decision: making a revision takes its time.
            seen.stop = self.look_at_freezes(book.state(), memory).await;
            seen.failing = memory.failing();
            let now = self.world.clock.now();
            let decisions = (self.decide)(book.state(), &seen, now);
            if decisions.is_empty() {
                return Ok(Written::Done);
            }
            let mut entries = Vec::new();
            for decision in decisions {
                match decision {
                    Decision::Write { event, reason, cause } => {
                        let event = with_weighing(event, &seen);
                        let inputs = made_from(&event);
                        let (cause, actor) = (Some(cause), Actor::decider());
                        entries.push(Entry { at: now, actor, cause, reason, inputs, event });
                    }
                    Decision::Weigh => self.weigh(book, memory).await?,
                    Decision::Revise { why } => {
                        entries.extend(self.revise(book, memory, why).await?);
                    }
                }
            }
            seen.refused_at = memory.refused_at;
            seen.verdict = memory.verdict.clone();
            let written = book.write(entries).await?;
            if written != Written::Done {
                return Ok(written);
            }
        }
        self.audience.troubled("decisions follow from decisions without end; this is a defect");
        Ok(Written::Done)
    }

    /// Asks what the batches that are left risk by what is known now.
    async fn weigh(&self, book: &mut Book<'_>, memory: &mut Memory) -> Result<(), DriveError> {
        let now = self.world.clock.now();
        let Some(Asked { next, question }) = asked::weighing(book.state(), now) else {
            return Ok(());
        };
        let answer = match question {
            Ok((rest, ask)) => {
                let weighed = self.meanwhile(book, self.planner.weigh(&rest, &ask)).await?;
                weighed.map_err(|error| match error {
                    ReviseError::Refused(refused) => Unweighed::Refused(refused.to_string()),
                    ReviseError::Failed(text) => Unweighed::Unknown(text),
                })
            }
            Err(refused) => Err(Unweighed::Refused(refused.to_string())),
        };
        let state = book.state();
        if let Err(Unweighed::Unknown(text)) = &answer {
            self.audience.troubled(&format!("the plan cannot be weighed again: {text}"));
        }
        let (plan_seq, rung, after) = (state.plan_seq, state.rung, state.head.seq);
        let came = self.world.clock.now();
        memory.verdict =
            Some(Verdict { plan_seq, batch: next, rung, at: now, came, after, answer });
        Ok(())
    }

    /// Waits for a planner, which may take longer than the lease lasts, and keeps the lease meanwhile.
    async fn meanwhile<T>(
        &self,
        book: &mut Book<'_>,
        work: impl Future<Output = T>,
    ) -> Result<T, DriveError> {
        if !self.planner.takes_long() {
            return Ok(work.await);
        }
        let (clock, mut work) = (&self.world.clock, pin!(work));
        loop {
            let next = clock.sleep_until(clock.now() + self.pace.lease / 3);
            match select(work.as_mut(), next).await {
                Either::Left((answer, _)) => return Ok(answer),
                Either::Right(_) => book.renew().await?,
            }
        }
    }

    /// Asks for another plan; a refusal is a hold.
    async fn revise(
        &self,
        book: &mut Book<'_>,
        memory: &mut Memory,
        why: String,
    ) -> Result<Option<Entry>, DriveError> {
        let now = self.world.clock.now();
        let Some(question) = asked::revision(book.state(), now, &why) else { return Ok(None) };
        // By this number the question can be asked again.
        let cause = Some(book.state().head.seq);
        let entry =
            |actor, reason, event| Entry { at: now, actor, cause, reason, inputs: None, event };
        let answer = match question {
            Ok(ask) => self.meanwhile(book, self.planner.revise(&ask)).await?,
            Err(refused) => Err(ReviseError::Refused(refused)),
        };
        let state = book.state();
        let affords = |plan: Plan| match state.account.affords(&plan) {
            Ok(()) => Ok(plan),
            Err(overdrawn) => Err(ReviseError::Failed(overdrawn.to_string())),
        };
        Ok(match answer.and_then(affords) {
            Ok(plan) => {
                memory.refused_at = None;
                let event = Event::PlanAdopted { plan: Box::new(plan) };
                Some(entry(Actor("planner".into()), why, event))
            }
            Err(error) => {
                // Making the answer may have taken longer than it is good for.
                memory.refused_at = Some(self.world.clock.now());
                let detail = match &error {
                    ReviseError::Refused(refused) => refused.to_string(),
                    ReviseError::Failed(text) => text.clone(),
                };
                self.audience.troubled(&format!("{why}; no other plan: {detail}"));
                // Load that comes back into its band ends a hold by itself; what this plan lacked
                // is then asked for again.
                let holds = state.hold.as_ref().is_some_and(|h| {
                    matches!(h.reason, HoldReason::NoPlan | HoldReason::LoadLeftBand)
                });
                let event = Event::Held { hold: HoldReason::NoPlan, detail };
                let why = format!("{why}; {}", state.terms_now(now));
                (!holds).then(|| entry(Actor::decider(), why, event))
            }
        })
    }

    fn out_of_patience(&self, state: &State, now: Timestamp) -> bool {
        let waits = state.paused || state.hold.is_some();
        let settled = state.open.is_none() || state.hold.is_some();
        let since = state.hold.as_ref().map_or(state.closed_at, |h| Some(h.since));
        let long = |patience| since.is_none_or(|since| now >= since + patience);
        waits && settled && self.patience.is_some_and(long)
    }
}

/// What an event was decided from, where that is kept.
fn made_from(event: &Event) -> Option<Digest> {
    let Event::BatchOpened { look, .. } = event else { return None };
    look.weighed.as_ref()?.load.values().next().cloned()
}

/// A batch that was weighed says by what.
fn with_weighing(mut event: Event, seen: &Seen) -> Event {
    if let Event::BatchOpened { look, .. } = &mut event
        && look.foreseen.is_some()
        && let Some(Verdict { at, after, answer: Ok(weighed), .. }) = &seen.verdict
    {
        let (load, models) = (weighed.load.clone(), weighed.models.clone());
        look.weighed = Some(Box::new(Weighing { at: *at, after: *after, load, models }));
    }
    event
}
