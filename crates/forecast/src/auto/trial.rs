//! Each model is tried: at past origins, and on the whole series.

use domain::series::Series;
use rayon::prelude::*;

use super::budget::Deadline;
use super::event::Failure;
use crate::guard::guarded;
use crate::models::{Context, Fitted, Model};
use crate::rolling::{self, Plan};

/// What came of one model: its rows at past origins and the fit on everything.
pub(super) type Trial = Result<(Vec<Vec<f64>>, Box<dyn Fitted>), Failure>;

/// Tries all models; results in their order. With a deadline the cheapest come first, as many at
/// a time as there are cores; those of the first turn are not given up, so that there is a
/// forecast at all.
pub(super) fn all(
    models: &[Box<dyn Model>],
    series: &Series,
    context: &Context,
    plan: &Plan,
    deadline: Option<&Deadline<'_>>,
) -> Vec<Trial> {
    let one = |model: usize, is_late: &(dyn Fn() -> bool + Sync)| {
        try_one(models[model].as_ref(), series, context, plan, is_late)
    };
    let Some(deadline) = deadline else {
        return (0..models.len()).into_par_iter().map(|model| one(model, &|| false)).collect();
    };
    let mut order: Vec<usize> = (0..models.len()).collect();
    order.sort_by_key(|model| models[*model].cost());
    let mut trials: Vec<Trial> = models.iter().map(|_| Err(Failure::NoTime)).collect();
    for (turn, some) in order.chunks(rayon::current_num_threads()).enumerate() {
        if turn > 0 && deadline.is_over() {
            break;
        }
        let is_late = || turn > 0 && deadline.is_over();
        let done: Vec<Trial> = some.par_iter().map(|model| one(*model, &is_late)).collect();
        for (model, trial) in some.iter().zip(done) {
            trials[*model] = trial;
        }
    }
    trials
}

fn try_one(
    model: &dyn Model,
    series: &Series,
    context: &Context,
    plan: &Plan,
    is_late: &(dyn Fn() -> bool + Sync),
) -> Trial {
    let work = || {
        let rows = rolling::run(model, series, context, plan, is_late)?;
        if is_late() {
            return Err(Failure::Slow);
        }
        let not_fitted =
            |error: crate::models::FitError| Failure::NotFitted { reason: error.to_string() };
        Ok((rows, model.fit(series, context).map_err(not_fitted)?))
    };
    guarded(work).unwrap_or_else(|message| Err(Failure::Panicked { message }))
}
