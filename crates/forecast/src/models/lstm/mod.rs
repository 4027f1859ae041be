//! A network of long short-term memory that is trained over many series together.
//!
//! Every series is seen on its own scale: as differences from the same moment of the cycle before
//! and from smoothed profiles of its seasons, in units of its mean change over the season
//! ([`track`]), with the place in its seasons, the calendar if the network was trained with it,
//! and regressors that are known ahead. The cell reads value by value; for each step ahead the
//! head weighs naive forecasts of that step, corrects their mean, and gives quantiles ([`net`]).
//! Steps of any length and horizons of any length use the same network.
//!
//! One small network is part of the program, trained on generated load by
//! `cargo run --release -p train --example shipped`; `presurge train` trains one on the load of a
//! fleet. Training is in the crate `train`; here is inference alone, in plain Rust. How it does is
//! in docs/lstm.md.

use std::sync::{Arc, OnceLock};

use domain::series::Series;
use serde::{Deserialize, Serialize};

use super::{Context, FitError, Fitted, Model, Observation, Prediction, Regressors};
use crate::settings;
use crate::state::{self, StateError};

mod calendar;
pub mod examples;
mod net;
mod scaled;
pub mod shape;
mod shared;
mod track;
mod weights;

use net::{Head, Memory};
use scaled::Scaled;
pub use shape::{Calendar, LEVELS, Shape};
use shared::Shared;
use track::Step;
pub use weights::{FORMAT, Origin, Weights, WeightsError};

/// The name by which users ask for the model.
pub const NAME: &str = "lstm";

/// The network that is part of the program.
pub fn shipped() -> Arc<Weights> {
    static SHIPPED: OnceLock<Arc<Weights>> = OnceLock::new();
    let read = || {
        let weights = Weights::from_bytes(include_bytes!("shipped.weights"));
        Arc::new(weights.expect("the weights of this version are read by its tests"))
    };
    Arc::clone(SHIPPED.get_or_init(read))
}

/// The model with the weights of one network.
#[derive(Debug, Clone)]
pub struct Lstm {
    weights: Arc<Weights>,
}

impl Default for Lstm {
    /// The network that is part of the program.
    fn default() -> Self {
        Self { weights: shipped() }
    }
}

impl Lstm {
    /// The model with these weights.
    pub fn of(weights: Arc<Weights>) -> Self {
        Self { weights }
    }
}

impl Model for Lstm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        Ok(Box::new(Running::fit(Arc::clone(&self.weights), series, context)?))
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<Running>(bytes)
    }
}

/// A network that has read a series.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Running {
    weights: Shared,
    scaled: Scaled,
    memory: Memory,
}

impl Running {
    fn fit(weights: Arc<Weights>, series: &Series, context: &Context) -> Result<Self, FitError> {
        let mut memory = Memory::empty(weights.shape().cell);
        let mut gates = Vec::new();
        let scaled = Scaled::learn(series, context, weights.shape(), |inputs| {
            net::advance(&weights, &mut memory, inputs, &mut gates);
        })?;
        Ok(Self { weights: Shared(weights), scaled, memory })
    }

    /// The quantiles of the next steps at [`LEVELS`], on the scale of the network.
    fn quantiles(&self, horizon: usize, ahead: &Regressors) -> Vec<[f32; LEVELS.len()]> {
        let weights = &self.weights.0;
        let mut head = Head::new(weights, &self.memory, &self.scaled.track.statics());
        let (unit, mut step) = (self.scaled.track.unit(), Step::default());
        let one = |h| {
            self.scaled.step(h, &ahead.ahead, weights.shape(), &mut step);
            head.quantiles(&step).map(|quantile| step.base + unit * quantile)
        };
        (0..horizon).map(one).collect()
    }
}

/// Between the quantiles at 0.05 and 0.95 of a normal distribution lie so many standard deviations.
const DEVIATIONS_BETWEEN: f64 = 3.289_707;

impl Fitted for Running {
    fn update(&mut self, observation: Observation<'_>) {
        let weights = &self.weights.0;
        let mut inputs = Vec::with_capacity(weights.shape().cell_inputs());
        let Observation { value, regressors } = observation;
        self.scaled.push(value, regressors, weights.shape(), &mut inputs);
        net::advance(weights, &mut self.memory, &inputs, &mut Vec::new());
    }

    fn forecast(&self, horizon: usize, ahead: &Regressors) -> Prediction {
        let rows = self.quantiles(horizon, ahead);
        let back = |value: f32| self.scaled.back(value);
        let centre = rows.iter().map(|row| back(row[shape::MEDIAN])).collect();
        let scale = rows.iter().map(|row| (back(row[5]) - back(row[0])) / DEVIATIONS_BETWEEN);
        Prediction { centre, scale: Some(scale.collect()) }
    }
}

/// The longest the network reads back when it is fitted, in values.
pub const WARM: usize = settings::LSTM_WARM;

#[cfg(test)]
mod tests;
