//! What a named model says beyond the sampled paths.

use serde::{Deserialize, Serialize};

/// A model of the upper tail of what the paths lack at most: the largest deficit of each path in
/// shares of the fleet's capacity, below zero where there is room left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tail {
    /// The distribution of what lies above the threshold.
    pub model: TailModel,
    /// A deficit, in shares of the fleet's capacity.
    pub threshold: f64,
    /// So many paths lie above it.
    pub exceedances: u64,
    /// Its shape ξ: below 0 the tail ends somewhere, above 0 it is heavier than an exponential one.
    pub shape: f64,
    /// Its scale σ, in shares of the fleet's capacity.
    pub scale: f64,
    /// The probability that a path lacks anything.
    pub probability: f64,
    /// The standard error of `probability`.
    pub standard_error: f64,
}

/// Which distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TailModel {
    /// P(X > t) = (1 + ξt/σ)^(−1/ξ) above the threshold (Pickands 1975).
    #[serde(rename = "generalised Pareto")]
    GeneralisedPareto,
}

/// Why a plan states no tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NoTail {
    /// No path can lack anything, however high its load: what is out is covered.
    Covered,
    /// Too few paths lie above the threshold.
    TooFew,
    /// What lies above the threshold is all the same.
    NoSpread,
    /// So many paths lack capacity that they show the risk themselves.
    WithinThePaths,
}

impl Tail {
    /// The probability that something exceeds `level` when so many of `paths` exceed the threshold.
    pub fn beyond(&self, level: f64, paths: u64) -> f64 {
        let above = self.exceedances as f64 / paths as f64;
        above * survival(level - self.threshold, self.shape, self.scale)
    }
}

/// P(X > t) = (1 + ξt/σ)^(−1/ξ), and exp(−t/σ) for ξ = 0; nothing beyond the end of a tail that has
/// one.
pub fn survival(t: f64, shape: f64, scale: f64) -> f64 {
    let z = t / scale;
    if z <= 0.0 {
        return 1.0;
    }
    if shape.abs() < 1e-9 {
        return (-z).exp();
    }
    let inside = 1.0 + shape * z;
    if inside <= 0.0 { 0.0 } else { inside.powf(-1.0 / shape) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survival_by_hand() {
        assert_eq!(survival(-1.0, 0.3, 2.0), 1.0);
        assert!((survival(2.0, 0.0, 2.0) - (-1.0_f64).exp()).abs() < 1e-15);
        // ξ = 1: (1 + t/σ)^−1. ξ = −1: uniform on [0, σ].
        assert!((survival(3.0, 1.0, 1.0) - 0.25).abs() < 1e-15);
        assert!((survival(0.75, -1.0, 1.0) - 0.25).abs() < 1e-15);
        assert_eq!(survival(1.5, -1.0, 1.0), 0.0);
        // Next to an exponential tail it is one.
        assert!((survival(1.0, 1e-8, 1.0) - (-1.0_f64).exp()).abs() < 1e-7);
    }

    #[test]
    fn the_model_goes_by_its_name() {
        let name = serde_json::to_string(&TailModel::GeneralisedPareto).unwrap();
        assert_eq!(name, "\"generalised Pareto\"");
    }
}
