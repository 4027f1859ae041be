//! Servers, load balancer, updater, provisioner and load, in virtual time.

mod others;
mod ports;
mod record;
mod size;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use domain::name::{Key, OfferName, ServerName, Version};
use domain::ports::{Clock, Health, Hook, LoadSource, Provisioner, Traffic, Updater};
use domain::spread::Spread;
use jiff::Timestamp;
use plan::Interruption;

use crate::clock::SimClock;
use crate::draws::{Draws, Part};

pub use others::{Missing, Why};
pub use record::{Away, Facts, Hired, Warmed};
pub use size::REPLACING;
use size::Scaler;

/// The delays of the simulated world. What is uncertain is drawn, per server, under the seed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// From a drain until the last request has ended.
    pub drain: Spread,
    /// How long an update takes.
    pub update: Spread,
    /// From the end of an update until a server passes its checks.
    pub start: Duration,
    /// From the first request until a server carries its full load. The world only writes it
    /// down; what waits for it is the driver's business.
    pub warmup: Spread,
    /// From an order until its instances run, where `offers` does not say it.
    pub boot: Spread,
    /// How long a hook takes.
    pub hook: Duration,
    /// What is known of the offers.
    pub offers: BTreeMap<OfferName, Sold>,
    /// Servers whose update fails on its first attempt.
    pub fails_first: Vec<ServerName>,
    /// Servers whose update fails on every attempt.
    pub fails_always: Vec<ServerName>,
    /// A server that runs this version never passes its checks.
    pub bad: Vec<(ServerName, Version)>,
    /// The seed of every draw.
    pub seed: u64,
}

/// How an offer is delivered, and how it is taken away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sold {
    /// From the order until an instance runs.
    pub lead: Spread,
    /// How often instances are taken away once they run.
    pub interruption: Interruption,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = |seconds| Spread::exactly(Duration::from_secs(seconds));
        Self {
            drain: seconds(30),
            update: seconds(300),
            start: Duration::from_secs(10),
            warmup: Spread::ZERO,
            boot: seconds(120),
            hook: Duration::from_secs(20),
            offers: BTreeMap::new(),
            fails_first: Vec::new(),
            fails_always: Vec::new(),
            bad: Vec::new(),
            seed: 0,
        }
    }
}

/// What the load balancer does with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admitted {
    Yes,
    /// No new requests; the last one ends at this moment.
    Drained(Timestamp),
}

#[derive(Debug, Clone)]
struct Machine {
    version: Version,
    admitted: Option<Admitted>,
    well_at: Timestamp,
    /// It runs a version that never passes its checks.
    bad: bool,
    update: Option<(Key, Version, Timestamp)>,
    failed: Vec<Key>,
    /// Every key under which an update was begun on this machine.
    begun: Vec<Key>,
    /// Somebody else took it out of service then.
    taken: Option<Timestamp>,
    /// It stopped serving by itself then.
    died: Option<Timestamp>,
    /// The load balancer forgot its drain then.
    undrained: Option<Timestamp>,
}

impl Machine {
    /// Whether it passes its checks.
    fn is_well(&self, now: Timestamp) -> bool {
        self.well_at <= now && self.update.is_none() && !self.bad
    }

    fn new(version: &Version) -> Self {
        Self {
            version: version.clone(),
            admitted: Some(Admitted::Yes),
            well_at: Timestamp::UNIX_EPOCH,
            bad: false,
            update: None,
            failed: Vec::new(),
            begun: Vec::new(),
            taken: None,
            died: None,
            undrained: None,
        }
    }
}

#[derive(Debug, Clone)]
struct Bought {
    key: Key,
    runs_at: Timestamp,
    /// When it is taken away.
    ends_at: Option<Timestamp>,
    lost: bool,
    /// It runs and never passes its checks.
    unwell: bool,
}

/// A hook that has begun.
#[derive(Debug, Clone)]
struct Begun {
    /// It ends by itself then; `None`: not as long as hooks are held.
    ends_at: Option<Timestamp>,
    /// It is ended then.
    over_at: Timestamp,
    well: bool,
}

