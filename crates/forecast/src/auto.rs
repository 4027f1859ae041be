//! The easy entry: a series in, a calibrated forecaster out.

use std::sync::Arc;

use domain::forecast::{Forecast, Probability};
use domain::series::Series;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use crate::calibrate::Adaptation;
use crate::calibrate::{self, Bounds, Calibrator, Errors};
use crate::demand::Watch;
use crate::drift::{Detector, Drift};
use crate::experts::Experts;
use crate::models::lstm::{self, Lstm, Weights};
use crate::models::{self, Model};
use crate::season::Seasons;
use crate::signals::{Lifted, Signals};

mod budget;
mod event;
mod fit;
mod fleet;
mod live;
mod panel;
mod report;
mod sampled;
mod saved;
mod trial;
mod tried;

pub use budget::{Budget, ThreadClock};
pub use event::{Event, Failure, RefitReason};
pub use fleet::Fleet;
use panel::Panel;
pub use report::{Added, BandReport, ModelReport, Note, Report};

/// Which seasons to use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SeasonChoice {
    /// Those that [`season::detect`] finds.
    #[default]
    Auto,
    /// These, in steps.
    Given(Vec<usize>),
}

/// Which models to try.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ModelChoice {
    /// All of [`models::AUTOMATIC`], and of [`models::CANDIDATES`] those that are worth it.
    #[default]
    Auto,
    /// Those of these names.
    Named(Vec<String>),
}

/// Of which models the report says what they added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Account {
    /// Of the candidates, which is known anyway.
    #[default]
    Candidates,
    /// Of every model, for which the choice is made once more without it.
    Every,
}

/// What a forecaster is made for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Seasons, found or given.
    pub seasons: SeasonChoice,
    /// Models, all or named.
    pub models: ModelChoice,
    /// The horizon to calibrate for, in steps; without it a day, or a third of the history if
    /// that is shorter. Longer forecasts are possible; their widths are extrapolated.
    pub horizon: Option<usize>,
    /// How long the fit may take; without it, as long as it takes.
    pub budget: Option<Budget>,
    /// How intervals follow what comes.
    pub adaptation: Adaptation,
    /// Events and outside series that may move the load; those that help take part.
    pub signals: Signals,
    /// The weights of the model `lstm`, which then takes part in the automatic choice; without
    /// them, those that are part of the program.
    pub lstm: Option<Arc<Weights>>,
    /// What the series of a fleet have taught models that learn from many.
    pub fleet: Fleet,
    /// What the report says.
    pub account: Account,
    /// Tells what each model cost.
    pub clock: Option<ThreadClock>,
}

impl Options {
    /// The model of that name, with the weights that were given and what a fleet has taught it.
    fn model(&self, name: &str) -> Option<Box<dyn Model>> {
        match &self.lstm {
            Some(weights) if name == lstm::NAME => Some(Box::new(Lstm::of(Arc::clone(weights)))),
            _ => self.fleet.model(name).or_else(|| models::by_name(name)),
        }
    }
}

/// Why there is no forecast.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ForecastError {
    /// There are not enough values.
    #[error("a forecast needs at least 2 values and the series has {found}")]
    TooShort {
        /// How many values are not gaps.
        found: usize,
    },
    /// A model was asked for that does not exist.
    #[error("there is no model {name:?}; the models are {known}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// None of the models that were asked for could be fitted.
    #[error("no model could be fitted: {reasons}")]
    NoModel {
        /// The reason of each model.
        reasons: String,
    },
    /// A forecast of no steps or without quantile levels was asked for.
    #[error("a forecast needs at least one step and one level")]
    Nothing,
    /// A new sample lies before the end of what is known already.
    #[error("the sample at {at} lies before the end of the series at {end}")]
    Late {
        /// When the sample was taken.
        at: jiff::Timestamp,
        /// Up to where the series is known.
        end: jiff::Timestamp,
    },
    /// A new sample lies too far after the end of the series; fit anew.
    #[error("the sample at {at} lies more than {limit} steps after the end of the series")]
    Ahead {
        /// When the sample was taken.
        at: jiff::Timestamp,
        /// How many missing steps can be carried.
        limit: usize,
    },
}

/// A fitted, calibrated forecaster of one series, which learns from every new sample.
#[derive(Clone, Serialize, Deserialize)]
pub struct AutoForecaster {
    panel: Panel,
    experts: Experts,
    past: Errors,
    calibration: Calibrator,
    detector: Detector,
    /// The drift that was found since the fit.
    drifted: Option<Drift>,
    /// Intervals are so many times as wide as calibrated.
    widening: f64,
    /// A model that carried the forecast was dropped since the fit.
    lost: bool,
    /// The expert that leads, and those that count: what events are told against.
    leader: usize,
    counting: Vec<bool>,
    /// What tells outages and wild values from load.
    watch: Watch,
    seasons: Seasons,
    /// Least and greatest value so far, and the last one.
    range: (f64, f64),
    last: f64,
    /// What is expected of the next value; `NaN` if nothing is.
    expected: f64,
    /// Steps between origins that are kept for calibration.
    spacing: usize,
    /// Index of the next value, and what it was at the fit.
    next: usize,
    fitted_at: usize,
    /// How many values the models learned from.
    fitted_on: usize,
    start: jiff::Timestamp,
    step: domain::series::Step,
    found: Report,
}

/// Fits all models, chooses by rolling origins, and calibrates.
pub fn auto(series: &Series, options: &Options) -> Result<AutoForecaster, ForecastError> {
    let (recipes, candidates) = recipes(options)?;
    fit::fit(&recipes, &candidates, series, options)
}

