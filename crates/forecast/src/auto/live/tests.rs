use super::*;
use crate::auto::{Budget, ModelChoice, fit};
use crate::drift::Drift;
use crate::models::Regressors;
use crate::models::{self, Context, Cost, FitError, Fitted, Model, Observation, Prediction};
use crate::state::{self, StateError};
use domain::forecast::Probability;
use domain::series::Step;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn noise(i: usize) -> f64 {
    ((i * i) as f64 * 0.618).sin() + ((i * 7) as f64 * 1.3).sin()
}

fn value(i: usize) -> f64 {
    40.0 + 15.0 * (std::f64::consts::TAU * (i % 24) as f64 / 24.0).sin() + 2.0 * noise(i)
}

fn series(length: usize) -> Series {
    let step = Step::from_seconds(3_600).unwrap();
    Series::new(Timestamp::UNIX_EPOCH, step, (0..length).map(value).collect())
}

/// What a bad model does after so many updates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Fault {
    PanicInUpdate,
    PanicInForecast,
    NotFinite,
    Diverge,
    PanicInFit,
}

#[derive(Debug)]
struct Bad(Fault);

#[derive(Clone, Serialize, Deserialize)]
struct BadFitted {
    fault: Fault,
    seen: usize,
}

/// Updates after which the fault shows: beyond the rolling origins.
const GOOD_FOR: usize = 420;

impl Model for Bad {
    fn name(&self) -> &'static str {
        "bad"
    }
    fn cost(&self) -> Cost {
        Cost::High
    }
    fn fit(&self, series: &Series, _: &Context) -> Result<Box<dyn Fitted>, FitError> {
        assert!(self.0 != Fault::PanicInFit, "no fit today");
        Ok(Box::new(BadFitted { fault: self.0, seen: series.values().len() }))
    }
    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<BadFitted>(bytes)
    }
}

impl Fitted for BadFitted {
    fn update(&mut self, _: Observation<'_>) {
        self.seen += 1;
        assert!(self.fault != Fault::PanicInUpdate || self.seen < GOOD_FOR, "no update today");
    }
    fn forecast(&self, horizon: usize, _: &Regressors) -> Prediction {
        let late = self.seen >= GOOD_FOR;
        assert!(!(late && self.fault == Fault::PanicInForecast), "no forecast today");
        // The truth, so that it leads as long as it works.
        let mut centre: Vec<f64> = (0..horizon).map(|h| value(self.seen + h)).collect();
        match self.fault {
            Fault::NotFinite if late => centre[horizon / 2] = f64::NAN,
            Fault::Diverge if late => centre[horizon - 1] = 1e30,
            _ => {}
        }
        Prediction { centre, scale: None }
    }
}

fn with(fault: Fault, others: &[&str]) -> AutoForecaster {
    let mut list: Vec<Box<dyn Model>> =
        others.iter().map(|name| models::by_name(name).unwrap()).collect();
    list.push(Box::new(Bad(fault)));
    fit::fit(&list, &[], &series(400), &Options::default()).unwrap()
}

#[test]
fn a_model_that_fails_is_dropped_with_its_reason_and_the_forecast_goes_on() {
    let level = [0.1, 0.9].map(|l| Probability::new(l).unwrap());
    for (fault, others) in [
        (Fault::PanicInUpdate, &["naive", "seasonal-naive"][..]),
        (Fault::PanicInForecast, &["naive", "rho"]),
        (Fault::NotFinite, &["seasonal-naive"]),
        (Fault::Diverge, &["naive", "seasonal-naive"]),
        // Nothing is left: the last value goes on.
        (Fault::PanicInUpdate, &[]),
        (Fault::PanicInForecast, &[]),
    ] {
        let mut forecaster = with(fault, others);
        let mut events = Vec::new();
        for i in 400..450 {
            let sample = Sample { at: forecaster.end(), value: value(i) };
            events.extend(forecaster.update(sample).unwrap());
            let forecast = forecaster.forecast(24, &level).unwrap();
            assert!(forecast.quantiles.iter().flatten().all(|q| q.is_finite()));
        }
        let dropped = |e: &Event| match e {
            Event::Dropped { model, failure } if model == "bad" => Some(failure.clone()),
            _ => None,
        };
        let found: Vec<Failure> = events.iter().filter_map(dropped).collect();
        assert_eq!(found.len(), 1, "{fault:?}: {events:?}");
        let said = found[0].to_string();
        let wanted = match fault {
            Fault::PanicInUpdate => "it panicked: no update today",
            Fault::PanicInForecast => "it panicked: no forecast today",
            Fault::NotFinite => "it forecast a value that is not finite",
            _ => "it forecast far beyond the range of the history",
        };
        assert_eq!(said, wanted);
        assert!(events.contains(&Event::RefitDue(RefitReason::ModelLost)), "{events:?}");
        let weight = |name: &str| {
            forecaster.report().models.iter().find(|m| m.name == name).map(|m| m.weight)
        };
        assert_eq!(weight("bad"), Some(0.0));
    }
}

#[test]
fn a_model_that_panics_while_it_is_fitted_is_named_in_the_report() {
    let forecaster = with(Fault::PanicInFit, &["naive", "seasonal-naive"]);
    let report = forecaster.report();
    let bad = report.models.iter().find(|m| m.name == "bad").unwrap();
    assert_eq!(bad.failure, Some(Failure::Panicked { message: "no fit today".into() }));
    let alone =
        fit::fit(&[Box::new(Bad(Fault::PanicInFit))], &[], &series(50), &Options::default());
    let error = alone.err().unwrap().to_string();
    assert!(error.contains("bad: it panicked: no fit today"), "{error}");
}