struct Inner {
    settings: Settings,
    machines: BTreeMap<ServerName, Machine>,
    surge: BTreeMap<ServerName, Bought>,
    surge_admitted: BTreeMap<ServerName, Admitted>,
    /// Weights in percent; 100 where there is none.
    weights: BTreeMap<ServerName, u8>,
    load: Box<dyn Fn(Timestamp) -> f64 + Send>,
    stock: BTreeMap<OfferName, u32>,
    /// Orders that were given back: nothing is sold under their keys any more.
    closed: BTreeSet<Key>,
    /// Connections of these servers do not end before.
    hangs: BTreeMap<ServerName, Timestamp>,
    boots_to_fail: u32,
    /// So many of the next instances are never well.
    to_be_unwell: u32,
    updates_to_fail: u32,
    /// Hooks that have begun under their keys.
    hooks: BTreeMap<Key, Begun>,
    /// Hooks do not end by themselves.
    hooks_held: bool,
    /// So many of the next hooks end badly.
    hooks_to_fail: u32,
    /// Why checks cannot tell, if so.
    blind: Option<String>,
    scaler: Option<Scaler>,
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
        let inner = Inner {
            settings,
            machines: servers.iter().map(|s| (s.clone(), Machine::new(version))).collect(),
            surge: BTreeMap::new(),
            surge_admitted: BTreeMap::new(),
            weights: BTreeMap::new(),
            load: Box::new(load),
            stock: BTreeMap::new(),
            closed: BTreeSet::new(),
            hangs: BTreeMap::new(),
            boots_to_fail: 0,
            to_be_unwell: 0,
            updates_to_fail: 0,
            hooks: BTreeMap::new(),
            hooks_held: false,
            hooks_to_fail: 0,
            blind: None,
            scaler: None,
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
        let now = self.now();
        let mut inner = self.lock();
        if let Some(bought) = inner.surge.get_mut(name) {
            bought.ends_at = Some(now);
        }
        inner.advance(now);
    }

    /// The load balancer is reloaded: it knows the servers of its configuration, none drained.
    pub fn reload(&self) {
        let (now, mut inner) = self.present();
        for machine in inner.machines.values_mut() {
            if machine.admitted != Some(Admitted::Yes) {
                machine.undrained = Some(now);
            }
            machine.admitted = Some(Admitted::Yes);
            machine.taken = None;
        }
        inner.facts.reloaded_at = Some(now);
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

    /// The world as what runs at a point of a rollout.
    pub fn hook(&self) -> Arc<dyn Hook> {
        Arc::new(self.clone())
    }

    /// The world's clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic under the lock")
    }

    /// The world as it is at the present moment.
    fn present(&self) -> (Timestamp, MutexGuard<'_, Inner>) {
        let now = self.now();
        let mut inner = self.lock();
        inner.advance(now);
        (now, inner)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Inner {
    /// Ends the updates whose time has come, and takes away the surge whose time has come.
    fn advance(&mut self, now: Timestamp) {
        for (name, bought) in self.surge.iter_mut().filter(|(_, bought)| !bought.lost) {
            let Some(ends) = bought.ends_at.filter(|ends| *ends <= now) else { continue };
            bought.lost = true;
            self.facts.ends(name, ends);
            if let Some(hired) = self.facts.hired(name) {
                hired.lost = true;
            }
        }
        let bad = |name: &ServerName, version: &Version| {
            self.settings.bad.iter().any(|(server, runs)| server == name && runs == version)
        };
        for (name, machine) in &mut self.machines {
            if let Some((key, version, ends)) = machine.update.take_if(|u| u.2 <= now) {
                if machine.failed.contains(&key) {
                    continue;
                }
                machine.bad = bad(name, &version);
                machine.version = version;
                machine.well_at = machine.well_at.max(ends + self.settings.start);
            }
        }
    }

    fn draws(&self) -> Draws {
        Draws::new(self.settings.seed)
    }

    /// When something that gets its first request now carries its full load.
    fn warmed(&self, name: &ServerName, now: Timestamp) -> Warmed {
        let nth = self.facts.updates.get(name).copied().unwrap_or(0);
        let warmup = self.draws().length(self.settings.warmup, name, Part::Warmup, nth);
        Warmed { warm_at: now, full_at: now + warmup }
    }

    fn count_out(&mut self) {
        let ours = |m: &&Machine| m.admitted != Some(Admitted::Yes) && m.taken.is_none();
        let out = self.machines.values().filter(ours).count();
        self.facts.most_out = self.facts.most_out.max(out);
    }
}
