//! Stopping a driver for good at a chosen crossing.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::journal::Record;
use domain::name::RolloutId;
use domain::ports::{
    Admission, Append, AppendError, Backend, Clock, Drained, Health, Hook, HookEnd, HookOrder,
    Instance, Journal, Lease, LoadSource, PortError, Progress, Provisioner, Size, SizeEnd,
    SizeOrder, SurgeOrder, Target, Traffic, UpdateOrder, UpdateState, Updater, Verdict,
};
use domain::series::Sample;
use domain::size::SizeSettings;
use jiff::Timestamp;

/// Counts every crossing between a driver and its world, before and after each call's effect. At
/// the chosen one, and ever after, calls do not return.
#[derive(Debug)]
pub struct Fuse {
    blows_at: u64,
    crossings: AtomicU64,
}

impl Fuse {
    /// A fuse that blows at crossing number `crossing`, counted from 1.
    pub fn at(crossing: u64) -> Arc<Self> {
        Arc::new(Self { blows_at: crossing, crossings: AtomicU64::new(0) })
    }

    /// A fuse that only counts.
    pub fn never() -> Arc<Self> {
        Self::at(u64::MAX)
    }

    /// How many crossings there were.
    pub fn crossings(&self) -> u64 {
        self.crossings.load(Ordering::Relaxed)
    }

    async fn cross(&self) {
        if self.crossings.fetch_add(1, Ordering::Relaxed) + 1 >= self.blows_at {
            pending::<()>().await;
        }
    }

    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        self.cross().await;
        let answer = call.await;
        self.cross().await;
        answer
    }
}

/// A port behind a fuse.
pub struct Fused<P: ?Sized> {
    fuse: Arc<Fuse>,
    port: Arc<P>,
}

impl<P: ?Sized> Fused<P> {
    /// The port behind the fuse.
    pub fn new(fuse: &Arc<Fuse>, port: Arc<P>) -> Arc<Self> {
        Arc::new(Self { fuse: fuse.clone(), port })
    }
}

#[async_trait]
impl Clock for Fused<dyn Clock> {
    fn now(&self) -> Timestamp {
        self.port.now()
    }

    async fn sleep_until(&self, until: Timestamp) {
        self.fuse.around(self.port.sleep_until(until)).await;
    }
}

#[async_trait]
impl Traffic for Fused<dyn Traffic> {
    async fn observe(&self) -> Result<Vec<Backend>, PortError> {
        self.fuse.around(self.port.observe()).await
    }

    async fn ensure_admission(&self, wish: &Admission) -> Result<Progress<Drained>, PortError> {
        self.fuse.around(self.port.ensure_admission(wish)).await
    }
}

#[async_trait]
impl Provisioner for Fused<dyn Provisioner> {
    async fn observe(&self) -> Result<Vec<Instance>, PortError> {
        self.fuse.around(self.port.observe()).await
    }

    async fn ensure_surge(&self, order: &SurgeOrder) -> Result<Progress<Vec<Instance>>, PortError> {
        self.fuse.around(self.port.ensure_surge(order)).await
    }
}

#[async_trait]
impl Updater for Fused<dyn Updater> {
    async fn observe(&self, target: &Target) -> Result<UpdateState, PortError> {
        self.fuse.around(self.port.observe(target)).await
    }

    async fn ensure_version(
        &self,
        order: &UpdateOrder,
    ) -> Result<Progress<UpdateState>, PortError> {
        self.fuse.around(self.port.ensure_version(order)).await
    }
}

#[async_trait]
impl Health for Fused<dyn Health> {
    async fn check(&self, target: &Target) -> Result<Verdict, PortError> {
        self.fuse.around(self.port.check(target)).await
    }
}

#[async_trait]
impl Hook for Fused<dyn Hook> {
    async fn ensure_run(&self, order: &HookOrder) -> Result<Progress<HookEnd>, PortError> {
        self.fuse.around(self.port.ensure_run(order)).await
    }
}

#[async_trait]
impl Size for Fused<dyn Size> {
    async fn observe(&self) -> Result<SizeSettings, PortError> {
        self.fuse.around(self.port.observe()).await
    }

    async fn ensure(&self, order: &SizeOrder) -> Result<Progress<SizeEnd>, PortError> {
        self.fuse.around(self.port.ensure(order)).await
    }
}

#[async_trait]
impl LoadSource for Fused<dyn LoadSource> {
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
        self.fuse.around(self.port.samples(from, to)).await
    }
}

#[async_trait]
impl Journal for Fused<dyn Journal> {
    async fn lease(
        &self,
        rollout: &RolloutId,
        owner: &str,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<Lease>, PortError> {
        self.fuse.around(self.port.lease(rollout, owner, now, length)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.fuse.around(self.port.release(lease)).await
    }

    async fn read(&self, rollout: &RolloutId, after: u64) -> Result<Vec<Record>, PortError> {
        self.fuse.around(self.port.read(rollout, after)).await
    }

    async fn append(&self, append: Append<'_>) -> Result<Vec<Record>, AppendError> {
        self.fuse.around(self.port.append(append)).await
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, PortError> {
        self.fuse.around(self.port.rollouts()).await
    }
}
