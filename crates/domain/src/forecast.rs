//! What a forecast says: quantiles per step, and sampled paths.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::series::Step;

/// A probability strictly between 0 and 1, for instance a quantile level or a risk.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Probability(f64);

/// A number that is not strictly between 0 and 1.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("a probability lies strictly between 0 and 1, not at {0}")]
pub struct BadProbability(f64);

impl Probability {
    /// Checks that `0 < value < 1`.
    pub fn new(value: f64) -> Result<Self, BadProbability> {
        if value > 0.0 && value < 1.0 { Ok(Self(value)) } else { Err(BadProbability(value)) }
    }

    /// The number itself.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Probability {
    type Error = BadProbability;
    fn try_from(value: f64) -> Result<Self, BadProbability> {
        Self::new(value)
    }
}

impl From<Probability> for f64 {
    fn from(probability: Probability) -> f64 {
        probability.0
    }
}

/// The forecast of one series: a mean and a rising row of quantiles for each step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The start of the first step that is forecast.
    pub start: Timestamp,
    /// The length of a step.
    pub step: Step,
    /// The name of the model, or of the combination, that made it.
    pub model: String,
    /// The expected value per step, in the unit of the series.
    pub mean: Vec<f64>,
    /// The quantile levels, rising; the columns of `quantiles`.
    pub levels: Vec<Probability>,
    /// One row per step, one column per level; each row rises.
    pub quantiles: Vec<Vec<f64>>,
}

impl Forecast {
    /// How many steps are forecast.
    pub fn horizon(&self) -> usize {
        self.mean.len()
    }

    /// The start of step `index`.
    pub fn at(&self, index: usize) -> Timestamp {
        self.start + self.step.duration() * u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// The quantile at `level` of step `index`, linear between the stored levels
    /// and flat beyond them. `index` must lie in the horizon.
    pub fn quantile(&self, index: usize, level: Probability) -> f64 {
        let row = &self.quantiles[index];
        let right = self.levels.partition_point(|l| *l < level);
        if right == 0 {
            return row[0];
        }
        if right == row.len() {
            return row[right - 1];
        }
        let (low, high) = (self.levels[right - 1].get(), self.levels[right].get());
        let share = (level.get() - low) / (high - low);
        row[right - 1] + share * (row[right] - row[right - 1])
    }
}

/// Sampled futures of one series: `count` paths of `steps` values, path after path.
/// Paths of several dimensions that share an index belong together (joint draws).
#[derive(Debug, Clone, PartialEq)]
pub struct Paths {
    start: Timestamp,
    step: Step,
    steps: usize,
    values: Vec<f64>,
}

/// Values that cannot be paths.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum BadPaths {
    /// The number of values is not a multiple of the number of steps, or is zero.
    #[error("{values} values cannot be paths of {steps} steps")]
    Shape {
        /// How many values were given.
        values: usize,
        /// How many steps a path was said to have.
        steps: usize,
    },
    /// A value is `NaN` or infinite.
    #[error("path {path} is not finite at step {step}")]
    NotFinite {
        /// Which path.
        path: usize,
        /// Which step of it.
        step: usize,
    },
}

impl Paths {
    /// Paths of `steps` values each, stored path after path, all finite.
    pub fn new(
        start: Timestamp,
        step: Step,
        steps: usize,
        values: Vec<f64>,
    ) -> Result<Self, BadPaths> {
        if steps == 0 || values.is_empty() || !values.len().is_multiple_of(steps) {
            return Err(BadPaths::Shape { values: values.len(), steps });
        }
        if let Some(bad) = values.iter().position(|v| !v.is_finite()) {
            return Err(BadPaths::NotFinite { path: bad / steps, step: bad % steps });
        }
        Ok(Self { start, step, steps, values })
    }

    /// The start of step 0.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The length of a step.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Steps per path, at least 1.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// How many paths there are, at least 1.
    pub fn count(&self) -> usize {
        self.values.len() / self.steps
    }

    /// One path.
    pub fn path(&self, index: usize) -> &[f64] {
        &self.values[index * self.steps..(index + 1) * self.steps]
    }

