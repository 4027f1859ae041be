//! What has changed in the forecasters that daemons keep: another leader, a new fit, wider intervals. It
//! stands in a chain of its own beside those of the rollouts of a store.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::journal::{Broken, Head, Record, UnknownEvent};
use crate::name::{Dimension, FleetName, RolloutId};

/// The name of the chain. The name of a rollout has no `#`, and the number of an attempt is no word.
const CHAIN: &str = "presurge#models";

/// So many changes of one forecaster are remembered by a fold of the chain.
const REMEMBERED: usize = 16;

/// What has changed in a forecaster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Changed {
    /// The model, or combination, that has the most weight.
    Leader,
    /// The fit, since forecasts had become worse.
    Fit,
    /// The width of intervals, for a while.
    Width,
}

/// A change, as it stands in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub what: Changed,
    /// The sample after which it changed.
    pub sample: Timestamp,
    /// When it was written down.
    pub at: Timestamp,
}

/// A chain of changes that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadModels {
    /// The chain does not hold.
    #[error("the journal of forecasters is damaged; `presurge audit verify {CHAIN}` says more")]
    Broken(#[from] Broken),
    /// It was written by a newer build.
    #[error("the journal of forecasters was written by another build")]
    Unknown(#[from] UnknownEvent),
    /// It holds what belongs elsewhere.
    #[error("record {seq} of the journal of forecasters is a {kind}")]
    Foreign {
        /// The number of the record.
        seq: u64,
        /// The name of its event.
        kind: String,
    },
}

/// The newest changes of all forecasters of a store: the fold of the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Models {
    head: Head,
    changes: BTreeMap<FleetName, BTreeMap<Dimension, VecDeque<Change>>>,
}

impl Default for Models {
    fn default() -> Self {
        Self { head: Head::empty(), changes: BTreeMap::new() }
    }
}

impl Models {
    /// The chain that it is written in.
    pub fn chain() -> RolloutId {
        RolloutId::new(CHAIN).expect("the name of the chain is a name")
    }

    /// The last record that was taken in.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Takes one more record in; one that does not continue the chain changes nothing.
    pub fn take(&mut self, record: &Record) -> Result<(), BadModels> {
        record.continues(&self.head)?;
        let Event::ForecasterChanged { fleet, dimension, sample, what, .. } = record.event()?
        else {
            return Err(BadModels::Foreign { seq: record.seq, kind: record.kind.clone() });
        };
        let changes = self.changes.entry(fleet).or_default().entry(dimension).or_default();
        changes.push_back(Change { what, sample, at: record.at });
        if changes.len() > REMEMBERED {
            changes.pop_front();
        }
        self.head = record.head();
        Ok(())
    }

    /// Whether a change is there already: another replica that carries the same forecaster saw it too.
    pub fn has(&self, fleet: &FleetName, of: &Dimension, what: Changed, sample: Timestamp) -> bool {
        self.of(fleet, of).any(|change| change.what == what && change.sample == sample)
    }

    /// How many of the newest changes of a forecaster were written since a moment.
    pub fn since(&self, fleet: &FleetName, of: &Dimension, at: Timestamp) -> usize {
        self.of(fleet, of).filter(|change| change.at > at).count()
    }

    fn of(&self, fleet: &FleetName, dimension: &Dimension) -> impl Iterator<Item = &Change> {
        self.changes.get(fleet).and_then(|all| all.get(dimension)).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Actor, Entry};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn record(models: &Models, second: i64, event: Event) -> Record {
        let entry = Entry {
            at: at(second),
            actor: Actor("forecaster".into()),
            cause: None,
            reason: "its loss is lower".into(),
            inputs: None,
            event,
        };
        Record::chain(&Models::chain(), models.head(), entry)
    }

    fn changed(what: Changed, sample: i64) -> Event {
        Event::ForecasterChanged {
            fleet: FleetName::new("web").unwrap(),
            dimension: Dimension::new("requests").unwrap(),
            sample: at(sample),
            what,
            before: "naive".into(),
            after: "mstl".into(),
        }
    }

    #[test]
    fn the_newest_changes_are_known_and_what_belongs_elsewhere_is_refused() {
        let (web, load) = (FleetName::new("web").unwrap(), Dimension::new("requests").unwrap());
        let mut models = Models::default();
        for second in 0..40 {
            let what = if second % 2 == 0 { Changed::Leader } else { Changed::Width };
            let next = record(&models, 60 * second, changed(what, second));
            models.take(&next).unwrap();
        }
        assert!(models.has(&web, &load, Changed::Leader, at(38)));
        assert!(!models.has(&web, &load, Changed::Width, at(38)));
        assert_eq!(models.since(&web, &load, at(60 * 34)), 5);
        assert_eq!(models.since(&web, &load, at(-1)), REMEMBERED);
        assert_eq!(models.since(&FleetName::new("api").unwrap(), &load, at(-1)), 0);
        let before = models.clone();
        let foreign = record(&models, 0, Event::PauseRequested {});
        assert!(matches!(models.take(&foreign), Err(BadModels::Foreign { seq: 41, .. })));
        let next = record(&models, 0, changed(Changed::Fit, 99));
        models.take(&next).unwrap();
        assert!(matches!(models.take(&next), Err(BadModels::Broken(_))));
        assert_ne!(models, before);
    }
}
