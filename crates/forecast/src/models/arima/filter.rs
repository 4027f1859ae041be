//! The exact Kalman filter of an ARMA process at `O(r)` a step.
//!
//! In Harvey's form (state of length `r = max(p, q + 1)`, first element the value itself) the
//! covariance of the state changes by a matrix of rank one from step to step when the filter
//! starts from the stationary distribution. Only that vector is carried, never the matrix: the
//! Chandrasekhar recursions (Morf, Sidhu and Kailath, IEEE Trans. Autom. Control 19, 1974;
//! Pearlman, Biometrika 67, 1980). The usual filter (Gardner, Harvey and Phillips, AS 154, 1980)
//! needs `O(r²)` a step and `O(r³)` or more to start, which is what makes a season of 288 slow.

use serde::{Deserialize, Serialize};

use super::covariance::autocovariances;
use super::polynomial::Polynomial;
use crate::settings;

/// The filter between two values: what it expects and how sure it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Filter {
    /// `φ_i` of the transition as `(i − 1, φ_i)`.
    transition: Vec<(usize, f64)>,
    /// The expected state.
    state: Vec<f64>,
    /// `T P Z`: how an error moves the state, times the variance of the error.
    gain: Vec<f64>,
    /// The direction in which the covariance changes next, and by how much.
    change: Vec<f64>,
    amount: f64,
    /// Variance of the next error; innovations have variance 1.
    variance: f64,
    /// The gain once an error is nothing but an innovation, as `(i, φ_{i+1} + θ_{i+1})`.
    settled: Vec<(usize, f64)>,
}

/// One value against its expectation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Surprise {
    /// Value minus expectation.
    pub(super) error: f64,
    /// Its variance in units of the innovation variance, at least 1.
    pub(super) variance: f64,
}

impl Filter {
    /// The filter before the first value of `ar(B) y_t = ma(B) ε_t`; `None` near a unit root.
    pub(super) fn stationary(ar: &Polynomial, ma: &Polynomial) -> Option<Self> {
        let r = ar.degree().max(ma.degree() + 1);
        let gamma = autocovariances(ar, ma, r)?;
        let psi = ar.divide(ma, r);
        // Covariance of the state with the value.
        let mut first = vec![0.0; r + 1];
        first[0] = gamma[0];
        for (i, slot) in first.iter_mut().enumerate().take(r).skip(1) {
            let past = ar.terms().iter().filter(|(lag, _)| *lag > i);
            let past: f64 = past.map(|(lag, c)| -c * gamma[lag - i]).sum();
            let shocks = ma.terms().iter().filter(|(lag, _)| *lag >= i);
            let shocks: f64 = shocks.map(|(lag, c)| c * psi[lag - i]).sum();
            *slot = past + shocks;
        }
        let transition: Vec<(usize, f64)> =
            ar.terms().iter().map(|(lag, c)| (lag - 1, -c)).collect();
        let mut gain = first[1..].to_vec();
        for (i, phi) in &transition {
            gain[*i] += phi * gamma[0];
        }
        let change = gain.clone();
        let amount = -1.0 / gamma[0];
        let shocks = ma.terms().iter().map(|(lag, c)| (lag - 1, *c));
        let settled = transition.iter().copied().chain(shocks).collect();
        let (state, variance) = (vec![0.0; r], gamma[0]);
        Some(Self { transition, state, gain, change, amount, variance, settled })
    }

    /// What the next value is expected to be.
    pub(super) fn expected(&self) -> f64 {
        self.state[0]
    }

    /// The errors of the values, each over its standard deviation; `self` stays as it is.
    pub(super) fn whitened(&self, values: &[f64]) -> Vec<f64> {
        let mut filter = self.clone();
        let mut whiten = |value: &f64| {
            let surprise = filter.step(*value);
            surprise.error / surprise.variance.sqrt()
        };
        values.iter().map(&mut whiten).collect()
    }

