//! The models, one per file, behind one pair of traits.
//!
//! A [`Model`] is a recipe and holds no data. [`Model::fit`] turns it into a [`Fitted`], and
//! only that can predict. Later models (smoothing, decompositions, regressions on events,
//! networks) are further files that implement the same pair and one line in [`by_name`].

use std::sync::Arc;

use domain::series::Series;
use jiff::Timestamp;
use serde::Serialize;

use crate::season::Seasons;
use crate::state::{self, StateError};

mod history;

pub use history::Regressors;
pub(crate) use history::{clip_spikes, wild_limits};

/// What a model may know beside the series itself.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The periods of the series in steps, shortest first.
    pub seasons: Seasons,
    /// Outside columns on the grid of the series; may be empty.
    pub regressors: Regressors,
}

/// One new sample for a fitted model.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The value; `NaN` is a gap, over which the model carries its own expectation.
    pub value: f64,
    /// The regressor values of this step, in the order of the columns; may be empty.
    pub regressors: &'a [f64],
}

impl Observation<'_> {
    /// A sample without regressors.
    pub fn of(value: f64) -> Self {
        Self { value, regressors: &[] }
    }
}

/// What a fitted model expects.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The centre of each step ahead, in the unit of the series.
    pub centre: Vec<f64>,
    /// The model's own idea of its error per step (one standard deviation), if it has one.
    pub scale: Option<Vec<f64>>,
}

/// What one fit of a model costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// A few milliseconds on a thousand values: fitted anew at every checkpoint of the past.
    Low,
    /// More (searches over forms): fitted at the first checkpoint, then carried by updates.
    High,
}

/// A recipe that can be fitted to a series.
pub trait Model: Send + Sync {
    /// The name by which users ask for the model.
    fn name(&self) -> &'static str;

    /// What one fit costs beside an update; says how often past origins may fit anew.
    fn cost(&self) -> Cost {
        Cost::Low
    }

    /// Learns from the series. Gaps are `NaN`.
    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError>;

    /// How to learn from many series together; `None` for a model that learns from each alone.
    fn teacher(&self) -> Option<&dyn Teacher> {
        None
    }

    /// What [`Keep::save`] of one of its fitted models wrote, as it was to the last bit:
    /// `state::restore::<TheFittedType>(bytes)`.
    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError>;
}

/// A recipe that gains from other series than its own.
pub trait Teacher {
    /// The same recipe once it has learned from all these series, as far as they go up to each of
    /// the moments `until`. A fit uses what was learned up to the end of its own series, so that
    /// nothing is known before its time.
    fn teach(&self, series: &[(&Series, &Context)], until: &[Timestamp]) -> Arc<dyn Model>;
}

/// Several forecasters use what one teacher has taught.
impl Model for Arc<dyn Model> {
    fn name(&self) -> &'static str {
        self.as_ref().name()
    }

    fn cost(&self) -> Cost {
        self.as_ref().cost()
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        self.as_ref().fit(series, context)
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        self.as_ref().restore(bytes)
    }
}

/// A model that has learned. It is plain data: [`Keep`] is there for every fitted model that
/// derives `Clone` and `Serialize`.
pub trait Fitted: Keep + Send + Sync {
    /// Takes in the next sample without learning anew: constant, small cost.
    fn update(&mut self, observation: Observation<'_>);

    /// Expects the next `horizon` steps. `ahead` holds the known-ahead columns of those steps.
    fn forecast(&self, horizon: usize, ahead: &Regressors) -> Prediction;
}

/// What a fitted model can do because it is plain data; never implemented by hand.
pub trait Keep {
    /// A copy with the same state.
    fn boxed_clone(&self) -> Box<dyn Fitted>;

    /// The state as bytes, for [`Model::restore`].
    fn save(&self) -> Vec<u8>;
}

impl<T: Fitted + Clone + Serialize + 'static> Keep for T {
    fn boxed_clone(&self) -> Box<dyn Fitted> {
        Box::new(self.clone())
    }

