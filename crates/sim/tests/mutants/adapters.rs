//! Broken adapters.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::name::{Key, ServerName, Version};
use domain::ports::{
    Admission, Backend, BackendState, Drained, Health, Hook, HookEnd, HookOrder, Instance,
    InstanceState, PortError, Progress, Provisioner, Size, SizeEnd, SizeOrder, SurgeOrder, Target,
    Traffic, UpdateOrder, UpdateState, Updater, Verdict, Wanted,
};
use domain::size::SizeSettings;

const DONE: Progress<Drained> = Progress::Done(Drained { cut: 0 });

/// A load balancer that answers one verb in its own way.
macro_rules! balancer {
    ($name:ident, $self:ident, $wish:ident, $body:expr) => {
        pub struct $name(pub Arc<dyn Traffic>);

        #[async_trait]
        impl Traffic for $name {
            async fn observe(&self) -> Result<Vec<Backend>, PortError> {
                self.0.observe().await
            }

            async fn ensure_admission(
                &$self,
                $wish: &Admission,
            ) -> Result<Progress<Drained>, PortError> {
                $body
            }
        }
    };
}

balancer!(Hasty, self, wish, {
    self.0.ensure_admission(wish).await?;
    Ok(DONE)
});

balancer!(Deaf, self, wish, {
    match wish.wanted {
        Wanted::Drain => Ok(DONE),
        _ => self.0.ensure_admission(wish).await,
    }
});

balancer!(Closed, self, wish, {
    match wish.wanted {
        Wanted::Admit(_) => Ok(DONE),
        _ => self.0.ensure_admission(wish).await,
    }
});

balancer!(Clinging, self, wish, {
    match wish.wanted {
        Wanted::Remove => Ok(DONE),
        _ => self.0.ensure_admission(wish).await,
    }
});

/// Everybody is well.
pub struct Rosy(pub Arc<dyn Traffic>);

#[async_trait]
impl Traffic for Rosy {
    async fn observe(&self) -> Result<Vec<Backend>, PortError> {
        let mut backends = self.0.observe().await?;
        for backend in backends.iter_mut().filter(|b| b.state == BackendState::Down) {
            backend.state = BackendState::InService;
        }
        Ok(backends)
    }

    async fn ensure_admission(&self, wish: &Admission) -> Result<Progress<Drained>, PortError> {
        self.0.ensure_admission(wish).await
    }
}

/// It tells what it was asked for, not what is.
pub struct Remembering {
    port: Arc<dyn Traffic>,
    drained: Mutex<BTreeSet<ServerName>>,
}

impl Remembering {
    pub fn new(port: Arc<dyn Traffic>) -> Self {
        Self { port, drained: Mutex::default() }
    }
}

#[async_trait]
impl Traffic for Remembering {
    async fn observe(&self) -> Result<Vec<Backend>, PortError> {
        let mut backends = self.port.observe().await?;
        let drained = self.drained.lock().unwrap();
        for backend in backends.iter_mut().filter(|b| drained.contains(&b.server)) {
            backend.state = BackendState::Drained;
        }
        Ok(backends)
    }

    async fn ensure_admission(&self, wish: &Admission) -> Result<Progress<Drained>, PortError> {
        let name = wish.target.server.clone();
        match wish.wanted {
            Wanted::Drain => self.drained.lock().unwrap().insert(name),
            _ => self.drained.lock().unwrap().remove(&name),
        };
        self.port.ensure_admission(wish).await
    }
}

/// Every call buys again.
pub struct Keyless {
    port: Arc<dyn Provisioner>,
    calls: AtomicU64,
}

impl Keyless {
    pub fn new(port: Arc<dyn Provisioner>) -> Self {
        Self { port, calls: AtomicU64::new(0) }
    }
}

#[async_trait]
impl Provisioner for Keyless {
    async fn observe(&self) -> Result<Vec<Instance>, PortError> {
        self.port.observe().await
    }

    async fn ensure_surge(&self, order: &SurgeOrder) -> Result<Progress<Vec<Instance>>, PortError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut more = order.clone();
        let again = |name: &ServerName| ServerName::new(format!("{name}-again{call}")).unwrap();
        more.key = Key::new(format!("again/{call}")).unwrap();
        more.names = order.names.iter().map(again).collect();
        self.port.ensure_surge(&more).await?;
        self.port.ensure_surge(order).await
    }
}

/// It says that instances are gone, and they are not.
pub struct Endless(pub Arc<dyn Provisioner>);

#[async_trait]
impl Provisioner for Endless {
    async fn observe(&self) -> Result<Vec<Instance>, PortError> {
        self.0.observe().await
    }

    async fn ensure_surge(&self, order: &SurgeOrder) -> Result<Progress<Vec<Instance>>, PortError> {
        match order.names.is_empty() {
            true => Ok(Progress::Done(Vec::new())),
            false => self.0.ensure_surge(order).await,
        }
    }
}

/// What is lost is told as running.
pub struct Concealing(pub Arc<dyn Provisioner>);

