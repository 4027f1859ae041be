//! Each model is tried: at past origins, and on the whole series.

use std::time::Duration;

use domain::series::Series;
use rayon::prelude::*;

use super::budget::{Deadline, ThreadClock};
use super::event::Failure;
use crate::guard::guarded;
use crate::models::{Context, Fitted, Model};
use crate::rolling::{self, Plan};

/// What came of one model: its rows at past origins and the fit on everything.
pub(super) type Trial = Result<(Vec<Vec<f64>>, Box<dyn Fitted>), Failure>;

/// What models are tried on.
pub(super) struct Trials<'a> {
    pub(super) series: &'a Series,
    pub(super) context: &'a Context,
    pub(super) plan: &'a Plan,
    pub(super) deadline: Option<&'a Deadline<'a>>,
    pub(super) clock: Option<&'a ThreadClock>,
}

impl Trials<'_> {
    /// Whether the budget is spent.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(Deadline::is_over)
    }

    /// Tries all models; results in their order, with the time that each took where there is a
    /// clock. With a deadline the cheapest come first, as many at a time as there are cores; those
    /// of the first turn of `must` are not given up, so that there is a forecast at all.
    pub(super) fn all(
        &self,
        models: &[Box<dyn Model>],
        must: Must,
    ) -> Vec<(Trial, Option<Duration>)> {
        let one = |model: usize, is_late: &(dyn Fn() -> bool + Sync)| {
            let begun = self.now();
            let trial = self.one(models[model].as_ref(), is_late);
            let spent = begun.zip(self.now()).map(|(from, to)| to.saturating_sub(from));
            (trial, spent)
        };
        if self.deadline.is_none() {
            return (0..models.len()).into_par_iter().map(|m| one(m, &|| false)).collect();
        }
        let mut order: Vec<usize> = (0..models.len()).collect();
        order.sort_by_key(|model| models[*model].cost());
        let mut trials: Vec<_> = models.iter().map(|_| (Err(Failure::NoTime), None)).collect();
        for (turn, some) in order.chunks(rayon::current_num_threads()).enumerate() {
            let first = turn == 0 && must == Must::Forecast;
            if !first && self.is_late() {
                break;
            }
            let is_late = || !first && self.is_late();
            let done: Vec<_> = some.par_iter().map(|model| one(*model, &is_late)).collect();
            for (model, trial) in some.iter().zip(done) {
                trials[*model] = trial;
            }
        }
        trials
    }

    /// By the clock of the thread, else by that of the budget.
    fn now(&self) -> Option<Duration> {
        let own = self.clock.map(ThreadClock::now);
        own.or_else(|| self.deadline.map(Deadline::now))
    }

    fn one(&self, model: &dyn Model, is_late: &(dyn Fn() -> bool + Sync)) -> Trial {
        let work = || {
            let rows = rolling::run(model, self.series, self.context, self.plan, is_late)?;
            if is_late() {
                return Err(Failure::Slow);
            }
            let not_fitted =
                |error: crate::models::FitError| Failure::NotFitted { reason: error.to_string() };
            Ok((rows, model.fit(self.series, self.context).map_err(not_fitted)?))
        };
        guarded(work).unwrap_or_else(|message| Err(Failure::Panicked { message }))
    }
}

/// What some models have to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Must {
    /// A forecast, whatever the budget.
    Forecast,
    /// Nothing: there is a forecast without them.
    Nothing,
}
