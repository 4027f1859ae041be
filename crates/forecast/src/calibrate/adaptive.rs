//! Intervals that learn from every value that comes.
//!
//! Split conformal shapes describe the errors of the past; load drifts. So each band of horizons
//! carries, per level, an offset to its shape in units of the size of errors. When a value has
//! come, every forecast that spoke of it is judged by the quantiles that were issued then: a
//! quantile that was exceeded rises by `gain · level`, one that was not falls by
//! `gain · (1 − level)`. That is online gradient descent on the pinball loss ("quantile
//! tracking"); whatever the series does, the long-run share of misses differs from the nominal
//! one by at most `(largest offset + gain) / (gain · values)` (Angelopoulos, Candès and
//! Tibshirani, "Conformal PID control for time series prediction", NeurIPS 2023, proposition 1;
//! with feedback that comes late the bound grows by the delay). Upper and lower side are apart.
//! The gain falls with the middle of the band, since errors that many steps ahead are that
//! often the same error. It must not follow the errors: a larger gain while misses are frequent
//! outweighs the calm, and the quantiles end up too wide.
//!
//! `--example accuracy -- --live` measures it as it is used: fitted on two thirds of each server
//! trace, carried sample by sample, forecast 4 hours ahead every tenth of an hour.
//!
//! A lower bound (a saturated sample) above a quantile is a miss of it; below it says nothing.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::errors::Row;
use super::shape::{LEVELS, SCORES, Shape};
use super::{Bounds, Calibration, band_of, bands};
use crate::settings;

/// What is known of one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Seen {
    /// The value itself.
    Value(f64),
    /// The value or more: it was measured at saturation.
    AtLeast(f64),
}

/// How intervals answer to a miss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Adaptation {
    /// The quantile itself moves, in units of the size of errors.
    #[default]
    Quantiles,
    /// The level moves at which the shape is read (Gibbs and Candès, "Adaptive conformal
    /// inference under distribution shift", NeurIPS 2021; on normal scores, so that no level
    /// leaves 0 to 1).
    Levels,
}

/// The offsets of all bands, and the forecasts that are still waiting for their values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tracker {
    rule: Adaptation,
    horizon: usize,
    /// Per band: one number per level of a shape.
    offsets: Vec<Vec<f64>>,
    waiting: VecDeque<Issued>,
}

/// What one origin said.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Issued {
    origin: usize,
    centres: Row,
    /// The heat of then.
    heat: f64,
    /// The quantiles, band after band, in units of the size of errors.
    quantiles: Row,
}

impl Tracker {
    /// Without offsets yet.
    pub(crate) fn new(rule: Adaptation, horizon: usize) -> Self {
        let count = bands(horizon).len();
        Self {
            rule,
            horizon,
            offsets: vec![vec![0.0; LEVELS.len()]; count],
            waiting: VecDeque::new(),
        }
    }

    /// Steps between two forecasts that are judged.
    fn stride(&self) -> usize {
        self.horizon.div_ceil(settings::JUDGED_FORECASTS).max(1)
    }

    /// Whether the forecast from `index` is to be judged.
    pub(crate) fn due(&self, index: usize) -> bool {
        self.waiting.back().is_none_or(|newest| index >= newest.origin + self.stride())
    }

    /// Keeps what is said from `origin` on, until its values have come.
    pub(super) fn issue(&mut self, origin: usize, centres: &[f64], base: &Calibration) {
        let shapes = self.shapes(&base.shapes);
        let heat = base.heat.factor();
        let quantiles: Vec<f64> = shapes.iter().flat_map(Shape::values).copied().collect();
        let (centres, quantiles) = (Row::of(centres), Row::of(&quantiles));
        // Never doubled: thousands of these live side by side.
        let most = settings::JUDGED_FORECASTS + 1;
        self.waiting.reserve_exact(most.saturating_sub(self.waiting.len()));
        self.waiting.push_back(Issued { origin, centres, heat, quantiles });
    }

    /// The shapes with their offsets.
    pub(crate) fn shapes(&self, base: &[Shape]) -> Vec<Shape> {
        let moved = |(shape, offsets): (&Shape, &Vec<f64>)| match self.rule {
            Adaptation::Quantiles => shape.raised(offsets),
            Adaptation::Levels => shape.read_at(offsets),
        };
        base.iter().zip(&self.offsets).map(moved).collect()
    }

