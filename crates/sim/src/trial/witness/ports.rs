//! Ports with the witness beside them: whatever is called is judged before it reaches the world.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::journal::Record;
use domain::name::RolloutId;
use domain::ports::{
    Admission, Append, AppendError, Backend, Drained, Hook, HookEnd, HookOrder, Instance, Journal,
    Lease, LoadSource, PortError, Progress, Provisioner, Size, SizeEnd, SizeOrder, SurgeOrder,
    Target, Traffic, UpdateOrder, UpdateState, Updater,
};
use domain::series::Sample;
use domain::size::SizeSettings;
use jiff::Timestamp;

use super::Witness;

pub(in super::super) struct Watched<P: ?Sized> {
    witness: Arc<Witness>,
    port: Arc<P>,
}

impl<P: ?Sized> Watched<P> {
    pub(in super::super) fn new(witness: &Arc<Witness>, port: Arc<P>) -> Arc<Self> {
        Arc::new(Self { witness: witness.clone(), port })
    }
}

#[async_trait]
impl Traffic for Watched<dyn Traffic> {
    async fn observe(&self) -> Result<Vec<Backend>, PortError> {
        self.port.observe().await
    }

    async fn ensure_admission(&self, wish: &Admission) -> Result<Progress<Drained>, PortError> {
        self.witness.admits(wish);
        self.port.ensure_admission(wish).await
    }
}

#[async_trait]
impl Provisioner for Watched<dyn Provisioner> {
    async fn observe(&self) -> Result<Vec<Instance>, PortError> {
        self.port.observe().await
    }

    async fn ensure_surge(&self, order: &SurgeOrder) -> Result<Progress<Vec<Instance>>, PortError> {
        self.witness.orders(order);
        self.port.ensure_surge(order).await
    }
}

#[async_trait]
impl Updater for Watched<dyn Updater> {
    async fn observe(&self, target: &Target) -> Result<UpdateState, PortError> {
        self.port.observe(target).await
    }

    async fn ensure_version(
        &self,
        order: &UpdateOrder,
    ) -> Result<Progress<UpdateState>, PortError> {
        self.witness.updates(order);
        self.port.ensure_version(order).await
    }
}

#[async_trait]
impl Hook for Watched<dyn Hook> {
    async fn ensure_run(&self, order: &HookOrder) -> Result<Progress<HookEnd>, PortError> {
        self.witness.runs(order);
        self.port.ensure_run(order).await
    }
}

#[async_trait]
impl Size for Watched<dyn Size> {
    async fn observe(&self) -> Result<SizeSettings, PortError> {
        self.port.observe().await
    }

    async fn ensure(&self, order: &SizeOrder) -> Result<Progress<SizeEnd>, PortError> {
        self.witness.sizes(order);
        self.port.ensure(order).await
    }
}

#[async_trait]
impl LoadSource for Watched<dyn LoadSource> {
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
        let samples = self.port.samples(from, to).await?;
        self.witness.told(&samples);
        Ok(samples)
    }
}

#[async_trait]
impl Journal for Watched<dyn Journal> {
    async fn lease(
        &self,
        rollout: &RolloutId,
        owner: &str,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<Lease>, PortError> {
        self.port.lease(rollout, owner, now, length).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.port.release(lease).await
    }

    async fn read(&self, rollout: &RolloutId, after: u64) -> Result<Vec<Record>, PortError> {
        self.port.read(rollout, after).await
    }

    async fn append(&self, append: Append<'_>) -> Result<Vec<Record>, AppendError> {
        let records = self.port.append(append).await?;
        self.witness.wrote(&records);
        Ok(records)
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, PortError> {
        self.port.rollouts().await
    }
}
