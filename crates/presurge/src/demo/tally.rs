//! What the requests of one run met.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::settings::WAIT_LIMIT;

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// An answer, after so long, and after waiting so long for a worker.
    Answer {
        /// From sending to the whole answer.
        took: Duration,
        /// As the server says.
        waited: Duration,
    },
    /// 503: no server took it, or its queue was full.
    Refusal,
    /// Another status, a broken connection, no answer in time.
    Failure,
}

/// The requests of one real second, by the moment they were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Second {
    /// Requests sent.
    pub sent: u32,
    /// Refused or waited over [`WAIT_LIMIT`].
    pub overloaded: u32,
    /// Not answered with 200, the refused ones included.
    pub failed: u32,
}

/// Counts while a run lasts.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default, Clone)]
struct Counts {
    seconds: Vec<Second>,
    took: Vec<Duration>,
    longest_wait: Duration,
}

/// What a run comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Totals {
    /// Requests sent.
    pub requests: u64,
    /// Requests that were not answered with 200.
    pub failed: u64,
    /// Median latency of the answered ones, in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of their latency, in milliseconds.
    pub p99_ms: f64,
    /// The longest wait for a worker, in milliseconds.
    pub longest_wait_ms: f64,
    /// Real seconds in which at least one request was refused or waited over [`WAIT_LIMIT`].
    pub overloaded_seconds: u64,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A request was sent in that second of the run.
    pub fn sent(&self, second: usize) {
        self.counts().second(second).sent += 1;
    }

    /// What became of a request that was sent in that second.
    pub fn met(&self, second: usize, met: Met) {
        let mut counts = self.counts();
        match met {
            Met::Answer { took, waited } => {
                counts.took.push(took);
                counts.longest_wait = counts.longest_wait.max(waited);
                counts.second(second).overloaded += u32::from(waited > WAIT_LIMIT);
            }
            Met::Refusal => {
                counts.second(second).overloaded += 1;
                counts.second(second).failed += 1;
            }
            Met::Failure => counts.second(second).failed += 1,
        }
    }

    /// Every second so far.
    pub fn seconds(&self) -> Vec<Second> {
        self.counts().seconds.clone()
    }

    /// What it comes to so far.
    pub fn totals(&self) -> Totals {
        let Counts { seconds, mut took, longest_wait } = self.counts().clone();
        took.sort_unstable();
        let sum = |of: fn(&Second) -> u32| seconds.iter().map(|s| u64::from(of(s))).sum();
        Totals {
            requests: sum(|s| s.sent),
            failed: sum(|s| s.failed),
            p50_ms: milliseconds(&took, 0.50),
            p99_ms: milliseconds(&took, 0.99),
            longest_wait_ms: longest_wait.as_secs_f64() * 1e3,
            overloaded_seconds: seconds.iter().filter(|s| s.overloaded > 0).count() as u64,
        }
    }
}

impl Counts {
    fn second(&mut self, index: usize) -> &mut Second {
        if index >= self.seconds.len() {
            self.seconds.resize(index + 1, Second::default());
        }
        &mut self.seconds[index]
    }
}

/// The least latency that this share of the requests did not exceed; 0 when there are none.
fn milliseconds(sorted: &[Duration], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let found = sorted.get(rank.saturating_sub(1));
    found.map_or(0.0, |took| (took.as_secs_f64() * 1e4).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(took: u64, waited: u64) -> Met {
        Met::Answer { took: Duration::from_millis(took), waited: Duration::from_millis(waited) }
    }

    #[test]
    fn overload_is_counted_in_the_second_of_sending_and_failures_apart() {
        let tally = Tally::default();
        for second in [0, 0, 0, 2, 3] {
            tally.sent(second);
        }
        let limit = u64::try_from(WAIT_LIMIT.as_millis()).unwrap();
        tally.met(0, answer(100, limit));
        tally.met(0, answer(900, limit + 1));
        tally.met(0, answer(300, limit + 1));
        tally.met(2, Met::Refusal);
        tally.met(3, Met::Failure);
        let totals = tally.totals();
        assert_eq!((totals.requests, totals.failed, totals.overloaded_seconds), (5, 2, 2));
        assert_eq!(totals.longest_wait_ms, (limit + 1) as f64);
        assert_eq!((totals.p50_ms, totals.p99_ms), (300.0, 900.0));
        assert_eq!(tally.seconds()[1], Second::default());
    }

    #[test]
    fn a_run_without_requests_has_no_latency() {
        assert_eq!(Tally::default().totals().p99_ms, 0.0);
    }
}
