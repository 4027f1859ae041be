//! The ports of the world with faults.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::name::ServerName;
use domain::ports::{
    Admission, Backend, Drained, Health, Hook, HookEnd, HookOrder, Instance, LoadSource, PortError,
    Progress, Provisioner, Size, SizeEnd, SizeOrder, SurgeOrder, Target, Traffic, UpdateOrder,
    UpdateState, Updater, Verdict,
};
use domain::series::Sample;
use domain::size::SizeSettings;
use jiff::Timestamp;

use super::{Fault, Faulty};
use crate::executor::run_until_stuck;

use Fault::{
    FailsAfter, FailsBefore, Late, Partial, SilentAfter, SilentBefore, SoldOut, Stale, Throttled,
    Twice, Unknown, Vague,
};

const LOOKS: &[Fault] = &[FailsBefore, SilentBefore, Stale, Throttled];
const CHECKS: &[Fault] = &[FailsBefore, SilentBefore, Throttled, Vague];
const QUERIES: &[Fault] = &[FailsBefore, SilentBefore, Throttled];
const ADMISSIONS: &[Fault] =
    &[FailsBefore, FailsAfter, SilentBefore, SilentAfter, Twice, Late, Throttled];
const ORDERS: &[Fault] =
    &[FailsBefore, FailsAfter, SilentBefore, SilentAfter, Twice, Late, Partial, Throttled, SoldOut];
const UPDATES: &[Fault] =
    &[FailsBefore, FailsAfter, SilentBefore, SilentAfter, Twice, Late, Throttled, Unknown];

const SIZES: &[Fault] =
    &[FailsBefore, FailsAfter, SilentBefore, SilentAfter, Twice, Late, Throttled, Unknown, Partial];

const HOOKS: &[Fault] =
    &[FailsBefore, FailsAfter, SilentBefore, SilentAfter, Twice, Late, Throttled, Unknown];

/// A caller of something that is not ready yet is told to ask again after this.
const NOT_YET: Duration = Duration::from_secs(20);

#[async_trait]
impl Traffic for Faulty<dyn Traffic, Vec<Backend>> {
    async fn observe(&self) -> Result<Vec<Backend>, PortError> {
        let fault = self.dice.throw(LOOKS);
        let call = fault.filter(|fault| *fault != Stale);
        let answer = self.dice.through(call, || self.port.observe()).await?;
        Ok(self.news(answer, fault))
    }

    async fn ensure_admission(&self, wish: &Admission) -> Result<Progress<Drained>, PortError> {
        let fault = self.dice.throw(ADMISSIONS);
        if fault == Some(Late) {
            let (port, wish) = (self.port.clone(), wish.clone());
            self.later(move || drop(run_until_stuck(port.ensure_admission(&wish))));
        }
        self.dice.through(fault, || self.port.ensure_admission(wish)).await
    }
}

#[async_trait]
impl Provisioner for Faulty<dyn Provisioner, Vec<Instance>> {
    async fn observe(&self) -> Result<Vec<Instance>, PortError> {
        let fault = self.dice.throw(LOOKS);
        let call = fault.filter(|fault| *fault != Stale);
        let answer = self.dice.through(call, || self.port.observe()).await?;
        Ok(self.news(answer, fault))
    }

    async fn ensure_surge(&self, order: &SurgeOrder) -> Result<Progress<Vec<Instance>>, PortError> {
        let fault = self.dice.throw(ORDERS);
        if fault == Some(Late) {
            let (port, order) = (self.port.clone(), order.clone());
            self.later(move || drop(run_until_stuck(port.ensure_surge(&order))));
        }
        if fault == Some(Partial) {
            return self.in_part(order).await;
        }
        self.dice.through(fault, || self.port.ensure_surge(order)).await
    }
}

impl Faulty<dyn Provisioner, Vec<Instance>> {
    /// Half of what is wanted and not there yet.
    async fn in_part(&self, order: &SurgeOrder) -> Result<Progress<Vec<Instance>>, PortError> {
        let there = self.port.observe().await?;
        let is_there =
            |name: &ServerName| there.iter().any(|i| i.name == *name && i.key == order.key);
        let mut part = order.clone();
        let missing = order.names.iter().filter(|name| !is_there(name)).count();
        let mut left = missing / 2;
        part.names.retain(|name| {
            let keep = is_there(name) || left > 0;
            left -= usize::from(keep && !is_there(name));
            keep
        });
        if missing == 0 || part.names.is_empty() {
            return self.port.ensure_surge(order).await;
        }
        self.port.ensure_surge(&part).await?;
        Ok(Progress::Pending { poll_after: NOT_YET })
    }
}

