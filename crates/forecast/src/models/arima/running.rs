//! A model that has learned: constant work per value, no matter how long the history was.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::design::Design;
use super::filter::Filter;
use super::polynomial::Polynomial;
use crate::models::scale;
use crate::models::{Fitted, Observation, Prediction, Regressors};

/// The fitted model and its state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) scale: scale::Fitted,
    /// The bounds of values, scaled.
    pub(super) bounds: (f64, f64),
    pub(super) design: Design,
    /// Coefficients of the columns of the design.
    pub(super) beta: Vec<f64>,
    /// The mean of the differenced values.
    pub(super) constant: f64,
    pub(super) difference: Polynomial,
    pub(super) ar: Polynomial,
    pub(super) ma: Polynomial,
    /// Standard deviation of an innovation, scaled.
    pub(super) deviation: f64,
    pub(super) filter: Filter,
    /// The newest values without regression effects, as many as differences reach back.
    pub(super) tail: VecDeque<f64>,
}

impl Running {
    /// Takes in one scaled value (`NaN`: none) and the raw regressors of its step.
    pub(super) fn push(&mut self, value: f64, regressors: &[f64]) {
        let known = |place: usize| regressors.get(place).copied();
        let effect = self.design.effect(&self.beta, known);
        let carried = self.carried(&self.tail);
        let change = if value.is_finite() {
            value.clamp(self.bounds.0, self.bounds.1) - effect - carried - self.constant
        } else {
            self.filter.expected()
        };
        self.filter.step(change);
        if self.difference.degree() > 0 {
            self.tail.push_back(change + self.constant + carried);
            self.tail.pop_front();
        }
    }

    /// The expected values of the next `horizon` steps, scaled.
    pub(super) fn centre(&self, horizon: usize, ahead: &Regressors) -> Vec<f64> {
        let (mut design, mut tail) = (self.design.clone(), self.tail.clone());
        let step = |(h, change): (usize, f64)| {
            let effect = design.effect(&self.beta, |place| ahead.ahead.get(place)?.get(h).copied());
            let own = change + self.constant + self.carried(&tail);
            if self.difference.degree() > 0 {
                tail.push_back(own);
                tail.pop_front();
            }
            (own + effect).clamp(self.bounds.0, self.bounds.1)
        };
        self.filter.ahead(horizon).into_iter().enumerate().map(step).collect()
    }

    /// What earlier values add to a change to make the value.
    fn carried(&self, tail: &VecDeque<f64>) -> f64 {
        let n = tail.len();
        self.difference.terms().iter().map(|(lag, c)| -c * tail[n - lag]).sum()
    }

    /// Standard deviations of the errors of 1 to `horizon` steps ahead, scaled: from the weights
    /// of the infinite moving average (Box and Jenkins 1970, §5.1).
    fn deviations(&self, horizon: usize) -> Vec<f64> {
        let psi = self.ar.times(&self.difference).divide(&self.ma, horizon);
        let grow = |sum: &mut f64, weight: &f64| {
            *sum += weight * weight;
            Some(self.deviation * sum.sqrt())
        };
        psi.iter().scan(0.0, grow).collect()
    }
}

impl Fitted for Running {
    fn update(&mut self, observation: Observation<'_>) {
        let value = observation.value;
        let scaled = if value.is_finite() { self.scale.into(value) } else { f64::NAN };
        self.push(scaled, observation.regressors);
    }

    fn forecast(&self, horizon: usize, ahead: &Regressors) -> Prediction {
        let centre = self.centre(horizon, ahead);
        let room = self.bounds.1 - self.bounds.0;
        let deviations = self.deviations(horizon);
        let width = |(c, s): (&f64, &f64)| {
            (self.scale.back(c + s.min(room)) - self.scale.back(*c)).max(0.0)
        };
        let scale = centre.iter().zip(&deviations).map(width).collect();
        let centre = centre.into_iter().map(|value| self.scale.back(value)).collect();
        Prediction { centre, scale: Some(scale) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(ar: Polynomial, difference: Polynomial) -> Running {
        let ma = Polynomial::one();
        Running {
            scale: scale::Scale::Plain.fit(&[0.0]),
            bounds: (-1e6, 1e6),
            design: Design::new(&Regressors::NONE, 0, 0),
            beta: Vec::new(),
            constant: 0.0,
            tail: std::iter::repeat_n(0.0, difference.degree()).collect(),
            filter: Filter::stationary(&ar, &ma).unwrap(),
            deviation: 2.0,
            difference,
            ar,
            ma,
        }
    }

    #[test]
    fn errors_grow_as_theory_says() {
        let walk = running(Polynomial::one(), Polynomial::difference(1));
        let auto = running(Polynomial::of(&[-0.8], 1), Polynomial::one());
        let season = running(Polynomial::one(), Polynomial::difference(3));
        for h in 1..10usize {
            let at = |r: &Running| r.forecast(10, &Regressors::NONE).scale.unwrap()[h - 1];
            assert!((at(&walk) - 2.0 * (h as f64).sqrt()).abs() < 1e-9);
            let ar = ((1.0 - 0.64f64.powi(h as i32)) / 0.36).sqrt();
            assert!((at(&auto) - 2.0 * ar).abs() < 1e-9);
            assert!((at(&season) - 2.0 * (h.div_ceil(3) as f64).sqrt()).abs() < 1e-9);
        }
    }

    #[test]
    fn a_walk_stays_and_a_season_returns() {
        let mut walk = running(Polynomial::one(), Polynomial::difference(1));
        let mut season = running(Polynomial::one(), Polynomial::difference(3));
        for value in [4.0, 7.0, 5.0] {
            walk.update(Observation::of(value));
            season.update(Observation::of(value));
        }
        assert_eq!(walk.forecast(3, &Regressors::NONE).centre, [5.0; 3]);
        assert_eq!(season.forecast(4, &Regressors::NONE).centre, [4.0, 7.0, 5.0, 4.0]);
    }
}
