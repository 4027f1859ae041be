//! A least-squares problem with quadratic and absolute penalties, solved exactly.
//!
//! Minimises `½ Σ (y − x θ)² + v Σ_j (½ r_j θ_j² + a_j |θ_j|)` by active sets: which of the
//! coefficients with an absolute penalty are not zero, and their signs, are guessed; the rest is a
//! linear system; the guess is mended until the optimality conditions hold (the feature-sign
//! search of Lee, Battle, Raina and Ng, "Efficient sparse coding algorithms", NIPS 2006, which
//! ends after finitely many steps). Its cost depends on the width alone, not on the history.

use serde::{Deserialize, Serialize};

use crate::linear;
use crate::settings;

/// The penalties of the coefficients, in units of the noise variance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Penalty {
    /// `r`: one over the variance of a normal prior.
    pub(super) squared: Vec<f64>,
    /// `a`: one over the scale of a Laplace prior.
    pub(super) absolute: Vec<f64>,
}

impl Penalty {
    /// `Σ_j (½ r_j θ_j² + a_j |θ_j|)`.
    pub(super) fn of(&self, theta: &[f64]) -> f64 {
        let each = theta.iter().zip(&self.squared).zip(&self.absolute);
        each.map(|((v, r), a)| 0.5 * r * v * v + a * v.abs()).sum()
    }
}

/// The sums of the regression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Quadratic {
    /// The lower triangle of `XᵀX`, row after row.
    gram: Vec<f64>,
    /// `Xᵀy`.
    target: Vec<f64>,
    /// `yᵀy`.
    squares: f64,
    /// How many rows there are.
    count: f64,
}

impl Quadratic {
    pub(super) fn new(width: usize) -> Self {
        let gram = vec![0.0; width * (width + 1) / 2];
        Self { gram, target: vec![0.0; width], squares: 0.0, count: 0.0 }
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: &[f64], y: f64) {
        let mut start = 0;
        for (i, x) in row.iter().enumerate() {
            if *x != 0.0 {
                self.target[i] += x * y;
                let line = &mut self.gram[start..=start + i];
                line.iter_mut().zip(row).for_each(|(sum, other)| *sum += x * other);
            }
            start += i + 1;
        }
        self.squares += y * y;
        self.count += 1.0;
    }

    pub(super) fn count(&self) -> f64 {
        self.count
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        let (row, column) = if i > j { (i, j) } else { (j, i) };
        self.gram[row * (row + 1) / 2 + column]
    }

