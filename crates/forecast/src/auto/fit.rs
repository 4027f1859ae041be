//! From a series to a forecaster: trials of all models, the choice, and what is learned of it.

use std::sync::Arc;

use domain::series::Series;

use super::budget::Budget;
use super::panel::{Member, Panel};
use super::trial::{Must, Trials};
use super::tried::Tried;
use super::{Account, AutoForecaster, ForecastError, Options, Report, SeasonChoice};
use crate::calibrate::{Calibrator, Errors, Seen};
use crate::demand::{Demand, Watch};
use crate::drift::Detector;
use crate::experts::Experts;
use crate::models::prophet::{self, Prophet};
use crate::models::{self, Context, Cost, Model, Regressors};
use crate::rolling::{self, Plan};
use crate::season::{self, Seasons};
use crate::select::{self, Blend, Choice};
use crate::settings;
use crate::signals::{self, Acts, Effects, Lifted, SignalsReport};

/// Fits the models and those of the candidates that are worth it, chooses among them by rolling
/// origins, and calibrates.
pub(super) fn fit(
    recipes: &[Box<dyn Model>],
    candidates: &[Box<dyn Model>],
    series: &Series,
    options: &Options,
) -> Result<AutoForecaster, ForecastError> {
    let found = series.values().iter().filter(|v| v.is_finite()).count();
    if found < 2 {
        return Err(ForecastError::TooShort { found });
    }
    let watch = Watch::over(series.values(), series.step());
    let (demand, seasons) = demand(series, options);
    let series = &demand.series;
    let values = series.values();
    let context = Context { seasons, regressors: Regressors::NONE };
    let horizon = calibrated_horizon(series, options.horizon);
    let plan = Plan::over(values, horizon, context.seasons.shortest().unwrap_or(1));
    let deadline = options.budget.as_ref().map(Budget::start);
    let trials = Trials {
        series,
        context: &context,
        plan: &plan,
        deadline: deadline.as_ref(),
        clock: options.clock.as_ref(),
    };
    let mut tried = Tried::all(recipes, &trials, Must::Forecast);
    let came = rolling::actuals(values, &plan);
    tried.admit(candidates, &trials, &came);
    if options.account == Account::Every {
        tried.account(&trials, &came);
    }
    let Some(mut choice) = select::choose(&tried.rows, &came) else {
        return Err(ForecastError::NoModel { reasons: tried.reasons() });
    };
    let signals =
        (!options.signals.is_empty()).then(|| tried.lift(&mut choice, &trials, options, &came));
    let last = values.iter().rev().copied().find(|v| v.is_finite()).unwrap_or(0.0);
    let (panel, experts, centres) = tried.line_up(&choice, &plan, &came, last);
    let mut past = Errors::new(plan.origins.clone(), &centres, &values[plan.origins[0]..]);
    demand.floors.iter().for_each(|(index, bound)| past.came(*index, Seen::AtLeast(*bound)));
    let mut found = Report::of(&choice, tried, &context.seasons, series);
    found.notes.extend(demand.notes());
    found.signals = signals;
    let mut forecaster = AutoForecaster {
        leader: panel.combination(),
        counting: vec![false; panel.count()],
        calibration: Calibrator::learn(options.adaptation, &past, context.seasons.periods()),
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
        range: range(values),
        last,
        expected: f64::NAN,
        spacing: plan.spacing(),
        next: values.len(),
        fitted_at: values.len(),
        fitted_on: values.len().min(settings::MAX_FIT_POINTS),
        start: series.start(),
        step: series.step(),
    };
    forecaster.begin();
    Ok(forecaster)
}

/// What models learn from, and its seasons.
pub(super) fn demand(series: &Series, options: &Options) -> (Demand, Seasons) {
    let served = Demand::served(series);
    let seasons = match &options.seasons {
        SeasonChoice::Auto => season::detect(&served.series),
        SeasonChoice::Given(periods) => Seasons::given(periods),
    };
    (served.expected(&seasons), seasons)
}

