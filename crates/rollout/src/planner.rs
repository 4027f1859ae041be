//! How a driver asks for another plan.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::event::{Planning, Rung};
use domain::forecast::Probability;
use domain::journal::Digest;
use domain::name::{OfferName, ServerName};
use domain::plan::{Batch, Inputs, Plan, Refused};
use jiff::Timestamp;

use crate::state::Way;

/// Surge that runs already and goes on running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSurge {
    /// From which offer.
    pub offer: OfferName,
    /// How many of its instances carry load, or will.
    pub count: u32,
    /// When all of them carry full load.
    pub ready_at: Timestamp,
}

/// The question for a revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// The present moment.
    pub now: Timestamp,
    /// The plan that is replaced.
    pub parent: Digest,
    /// The number of the new one.
    pub revision: u32,
    /// Whether servers go to the target, or back to what they ran before.
    pub way: Way,
    /// Servers that are still to be updated; all of them are in service.
    pub pending: Vec<ServerName>,
    /// Servers that are out and stay out.
    pub unavailable: Vec<ServerName>,
    /// Surge that runs already.
    pub held: Vec<HeldSurge>,
    /// Offers that did not deliver lately: nothing is bought from them.
    pub without: Vec<OfferName>,
    /// The last server has to be back by then.
    pub deadline: Timestamp,
    /// What is left of the rollout's risk; the revision may use no more.
    pub risk: Probability,
    /// Why the old plan does not hold any more.
    pub why: String,
    /// What the load may be known from.
    pub rung: Rung,
    /// What the plan in force was made from: the last load that is surely known.
    pub inputs: Inputs,
    /// Since when a server that this rollout has updated is in service; `None` where none is.
    pub updated_at: Option<Timestamp>,
}

/// What is left of a plan, weighed again. The amounts are probabilities of attributable overload, as
/// they are estimated by what is known now.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighed {
    /// In any of the batches.
    pub rest: f64,
    /// The part of the next batch.
    pub next: f64,
    /// The digest of the load per `fleet/dimension` that it was computed from, where that is kept.
    pub load: BTreeMap<String, Digest>,
    /// The digest of the state of the forecaster per `fleet/dimension`, where one was kept and that
    /// state is kept as well.
    pub models: BTreeMap<String, Digest>,
}

/// Why there is no revision.
#[derive(Debug, thiserror::Error)]
pub enum ReviseError {
    /// Nothing fits.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It could not be computed: no load, no forecast.
    #[error("{0}")]
    Failed(String),
}

/// Makes plan revisions from live data. It never changes a plan that is in force.
#[async_trait]
pub trait Planner: Send + Sync {
    /// What it plans with beside the configuration and the question, for the journal; `None`: nobody
    /// will compute its plans again.
    fn planning(&self) -> Option<Planning> {
        None
    }

    /// Whether an answer may take longer than a lease lasts, by the clock of the world: then the driver
    /// renews its lease meanwhile. In simulated time every answer comes at once.
    fn takes_long(&self) -> bool {
        false
    }

    /// A plan for what is left to do.
    async fn revise(&self, revision: &Revision) -> Result<Plan, ReviseError>;

    /// What the batches that are left of the plan in force risk by what is known now, when they
    /// follow each other from `revision.now` on with the surge that is held.
    async fn weigh(&self, rest: &[Batch], revision: &Revision) -> Result<Weighed, ReviseError>;
}