    /// `XᵀX θ`.
    fn times(&self, theta: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; theta.len()];
        let mut start = 0;
        for (i, value) in theta.iter().enumerate() {
            let line = &self.gram[start..start + i];
            let mut sum = self.gram[start + i] * value;
            for (j, cell) in line.iter().enumerate() {
                sum += cell * theta[j];
                out[j] += cell * value;
            }
            out[i] += sum;
            start += i + 1;
        }
        out
    }

    /// The sum of squared errors.
    pub(super) fn errors(&self, theta: &[f64]) -> f64 {
        let product = self.times(theta);
        let each = theta.iter().zip(&product).zip(&self.target);
        (self.squares + each.map(|((v, p), t)| v * (p - 2.0 * t)).sum::<f64>()).max(0.0)
    }

    /// Moves `theta` to the minimum, where the noise has this `variance`; `None` if the sums have
    /// no finite one.
    pub(super) fn minimise(
        &self,
        penalty: &Penalty,
        variance: f64,
        theta: &mut [f64],
    ) -> Option<()> {
        let bent = |j: usize| penalty.absolute[j] > 0.0;
        let sign = |v: f64| if v == 0.0 { 0.0 } else { v.signum() };
        let mut signs: Vec<f64> = theta.iter().map(|v| sign(*v)).collect();
        let mut entered = None;
        for _ in 0..settings::PROPHET_ACTIVE_STEPS {
            let active: Vec<usize> =
                (0..theta.len()).filter(|j| !bent(*j) || signs[*j] != 0.0).collect();
            let aim = self.stationary(&active, penalty, variance, &signs)?;
            // As far as no sign changes.
            let (mut share, mut left) = (1.0, None);
            for (x, &j) in aim.iter().zip(&active) {
                if bent(j) && x * signs[j] < 0.0 {
                    let crossing = theta[j] / (theta[j] - x);
                    if crossing < share || left.is_none() {
                        (share, left) = (crossing, Some(j));
                    }
                }
            }
            for (x, &j) in aim.iter().zip(&active) {
                theta[j] += share * (x - theta[j]);
            }
            if let Some(j) = left {
                theta[j] = 0.0;
                signs[j] = 0.0;
                if entered == left && share == 0.0 {
                    // What has just come in goes out at once: rounding is all that is left.
                    return Some(());
                }
                continue;
            }
            entered = self.violated(penalty, variance, theta, &signs);
            let Some(j) = entered else { return Some(()) };
            let slope = self.times(theta)[j] - self.target[j];
            signs[j] = -sign(slope);
        }
        Some(())
    }

    /// The coefficients in the `active` places that are best for these signs.
    fn stationary(
        &self,
        active: &[usize],
        penalty: &Penalty,
        variance: f64,
        signs: &[f64],
    ) -> Option<Vec<f64>> {
        let k = active.len();
        let mut low = vec![0.0; k * k];
        for (row, &i) in active.iter().enumerate() {
            for (column, &j) in active[..=row].iter().enumerate() {
                low[row * k + column] = self.at(i, j);
            }
            low[row * k + row] +=
                variance * penalty.squared[i] + settings::PROPHET_RIDGE * self.count;
        }
        let target =
            active.iter().map(|&j| self.target[j] - variance * penalty.absolute[j] * signs[j]);
        linear::solve(low, target.collect())
    }

    /// The zero coefficient whose slope exceeds its penalty the most, if one does.
    fn violated(
        &self,
        penalty: &Penalty,
        variance: f64,
        theta: &[f64],
        signs: &[f64],
    ) -> Option<usize> {
        let product = self.times(theta);
        let mut worst = (settings::PROPHET_SLACK, None);
        for (j, product) in product.iter().enumerate() {
            let bound = variance * penalty.absolute[j];
            if bound > 0.0 && signs[j] == 0.0 {
                let excess = (product - self.target[j]).abs() / bound - 1.0;
                if excess > worst.0 {
                    worst = (excess, Some(j));
                }
            }
        }
        worst.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(i: usize) -> f64 {
        ((i * i % 10_007) as f64 * 0.618).sin()
    }

    /// At the minimum no step along any coefficient helps.
    #[test]
    fn no_step_from_the_minimum_helps() {
        for (variance, scale) in [(0.01, 0.05), (0.5, 0.05), (1.0, 10.0)] {
            let width = 14;
            let mut sums = Quadratic::new(width);
            for i in 0..200 {
                let t = i as f64 / 200.0;
                let mut row = vec![t, 1.0];
                row.extend((1..=12).map(|j| (t - f64::from(j) / 15.0).max(0.0)));
                sums.add(&row, 3.0 * (t - 0.4).max(0.0) - t + 0.3 * noise(i));
            }
            let mut absolute = vec![1.0 / scale; width];
            absolute[..2].fill(0.0);
            let mut squared = vec![0.0; width];
            squared[..2].fill(0.04);
            let penalty = Penalty { squared, absolute };
            let mut theta = vec![0.0; width];
            sums.minimise(&penalty, variance, &mut theta).unwrap();
            let cost = |theta: &[f64]| 0.5 * sums.errors(theta) + variance * penalty.of(theta);
            let least = cost(&theta);
            for j in 0..width {
                for nudge in [-1e-2, -1e-4, 1e-4, 1e-2] {
                    let mut other = theta.clone();
                    other[j] += nudge;
                    assert!(cost(&other) >= least - 1e-9, "{j} {nudge}: {theta:?}");
                }
            }
            assert!(theta[2..].contains(&0.0), "some bends are not needed: {theta:?}");
        }
    }

    #[test]
    fn what_holds_no_numbers_is_not_solved() {
        let mut sums = Quadratic::new(2);
        sums.add(&[1.0, f64::NAN], 1.0);
        let penalty = Penalty { squared: vec![1.0; 2], absolute: vec![0.0; 2] };
        assert_eq!(sums.minimise(&penalty, 1.0, &mut [0.0; 2]), None);
    }
}
