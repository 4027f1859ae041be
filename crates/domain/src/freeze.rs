//! The kill switch: freezes that people declare, in a chain of their own beside those of the
//! rollouts of a store. Every driver of the store reads it before it lets a server go out.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use crate::event::Event;
use crate::journal::{Actor, Broken, Digest, Head, Record, UnknownEvent};
use crate::name::{FleetName, RolloutId};

/// The name of the chain of freezes. The name of a rollout has no `#`, and the number of an
/// attempt is no word, so that no rollout has this one.
const CHAIN: &str = "presurge#freezes";

/// A freeze that was declared and not lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Which fleet; `None`: every one.
    pub fleet: Option<FleetName>,
    /// When it was declared.
    pub since: Timestamp,
    /// It ends by itself then; `None`: when it is lifted.
    pub until: Option<Timestamp>,
    /// By whom.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// The number of its record.
    pub seq: u64,
}

impl Freeze {
    /// Whether it stops the removals of a fleet at a moment.
    pub fn stops(&self, fleet: &FleetName, now: Timestamp) -> bool {
        self.in_force(now) && self.fleet.as_ref().is_none_or(|frozen| frozen == fleet)
    }

    /// Whether it has not ended by itself.
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// What is frozen, in words.
    pub fn scope(&self) -> String {
        self.fleet.as_ref().map_or_else(|| "everything".into(), |fleet| format!("fleet {fleet}"))
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scope, actor, since) = (self.scope(), &self.actor.0, self.since);
        write!(f, "{scope} is frozen by {actor} since {since:.0}")?;
        if let Some(until) = self.until {
            write!(f, " until {until:.0}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// A chain of freezes that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadFreezes {
    /// The chain does not hold.
    #[error("the journal of freezes is damaged; `presurge audit verify {CHAIN}` says more")]
    Broken(#[from] Broken),
    /// It was written by a newer build.
    #[error("the journal of freezes was written by another build")]
    Unknown(#[from] UnknownEvent),
    /// It holds what belongs elsewhere.
    #[error("record {seq} of the journal of freezes is a {kind}")]
    Foreign {
        /// The number of the record.
        seq: u64,
        /// The name of its event.
        kind: String,
    },
}

/// The freezes that were not lifted: the fold of their chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freezes {
    head: Head,
    list: Vec<Freeze>,
    requests: BTreeSet<Digest>,
}

impl Default for Freezes {
    fn default() -> Self {
        Self { head: Head::empty(), list: Vec::new(), requests: BTreeSet::new() }
    }
}

impl Freezes {
    /// The chain that they are written in.
    pub fn chain() -> RolloutId {
        RolloutId::new(CHAIN).expect("the name of the chain is a name")
    }

    /// The last record that was taken in.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Takes one more record in; one that does not continue the chain changes nothing.
    pub fn take(&mut self, record: &Record) -> Result<(), BadFreezes> {
        record.continues(&self.head)?;
        match record.event()? {
            Event::FreezeRequested { fleet, until } => self.list.push(Freeze {
                fleet,
                since: record.at,
                until,
                actor: record.actor.clone(),
                reason: record.reason.clone(),
                seq: record.seq,
            }),
            Event::UnfreezeRequested { fleet } => self.list.retain(|freeze| freeze.fleet != fleet),
            _ => {
                let kind = record.kind.clone();
                return Err(BadFreezes::Foreign { seq: record.seq, kind });
            }
        }
        self.requests.extend(record.inputs.clone());
        self.head = record.head();
        Ok(())
    }

    /// Whether a request, which the archive keeps, was written already.
    pub fn has_answered(&self, request: Option<&Digest>) -> bool {
        request.is_some_and(|request| self.requests.contains(request))
    }

    /// Those that have not ended by themselves, oldest first.
    pub fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &Freeze> {
        self.list.iter().filter(move |freeze| freeze.in_force(now))
    }

    /// The oldest one that stops the removals of a fleet.
    pub fn on(&self, fleet: &FleetName, now: Timestamp) -> Option<&Freeze> {
        self.list.iter().find(|freeze| freeze.stops(fleet, now))
    }
}
