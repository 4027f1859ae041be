//! The easy entry: a series in, a calibrated forecaster out.

use domain::forecast::{Forecast, Paths, Probability};
use domain::series::{Sample, Series};
use rayon::prelude::*;

use crate::calibrate::{self, Bounds, Calibrator, Errors, Seen};
use crate::models::{self, Context, FitError, Fitted, Model, Observation, Regressors};
use crate::paths::Templates;
use crate::rolling::{self, Plan};
use crate::season::{self, Seasons};
use crate::select::{self, Blend, Rule};
use crate::settings;

mod report;

pub use report::{ModelReport, Note, Report};

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

/// A fitted, calibrated forecaster of one series.
pub struct AutoForecaster {
    blend: Blend,
    members: Vec<Box<dyn Fitted>>,
    name: String,
    past: Errors,
    calibration: Calibrator,
    seasons: Seasons,
    range: (f64, f64),
    /// Steps between origins that are kept for calibration.
    spacing: usize,
    /// Index of the next value.
    next: usize,
    start: jiff::Timestamp,
    step: domain::series::Step,
    report: Report,
}

/// Fits all models, chooses by rolling origins, and calibrates.
pub fn auto(series: &Series, options: &Options) -> Result<AutoForecaster, ForecastError> {
    let values = series.values();
    let found = values.iter().filter(|v| v.is_finite()).count();
    if found < 2 {
        return Err(ForecastError::TooShort { found });
    }
    let recipes = recipes(&options.models)?;
    let seasons = match &options.seasons {
        SeasonChoice::Auto => season::detect(series),
        SeasonChoice::Given(periods) => Seasons::given(periods),
    };
    let context = Context { seasons, regressors: Regressors::NONE };
    let horizon = calibrated_horizon(series, options.horizon);
    let plan = Plan::over(values.len(), horizon, context.seasons.shortest().unwrap_or(1));
    let rows: Vec<_> = recipes
        .par_iter()
        .map(|model| rolling::run(model.as_ref(), series, &context, &plan))
        .collect();
    let fitted: Vec<Result<Box<dyn Fitted>, FitError>> =
        recipes.par_iter().map(|model| model.fit(series, &context)).collect();
    let actual = rolling::actuals(values, &plan);
    let usable: Vec<rolling::Rows> = rows
        .into_iter()
        .zip(&fitted)
        .map(|(rows, fitted)| if fitted.is_ok() { rows } else { None })
        .collect();
    let Some(choice) = select::choose(&usable, &actual) else {
        return Err(ForecastError::NoModel { reasons: reasons(&fitted) });
    };
    let centres = choice.blend.rows(&usable);
    let errors = differences(&actual, &centres);
    let past = Errors { origins: plan.origins.clone(), centres, errors };
    let range = range(values);
    let cap = Bounds::of(&[range.0, range.1]);
    let calibration = Calibrator::learn(&past, context.seasons.periods(), cap);
    let names: Vec<&'static str> = recipes.iter().map(|m| m.name()).collect();
    let name = blend_name(&choice.blend, &names);
    let report = Report::of(&names, &choice, &fitted, &context.seasons, series, &name);
    let mut fitted: Vec<Option<Box<dyn Fitted>>> = fitted.into_iter().map(Result::ok).collect();
    let members = choice.blend.members.iter().filter_map(|(m, _)| fitted[*m].take()).collect();
    let spacing = plan.origins.windows(2).map(|w| w[1] - w[0]).next().unwrap_or(1);
    Ok(AutoForecaster {
        blend: choice.blend,
        members,
        name,
        past,
        calibration,
        seasons: context.seasons,
        range,
        spacing,
        next: values.len(),
        start: series.start(),
        step: series.step(),
        report,
    })
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
                    let raw = self.calibration.quantile(self.next + h, h, *centre, *score);
                    least = bounds.clamp(raw).max(least);
                    least
                });
                row.collect()
            })
            .collect();
        Ok(Forecast {
            start: self.end(),
            step: self.step,
            model: self.name.clone(),
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
        let standardised: Vec<Vec<f64>> = (0..self.past.origins.len())
            .map(|o| {
                let row = self.past.errors[o].iter().zip(&self.past.centres[o]).enumerate();
                row.map(|(h, (e, c))| {
                    self.calibration.standardised(self.past.origins[o] + h, h, *c, *e)
                })
                .collect()
            })
            .collect();
        let ranks = Templates::of(&standardised).ranks(horizon, count, seed);
        let scores: Vec<f64> =
            (0..count).map(|k| calibrate::score((k as f64 + 0.5) / count as f64)).collect();
        let bounds = self.bounds();
        let mut values = vec![0.0; count * horizon];
        for (h, centre) in self.centre(horizon).into_iter().enumerate() {
            let centre = bounds.clamp(centre);
            for (path, rank) in ranks[h].iter().enumerate() {
                let score = scores[*rank as usize];
                let value = self.calibration.quantile(self.next + h, h, centre, score);
                values[path * horizon + h] = bounds.clamp(value);
            }
        }
        Ok(Paths::new(self.end(), self.step, horizon, values)
            .expect("bounded values of the right number are paths"))
    }

    /// Takes in the next sample: the models move on, past forecasts learn their errors, and now
    /// and then the calibration is renewed. Steps that were jumped over count as gaps.
    pub fn update(&mut self, sample: Sample) -> Result<(), ForecastError> {
        let (at, end) = (self.step.floor(sample.at), self.step.floor(self.end()));
        let ahead = (at.as_second() - end.as_second()).div_euclid(self.step.seconds());
        let Ok(gaps) = usize::try_from(ahead) else {
            return Err(ForecastError::Late { at: sample.at, end: self.end() });
        };
        if gaps > settings::CARRIED_GAP {
            return Err(ForecastError::Ahead { at: sample.at, limit: settings::CARRIED_GAP });
        }
        for _ in 0..gaps {
            self.push(f64::NAN);
        }
        self.push(sample.value);
        Ok(())
    }

    /// Which models were tried, how they did, and what was odd about the series.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Where the forecast begins.
    pub fn end(&self) -> jiff::Timestamp {
        let seconds = self.step.seconds().saturating_mul(self.next as i64);
        let end = self.start.as_second().saturating_add(seconds);
        jiff::Timestamp::from_second(end).unwrap_or(jiff::Timestamp::MAX)
    }

    fn push(&mut self, value: f64) {
        let newest = *self.past.origins.last().unwrap_or(&0);
        let due = self.next >= newest + self.spacing;
        let judged = self.calibration.due(self.next);
        let centre =
            if due || judged { self.centre(self.calibration.horizon()) } else { Vec::new() };
        if judged {
            self.calibration.issue(self.next, centre.clone());
        }
        if due {
            self.past.centres.push(centre);
            self.past.errors.push(vec![f64::NAN; self.calibration.horizon()]);
            self.past.origins.push(self.next);
            if self.past.origins.len() > settings::ORIGINS {
                self.past.origins.remove(0);
                self.past.centres.remove(0);
                self.past.errors.remove(0);
            }
        }
        if value.is_finite() {
            for (o, origin) in self.past.origins.iter().enumerate() {
                if let Some(error) = self.past.errors[o].get_mut(self.next - origin) {
                    *error = value - self.past.centres[o][self.next - origin];
                }
            }
            self.calibration.observe(self.next, Seen::Value(value), self.bounds());
            self.range = (self.range.0.min(value), self.range.1.max(value));
        }
        for member in &mut self.members {
            member.update(Observation::of(if value.is_finite() { value } else { f64::NAN }));
        }
        self.next += 1;
        if due {
            self.calibration.renew(&self.past, self.seasons.periods());
        }
    }

    fn centre(&self, horizon: usize) -> Vec<f64> {
        let all: Vec<Vec<f64>> =
            self.members.iter().map(|m| m.forecast(horizon, &Regressors::NONE).centre).collect();
        let bounds = self.bounds();
        let mut values = Vec::with_capacity(all.len());
        (0..horizon)
            .map(|h| {
                values.clear();
                values.extend(all.iter().map(|c| bounds.clamp(c[h])));
                self.blend.combine(&mut values)
            })
            .collect()
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

fn differences(actual: &[Vec<f64>], centres: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let row =
        |(came, said): (&Vec<f64>, &Vec<f64>)| came.iter().zip(said).map(|(a, s)| a - s).collect();
    actual.iter().zip(centres).map(row).collect()
}

fn range(values: &[f64]) -> (f64, f64) {
    let finite = values.iter().filter(|v| v.is_finite());
    finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)))
}

fn reasons(fitted: &[Result<Box<dyn Fitted>, FitError>]) -> String {
    let texts: Vec<String> =
        fitted.iter().filter_map(|f| f.as_ref().err().map(ToString::to_string)).collect();
    texts.join("; ")
}

/// Combinations of up to so many models are named by their members; the report has all of them.
const SPELLED_OUT: usize = 3;

fn blend_name(blend: &Blend, names: &[&'static str]) -> String {
    let members: Vec<&str> = blend.members.iter().map(|(m, _)| names[*m]).collect();
    let rule = match blend.rule {
        Rule::Mean => "mean",
        Rule::Median => "median",
    };
    match members.as_slice() {
        [one] => (*one).to_owned(),
        few if few.len() <= SPELLED_OUT => format!("{rule}({})", few.join(", ")),
        many => format!("{rule} of {} models", many.len()),
    }
}

#[cfg(test)]
mod tests;
