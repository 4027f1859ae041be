//! Revisions in the middle of a rollout: the same pipeline as the first plan, for what is left.

use crate::causes::chain;
use std::sync::Arc;

use async_trait::async_trait;
use domain::journal::Digest;
use domain::name::ServerName;
use domain::plan::{Batch, PerDimension, Plan};
use domain::ports::Archive;
use plan::{Held, Standing};
use rollout::planner::{Planner, ReviseError, Revision, Weighed};

use crate::pipeline::{Ask, History, PlanError, Prepared, Share};

/// Plans with live data, and keeps what each plan was made from.
pub struct LivePlanner {
    /// The rollout.
    pub prepared: Arc<Prepared>,
    /// Where inputs are kept.
    pub archive: Arc<dyn Archive>,
    /// The seed of every draw.
    pub seed: u64,
}

/// Keeps the histories that a decision was made from.
pub async fn keep(
    archive: &dyn Archive,
    histories: &PerDimension<History>,
) -> Result<(), domain::ports::PortError> {
    for history in histories.values() {
        archive.put(&history.archived).await?;
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
        parent: Some(ask.parent.clone()),
        pending: Some(ask.pending.clone()),
        unhealthy: ask.unavailable.clone(),
        held: held.collect(),
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

/// What the decider has to know of a schedule that was weighed.
pub fn weighed(standing: &Standing, inputs: Option<Digest>) -> Weighed {
    let next = standing.batches.first().copied().unwrap_or(standing.upper95);
    Weighed { rest: standing.upper95, next, inputs }
}

#[async_trait]
impl Planner for LivePlanner {
    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        let question = question(ask, self.prepared.seed(self.seed));
        let made = self.prepared.make_plan(question).await.map_err(not_revised)?;
        keep(self.archive.as_ref(), &made.histories)
            .await
            .map_err(|error| ReviseError::Failed(error.chain()))?;
        Ok(made.plan)
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        let question = question(ask, self.prepared.seed(self.seed));
        let made = self.prepared.stands(question, schedule(rest)).await.map_err(not_revised)?;
        keep(self.archive.as_ref(), &made.histories)
            .await
            .map_err(|error| ReviseError::Failed(error.chain()))?;
        let inputs = made.histories.values().next().map(|history| history.digest.clone());
        Ok(weighed(&made.standing, inputs))
    }
}
