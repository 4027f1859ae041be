//! The Theta state space of Fiorucci, Pellegrini, Louzada, Petropoulos and Koehler, "Models for
//! optimising the theta method and their relationship to state space models", Int. J.
//! Forecasting 32, 2016.
//!
//! With level `l`, `κ = 1 − 1/θ` and the line `A + B t` through the values so far (dynamic) or
//! through all of them (static):
//! `ŷ_t = l_{t−1} + κ ((1−α)^{t−1} A + (1 − (1−α)^t)/α · B)`, `l_t = α y_t + (1 − α) l_{t−1}`.
//!
//! Both the starting level and `κ` are linear in `ŷ`, so that for a given `α` the best of both
//! are a regression on two columns, and the search has one dimension.

use serde::{Deserialize, Serialize};

use crate::settings;

/// Which line the forecast leans to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Line {
    /// The one through all values.
    Static,
    /// The one through the values so far.
    Dynamic,
}

/// How far from the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Angle {
    /// `θ = 2`, the standard.
    Two,
    /// The most likely one of at least 1.
    Free,
}

/// A fitted line with its level, after the last value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Theta {
    line: Line,
    alpha: f64,
    /// `1/α`.
    reach: f64,
    kappa: f64,
    level: f64,
    mean: f64,
    intercept: f64,
    slope: f64,
    /// How many values it has seen.
    seen: usize,
    /// `(1 − α)^seen`.
    fade: f64,
}

/// Sums of the regression of what the level leaves on the two columns.
#[derive(Default)]
struct Sums {
    rest: f64,
    start: f64,
    drift: f64,
    start_start: f64,
    start_drift: f64,
    drift_drift: f64,
}

impl Sums {
    /// The starting level and `κ` with the least squared error, and that error.
    fn solve(&self, angle: Angle) -> (f64, f64, f64) {
        let given = |kappa: f64| {
            let start = (self.start - kappa * self.start_drift) / self.start_start;
            let error = self.rest - 2.0 * kappa * self.drift + kappa * kappa * self.drift_drift
                - start * start * self.start_start;
            (start, kappa, error.max(0.0))
        };
        if angle == Angle::Two {
            return given(0.5);
        }
        let spread = self.drift_drift - self.start_drift * self.start_drift / self.start_start;
        let cross = self.drift - self.start * self.start_drift / self.start_start;
        let kappa = if spread > f64::MIN_POSITIVE { cross / spread } else { 0.0 };
        given(kappa.clamp(0.0, settings::THETA_KAPPA_MOST))
    }
}

impl Theta {
    fn new(line: Line, alpha: f64, values: &[f64]) -> Self {
        let (intercept, slope) = match line {
            Line::Static => through(values),
            Line::Dynamic => (values[0], 0.0),
        };
        Self {
            line,
            alpha,
            reach: 1.0 / alpha,
            kappa: 0.0,
            level: 0.0,
            mean: 0.0,
            intercept,
            slope,
            seen: 0,
            fade: 1.0,
        }
    }

    /// What the line adds to the level for the next value, for `κ = 1`.
    fn drift(&self) -> f64 {
        let fade = self.fade * (1.0 - self.alpha);
        self.intercept * self.fade + self.slope * (1.0 - fade) * self.reach
    }

    fn expected(&self) -> f64 {
        self.level + self.kappa * self.drift()
    }

    fn push(&mut self, value: f64) {
        let i = self.seen as f64;
        self.level += self.alpha * (value - self.level);
        if self.line == Line::Dynamic {
            // Running least squares; both start at the first value.
            let next = 1.0 / (i + 1.0);
            let surprise = value - self.mean;
            self.mean += surprise * next;
            if self.seen > 0 {
                self.slope = ((i - 1.0) * self.slope + 6.0 * surprise * next) / (i + 2.0);
                self.intercept = self.mean - 0.5 * self.slope * (i + 2.0);
            }
        }
        self.seen += 1;
        self.fade *= 1.0 - self.alpha;
    }

    /// Takes in a value; without one the level moves as expected.
    pub(crate) fn update(&mut self, value: Option<f64>) {
        self.push(value.unwrap_or_else(|| self.expected()));
    }

    /// The next `horizon` values.
    pub(crate) fn ahead(&self, horizon: usize) -> Vec<f64> {
        let mut copy = self.clone();
        (0..horizon)
            .map(|_| {
                let next = copy.expected();
                copy.push(next);
                next
            })
            .collect()
    }

    /// The sums for one `α`; the state is left after the last value, for a starting level of 0.
    fn sums(&mut self, values: &[f64]) -> Sums {
        let mut sums = Sums::default();
        for (i, value) in values.iter().enumerate() {
            // The dynamic line knows nothing before its first value.
            if i > 0 || self.line == Line::Static {
                let (rest, start, drift) = (value - self.level, self.fade, self.drift());
                sums.rest += rest * rest;
                sums.start += rest * start;
                sums.drift += rest * drift;
                sums.start_start += start * start;
                sums.start_drift += start * drift;
                sums.drift_drift += drift * drift;
            }
            self.push(*value);
        }
        sums
    }

