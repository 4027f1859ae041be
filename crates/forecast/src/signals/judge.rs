//! The held-out loss of a set of columns.

use std::sync::Arc;

use domain::series::Series;
use serde::{Deserialize, Serialize};

use crate::models::prophet::{Explained, Prophet};
use crate::models::{Context, FitError, Fitted, Model, Observation, Prediction, Regressors};
use crate::rolling::{self, Plan};
use crate::select;
use crate::state::{self, StateError};

/// Columns on the grid of a series, over its history and the horizon.
pub(super) type Columns = Vec<Vec<f64>>;

/// Rolls Prophet with columns over past origins.
pub(super) struct Judge<'a> {
    pub(super) series: &'a Series,
    pub(super) context: &'a Context,
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
        is_late: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        let horizon = plan.horizon.max(plan.spacing());
        let plan = Plan { horizon, ..plan.clone() };
        let came = rolling::actuals(series.values(), &plan);
        Self { series, context, plan, came, is_late }
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
        let model = Known { columns: Arc::new(columns.clone()) };
        let rows = rolling::run(&model, self.series, self.context, &self.plan, self.is_late);
        rows.ok().map(|rows| select::loss(&rows, &self.came))
    }
}

/// Prophet with columns of which it knows the future. For judging alone: it is never stored.
struct Known {
    columns: Arc<Columns>,
}

#[derive(Clone, Serialize, Deserialize)]
struct KnownFit {
    explained: Explained,
    #[serde(skip)]
    columns: Arc<Columns>,
    next: usize,
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

impl Model for Known {
    fn name(&self) -> &'static str {
        "prophet"
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        let (explained, _) = explain(series, context, &self.columns)?;
        let next = series.values().len();
        Ok(Box::new(KnownFit { explained, columns: Arc::clone(&self.columns), next }))
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<KnownFit>(bytes)
    }
}

impl Fitted for KnownFit {
    fn update(&mut self, observation: Observation<'_>) {
        let of = |column: &Vec<f64>| column.get(self.next).copied().unwrap_or(f64::NAN);
        let row: Vec<f64> = self.columns.iter().map(of).collect();
        self.explained.update(Observation { value: observation.value, regressors: &row });
        self.next += 1;
    }

    fn forecast(&self, horizon: usize, _: &Regressors) -> Prediction {
        let of = |column: &Vec<f64>| {
            let from = self.next.min(column.len());
            column[from..(self.next + horizon).min(column.len())].to_vec()
        };
        let ahead = Regressors { ahead: self.columns.iter().map(of).collect(), past: Vec::new() };
        self.explained.forecast(horizon, &ahead)
    }
}
