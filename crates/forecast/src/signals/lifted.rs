//! A model of the load without the effects of signals, which are added again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::series::Series;
use serde::{Deserialize, Serialize};

use super::Acts;
use super::judge::{self, Columns};
use crate::models::{
    self, Context, Cost, FitError, Fitted, Model, Observation, Prediction, Regressors,
};
use crate::state::{self, StateError};

/// What the name of such a model ends with.
const ENDING: &str = "+signals";

/// The names, in the order of [`models::NAMES`].
const NAMES: [&str; models::NAMES.len()] = [
    "naive+signals",
    "seasonal-naive+signals",
    "seasonal-naive-long+signals",
    "rho+signals",
    "rho-log+signals",
    "delta+signals",
    "delta-log+signals",
    "rho-profile+signals",
    "rho-profile-log+signals",
    "delta-profile+signals",
    "delta-profile-log+signals",
    "card+signals",
    "smoothing+signals",
    "smoothing-log+signals",
    "ets+signals",
    "theta+signals",
    "mstl+signals",
    "arima+signals",
    "prophet+signals",
    "prophet-multiplicative+signals",
    "lstm+signals",
    "trees+signals",
];

/// The effects of chosen columns, as Prophet finds them on each stretch of history: one search
/// for all models that learn from the same stretch.
pub(crate) struct Effects {
    columns: Columns,
    acts: Acts,
    found: Mutex<BTreeMap<usize, Arc<Vec<f64>>>>,
}

impl Effects {
    pub(crate) fn of(columns: Columns, acts: Acts) -> Self {
        Self { columns, acts, found: Mutex::new(BTreeMap::new()) }
    }

    /// What the columns add to each step of the history and the horizon, on the scale of effects,
    /// judged by the values of `series` alone.
    fn on(&self, series: &Series, context: &Context) -> Result<Arc<Vec<f64>>, FitError> {
        let length = series.values().len();
        let lock = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&length) {
            return Ok(Arc::clone(known));
        }
        let (explained, outside) =
            judge::explain(&judge::scaled(series, self.acts), context, &self.columns)?;
        let count = self.columns.iter().map(Vec::len).max().unwrap_or(0);
        let parts = explained.components(0..count, &outside);
        let mut sum = vec![0.0; count];
        for part in parts.events.iter().chain(&parts.regressors) {
            sum.iter_mut().zip(&part.values).for_each(|(sum, value)| *sum += value);
        }
        let sum = Arc::new(sum);
        lock().insert(length, Arc::clone(&sum));
        Ok(sum)
    }
}

/// A model that learns from the load without the effects of signals.
pub(crate) struct Lifted {
    name: &'static str,
    inner: Box<dyn Model>,
    effects: Arc<Effects>,
}

impl Lifted {
    /// Of one of [`models::NAMES`]; `None` of any other.
    pub(crate) fn of(inner: Box<dyn Model>, effects: &Arc<Effects>) -> Option<Self> {
        let place = models::NAMES.iter().position(|known| *known == inner.name())?;
        Some(Self { name: NAMES[place], inner, effects: Arc::clone(effects) })
    }

    /// Whether a name is that of such a model.
    pub(crate) fn is(name: &str) -> bool {
        name.ends_with(ENDING)
    }
}

/// What was saved of the model of that name.
pub(crate) fn restore(name: &str, bytes: &[u8]) -> Option<Result<Box<dyn Fitted>, StateError>> {
    let inner = name.strip_suffix(ENDING)?;
    models::by_name(inner)?;
    Some(state::restore::<LiftedFit>(bytes))
}

impl Model for Lifted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cost(&self) -> Cost {
        self.inner.cost()
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        let effects = self.effects.on(series, context)?;
        let acts = self.effects.acts;
        let values = series.values().iter().zip(effects.iter());
        let values = values.map(|(value, effect)| acts.without(*value, *effect)).collect();
        let plain = Series::new(series.start(), series.step(), values);
        let inner = self.inner.fit(&plain, context)?;
        let ahead = effects.get(series.values().len()..).unwrap_or(&[]).to_vec();
        Ok(Box::new(LiftedFit { model: self.inner.name().to_owned(), inner, acts, ahead, next: 0 }))
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<LiftedFit>(bytes)
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "Saved", try_from = "Saved")]
struct LiftedFit {
    model: String,
    inner: Box<dyn Fitted>,
    acts: Acts,
    /// The effects after the history that was learned from, and how many of these steps are past.
    ahead: Vec<f64>,
    next: usize,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    model: String,
    state: Vec<u8>,
    acts: Acts,
    ahead: Vec<f64>,
}

impl From<LiftedFit> for Saved {
    fn from(fit: LiftedFit) -> Self {
        let ahead = fit.ahead.get(fit.next..).unwrap_or(&[]).to_vec();
        Self { model: fit.model, state: fit.inner.save(), acts: fit.acts, ahead }
    }
}

impl TryFrom<Saved> for LiftedFit {
    type Error = StateError;

    fn try_from(saved: Saved) -> Result<Self, StateError> {
        let Saved { model: name, state, acts, ahead } = saved;
        let Some(model) = models::by_name(&name) else {
            return Err(StateError::UnknownModel { name });
        };
        Ok(Self { inner: model.restore(&state)?, model: name, acts, ahead, next: 0 })
    }
}

impl LiftedFit {
    /// The effect so many steps ahead; nothing is known of those after the horizon.
    fn effect(&self, ahead: usize) -> f64 {
        self.ahead.get(self.next + ahead).copied().unwrap_or(0.0)
    }
}

impl Fitted for LiftedFit {
    fn update(&mut self, observation: Observation<'_>) {
        let plain = self.acts.without(observation.value, self.effect(0));
        self.inner.update(Observation::of(plain));
        self.next += 1;
    }

    fn forecast(&self, horizon: usize, _: &Regressors) -> Prediction {
        let mut said = self.inner.forecast(horizon, &Regressors::NONE);
        for (h, centre) in said.centre.iter_mut().enumerate() {
            *centre = self.acts.with(*centre, self.effect(h));
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_a_name_with_signals() {
        for (plain, lifted) in models::NAMES.iter().zip(NAMES) {
            assert_eq!(lifted, format!("{plain}{ENDING}"));
        }
    }
}