#[async_trait]
impl Provisioner for Concealing {
    async fn observe(&self) -> Result<Vec<Instance>, PortError> {
        let mut instances = self.0.observe().await?;
        for instance in instances.iter_mut().filter(|i| i.state == InstanceState::Lost) {
            instance.state = InstanceState::Running;
        }
        Ok(instances)
    }

    async fn ensure_surge(&self, order: &SurgeOrder) -> Result<Progress<Vec<Instance>>, PortError> {
        self.0.ensure_surge(order).await
    }
}

/// A failed update is begun again with every call.
pub struct Repeating {
    port: Arc<dyn Updater>,
    calls: AtomicU64,
}

impl Repeating {
    pub fn new(port: Arc<dyn Updater>) -> Self {
        Self { port, calls: AtomicU64::new(0) }
    }
}

#[async_trait]
impl Updater for Repeating {
    async fn observe(&self, target: &Target) -> Result<UpdateState, PortError> {
        self.port.observe(target).await
    }

    async fn ensure_version(
        &self,
        order: &UpdateOrder,
    ) -> Result<Progress<UpdateState>, PortError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let key = Key::new(format!("{}/{call}", order.key)).unwrap();
        self.port.ensure_version(&UpdateOrder { key, ..order.clone() }).await
    }
}

/// Whatever goes back is brought to the target.
pub struct Onward(pub Arc<dyn Updater>);

#[async_trait]
impl Updater for Onward {
    async fn observe(&self, target: &Target) -> Result<UpdateState, PortError> {
        self.0.observe(target).await
    }

    async fn ensure_version(
        &self,
        order: &UpdateOrder,
    ) -> Result<Progress<UpdateState>, PortError> {
        let version = Version::new("2").unwrap();
        self.0.ensure_version(&UpdateOrder { version, ..order.clone() }).await
    }
}

/// It says that it is done when it has begun.
pub struct Boasting(pub Arc<dyn Updater>);

#[async_trait]
impl Updater for Boasting {
    async fn observe(&self, target: &Target) -> Result<UpdateState, PortError> {
        self.0.observe(target).await
    }

    async fn ensure_version(
        &self,
        order: &UpdateOrder,
    ) -> Result<Progress<UpdateState>, PortError> {
        self.0.ensure_version(order).await?;
        let version = Some(order.version.clone());
        Ok(Progress::Done(UpdateState { version, boot_id: None, in_progress: false }))
    }
}

/// It passes whatever it is asked about.
pub struct Blind(pub Arc<dyn Health>);

#[async_trait]
impl Health for Blind {
    async fn check(&self, target: &Target) -> Result<Verdict, PortError> {
        self.0.check(target).await.map(|_| Verdict::Pass("whatever".into()))
    }
}

/// Every call runs the hook once more.
pub struct Anew {
    port: Arc<dyn Hook>,
    calls: AtomicU64,
}

impl Anew {
    pub fn new(port: Arc<dyn Hook>) -> Self {
        Self { port, calls: AtomicU64::new(0) }
    }
}

#[async_trait]
impl Hook for Anew {
    async fn ensure_run(&self, order: &HookOrder) -> Result<Progress<HookEnd>, PortError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let key = Key::of(&[order.key.as_str(), &call.to_string()]);
        self.port.ensure_run(&HookOrder { key, ..order.clone() }).await?;
        self.port.ensure_run(order).await
    }
}

/// It sets whatever is wanted, and does not compare.
pub struct Rash(pub Arc<dyn Size>);

#[async_trait]
impl Size for Rash {
    async fn observe(&self) -> Result<SizeSettings, PortError> {
        self.0.observe().await
    }

    async fn ensure(&self, order: &SizeOrder) -> Result<Progress<SizeEnd>, PortError> {
        let expected = self.0.observe().await?;
        self.0.ensure(&SizeOrder { expected, ..order.clone() }).await
    }
}

/// It says that it is as it is wanted, and gives nothing back.
pub struct Stuck(pub Arc<dyn Size>);

#[async_trait]
impl Size for Stuck {
    async fn observe(&self) -> Result<SizeSettings, PortError> {
        self.0.observe().await
    }

    async fn ensure(&self, order: &SizeOrder) -> Result<Progress<SizeEnd>, PortError> {
        match order.wanted.weaker_than(&order.expected).is_empty() {
            true => self.0.ensure(order).await,
            false => Ok(Progress::Done(SizeEnd::Set)),
        }
    }
}

/// Once a server is updated it cannot tell any more what it runs.
pub struct Forgetting(pub Arc<dyn Updater>);

#[async_trait]
impl Updater for Forgetting {
    async fn observe(&self, _: &Target) -> Result<UpdateState, PortError> {
        Ok(UpdateState { version: None, boot_id: None, in_progress: false })
    }

    async fn ensure_version(
        &self,
        order: &UpdateOrder,
    ) -> Result<Progress<UpdateState>, PortError> {
        self.0.ensure_version(order).await
    }
}
