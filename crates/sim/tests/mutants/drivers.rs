//! Broken drivers, as far as they show in what is written; and broken planners.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::event::Event;
use domain::journal::{Entry, Record};
use domain::name::RolloutId;
use domain::plan::{Batch, Plan};
use domain::ports::{Append, AppendError, Journal, Lease, PortError};
use jiff::Timestamp;
use rollout::planner::{Planner, ReviseError, Revision, Weighed};
use rollout::state::Way;

/// A journal whose other verbs are those of the one behind it.
macro_rules! journal {
    ($name:ident, $self:ident, $append:ident, $body:expr) => {
        pub struct $name(pub Arc<dyn Journal>);

        #[async_trait]
        impl Journal for $name {
            async fn lease(
                &self,
                rollout: &RolloutId,
                owner: &str,
                now: Timestamp,
                length: Duration,
            ) -> Result<Option<Lease>, PortError> {
                self.0.lease(rollout, owner, now, length).await
            }

            async fn release(&self, lease: &Lease) -> Result<(), PortError> {
                self.0.release(lease).await
            }

            async fn read(&self, id: &RolloutId, after: u64) -> Result<Vec<Record>, PortError> {
                self.0.read(id, after).await
            }

            async fn append(&$self, $append: Append<'_>) -> Result<Vec<Record>, AppendError> {
                $body
            }

            async fn rollouts(&self) -> Result<Vec<RolloutId>, PortError> {
                self.0.rollouts().await
            }
        }
    };
}

/// The records that would be there if the entries had been written.
fn pretended(append: &Append<'_>) -> Vec<Record> {
    let mut head = append.after.clone();
    let chain = |entry: &Entry| {
        let record = Record::chain(append.rollout, &head, entry.clone());
        head = record.head();
        record
    };
    append.entries.iter().map(chain).collect()
}

// It begins updates that it has not written down.
journal!(Forgetful, self, append, {
    match append.entries.iter().any(|e| matches!(e.event, Event::UpdateStarted { .. })) {
        true => Ok(pretended(&append)),
        false => self.0.append(append).await,
    }
});

// Of several events it writes the first.
journal!(Lossy, self, append, {
    let all = pretended(&append);
    let first = append.entries.into_iter().take(1).collect();
    self.0.append(Append { entries: first, ..append }).await?;
    Ok(all)
});

journal!(Causeless, self, append, {
    let strip = |entry: Entry| Entry { cause: None, ..entry };
    let entries = append.entries.into_iter().map(strip).collect();
    self.0.append(Append { entries, ..append }).await
});

journal!(Understating, self, append, {
    let mut entries = append.entries;
    for entry in &mut entries {
        if let Event::BatchOpened { risk: Some(risk), .. } = &mut entry.event {
            risk.spent /= 2.0;
        }
    }
    self.0.append(Append { entries, ..append }).await
});

/// Two batches in one.
fn merged(mut plan: Plan) -> Plan {
    if plan.batches.len() > 1 {
        let second = plan.batches.remove(1);
        plan.batches[0].servers.extend(second.servers);
        for (batch, index) in plan.batches.iter_mut().zip(1..) {
            batch.index = index;
        }
    }
    plan.sealed()
}

/// Roll-backs with two batches in one.
pub struct Hurried(pub Arc<dyn Planner>);

#[async_trait]
impl Planner for Hurried {
    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        let plan = self.0.revise(ask).await?;
        Ok(if ask.way == Way::Back { merged(plan) } else { plan })
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        self.0.weigh(rest, ask).await
    }
}

/// Revisions with two batches in one.
pub struct Greedy(pub Arc<dyn Planner>);

#[async_trait]
impl Planner for Greedy {
    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        self.0.revise(ask).await.map(merged)
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        self.0.weigh(rest, ask).await
    }
}

/// Revisions that buy everything anew.
pub struct Oblivious(pub Arc<dyn Planner>);

#[async_trait]
impl Planner for Oblivious {
    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        self.0.revise(&Revision { held: Vec::new(), ..ask.clone() }).await
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        self.0.weigh(rest, ask).await
    }
}
