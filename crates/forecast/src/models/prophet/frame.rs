//! Time, changepoints and waves: what the columns of the regression are made of.

use domain::series::Series;
use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::{Growth, Prophet};
use crate::models::Context;
use crate::settings;

/// A season as a sum of waves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Season {
    pub(super) name: String,
    /// In days.
    period: f64,
    /// Waves of so many frequencies, a sine and a cosine each.
    pub(super) order: usize,
}

/// The columns of one regression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Frame {
    /// The index at which time is 0, and the steps to 1.
    first: usize,
    span: f64,
    /// Days since 1970 at index 0, and per step.
    start_days: f64,
    step_days: f64,
    /// Whether the trend has a slope.
    slopes: bool,
    /// The times at which it may bend.
    pub(super) changes: Vec<f64>,
    pub(super) seasons: Vec<Season>,
    pub(super) columns: Columns,
}

impl Frame {
    /// For the `indices` of the values that were seen, at least two.
    pub(super) fn of(
        recipe: &Prophet,
        series: &Series,
        indices: &[usize],
        context: &Context,
    ) -> Self {
        let (first, last) = (indices[0], indices[indices.len() - 1]);
        let span = (last - first).max(1) as f64;
        let step_days = series.step().seconds() as f64 / 86_400.0;
        let slopes = recipe.growth != Growth::Flat;
        let bends = slopes && recipe.bend_scale > 0.0;
        let most = recipe.changepoints.min(settings::PROPHET_CHANGEPOINTS_MOST);
        let changes = changepoints(indices, if bends { most } else { 0 });
        Self {
            first,
            span,
            start_days: series.start().as_second() as f64 / 86_400.0,
            step_days,
            slopes,
            changes: changes.into_iter().map(|index| (index - first) as f64 / span).collect(),
            seasons: seasons(span * step_days, step_days, context),
            columns: Columns::of(&context.regressors, indices),
        }
    }

    /// Columns of the trend: slope, level, and one per changepoint.
    pub(super) fn trend_width(&self) -> usize {
        2 + self.changes.len()
    }

    /// Columns of the seasons.
    pub(super) fn seasons_width(&self) -> usize {
        self.seasons.iter().map(|season| 2 * season.order).sum()
    }

    pub(super) fn width(&self) -> usize {
        self.trend_width() + self.seasons_width() + self.columns.count()
    }

    /// The time of an index: 0 at the first value, 1 at the last that was fitted.
    pub(super) fn time(&self, index: usize) -> f64 {
        (index as f64 - self.first as f64) / self.span
    }

    /// The columns of the value at `index`; `outside` gives the raw value of a place, if known.
    pub(super) fn row(
        &mut self,
        index: usize,
        outside: impl Fn(usize) -> Option<f64>,
        row: &mut Vec<f64>,
    ) {
        let t = self.time(index);
        row.clear();
        row.extend([if self.slopes { t } else { 0.0 }, 1.0]);
        row.extend(self.changes.iter().map(|change| (t - change).max(0.0)));
        let days = self.start_days + index as f64 * self.step_days;
        self.seasons.iter().for_each(|season| season.extend(days, row));
        self.columns.extend(row, outside);
    }
}

impl Season {
    /// Adds sine and cosine of every frequency: each is the one before, turned further.
    fn extend(&self, days: f64, row: &mut Vec<f64>) {
        let turn = std::f64::consts::TAU * (days / self.period).rem_euclid(1.0);
        let (sin, cos) = turn.sin_cos();
        let (mut s, mut c) = (sin, cos);
        for _ in 0..self.order {
            row.extend([s, c]);
            (s, c) = (s * cos + c * sin, c * cos - s * sin);
        }
    }
}

/// Evenly spread over the first four fifths of what was seen, without the very first value.
fn changepoints(indices: &[usize], most: usize) -> Vec<usize> {
    let reach = (indices.len() as f64 * settings::PROPHET_CHANGE_RANGE) as usize;
    let count = most.min(reach.saturating_sub(1));
    let place = |j: usize| (j as f64 * (reach - 1) as f64 / count as f64).round_ties_even();
    (1..=count).map(|j| indices[place(j) as usize]).collect()
}

/// Year, week and day as Prophet takes them: two full cycles, and steps that are shorter. Where
/// none of them applies, the periods that were found or given stand in.
fn seasons(span_days: f64, step_days: f64, context: &Context) -> Vec<Season> {
    let calendar = [("year", 365.25, 730.0, 10), ("week", 7.0, 14.0, 3), ("day", 1.0, 2.0, 4)];
    let applies = |(name, period, least, _): &(&str, f64, f64, usize)| {
        span_days >= *least && (*name == "year" || step_days < *period)
    };
    let season = |(name, period, _, order): (&str, f64, f64, usize)| Season {
        name: name.to_owned(),
        period,
        order,
    };
    let found: Vec<Season> = calendar.into_iter().filter(applies).map(season).collect();
    if !found.is_empty() {
        return found;
    }
    let other = |steps: &usize| Season {
        name: format!("{steps} steps"),
        period: *steps as f64 * step_days,
        order: settings::PROPHET_ORDER.min(steps / 2),
    };
    let cycles = (span_days / step_days) as usize + 1;
    context
        .seasons
        .within(cycles, settings::CYCLES_FOR_PROFILE)
        .periods()
        .iter()
        .map(other)
        .collect()
}
