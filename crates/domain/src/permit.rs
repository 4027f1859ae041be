//! Permits: leave that other people's updaters have to take servers out, in a chain of its own. A permit
//! is a lease: it ends by itself, and what it risks counts against the account of its rollout.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::event::Event;
use crate::journal::{Actor, Broken, Digest, Head, Record, UnknownEvent};
use crate::name::{FleetName, Key, RolloutId, ServerName};

/// The name of the chain. The name of a rollout has no `#`, and the number of an attempt is no word.
const CHAIN: &str = "presurge#permits";

/// A permit that was granted.
#[derive(Debug, Clone, PartialEq)]
pub struct Permit {
    /// What it is renewed and released by.
    pub lease: Key,
    /// Of which fleet.
    pub fleet: FleetName,
    /// Whose account it counts against: the name of a rollout of the configuration.
    pub rollout: String,
    /// So many servers may be out.
    pub count: u32,
    /// Which, where the updater said.
    pub servers: Vec<ServerName>,
    /// Who got no requests for another reason when it was granted: what it has out is others.
    pub already_down: Vec<ServerName>,
    /// From then on.
    pub since: Timestamp,
    /// It ends by itself then.
    pub until: Timestamp,
    /// When it was given back.
    pub released: Option<Timestamp>,
    /// What it risked, a probability, at its beginning and at each renewal.
    pub risks: Vec<(Timestamp, f64)>,
    /// Who asked.
    pub actor: Actor,
    /// What for.
    pub reason: String,
    /// The number of its record.
    pub seq: u64,
    /// The requests that it was granted and renewed for, where the archive keeps them.
    pub requests: Vec<Digest>,
}

impl Permit {
    /// Whether its servers may be out at a moment.
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.released.is_none() && now < self.until
    }
}

/// A chain of permits that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadPermits {
    /// The chain does not hold.
    #[error("the journal of permits is damaged; `presurge audit verify {CHAIN}` says more")]
    Broken(#[from] Broken),
    /// It was written by a newer build.
    #[error("the journal of permits was written by another build")]
    Unknown(#[from] UnknownEvent),
    /// An event that cannot follow from those before it.
    #[error("record {seq} of the journal of permits is a {kind} that cannot stand there")]
    Illegal {
        /// The number of the record.
        seq: u64,
        /// The name of its event.
        kind: String,
    },
}

/// All permits of a store: the fold of their chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Permits {
    head: Head,
    list: BTreeMap<Key, Permit>,
}

impl Default for Permits {
    fn default() -> Self {
        Self { head: Head::empty(), list: BTreeMap::new() }
    }
}

impl Permits {
    /// The chain that they are written in.
    pub fn chain() -> RolloutId {
        RolloutId::new(CHAIN).expect("the name of the chain is a name")
    }

    /// The last record that was taken in.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The lease of the next permit that is granted.
    pub fn next_lease(&self) -> Key {
        Key::of(&["permit", &(self.head.seq + 1).to_string()])
    }

    /// Takes one more record in; one that does not continue the chain changes nothing.
    pub fn take(&mut self, record: &Record) -> Result<(), BadPermits> {
        record.continues(&self.head)?;
        let (at, seq) = (record.at, record.seq);
        let illegal = || BadPermits::Illegal { seq, kind: record.kind.clone() };
        match record.event()? {
            Event::PermitGranted {
                lease,
                fleet,
                rollout,
                count,
                servers,
                until,
                risk,
                already_down,
            } => {
                let permit = Permit {
                    lease: lease.clone(),
                    fleet,
                    rollout,
                    count,
                    servers,
                    already_down,
                    since: at,
                    until,
                    released: None,
                    risks: vec![(at, risk)],
                    actor: record.actor.clone(),
                    reason: record.reason.clone(),
                    seq,
                    requests: record.inputs.iter().cloned().collect(),
                };
                if lease != self.next_lease() {
                    return Err(illegal());
                }
                self.list.insert(lease, permit);
            }
            Event::PermitRenewed { lease, until, risk } => {
                let permit = self.list.get_mut(&lease).filter(|permit| permit.in_force(at));
                let permit = permit.ok_or_else(illegal)?;
                permit.until = until;
                permit.risks.push((at, risk));
                permit.requests.extend(record.inputs.clone());
            }
            Event::PermitReleased { lease } => {
                let permit = self.list.get_mut(&lease).filter(|permit| permit.released.is_none());
                permit.ok_or_else(illegal)?.released = Some(at);
            }
            _ => return Err(illegal()),
        }
        self.head = record.head();
        Ok(())
    }

