//! Polynomials in the backshift operator `B`, kept sparse: a season of 1,440 steps costs no more
//! than one of 24.

use serde::{Deserialize, Serialize};

use crate::settings;

/// `1 + Σ c B^lag` as its terms `(lag, c)`, rising in the lag, without the leading 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Polynomial(Vec<(usize, f64)>);

impl Polynomial {
    /// The polynomial 1.
    pub(super) fn one() -> Self {
        Self::default()
    }

    /// `1 + Σ_i c_i B^{i·stride}` for `i` from 1.
    pub(super) fn of(coefficients: &[f64], stride: usize) -> Self {
        let terms = coefficients.iter().enumerate().map(|(i, c)| ((i + 1) * stride, *c));
        Self(terms.filter(|(_, c)| *c != 0.0).collect())
    }

    /// `1 − B^lag`.
    pub(super) fn difference(lag: usize) -> Self {
        Self(vec![(lag, -1.0)])
    }

    /// The product of both.
    pub(super) fn times(&self, other: &Self) -> Self {
        let mut terms: Vec<(usize, f64)> = self.0.iter().chain(&other.0).copied().collect();
        for (i, a) in &self.0 {
            terms.extend(other.0.iter().map(|(j, b)| (i + j, a * b)));
        }
        terms.sort_by_key(|(lag, _)| *lag);
        let mut merged: Vec<(usize, f64)> = Vec::with_capacity(terms.len());
        for (lag, c) in terms {
            match merged.last_mut() {
                Some((last, sum)) if *last == lag => *sum += c,
                _ => merged.push((lag, c)),
            }
        }
        Self(merged)
    }

    /// The terms beside the 1.
    pub(super) fn terms(&self) -> &[(usize, f64)] {
        &self.0
    }

    /// The highest lag.
    pub(super) fn degree(&self) -> usize {
        self.0.last().map_or(0, |(lag, _)| *lag)
    }

    /// The coefficients of `above / self` from `B^0` on: `length` of them.
    pub(super) fn divide(&self, above: &Self, length: usize) -> Vec<f64> {
        let mut out = vec![0.0; length];
        if let Some(first) = out.first_mut() {
            *first = 1.0;
        }
        for (lag, c) in above.terms().iter().filter(|(lag, _)| *lag < length) {
            out[*lag] += c;
        }
        for t in 1..length {
            let known: f64 =
                self.0.iter().take_while(|(lag, _)| *lag <= t).map(|(l, c)| c * out[t - l]).sum();
            out[t] -= known;
        }
        out
    }

    /// `self` applied to the values; the first [`Self::degree`] results are missing.
    pub(super) fn apply(&self, values: &[f64]) -> Vec<f64> {
        (self.degree()..values.len())
            .map(|t| values[t] + self.0.iter().map(|(lag, c)| c * values[t - lag]).sum::<f64>())
            .collect()
    }
}

/// Coefficients `c` for which `1 − Σ c_i z^i` has all roots outside the unit circle, from any
/// real numbers: these become partial autocorrelations by `tanh` (Jones, "Maximum likelihood
/// fitting of ARMA models to time series with missing observations", Technometrics 22, 1980),
/// which become coefficients by the Durbin–Levinson recursion.
pub(super) fn stationary(free: &[f64]) -> Vec<f64> {
    let mut c: Vec<f64> = Vec::with_capacity(free.len());
    for z in free {
        let partial = settings::PARTIAL_MOST * z.tanh();
        let before = c.clone();
        for (own, mirror) in c.iter_mut().zip(before.iter().rev()) {
            *own -= partial * mirror;
        }
        c.push(partial);
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_quotients_agree() {
        let a = Polynomial::of(&[0.5, -0.2], 1);
        let b = Polynomial::of(&[-0.7], 4);
        let product = a.times(&b);
        assert_eq!(product.degree(), 6);
        let both = product.divide(&a, 30);
        for (got, wanted) in both.iter().zip(b.divide(&Polynomial::one(), 30)) {
            assert!((got - wanted).abs() < 1e-12);
        }
    }

    #[test]
    fn differences_leave_what_a_season_and_a_line_do_not_explain() {
        let both = Polynomial::difference(1).times(&Polynomial::difference(3));
        let values: Vec<f64> =
            (0..20).map(|i| 2.0 * f64::from(i) + [1.0, 5.0, 0.0][i as usize % 3]).collect();
        assert!(both.apply(&values).iter().all(|v| v.abs() < 1e-12));
        assert_eq!(both.apply(&values).len(), 16);
    }

    #[test]
    fn any_numbers_are_stationary() {
        assert!((stationary(&[0.3])[0] - settings::PARTIAL_MOST * 0.3f64.tanh()).abs() < 1e-15);
        for z in [[0.3, -1.2, 2.0], [50.0, -50.0, 50.0], [-1e9, 0.0, 3.0]] {
            let negated: Vec<f64> = stationary(&z).iter().map(|c| -c).collect();
            let psi = Polynomial::of(&negated, 1).divide(&Polynomial::one(), 6_000);
            assert!(psi[5_999].abs() < 1e-3 && psi.iter().all(|p| p.abs() < 1e6), "{z:?}");
        }
    }
}