/// A clock that moves on by a millisecond with every look.
fn ticking() -> impl Fn() -> Duration + Send + Sync {
    let ticks = Arc::new(AtomicU64::new(0));
    move || Duration::from_millis(ticks.fetch_add(1, Ordering::SeqCst))
}

#[test]
fn a_budget_leaves_out_what_is_dear_and_says_so() {
    let with = |milliseconds: u64| {
        let budget = Some(Budget::new(Duration::from_millis(milliseconds), ticking()));
        auto(&series(400), &Options { budget, ..Options::default() }).unwrap().report()
    };
    let left_out = |report: &crate::Report| {
        let late = |f: &Failure| matches!(f, Failure::NoTime | Failure::Slow);
        report.models.iter().filter(|m| m.failure.as_ref().is_some_and(late)).count()
    };
    let (none, some, all) = (with(0), with(150), with(1_000_000));
    let naive = none.models.iter().find(|m| m.name == "naive").unwrap();
    assert!(naive.failure.is_none(), "{none:?}");
    assert!(left_out(&none) >= models::AUTOMATIC.len() - rayon::current_num_threads() - 1);
    assert!((1..left_out(&none)).contains(&left_out(&some)), "{}", left_out(&some));
    assert_eq!(left_out(&all), 0);
}

fn run(
    forecaster: &mut AutoForecaster,
    from: usize,
    to: usize,
    f: impl Fn(usize) -> f64,
) -> Vec<Event> {
    let mut events = Vec::new();
    for i in from..to {
        let sample = Sample { at: forecaster.end(), value: f(i) };
        events.extend(forecaster.update(sample).unwrap());
    }
    events
}

#[test]
fn drift_is_told_widens_for_a_while_and_asks_for_a_new_fit() {
    let level = [0.05, 0.95].map(|l| Probability::new(l).unwrap());
    let options =
        Options { models: ModelChoice::Named(vec!["seasonal-naive".into()]), ..Options::default() };
    let mut forecaster = auto(&series(500), &options).unwrap();
    assert_eq!(forecaster.refit_due(), None);
    let calm = run(&mut forecaster, 500, 524, value);
    assert!(!calm.iter().any(|e| matches!(e, Event::Drifted(_))), "{calm:?}");
    let width = |f: &AutoForecaster| {
        let row = &f.forecast(1, &level).unwrap().quantiles[0];
        row[1] - row[0]
    };
    let before = width(&forecaster);
    let events = run(&mut forecaster, 524, 560, |i| value(i) + 30.0);
    assert!(events.contains(&Event::Drifted(Drift::Above)), "{events:?}");
    assert!(width(&forecaster) > 1.1 * before);
    let reason = RefitReason::Drift(Drift::Above);
    assert!(matches!(forecaster.refit_due(), Some(RefitReason::Drift(_))));
    assert!(events.contains(&Event::RefitDue(reason)), "{events:?}");

    let values = (0..560).map(|i| value(i) + if i < 524 { 0.0 } else { 30.0 }).collect();
    let newest = Series::new(Timestamp::UNIX_EPOCH, Step::from_seconds(3_600).unwrap(), values);
    forecaster.refit(&newest, &options).unwrap();
    assert_eq!((forecaster.refit_due(), forecaster.end()), (None, newest.end()));
}

#[test]
fn an_old_fit_is_due_for_a_new_one_once() {
    let mut forecaster = auto(&series(400), &Options::default()).unwrap();
    let events = run(&mut forecaster, 400, 460, value);
    let due: Vec<&Event> = events.iter().filter(|e| matches!(e, Event::RefitDue(_))).collect();
    assert_eq!(due, [&Event::RefitDue(RefitReason::Age { steps: 40 })]);
    let error = forecaster.refit(&series(1), &Options::default());
    assert_eq!(error, Err(ForecastError::TooShort { found: 1 }));
    assert_eq!(forecaster.end(), series(460).end(), "a failed fit changes nothing");
}

#[test]
fn a_new_leader_is_told_with_the_losses() {
    let models = vec!["naive".to_owned(), "seasonal-naive".to_owned()];
    let options =
        Options { models: ModelChoice::Named(models), horizon: Some(6), ..Options::default() };
    let mut forecaster = auto(&series(480), &options).unwrap();
    assert_eq!(forecaster.report().chosen, "seasonal-naive");
    // The season is gone, the level wanders.
    let walk: Vec<f64> = (0..300)
        .scan(40.0, |level, i| {
            *level += 3.0 * noise(i);
            Some(*level)
        })
        .collect();
    let events = run(&mut forecaster, 480, 720, |i| walk[i - 480]);
    let changes: Vec<(&str, &str)> = events
        .iter()
        .filter_map(|e| match e {
            Event::LeaderChanged { from, to, .. } => Some((from.as_str(), to.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(changes.first(), Some(&("seasonal-naive", "naive")), "{events:?}");
    assert_eq!(forecaster.report().chosen, "naive");
    let bands = forecaster.report().bands;
    assert_eq!(bands.iter().map(|b| b.steps_ahead).collect::<Vec<_>>(), [1, 3, 6]);
    for band in bands {
        let total: f64 = band.experts.iter().map(|(_, weight, _)| weight).sum();
        assert!((total - 1.0).abs() < 1e-9);
    }
}