    /// The permit of a lease.
    pub fn get(&self, lease: &Key) -> Option<&Permit> {
        self.list.get(lease)
    }

    /// The permit that was granted or renewed for a request, if there is one.
    pub fn answering(&self, request: Option<&Digest>) -> Option<&Permit> {
        let request = request?;
        self.list.values().find(|permit| permit.requests.contains(request))
    }

    /// Every permit, the oldest first.
    pub fn all(&self) -> Vec<&Permit> {
        let mut all: Vec<&Permit> = self.list.values().collect();
        all.sort_by_key(|permit| permit.seq);
        all
    }

    /// Those that let servers of a fleet be out at a moment.
    pub fn on(&self, fleet: &FleetName, now: Timestamp) -> Vec<&Permit> {
        self.all().into_iter().filter(|p| p.fleet == *fleet && p.in_force(now)).collect()
    }

    /// What the permits of a rollout have risked since a moment, a probability: a sum, which by Boole's
    /// inequality is a bound of all of them together.
    pub fn spent(&self, rollout: &str, since: Timestamp) -> f64 {
        let mine = self.list.values().filter(|permit| permit.rollout == rollout);
        let risks = mine.flat_map(|permit| &permit.risks);
        risks.filter(|(at, _)| *at > since).map(|(_, risk)| risk).sum()
    }

    /// When the first of what counts since a moment does not count any more, `length` after it was
    /// granted.
    pub fn frees(&self, rollout: &str, since: Timestamp) -> Option<Timestamp> {
        let mine = self.list.values().filter(|permit| permit.rollout == rollout);
        mine.flat_map(|permit| &permit.risks).map(|(at, _)| *at).filter(|at| *at > since).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::journal::Entry;

    fn at(minute: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(60 * minute)
    }

    struct Chain(Permits);

    impl Chain {
        fn write(&mut self, minute: u64, event: Event) -> Result<(), BadPermits> {
            let (actor, reason) = (Actor::operator("ann"), "patching".into());
            let entry = Entry { at: at(minute), actor, cause: None, reason, inputs: None, event };
            let record = Record::chain(&Permits::chain(), self.0.head(), entry);
            self.0.take(&record)
        }

        fn grant(&mut self, minute: u64, until: u64, risk: f64) -> Key {
            let lease = self.0.next_lease();
            let event = Event::PermitGranted {
                lease: lease.clone(),
                fleet: FleetName::new("web").unwrap(),
                rollout: "patch".into(),
                count: 2,
                servers: Vec::new(),
                until: at(until),
                risk,
                already_down: Vec::new(),
            };
            self.write(minute, event).unwrap();
            lease
        }
    }

    #[test]
    fn a_permit_ends_by_itself_or_when_it_is_given_back_and_its_risk_stays_spent() {
        let mut chain = Chain(Permits::default());
        let web = FleetName::new("web").unwrap();
        let (one, two) = (chain.grant(0, 10, 0.001), chain.grant(1, 20, 0.002));
        assert_eq!(chain.0.on(&web, at(5)).len(), 2);
        assert_eq!(chain.0.on(&web, at(10)).len(), 1);
        chain.write(6, Event::PermitReleased { lease: two.clone() }).unwrap();
        assert_eq!(chain.0.on(&web, at(7)).len(), 1);
        chain
            .write(8, Event::PermitRenewed { lease: one.clone(), until: at(30), risk: 0.004 })
            .unwrap();
        assert_eq!(chain.0.on(&web, at(29)).len(), 1);
        assert!((chain.0.spent("patch", at(0) - Duration::from_secs(1)) - 0.007).abs() < 1e-12);
        assert!((chain.0.spent("patch", at(1)) - 0.004).abs() < 1e-12);
        assert_eq!(chain.0.frees("patch", at(1)), Some(at(8)));
        assert_eq!(chain.0.spent("other", at(0)), 0.0);
        assert_eq!(chain.0.on(&FleetName::new("db").unwrap(), at(5)).len(), 0);
    }

    #[test]
    fn what_cannot_follow_is_refused() {
        let mut chain = Chain(Permits::default());
        let lease = chain.grant(0, 10, 0.001);
        let unknown = Key::of(&["permit", "7"]);
        assert!(chain.write(1, Event::PermitReleased { lease: unknown }).is_err());
        let late = Event::PermitRenewed { lease: lease.clone(), until: at(90), risk: 0.0 };
        assert!(chain.write(10, late).is_err(), "it had ended");
        chain.write(11, Event::PermitReleased { lease: lease.clone() }).unwrap();
        assert!(chain.write(12, Event::PermitReleased { lease }).is_err());
        assert!(chain.write(13, Event::PauseRequested {}).is_err());
    }
}
