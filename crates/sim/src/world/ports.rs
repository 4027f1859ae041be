//! The world behind the production ports.

use std::time::Duration;

use async_trait::async_trait;
use domain::name::ServerName;
use domain::ports::{
    Admission, Backend, BackendState, Drained, Health, Hook, HookEnd, HookOrder, Instance,
    InstanceState, LoadSource, PortError, Progress, Provisioner, Retry, SurgeOrder, Target,
    Traffic, UpdateOrder, UpdateState, Updater, Verdict, Wanted,
};
use domain::series::Sample;
use jiff::Timestamp;
use plan::Interruption;

use super::{Admitted, Begun, Bought, Hired, Inner, SimWorld, Sold};
use crate::draws::Part;

/// The distance of two samples of load.
const SAMPLE_SECONDS: i64 = 60;

/// An update of a server whose drain the load balancer forgot so lately is nobody's fault: it
/// could not be seen yet.
const UNSEEN: Duration = Duration::from_secs(90);

/// A call that goes astray arrives within this.
const ASTRAY: Duration = Duration::from_secs(20);

/// How long a caller is told to wait at most: this world knows when things end, but what is to
/// end may change meanwhile.
const LONGEST_POLL: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("offer {0} is sold out")]
    SoldOut(String),
    #[error("order {0} was given back")]
    GivenBack(String),
    #[error("the update command ended with exit code 1")]
    UpdateFailed,
    #[error("there is no server {0}")]
    NoServer(String),
}

fn trouble(operation: &str, retry: Retry, source: Trouble) -> PortError {
    PortError::new("simulated world", operation, retry, source)
}

#[async_trait]
impl LoadSource for SimWorld {
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
        let inner = self.lock();
        let first = from.as_second().div_euclid(SAMPLE_SECONDS) * SAMPLE_SECONDS;
        let seconds = (first..to.as_second()).step_by(SAMPLE_SECONDS as usize);
        let instants =
            seconds.filter_map(|s| Timestamp::from_second(s).ok()).filter(|t| *t >= from);
        Ok(instants.map(|at| Sample { at, value: (inner.load)(at) }).collect())
    }
}

#[async_trait]
impl Traffic for SimWorld {
    async fn observe(&self) -> Result<Vec<Backend>, PortError> {
        let (now, inner) = self.present();
        let state = |admitted: Admitted, well: bool| match admitted {
            Admitted::Drained(quiet) => (BackendState::Drained, Some(u64::from(quiet > now))),
            Admitted::Yes if well => (BackendState::InService, None),
            Admitted::Yes => (BackendState::Down, None),
        };
        let fleet = inner.machines.iter().filter_map(|(name, machine)| {
            let well = machine.is_well(now);
            machine.admitted.map(|a| (name, state(a, well)))
        });
        let surge = inner.surge_admitted.iter().map(|(name, admitted)| {
            let well = inner.surge.get(name).is_some_and(|b| !b.lost && b.runs_at <= now);
            (name, state(*admitted, well))
        });
        let backend = |(name, (state, in_flight)): (&ServerName, _)| Backend {
            server: name.clone(),
            address: None,
            state,
            in_flight,
            weight: Some(inner.weights.get(name).copied().unwrap_or(100)),
            served: None,
        };
        Ok(fleet.chain(surge).map(backend).collect())
    }

