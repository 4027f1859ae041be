//! What is explained by regression: outside columns, and a constant.

use serde::{Deserialize, Serialize};

use super::polynomial::Polynomial;
use crate::linear::Normal;
use crate::models::Regressors;
use crate::settings;

/// An outside column, brought to mean 0 and spread 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outside {
    /// Its place among the columns that are known ahead.
    place: usize,
    centre: f64,
    spread: f64,
    /// The newest value, scaled: stands in where no further one is known.
    last: f64,
}

/// Which columns there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Design {
    outside: Vec<Outside>,
}

impl Design {
    /// Columns for `length` steps from the absolute index `first`. Outside columns that do not
    /// vary there are left out.
    pub(super) fn new(outside: &Regressors, first: usize, length: usize) -> Self {
        let of = |(place, column): (usize, &Vec<f64>)| {
            let values = column.get(first..first + length)?;
            Outside::of(place, values)
        };
        let outside = outside.ahead.iter().enumerate().filter_map(of).collect();
        Self { outside }
    }

    /// How many columns there are.
    fn width(&self) -> usize {
        self.outside.len()
    }

    /// The columns of one step; `outside` gives the raw value of a place, if known.
    fn row(&mut self, outside: impl Fn(usize) -> Option<f64>, row: &mut Vec<f64>) {
        row.clear();
        for column in &mut self.outside {
            if let Some(value) = outside(column.place).filter(|v| v.is_finite()) {
                let scaled = (value - column.centre) / column.spread;
                column.last = scaled.clamp(-settings::OUTSIDE_MOST, settings::OUTSIDE_MOST);
            }
            row.push(column.last);
        }
    }

    /// What the columns explain at one step.
    pub(super) fn effect(&mut self, beta: &[f64], outside: impl Fn(usize) -> Option<f64>) -> f64 {
        if beta.is_empty() {
            return 0.0;
        }
        let mut row = Vec::with_capacity(beta.len());
        self.row(outside, &mut row);
        row.iter().zip(beta).map(|(x, b)| x * b).sum()
    }

    /// All columns over `length` steps from `first`.
    pub(super) fn columns(
        &mut self,
        outside: &Regressors,
        first: usize,
        length: usize,
    ) -> Vec<Vec<f64>> {
        let mut columns = vec![Vec::with_capacity(length); self.width()];
        let mut row = Vec::with_capacity(self.width());
        for index in first..first + length {
            let known = |place: usize| outside.ahead.get(place)?.get(index).copied();
            self.row(known, &mut row);
            columns.iter_mut().zip(&row).for_each(|(column, x)| column.push(*x));
        }
        columns
    }
}

impl Outside {
    fn of(place: usize, values: &[f64]) -> Option<Self> {
        let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let n = finite.len() as f64;
        let centre = finite.iter().sum::<f64>() / n;
        let variance = finite.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / n;
        let spread = variance.sqrt();
        (spread.is_normal() && spread > 1e-9 * centre.abs()).then_some(Self {
            place,
            centre,
            spread,
            last: 0.0,
        })
    }
}

/// The differenced columns, with a constant last if there is one.
pub(super) fn differenced(
    columns: &[Vec<f64>],
    difference: &Polynomial,
    length: usize,
    constant: bool,
) -> Vec<Vec<f64>> {
    let mut out: Vec<Vec<f64>> = columns.iter().map(|c| difference.apply(c)).collect();
    if constant {
        out.push(vec![1.0; length]);
    }
    out
}

/// Coefficients of least squares. No columns have none; what is unsolvable counts as zeros.
pub(super) fn regress(target: &[f64], columns: &[Vec<f64>], seen: &[bool]) -> Vec<f64> {
    let mut sums = Normal::new(columns.len());
    let mut row = vec![0.0; columns.len()];
    for (t, y) in target.iter().enumerate().filter(|(t, _)| seen[*t]) {
        row.iter_mut().zip(columns).for_each(|(x, column)| *x = column[t]);
        sums.add(&row, *y, 1.0);
    }
    sums.solve(settings::ARIMA_RIDGE).unwrap_or_else(|| vec![0.0; columns.len()])
}

/// The target without what the columns explain.
pub(super) fn without(target: &[f64], columns: &[Vec<f64>], beta: &[f64]) -> Vec<f64> {
    let explained = |t: usize| columns.iter().zip(beta).map(|(c, b)| c[t] * b).sum::<f64>();
    target.iter().enumerate().map(|(t, y)| y - explained(t)).collect()
}
