//! A series on the scale of the network, and the inputs that its values make.

use domain::series::Series;
use serde::{Deserialize, Serialize};

use super::calendar::Times;
use super::shape::{CELL_OWN, DEVIATIONS, Shape};
use super::track::{Step, Track};
use crate::models::history::History;
use crate::models::scale::{self, Scale};
use crate::models::{Context, FitError};
use crate::settings;

/// What is known of one series without its network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Scaled {
    pub(crate) track: Track,
    scale: scale::Fitted,
    /// The bounds of values, scaled.
    bounds: (f32, f32),
    times: Times,
    /// The index of the next value in `times`.
    next: usize,
    /// Mean and spread of each regressor.
    columns: Vec<(f64, f64)>,
}

impl Scaled {
    /// Learns the scale of a series, and hands what the cell sees of its newest
    /// [`settings::LSTM_WARM`] values to `see`, oldest first.
    pub(crate) fn learn(
        series: &Series,
        context: &Context,
        shape: Shape,
        mut see: impl FnMut(&[f32]),
    ) -> Result<Self, FitError> {
        let history = History::of(series.values(), &context.seasons);
        let (found, needed) = (history.len(), settings::LSTM_LEAST);
        if found < needed {
            return Err(FitError::TooShort { model: super::NAME, needed, found });
        }
        let scale = Scale::Plain.fit(history.values());
        let ends = history.values().iter().map(|v| scale.into(*v));
        let (low, high) =
            ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let room = settings::RANGE_ROOM * (high - low);
        let ahead = &context.regressors.ahead;
        let columns = (0..shape.regressors).map(|c| ahead.get(c).map_or((0.0, 1.0), |c| spread(c)));
        let mut own = Self {
            track: Track::new(&context.seasons.within(found, settings::CYCLES_FOR_PROFILE)),
            scale,
            bounds: ((low - room) as f32, (high + room) as f32),
            times: Times { start: series.start().as_second(), step: series.step().seconds() },
            next: history.first_index(),
            columns: columns.collect(),
        };
        let from = own.track.week().max(found.saturating_sub(settings::LSTM_WARM));
        let mut inputs = Vec::with_capacity(shape.cell_inputs());
        for (index, (value, seen)) in history.values().iter().zip(history.observed()).enumerate() {
            if index == from {
                own.track.anchor();
                unknown(shape, &mut inputs);
                (found - from..settings::LSTM_WARM).for_each(|_| see(&inputs));
            }
            // The first cycle is what all else is told against: gaps in it are bridged.
            let value = if *seen || index < from { *value } else { f64::NAN };
            let row = |c: &Vec<f64>| c.get(own.next).copied().unwrap_or(f64::NAN);
            let outside: Vec<f64> = ahead.iter().map(row).collect();
            own.push(value, &outside, shape, &mut inputs);
            if index >= from {
                see(&inputs);
            }
        }
        Ok(own)
    }

    /// Takes in the next value (`NaN` is a gap), and writes what the cell sees of it.
    pub(crate) fn push(
        &mut self,
        value: f64,
        outside: &[f64],
        shape: Shape,
        inputs: &mut Vec<f32>,
    ) {
        let scaled = value.is_finite().then(|| self.on_scale(value));
        self.track.push(scaled, inputs);
        inputs.extend(self.times.inputs(self.next, shape.calendar));
        self.extend(inputs, |c| outside.get(c).copied());
        self.next += 1;
    }

    /// The step so many after the next one, with all that the head sees of it.
    pub(crate) fn step(&self, ahead: usize, outside: &[Vec<f64>], shape: Shape, step: &mut Step) {
        self.track.step(ahead, step);
        step.inputs.extend(self.times.inputs(self.next + ahead, shape.calendar));
        self.extend(&mut step.inputs, |c| outside.get(c).and_then(|c| c.get(ahead)).copied());
    }

    fn extend(&self, inputs: &mut Vec<f32>, outside: impl Fn(usize) -> Option<f64>) {
        inputs.extend(self.columns.iter().enumerate().map(|(c, (mean, spread))| {
            let value = outside(c).filter(|value| value.is_finite()).unwrap_or(*mean);
            ((value - mean) / spread).clamp(-5.0, 5.0) as f32
        }));
    }

    /// From the unit of the series to the scale of the network.
    pub(crate) fn on_scale(&self, value: f64) -> f32 {
        (self.scale.into(value) as f32).clamp(self.bounds.0, self.bounds.1)
    }

    /// From the scale of the network to the unit of the series, within the bounds.
    pub(crate) fn back(&self, scaled: f32) -> f64 {
        self.scale.back(f64::from(scaled.clamp(self.bounds.0, self.bounds.1)))
    }
}

/// What the cell sees where there is nothing: a gap.
fn unknown(shape: Shape, inputs: &mut Vec<f32>) {
    inputs.clear();
    inputs.resize(shape.cell_inputs(), 0.0);
    inputs[GAP] = 1.0;
}

/// The place of the mark of a gap among the inputs of the cell.
const GAP: usize = DEVIATIONS + 2;
const _: () = assert!(GAP < CELL_OWN);

fn spread(column: &[f64]) -> (f64, f64) {
    let finite: Vec<f64> = column.iter().copied().filter(|v| v.is_finite()).collect();
    let n = finite.len().max(1) as f64;
    let mean = finite.iter().sum::<f64>() / n;
    let variance = finite.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let spread = variance.sqrt();
    (mean, if spread.is_normal() { spread } else { 1.0 })
}