    async fn ensure_admission(&self, wish: &Admission) -> Result<Progress<Drained>, PortError> {
        let (now, mut inner) = self.present();
        let name = wish.target.server.clone();
        let nth = inner.facts.updates.get(&name).copied().unwrap_or(0);
        let drain = inner.draws().length(inner.settings.drain, &name, Part::Drain, nth);
        let of_fleet = inner.machines.contains_key(&name);
        let gone = inner.surge.get(&name).is_some_and(|bought| bought.lost);
        let hangs = inner.hangs.get(&name).copied().unwrap_or(now).max(now + drain);
        // What is lost has no connections.
        let quiet = if gone { now } else { hangs };
        let before = match inner.machines.get(&name) {
            Some(machine) => machine.admitted,
            None => inner.surge_admitted.get(&name).copied(),
        };
        let (after, progress) = match (wish.wanted, before) {
            (Wanted::Admit(_), _) => {
                let well_at = inner.well_at(&name).unwrap_or(Timestamp::MAX);
                let progress = if well_at <= now { done() } else { pending(well_at, now) };
                (Some(Admitted::Yes), progress)
            }
            (_, None) => (None, done()),
            (Wanted::Drain | Wanted::Remove, Some(Admitted::Yes)) => {
                (Some(Admitted::Drained(quiet)), pending(quiet, now))
            }
            (Wanted::Cut, Some(Admitted::Yes)) => cut(now),
            (Wanted::Cut, Some(Admitted::Drained(quiet))) if now < quiet => cut(now),
            (_, Some(Admitted::Drained(quiet))) if now < quiet => (before, pending(quiet, now)),
            (Wanted::Drain | Wanted::Cut, _) => (before, done()),
            (Wanted::Remove, _) if of_fleet => (before, done()),
            (Wanted::Remove, _) => (None, done()),
        };
        inner.note(&name, wish.wanted, &progress, now);
        if let Wanted::Admit(percent) = wish.wanted {
            inner.weights.insert(name.clone(), percent);
        }
        match inner.machines.get_mut(&name) {
            Some(machine) => {
                machine.admitted = after;
                if after == Some(Admitted::Yes) {
                    machine.taken = None;
                }
            }
            None => {
                inner.surge_admitted.remove(&name);
                if let Some(admitted) = after {
                    inner.surge_admitted.insert(name, admitted);
                }
            }
        }
        inner.count_out();
        Ok(progress)
    }
}

impl Inner {
    /// When a server or an instance passes its checks; `None`: never, as things are.
    fn well_at(&self, name: &ServerName) -> Option<Timestamp> {
        match self.machines.get(name) {
            Some(machine) if machine.bad && machine.update.is_none() => None,
            Some(machine) => {
                let ends = machine.update.as_ref().map(|(_, _, ends)| *ends + self.settings.start);
                Some(ends.unwrap_or(machine.well_at))
            }
            None => self.surge.get(name).filter(|b| !b.lost && !b.unwell).map(|b| b.runs_at),
        }
    }

    /// Writes down what an answer of the load balancer means.
    fn note(
        &mut self,
        name: &ServerName,
        wanted: Wanted,
        progress: &Progress<Drained>,
        now: Timestamp,
    ) {
        let of_fleet = self.machines.contains_key(name);
        match wanted {
            Wanted::Admit(_) if *progress != done() => {}
            Wanted::Admit(_) if of_fleet => {
                let back = self.warmed(name, now);
                self.facts.returns(name, back);
            }
            Wanted::Admit(_) => {
                let joined = self.warmed(name, now);
                self.facts.joins(name, joined);
            }
            Wanted::Drain | Wanted::Cut | Wanted::Remove if of_fleet => self.facts.goes(name, now),
            Wanted::Drain | Wanted::Cut | Wanted::Remove => self.facts.leaves(name, now),
        }
    }
}

/// The one connection that is left ends at once.
fn cut(now: Timestamp) -> (Option<Admitted>, Progress<Drained>) {
    (Some(Admitted::Drained(now)), Progress::Done(Drained { cut: 1 }))
}

fn done() -> Progress<Drained> {
    Progress::Done(Drained { cut: 0 })
}

/// Not before `until`.
fn pending<T>(until: Timestamp, now: Timestamp) -> Progress<T> {
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    Progress::Pending { poll_after: left.min(LONGEST_POLL) }
}

#[async_trait]
impl Provisioner for SimWorld {
    async fn observe(&self) -> Result<Vec<Instance>, PortError> {
        let (now, inner) = self.present();
        Ok(inner.surge.iter().map(|(name, bought)| instance(name, bought, now)).collect())
    }