    fn save(&self) -> Vec<u8> {
        state::to_bytes(self)
    }
}

impl Clone for Box<dyn Fitted> {
    fn clone(&self) -> Self {
        self.boxed_clone()
    }
}

/// Why a model could not learn from a series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// The series has too few values for this model.
    #[error("{model} needs {needed} values and the series has {found}")]
    TooShort {
        /// The model.
        model: &'static str,
        /// How many values it needs.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// The model needs a season and the series has none.
    #[error("{model} needs a season and the series has none")]
    NoSeason {
        /// The model.
        model: &'static str,
    },
    /// The equations have no finite solution.
    #[error("{model} found no finite solution")]
    Unsolvable {
        /// The model.
        model: &'static str,
    },
}

mod arima;
mod card;
mod ets;
pub mod lstm;
mod mstl;
mod naive;
pub mod prophet;
mod scale;
mod seasonal_ar;
mod simplex;
mod smoothing;
mod theta;
mod trees;

use scale::Scale;
use seasonal_ar::{Recipe, Target};

/// All models, by the name under which each can be asked for.
pub const NAMES: [&str; 22] = [
    "naive",
    "seasonal-naive",
    "seasonal-naive-long",
    "rho",
    "rho-log",
    "delta",
    "delta-log",
    "rho-profile",
    "rho-profile-log",
    "delta-profile",
    "delta-profile-log",
    "card",
    "smoothing",
    "smoothing-log",
    "ets",
    "theta",
    "mstl",
    arima::NAME,
    prophet::NAME,
    prophet::NAME_MULTIPLICATIVE,
    lstm::NAME,
    trees::NAME,
];

/// The models that the automatic choice always tries: all but `card`, whose members take part
/// themselves, the [`CANDIDATES`], and multiplicative Prophet.
pub const AUTOMATIC: [&str; 17] = [
    "naive",
    "seasonal-naive",
    "seasonal-naive-long",
    "rho",
    "rho-log",
    "delta",
    "delta-log",
    "rho-profile",
    "rho-profile-log",
    "delta-profile",
    "delta-profile-log",
    "smoothing",
    "smoothing-log",
    "ets",
    "theta",
    "mstl",
    arima::NAME,
];

/// Models that are tried after those, in this order, and take part for a series only where they
/// bring more than they cost (docs/accuracy.md); `lstm` always does with weights of a fleet's own.
pub const CANDIDATES: [&str; 3] = [trees::NAME, prophet::NAME, lstm::NAME];

/// The models that every choice must keep beating; they live on after every fit.
pub const BENCHMARKS: [&str; 3] = ["naive", "seasonal-naive", "seasonal-naive-long"];

