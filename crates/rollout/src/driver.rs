//! The driver: looks at the world, decides, writes down, acts, writes down what came of it.
//!
//! It may be stopped at any point and started again: it folds the journal, asks the world, and
//! goes on. Everything that it keeps in memory can be lost without harm.

mod book;
mod freezes;
mod issue;
mod memory;
mod sight;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::event::{Event, HoldReason, HookPoint, Outcome};
use domain::forecast::Probability;
use domain::journal::{Actor, Digest, Entry, Record};
use domain::name::{Dimension, RolloutId};
use domain::plan::{Batch, Plan, Refused};
use domain::ports::{Clock, Hook, Journal, LoadSource, PortError, Provisioner, Traffic, Updater};
use jiff::Timestamp;

use crate::decide::surge::order_key;
use crate::decide::{Decision, due};
use crate::gates::Gate;
use crate::machine::FoldError;
use crate::observe::{Seen, Unweighed, Verdict};
use crate::planner::{HeldSurge, Planner, ReviseError, Revision};
use crate::settings::{LEAST_PAUSE, LEAST_RISK, MAX_ROUNDS, Pace};
use crate::state::{State, SurgeStage};
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
}

/// Who watches a rollout: a terminal, a log, nobody.
pub trait Audience: Send + Sync {
    /// A record was written, by this driver or by somebody else.
    fn recorded(&self, state: &State, record: &Record);
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
}

