//! What others do to the world, and what is missing in truth.

use domain::name::{OfferName, ServerName, Version};
use jiff::Timestamp;

use super::{Admitted, Machine, SimWorld};

/// Why a server of the fleet is not in service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A caller drained it.
    Drained,
    /// Somebody else took it out.
    Taken,
    /// It does not pass its checks.
    Unwell,
}

/// A server of the fleet that is not in service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub server: ServerName,
    /// Why.
    pub why: Why,
    /// Since when, where it was not the work of a caller.
    pub since: Option<Timestamp>,
    /// What it runs.
    pub version: Version,
}

impl SimWorld {
    /// A server stops serving by itself and is well again at `until`; its update fails.
    pub fn kill(&self, name: &ServerName, until: Timestamp) {
        let (now, mut inner) = self.present();
        let Some(machine) = inner.machines.get_mut(name) else { return };
        machine.died = Some(now);
        machine.well_at = machine.well_at.max(until);
        if let Some((key, _, ends)) = &mut machine.update {
            machine.failed.push(key.clone());
            *ends = now;
        }
    }

    /// Somebody puts another machine in the place of a server: at `version`, in service at the
    /// load balancer, well at `until`. It knows of no update.
    pub fn replace(&self, name: &ServerName, version: &Version, until: Timestamp) {
        let (now, mut inner) = self.present();
        let Some(machine) = inner.machines.get_mut(name) else { return };
        let drained = machine.admitted != Some(Admitted::Yes);
        *machine = Machine {
            well_at: until,
            died: Some(now),
            undrained: drained.then_some(now),
            ..Machine::new(version)
        };
        *inner.facts.replaced.entry(name.clone()).or_default() += 1;
    }

    /// Somebody else takes a server out of service. One that is out already is left alone.
    pub fn take_out(&self, name: &ServerName) {
        let (now, mut inner) = self.present();
        let Some(machine) = inner.machines.get_mut(name) else { return };
        if machine.admitted == Some(Admitted::Yes) {
            machine.admitted = Some(Admitted::Drained(now));
            machine.taken = Some(now);
        }
    }

    /// Whoever took a server out puts it back.
    pub fn put_back(&self, name: &ServerName) {
        let (_, mut inner) = self.present();
        let Some(machine) = inner.machines.get_mut(name) else { return };
        if machine.taken.take().is_some() {
            machine.admitted = Some(Admitted::Yes);
        }
    }

    /// So many of the next hooks end badly.
    pub fn fail_hooks(&self, count: u32) {
        self.lock().hooks_to_fail = count;
    }

    /// Hooks do not end by themselves while this is set.
    pub fn hold_hooks(&self, held: bool) {
        self.lock().hooks_held = held;
    }

    /// From now on checks cannot tell, for this reason; `None`: they can again.
    pub fn blind_checks(&self, why: Option<&str>) {
        self.lock().blind = why.map(str::to_owned);
    }

    /// Connections of a server, of the fleet or of the surge, do not end before `until`.
    pub fn hang(&self, name: &ServerName, until: Timestamp) {
        let (now, mut inner) = self.present();
        inner.hangs.insert(name.clone(), until);
        let fleet = inner.machines.get_mut(name).and_then(|m| m.admitted.as_mut());
        if let Some(Admitted::Drained(quiet)) = fleet
            && *quiet > now
        {
            *quiet = until;
        }
        if let Some(Admitted::Drained(quiet)) = inner.surge_admitted.get_mut(name)
            && *quiet > now
        {
            *quiet = until;
        }
    }

    /// Every connection ends as soon as it is drained again.
    pub fn unhang(&self) {
        let (now, mut inner) = self.present();
        inner.hangs.clear();
        let fleet = inner.machines.values_mut().filter_map(|m| m.admitted.as_mut());
        let fleet: Vec<_> = fleet.filter(|a| matches!(a, Admitted::Drained(_))).collect();
        for admitted in fleet {
            *admitted = Admitted::Drained(now);
        }
        for admitted in inner.surge_admitted.values_mut() {
            if matches!(admitted, Admitted::Drained(_)) {
                *admitted = Admitted::Drained(now);
            }
        }
    }