    async fn ensure_surge(&self, order: &SurgeOrder) -> Result<Progress<Vec<Instance>>, PortError> {
        let (now, mut inner) = self.present();
        let gone = |(name, bought): &(&ServerName, &Bought)| {
            bought.key == order.key && !order.names.contains(name)
        };
        let gone: Vec<ServerName> =
            inner.surge.iter().filter(gone).map(|(name, _)| name.clone()).collect();
        for name in &gone {
            inner.surge.remove(name);
            inner.facts.ends(name, now);
        }
        if order.names.is_empty() {
            inner.closed.insert(order.key.clone());
        } else if inner.closed.contains(&order.key) {
            let source = Trouble::GivenBack(order.key.to_string());
            return Err(trouble("buying surge", Retry::Never, source));
        }
        for name in &order.names {
            if inner.surge.contains_key(name) {
                continue;
            }
            if let Some(left) = inner.stock.get_mut(&order.offer) {
                let source = Trouble::SoldOut(order.offer.to_string());
                *left = left
                    .checked_sub(1)
                    .ok_or_else(|| trouble("buying surge", Retry::Never, source))?;
            }
            inner.buy(order, name, now);
            *inner.facts.purchases.entry(name.clone()).or_default() += 1;
        }
        let own = inner.surge.iter().filter(|(_, b)| b.key == order.key);
        let list: Vec<_> = own.map(|(name, bought)| instance(name, bought, now)).collect();
        let boots = inner.surge.values().filter(|b| b.key == order.key && !b.lost);
        let boots = boots.map(|b| b.runs_at).max().filter(|runs_at| *runs_at > now);
        Ok(boots.map_or(Progress::Done(list), |runs_at| pending(runs_at, now)))
    }
}

impl Inner {
    fn buy(&mut self, order: &SurgeOrder, name: &ServerName, now: Timestamp) {
        let (draws, unknown) = (self.draws(), Interruption::default());
        let unknown = Sold { lead: self.settings.boot, interruption: unknown };
        let sold = self.settings.offers.get(&order.offer).copied().unwrap_or(unknown);
        let runs_at = now + draws.length(sold.lead, name, Part::Lead, 0);
        let life = draws.life(sold.interruption, name, order.key.as_str());
        let fails = self.boots_to_fail > 0;
        self.boots_to_fail = self.boots_to_fail.saturating_sub(1);
        let ends_at = if fails { Some(runs_at) } else { life.map(|life| runs_at + life) };
        let unwell = self.to_be_unwell > 0;
        self.to_be_unwell = self.to_be_unwell.saturating_sub(1);
        let bought = Bought { key: order.key.clone(), runs_at, ends_at, lost: false, unwell };
        self.surge.insert(name.clone(), bought);
        self.facts.hired.push(Hired {
            name: name.clone(),
            offer: order.offer.clone(),
            ordered_at: now,
            joined: None,
            left_at: None,
            ended_at: None,
            lost: false,
        });
    }
}

fn instance(name: &ServerName, bought: &Bought, now: Timestamp) -> Instance {
    let state = match bought {
        Bought { lost: true, .. } => InstanceState::Lost,
        Bought { runs_at, .. } if *runs_at <= now => InstanceState::Running,
        _ => InstanceState::Booting,
    };
    Instance { name: name.clone(), key: bought.key.clone(), address: None, state }
}

#[async_trait]
impl Updater for SimWorld {
    async fn observe(&self, target: &Target) -> Result<UpdateState, PortError> {
        let (_, inner) = self.present();
        let source = Trouble::NoServer(target.server.to_string());
        let machine = inner
            .machines
            .get(&target.server)
            .ok_or_else(|| trouble("observing a server", Retry::Never, source))?;
        let in_progress = machine.update.is_some();
        Ok(UpdateState { version: Some(machine.version.clone()), boot_id: None, in_progress })
    }