    /// Brings offsets that made quantiles cross back into order: each level then owns the
    /// quantile that it is judged by. (Without this a level whose quantile was overtaken learns
    /// from the misses of another, and both drift apart.)
    fn order(&mut self, base: &[Shape]) {
        for (shape, offsets) in base.iter().zip(&mut self.offsets) {
            let own = match self.rule {
                Adaptation::Quantiles => shape.values(),
                Adaptation::Levels => SCORES.as_slice(),
            };
            let mut moved: Vec<f64> = own.iter().zip(offsets.iter()).map(|(v, o)| v + o).collect();
            if moved.windows(2).any(|pair| pair[0] > pair[1]) {
                moved.sort_by(f64::total_cmp);
                let most = settings::OFFSET_MOST;
                for ((offset, v), own) in offsets.iter_mut().zip(moved).zip(own) {
                    *offset = (v - own).clamp(-most, most);
                }
            }
        }
    }

    /// Judges every waiting forecast of the value at `index`. Returns the mean size of their
    /// errors in units of the usual one, if the value is known.
    pub(super) fn observe(
        &mut self,
        index: usize,
        seen: Seen,
        base: &Calibration,
        cap: Bounds,
    ) -> Option<f64> {
        let horizon = self.horizon;
        while self.waiting.front().is_some_and(|oldest| index >= oldest.origin + horizon) {
            self.waiting.pop_front();
        }
        let count = self.offsets.len();
        let mut sums = vec![vec![0.0; LEVELS.len()]; count];
        let mut judged = vec![0usize; count];
        let mut sizes = 0.0;
        for issued in self.waiting.iter().filter(|issued| issued.origin <= index) {
            let ahead = index - issued.origin;
            let Some(centre) = issued.centres.get(ahead) else { continue };
            let band = band_of(ahead).min(count - 1);
            let usual = base.usual_size(index, ahead, centre);
            let size = issued.heat * usual;
            if let Seen::Value(value) = seen {
                sizes += (value - centre).abs() / usual;
            }
            let units = issued.quantiles.from(band * LEVELS.len());
            for ((sum, level), unit) in sums[band].iter_mut().zip(LEVELS).zip(units) {
                *sum += slope(seen, cap.clamp(centre + size * unit), level);
            }
            judged[band] += 1;
        }
        for (band, (from, to)) in bands(horizon).into_iter().enumerate() {
            if judged[band] > 0 {
                let middle = ((from + to) as f64 / 2.0).max(1.0);
                let gain = (settings::TRACKING_GAIN / middle).min(settings::TRACKING_GAIN_MOST);
                let most = settings::OFFSET_MOST;
                for (offset, sum) in self.offsets[band].iter_mut().zip(&sums[band]) {
                    *offset = (*offset + gain * sum / judged[band] as f64).clamp(-most, most);
                }
            }
        }
        self.order(&base.shapes);
        let all: usize = judged.iter().sum();
        (all > 0 && matches!(seen, Seen::Value(_))).then(|| sizes / all as f64)
    }
}

