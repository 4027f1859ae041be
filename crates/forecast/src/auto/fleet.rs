//! What several series teach together.

use std::fmt;
use std::sync::Arc;

use domain::series::Series;
use jiff::{SignedDuration, Timestamp};
use rayon::prelude::*;

use super::{ForecastError, Options, fit, recipes};
use crate::models::{Context, Model, Regressors};
use crate::settings;

/// What all series of a file or a fleet have taught the models that can learn from many; the
/// forecasters that are made with it share that. Nothing is used before its time: what was learned
/// up to a moment serves only fits on series that end then or later.
#[derive(Clone, Default)]
pub struct Fleet {
    taught: Vec<Arc<dyn Model>>,
}

impl Fleet {
    /// Teaches those models of the choice. A single series teaches nothing that it does not know.
    pub fn of(series: &[Series], options: &Options) -> Result<Self, ForecastError> {
        let (recipes, candidates) = recipes(options)?;
        let all = recipes.iter().chain(&candidates);
        let teachers: Vec<_> = all.filter_map(|model| model.teacher()).collect();
        if teachers.is_empty() || series.len() < 2 {
            return Ok(Self::default());
        }
        let seen = |series: &Series| {
            let (demand, seasons) = fit::demand(series, options);
            (demand.series, Context { seasons, regressors: Regressors::NONE })
        };
        let seen: Vec<(Series, Context)> = series.par_iter().map(seen).collect();
        let pairs: Vec<(&Series, &Context)> = seen.iter().map(|(s, c)| (s, c)).collect();
        let until = moments(series);
        Ok(Self { taught: teachers.iter().map(|teacher| teacher.teach(&pairs, &until)).collect() })
    }

    /// The model of that name, if it was taught.
    pub(super) fn model(&self, name: &str) -> Option<Box<dyn Model>> {
        let taught = self.taught.iter().find(|model| model.name() == name)?;
        Some(Box::new(Arc::clone(taught)))
    }

    /// Whether nothing was taught.
    pub fn is_empty(&self) -> bool {
        self.taught.is_empty()
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.taught.iter().map(|model| model.name())).finish()
    }
}

/// Up to when is learned: parts of the time that the series cover, for fits at past origins, and
/// the first and the last end.
fn moments(series: &[Series]) -> Vec<Timestamp> {
    let ends = || series.iter().map(Series::end);
    let (Some(from), Some(first), Some(last)) =
        (series.iter().map(Series::start).min(), ends().min(), ends().max())
    else {
        return Vec::new();
    };
    let span = last.as_second() - from.as_second();
    let part = |share: &f64| from + SignedDuration::from_secs((span as f64 * share) as i64);
    let mut moments: Vec<Timestamp> = settings::TAUGHT_AT.iter().map(part).collect();
    moments.extend([first, last]);
    moments.sort_unstable();
    moments.dedup();
    moments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelChoice;
    use domain::series::Step;

    fn series(k: usize, length: usize) -> Series {
        let day = |i: usize| (std::f64::consts::TAU * (i % 24) as f64 / 24.0).sin();
        let value = |i: usize| 50.0 + 20.0 * day(i) + ((i * i + k) as f64 * 0.618).sin();
        let step = Step::from_seconds(3_600).unwrap();
        Series::new(Timestamp::UNIX_EPOCH, step, (0..length).map(value).collect())
    }

    #[test]
    fn models_that_gain_from_others_are_taught_and_no_others() {
        let all: Vec<Series> = (0..4).map(|k| series(k, 400)).collect();
        let named = |names: &[&str]| Options {
            models: ModelChoice::Named(names.iter().map(|n| (*n).to_owned()).collect()),
            ..Options::default()
        };
        let fleet = Fleet::of(&all, &named(&["naive", "trees"])).unwrap();
        assert!(fleet.model("trees").is_some() && fleet.model("naive").is_none());
        assert!(Fleet::of(&all, &named(&["naive"])).unwrap().is_empty());
        assert!(Fleet::of(&all[..1], &named(&["trees"])).unwrap().is_empty());
        let error = Fleet::of(&all, &named(&["tree"])).unwrap_err();
        assert!(matches!(error, ForecastError::UnknownModel { .. }), "{error}");
    }

    #[test]
    fn learning_ends_at_parts_of_the_time_and_at_both_ends() {
        let hours = |moments: Vec<Timestamp>| -> Vec<i64> {
            moments.iter().map(|at| at.as_second() / 3_600).collect()
        };
        assert_eq!(
            hours(moments(&[series(0, 600), series(1, 360)])),
            [200, 300, 360, 400, 500, 600]
        );
        assert!(moments(&[]).is_empty());
    }
}
