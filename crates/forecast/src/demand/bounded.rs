//! The demand to be expected above a lower bound.
//!
//! A regression with bounds (the idea of Tobin 1958): the series is a slow level plus a few waves
//! of each season, with normal errors. A bound above what the waves say holds them up; one below
//! says nothing and is left out, so that the shoulders of a peak carry the waves over its cut even
//! where every cycle is cut. In turn the waves are fitted, and the bounded values get their
//! expectation given that they lie above their bound. (The EM algorithm for the same model takes
//! hundreds of rounds where a third of all values is bounded.)

use crate::linear::Normal;
use crate::season::Seasons;
use crate::settings;

/// The mean of a normal value of which is known that it lies above `bound`.
pub(crate) fn expected_above(mean: f64, deviation: f64, bound: f64) -> f64 {
    if !mean.is_finite() {
        return bound;
    }
    if deviation.is_nan() || deviation <= f64::MIN_POSITIVE {
        return if mean > bound { mean } else { bound };
    }
    let expected = mean + deviation * hazard((bound - mean) / deviation);
    if expected.is_finite() && expected > bound { expected } else { bound }
}

/// The hazard φ(z) / (1 − Φ(z)) of a standard normal: Abramowitz and Stegun 26.2.17 near the
/// middle, Laplace's continued fraction in the tail.
fn hazard(z: f64) -> f64 {
    const B: [f64; 5] =
        [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let survival_over_density = |z: f64| {
        let t = 1.0 / (1.0 + 0.231_641_9 * z);
        B.iter().rev().fold(0.0, |sum, b| t * (b + sum))
    };
    if z > 3.0 {
        z + 1.0 / (z + 2.0 / (z + 3.0 / (z + 4.0 / (z + 5.0 / z))))
    } else if z >= 0.0 {
        1.0 / survival_over_density(z)
    } else {
        let density = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
        density / (1.0 - density * survival_over_density(-z))
    }
}

/// Replaces the values at `bounded` (rising indices) by their expected demand.
pub(super) fn impute(values: &mut [f64], bounded: &[usize], seasons: &Seasons) {
    let bounds: Vec<f64> = bounded.iter().map(|i| values[*i]).collect();
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let (low, high) =
        finite.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let ceiling = high + settings::BOUNDED_ROOM * (high - low);
    if bounded.is_empty() || finite.len() <= bounded.len() || !ceiling.is_finite() {
        return;
    }
    let free: Vec<usize> = {
        let mut is_bounded = vec![false; values.len()];
        bounded.iter().for_each(|i| is_bounded[*i] = true);
        (0..values.len()).filter(|i| values[*i].is_finite() && !is_bounded[*i]).collect()
    };
    let seasons = seasons.within(values.len(), settings::CYCLES_FOR_PROFILE);
    let window = seasons.shortest().unwrap_or(settings::BOUNDED_WINDOW);
    let waves = Waves::of(&seasons);
    let mut expected = vec![0.0; values.len()];
    let mut weights: Vec<f64> =
        values.iter().map(|v| if v.is_finite() { 1.0 } else { 0.0 }).collect();
    bounded.iter().for_each(|i| weights[*i] = 0.0);
    for _ in 0..settings::BOUNDED_ROUNDS {
        let Some(fitted) = waves.fit(values, &weights, &expected, window) else { return };
        expected = fitted;
        let squares: f64 = free.iter().map(|i| (values[*i] - expected[*i]).powi(2)).sum();
        let deviation = (squares / free.len() as f64).sqrt();
        for (index, bound) in bounded.iter().zip(&bounds) {
            let mean = expected_above(expected[*index], deviation, *bound);
            values[*index] = if mean < ceiling { mean } else { ceiling };
            weights[*index] = if expected[*index] > *bound { 0.0 } else { 1.0 };
        }
    }
}

/// The waves of all seasons.
struct Waves {
    /// Turns per step.
    speeds: Vec<f64>,
}

impl Waves {
    fn of(seasons: &Seasons) -> Self {
        let mut speeds: Vec<f64> = Vec::new();
        for period in seasons.periods() {
            let count = settings::BOUNDED_WAVES.min(period / 4).max(1);
            for k in 1..=count {
                let speed = k as f64 / *period as f64;
                if speeds.iter().all(|s| (s - speed).abs() > 1e-9) {
                    speeds.push(speed);
                }
            }
        }
        Self { speeds }
    }

    /// The level and the waves at every step, fitted to `values`; `before` is the last fit, whose
    /// waves the level is freed of. `None` if there is no finite solution.
    fn fit(
        &self,
        values: &[f64],
        weights: &[f64],
        before: &[f64],
        window: usize,
    ) -> Option<Vec<f64>> {
        let columns = 1 + 2 * self.speeds.len();
        let mut row = vec![0.0; columns];
        let level = level(values, before, window);
        let mut sums = Normal::new(columns);
        for (i, value) in values.iter().enumerate().filter(|(i, _)| weights[*i] > 0.0) {
            self.fill(&mut row, i);
            sums.add(&row, value - level[i], weights[i]);
        }
        let beta = sums.solve(settings::BOUNDED_RIDGE)?;
        let at = |i: usize| {
            self.fill(&mut row, i);
            level[i] + row.iter().zip(&beta).map(|(x, b)| x * b).sum::<f64>()
        };
        Some((0..values.len()).map(at).collect())
    }

    fn fill(&self, row: &mut [f64], index: usize) {
        row[0] = 1.0;
        for (pair, speed) in row[1..].chunks_exact_mut(2).zip(&self.speeds) {
            let (sin, cos) = (std::f64::consts::TAU * speed * index as f64).sin_cos();
            pair.copy_from_slice(&[sin, cos]);
        }
    }
}

/// The running mean over a window around each step, of the values where known, else of what was
/// expected there.
fn level(values: &[f64], before: &[f64], window: usize) -> Vec<f64> {
    let n = values.len();
    let mut sums = vec![0.0; n + 1];
    for i in 0..n {
        sums[i + 1] = sums[i] + if values[i].is_finite() { values[i] } else { before[i] };
    }
    let window = window.clamp(1, n);
    (0..n)
        .map(|i| {
            // At the ends the window moves inwards, so that it always spans whole cycles.
            let left = i.saturating_sub(window / 2).min(n - window);
            (sums[left + window] - sums[left]) / window as f64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_above_a_bound() {
        // φ(0)/(1 − Φ(0)) = 0.797 885; φ(2)/(1 − Φ(2)) = 2.373 216; φ(−1)/Φ(1) = 0.287 600.
        for (z, wanted) in [(0.0, 0.797_885), (2.0, 2.373_216), (-1.0, 0.287_600), (6.0, 6.158_4)] {
            assert!((hazard(z) - wanted).abs() < 2e-4, "{z}: {}", hazard(z));
        }
        assert_eq!(expected_above(5.0, 0.0, 3.0), 5.0);
        assert_eq!(expected_above(f64::NAN, 1.0, 3.0), 3.0);
        assert!((expected_above(0.0, 1.0, 1e9) - 1e9).abs() < 1.0);
    }

    #[test]
    fn peaks_that_are_always_cut_are_carried_over_the_cut() {
        let load = |i: usize| {
            let noise = ((i * i) as f64 * 0.618).sin();
            100.0 + 50.0 * (std::f64::consts::TAU * i as f64 / 24.0).sin() + 2.0 * noise
        };
        let cap = 130.0;
        let bounded: Vec<usize> = (0..480).filter(|i| load(*i) > cap).collect();
        let mut values: Vec<f64> =
            (0..480).map(|i| if load(i) > cap { cap } else { load(i) }).collect();
        impute(&mut values, &bounded, &Seasons::given(&[24]));
        let peak = |v: &dyn Fn(usize) -> f64| (0..20).map(|d| v(24 * d + 6)).sum::<f64>() / 20.0;
        let (found, wanted) = (peak(&|i| values[i]), peak(&load));
        assert!((found / wanted - 1.0).abs() < 0.07, "{found} is not {wanted}");
        assert!(bounded.iter().all(|i| values[*i] >= cap));
    }
}