    /// Nothing of the start is left to learn: from here on a step costs as much as there are terms.
    /// The variance falls from step to step and never below that of an innovation; where rounding
    /// would take it there, it has settled as well.
    fn settle(&mut self) {
        (self.variance, self.amount) = (1.0, 0.0);
        self.gain = Vec::new();
        self.change = Vec::new();
    }

    fn settled_step(&mut self, value: f64) -> Surprise {
        let head = self.state[0];
        let error = value - head;
        self.state.copy_within(1.., 0);
        if let Some(last) = self.state.last_mut() {
            *last = 0.0;
        }
        self.settled.iter().for_each(|(i, gain)| self.state[*i] += gain * error);
        self.transition.iter().for_each(|(i, phi)| self.state[*i] += phi * head);
        Surprise { error, variance: 1.0 }
    }

    /// Takes in the next value.
    pub(super) fn step(&mut self, value: f64) -> Surprise {
        if self.gain.is_empty() {
            return self.settled_step(value);
        }
        let surprise = Surprise { error: value - self.state[0], variance: self.variance };
        let (head, lead) = (self.state[0], self.change[0]);
        let moved = surprise.error / self.variance;
        let back = lead / self.variance;
        let up = self.amount * lead;
        let last = self.state.len() - 1;
        for i in 0..last {
            let (shifted, gain) = (self.change[i + 1], self.gain[i]);
            self.state[i] = self.state[i + 1] + gain * moved;
            self.change[i] = shifted - gain * back;
            self.gain[i] = gain + shifted * up;
        }
        let gain = self.gain[last];
        self.state[last] = gain * moved;
        self.change[last] = -gain * back;
        for (i, phi) in &self.transition {
            self.state[*i] += phi * head;
            self.change[*i] += phi * lead;
            self.gain[*i] += phi * lead * up;
        }
        let next = self.variance + up * lead;
        if next > 1.0 + settings::ARIMA_SETTLED {
            self.amount *= self.variance / next;
            self.variance = next;
        } else {
            self.settle();
        }
        surprise
    }

