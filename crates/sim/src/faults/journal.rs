//! A journal that fails, before or after the effect.

use std::time::Duration;

use async_trait::async_trait;
use domain::journal::Record;
use domain::name::RolloutId;
use domain::ports::{Append, AppendError, Journal, Lease, PortError};
use jiff::Timestamp;

use super::Fault::{FailsAfter, FailsBefore};
use super::{Fault, Faulty};

const WRITES: &[Fault] = &[FailsBefore, FailsAfter];
const READS: &[Fault] = &[FailsBefore];

#[async_trait]
impl Journal for Faulty<dyn Journal> {
    async fn lease(
        &self,
        rollout: &RolloutId,
        owner: &str,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<Lease>, PortError> {
        let fault = self.dice.throw(WRITES);
        self.dice.through(fault, || self.port.lease(rollout, owner, now, length)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        let fault = self.dice.throw(WRITES);
        self.dice.through(fault, || self.port.release(lease)).await
    }

    async fn read(&self, rollout: &RolloutId, after: u64) -> Result<Vec<Record>, PortError> {
        let fault = self.dice.throw(READS);
        self.dice.through(fault, || self.port.read(rollout, after)).await
    }

    async fn append(&self, append: Append<'_>) -> Result<Vec<Record>, AppendError> {
        match self.dice.throw(WRITES) {
            None => self.port.append(append).await,
            Some(FailsAfter) => {
                self.port.append(append).await?;
                Err(self.dice.error(FailsAfter).into())
            }
            Some(fault) => Err(self.dice.error(fault).into()),
        }
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, PortError> {
        self.port.rollouts().await
    }
}