impl Driver {
    /// Drives the rollout until it has ended, or until patience ends.
    pub async fn run(&self, id: &RolloutId) -> Result<Ended, DriveError> {
        let mut book = Book::open(self, id).await?;
        let mut memory = Memory::default();
        loop {
            if let Some(outcome) = book.state().outcome() {
                book.close().await;
                return Ok(Ended::Finished(outcome));
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
        found.extend(self.verdicts(book.state(), memory));
        if book.write(found).await? != Written::Done {
            return Ok(false);
        }
        if self.settle(book, memory, &seen).await? != Written::Done {
            return Ok(false);
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
                    Decision::Write { event, reason, cause } => entries.push(Entry {
                        at: now,
                        actor: Actor::decider(),
                        cause: Some(cause),
                        reason,
                        inputs: made_from(&event, &seen),
                        event,
                    }),
                    Decision::Weigh => self.weigh(book.state(), memory).await,
                    Decision::Revise { why } => {
                        entries.extend(self.revise(book.state(), memory, why).await);
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
    async fn weigh(&self, state: &State, memory: &mut Memory) {
        let (Some(plan), Some(next)) = (&state.plan, state.next_batch()) else { return };
        let now = self.world.clock.now();
        let rest: Vec<Batch> =
            plan.batches.iter().filter(|batch| batch.index >= next.index).cloned().collect();
        let answer = match left(state) {
            Ok(risk) => {
                let asked = question(state, plan, now, risk);
                let held = asked.held.iter().cloned().chain(coming(state, plan, now)).collect();
                let ask = Revision {
                    held,
                    pending: rest.iter().flat_map(|batch| batch.servers.clone()).collect(),
                    deadline: rest.last().map_or(now, |last| last.back_at).max(now),
                    ..asked
                };
                self.planner.weigh(&rest, &ask).await.map_err(|error| match error {
                    ReviseError::Refused(refused) => Unweighed::Refused(refused.to_string()),
                    ReviseError::Failed(text) => Unweighed::Unknown(text),
                })
            }
            Err(refused) => Err(Unweighed::Refused(refused.to_string())),
        };
        if let Err(Unweighed::Unknown(text)) = &answer {
            self.audience.troubled(&format!("the plan cannot be weighed again: {text}"));
        }
        let (plan_seq, batch, rung) = (state.plan_seq, next.index, state.rung);
        memory.verdict = Some(Verdict { plan_seq, batch, rung, at: now, answer });
    }

    /// Asks for another plan; a refusal is a hold.
    async fn revise(&self, state: &State, memory: &mut Memory, why: String) -> Option<Entry> {
        let plan = state.plan.as_ref()?;
        let now = self.world.clock.now();
        let risk = left(state);
        let cause = Some(state.head.seq);
        let entry =
            |actor, reason, event| Entry { at: now, actor, cause, reason, inputs: None, event };
        let answer = match risk {
            Ok(risk) => {
                let ask = Revision { why: why.clone(), ..question(state, plan, now, risk) };
                self.planner.revise(&ask).await
            }
            Err(refused) => Err(ReviseError::Refused(refused)),
        };
        let affords = |plan: Plan| match state.account.affords(&plan) {
            Ok(()) => Ok(plan),
            Err(overdrawn) => Err(ReviseError::Failed(overdrawn.to_string())),
        };
        match answer.and_then(affords) {
            Ok(plan) => {
                memory.refused_at = None;
                let event = Event::PlanAdopted { plan: Box::new(plan) };
                Some(entry(Actor("planner".into()), why, event))
            }
            Err(error) => {
                memory.refused_at = Some(now);
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
        }
    }

    fn out_of_patience(&self, state: &State, now: Timestamp) -> bool {
        let waits = state.paused || state.hold.is_some();
        let settled = state.open.is_none() || state.hold.is_some();
        let since = state.hold.as_ref().map_or(state.closed_at, |h| Some(h.since));
        let long = |patience| since.is_none_or(|since| now >= since + patience);
        waits && settled && self.patience.is_some_and(long)
    }
}

/// What the planner is asked about what is left of a rollout.
fn question(state: &State, plan: &Plan, now: Timestamp, risk: Probability) -> Revision {
    Revision {
        now,
        parent: plan.digest.clone(),
        revision: plan.revision + 1,
        pending: state.pending(),
        unavailable: state.failed().iter().map(|s| s.member.name.clone()).collect(),
        held: held(state, now),
        deadline: state.created.deadline,
        risk,
        why: String::new(),
        rung: state.rung,
        inputs: plan.inputs.clone(),
    }
}

/// What an event was decided from, where that is kept.
fn made_from(event: &Event, seen: &Seen) -> Option<Digest> {
    let Event::BatchOpened { look, .. } = event else { return None };
    look.foreseen?;
    seen.verdict.as_ref()?.answer.as_ref().ok()?.inputs.clone()
}

/// What a revision may still use of the risk, or that it is too little to plan with.
fn left(state: &State) -> Result<Probability, Refused> {
    let (left, account) = (state.account.left(), &state.account);
    let enough = Probability::new(left).ok().filter(|_| left >= LEAST_RISK);
    enough.ok_or_else(|| Refused {
        binding: "risk".into(),
        detail: format!(
            "the risk account of this rollout is used up: {:.3e} of {:.3e} is spent by {} batches, \
             {left:.1e} is left and at least {LEAST_RISK:.0e} is needed; abort it, and begin again \
             with a risk that you accept on top",
            account.spent(),
            account.stated(),
            account.entries().len()
        ),
        would_fit: Vec::new(),
    })
}

/// What the plan in force has still to order.
fn coming(state: &State, plan: &Plan, now: Timestamp) -> Vec<HeldSurge> {
    let all = plan.surge.iter().enumerate().filter(|(index, purchase)| {
        purchase.count > 0 && !state.orders.contains_key(&order_key(state, plan, *index))
    });
    all.map(|(_, purchase)| HeldSurge {
        offer: purchase.offer.clone(),
        count: purchase.count,
        ready_at: purchase.ready_at.max(now),
    })
    .collect()
}

/// The surge that runs and goes on running under a revision.
fn held(state: &State, now: Timestamp) -> Vec<HeldSurge> {
    let mut list = Vec::new();
    for order in state.orders.values() {
        let lost = order.instances.iter().filter(|i| i.stage == SurgeStage::Lost).count();
        let count = u32::try_from(order.names.len() - lost).unwrap_or(u32::MAX);
        if !order.is_held() || count == 0 {
            continue;
        }
        let warm = order.instances.iter().map(|i| match i.stage {
            SurgeStage::Joined(at) => at,
            _ => now + Duration::from_secs_f64(state.created.policy.warmup_seconds),
        });
        let ready_at = warm.max().unwrap_or(order.ready_at).max(now);
        list.push(HeldSurge { offer: order.offer.clone(), count, ready_at });
    }
    list
}
