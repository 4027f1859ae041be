//! A series with its trees: what forecasts, and follows new values.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::forest::Forest;
use super::frame::{Frame, Known};
use crate::models::{Fitted, Observation, Prediction, Regressors, scale};
use crate::settings;

/// Trees that any number of series may hold. Saved, each series has its own.
#[derive(Debug, Clone)]
pub(super) struct Shared(pub(super) Arc<Forest>);

impl Serialize for Shared {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Forest::deserialize(deserializer).map(|forest| Self(Arc::new(forest)))
    }
}

/// The newest values of a series, scaled, and the trees that know how they go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Grown {
    pub(super) forest: Shared,
    pub(super) frame: Frame,
    pub(super) past: Vec<f32>,
    /// The index of the first of them.
    pub(super) first: usize,
    /// The last value of each outside series that is known up to now only.
    pub(super) outside: Vec<f64>,
    pub(super) scale: scale::Fitted,
    /// What scaled values are clamped to.
    pub(super) bounds: (f32, f32),
}

impl Grown {
    fn say(&self, horizon: usize, ahead: &Regressors) -> Vec<f32> {
        let known = Known { values: &self.past, first: self.first };
        let origin = self.frame.origin(known, self.first + self.past.len());
        let mut row = Vec::with_capacity(self.frame.width());
        let (least, most) = self.bounds;
        let step = |step| {
            let at = |column: &Vec<f64>| column.get(step).copied().unwrap_or(f64::NAN);
            let outside = (ahead.ahead.iter().map(at), self.outside.iter().copied());
            self.frame.row(known, &origin, step, outside, &mut row);
            let anchor = self.frame.anchor(known, &origin, step);
            (anchor + self.forest.0.predict(&row) as f32).clamp(least, most)
        };
        (0..horizon).map(step).collect()
    }
}

impl Fitted for Grown {
    fn update(&mut self, observation: Observation<'_>) {
        let value = if observation.value.is_finite() {
            (self.scale.into(observation.value) as f32).clamp(self.bounds.0, self.bounds.1)
        } else {
            self.say(1, &Regressors::NONE)[0]
        };
        let known = observation.regressors.len().saturating_sub(self.outside.len());
        for (last, value) in self.outside.iter_mut().zip(&observation.regressors[known..]) {
            *last = *value;
        }
        let reach = self.frame.reach();
        let over = (self.past.len() + 1).saturating_sub(reach);
        if over > reach / settings::HISTORY_PER_SLACK {
            self.past.drain(..over);
            self.first += over;
        }
        self.past.push(value);
    }

    fn forecast(&self, horizon: usize, ahead: &Regressors) -> Prediction {
        let said = self.say(horizon, ahead);
        let centre = said.into_iter().map(|value| self.scale.back(f64::from(value))).collect();
        Prediction { centre, scale: None }
    }
}
