//! The Theta method, optimised: the standard, the optimised and their dynamic forms, on the
//! series without its season (Assimakopoulos and Nikolopoulos 2000; Fiorucci et al. 2016).
//!
//! A season is taken out if it passes the test of the M competitions, by classical
//! decomposition, multiplicative where all values are positive and that describes the series
//! better, else additive. Of several periods, the one with the lowest criterion is taken, which
//! charges every phase as a parameter.

use domain::series::Series;
use serde::{Deserialize, Serialize};

use super::history::{History, Regressors};
use super::{Context, FitError, Fitted, Model, Observation, Prediction};
use crate::classical::{self, Season};
use crate::settings;
use crate::state::{self, StateError};

mod line;

use line::{Angle, Line, Theta};

/// The Theta method, with all its choices made by the data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AutoTheta;

impl Model for AutoTheta {
    fn name(&self) -> &'static str {
        "theta"
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        let model = self.name();
        let history = History::of(series.values(), &context.seasons);
        let found = history.len();
        if found < settings::SMOOTHING_LEAST {
            return Err(FitError::TooShort { model, needed: settings::SMOOTHING_LEAST, found });
        }
        let seasons = context.seasons.within(found, settings::CYCLES_FOR_SMOOTHING);
        let (values, _) = history.newest(seasons.periods());
        let fitted = Adjusted::fit(values, seasons.periods());
        Ok(Box::new(fitted.ok_or(FitError::Unsolvable { model })?))
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<Adjusted>(bytes)
    }
}

/// A Theta line with the season that was taken out, in units of the series over `scale`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Adjusted {
    theta: Theta,
    form: Form,
    /// The phase of the next value.
    phase: usize,
    scale: f64,
    /// What values are clamped to, scaled.
    bounds: (f64, f64),
}

impl Adjusted {
    fn fit(raw: &[f64], periods: &[usize]) -> Option<Self> {
        let mean = raw.iter().map(|v| v.abs()).sum::<f64>() / raw.len() as f64;
        let scale = if mean.is_normal() { mean } else { 1.0 };
        let values: Vec<f64> = raw.iter().map(|v| v / scale).collect();
        let (low, high) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let room = settings::RANGE_ROOM * (high - low);
        let form = season(&values, periods, low > settings::LOG_FLOOR);
        let rest = form.adjusted(&values);
        let variants = [
            (Line::Static, Angle::Two),
            (Line::Static, Angle::Free),
            (Line::Dynamic, Angle::Two),
            (Line::Dynamic, Angle::Free),
        ];
        let fits = variants.map(|(line, angle)| {
            let (theta, error) = Theta::fit(line, angle, &rest);
            (form.criterion(values.len(), error, angle), theta)
        });
        let (value, theta) = fits.into_iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
        let phase = values.len() % form.phases.len().max(1);
        let bounds = (low - room, high + room);
        value.is_finite().then_some(Self { theta, form, phase, scale, bounds })
    }
}

/// The season that is taken out.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Form {
    multiplicative: bool,
    /// Empty without a season.
    phases: Vec<f64>,
}

impl Form {
    /// A value of the phase at `index` without its season.
    fn remove(&self, value: f64, index: usize) -> f64 {
        match self.at(index) {
            None => value,
            Some(phase) if self.multiplicative => value / phase,
            Some(phase) => value - phase,
        }
    }

    fn put_back(&self, value: f64, index: usize) -> f64 {
        match self.at(index) {
            None => value,
            Some(phase) if self.multiplicative => value * phase,
            Some(phase) => value + phase,
        }
    }

    fn at(&self, index: usize) -> Option<f64> {
        self.phases.get(index % self.phases.len().max(1)).copied()
    }

    fn adjusted(&self, values: &[f64]) -> Vec<f64> {
        values.iter().enumerate().map(|(i, v)| self.remove(*v, i)).collect()
    }