#[async_trait]
impl Updater for Faulty<dyn Updater> {
    async fn observe(&self, target: &Target) -> Result<UpdateState, PortError> {
        let fault = self.dice.throw(QUERIES);
        self.dice.through(fault, || self.port.observe(target)).await
    }

    async fn ensure_version(
        &self,
        order: &UpdateOrder,
    ) -> Result<Progress<UpdateState>, PortError> {
        let fault = self.dice.throw(UPDATES);
        if fault == Some(Late) {
            let (port, order) = (self.port.clone(), order.clone());
            self.later(move || drop(run_until_stuck(port.ensure_version(&order))));
        }
        if fault == Some(Unknown) {
            self.port.ensure_version(order).await?;
            return Ok(Progress::Unknown { detail: "the connection was cut".into() });
        }
        self.dice.through(fault, || self.port.ensure_version(order)).await
    }
}

#[async_trait]
impl Health for Faulty<dyn Health> {
    async fn check(&self, target: &Target) -> Result<Verdict, PortError> {
        match self.dice.throw(CHECKS) {
            Some(Vague) => Ok(Verdict::Inconclusive("an empty answer".into())),
            fault => self.dice.through(fault, || self.port.check(target)).await,
        }
    }
}

#[async_trait]
impl LoadSource for Faulty<dyn LoadSource> {
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
        let fault = self.dice.throw(QUERIES);
        self.dice.through(fault, || self.port.samples(from, to)).await
    }
}

impl<P: ?Sized, A: Clone> Faulty<P, A> {
    /// Lets an effect happen a while later.
    fn later(&self, effect: impl FnOnce() + Send + 'static) {
        let agenda: &Arc<_> = &self.dice.agenda;
        agenda.at(agenda.true_now() + self.dice.delay(), effect);
    }
}

#[async_trait]
impl Hook for Faulty<dyn Hook> {
    async fn ensure_run(&self, order: &HookOrder) -> Result<Progress<HookEnd>, PortError> {
        let fault = self.dice.throw(HOOKS);
        if fault == Some(Late) {
            let (port, order) = (self.port.clone(), order.clone());
            self.later(move || drop(run_until_stuck(port.ensure_run(&order))));
        }
        if fault == Some(Unknown) {
            let _unheard = self.port.ensure_run(order).await;
            return Ok(Progress::Unknown { detail: "it was cut short".into() });
        }
        self.dice.through(fault, || self.port.ensure_run(order)).await
    }
}

#[async_trait]
impl Size for Faulty<dyn Size, SizeSettings> {
    async fn observe(&self) -> Result<SizeSettings, PortError> {
        let fault = self.dice.throw(LOOKS);
        let call = fault.filter(|fault| *fault != Stale);
        let answer = self.dice.through(call, || self.port.observe()).await?;
        Ok(self.news(answer, fault))
    }

    async fn ensure(&self, order: &SizeOrder) -> Result<Progress<SizeEnd>, PortError> {
        let fault = self.dice.throw(SIZES);
        if fault == Some(Late) {
            let (port, order) = (self.port.clone(), order.clone());
            self.later(move || drop(run_until_stuck(port.ensure(&order))));
        }
        if fault == Some(Unknown) {
            let _unheard = self.port.ensure(order).await;
            return Ok(Progress::Unknown { detail: "it was cut short".into() });
        }
        if fault == Some(Partial) {
            // One setting after the other, and it is cut short in between.
            let SizeSettings { protected, suspended, .. } = order.expected.clone();
            let wanted = SizeSettings { protected, suspended, ..order.wanted.clone() };
            let part = SizeOrder { wanted, ..order.clone() };
            return match self.port.ensure(&part).await? {
                Progress::Done(SizeEnd::Set) => Ok(Progress::Pending { poll_after: NOT_YET }),
                answer => Ok(answer),
            };
        }
        self.dice.through(fault, || self.port.ensure(order)).await
    }
}