    /// The next `count` instances that are bought are lost while they start.
    pub fn fail_boots(&self, count: u32) {
        self.lock().boots_to_fail = count;
    }

    /// The next `count` instances that are bought run and never pass their checks.
    pub fn make_unwell(&self, count: u32) {
        self.lock().to_be_unwell = count;
    }

    /// The next `count` updates fail.
    pub fn fail_updates(&self, count: u32) {
        self.lock().updates_to_fail = count;
    }

    /// As many instances of an offer as one likes can be had again.
    pub fn restock(&self, offer: &OfferName) {
        self.lock().stock.remove(offer);
    }

    /// Every server of the fleet that is not in service in truth.
    pub fn missing(&self) -> Vec<Missing> {
        let (now, inner) = self.present();
        let mut list = Vec::new();
        for (name, machine) in &inner.machines {
            let well = machine.is_well(now);
            let (why, since) = match (machine.admitted, machine.taken) {
                (Some(Admitted::Yes), _) if well => continue,
                (Some(Admitted::Yes), _) => (Why::Unwell, machine.died),
                (_, Some(at)) => (Why::Taken, Some(at)),
                (_, None) => (Why::Drained, None),
            };
            let (server, version) = (name.clone(), machine.version.clone());
            list.push(Missing { server, why, since, version });
        }
        list
    }

    /// What every server of the fleet runs in truth.
    pub fn versions(&self) -> Vec<(ServerName, Version)> {
        let (_, inner) = self.present();
        inner.machines.iter().map(|(name, m)| (name.clone(), m.version.clone())).collect()
    }

    /// Whether a server of the fleet passes its checks in truth.
    pub fn is_well(&self, name: &ServerName) -> bool {
        let (now, inner) = self.present();
        inner.machines.get(name).is_some_and(|m| m.is_well(now))
    }

    /// Whether the load balancer sends requests to a server of the fleet.
    pub fn admitted(&self, name: &ServerName) -> bool {
        let inner = self.lock();
        inner.machines.get(name).is_some_and(|m| m.admitted == Some(Admitted::Yes))
    }

    /// When the load balancer last forgot that a server was drained.
    pub fn undrained(&self, name: &ServerName) -> Option<Timestamp> {
        self.lock().machines.get(name).and_then(|machine| machine.undrained)
    }

    /// When a server last stopped serving by itself, or became another machine.
    pub fn died(&self, name: &ServerName) -> Option<Timestamp> {
        self.lock().machines.get(name).and_then(|machine| machine.died)
    }

    /// Servers, of the fleet or of the surge, whose drain had not ended at a moment.
    pub fn busy_at(&self, moment: Timestamp) -> Vec<ServerName> {
        let (_, inner) = self.present();
        let fleet = inner.machines.iter().filter_map(|(name, m)| Some((name, m.admitted?)));
        let all = fleet.chain(inner.surge_admitted.iter().map(|(name, a)| (name, *a)));
        let busy = |a: Admitted| matches!(a, Admitted::Drained(quiet) if quiet > moment);
        all.filter(|(_, a)| busy(*a)).map(|(name, _)| name.clone()).collect()
    }

    /// Whether any offer is sold out.
    pub fn is_short_of_stock(&self) -> bool {
        self.lock().stock.values().any(|left| *left == 0)
    }

    /// The load at the present moment.
    pub fn load_now(&self) -> f64 {
        let (now, inner) = self.present();
        (inner.load)(now)
    }

    /// The present moment of the world.
    pub fn true_now(&self) -> Timestamp {
        self.now()
    }

    /// Surge that gets requests and serves them in truth.
    pub fn surge_serving(&self) -> Vec<ServerName> {
        let (now, inner) = self.present();
        let serves =
            |name: &ServerName| inner.surge.get(name).is_some_and(|b| !b.lost && b.runs_at <= now);
        let admitted = inner.surge_admitted.iter().filter(|(_, a)| **a == Admitted::Yes);
        admitted.map(|(name, _)| name.clone()).filter(|name| serves(name)).collect()
    }

    /// Surge that the load balancer knows.
    pub fn surge_known(&self) -> Vec<ServerName> {
        self.lock().surge_admitted.keys().cloned().collect()
    }
}
