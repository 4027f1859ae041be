//! Prophet: a trend that bends at changepoints, seasons as sums of waves, events and regressors
//! as columns (Taylor and Letham, "Forecasting at scale", The American Statistician 72, 2018).
//!
//! With the line `z(t) = k t + m + Σ_j δ_j (t − s_j)⁺` over time `t` scaled to 0 … 1, the trend is
//! `z` itself, or `capacity / (1 + exp(−z))` with `z(t) = k (t − m) + Σ_j δ_j (t − s_j)⁺` (their
//! equations 3 and 4: the offsets `γ` there keep this line without jumps). The value is
//! `trend + x β + ε`, or `trend (1 + x β) + ε`, where `x` holds the waves of the seasons and the
//! outside columns, with `k, m ~ N(0, 5²)`, `δ ~ Laplace(0, 0.05)`, `β ~ N(0, 10²)`,
//! `σ ~ N⁺(0, 0.5²)` for values over the greatest absolute value (defaults of Prophet 1.1).
//!
//! The mode of that posterior is found exactly ([`estimate`]), in one to a few milliseconds for a
//! thousand values. Between two fits a new value enters the sums of the regression, and the mode
//! is found again on the changepoints of the fit.
//!
//! Columns of zeros and ones are events; others are brought to mean 0 and spread 1.
//! [`Explained::components`] takes a fit apart, [`Explained::simulate`] draws futures whose trend
//! goes on to bend as it did. Both are for people and plots: the intervals of
//! [`auto`](crate::auto()) come from past errors, as those of every model do.
//!
//! ```
//! use domain::series::{Series, Step};
//! use forecast::models::prophet::Prophet;
//! use forecast::models::{Context, Regressors};
//!
//! // Three weeks of hours with a day, a rising level, and a campaign that is repeated.
//! let campaign: Vec<f64> = (0..528).map(|i| if i % 50 < 6 { 1.0 } else { 0.0 }).collect();
//! let day = |i: usize| 20.0 * ((i % 24) as f64 / 24.0 * 6.283).sin();
//! let values = (0..504).map(|i| 100.0 + 0.1 * i as f64 + day(i) + 50.0 * campaign[i]).collect();
//! let step = Step::from_seconds(3_600).unwrap();
//! let series = Series::new(jiff::Timestamp::UNIX_EPOCH, step, values);
//!
//! let regressors = Regressors { ahead: vec![campaign], past: vec![] };
//! let context = Context { regressors: regressors.clone(), ..Context::default() };
//! let fitted = Prophet::default().explain(&series, &context)?;
//!
//! // The next day: the campaign, which began four hours ago, goes on for two more.
//! let parts = fitted.components(504..528, &regressors);
//! assert_eq!(parts.seasons.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["week", "day"]);
//! let lift = &parts.events[0].values;
//! assert!((lift[1] - 50.0).abs() < 1.0 && lift[2] == 0.0);
//! # Ok::<(), forecast::models::FitError>(())
//! ```

use domain::series::Series;

use super::history::History;
use super::{Context, FitError, Fitted, Model};
use crate::settings;
use crate::state::{self, StateError};

mod columns;
mod estimate;
mod explained;
mod frame;
mod quadratic;
mod surface;

pub use explained::{Components, Explained, Part};
use frame::Frame;
use surface::{Surface, Unit};

/// The name of the model with effects that are added.
pub(crate) const NAME: &str = "prophet";
/// The name of the model with effects that multiply the trend.
pub(crate) const NAME_MULTIPLICATIVE: &str = "prophet-multiplicative";

/// How the trend goes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Growth {
    /// In straight lines.
    #[default]
    Linear,
    /// Towards a capacity.
    Logistic(Capacity),
    /// Not at all.
    Flat,
}

/// The most that load can grow to, and the least that it can fall to, in the unit of the series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    floor: f64,
    most: f64,
}

impl Capacity {
    /// Growth between `floor` and `most`; `None` unless both are finite and `most` is above.
    pub fn between(floor: f64, most: f64) -> Option<Self> {
        let room = most - floor;
        (room.is_finite() && room > 0.0).then_some(Self { floor, most })
    }
}

/// How seasons, events and regressors act.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effects {
    /// They are added to the trend.
    #[default]
    Additive,
    /// They are shares of the trend.
    Multiplicative,
}

/// The recipe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prophet {
    /// How the trend goes.
    pub growth: Growth,
    /// How seasons, events and regressors act.
    pub effects: Effects,
    /// How many changepoints lie in the first four fifths of the history; no more than 200 are
    /// used, since the cost of a fit grows with the square of their number.
    pub changepoints: usize,
    /// The scale of the prior of the bends: larger ones let the trend bend more. Where it is not
    /// above 0, there are none.
    pub bend_scale: f64,
}

impl Default for Prophet {
    fn default() -> Self {
        Self {
            growth: Growth::Linear,
            effects: Effects::Additive,
            changepoints: settings::PROPHET_CHANGEPOINTS,
            bend_scale: settings::PROPHET_BEND_SCALE,
        }
    }
}

impl Prophet {
    /// Learns from the series as [`Model::fit`] does, and gives what can be taken apart.
    pub fn explain(&self, series: &Series, context: &Context) -> Result<Explained, FitError> {
        let model = self.name();
        let history = History::of(series.values(), &context.seasons);
        let (first, needed) = (history.first_index(), settings::PROPHET_LEAST);
        let seen: Vec<usize> = (0..history.len()).filter(|i| history.observed()[*i]).collect();
        if seen.len() < needed {
            return Err(FitError::TooShort { model, needed, found: seen.len() });
        }
        let seen: Vec<(usize, f64)> =
            seen.into_iter().map(|i| (first + i, history.values()[i])).collect();
        let unit = Unit::of(self.growth, seen.iter().map(|(_, value)| *value));
        let indices: Vec<usize> = seen.iter().map(|(index, _)| *index).collect();
        let frame = Frame::of(self, series, &indices, context);
        let surface = Surface::new(self, unit, frame);
        let next = first + history.len();
        Explained::fit(surface, &seen, next, &context.regressors)
            .ok_or(FitError::Unsolvable { model })
    }
}

impl Model for Prophet {
    fn name(&self) -> &'static str {
        match self.effects {
            Effects::Additive => NAME,
            Effects::Multiplicative => NAME_MULTIPLICATIVE,
        }
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        Ok(Box::new(self.explain(series, context)?))
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<Explained>(bytes)
    }
}

#[cfg(test)]
mod tests;
