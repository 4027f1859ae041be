//! Durations that are not known exactly.

use std::time::Duration;

/// How long something takes, as a distribution given by two of its quantiles (`p50 ≤ p95`); one
/// given value has both equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// The median.
    pub p50: Duration,
    /// The 95 % quantile.
    pub p95: Duration,
}

impl Spread {
    /// A duration that is known exactly.
    pub fn exactly(duration: Duration) -> Self {
        Self { p50: duration, p95: duration }
    }
}