impl Tried {
    /// Chooses among the signals, and lets the best models compete on the load without the effects
    /// of those that help.
    fn lift(
        &mut self,
        choice: &mut Choice,
        on: &Trials<'_>,
        options: &Options,
        came: &[Vec<f64>],
    ) -> SignalsReport {
        let Trials { series, context, plan, .. } = *on;
        let is_late = || on.is_late();
        let asked = options.horizon.unwrap_or(plan.horizon).max(plan.horizon);
        let judge = self.steady(choice, options);
        let recipe = || options.model(judge).unwrap_or_else(|| Box::new(Prophet::default()));
        let by: (&signals::Recipe<'_>, Acts) = (&recipe, Acts::like(judge));
        let over = (plan, asked);
        let chosen = signals::choose(&options.signals, series, context, over, by, &is_late);
        let before = choice.loss;
        if !chosen.columns.is_empty() && !is_late() {
            let best = kept(choice, &self.names);
            let effects = Effects::of(chosen.columns, chosen.acts);
            let lifted = lifted(&best, &self.names, effects, options);
            let plan = plan.refitted(settings::SIGNAL_REFITS);
            self.join(Self::all(&lifted, &Trials { plan: &plan, ..*on }, Must::Nothing));
            if let Some(better) = select::choose(&self.rows, came) {
                *choice = better;
            }
        }
        let (loss, acts) = ((before, choice.loss), chosen.acts);
        SignalsReport { loss, weight: 0.0, acts, each: chosen.reports }
    }

    /// The model that forecasts best alone, of those that are cheap to fit.
    fn steady(&self, choice: &Choice, options: &Options) -> &'static str {
        let is_cheap = |name: &str| options.model(name).is_some_and(|m| m.cost() == Cost::Low);
        let tried = self.names.iter().zip(&choice.losses);
        let cheap = tried.filter_map(|(name, loss)| Some((*name, (*loss)?)));
        let best = cheap.filter(|(name, _)| is_cheap(name)).min_by(|a, b| a.1.total_cmp(&b.1));
        best.map_or(prophet::NAME, |(name, _)| name)
    }

    /// The models that live on with their best combination, their weights, and what they would
    /// have said together at the past origins.
    fn line_up(
        &mut self,
        choice: &Choice,
        plan: &Plan,
        came: &[Vec<f64>],
        last: f64,
    ) -> (Panel, Experts, Vec<Vec<f64>>) {
        let kept = kept(choice, &self.names);
        let place = |model: usize| kept.iter().position(|k| *k == model);
        let members = choice.blend.members.iter().filter_map(|(m, w)| Some((place(*m)?, *w)));
        let blend = Blend { rule: choice.blend.rule, members: members.collect() };
        let combined = choice.blend.rows(&self.rows);
        let mut said: Vec<&[Vec<f64>]> =
            kept.iter().filter_map(|m| self.rows[*m].as_deref()).collect();
        said.push(&combined);
        let experts = Experts::learn(&said, came, said.len() - 1, plan.spacing());
        let centres = (0..plan.origins.len()).map(|o| {
            let rows: Vec<&[f64]> = said.iter().map(|rows| rows[o].as_slice()).collect();
            experts.mix(&rows, plan.horizon, last)
        });
        let centres = centres.collect();
        let names = &self.names;
        let fitted = &mut self.fitted;
        let member = |m: &usize| Member { name: names[*m].to_owned(), fitted: fitted[*m].take() };
        (Panel::new(kept.iter().map(member).collect(), blend), experts, centres)
    }
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

/// The best models, and Prophet, on the load without these effects.
fn lifted(
    best: &[usize],
    names: &[&'static str],
    effects: Effects,
    options: &Options,
) -> Vec<Box<dyn Model>> {
    let effects = Arc::new(effects);
    let prophet = (!best.iter().any(|m| names[*m] == prophet::NAME)).then_some(prophet::NAME);
    let wanted = best.iter().map(|m| names[*m]).chain(prophet);
    let model =
        |name| Some(Box::new(Lifted::of(options.model(name)?, &effects)?) as Box<dyn Model>);
    wanted.filter_map(model).collect()
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