/// The model of that name.
pub fn by_name(name: &str) -> Option<Box<dyn Model>> {
    let name = *NAMES.iter().find(|n| **n == name)?;
    let scale = if name.ends_with("-log") { Scale::Log } else { Scale::Plain };
    let target = if name.starts_with("rho") { Target::Level } else { Target::Difference };
    let smoothing = if name.contains("profile") { crate::settings::PROFILE_SMOOTHING } else { 1.0 };
    Some(match name {
        arima::NAME => Box::new(arima::Arima),
        prophet::NAME => Box::new(prophet::Prophet::default()),
        prophet::NAME_MULTIPLICATIVE => Box::new(prophet::Prophet {
            effects: prophet::Effects::Multiplicative,
            ..prophet::Prophet::default()
        }),
        lstm::NAME => Box::new(lstm::Lstm::default()),
        trees::NAME => Box::new(trees::Trees::default()),
        "naive" => Box::new(naive::Naive),
        "seasonal-naive" => Box::new(naive::SeasonalNaive::Shortest),
        "seasonal-naive-long" => Box::new(naive::SeasonalNaive::Longest),
        "card" => Box::new(card::Card),
        "smoothing" | "smoothing-log" => Box::new(smoothing::Smoothing { name, scale }),
        "ets" => Box::new(ets::Ets),
        "theta" => Box::new(theta::AutoTheta),
        "mstl" => Box::new(mstl::Mstl),
        _ => Box::new(Recipe { name, target, lags: crate::settings::LAGS, smoothing, scale }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::series::Step;

    fn load(i: usize) -> f64 {
        let noise = ((i * i) as f64 * 0.618).sin();
        40.0 + 15.0 * (std::f64::consts::TAU * (i % 24) as f64 / 24.0).sin() + 2.0 * noise
    }

    #[test]
    fn every_model_comes_back_as_it_was_to_the_last_bit() {
        let step = Step::from_seconds(3_600).unwrap();
        let series = Series::new(Timestamp::UNIX_EPOCH, step, (0..400).map(load).collect());
        let context = Context { seasons: Seasons::given(&[24, 168]), ..Context::default() };
        for name in NAMES {
            let model = by_name(name).unwrap();
            let mut kept = model.fit(&series, &context).unwrap();
            let mut back = model.restore(&kept.save()).unwrap();
            for i in 400..440 {
                let (a, b) =
                    (kept.forecast(30, &Regressors::NONE), back.forecast(30, &Regressors::NONE));
                assert_eq!(a, b, "{name} after {} samples", i - 400);
                let value = if i % 9 == 0 { f64::NAN } else { load(i) };
                kept.update(Observation::of(value));
                back.update(Observation::of(value));
            }
            assert_eq!(kept.save(), back.save(), "{name}");
        }
    }

    /// Each model alone, on what breaks arithmetic: finite numbers or an error, also afterwards.
    #[test]
    fn hostile_values_give_finite_numbers_or_an_error() {
        let step = Step::from_seconds(3_600).unwrap();
        let shapes: [fn(usize) -> f64; 9] = [
            |_| 0.0,
            |_| -7.0,
            |i| if i == 60 { 1e300 } else { 1.0 },
            |i| if i % 2 == 0 { 1e300 } else { -1e300 },
            |i| if i % 12 == 3 { f64::NAN } else { 1e-300 * (i % 12) as f64 },
            |i| 1e12 + ((i * i) as f64).sin(),
            |i| if i < 100 { 5.0 } else { f64::NAN },
            |i| if i > 100 { 1e9 } else { (i % 12) as f64 },
            |i| (1.2_f64).powi(i as i32),
        ];
        let context = Context { seasons: Seasons::given(&[12, 84]), ..Context::default() };
        let mut fits = 0;
        for shape in shapes {
            for length in [1, 13, 30, 200] {
                let values = (0..length).map(shape).collect();
                let series = Series::new(Timestamp::UNIX_EPOCH, step, values);
                for name in NAMES {
                    let Ok(mut fitted) = by_name(name).unwrap().fit(&series, &context) else {
                        continue;
                    };
                    fits += 1;
                    for value in [f64::NAN, 1e300, -1e300, 0.0, 3.0] {
                        fitted.update(Observation::of(value));
                        let centre = fitted.forecast(30, &Regressors::NONE).centre;
                        assert!(centre.iter().all(|c| c.is_finite()), "{name} {length} {centre:?}");
                    }
                }
            }
        }
        assert!(fits > 200, "{fits} fits");
    }

    #[test]
    fn cut_or_foreign_bytes_are_no_model() {
        let step = Step::from_seconds(3_600).unwrap();
        let series = Series::new(Timestamp::UNIX_EPOCH, step, (0..400).map(load).collect());
        let context = Context { seasons: Seasons::given(&[24]), ..Context::default() };
        for name in NAMES {
            let model = by_name(name).unwrap();
            let bytes = model.fit(&series, &context).unwrap().save();
            assert!(model.restore(&bytes[..bytes.len() - 1]).is_err(), "{name}");
            assert!(model.restore(&[bytes, vec![0]].concat()).is_err(), "{name}");
            assert!(model.restore(&[0xff; 9]).is_err(), "{name}");
        }
    }
}