    /// All paths in order.
    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.steps)
    }

    /// The same paths on the grid of `step` over `[from, to)`.
    ///
    /// A coarser path is a polygon through the middles of its steps, flat beyond the first and
    /// the last; a finer one is averaged over each new step.
    pub fn resample(&self, step: Step, from: Timestamp, to: Timestamp) -> Option<Self> {
        let from = step.floor(from);
        let length = to.as_second() - from.as_second();
        let steps = usize::try_from(length.div_euclid(step.seconds())).ok().filter(|n| *n > 0)?;
        let origin = (from.as_second() - self.start.as_second()) as f64;
        let (own, new) = (self.step.seconds() as f64, step.seconds() as f64);
        let mut values = Vec::with_capacity(self.count() * steps);
        for path in self.iter() {
            for index in 0..steps {
                let left = origin + index as f64 * new;
                values.push(if new > own {
                    mean_between(path, left / own, (left + new) / own)
                } else {
                    polygon(path, (left + new / 2.0) / own)
                });
            }
        }
        Some(Self { start: from, step, steps, values })
    }

    /// The same paths, each times its own factor, which has to be finite.
    #[must_use]
    pub fn weighted(&self, factor: impl Fn(usize) -> f64) -> Self {
        let path = |index: usize| {
            let factor = factor(index);
            self.path(index).iter().map(move |value| value * factor)
        };
        let values = (0..self.count()).flat_map(path).collect();
        Self { values, ..*self }
    }

    /// The instant after the last step.
    pub fn end(&self) -> Timestamp {
        self.start + self.step.duration() * u32::try_from(self.steps).unwrap_or(u32::MAX)
    }

    /// How long the paths reach.
    pub fn length(&self) -> Duration {
        self.step.duration() * u32::try_from(self.steps).unwrap_or(u32::MAX)
    }
}

/// The polygon through the middles of the steps, at `x` in units of steps.
fn polygon(path: &[f64], x: f64) -> f64 {
    let middle = (x - 0.5).clamp(0.0, (path.len() - 1) as f64);
    let left = middle.floor() as usize;
    let right = (left + 1).clamp(0, path.len() - 1);
    path[left] + (path[right] - path[left]) * (middle - left as f64)
}

/// The mean of the step function over `[left, right)`, both in units of steps.
fn mean_between(path: &[f64], left: f64, right: f64) -> f64 {
    let last = path.len() - 1;
    let (mut sum, mut x) = (0.0, left);
    while x < right {
        let next = (x.floor() + 1.0).clamp(x, right);
        let next = if next > x { next } else { right };
        let index = (x.floor().clamp(0.0, last as f64)) as usize;
        sum += path[index] * (next - x);
        x = next;
    }
    sum / (right - left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(step: i64, steps: usize, values: &[f64]) -> Paths {
        Paths::new(Timestamp::UNIX_EPOCH, Step::from_seconds(step).unwrap(), steps, values.to_vec())
            .unwrap()
    }

    #[test]
    fn a_finer_grid_interpolates_and_a_coarser_one_averages() {
        let coarse = paths(120, 3, &[0.0, 2.0, 4.0]);
        let to = Timestamp::from_second(360).unwrap();
        let fine = coarse.resample(Step::from_seconds(60).unwrap(), Timestamp::UNIX_EPOCH, to);
        assert_eq!(fine.unwrap().path(0), &[0.0, 0.5, 1.5, 2.5, 3.5, 4.0]);
        let fine = paths(60, 4, &[1.0, 3.0, 5.0, 7.0]);
        let to = Timestamp::from_second(240).unwrap();
        let coarse = fine.resample(Step::from_seconds(120).unwrap(), Timestamp::UNIX_EPOCH, to);
        assert_eq!(coarse.unwrap().path(0), &[2.0, 6.0]);
    }

    #[test]
    fn what_is_not_finite_or_not_whole_is_no_path() {
        let step = Step::from_seconds(60).unwrap();
        let start = Timestamp::UNIX_EPOCH;
        assert!(Paths::new(start, step, 2, vec![1.0, 2.0, 3.0]).is_err());
        assert_eq!(
            Paths::new(start, step, 2, vec![1.0, 2.0, 3.0, f64::NAN]),
            Err(BadPaths::NotFinite { path: 1, step: 1 })
        );
    }

    #[test]
    fn quantiles_are_linear_between_levels_and_flat_beyond() {
        let level = |x| Probability::new(x).unwrap();
        let forecast = Forecast {
            start: Timestamp::UNIX_EPOCH,
            step: Step::from_seconds(60).unwrap(),
            model: "naive".into(),
            mean: vec![1.0],
            levels: vec![level(0.5), level(0.9)],
            quantiles: vec![vec![1.0, 5.0]],
        };
        assert!((forecast.quantile(0, level(0.7)) - 3.0).abs() < 1e-12);
        assert_eq!(forecast.quantile(0, level(0.1)), 1.0);
        assert_eq!(forecast.quantile(0, level(0.99)), 5.0);
    }
}
