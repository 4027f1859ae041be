//! Revisions in the middle of a rollout: the same pipeline as the first plan, for what is left.

use std::sync::Arc;

use async_trait::async_trait;
use domain::event::{Planning, Rung};
use domain::name::ServerName;
use domain::plan::{Batch, PerDimension, Plan};
use domain::ports::Archive;
use plan::{Held, Standing};
use rollout::planner::{Planner, ReviseError, Revision, Weighed};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::causes::chain;
use crate::pipeline::{Ask, CalendarFile, History, PlanError, Prepared, Share, digests, models};

/// Plans with live data, and keeps what each plan was made from.
pub struct LivePlanner {
    /// The rollout.
    pub prepared: Arc<Prepared>,
    /// Where inputs are kept.
    pub archive: Arc<dyn Archive>,
    /// The seed of every draw.
    pub seed: u64,
    /// How many may plan at once, in this process.
    pub turns: Arc<Semaphore>,
}

/// Turns for everybody: nobody waits.
pub fn no_queue() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(Semaphore::MAX_PERMITS))
}

/// Keeps the histories, with the forecasters that were at hand, and the calendar files that a decision
/// was made from.
pub async fn keep(
    archive: &dyn Archive,
    histories: &PerDimension<History>,
    calendars: &[CalendarFile],
) -> Result<(), domain::ports::PortError> {
    for file in calendars {
        archive.put(file.text.as_bytes()).await?;
    }
    for history in histories.values() {
        archive.put(&history.archived).await?;
        if let Some(saved) = &history.saved {
            archive.put(&saved.state).await?;
        }
    }
    Ok(())
}

/// The question for a revision, as the pipeline knows it.
pub fn question(ask: &Revision, seed: u64) -> Ask {
    let held = ask.held.iter().map(|h| Held {
        offer: h.offer.clone(),
        count: h.count,
        ready_at: h.ready_at,
        ends_at: None,
    });
    Ask {
        now: ask.now,
        revision: ask.revision,
        way: ask.way,
        parent: Some(ask.parent.clone()),
        pending: Some(ask.pending.clone()),
        unhealthy: ask.unavailable.clone(),
        updated_at: ask.updated_at,
        held: held.collect(),
        without: ask.without.clone(),
        deadline: ask.deadline,
        seed,
        share: Share::Left(ask.risk),
    }
}

/// What it means for a driver that there is no plan.
pub fn not_revised(error: PlanError) -> ReviseError {
    match error {
        PlanError::Refused(refused) => ReviseError::Refused(refused),
        PlanError::Port(error) => ReviseError::Failed(error.chain()),
        other => ReviseError::Failed(chain(&other)),
    }
}

/// Who goes out together, in order.
pub fn schedule(rest: &[Batch]) -> Vec<Vec<ServerName>> {
    rest.iter().map(|batch| batch.servers.clone()).collect()
}

/// What the decider has to know of a schedule that was weighed: the estimate itself. A plan is
/// chosen by a bound above it, and stands until more is estimated than is left: by the bound, half
/// of all plans would be thrown away for the draw of their paths.
pub fn weighed(standing: &Standing) -> Weighed {
    let next = standing.batches.first().copied().unwrap_or(standing.upper95);
    let share = standing.planned / standing.upper95;
    let (load, models) = Default::default();
    Weighed { rest: standing.planned, next: next * share, load, models }
}

/// Whether there is no plan since the load cannot be read or forecast.
fn is_blind(error: &PlanError) -> bool {
    use PlanError::{Capacity, Forecast, Forgotten, History, Port};
    matches!(error, Port(_) | History { .. } | Forecast { .. } | Forgotten { .. } | Capacity { .. })
}

async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PlanError> + Send + 'static,
) -> Result<T, ReviseError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ReviseError::Failed(error.to_string()))?.map_err(not_revised)
}

impl LivePlanner {
    /// Whoever plans waits for its turn; the driver keeps its lease meanwhile.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, ReviseError> {
        self.turns.acquire().await.map_err(|error| ReviseError::Failed(error.to_string()))
    }

    /// The rollout with the load that the plan in force was made from.
    async fn as_archived(&self, ask: &Revision) -> Result<Prepared, ReviseError> {
        let archived = self.prepared.as_archived(self.archive.as_ref(), &ask.inputs).await;
        archived.map_err(not_revised)
    }
}

#[async_trait]
impl Planner for LivePlanner {
    fn planning(&self) -> Option<Planning> {
        let rollout = &self.prepared.rollout;
        Some(Planning { seed: self.seed, risk: rollout.risk.get(), budget: rollout.budget })
    }

    fn takes_long(&self) -> bool {
        true
    }

    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        let _turn = self.turn().await?;
        let question = question(ask, self.prepared.seed(self.seed));
        let made = match (ask.rung, self.prepared.make_plan(question.clone()).await) {
            (Rung::LastForecast, Err(error)) if is_blind(&error) => {
                self.as_archived(ask).await?.make_plan(question).await
            }
            (Rung::StaticSurge | Rung::Refuse, Err(error)) if is_blind(&error) => {
                let own = self.prepared.as_ref().clone().with_capacity_of(&ask.inputs);
                let own = own.with_calendar_files();
                let own = own.map_err(not_revised)?;
                let kept = keep(self.archive.as_ref(), &PerDimension::new(), &own.calendars).await;
                kept.map_err(|error| ReviseError::Failed(error.chain()))?;
                return compute(move || own.plan_blindly(question)).await;
            }
            (_, made) => made,
        };
        let made = made.map_err(not_revised)?;
        keep(self.archive.as_ref(), &made.histories, &made.calendars)
            .await
            .map_err(|error| ReviseError::Failed(error.chain()))?;
        Ok(made.plan)
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        let _turn = self.turn().await?;
        let question = question(ask, self.prepared.seed(self.seed));
        let (known, rest) = (question.clone(), schedule(rest));
        let made = match (ask.rung, self.prepared.stands(known, rest.clone()).await) {
            (Rung::LastForecast, Err(error)) if is_blind(&error) => {
                self.as_archived(ask).await?.stands(question, rest).await
            }
            (Rung::StaticSurge | Rung::Refuse, Err(error)) if is_blind(&error) => {
                let prepared = self.prepared.as_ref().clone().with_capacity_of(&ask.inputs);
                let standing = compute(move || prepared.weigh_blindly(question, rest)).await?;
                return Ok(weighed(&standing));
            }
            (_, made) => made,
        };
        let made = made.map_err(not_revised)?;
        keep(self.archive.as_ref(), &made.histories, &[])
            .await
            .map_err(|error| ReviseError::Failed(error.chain()))?;
        let (fleet, by) = (&self.prepared.fleet.name, &made.histories);
        let (load, models) = (digests(fleet, by), models(fleet, by));
        Ok(Weighed { load, models, ..weighed(&made.standing) })
    }
}
