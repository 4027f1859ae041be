//! Whether forecasts have become worse than they were: cumulative sums of standardised errors.
//!
//! Each new value becomes a normal score `z`: the place that it takes in the distribution that
//! was forecast for it one step earlier. While forecasts hold, `z` is standard normal, and so is
//! `v`, the normal score of the size of `z`. Three one-sided charts `S ← max(0, S + x − k)` with
//! `x = z`, `−z` and `v` raise an alarm at `S > h` (Page, "Continuous inspection schemes",
//! Biometrika 41, 1954). The threshold `h` follows from the mean number of steps between false
//! alarms by Siegmund's formula for independent normal scores (Siegmund, "Sequential analysis",
//! 1985): `(exp(2kb) − 2kb − 1)/(2k²)` with `b = h + 1.166`. Scores are clipped, so that one wild
//! value is no drift.

use serde::{Deserialize, Serialize};

use crate::quantile;
use crate::settings;

/// In which way forecasts have become worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Drift {
    /// Values lie above what is expected.
    Above,
    /// Values lie below what is expected.
    Below,
    /// Errors are larger than they were.
    Spread,
}

/// The three charts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Detector {
    sums: [f64; 3],
    threshold: f64,
}

impl Detector {
    pub(crate) fn new() -> Self {
        Self { sums: [0.0; 3], threshold: threshold(settings::FALSE_ALARM_STEPS * 3.0) }
    }

    /// Takes in the next score; after an alarm the charts start anew.
    pub(crate) fn observe(&mut self, score: f64) -> Option<Drift> {
        let clip = settings::DRIFT_CLIP;
        let z = score.clamp(-clip, clip);
        if z.is_nan() {
            return None;
        }
        let place = (2.0 * quantile::normal_share(z) - 1.0).abs();
        let v = quantile::normal(place).clamp(-clip, clip);
        for (sum, x) in self.sums.iter_mut().zip([z, -z, v]) {
            *sum = (*sum + x - settings::DRIFT_ALLOWANCE).max(0.0);
        }
        let kinds = [Drift::Above, Drift::Below, Drift::Spread];
        let alarm = kinds.into_iter().zip(self.sums).find(|(_, sum)| *sum > self.threshold);
        alarm.map(|(kind, _)| {
            self.sums = [0.0; 3];
            kind
        })
    }
}

/// The threshold of one chart for a mean of `steps` between false alarms, by bisection.
fn threshold(steps: f64) -> f64 {
    let k = settings::DRIFT_ALLOWANCE;
    let length = |h: f64| {
        let x = 2.0 * k * (h + 1.166);
        (x.exp() - x - 1.0) / (2.0 * k * k)
    };
    let (mut low, mut high) = (0.0, 100.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if length(middle) < steps { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn scores(seed: u64) -> impl Iterator<Item = f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        std::iter::repeat_with(move || quantile::normal(rng.random_range(1e-12..1.0)))
    }

    #[test]
    fn false_alarms_are_as_rare_as_stated() {
        let steps = 2_000_000;
        let mut detector = Detector::new();
        let alarms =
            scores(11).take(steps).filter(|z| detector.observe(*z).is_some()).count() as f64;
        let between = steps as f64 / alarms;
        // About 200 alarms: their number has a standard error of 7 %.
        let stated = settings::FALSE_ALARM_STEPS;
        assert!((0.8 * stated..1.6 * stated).contains(&between), "{between} steps, not {stated}");
    }

    #[test]
    fn a_shift_and_a_wider_spread_are_found_soon_and_named() {
        let delay = |change: &dyn Fn(f64) -> f64, kind: Drift| {
            let mut total = 0;
            for seed in 0..50 {
                let mut detector = Detector::new();
                let found =
                    scores(seed).map(change).position(|z| detector.observe(z) == Some(kind));
                total += found.unwrap() + 1;
            }
            f64::from(u32::try_from(total).unwrap()) / 50.0
        };
        let shift = delay(&|z| z + 1.0, Drift::Above);
        assert!(shift < 30.0, "{shift} steps");
        assert!(delay(&|z| z - 1.5, Drift::Below) < shift);
        let spread = delay(&|z| 2.5 * z, Drift::Spread);
        assert!(spread < 30.0, "{spread} steps");
    }

    #[test]
    fn one_wild_value_is_no_drift_and_a_gap_is_nothing() {
        let mut detector = Detector::new();
        assert_eq!(detector.observe(f64::INFINITY), None);
        assert_eq!(detector.observe(-1e300), None);
        let before = detector.clone();
        assert_eq!(detector.observe(f64::NAN), None);
        assert_eq!(detector, before);
    }
}
