//! What a driver remembers between turns. All of it can be lost.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::freeze::Freezes;
use domain::name::{Key, ServerName};
use domain::plan::PerDimension;
use domain::ports::{PortError, Retry};
use domain::series::Sample;
use domain::size::SizeSettings;
use jiff::Timestamp;

use crate::gates::{Gate, Tallies};
use crate::observe::{Runs, Verdict};
use crate::serving::Serving;
use crate::settings::{BACKOFF_FIRST_SECONDS, BACKOFF_LONGEST_SECONDS, FAILURES_TO_HOLD};

/// The failures of one call in a row.
#[derive(Debug, Clone, Default)]
pub(super) struct Failures {
    /// How many.
    pub(super) count: u32,
    /// The newest error.
    pub(super) text: String,
    /// How many were written to the journal.
    pub(super) written: u32,
    /// The order of surge that is refused for good; that is not a hold but another plan.
    pub(super) refuses: Option<Key>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The recent verdicts of the gates.
    pub(super) tallies: Tallies,
    /// Since which event each of them is asked about: what was said before was of something else.
    pub(super) asked: BTreeMap<ServerName, u64>,
    /// When each call may be made again.
    next: BTreeMap<String, Timestamp>,
    /// The calls that fail.
    failures: BTreeMap<String, Failures>,
    /// Servers that should be in service and are not, and since when.
    pub(super) down_since: BTreeMap<ServerName, Timestamp>,
    /// The newest load.
    pub(super) load: PerDimension<Vec<Sample>>,
    /// When the load was last asked for.
    pub(super) load_at: Option<Timestamp>,
    /// The freezes, as far as their chain was read.
    pub(super) freezes: Freezes,
    /// When a revision was last refused.
    pub(super) refused_at: Option<Timestamp>,
    /// What the batches that are left risk.
    pub(super) verdict: Option<Verdict>,
    /// The auto-scaler, as it was seen last since the newest command to it, when, and after which
    /// event about it.
    pub(super) size: Option<(Timestamp, SizeSettings, Option<u64>)>,
    /// Since when it has been seen with more freedom than the rollout gave it.
    pub(super) size_loose_since: Option<Timestamp>,
    /// What updated servers run.
    pub(super) runs: BTreeMap<ServerName, Runs>,
    /// What the load balancer counted.
    pub(super) serving: Serving,
}

impl Memory {
    /// Whether a call may be made now.
    pub(super) fn is_due(&self, call: &str, now: Timestamp) -> bool {
        self.next.get(call).is_none_or(|at| now >= *at)
    }

    /// The first moment after `now` at which a call that waits, or a gate, is to be asked.
    pub(super) fn next_call(&self, gates: &[Gate], now: Timestamp) -> Option<Timestamp> {
        let calls = self.next.values().copied();
        calls.chain(self.tallies.due(gates)).filter(|at| *at > now).min()
    }

    /// The call answered; it may be made again after `pause`.
    pub(super) fn answered(&mut self, call: &str, now: Timestamp, pause: Option<Duration>) {
        self.failures.remove(call);
        match pause {
            Some(pause) => self.next.insert(call.to_owned(), now + pause),
            None => self.next.remove(call),
        };
    }

    /// The call failed. `true` when the failure is news that belongs into the journal.
    pub(super) fn failed(
        &mut self,
        call: &str,
        now: Timestamp,
        error: &PortError,
        most: u32,
    ) -> bool {
        let text = error.chain();
        let failures = self.failures.entry(call.to_owned()).or_default();
        let news = failures.text != text && failures.written < most;
        failures.count = match error.retry {
            Retry::Never => failures.count.max(FAILURES_TO_HOLD),
            _ => failures.count.saturating_add(1),
        };
        failures.text = text;
        failures.written += u32::from(news);
        let doublings = failures.count.min(16) - 1;
        let backoff =
            (BACKOFF_FIRST_SECONDS * 2f64.powi(doublings as i32)).min(BACKOFF_LONGEST_SECONDS);
        let pause = match error.retry {
            Retry::After(pause) => pause,
            Retry::Never | Retry::Backoff => Duration::from_secs_f64(backoff),
        };
        self.next.insert(call.to_owned(), now + pause);
        news
    }

    /// A call that has failed too often, with its error.
    pub(super) fn failing(&self) -> Option<String> {
        let fails = |f: &&Failures| f.count >= FAILURES_TO_HOLD && f.refuses.is_none();
        let failing = self.failures.values().find(fails)?;
        Some(failing.text.clone())
    }

    /// The call that failed last is an order of surge, and the seller refuses it for good.
    pub(super) fn refused(&mut self, call: &str, order: &Key) {
        if let Some(failures) = self.failures.get_mut(call) {
            failures.refuses = Some(order.clone());
        }
    }

    /// The orders of surge that are refused for good, with what was said.
    pub(super) fn sold_out(&self) -> BTreeMap<Key, String> {
        let refuses = |f: &Failures| Some((f.refuses.clone()?, f.text.clone()));
        self.failures.values().filter_map(refuses).collect()
    }

    /// Forgets calls that are not made any more.
    pub(super) fn keep(&mut self, made: impl Fn(&str) -> bool) {
        self.next.retain(|call, _| made(call));
        self.failures.retain(|call, _| made(call));
    }
}
