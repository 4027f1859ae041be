//! The held-out loss of a set of columns.

use std::sync::Arc;

use domain::series::Series;

use super::Acts;
use super::lifted::{Effects, Lifted};
use crate::models::prophet::{Explained, Prophet};
use crate::models::{Context, FitError, Model, Regressors};
use crate::rolling::{self, Plan};
use crate::select;
use crate::settings;

/// Columns on the grid of a series, over its history and the horizon.
pub(super) type Columns = Vec<Vec<f64>>;

/// Makes the model whose loss decides.
pub(crate) type Recipe<'a> = dyn Fn() -> Box<dyn Model> + Sync + 'a;

/// Rolls one model, on the load without the effects of columns, over past origins.
pub(super) struct Judge<'a> {
    pub(super) series: &'a Series,
    pub(super) context: &'a Context,
    pub(super) acts: Acts,
    recipe: &'a Recipe<'a>,
    plan: Plan,
    came: Vec<Vec<f64>>,
    is_late: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Judge<'a> {
    /// Over the same origins as the models, each with as many steps as there are to the next at
    /// least, so that every event of the newer half is judged.
    pub(super) fn over(
        series: &'a Series,
        context: &'a Context,
        plan: &Plan,
        (recipe, acts): (&'a Recipe<'a>, Acts),
        is_late: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        let horizon = plan.horizon.max(plan.spacing());
        let plan = Plan { horizon, ..plan.refitted(settings::SIGNAL_REFITS) };
        let came = rolling::actuals(series.values(), &plan);
        Self { series, context, acts, recipe, plan, came, is_late }
    }

    /// How many steps ahead are judged.
    pub(super) fn horizon(&self) -> usize {
        self.plan.horizon
    }

    pub(super) fn is_late(&self) -> bool {
        (self.is_late)()
    }

    /// `None` if there is no fit, or no time.
    pub(super) fn loss(&self, columns: &Columns) -> Option<f64> {
        let model = (self.recipe)();
        let model = if columns.is_empty() {
            model
        } else {
            let effects = Arc::new(Effects::of(columns.clone(), self.acts));
            Box::new(Lifted::of(model, &effects)?)
        };
        let rows =
            rolling::run(model.as_ref(), self.series, self.context, &self.plan, self.is_late);
        rows.ok().map(|rows| select::loss(&rows, &self.came))
    }
}

/// A series on the scale of effects.
pub(super) fn scaled(series: &Series, acts: Acts) -> Series {
    let values = series.values().iter().map(|value| acts.scaled(*value)).collect();
    Series::new(series.start(), series.step(), values)
}

/// Prophet over `series` with these columns.
pub(super) fn explain(
    series: &Series,
    context: &Context,
    columns: &Columns,
) -> Result<(Explained, Regressors), FitError> {
    let regressors = Regressors { ahead: columns.clone(), past: Vec::new() };
    let context = Context { seasons: context.seasons.clone(), regressors };
    let explained = Prophet::default().explain(series, &context)?;
    Ok((explained, context.regressors))
}
