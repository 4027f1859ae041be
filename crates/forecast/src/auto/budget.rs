//! How long a fit may take.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A limit to the time of a fit, by a clock that the caller owns.
///
/// Models are tried cheapest first. Once the time is gone the rest are left out, and a model
/// whose fit goes on too long is given up; the report names both. What has begun a single fit
/// finishes it, so the limit is overrun by one fit at most. With a budget the result depends on
/// the speed of the machine.
#[derive(Clone)]
pub struct Budget {
    limit: Duration,
    clock: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Budget {
    /// A budget of `limit`, counted from the start of each fit by `clock`, which tells the time
    /// since any fixed moment.
    pub fn new(limit: Duration, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { limit, clock: Arc::new(clock) }
    }

    /// Starts to count.
    pub(crate) fn start(&self) -> Deadline<'_> {
        Deadline { budget: self, end: (self.clock)().saturating_add(self.limit) }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// A clock that tells how much processor time the thread that asks it has spent, since any fixed
/// moment of that thread.
#[derive(Clone)]
pub struct ThreadClock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl ThreadClock {
    /// The clock that this function is.
    pub fn new(clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(clock))
    }

    /// The time that the calling thread has spent.
    pub(crate) fn now(&self) -> Duration {
        (self.0)()
    }
}

impl fmt::Debug for ThreadClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ThreadClock")
    }
}

/// A budget whose time is running.
pub(crate) struct Deadline<'a> {
    budget: &'a Budget,
    end: Duration,
}

impl Deadline<'_> {
    /// The share of the whole budget that so much time is.
    pub(crate) fn share(&self, spent: Duration) -> f64 {
        spent.as_secs_f64() / self.budget.limit.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The time by the clock of the budget.
    pub(crate) fn now(&self) -> Duration {
        (self.budget.clock)()
    }

    /// Whether the time is gone.
    pub(crate) fn is_over(&self) -> bool {
        (self.budget.clock)() >= self.end
    }
}
