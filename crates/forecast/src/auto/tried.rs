//! What came of the models, which of them take part, and what each of them adds.

use std::time::Duration;

use super::event::Failure;
use super::report::Added;
use super::trial::{Must, Trials};
use crate::models::{Fitted, Model};
use crate::rolling::Rows;
use crate::select;
use crate::settings;

/// What came of every model, in the order in which they were tried.
#[derive(Default)]
pub(super) struct Tried {
    pub(super) names: Vec<&'static str>,
    pub(super) rows: Vec<Rows>,
    pub(super) fitted: Vec<Option<Box<dyn Fitted>>>,
    pub(super) failures: Vec<Option<Failure>>,
    /// The time that each took, where there is a clock.
    pub(super) spent: Vec<Option<Duration>>,
    /// What each adds to the choice, where that was asked.
    pub(super) added: Vec<Option<Added>>,
}

impl Tried {
    pub(super) fn all(recipes: &[Box<dyn Model>], on: &Trials<'_>, must: Must) -> Self {
        let mut tried = Self::default();
        for (recipe, (trial, spent)) in recipes.iter().zip(on.all(recipes, must)) {
            let (rows, fitted, failure) = match trial {
                Ok((rows, fitted)) => (Some(rows), Some(fitted), None),
                Err(failure) => (None, None, Some(failure)),
            };
            tried.names.push(recipe.name());
            tried.rows.push(rows);
            tried.fitted.push(fitted);
            tried.failures.push(failure);
            tried.spent.push(spent);
            tried.added.push(None);
        }
        tried
    }

    /// Adds what came of others.
    pub(super) fn join(&mut self, others: Self) {
        self.names.extend(others.names);
        self.rows.extend(others.rows);
        self.fitted.extend(others.fitted);
        self.failures.extend(others.failures);
        self.spent.extend(others.spent);
        self.added.extend(others.added);
    }

    /// Lets candidates in that save more of the held-out loss than they cost. The others are
    /// named, and do not live on.
    pub(super) fn admit(
        &mut self,
        candidates: &[Box<dyn Model>],
        on: &Trials<'_>,
        came: &[Vec<f64>],
    ) {
        let from = self.names.len();
        self.join(Self::all(candidates, on, Must::Nothing));
        let loss = |rows: &[Rows]| select::held_out(rows, came, &on.plan.origins);
        let mut without = loss(&self.rows[..from]);
        for one in from..self.names.len() {
            if self.rows[one].is_none() {
                continue;
            }
            // Those after it have not been judged yet.
            let with = loss(&self.rows[..=one]);
            self.added[one] = without.zip(with).map(|(without, with)| Added { without, with });
            let price = self.spent[one]
                .zip(on.deadline)
                .map_or(0.0, |(spent, deadline)| settings::CANDIDATE_PRICE * deadline.share(spent));
            let least = settings::CANDIDATE_SAVES + price;
            if self.added[one].is_some_and(|added| added.saves() >= least) {
                without = with;
            } else {
                self.rows[one] = None;
                self.fitted[one] = None;
                self.failures[one] = Some(Failure::NotWorth);
            }
        }
    }

    /// Judges what each model that takes part adds to the others.
    pub(super) fn account(&mut self, on: &Trials<'_>, came: &[Vec<f64>]) {
        let loss = |rows: &[Rows]| select::held_out(rows, came, &on.plan.origins);
        let Some(with) = loss(&self.rows) else { return };
        for one in 0..self.rows.len() {
            let Some(own) = self.rows[one].take() else { continue };
            // Without the only model there is no loss.
            let without = loss(&self.rows).unwrap_or(f64::NAN);
            self.rows[one] = Some(own);
            self.added[one] = Some(Added { without, with });
        }
    }

