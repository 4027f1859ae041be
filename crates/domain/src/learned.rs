//! What finished rollouts show of a fleet: how long things take, how often they fail. It stands in
//! a chain of its own beside those of the rollouts of a store, with who said it and why.

mod figure;
mod quantity;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::journal::{Actor, Broken, Head, Record, UnknownEvent};
use crate::name::{FleetName, RolloutId};

pub use figure::{BadFigure, Figure};
pub use quantity::{BadQuantity, Hourly, Kind, Quantity};

/// The name of the chain. The name of a rollout has no `#`, and the number of an attempt is no word.
const CHAIN: &str = "presurge#learned";

/// Figures that take the place of those of the configuration.
pub type Figures = BTreeMap<Quantity, Figure>;

/// What a figure was learned from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// Finished rollouts in which it was seen.
    pub rollouts: u32,
    /// Durations that were seen to their end, or what could have failed: instances, updates; for
    /// interruptions, hours of instances.
    pub seen: f64,
    /// Durations of which only a least length is known; or what did fail.
    pub of_which: f64,
}

/// A figure that was learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Lesson {
    /// The figure.
    pub figure: Figure,
    /// What it was learned from.
    pub evidence: Evidence,
    /// When.
    pub at: Timestamp,
    /// The number of its record.
    pub seq: u64,
}

/// A figure that a person has fixed.
#[derive(Debug, Clone, PartialEq)]
pub struct Pin {
    /// The figure; `None`: the one of the configuration.
    pub figure: Option<Figure>,
    /// Who.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// The number of its record.
    pub seq: u64,
}

/// What is known of one fleet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lessons {
    /// What was learned.
    pub learned: BTreeMap<Quantity, Lesson>,
    /// What people fixed; it goes first.
    pub pinned: BTreeMap<Quantity, Pin>,
}

impl Lessons {
    /// What plans of the fleet are made with, where it is not what the configuration says. In an hour the
    /// first of these counts that there is: what is pinned for the hour, what is pinned for the whole day, what
    /// was learned of the hour, what was learned of the whole day. An hour that is pinned to the
    /// configuration, which knows no hours, goes by the whole day.
    pub fn figures(&self) -> Figures {
        let pinned = |what: &Quantity| self.pinned.contains_key(what);
        let hidden =
            |what: &Quantity| pinned(what) || what.of_day().is_some_and(|day| pinned(&day));
        let learned = self.learned.iter().filter(|(what, _)| !hidden(what));
        let learned = learned.map(|(what, lesson)| (what.clone(), lesson.figure));
        let pinned = self.pinned.iter().filter_map(|(what, pin)| Some((what.clone(), pin.figure?)));
        learned.chain(pinned).collect()
    }

    /// Takes in what was learned. An hour that is adjusted to what was learned of the whole day has no
    /// figure of its own any more, and follows the day from then on.
    fn learn(&mut self, what: Quantity, lesson: Lesson) {
        let day = what.of_day().and_then(|day| self.learned.get(&day));
        match day.is_some_and(|day| day.figure == lesson.figure) {
            true => self.learned.remove(&what),
            false => self.learned.insert(what, lesson),
        };
    }
}

/// A chain of lessons that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadLessons {
    /// The chain does not hold.
    #[error(
        "the journal of what was learned is damaged; `presurge audit verify {CHAIN}` says more"
    )]
    Broken(#[from] Broken),
    /// It was written by a newer build.
    #[error("the journal of what was learned was written by another build")]
    Unknown(#[from] UnknownEvent),
    /// It holds what belongs elsewhere.
    #[error("record {seq} of the journal of what was learned is a {kind}")]
    Foreign {
        /// The number of the record.
        seq: u64,
        /// The name of its event.
        kind: String,
    },
    /// A figure is none of its quantity.
    #[error("record {seq} of the journal of what was learned: {quantity}: {source}")]
    Figure {
        /// The number of the record.
        seq: u64,
        /// Of what.
        quantity: Quantity,
        /// What is wrong.
        source: BadFigure,
    },
}

/// What is known of all fleets of a store: the fold of the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    head: Head,
    fleets: BTreeMap<FleetName, Lessons>,
}

impl Default for Learned {
    fn default() -> Self {
        Self { head: Head::empty(), fleets: BTreeMap::new() }
    }
}

impl Learned {
    /// The chain that it is written in.
    pub fn chain() -> RolloutId {
        RolloutId::new(CHAIN).expect("the name of the chain is a name")
    }

    /// The last record that was taken in.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Takes one more record in; one that does not continue the chain changes nothing.
    pub fn take(&mut self, record: &Record) -> Result<(), BadLessons> {
        record.continues(&self.head)?;
        let (at, seq) = (record.at, record.seq);
        let good = |what: &Quantity, figure: Option<Figure>| match figure {
            Some(figure) => what.check(figure).map_err(|source| BadLessons::Figure {
                seq,
                quantity: what.clone(),
                source,
            }),
            None => Ok(()),
        };
        match record.event()? {
            Event::Adjusted { fleet, quantity, after, evidence, .. } => {
                good(&quantity, Some(after))?;
                let lesson = Lesson { figure: after, evidence, at, seq };
                self.fleets.entry(fleet).or_default().learn(quantity, lesson);
            }
            Event::PinRequested { fleet, quantity, figure } => {
                good(&quantity, figure)?;
                let (actor, reason) = (record.actor.clone(), record.reason.clone());
                let pin = Pin { figure, actor, reason, at, seq };
                self.fleets.entry(fleet).or_default().pinned.insert(quantity, pin);
            }
            Event::UnpinRequested { fleet, quantity } => {
                self.fleets.entry(fleet).or_default().pinned.remove(&quantity);
            }
            _ => return Err(BadLessons::Foreign { seq, kind: record.kind.clone() }),
        }
        self.head = record.head();
        Ok(())
    }

    /// What is known of a fleet.
    pub fn of(&self, fleet: &FleetName) -> Lessons {
        self.fleets.get(fleet).cloned().unwrap_or_default()
    }

    /// Every fleet of which something is known.
    pub fn fleets(&self) -> impl Iterator<Item = (&FleetName, &Lessons)> {
        self.fleets.iter()
    }
}

#[cfg(test)]
mod tests;
