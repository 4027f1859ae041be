//! The easy entry: a series in, a calibrated forecaster out.

use domain::forecast::{Forecast, Paths, Probability};
use domain::series::Series;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::calibrate::{self, Bounds, Calibrator, Errors, Seen};
use crate::demand::{Demand, Watch};
use crate::drift::{Detector, Drift};
use crate::experts::{self, Experts};
use crate::models::{self, Context, Model, Regressors};
use crate::paths::Templates;
use crate::paths::windows::{self, Came};
use crate::rolling::{self, Plan};
use crate::season::{self, Seasons};
use crate::select::{self, Blend, Choice};
use crate::settings;

mod budget;
mod event;
mod live;
mod panel;
mod report;
mod saved;
mod trial;

pub use budget::Budget;
pub use event::{Event, Failure, RefitReason};
use panel::{Member, Panel};
pub use report::{BandReport, ModelReport, Note, Report};

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
    /// All of [`models::AUTOMATIC`].
    #[default]
    Auto,
    /// Those of these names.
    Named(Vec<String>),
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
    let recipes = recipes(&options.models)?;
    with_models(&recipes, series, options)
}

/// [`auto`] with the given models.
fn with_models(
    recipes: &[Box<dyn Model>],
    series: &Series,
    options: &Options,
) -> Result<AutoForecaster, ForecastError> {
    let values = series.values();
    let found = values.iter().filter(|v| v.is_finite()).count();
    if found < 2 {
        return Err(ForecastError::TooShort { found });
    }
    let served = Demand::served(series);
    let seasons = match &options.seasons {
        SeasonChoice::Auto => season::detect(&served.series),
        SeasonChoice::Given(periods) => Seasons::given(periods),
    };
    let demand = served.expected(&seasons);
    let (watch, series) = (Watch::over(values, series.step()), &demand.series);
    let values = series.values();
    let context = Context { seasons, regressors: Regressors::NONE };
    let horizon = calibrated_horizon(series, options.horizon);
    let plan = Plan::over(values.len(), horizon, context.seasons.shortest().unwrap_or(1));
    let trials = trial::all(recipes, series, &context, &plan, options.budget.as_ref());
    let actual = rolling::actuals(values, &plan);
    let names: Vec<&'static str> = recipes.iter().map(|m| m.name()).collect();
    let (mut rows, mut fitted, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for trial in trials {
        let (said, model, failure) = match trial {
            Ok((said, model)) => (Some(said), Some(model), None),
            Err(failure) => (None, None, Some(failure)),
        };
        rows.push(said);
        fitted.push(model);
        failures.push(failure);
    }
    let Some(choice) = select::choose(&rows, &actual) else {
        return Err(ForecastError::NoModel { reasons: reasons(&names, &failures) });
    };
    let combined = choice.blend.rows(&rows);
    let kept = kept(&choice, &names);
    let place = |model: usize| kept.iter().position(|k| *k == model);
    let members = choice.blend.members.iter().filter_map(|(m, w)| Some((place(*m)?, *w))).collect();
    let blend = Blend { rule: choice.blend.rule, members };
    let mut said: Vec<experts::Said<'_>> =
        kept.iter().filter_map(|m| rows[*m].as_deref()).collect();
    said.push(&combined);
    let spacing = plan.origins.windows(2).map(|w| w[1] - w[0]).next().unwrap_or(1);
    let experts = Experts::learn(&said, &actual, said.len() - 1, spacing);
    let member = |m: &usize| Member { name: names[*m].to_owned(), fitted: fitted[*m].take() };
    let panel = Panel::new(kept.iter().map(member).collect(), blend);
    let range = range(values);
    let last = values.iter().rev().copied().find(|v| v.is_finite()).unwrap_or(0.0);
    let centres: Vec<Vec<f64>> = (0..plan.origins.len())
        .map(|o| {
            let rows: Vec<&[f64]> = said.iter().map(|rows| rows[o].as_slice()).collect();
            experts.mix(&rows, plan.horizon, last)
        })
        .collect();
    let mut past = Errors::new(plan.origins.clone(), &centres, &values[plan.origins[0]..]);
    demand.floors.iter().for_each(|(index, bound)| past.came(*index, Seen::AtLeast(*bound)));
    let mut found = Report::of(&names, &choice, failures, &context.seasons, series);
    found.notes.extend(demand.notes());
    let mut forecaster = AutoForecaster {
        leader: panel.combination(),
        counting: vec![false; panel.count()],
        calibration: Calibrator::learn(&past, context.seasons.periods()),
        found,
        panel,
        experts,
        past,
        detector: Detector::new(),
        drifted: None,
        widening: 1.0,
        lost: false,
        watch,
        seasons: context.seasons,
        range,
        last,
        expected: f64::NAN,
        spacing,
        next: values.len(),
        fitted_at: values.len(),
        fitted_on: values.len().min(settings::MAX_FIT_POINTS),
        start: series.start(),
        step: series.step(),
    };
    forecaster.begin();
    Ok(forecaster)
}

/// The models that live on: those of the best combination, the best few, and the benchmarks.
fn kept(choice: &Choice, names: &[&'static str]) -> Vec<usize> {
    let loss = |m: &usize| choice.losses[*m].unwrap_or(f64::MAX);
    let mut order: Vec<usize> = (0..names.len()).filter(|m| choice.losses[*m].is_some()).collect();
    order.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    let mut kept: Vec<usize> = (0..names.len())
        .filter(|m| {
            let place = order.iter().position(|o| o == m);
            place.is_some_and(|place| {
                place < settings::EXPERTS_KEPT
                    || choice.blend.members.iter().any(|(b, _)| b == m)
                    || models::BENCHMARKS.contains(&names[*m])
            })
        })
        .collect();
    kept.sort_unstable();
    kept
}

/// [`auto`] for many series at once, on all cores; results in the order of the input.
pub fn forecast_many(
    series: &[Series],
    options: &Options,
) -> Vec<Result<AutoForecaster, ForecastError>> {
    series.par_iter().map(|one| auto(one, options)).collect()
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

    /// `count` sampled futures of `horizon` steps: at each step their values are evenly spread
    /// over the calibrated distribution. The same seed gives the same paths.
    pub fn paths(&self, horizon: usize, count: usize, seed: u64) -> Result<Paths, ForecastError> {
        if horizon == 0 || count == 0 {
            return Err(ForecastError::Nothing);
        }
        let templates = Templates::of(&self.standardised());
        let units: Vec<f64> = windows::rank_levels().map(calibrate::score).collect();
        let units = self.calibration.units(&units);
        let looseness = windows::looseness(&templates, &self.came(), &units);
        let ranks = templates.ranks(horizon, count, seed, looseness);
        let scores: Vec<f64> =
            (0..count).map(|k| calibrate::score((k as f64 + 0.5) / count as f64)).collect();
        let bounds = self.bounds();
        let mut values = vec![0.0; count * horizon];
        for (h, centre) in self.centre(horizon).into_iter().enumerate() {
            let centre = bounds.clamp(centre);
            for (path, rank) in ranks[h].iter().enumerate() {
                let score = scores[*rank as usize];
                let value = self.quantile(h, centre, score);
                values[path * horizon + h] = bounds.clamp(value);
            }
        }
        Ok(Paths::new(self.end(), self.step, horizon, values)
            .expect("bounded values of the right number are paths"))
    }

    /// Past errors in units of their size; `NaN` where nothing or only a lower bound came.
    fn standardised(&self) -> Vec<Vec<f64>> {
        let past = &self.past;
        let of = |o: usize| {
            let score = |h: usize| match past.is_floor(past.origins()[o] + h) {
                true => f64::NAN,
                false => past.error(o, h) / self.calibration.past_size(past, o, h),
            };
            (0..past.horizon()).map(score).collect()
        };
        (0..past.count()).map(of).collect()
    }

    /// What came after the newest past origins, beside what was said.
    fn came(&self) -> Vec<Came> {
        let past = &self.past;
        let row = |of: &dyn Fn(usize) -> f64| (0..past.horizon()).map(of).collect();
        let came = |o: usize| Came {
            values: row(&|h| past.value(o, h)),
            centres: row(&|h| past.centre(o, h)),
            sizes: row(&|h| self.calibration.past_size(past, o, h)),
        };
        (0..past.count()).map(came).collect()
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
        let band = |(steps_ahead, weights, losses): (usize, Vec<f64>, &[f64])| {
            let each = weights.into_iter().zip(losses).enumerate();
            let experts = each.map(|(e, (w, l))| (self.panel.name(e).to_owned(), w, *l)).collect();
            BandReport { steps_ahead, experts }
        };
        report.bands = self.experts.bands().map(band).collect();
        report
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

fn recipes(choice: &ModelChoice) -> Result<Vec<Box<dyn Model>>, ForecastError> {
    let names: Vec<&str> = match choice {
        ModelChoice::Auto => models::AUTOMATIC.to_vec(),
        ModelChoice::Named(names) => names.iter().map(String::as_str).collect(),
    };
    names
        .into_iter()
        .map(|name| {
            models::by_name(name).ok_or_else(|| ForecastError::UnknownModel {
                name: name.to_owned(),
                known: models::NAMES.join(", "),
            })
        })
        .collect()
}

fn calibrated_horizon(series: &Series, asked: Option<usize>) -> usize {
    let day = usize::try_from(86_400 / series.step().seconds()).unwrap_or(1);
    let wanted = asked.unwrap_or(day.max(settings::HORIZON_LEAST));
    let most = (series.values().len() / settings::HISTORY_PER_HORIZON).max(1);
    wanted.clamp(1, most.min(settings::HORIZON_MOST))
}

fn range(values: &[f64]) -> (f64, f64) {
    let finite = values.iter().filter(|v| v.is_finite());
    finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)))
}

fn reasons(names: &[&'static str], failures: &[Option<Failure>]) -> String {
    let each = names.iter().zip(failures);
    let texts: Vec<String> = each
        .filter_map(|(name, failure)| Some((name, failure.as_ref()?)))
        .map(|(name, failure)| match failure {
            Failure::NotFitted { reason } => reason.clone(),
            other => format!("{name}: {other}"),
        })
        .collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests;
