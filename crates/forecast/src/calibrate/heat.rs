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
        let memory = (settings::HEAT_MEMORY * horizon as f64).max(settings::HEAT_MEMORY_LEAST);
        Self { memory, power: 0.0, sum: 0.0, weight: 0.0 }
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
        let Some(&first) = past.origins().first() else { return Vec::new() };
        let span = past.origins().last().map_or(0, |last| last - first);
        let mut came = vec![(0.0, 0u32); span];
        for (origin, row) in past.origins().iter().zip(sizes) {
            let steps = came[origin - first..].iter_mut().zip(row);
            for ((sum, count), size) in steps.filter(|(_, size)| size.is_finite()) {
                (*sum, *count) = (*sum + size.abs(), *count + 1);
            }
        }
        let mut levels = Vec::with_capacity(past.count());
        let mut origins = past.origins().iter().peekable();
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

#[cfg(test)]
mod tests {
    use super::*;

    const HORIZON: usize = 8;

    /// Errors whose size is 1, but `wild` in the second half of every hundred steps.
    fn stretches(wild: f64, origins: usize) -> (Errors, Vec<Vec<f64>>) {
        let error = |index: usize| {
            let sign = ((index * index) as f64 * 12.9898).sin();
            sign * if index % 100 < 50 { 1.0 } else { wild }
        };
        let origins: Vec<usize> = (0..origins).map(|o| 5 * o).collect();
        let row = |origin: &usize| (0..HORIZON).map(|h| error(origin + h)).collect();
        let sizes: Vec<Vec<f64>> = origins.iter().map(row).collect();
        let said = vec![vec![0.0; HORIZON]; origins.len()];
        (Errors::new(origins, &said, &[]), sizes)
    }

    #[test]
    fn stretches_of_large_errors_heat_and_calm_ones_cool() {
        let (past, sizes) = stretches(9.0, 80);
        let (mut heat, heats) = Heat::learn(&past, &sizes);
        assert!(heat.power > 0.0);
        // Origin 400 / 5 = 80 would start a calm stretch, so it is hot; 17 lies deep in a wild one,
        // 29 in a calm one.
        assert!(heat.factor() > 1.2 * heats[29], "{} {heats:?}", heat.factor());
        assert!(heats[17] > 1.2 * heats[29], "{heats:?}");
        (0..60).for_each(|_| heat.observe(0.1));
        assert!(heat.factor() < heats[29]);
    }

    #[test]
    fn errors_of_one_size_have_no_heat() {
        let (past, sizes) = stretches(1.0, 80);
        let (heat, heats) = Heat::learn(&past, &sizes);
        assert_eq!(heat.factor(), 1.0);
        assert!(heats.iter().all(|heat| *heat == 1.0));
    }

    #[test]
    fn the_heat_of_an_origin_knows_nothing_of_what_came_later() {
        let (past, sizes) = stretches(9.0, 80);
        let mut later = sizes.clone();
        later[60..].iter_mut().flatten().for_each(|size| *size *= 100.0);
        let before = |sizes: &[Vec<f64>]| Heat::new(HORIZON).live_through(&past, sizes);
        assert_eq!(before(&sizes)[..=60], before(&later)[..=60]);
        assert_ne!(before(&sizes)[62..], before(&later)[62..]);
    }
}
