//! The mode of the posterior of coefficients and noise.
//!
//! For given noise the coefficients minimise a quadratic with absolute penalties
//! ([`super::quadratic`]); for given errors the best noise has a closed form; both in turn come to
//! the mode. Forms that are not linear are linearised anew in every round (Gauss and Newton), and
//! a step is halved until it lowers what is minimised,
//! `F = n/2 · ln σ² + Σ ε² / 2σ² + 2 σ² + Σ_j (½ r_j θ_j² + a_j |θ_j|)`.
//! As Stan does in Prophet, the mode is taken on `σ` itself, not on its logarithm.

use super::quadratic::Quadratic;
use super::surface::Surface;
use crate::settings;

/// The rows of the history, one after the other, and the scaled values.
pub(super) struct Sample {
    pub(super) rows: Vec<f64>,
    pub(super) values: Vec<f64>,
}

/// Where the posterior is greatest.
pub(super) struct Mode {
    pub(super) theta: Vec<f64>,
    /// Of the noise.
    pub(super) variance: f64,
    /// The sums of the regression, linearised there.
    pub(super) sums: Quadratic,
}

/// The most likely variance of `count` errors with this sum of squares under the half-normal
/// prior of their deviation: the positive root of `4 v² + n v − Σ ε² = 0`.
pub(super) fn variance(errors: f64, count: f64) -> f64 {
    let root = (count * count + 16.0 * errors).sqrt();
    (2.0 * errors / (count + root)).max(settings::PROPHET_NOISE_LEAST.powi(2))
}

/// Finds the mode; `None` if there is no finite one.
pub(super) fn mode(surface: &Surface, sample: &Sample) -> Option<Mode> {
    let (first, last) = (*sample.values.first()?, *sample.values.last()?);
    let mut theta = surface.start(first, last);
    let mut sums = linearised(surface, sample, &theta);
    let count = sums.count();
    let mut errors = squared_errors(surface, sample, &theta);
    let mut noise = variance(errors, count);
    let mut before = f64::INFINITY;
    for _ in 0..settings::PROPHET_ROUNDS {
        let mut next = theta.clone();
        sums.minimise(&surface.penalty, noise, &mut next)?;
        if surface.is_linear() {
            errors = sums.errors(&next);
            theta = next;
        } else {
            errors = halved(surface, sample, &mut theta, &next, noise, errors);
            sums = linearised(surface, sample, &theta);
        }
        noise = variance(errors, count);
        let now =
            0.5 * (count * noise.ln() + errors / noise) + 2.0 * noise + surface.penalty.of(&theta);
        if !now.is_finite() {
            return None;
        }
        if before - now < settings::PROPHET_TOLERANCE * count {
            break;
        }
        before = now;
    }
    theta.iter().all(|v| v.is_finite()).then_some(Mode { theta, variance: noise, sums })
}

/// Moves `theta` towards `next`, half as far each time until that helps. Returns the new sum of
/// squared errors.
fn halved(
    surface: &Surface,
    sample: &Sample,
    theta: &mut [f64],
    next: &[f64],
    noise: f64,
    errors: f64,
) -> f64 {
    let cost = |errors: f64, theta: &[f64]| 0.5 * errors + noise * surface.penalty.of(theta);
    let least = cost(errors, theta);
    let mut share = 1.0;
    for _ in 0..settings::PROPHET_HALVINGS {
        let trial: Vec<f64> =
            theta.iter().zip(next).map(|(from, to)| from + share * (to - from)).collect();
        let found = squared_errors(surface, sample, &trial);
        if cost(found, &trial) < least {
            theta.copy_from_slice(&trial);
            return found;
        }
        share *= 0.5;
    }
    errors
}

/// The regression on the slopes at `theta`, whose targets make up for what is not linear.
fn linearised(surface: &Surface, sample: &Sample, theta: &[f64]) -> Quadratic {
    let mut sums = Quadratic::new(theta.len());
    let mut slopes = Vec::with_capacity(theta.len());
    for (row, y) in sample.rows.chunks_exact(theta.len()).zip(&sample.values) {
        if surface.is_linear() {
            sums.add(row, *y);
            continue;
        }
        slopes.clear();
        slopes.extend_from_slice(row);
        let target = target(surface, &mut slopes, theta, *y);
        sums.add(&slopes, target);
    }
    sums
}

/// Turns a row into its slopes, and a value into what these have to explain.
pub(super) fn target(surface: &Surface, row: &mut [f64], theta: &[f64], y: f64) -> f64 {
    if surface.is_linear() {
        return y;
    }
    let said = surface.look(row, theta, 0.0).value();
    surface.slopes(row, theta);
    y - said + row.iter().zip(theta).map(|(x, b)| x * b).sum::<f64>()
}

fn squared_errors(surface: &Surface, sample: &Sample, theta: &[f64]) -> f64 {
    let rows = sample.rows.chunks_exact(theta.len());
    let error = |(row, y): (&[f64], &f64)| (y - surface.look(row, theta, 0.0).value()).powi(2);
    rows.zip(&sample.values).map(error).sum()
}