    async fn ensure_version(
        &self,
        order: &UpdateOrder,
    ) -> Result<Progress<UpdateState>, PortError> {
        let (now, mut inner) = self.present();
        let name = &order.target.server;
        let nth = inner.facts.updates.get(name).copied().unwrap_or(0) + 1;
        let update = inner.draws().length(inner.settings.update, name, Part::Update, nth);
        let first = !inner.facts.updates.contains_key(name);
        let fails = first && inner.settings.fails_first.contains(name)
            || inner.settings.fails_always.contains(name)
            || inner.updates_to_fail > 0;
        let source = Trouble::NoServer(name.to_string());
        let machine = inner
            .machines
            .get_mut(name)
            .ok_or_else(|| trouble("updating a server", Retry::Never, source))?;
        if let Some((_, _, ends)) = machine.update {
            return Ok(pending(ends, now));
        }
        if machine.failed.contains(&order.key) {
            return Err(trouble("updating a server", Retry::Never, Trouble::UpdateFailed));
        }
        if machine.version == order.version {
            let version = Some(machine.version.clone());
            return Ok(Progress::Done(UpdateState { version, boot_id: None, in_progress: false }));
        }
        machine.update = Some((order.key.clone(), order.version.clone(), now + update));
        if fails {
            machine.failed.push(order.key.clone());
        }
        let twice = machine.begun.contains(&order.key);
        machine.begun.push(order.key.clone());
        // A call that was on its way to the machine that stood there before cannot know of this one.
        let astray = machine.died.is_some_and(|at| now < at + ASTRAY);
        let undrained = astray || machine.undrained.is_some_and(|at| now < at + UNSEEN);
        let quiet = match machine.admitted {
            Some(Admitted::Drained(quiet)) => quiet <= now,
            Some(Admitted::Yes) => false,
            None => true,
        };
        if fails {
            inner.updates_to_fail = inner.updates_to_fail.saturating_sub(1);
        }
        if twice {
            inner.facts.updated_twice.push(name.clone());
        }
        if !quiet && !undrained {
            inner.facts.updated_under_load.push(name.clone());
        }
        *inner.facts.updates.entry(name.clone()).or_default() += 1;
        Ok(pending(now + update, now))
    }
}

#[async_trait]
impl Health for SimWorld {
    async fn check(&self, target: &Target) -> Result<Verdict, PortError> {
        let (now, inner) = self.present();
        if let Some(why) = &inner.blind {
            return Ok(Verdict::Inconclusive(why.clone()));
        }
        let well = inner.well_at(&target.server).is_some_and(|at| at <= now);
        Ok(if well {
            Verdict::Pass("it answers".into())
        } else {
            Verdict::Fail("connection refused".into())
        })
    }
}

#[async_trait]
impl Hook for SimWorld {
    async fn ensure_run(&self, order: &HookOrder) -> Result<Progress<HookEnd>, PortError> {
        let (now, mut inner) = self.present();
        let (held, length) = (inner.hooks_held, inner.settings.hook);
        if !inner.hooks.contains_key(&order.key) {
            let well = inner.hooks_to_fail == 0;
            inner.hooks_to_fail = inner.hooks_to_fail.saturating_sub(1);
            let (ends_at, over_at) = ((!held).then(|| now + length), now + order.timeout);
            inner.hooks.insert(order.key.clone(), Begun { ends_at, over_at, well });
            inner.facts.hooks.push(order.clone());
        }
        let begun = inner.hooks.get_mut(&order.key).expect("it has begun");
        if !held && now < begun.over_at {
            begun.ends_at.get_or_insert(now + length);
        }
        match begun.ends_at {
            Some(ends_at) if now >= ends_at && begun.well => {
                Ok(Progress::Done(HookEnd::Well("it is so".into())))
            }
            Some(ends_at) if now >= ends_at => Ok(Progress::Done(badly())),
            None if now >= begun.over_at => {
                Ok(Progress::Done(HookEnd::Badly("it was ended after its time".into())))
            }
            ends_at => Ok(pending(ends_at.unwrap_or(begun.over_at), now)),
        }
    }
}

fn badly() -> HookEnd {
    HookEnd::Badly("the command ended with exit code 1".into())
}