/// [`auto`] for many series at once, on all cores; results in the order of the input. Models that
/// gain from other series learn from all of them first, unless `options` bring a [`Fleet`] along.
pub fn forecast_many(
    series: &[Series],
    options: &Options,
) -> Vec<Result<AutoForecaster, ForecastError>> {
    let mut options = options.clone();
    if options.fleet.is_empty() {
        // What is wrong with the options is said of every series.
        options.fleet = Fleet::of(series, &options).unwrap_or_default();
    }
    series.par_iter().map(|one| auto(one, &options)).collect()
}

impl AutoForecaster {
    /// The forecast of the next `horizon` steps, with quantiles at `levels`.
    pub fn forecast(
        &self,
        horizon: usize,
        levels: &[Probability],
    ) -> Result<Forecast, ForecastError> {
        if horizon == 0 || levels.is_empty() {
            return Err(ForecastError::Nothing);
        }
        let mut levels = levels.to_vec();
        levels.sort_by(|a, b| a.get().total_cmp(&b.get()));
        levels.dedup();
        let scores: Vec<f64> = levels.iter().map(|l| calibrate::score(l.get())).collect();
        let bounds = self.bounds();
        let mean: Vec<f64> = self.centre(horizon).into_iter().map(|c| bounds.clamp(c)).collect();
        let quantiles = mean
            .iter()
            .enumerate()
            .map(|(h, centre)| {
                // Rounding may cross neighbours: each is at least the one before.
                let mut least = f64::NEG_INFINITY;
                let row = scores.iter().map(|score| {
                    let raw = self.quantile(h, *centre, *score);
                    least = bounds.clamp(raw).max(least);
                    least
                });
                row.collect()
            })
            .collect();
        Ok(Forecast {
            start: self.end(),
            step: self.step,
            model: self.panel.name(self.leader).to_owned(),
            mean,
            levels,
            quantiles,
        })
    }

    /// Which models were tried, how they did, who forecasts now, and what was odd about the
    /// series.
    pub fn report(&self) -> Report {
        let mut report = self.found.clone();
        report.chosen = self.panel.name(self.leader).to_owned();
        let spread = self.panel.spread(&self.experts.mean_weights());
        for model in &mut report.models {
            let place = self.panel.members().iter().position(|m| m.name == model.name);
            model.weight = place.map_or(0.0, |m| spread[m]);
        }
        if let Some(signals) = &mut report.signals {
            let with = report.models.iter().filter(|model| Lifted::is(&model.name));
            signals.weight = with.map(|model| model.weight).sum();
        }
        let band = |(steps_ahead, weights, losses): (usize, Vec<f64>, &[f64])| {
            let each = weights.into_iter().zip(losses).enumerate();
            let experts = each.map(|(e, (w, l))| (self.panel.name(e).to_owned(), w, *l)).collect();
            BandReport { steps_ahead, experts }
        };
        report.bands = self.experts.bands().map(band).collect();
        report
    }

    /// What the benchmark expects of the next steps: the value a season before, of the longest season
    /// that is known, or the last value where there is none.
    pub fn benchmark(&self, horizon: usize) -> Vec<f64> {
        let members = self.panel.members();
        let place = |name: &&str| members.iter().position(|member| member.name == **name);
        let known = models::BENCHMARKS.iter().rev().find_map(place);
        let Some(known) = known else { return vec![self.last; horizon] };
        let (mut said, _) = self.panel.say(horizon, self.bounds(), |expert| expert == known);
        std::mem::take(&mut said[known])
    }

    /// Where the forecast begins.
    pub fn end(&self) -> jiff::Timestamp {
        let seconds = self.step.seconds().saturating_mul(self.next as i64);
        let end = self.start.as_second().saturating_add(seconds);
        jiff::Timestamp::from_second(end).unwrap_or(jiff::Timestamp::MAX)
    }

    fn centre(&self, horizon: usize) -> Vec<f64> {
        let wanted = |expert| self.experts.takes_part(expert);
        let (said, _) = self.panel.say(horizon, self.bounds(), wanted);
        let rows: Vec<&[f64]> = said.iter().map(Vec::as_slice).collect();
        self.experts.mix(&rows, horizon, self.last)
    }

    /// The calibrated quantile, wider for a while after drift.
    fn quantile(&self, ahead: usize, centre: f64, score: f64) -> f64 {
        let calibrated = self.calibration.quantile(self.next + ahead, ahead, centre, score);
        centre + self.widening * (calibrated - centre)
    }

    fn bounds(&self) -> Bounds {
        Bounds::of(&[self.range.0, self.range.1])
    }
}

/// A recipe by itself.
type Recipe = Box<dyn Model>;

/// The models of the choice, and those that may join it.
fn recipes(options: &Options) -> Result<(Vec<Recipe>, Vec<Recipe>), ForecastError> {
    let of = |name: &str| {
        options.model(name).ok_or_else(|| ForecastError::UnknownModel {
            name: name.to_owned(),
            known: models::NAMES.join(", "),
        })
    };
    let all = |names: &[&str]| names.iter().map(|name| of(name)).collect::<Result<Vec<_>, _>>();
    match &options.models {
        ModelChoice::Auto => {
            // Weights of a fleet's own always take part.
            let own = options.lstm.is_some().then_some(lstm::NAME);
            let base: Vec<&str> = models::AUTOMATIC.into_iter().chain(own).collect();
            let tried = models::CANDIDATES.into_iter().filter(|name| Some(*name) != own);
            Ok((all(&base)?, all(&tried.collect::<Vec<_>>())?))
        }
        ModelChoice::Named(names) => {
            let named = names.iter().map(|name| of(name)).collect::<Result<_, _>>()?;
            Ok((named, Vec::new()))
        }
    }
}

#[cfg(test)]
mod tests;
