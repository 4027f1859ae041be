//! Least squares with a small ridge: the one solver that all regressions share.

use crate::settings;

/// The sums of a regression, gathered row by row: `XᵀX` (lower triangle), `Xᵀy` and the weight.
#[derive(Debug, Clone)]
pub(crate) struct Normal {
    width: usize,
    cross: Vec<f64>,
    target: Vec<f64>,
    weight: f64,
}

impl Normal {
    /// Empty sums for `width` columns.
    pub(crate) fn new(width: usize) -> Self {
        Self { width, cross: vec![0.0; width * width], target: vec![0.0; width], weight: 0.0 }
    }

    /// Adds one row with a weight. `row` has `width` numbers.
    pub(crate) fn add(&mut self, row: &[f64], y: f64, weight: f64) {
        for (i, xi) in row.iter().enumerate() {
            let scaled = xi * weight;
            self.target[i] += scaled * y;
            let line = &mut self.cross[i * self.width..i * self.width + i + 1];
            for (sum, xj) in line.iter_mut().zip(row) {
                *sum += scaled * xj;
            }
        }
        self.weight += weight;
    }

    /// The sum of the weights of all rows.
    pub(crate) fn weight(&self) -> f64 {
        self.weight
    }

    /// The coefficients that minimise `Σ w (y − xβ)² + ridge · W · |β|²`, by Cholesky;
    /// `None` if the sums hold no information or are not finite.
    pub(crate) fn solve(&self, ridge: f64) -> Option<Vec<f64>> {
        let k = self.width;
        if k == 0 || self.weight <= 0.0 {
            return None;
        }
        let mut low = self.cross.clone();
        for i in 0..k {
            low[i * k + i] += (ridge + settings::RIDGE_FLOOR) * self.weight;
        }
        solve(low, self.target.clone())
    }
}

/// The solution of `A x = target` for a positive definite `A`, by Cholesky; `low` holds its lower
/// triangle, row after row of full width. `None` if `A` is not positive definite or the solution
/// not finite.
pub(crate) fn solve(mut low: Vec<f64>, target: Vec<f64>) -> Option<Vec<f64>> {
    let k = target.len();
    for j in 0..k {
        for i in j..k {
            let mut sum = low[i * k + j];
            for p in 0..j {
                sum -= low[i * k + p] * low[j * k + p];
            }
            if i == j {
                if sum.is_nan() || sum <= 0.0 {
                    return None;
                }
                low[i * k + i] = sum.sqrt();
            } else {
                low[i * k + j] = sum / low[j * k + j];
            }
        }
    }
    let mut beta = target;
    for i in 0..k {
        let known: f64 = (0..i).map(|p| low[i * k + p] * beta[p]).sum();
        beta[i] = (beta[i] - known) / low[i * k + i];
    }
    for i in (0..k).rev() {
        let known: f64 = (i + 1..k).map(|p| low[p * k + i] * beta[p]).sum();
        beta[i] = (beta[i] - known) / low[i * k + i];
    }
    beta.iter().all(|b| b.is_finite()).then_some(beta)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_is_found_again() {
        let mut sums = Normal::new(3);
        for i in 0..50 {
            let (a, b) = ((f64::from(i) * 0.7).sin(), (f64::from(i) * 1.9).cos());
            sums.add(&[1.0, a, b], 2.0 - 3.0 * a + 0.5 * b, 1.0);
        }
        let beta = sums.solve(0.0).unwrap();
        for (found, wanted) in beta.iter().zip([2.0, -3.0, 0.5]) {
            assert!((found - wanted).abs() < 1e-6, "{found} is not {wanted}");
        }
    }

    #[test]
    fn what_holds_no_information_is_not_solved() {
        assert_eq!(Normal::new(2).solve(0.0), None);
        let mut sums = Normal::new(1);
        sums.add(&[f64::NAN], 1.0, 1.0);
        assert_eq!(sums.solve(0.0), None);
    }

    #[test]
    fn twin_columns_share_their_weight() {
        let mut sums = Normal::new(2);
        for i in 0..20 {
            let x = f64::from(i);
            sums.add(&[x, x], 2.0 * x, 1.0);
        }
        let beta = sums.solve(1e-6).unwrap();
        assert!((beta[0] - 1.0).abs() < 1e-3 && (beta[1] - 1.0).abs() < 1e-3);
    }
}
