//! What changes in a forecaster is written down: another leader, a new fit after drift, wider intervals.

use std::collections::BTreeMap;

use domain::event::Event;
use domain::journal::{Actor, Entry};
use domain::models::{Changed, Models};
use domain::ports::Journal;
use forecast::RefitReason;
use forecast::settings::{DRIFT_HALF_LIFE, DRIFT_WIDENING};
use jiff::Timestamp;

use super::super::settings::{CHANGES_PER_HOUR, CHANGES_WAIT};
use super::{Fresh, Key, Known, Told};
use crate::apply::chain::{self, ChainError};

/// A change that is to be written down.
#[derive(Debug, Clone)]
pub struct Change {
    key: Key,
    sample: Timestamp,
    what: Changed,
    before: String,
    after: String,
    reason: String,
}

impl Change {
    /// What of the events of a forecaster is a change of it.
    pub fn among<'a>(key: &'a Key, told: &'a Told) -> impl Iterator<Item = Self> + 'a {
        told.iter().filter_map(|(sample, event)| {
            let (what, before, after) = match event {
                forecast::Event::LeaderChanged { from, to, .. } => {
                    (Changed::Leader, from.clone(), to.clone())
                }
                forecast::Event::Drifted(_) => (
                    Changed::Width,
                    "as calibrated".into(),
                    format!("{DRIFT_WIDENING} times as wide, half of it gone after {DRIFT_HALF_LIFE} steps"),
                ),
                _ => return None,
            };
            let (key, sample, reason) = (key.clone(), *sample, event.to_string());
            Some(Self { key, sample, what, before, after, reason })
        })
    }

    /// A new fit, where it was not due by age alone.
    pub fn fit(key: &Key, former: &Known, now: &Known) -> Option<Self> {
        let due = former.forecaster.refit_due();
        let reason = due.filter(|due| !matches!(due, RefitReason::Age { .. }))?;
        let fit = |known: &Known| {
            let led = known.forecaster.report().chosen;
            format!("of {:.0}, {led} leads", known.fitted_at)
        };
        Some(Self {
            key: key.clone(),
            sample: now.forecaster.end(),
            what: Changed::Fit,
            before: fit(former),
            after: fit(now),
            reason: reason.to_string(),
        })
    }

    fn entry(self, at: Timestamp) -> Entry {
        let Self { key: (fleet, dimension), sample, what, before, after, reason } = self;
        let event = Event::ForecasterChanged { fleet, dimension, sample, what, before, after };
        Entry { at, actor: Actor("forecaster".into()), cause: None, reason, inputs: None, event }
    }
}

impl Fresh {
    /// Notes changes, to be written down together. Where the store does not take any for long, the oldest
    /// are given up.
    pub(super) fn note(&self, changes: impl IntoIterator<Item = Change>) {
        let mut waiting = self.changes.lock().expect("nobody panics with it");
        waiting.extend(changes);
        let over = waiting.len().saturating_sub(CHANGES_WAIT);
        waiting.drain(..over);
    }

    /// Writes down what was noted, no more of one forecaster than a few in an hour, and nothing that
    /// another replica has written already.
    pub(super) async fn write_down(
        &self,
        journal: &dyn Journal,
        models: &mut Models,
        now: Timestamp,
    ) -> Result<(), ChainError<domain::models::BadModels>> {
        let changes = std::mem::take(&mut *self.changes.lock().expect("nobody panics with it"));
        if changes.is_empty() {
            return Ok(());
        }
        let written = chain::write_on(journal, models, |models| due(&changes, models, now)).await;
        if written.is_err() {
            self.note(changes);
        }
        written
    }
}

/// The changes that are written down now.
fn due(changes: &[Change], models: &Models, now: Timestamp) -> Vec<Entry> {
    let hour = now - jiff::SignedDuration::from_hours(1);
    let mut written: BTreeMap<&Key, usize> = BTreeMap::new();
    let mut entries = Vec::new();
    for change in changes {
        let (fleet, dimension) = &change.key;
        let count =
            written.entry(&change.key).or_insert_with(|| models.since(fleet, dimension, hour));
        let known = models.has(fleet, dimension, change.what, change.sample);
        if !known && *count < CHANGES_PER_HOUR {
            *count += 1;
            entries.push(change.clone().entry(now));
        }
    }
    entries
}
