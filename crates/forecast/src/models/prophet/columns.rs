//! Events and regressors: the outside columns whose future is known.

use serde::{Deserialize, Serialize};

use crate::models::Regressors;
use crate::settings;

/// One outside column, as Prophet takes it: events as they are, the rest brought to mean 0 and
/// spread 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Column {
    /// Its place among the columns that are known ahead.
    pub(super) place: usize,
    /// It is 0 or 1 wherever it is known.
    pub(super) is_event: bool,
    centre: f64,
    spread: f64,
    /// The newest value, scaled: stands in where a regressor is not known.
    last: f64,
}

impl Column {
    fn of(place: usize, values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let finite = values.filter(|v| v.is_finite());
        let n = finite.clone().count() as f64;
        let mean = finite.clone().sum::<f64>() / n;
        let spread = (finite.clone().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        if !spread.is_normal() || spread <= 1e-9 * mean.abs() {
            return None;
        }
        let is_event = finite.clone().all(|v| v == 0.0 || v == 1.0);
        let (centre, spread) = if is_event { (0.0, 1.0) } else { (mean, spread) };
        Some(Self { place, is_event, centre, spread, last: 0.0 })
    }

    fn scaled(&self, raw: f64) -> f64 {
        let most = settings::OUTSIDE_MOST;
        ((raw - self.centre) / self.spread).clamp(-most, most)
    }
}

/// All columns that vary over the history; those that do not say nothing and are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Columns(Vec<Column>);

impl Columns {
    /// The columns over the `indices` that were seen; one that is not known there is left out.
    pub(super) fn of(outside: &Regressors, indices: &[usize]) -> Self {
        let last = indices.last().copied().unwrap_or(0);
        let of = |(place, column): (usize, &Vec<f64>)| {
            column.get(last)?;
            Column::of(place, indices.iter().map(|index| column[*index]))
        };
        Self(outside.ahead.iter().enumerate().filter_map(of).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Column> {
        self.0.iter()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Adds the scaled values of one step to a row. `raw` gives the value of a place; where it is
    /// unknown no event happens, and a regressor stays as it was.
    pub(super) fn extend(&mut self, row: &mut Vec<f64>, raw: impl Fn(usize) -> Option<f64>) {
        for column in &mut self.0 {
            match raw(column.place).filter(|v| v.is_finite()) {
                Some(value) => column.last = column.scaled(value),
                None if column.is_event => column.last = 0.0,
                None => {}
            }
            row.push(column.last);
        }
    }
}