    /// AICc of a line on the adjusted series (phases around 0 or 1 keep its unit).
    fn criterion(&self, length: usize, error: f64, angle: Angle) -> f64 {
        let n = length as f64;
        let k = self.phases.len() as f64 + if angle == Angle::Two { 3.0 } else { 4.0 };
        let spare = (n - k - 1.0).max(1.0);
        n * error.max(settings::ETS_NO_ERROR * n).ln() + 2.0 * k + 2.0 * k * (k + 1.0) / spare
    }
}

/// The form that describes the values best: none, if no period passes the test.
fn season(values: &[f64], periods: &[usize], positive: bool) -> Form {
    let mut best = (f64::INFINITY, Form { multiplicative: false, phases: Vec::new() });
    for &period in periods.iter().filter(|p| classical::is_seasonal(values, **p)) {
        for multiplicative in [false, true].into_iter().take(1 + usize::from(positive)) {
            let kind = if multiplicative { Season::Multiplicative } else { Season::Additive };
            let form = Form { multiplicative, phases: classical::phases(values, period, kind) };
            let (_, error) = Theta::fit(Line::Static, Angle::Free, &form.adjusted(values));
            let value = form.criterion(values.len(), error, Angle::Free);
            if value < best.0 {
                best = (value, form);
            }
        }
    }
    best.1
}

impl Fitted for Adjusted {
    fn update(&mut self, observation: Observation<'_>) {
        let value = observation.value;
        let value = value.is_finite().then(|| {
            let inside = (value / self.scale).clamp(self.bounds.0, self.bounds.1);
            self.form.remove(inside, self.phase)
        });
        self.theta.update(value);
        self.phase = (self.phase + 1) % self.form.phases.len().max(1);
    }

    fn forecast(&self, horizon: usize, _ahead: &Regressors) -> Prediction {
        let (low, high) = self.bounds;
        let ahead = self.theta.ahead(horizon).into_iter().enumerate();
        let centre = ahead
            .map(|(h, v)| self.scale * self.form.put_back(v, self.phase + h).clamp(low, high))
            .collect();
        Prediction { centre, scale: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(i: usize) -> f64 {
        ((i * i % 10_007) as f64 * 0.618).sin()
    }

    fn wave(i: usize) -> f64 {
        (std::f64::consts::TAU * (i % 12) as f64 / 12.0).sin()
    }

    #[test]
    fn a_season_on_a_rising_level_goes_on() {
        let value = |i: usize| (100.0 + 0.5 * i as f64) * (1.0 + 0.3 * wave(i)) + noise(i);
        let values: Vec<f64> = (0..240).map(value).collect();
        let fitted = Adjusted::fit(&values, &[12]).unwrap();
        assert!(fitted.form.multiplicative);
        for (h, found) in fitted.forecast(24, &Regressors::NONE).centre.iter().enumerate() {
            let wanted = value(240 + h);
            assert!((found / wanted - 1.0).abs() < 0.06, "step {h}: {found} not {wanted}");
        }
    }

    #[test]
    fn an_unproven_season_is_left_in() {
        let values: Vec<f64> = (0..240).map(|i| 50.0 + noise(i)).collect();
        assert!(Adjusted::fit(&values, &[12]).unwrap().form.phases.is_empty());
        let negative: Vec<f64> = (0..240).map(|i| 10.0 * wave(i) + noise(i)).collect();
        let form = Adjusted::fit(&negative, &[12]).unwrap().form;
        assert!(!form.multiplicative && form.phases.len() == 12);
    }

    #[test]
    fn updates_move_level_and_phase() {
        let values: Vec<f64> = (0..252).map(|i| 50.0 + 10.0 * wave(i) + noise(i)).collect();
        let mut fitted = Adjusted::fit(&values[..240], &[12]).unwrap();
        for value in &values[240..] {
            fitted.update(Observation::of(*value));
        }
        let gap = fitted.forecast(2, &Regressors::NONE).centre[1];
        fitted.update(Observation::of(f64::NAN));
        let ahead = fitted.forecast(12, &Regressors::NONE).centre;
        assert!((ahead[0] - gap).abs() < 1e-9, "a gap moves on as expected");
        for (h, found) in ahead.iter().enumerate() {
            assert!((found - 50.0 - 10.0 * wave(253 + h)).abs() < 3.0, "step {h}: {found}");
        }
    }
}
