//! Gradient-boosted trees on lags, seasons, the calendar and outside series.
//!
//! One forest forecasts all steps ahead: the step is a column beside what is known at the origin
//! (a direct forecast; Ben Taieb and Hyndman, "A gradient boosting approach to the Kaggle load
//! forecasting competition", Int. J. Forecasting 30, 2014). It says how far a value will lie from
//! the same phase of the last cycle, and learns the median of that, by the pinball loss. All rows
//! are in units of their own series, so that one forest can learn from many of them
//! ([`Teacher`]); each keeps only its newest values beside it.

use std::sync::Arc;

use domain::series::Series;
use jiff::Timestamp;
use rayon::prelude::*;

use super::{Context, Cost, FitError, Fitted, Model, Teacher};
use crate::settings;
use crate::state::{self, StateError};

mod boost;
mod forest;
mod frame;
mod grid;
mod grown;
mod lesson;

use boost::Size;
use forest::Forest;
use grown::Grown;
use lesson::{Lesson, learn};

/// The name of the model.
pub(crate) const NAME: &str = "trees";

/// A forest of one series.
const ALONE: Size = Size { trees: settings::TREES, depth: settings::TREE_DEPTH };
/// A forest of many.
const SHARED: Size = Size { trees: settings::TREES_SHARED, depth: settings::TREE_DEPTH_SHARED };

/// Boosted trees; those that have learned from other series before, with when that learning ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trees {
    taught: Vec<(Timestamp, Arc<Forest>)>,
}

impl Model for Trees {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cost(&self) -> Cost {
        Cost::High
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        let lesson = Lesson::of(series, context)?;
        let past = self
            .taught
            .iter()
            .rev()
            .find(|(until, forest)| *until <= series.end() && forest.width == lesson.width());
        let forest = past.map_or_else(
            || Arc::new(learn(vec![lesson.table(settings::TREE_ROWS)], ALONE)),
            |(_, forest)| Arc::clone(forest),
        );
        Ok(Box::new(lesson.grown(&forest)))
    }

    fn teacher(&self) -> Option<&dyn Teacher> {
        Some(self)
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<Grown>(bytes)
    }
}

impl Teacher for Trees {
    fn teach(&self, series: &[(&Series, &Context)], until: &[Timestamp]) -> Arc<dyn Model> {
        let forest = |until: &Timestamp| Some((*until, Arc::new(taught(series, *until)?)));
        let mut taught: Vec<_> = until.par_iter().filter_map(forest).collect();
        taught.sort_by_key(|(until, _)| *until);
        Arc::new(Self { taught })
    }
}

/// One forest of what all series had shown by then; `None` if fewer than two can teach.
fn taught(series: &[(&Series, &Context)], until: Timestamp) -> Option<Forest> {
    let each = (settings::TREE_ROWS_SHARED / series.len().max(1))
        .clamp(settings::TREE_ROWS_LEAST, settings::TREE_ROWS);
    let table = |(series, context): &(&Series, &Context)| {
        let steps = (until.as_second() - series.start().as_second()) / series.step().seconds();
        let known = series.head(usize::try_from(steps).unwrap_or(0).min(series.values().len()));
        Lesson::of(&known, context).ok().map(|lesson| lesson.table(each))
    };
    let tables: Vec<_> = series.par_iter().filter_map(table).collect();
    let width = tables.first()?.width();
    let alike: Vec<_> = tables.into_iter().filter(|table| table.width() == width).collect();
    (alike.len() > 1).then(|| learn(alike, SHARED))
}

#[cfg(test)]
mod tests;
