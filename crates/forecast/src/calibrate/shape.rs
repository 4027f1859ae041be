//! The quantile function of errors in units of their size.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::quantile;
use crate::settings;

/// Levels at which the function is stored; between them it is linear in the normal score,
/// beyond them it goes on with the last slope.
pub(super) const LEVELS: [f64; 21] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95,
    0.975, 0.99, 0.995, 0.9975, 0.999, 0.9995,
];

/// A rising function of the normal score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// The values at [`LEVELS`].
    values: Vec<f64>,
}

/// The normal scores of [`LEVELS`].
pub(super) static SCORES: LazyLock<[f64; LEVELS.len()]> =
    LazyLock::new(|| LEVELS.map(quantile::normal));

impl Shape {
    /// From pooled errors, of which only so many are independent (`freedom`). A few values of a
    /// normal shape with mean size 1 are mixed in, so that a small pool has tails too.
    pub(crate) fn of(pool: &mut Vec<f64>, freedom: f64) -> Self {
        let prior = settings::PRIOR_ERRORS;
        pool.extend((0..prior).map(|k| {
            quantile::normal((k as f64 + 0.5) / prior as f64) * settings::SIZE_TO_DEVIATION
        }));
        pool.sort_by(f64::total_cmp);
        let freedom = freedom.max(settings::LEAST_FREEDOM);
        let middle = quantile::of_sorted(pool, 0.5);
        let (low, high) = (Tail::below(pool), Tail::above(pool));
        let values: Vec<f64> = LEVELS
            .iter()
            .zip(SCORES.iter())
            .map(|(level, score)| {
                let raw = if *level < low.level {
                    low.at(*level)
                } else if *level > 1.0 - high.level {
                    -high.at(1.0 - *level)
                } else {
                    quantile::of_sorted(pool, *level)
                };
                let wider = if score.abs() > 1e-6 {
                    quantile::student(*level, freedom) / score
                } else {
                    1.0
                };
                middle + (raw - middle) * wider
            })
            .collect();
        Self::rising(values)
    }

    fn rising(mut values: Vec<f64>) -> Self {
        for i in 1..values.len() {
            values[i] = values[i].max(values[i - 1]);
        }
        Self { values }
    }

    /// The values at [`LEVELS`].
    pub(super) fn values(&self) -> &[f64] {
        &self.values
    }

    /// The same shape with each value moved by its offset, still rising.
    pub(super) fn raised(&self, offsets: &[f64]) -> Self {
        let moved = self.values.iter().zip(offsets).map(|(v, o)| v + o).collect();
        Self { values: sorted(moved) }
    }

    /// The same shape read at other scores, still rising.
    pub(super) fn read_at(&self, offsets: &[f64]) -> Self {
        let moved = SCORES.iter().zip(offsets).map(|(s, o)| self.at(s + o)).collect();
        Self { values: sorted(moved) }
    }

    /// The value at a normal score.
    pub(crate) fn at(&self, score: f64) -> f64 {
        let scores = &*SCORES;
        let right = scores.partition_point(|s| *s < score).clamp(1, scores.len() - 1);
        let left = right - 1;
        let slope = (self.values[right] - self.values[left]) / (scores[right] - scores[left]);
        self.values[left] + slope * (score - scores[left])
    }
}

/// Rearranged: where quantiles crossed, the sorted ones are never worse (Chernozhukov,
/// Fernández-Val and Galichon 2010).
fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// An exponential tail beyond a level that the pool can still tell (peaks over threshold with
/// shape 0: Pickands 1975; the mean excess, its only parameter, is taken from the median).
struct Tail {
    level: f64,
    start: f64,
    excess: f64,
}

impl Tail {
    fn below(sorted: &[f64]) -> Self {
        Self::of(sorted.len(), |k| sorted[k])
    }

    /// The upper tail, turned round.
    fn above(sorted: &[f64]) -> Self {
        let n = sorted.len();
        Self::of(n, |k| -sorted[n - 1 - k])
    }

    fn of(n: usize, at: impl Fn(usize) -> f64) -> Self {
        let count = (settings::TAIL_ERRORS).min(n / 4).max(1);
        let start = at(count.min(n - 1));
        // The median excess over ln 2: one wild error does not make the tail.
        let excess = (start - at(count / 2)) / std::f64::consts::LN_2;
        Self { level: (count + 1) as f64 / (n + 1) as f64, start, excess }
    }

    fn at(&self, level: f64) -> f64 {
        self.start - self.excess * (self.level / level).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normal_pool_gives_normal_quantiles() {
        let mut pool: Vec<f64> =
            (0..5_000).map(|k| quantile::normal((f64::from(k) + 0.5) / 5_000.0)).collect();
        let shape = Shape::of(&mut pool, 1e6);
        for level in [0.01, 0.1, 0.5, 0.9, 0.99, 0.999] {
            let score = quantile::normal(level);
            assert!((shape.at(score) - score).abs() < 0.12, "{level}: {}", shape.at(score));
        }
    }

    #[test]
    fn sides_are_apart_and_the_function_rises() {
        let mut pool: Vec<f64> =
            (0..400).map(|k| if k % 4 == 0 { f64::from(k % 100) } else { -1.0 }).collect();
        let shape = Shape::of(&mut pool, 10.0);
        assert!(shape.at(1.9) > 3.0 * -shape.at(-1.9));
        let grid: Vec<f64> = (-40..=40).map(|k| shape.at(f64::from(k) / 10.0)).collect();
        assert!(grid.windows(2).all(|w| w[0] <= w[1]));
    }

    #[test]
    fn few_errors_mean_wide_tails() {
        let (mut few, mut many) = (vec![1.0, -1.0], vec![1.0, -1.0]);
        let (few, many) = (Shape::of(&mut few, 1.0), Shape::of(&mut many, 1e6));
        assert!(few.at(1.96) > 1.3 * many.at(1.96));
    }
}
