//! Whether errors are larger or smaller now than usual.
//!
//! Errors come in calm and in wild stretches. The heat is a discounted mean of the errors that
//! have come, in units of their usual size, to a power: the size of the next errors is
//! multiplied by it (exponentially weighted volatility; the idea of RiskMetrics, J. P. Morgan
//! 1996, as a local scale of conformal scores). The power is the one under which past errors
//! were most alike, each origin with the heat that was known then; 0 is no heat at all.

use serde::{Deserialize, Serialize};

use super::Errors;
use crate::settings;

/// The discounted mean, and the power that it counts with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Heat {
    /// Steps that the mean remembers.
    memory: f64,
    power: f64,
    sum: f64,
    weight: f64,
}

impl Heat {
    fn new(horizon: usize) -> Self {
        Self { memory: horizon as f64, power: 0.0, sum: 0.0, weight: 0.0 }
    }

    /// What the size of errors is multiplied by.
    pub(super) fn factor(&self) -> f64 {
        if self.power == 0.0 { 1.0 } else { self.level().powf(self.power) }
    }

    /// The mean size of errors now over the usual one.
    fn level(&self) -> f64 {
        let usual = settings::HEAT_PRIOR * self.memory;
        (self.sum + usual) / (self.weight + usual)
    }

    /// Takes in the mean size of the errors at one step, in units of the usual one.
    pub(super) fn observe(&mut self, size: f64) {
        let keep = (-1.0 / self.memory).exp();
        self.sum = keep * self.sum + size.min(settings::HEAT_CLIP);
        self.weight = keep * self.weight + 1.0;
    }

    /// The heat after past errors, and the factor that was known at each origin. `sizes` are the
    /// errors in units of their usual size, one row per origin, `NaN` where none is known.
    pub(super) fn learn(past: &Errors, sizes: &[Vec<f64>]) -> (Self, Vec<f64>) {
        let horizon = sizes.first().map_or(1, Vec::len);
        let mut heat = Self::new(horizon);
        let levels = heat.live_through(past, sizes);
        let mut best = f64::INFINITY;
        for power in settings::HEAT_POWERS {
            let charge = if power > 0.0 { settings::NORMALISER_MARGIN } else { 0.0 };
            let loss = alikeness(sizes, &levels, power) + charge;
            if loss < best {
                (best, heat.power) = (loss, power);
            }
        }
        let power = heat.power;
        (heat, levels.into_iter().map(|level| level.powf(power)).collect())
    }

    /// The level before each origin, from nothing but what had come by then.
    fn live_through(&mut self, past: &Errors, sizes: &[Vec<f64>]) -> Vec<f64> {
        let Some(&first) = past.origins.first() else { return Vec::new() };
        let span = past.origins.last().map_or(0, |last| last - first);
        let mut came = vec![(0.0, 0u32); span];
        for (origin, row) in past.origins.iter().zip(sizes) {
            let steps = came[origin - first..].iter_mut().zip(row);
            for ((sum, count), size) in steps.filter(|(_, size)| size.is_finite()) {
                (*sum, *count) = (*sum + size.abs(), *count + 1);
            }
        }
        let mut levels = Vec::with_capacity(past.origins.len());
        let mut origins = past.origins.iter().peekable();
        for (k, (sum, count)) in came.into_iter().enumerate() {
            if origins.next_if(|origin| **origin == first + k).is_some() {
                levels.push(self.level());
            }
            if count > 0 {
                self.observe(sum / f64::from(count));
            }
        }
        levels.extend(origins.map(|_| self.level()));
        levels
    }
}

/// The mean of `ln b + |e| / b` with `b` proportional to the factor, as of the normaliser.
fn alikeness(sizes: &[Vec<f64>], levels: &[f64], power: f64) -> f64 {
    let (mut logs, mut scaled, mut count) = (0.0, 0.0, 0.0);
    for (row, level) in sizes.iter().zip(levels) {
        let factor = level.powf(power);
        for size in row.iter().filter(|size| size.is_finite()) {
            logs += factor.ln();
            scaled += size.abs() / factor;
            count += 1.0;
        }
    }
    if scaled > 0.0 { logs / count + (scaled / count).ln() } else { 0.0 }
}
