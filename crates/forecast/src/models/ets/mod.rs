//! Exponential smoothing as an innovations state space, with error, trend and season each
//! additive, multiplicative or absent, chosen by AICc (Hyndman, Koehler, Ord and Snyder,
//! "Forecasting with exponential smoothing", Springer 2008; Hyndman and Khandakar 2008).
//!
//! The starting states come from a classical decomposition and are not searched for: with many
//! cycles they hardly matter, and a search over four weights at most is a hundred times faster
//! than one over a whole season of states. The season is that of the series' periods with the
//! lowest criterion, which charges every phase as a parameter.

use domain::series::Series;
use serde::{Deserialize, Serialize};

use super::history::{History, Regressors};
use super::{Context, FitError, Fitted, Model, Observation, Prediction};
use crate::settings;
use crate::state::{self, StateError};

mod filter;
mod form;
mod search;
mod start;

pub(crate) use filter::Seen;
use filter::{State, Weights};
use form::Form;

/// Automatic exponential smoothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ets;

impl Model for Ets {
    fn name(&self) -> &'static str {
        "ets"
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        let model = self.name();
        let history = History::of(series.values(), &context.seasons);
        let periods: Vec<usize> = context
            .seasons
            .within(history.len(), settings::CYCLES_FOR_SMOOTHING)
            .periods()
            .iter()
            .copied()
            .filter(|p| *p <= settings::ETS_LONGEST)
            .collect();
        let (values, observed) = history.newest(&periods);
        let seen = Seen { values, observed };
        Ok(Box::new(Smoother::fit(model, seen, &periods)?))
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<Smoother>(bytes)
    }
}

/// A form with its weights and states, in units of the series over `scale`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Smoother {
    form: Form,
    weights: Weights,
    state: State,
    scale: f64,
    /// What values are clamped to, scaled.
    bounds: (f64, f64),
}

impl Smoother {
    /// The best form for these values, with one of these periods or none.
    pub(crate) fn fit(
        model: &'static str,
        seen: Seen<'_>,
        periods: &[usize],
    ) -> Result<Self, FitError> {
        let found = seen.observed.iter().filter(|o| **o).count();
        if found < settings::SMOOTHING_LEAST {
            return Err(FitError::TooShort { model, needed: settings::SMOOTHING_LEAST, found });
        }
        let mean = seen.values.iter().map(|v| v.abs()).sum::<f64>() / seen.values.len() as f64;
        let scale = if mean.is_normal() { mean } else { 1.0 };
        let values: Vec<f64> = seen.values.iter().map(|v| v / scale).collect();
        let (low, high) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let room = settings::RANGE_ROOM * (high - low);
        let best = search::best(Seen { values: &values, ..seen }, periods)
            .ok_or(FitError::Unsolvable { model })?;
        let search::Candidate { form, weights, state, .. } = best;
        let least = low - room;
        let least =
            if form.needs_positive() { least.max(settings::LOG_FLOOR * low) } else { least };
        Ok(Self { form, weights, state, scale, bounds: (least, high + room) })
    }
}

impl Fitted for Smoother {
    fn update(&mut self, observation: Observation<'_>) {
        let value = observation.value;
        let value =
            value.is_finite().then(|| (value / self.scale).clamp(self.bounds.0, self.bounds.1));
        self.state.update(self.form.cycle, &self.weights, value);
    }

    fn forecast(&self, horizon: usize, _ahead: &Regressors) -> Prediction {
        let ahead = self.state.ahead(self.form.cycle, &self.weights, horizon);
        let (low, high) = self.bounds;
        let centre = ahead.into_iter().map(|v| self.scale * v.clamp(low, high)).collect();
        Prediction { centre, scale: None }
    }
}

#[cfg(test)]
mod tests;
