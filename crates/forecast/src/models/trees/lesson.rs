//! What one series teaches: rows with the values that came.

use std::sync::Arc;

use domain::series::Series;

use super::NAME;
use super::boost::{Size, boost};
use super::forest::Forest;
use super::frame::{Frame, Known};
use super::grid::Grid;
use super::grown::{Grown, Shared};
use crate::models::history::History;
use crate::models::scale::{self, Scale};
use crate::models::{Context, FitError, Regressors};
use crate::settings;

/// A series on its own scale, and what can be learned from it.
pub(super) struct Lesson<'a> {
    frame: Frame,
    regressors: &'a Regressors,
    values: Vec<f32>,
    observed: Vec<bool>,
    first: usize,
    scale: scale::Fitted,
}

/// Rows, one after the other, and their targets.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<f32>,
    targets: Vec<f32>,
    width: usize,
}

impl Table {
    pub(super) fn width(&self) -> usize {
        self.width
    }
}

impl<'a> Lesson<'a> {
    pub(super) fn of(series: &Series, context: &'a Context) -> Result<Self, FitError> {
        let history = History::of(series.values(), &context.seasons);
        let frame = Frame::of(series, history.len(), context);
        let (needed, found) = (frame.reach() + settings::TREE_ROWS_LEAST, history.len());
        if found < needed {
            return Err(FitError::TooShort { model: NAME, needed, found });
        }
        let scale = Scale::Plain.fit(history.values());
        let values = history.values().iter().map(|value| scale.into(*value) as f32).collect();
        Ok(Self {
            frame,
            regressors: &context.regressors,
            values,
            observed: history.observed().to_vec(),
            first: history.first_index(),
            scale,
        })
    }

    fn known(&self) -> Known<'_> {
        Known { values: &self.values, first: self.first }
    }

    /// About `count` rows: origins spread evenly over the history, each with steps ahead that are
    /// denser near the origin.
    pub(super) fn table(&self, count: usize) -> Table {
        let (frame, known) = (&self.frame, self.known());
        let (from, until) = (self.first + frame.reach(), self.first + self.values.len());
        let horizon = frame.horizon(self.values.len());
        let mut table = Table { width: frame.width(), ..Table::default() };
        let mut row = Vec::with_capacity(frame.width());
        let mut origin = frame.origin(known, from);
        for k in 0..count {
            let index = from + k * (until - from) / count;
            if index != origin.index() {
                origin = frame.origin(known, index);
            }
            // Spread by the golden ratio: as even as chance is not, and always the same.
            let share = (k as f64 * 0.618_033_988_75).fract();
            let step = (share * share * horizon as f64) as usize;
            let target = index + step;
            if target >= until || !self.observed[target - self.first] {
                continue;
            }
            frame.row(known, &origin, step, self.outside(index, target), &mut row);
            table.rows.extend_from_slice(&row);
            let came = self.values[target - self.first];
            table.targets.push(came - frame.anchor(known, &origin, step));
        }
        table
    }

    /// Outside values at a step, and the last ones that are known before `origin`.
    fn outside(
        &self,
        origin: usize,
        target: usize,
    ) -> (impl Iterator<Item = f64>, impl Iterator<Item = f64>) {
        let at = |column: &Vec<f64>, index: usize| column.get(index).copied().unwrap_or(f64::NAN);
        let Regressors { ahead, past } = self.regressors;
        (
            ahead.iter().map(move |column| at(column, target)),
            past.iter().map(move |column| at(column, origin - 1)),
        )
    }

    /// How many columns a row has.
    pub(super) fn width(&self) -> usize {
        self.frame.width()
    }

    /// The model of this series with these trees.
    pub(super) fn grown(self, forest: &Arc<Forest>) -> Grown {
        let (low, high) = self
            .values
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let room = settings::RANGE_ROOM as f32 * (high - low);
        let next = self.first + self.values.len();
        let last = |column: &Vec<f64>| {
            let known = column.get(..next).unwrap_or(column);
            known.last().copied().unwrap_or(f64::NAN)
        };
        let drop = self.values.len() - self.frame.reach();
        Grown {
            forest: Shared(Arc::clone(forest)),
            past: self.values[drop..].to_vec(),
            first: self.first + drop,
            outside: self.regressors.past.iter().map(last).collect(),
            scale: self.scale,
            bounds: (low - room, high + room),
            frame: self.frame,
        }
    }
}

/// Trees that have learned from all these rows.
pub(super) fn learn(tables: Vec<Table>, size: Size) -> Forest {
    let width = tables.first().map_or(0, |table| table.width);
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for table in tables {
        rows.extend(table.rows);
        targets.extend(table.targets);
    }
    boost(&Grid::of(&rows, width), &targets, settings::TREE_LEVEL, size)
}