    /// The expectations of the next `horizon` values.
    pub(super) fn ahead(&self, horizon: usize) -> Vec<f64> {
        let r = self.state.len();
        let mut out = Vec::with_capacity(horizon);
        for h in 0..horizon {
            let own = if h < r { self.state[h] } else { 0.0 };
            let carried: f64 = self
                .transition
                .iter()
                .take_while(|(i, _)| *i < h)
                .map(|(i, phi)| phi * out[h - 1 - i])
                .sum();
            out.push(own + carried);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f64; 14] =
        [0.3, -1.1, 0.7, 2.0, -0.4, 0.1, -1.9, 0.8, 1.2, -0.6, 0.05, 1.4, -2.2, 0.9];

    fn poly(c: &[f64], stride: usize) -> Polynomial {
        Polynomial::of(c, stride)
    }

    /// The logarithm of the density of the values by the filter, innovations of variance 1.
    fn by_filter(ar: &Polynomial, ma: &Polynomial) -> f64 {
        let mut filter = Filter::stationary(ar, ma).unwrap();
        let density = |value: &f64| {
            let s = filter.step(*value);
            -0.5 * ((std::f64::consts::TAU * s.variance).ln() + s.error * s.error / s.variance)
        };
        VALUES.iter().map(density).sum()
    }

    /// The same from the whole covariance matrix, made of the infinite moving average.
    fn by_matrix(ar: &Polynomial, ma: &Polynomial) -> f64 {
        let n = VALUES.len();
        let psi = ar.divide(ma, 5_000);
        let gamma: Vec<f64> =
            (0..n).map(|k| psi.iter().zip(&psi[k..]).map(|(a, b)| a * b).sum()).collect();
        let mut low = vec![vec![0.0; n]; n];
        let mut white = [0.0; VALUES.len()];
        let mut sum = 0.0;
        for i in 0..n {
            for j in 0..=i {
                let known: f64 = (0..j).map(|p| low[i][p] * low[j][p]).sum();
                let rest = gamma[i - j] - known;
                low[i][j] = if i == j { rest.sqrt() } else { rest / low[j][j] };
            }
            let known: f64 = (0..i).map(|p| low[i][p] * white[p]).sum();
            white[i] = (VALUES[i] - known) / low[i][i];
            sum -= 0.5 * (std::f64::consts::TAU.ln() + white[i] * white[i]) + low[i][i].ln();
        }
        sum
    }

    #[test]
    fn the_likelihood_is_that_of_the_multivariate_normal() {
        let one = Polynomial::one();
        for (name, ar, ma) in [
            ("AR(1)", poly(&[-0.8], 1), one.clone()),
            ("AR(3)", poly(&[-0.5, 0.3, -0.2], 1), one.clone()),
            ("MA(1)", one.clone(), poly(&[0.6], 1)),
            ("MA(2)", one.clone(), poly(&[-0.9, 0.3], 1)),
            ("ARMA(2,1)", poly(&[-1.1, 0.4], 1), poly(&[0.5], 1)),
            ("(0,1)(0,1) of 4", one.clone(), poly(&[-0.4], 1).times(&poly(&[-0.7], 4))),
            ("(1,0)(1,1) of 3", poly(&[-0.6], 1).times(&poly(&[-0.5], 3)), poly(&[0.3], 3)),
            ("seasons of 3 and 5", poly(&[-0.7], 5), poly(&[0.2], 1).times(&poly(&[-0.4], 3))),
        ] {
            let (fast, slow) = (by_filter(&ar, &ma), by_matrix(&ar, &ma));
            assert!((fast - slow).abs() < 1e-9, "{name}: {fast} is not {slow}");
        }
    }

    #[test]
    fn the_likelihood_of_a_first_order_autoregression_is_known() {
        let phi = 0.8f64;
        let first = VALUES[0] * VALUES[0] * (1.0 - phi * phi) - (1.0 - phi * phi).ln();
        let later: f64 = VALUES.windows(2).map(|y| (y[1] - phi * y[0]).powi(2)).sum();
        let constant = VALUES.len() as f64 * std::f64::consts::TAU.ln();
        let wanted = -0.5 * (constant + first + later);
        let found = by_filter(&poly(&[-phi], 1), &Polynomial::one());
        assert!((found - wanted).abs() < 1e-12, "{found} is not {wanted}");
    }

    #[test]
    fn looking_ahead_is_stepping_without_surprises() {
        let ar = poly(&[-0.6, 0.1], 1).times(&poly(&[-0.5], 4));
        let ma = poly(&[0.3], 1).times(&poly(&[-0.6], 4));
        let mut filter = Filter::stationary(&ar, &ma).unwrap();
        for value in VALUES {
            filter.step(value);
        }
        for (h, wanted) in filter.ahead(20).into_iter().enumerate() {
            let expected = filter.expected();
            assert!((expected - wanted).abs() < 1e-12, "step {h}: {expected} {wanted}");
            filter.step(expected);
        }
    }

    #[test]
    fn the_variance_falls_to_that_of_an_innovation_and_no_further() {
        let ma = poly(&[-0.6], 1).times(&poly(&[-0.9], 288));
        let mut filter = Filter::stationary(&Polynomial::one(), &ma).unwrap();
        let variances: Vec<f64> =
            (0..8_000).map(|t| filter.step((t % 5) as f64).variance).collect();
        assert!((variances[0] - 1.36 * 1.81).abs() < 1e-12);
        assert!(variances.windows(2).all(|v| v[1] <= v[0] + 1e-9));
        assert!((1.0..1.02).contains(variances.last().unwrap()));

        let ar = poly(&[-0.6, 0.2], 1).times(&poly(&[-0.5], 12));
        let mut settled = Filter::stationary(&ar, &Polynomial::one()).unwrap();
        let variances: Vec<f64> = (0..40).map(|t| settled.step((t % 7) as f64).variance).collect();
        assert!(variances[13] > 1.0 && variances[14] == 1.0 && settled.gain.is_empty());
    }
}
