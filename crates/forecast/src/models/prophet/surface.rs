//! What the model says of one row of columns, and how that moves with each coefficient.
//!
//! Coefficients are, in this order: slope `k`, level `m`, one bend `δ` per changepoint, one `β`
//! per wave and outside column.

use serde::{Deserialize, Serialize};

use super::frame::Frame;
use super::quadratic::Penalty;
use super::{Effects, Growth, Prophet};
use crate::settings;

/// From the unit of the series to that of the model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Unit {
    floor: f64,
    size: f64,
    /// The capacity, scaled.
    capacity: Option<f64>,
}

impl Unit {
    /// The greatest absolute value above the floor is 1.
    pub(super) fn of(growth: Growth, values: impl Iterator<Item = f64>) -> Self {
        let (floor, most) = match growth {
            Growth::Logistic(capacity) => (capacity.floor, Some(capacity.most)),
            Growth::Linear | Growth::Flat => (0.0, None),
        };
        let size = values.fold(0.0, |most: f64, v| most.max((v - floor).abs()));
        let size = if size.is_normal() { size } else { 1.0 };
        Self { floor, size, capacity: most.map(|most| (most - floor) / size) }
    }

    pub(super) fn into(self, value: f64) -> f64 {
        (value - self.floor) / self.size
    }

    pub(super) fn back(self, value: f64) -> f64 {
        self.floor + value * self.size
    }

    /// A difference of two values.
    pub(super) fn back_change(self, change: f64) -> f64 {
        change * self.size
    }
}

/// The form of the model over its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Surface {
    pub(super) unit: Unit,
    pub(super) frame: Frame,
    pub(super) penalty: Penalty,
    multiplies: bool,
}

/// One row under given coefficients, scaled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) trend: f64,
    /// How fast the trend moves with its line.
    pub(super) steepness: f64,
    /// What the effects sum up to: scaled, or a share of the trend.
    effects: f64,
    /// How fast the value moves with the trend, and with the effects.
    pub(super) by_trend: f64,
    pub(super) by_effects: f64,
}

impl Point {
    pub(super) fn value(&self) -> f64 {
        self.trend + self.by_effects * self.effects
    }
}

impl Surface {
    pub(super) fn new(recipe: &Prophet, unit: Unit, frame: Frame) -> Self {
        let (trend, width) = (frame.trend_width(), frame.width());
        let mut squared = vec![settings::PROPHET_EFFECT_SCALE.powi(-2); width];
        squared[..2].fill(settings::PROPHET_LINE_SCALE.powi(-2));
        squared[2..trend].fill(0.0);
        let mut absolute = vec![0.0; width];
        absolute[2..trend].fill(1.0 / recipe.bend_scale);
        let penalty = Penalty { squared, absolute };
        Self { unit, frame, penalty, multiplies: recipe.effects == Effects::Multiplicative }
    }

    /// Whether the value is linear in the coefficients.
    pub(super) fn is_linear(&self) -> bool {
        self.unit.capacity.is_none() && !self.multiplies
    }

    /// The row where the line of the trend lies higher by `lift`.
    pub(super) fn look(&self, row: &[f64], theta: &[f64], lift: f64) -> Point {
        let trend_width = self.frame.trend_width();
        let dot = |row: &[f64], theta: &[f64]| row.iter().zip(theta).map(|(x, b)| x * b).sum();
        let effects = dot(&row[trend_width..], &theta[trend_width..]);
        let bends: f64 = dot(&row[2..trend_width], &theta[2..trend_width]);
        let (k, m) = (theta[0], theta[1]);
        let (trend, steepness) = match self.unit.capacity {
            None => (k * row[0] + m + bends + lift, 1.0),
            Some(capacity) => {
                let share = 1.0 / (1.0 + (-(k * (row[0] - m) + bends + lift)).exp());
                (capacity * share, capacity * share * (1.0 - share))
            }
        };
        let (by_trend, by_effects) =
            if self.multiplies { (1.0 + effects, trend) } else { (1.0, 1.0) };
        Point { trend, steepness, effects, by_trend, by_effects }
    }

    /// Turns a row into the slopes of its value along every coefficient.
    pub(super) fn slopes(&self, row: &mut [f64], theta: &[f64]) {
        if self.is_linear() {
            return;
        }
        let point = self.look(row, theta, 0.0);
        if self.unit.capacity.is_some() {
            row[0] -= theta[1];
            row[1] = -theta[0];
        }
        let (line, effects) = row.split_at_mut(self.frame.trend_width());
        line.iter_mut().for_each(|x| *x *= point.steepness * point.by_trend);
        effects.iter_mut().for_each(|x| *x *= point.by_effects);
    }

    /// Where the search starts: the line from the first value to the last, scaled as given.
    pub(super) fn start(&self, first: f64, last: f64) -> Vec<f64> {
        let mut theta = vec![0.0; self.frame.width()];
        (theta[0], theta[1]) = match self.unit.capacity {
            None => (last - first, first),
            Some(capacity) => {
                let share = |v: f64| v.clamp(0.01 * capacity, 0.99 * capacity);
                let (from, mut to) = (capacity / share(first), capacity / share(last));
                if (from - to).abs() <= 0.01 {
                    to *= 0.95;
                }
                let odds = |ratio: f64| (ratio - 1.0).max(1e-3).ln();
                let slope = odds(from) - odds(to);
                let slope = if slope.abs() > 1e-3 { slope } else { 1e-3 };
                (slope, odds(from) / slope)
            }
        };
        theta
    }
}