    /// Why no model takes part.
    pub(super) fn reasons(&self) -> String {
        let each = self.names.iter().zip(&self.failures);
        let texts: Vec<String> = each
            .filter_map(|(name, failure)| Some((name, failure.as_ref()?)))
            .map(|(name, failure)| match failure {
                Failure::NotFitted { reason } => reason.clone(),
                other => format!("{name}: {other}"),
            })
            .collect();
        texts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use domain::series::{Series, Step};
    use jiff::Timestamp;

    use super::super::budget::ThreadClock;
    use super::*;
    use crate::auto::fit;
    use crate::models::by_name;
    use crate::{Account, Budget, ModelReport, Options, Report};

    fn series() -> Series {
        let day = |i: usize| (std::f64::consts::TAU * (i % 24) as f64 / 24.0).sin();
        let value = |i: usize| 50.0 + 20.0 * day(i) + ((i * i) as f64 * 0.618).sin();
        let step = Step::from_seconds(3_600).unwrap();
        Series::new(Timestamp::UNIX_EPOCH, step, (0..500).map(value).collect())
    }

    fn report(recipes: &[&str], candidates: &[&str], options: &Options) -> Report {
        let all = |names: &[&str]| -> Vec<Box<dyn Model>> {
            names.iter().filter_map(|name| by_name(name)).collect()
        };
        fit::fit(&all(recipes), &all(candidates), &series(), options).unwrap().report()
    }

    fn of<'a>(report: &'a Report, name: &str) -> &'a ModelReport {
        report.models.iter().find(|model| model.name == name).unwrap()
    }

    #[test]
    fn a_candidate_takes_part_where_it_saves_enough_and_nowhere_else() {
        let options = Options::default();
        let found = report(&["naive"], &["rho-profile", "delta"], &options);
        let better = of(&found, "rho-profile");
        assert!(better.added.unwrap().saves() > 0.8 && better.failure.is_none(), "{better:?}");
        assert!(better.weight > 0.9);
        // What comes after it has to be better than the choice with it.
        let other = of(&found, "delta");
        assert_eq!((other.failure.clone(), other.weight), (Some(Failure::NotWorth), 0.0));
        assert!(other.added.unwrap().saves() < settings::CANDIDATE_SAVES, "{other:?}");
        assert!(found.bands.iter().flat_map(|b| &b.experts).all(|e| !e.0.contains("delta")));
    }

    /// A thread that seems to spend ten seconds from each look to the next.
    fn dear() -> Option<ThreadClock> {
        let looks = Arc::new(AtomicU64::new(0));
        Some(ThreadClock::new(move || {
            Duration::from_secs(10 * looks.fetch_add(1, Ordering::SeqCst))
        }))
    }

    #[test]
    fn what_takes_the_whole_budget_has_to_bring_more() {
        let within = |limit: u64| Options {
            budget: Some(Budget::new(Duration::from_secs(limit), || Duration::ZERO)),
            clock: dear(),
            ..Options::default()
        };
        // It saves almost everything, but takes many budgets.
        let found = report(&["naive"], &["rho-profile"], &within(1));
        let left_out = of(&found, "rho-profile");
        assert!(left_out.added.unwrap().saves() > 0.8);
        assert_eq!(left_out.failure, Some(Failure::NotWorth));
        assert!(left_out.spent.unwrap() >= Duration::from_secs(10));
        let found = report(&["naive"], &["rho-profile"], &within(1_000));
        assert!(of(&found, "rho-profile").failure.is_none());
    }

    #[test]
    fn a_model_adds_what_is_lost_without_it() {
        let names = ["naive", "rho-profile"];
        let found = report(&names, &[], &Options::default());
        assert!(found.models.iter().all(|m| m.added.is_none() && m.spent.is_none()));
        let options = Options { account: Account::Every, clock: dear(), ..Options::default() };
        let found = report(&names, &[], &options);
        let added = |name: &str| of(&found, name).added.unwrap();
        assert!(added("rho-profile").saves() > 0.8, "{:?}", added("rho-profile"));
        assert!(added("naive").saves() < 0.05, "{:?}", added("naive"));
        assert_eq!(added("naive").with, added("rho-profile").with);
        assert!(of(&found, "naive").spent.unwrap() >= Duration::from_secs(10));
        // The choice without its only model loses without measure.
        let found = report(&["naive"], &[], &options);
        assert!(of(&found, "naive").added.unwrap().without.is_nan());
    }
}
