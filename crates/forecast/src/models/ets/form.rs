//! The forms that exponential smoothing can take.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How an error enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Noise {
    /// It is added; its size is the same at all levels.
    Additive,
    /// It is a share of what was expected.
    Multiplicative,
}

/// How the level moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Trend {
    /// It stays.
    None,
    /// It rises or falls by the same amount in every step.
    Additive,
    /// By an amount that fades.
    Damped,
}

/// How the season acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cycle {
    /// There is none.
    None,
    /// Its phases are added.
    Additive,
    /// Its phases multiply the level.
    Multiplicative,
}

/// One of the forms, `ETS(error, trend, season)` in the notation of Hyndman, Koehler, Ord and
/// Snyder. Multiplicative trends explode and are left out, as in R's `forecast`; so are
/// multiplicative seasons with additive errors, whose variance is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Form {
    pub(crate) noise: Noise,
    pub(crate) trend: Trend,
    pub(crate) cycle: Cycle,
}

impl Form {
    /// How many numbers are estimated for it with a season of `period` steps: smoothing weights,
    /// starting states (phases sum to a constant) and the size of the errors.
    pub(crate) fn parameters(self, period: usize) -> usize {
        let trend = match self.trend {
            Trend::None => 0,
            Trend::Additive => 2,
            Trend::Damped => 3,
        };
        let cycle = if self.cycle == Cycle::None { 0 } else { period };
        3 + trend + cycle
    }

    /// Whether it can only describe positive values.
    pub(crate) fn needs_positive(self) -> bool {
        self.noise == Noise::Multiplicative || self.cycle == Cycle::Multiplicative
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noise = if self.noise == Noise::Additive { "A" } else { "M" };
        let trend = match self.trend {
            Trend::None => "N",
            Trend::Additive => "A",
            Trend::Damped => "Ad",
        };
        let cycle = match self.cycle {
            Cycle::None => "N",
            Cycle::Additive => "A",
            Cycle::Multiplicative => "M",
        };
        write!(f, "ETS({noise},{trend},{cycle})")
    }
}