/// How a quantile at `level` is to move: the negative gradient of the pinball loss.
fn slope(seen: Seen, quantile: f64, level: f64) -> f64 {
    match seen {
        Seen::Value(value) if value > quantile => level,
        // At the bound of what is possible both sides touch: nothing to learn.
        Seen::Value(value) if value < quantile => level - 1.0,
        Seen::AtLeast(bound) if bound > quantile => level,
        Seen::Value(_) | Seen::AtLeast(_) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Calibrator, Errors};
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const HORIZON: usize = 12;
    const WIDE: Bounds = Bounds { least: -1e12, most: 1e12 };

    fn noise(rng: &mut ChaCha8Rng) -> f64 {
        crate::quantile::normal(rng.random_range(1e-12..1.0))
    }

    /// A calibrator that has learned unit noise around zero over the first `known` steps.
    fn calm(rule: Adaptation, known: usize, rng: &mut ChaCha8Rng) -> Calibrator {
        let values: Vec<f64> = (0..known).map(|_| noise(rng)).collect();
        let origins: Vec<usize> = (0..known).step_by(known / 60).collect();
        let said = vec![vec![0.0; HORIZON]; origins.len()];
        let past = Errors::new(origins, &said, &values);
        Calibrator::learn(rule, &past, &[])
    }

    /// Carries the calibrator over `steps` values; the share of them inside the central interval
    /// of the forecast made `ahead + 1` steps before.
    fn coverage(
        calibrator: &mut Calibrator,
        from: usize,
        steps: usize,
        ahead: usize,
        mut value: impl FnMut(usize) -> f64,
    ) -> f64 {
        let z = crate::quantile::normal(0.95);
        let mut said = VecDeque::new();
        let (mut inside, mut count) = (0, 0);
        for index in from..from + steps {
            if calibrator.due(index) {
                calibrator.issue(index, &[0.0; HORIZON]);
            }
            let at = |score: f64| calibrator.quantile(index + ahead, ahead, 0.0, score);
            said.push_back((at(-z), at(z)));
            let value = value(index);
            if said.len() > ahead {
                let (low, high) = said.pop_front().unwrap();
                inside += usize::from((low..=high).contains(&value));
                count += 1;
            }
            calibrator.observe(index, Seen::Value(value), WIDE);
        }
        f64::from(u32::try_from(inside).unwrap()) / f64::from(count)
    }

    /// The stated time of return: so many steps after errors have trebled, coverage at any
    /// horizon is within 3 points of nominal again.
    const RETURN: usize = 400;

    #[test]
    fn coverage_returns_after_errors_have_trebled() {
        for ahead in [0, 3, HORIZON - 1] {
            let mut rng = ChaCha8Rng::seed_from_u64(5);
            let mut calibrator = calm(Adaptation::Quantiles, 600, &mut rng);
            let before = coverage(&mut calibrator, 600, 2_000, ahead, |_| noise(&mut rng));
            assert!((before - 0.9).abs() < 0.03, "before, step {ahead}: {before}");
            let wild = |rng: &mut ChaCha8Rng| 3.0 * noise(rng);
            let shock = coverage(&mut calibrator, 2_600, 40, ahead, |_| wild(&mut rng));
            assert!(shock < 0.85, "the shock is felt, step {ahead}: {shock}");
            coverage(&mut calibrator, 2_640, RETURN - 40, ahead, |_| wild(&mut rng));
            let after = coverage(&mut calibrator, 2_600 + RETURN, 3_000, ahead, |_| wild(&mut rng));
            assert!((after - 0.9).abs() < 0.03, "after, step {ahead}: {after}");
        }
    }

    #[test]
    fn a_shifted_centre_moves_the_sides_apart() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let mut calibrator = calm(Adaptation::Quantiles, 600, &mut rng);
        coverage(&mut calibrator, 600, RETURN, 0, |_| 4.0 + noise(&mut rng));
        let found = coverage(&mut calibrator, 600 + RETURN, 2_000, 0, |_| 4.0 + noise(&mut rng));
        assert!((found - 0.9).abs() < 0.03, "{found}");
        assert!(calibrator.quantile(0, 0, 0.0, -1.6) > 1.0, "the lower side has followed");
    }

    #[test]
    fn a_lower_bound_is_a_miss_above_and_nothing_below() {
        assert_eq!(slope(Seen::AtLeast(5.0), 4.0, 0.9), 0.9);
        assert_eq!(slope(Seen::AtLeast(5.0), 6.0, 0.9), 0.0);
        assert!((slope(Seen::Value(5.0), 6.0, 0.9) + 0.1).abs() < 1e-12);
        assert_eq!(slope(Seen::Value(0.0), 0.0, 0.9), 0.0);
    }

    #[test]
    fn quantiles_never_cross_and_the_state_comes_back_to_the_bit() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for rule in [Adaptation::Quantiles, Adaptation::Levels] {
            let mut kept = calm(rule, 600, &mut rng);
            let values: Vec<f64> = (0..500).map(|k| noise(&mut rng) * f64::from(k % 7)).collect();
            coverage(&mut kept, 600, 250, 2, |i| values[i - 600]);
            let bytes = crate::state::to_bytes(&kept);
            let mut back: Calibrator = crate::state::from_bytes(&bytes).unwrap();
            for side in [&mut kept, &mut back] {
                coverage(side, 850, 250, 2, |i| values[i - 600]);
            }
            assert_eq!(crate::state::to_bytes(&kept), crate::state::to_bytes(&back));
            for ahead in 0..HORIZON {
                let row: Vec<f64> =
                    (-35..=35).map(|z| kept.quantile(0, ahead, 0.0, f64::from(z) / 10.0)).collect();
                assert!(row.windows(2).all(|w| w[0] <= w[1]), "{row:?}");
            }
        }
    }
}