    /// The line with the least squared one-step error, and that error.
    pub(crate) fn fit(line: Line, angle: Angle, values: &[f64]) -> (Self, f64) {
        let base = Self::new(line, 1.0, values);
        let error = |alpha: f64| {
            Self { alpha, reach: 1.0 / alpha, ..base.clone() }.sums(values).solve(angle).2
        };
        let alpha = least(error);
        let mut fitted = Self { alpha, reach: 1.0 / alpha, ..base };
        let (start, kappa, error) = fitted.sums(values).solve(angle);
        fitted.level += start * fitted.fade;
        fitted.kappa = kappa;
        (fitted, error)
    }
}

/// Intercept and slope of the line through the values at `t = 1, 2, …`.
fn through(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let moment: f64 = values.iter().enumerate().map(|(i, v)| (i + 1) as f64 * v).sum::<f64>() / n;
    let slope = if n > 1.0 { 6.0 * (2.0 * moment - (n + 1.0) * mean) / (n * n - 1.0) } else { 0.0 };
    (mean - 0.5 * (n + 1.0) * slope, slope)
}

/// The least point of a function over the range of `α`: a grid, then golden sections.
fn least(mut cost: impl FnMut(f64) -> f64) -> f64 {
    let (low, high) = settings::THETA_ALPHAS;
    let parts = settings::THETA_GRID;
    let at = |k: usize| low + (high - low) * k as f64 / parts as f64;
    let best = (0..=parts)
        .map(|k| (cost(at(k)), k))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(0, |(_, k)| k);
    let (mut left, mut right) = (at(best.saturating_sub(1)), at((best + 1).min(parts)));
    let golden = 0.5 * (5.0_f64.sqrt() - 1.0);
    let (mut a, mut b) = (right - golden * (right - left), left + golden * (right - left));
    let (mut cost_a, mut cost_b) = (cost(a), cost(b));
    while right - left > settings::THETA_PRECISION {
        if cost_a <= cost_b {
            (right, b, cost_b) = (b, a, cost_a);
            a = right - golden * (right - left);
            cost_a = cost(a);
        } else {
            (left, a, cost_a) = (a, b, cost_b);
            b = left + golden * (right - left);
            cost_b = cost(b);
        }
    }
    0.5 * (left + right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_regression_is_the_error_of_the_recursion() {
        let values: Vec<f64> =
            (0..80).map(|i| 20.0 + 0.3 * f64::from(i) + (f64::from(i * i) * 0.37).sin()).collect();
        for line in [Line::Static, Line::Dynamic] {
            for angle in [Angle::Two, Angle::Free] {
                let alpha = 0.3;
                let mut run = Theta::new(line, alpha, &values);
                let (start, kappa, error) = run.sums(&values).solve(angle);
                let mut run = Theta { level: start, kappa, ..Theta::new(line, alpha, &values) };
                let mut squares = 0.0;
                for (i, value) in values.iter().enumerate() {
                    if i > 0 || line == Line::Static {
                        squares += (value - run.expected()).powi(2);
                    }
                    run.push(*value);
                }
                assert!((squares - error).abs() < 1e-6 * squares.max(1.0), "{squares} {error}");
            }
        }
    }

    /// What statsforecast 2.1.1 says of the same values with `initial_smoothed = 15`,
    /// `alpha = 0.3` and this `theta` (`auto_theta` and `forecast_theta`).
    #[test]
    fn forecasts_are_those_of_the_reference() {
        const VALUES: [f64; 16] = [
            30.0, 21.0, 29.0, 40.0, 33.0, 24.0, 31.0, 44.0, 36.0, 27.0, 35.0, 47.0, 38.0, 28.0,
            39.0, 52.0,
        ];
        for (line, theta, wanted) in [
            (Line::Static, 2.0, [42.4069084424, 42.898084913, 43.3892613836, 43.8804378542]),
            (Line::Static, 3.0, [42.9659437458, 43.6208457066, 44.2757476673, 44.9306496281]),
            (Line::Dynamic, 2.0, [42.4069084424, 42.8796277996, 43.3377476246, 43.7823491286]),
            (Line::Dynamic, 3.0, [42.9659437458, 43.6204533935, 44.26224082, 44.8920944281]),
        ] {
            let start = Theta::new(line, 0.3, &VALUES);
            let mut run = Theta { level: 15.0, kappa: 1.0 - 1.0 / theta, ..start };
            VALUES.iter().for_each(|v| run.update(Some(*v)));
            for (found, wanted) in run.ahead(4).iter().zip(wanted) {
                assert!((found - wanted).abs() < 1e-8, "{line:?} {theta}: {found} not {wanted}");
            }
        }
    }

    #[test]
    fn a_trend_goes_on_at_the_slope_that_theta_says() {
        let values: Vec<f64> = (0..60).map(|i| 5.0 + 2.0 * f64::from(i)).collect();
        let (fitted, error) = Theta::fit(Line::Static, Angle::Free, &values);
        let ahead = fitted.ahead(10);
        assert!(error < 1.0, "{error}");
        assert!((ahead[9] - values[59] - 20.0).abs() < 2.0, "{ahead:?}");
    }
}
