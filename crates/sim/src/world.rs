//! Servers, load balancer, updater, provisioner and load, in virtual time.

mod ports;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use domain::name::{Key, OfferName, ServerName, Version};
use domain::ports::{Clock, Health, LoadSource, Provisioner, Traffic, Updater};
use jiff::Timestamp;

use crate::clock::SimClock;

/// The delays of the simulated world.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From a drain until the last request has ended.
    pub drain: Duration,
    /// How long an update takes.
    pub update: Duration,
    /// From the end of an update until a server passes its checks.
    pub start: Duration,
    /// From an order until its instances run.
    pub boot: Duration,
    /// Servers whose update fails on its first attempt.
    pub fails_first: Vec<ServerName>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(30),
            update: Duration::from_secs(300),
            start: Duration::from_secs(10),
            boot: Duration::from_secs(120),
            fails_first: Vec::new(),
        }
    }
}

/// What the load balancer does with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admitted {
    Yes,
    DrainedAt(Timestamp),
}

#[derive(Debug, Clone)]
struct Machine {
    version: Version,
    admitted: Option<Admitted>,
    well_at: Timestamp,
    update: Option<(Key, Version, Timestamp)>,
    failed: Vec<Key>,
}

#[derive(Debug, Clone)]
struct Bought {
    key: Key,
    runs_at: Timestamp,
    lost: bool,
}

/// What really happened, for the judgement afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// How often an update was begun, per server.
    pub updates: BTreeMap<ServerName, u32>,
    /// How often an instance was bought, per name.
    pub purchases: BTreeMap<ServerName, u32>,
    /// The most servers of the fleet that were out of service at once.
    pub most_out: usize,
    /// Updates of servers that still had requests.
    pub updated_under_load: Vec<ServerName>,
}

struct Inner {
    settings: Settings,
    machines: BTreeMap<ServerName, Machine>,
    surge: BTreeMap<ServerName, Bought>,
    surge_admitted: BTreeMap<ServerName, Admitted>,
    load: Box<dyn Fn(Timestamp) -> f64 + Send>,
    stock: BTreeMap<OfferName, u32>,
    facts: Facts,
}

/// The simulated world. Copies share it.
#[derive(Clone)]
pub struct SimWorld {
    clock: SimClock,
    inner: Arc<Mutex<Inner>>,
}

impl SimWorld {
    /// A fleet at `version`, all in service, under a load that is a function of time.
    pub fn new(
        clock: SimClock,
        settings: Settings,
        servers: &[ServerName],
        version: &Version,
        load: impl Fn(Timestamp) -> f64 + Send + 'static,
    ) -> Self {
        let machine = Machine {
            version: version.clone(),
            admitted: Some(Admitted::Yes),
            well_at: Timestamp::UNIX_EPOCH,
            update: None,
            failed: Vec::new(),
        };
        let inner = Inner {
            settings,
            machines: servers.iter().map(|s| (s.clone(), machine.clone())).collect(),
            surge: BTreeMap::new(),
            surge_admitted: BTreeMap::new(),
            load: Box::new(load),
            stock: BTreeMap::new(),
            facts: Facts::default(),
        };
        Self { clock, inner: Arc::new(Mutex::new(inner)) }
    }

    /// How many instances of an offer can be had; without a word: as many as one likes.
    pub fn limit_stock(&self, offer: &OfferName, count: u32) {
        self.lock().stock.insert(offer.clone(), count);
    }

    /// A surge instance ends by itself.
    pub fn lose(&self, name: &ServerName) {
        if let Some(bought) = self.lock().surge.get_mut(name) {
            bought.lost = true;
        }
    }

    /// The load balancer is reloaded: it knows the servers of its configuration, none drained.
    pub fn reload(&self) {
        let mut inner = self.lock();
        for machine in inner.machines.values_mut() {
            machine.admitted = Some(Admitted::Yes);
        }
        inner.surge_admitted.clear();
    }

    /// From now on the load is another function of time.
    pub fn set_load(&self, load: impl Fn(Timestamp) -> f64 + Send + 'static) {
        self.lock().load = Box::new(load);
    }

    /// What really happened.
    pub fn facts(&self) -> Facts {
        self.lock().facts.clone()
    }

    /// Surge that has been bought and not been given back.
    pub fn surge_running(&self) -> Vec<ServerName> {
        self.lock().surge.keys().cloned().collect()
    }

    /// Servers that do not run `version`, or get no requests.
    pub fn not_back(&self, version: &Version) -> Vec<ServerName> {
        let inner = self.lock();
        let good = |m: &Machine| m.version == *version && m.admitted == Some(Admitted::Yes);
        inner.machines.iter().filter(|(_, m)| !good(m)).map(|(name, _)| name.clone()).collect()
    }

    /// Servers that get no requests.
    pub fn out(&self) -> Vec<ServerName> {
        let inner = self.lock();
        let out = |m: &Machine| m.admitted != Some(Admitted::Yes);
        inner.machines.iter().filter(|(_, m)| out(m)).map(|(name, _)| name.clone()).collect()
    }

    /// The world as a load balancer.
    pub fn traffic(&self) -> Arc<dyn Traffic> {
        Arc::new(self.clone())
    }

    /// The world as a seller of surge.
    pub fn provisioner(&self) -> Arc<dyn Provisioner> {
        Arc::new(self.clone())
    }

    /// The world as an updater.
    pub fn updater(&self) -> Arc<dyn Updater> {
        Arc::new(self.clone())
    }

    /// The world as a health gate.
    pub fn health(&self) -> Arc<dyn Health> {
        Arc::new(self.clone())
    }

    /// The world as a source of load.
    pub fn load(&self) -> Arc<dyn LoadSource> {
        Arc::new(self.clone())
    }

    /// The world's clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic under the lock")
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Inner {
    /// Ends the updates whose time has come.
    fn advance(&mut self, now: Timestamp) {
        for machine in self.machines.values_mut() {
            if let Some((key, version, ends)) = machine.update.take_if(|u| u.2 <= now) {
                if machine.failed.contains(&key) {
                    continue;
                }
                machine.version = version;
                machine.well_at = ends + self.settings.start;
            }
        }
    }

    fn count_out(&mut self) {
        let out = self.machines.values().filter(|m| m.admitted != Some(Admitted::Yes)).count();
        self.facts.most_out = self.facts.most_out.max(out);
    }
}
