use super::*;
use crate::models::Context;
use domain::series::Sample;
use domain::series::Step;
use jiff::Timestamp;

fn level(level: f64) -> Probability {
    Probability::new(level).unwrap()
}

fn value(i: usize) -> f64 {
    let noise = ((i * i) as f64 * 0.618).sin() + ((i * 7) as f64 * 1.3).sin();
    40.0 + 15.0 * (std::f64::consts::TAU * (i % 24) as f64 / 24.0).sin() + 2.0 * noise
}

fn series(length: usize) -> Series {
    let step = Step::from_seconds(3_600).unwrap();
    Series::new(Timestamp::UNIX_EPOCH, step, (0..length).map(value).collect())
}

#[test]
fn paths_have_the_quantiles_of_the_forecast() {
    let forecaster = auto(&series(500), &Options::default()).unwrap();
    let forecast = forecaster.forecast(24, &[level(0.1), level(0.5), level(0.9)]).unwrap();
    let paths = forecaster.paths(24, 1_000, 3).unwrap();
    for h in 0..24 {
        let mut column: Vec<f64> = paths.iter().map(|p| p[h]).collect();
        column.sort_by(f64::total_cmp);
        let width = forecast.quantiles[h][2] - forecast.quantiles[h][0];
        for (k, place) in [(0, 100), (1, 500), (2, 900)] {
            let found = (column[place] - forecast.quantiles[h][k]).abs();
            assert!(found < 0.02 * width, "step {h}, level {k}: {found} of {width}");
        }
    }
}

#[test]
fn updates_move_the_forecast_and_keep_the_calibration_alive() {
    let mut forecaster = auto(&series(480), &Options::default()).unwrap();
    let (mut inside, mut count) = (0, 0);
    for i in 480..720 {
        let forecast = forecaster.forecast(1, &[level(0.05), level(0.95)]).unwrap();
        assert_eq!(forecast.start.as_second(), 3_600 * i as i64);
        inside +=
            usize::from((forecast.quantiles[0][0]..=forecast.quantiles[0][1]).contains(&value(i)));
        count += 1;
        forecaster.update(Sample { at: forecaster.end(), value: value(i) }).unwrap();
    }
    assert!(inside as f64 > 0.82 * f64::from(count), "{inside} of {count}");
    assert!(forecaster.past.origins().last().unwrap() > &690);
    assert!(forecaster.past.count() <= crate::settings::ORIGINS);
    let known = forecaster.past.known().count();
    assert!(known > 500);
}

#[test]
fn errors_that_grow_widen_the_band() {
    let mut forecaster = auto(&series(480), &Options::default()).unwrap();
    let width = |f: &AutoForecaster| {
        let row = &f.forecast(12, &[level(0.05), level(0.95)]).unwrap().quantiles[11];
        row[1] - row[0]
    };
    let before = width(&forecaster);
    for i in 480..840 {
        let wild = value(i) + 12.0 * ((i * i) as f64 * 0.37).sin();
        forecaster.update(Sample { at: forecaster.end(), value: wild }).unwrap();
    }
    assert!(width(&forecaster) > 1.8 * before, "{before} {}", width(&forecaster));
}

#[test]
fn a_network_takes_part_where_it_is_given_and_forests_where_they_were_taught() {
    let names = |options: &Options| {
        let (always, candidates) = recipes(options).unwrap();
        let of = |all: Vec<Recipe>| all.iter().map(|model| model.name()).collect::<Vec<_>>();
        (of(always), of(candidates))
    };
    let plain = Options::default();
    assert_eq!(names(&plain), (models::AUTOMATIC.to_vec(), models::CANDIDATES.to_vec()));
    let own = Options { lstm: Some(lstm::shipped()), ..Options::default() };
    let with = [&models::AUTOMATIC[..], &[lstm::NAME]].concat();
    let others = models::CANDIDATES.into_iter().filter(|name| *name != lstm::NAME).collect();
    assert_eq!(names(&own), (with, others));

    // What was taught is used by name too, beside weights that were given.
    let all = [series(400), series(420)];
    let taught = Options { fleet: Fleet::of(&all, &own).unwrap(), ..own.clone() };
    assert_eq!(names(&taught), names(&own));
    let context = Context { seasons: Seasons::given(&[24]), ..Context::default() };
    let saved = |options: &Options, name: &str| {
        options.model(name).unwrap().fit(&all[1], &context).unwrap().save()
    };
    assert_ne!(saved(&taught, "trees"), saved(&plain, "trees"));
    assert_eq!(saved(&taught, "lstm"), saved(&plain, "lstm"));
}

#[test]
fn wrong_use_is_answered() {
    let options = Options { models: ModelChoice::Named(vec!["nave".into()]), ..Options::default() };
    let error = auto(&series(50), &options).err().unwrap();
    assert!(error.to_string().starts_with("there is no model \"nave\"; the models are naive, "));
    assert_eq!(
        auto(&series(1), &Options::default()).err(),
        Some(ForecastError::TooShort { found: 1 })
    );
    let options = Options {
        models: ModelChoice::Named(vec!["seasonal-naive".into()]),
        seasons: SeasonChoice::Given(vec![]),
        ..Options::default()
    };
    let error = auto(&series(50), &options).err().unwrap();
    assert!(error.to_string().contains("seasonal-naive needs a season"), "{error}");

    let mut forecaster = auto(&series(50), &Options::default()).unwrap();
    assert_eq!(forecaster.forecast(0, &[level(0.5)]).err(), Some(ForecastError::Nothing));
    let early = Sample { at: Timestamp::UNIX_EPOCH, value: 1.0 };
    assert!(matches!(forecaster.update(early), Err(ForecastError::Late { .. })));
    let late = Sample { at: Timestamp::from_second(3_600_000_000).unwrap(), value: 1.0 };
    assert!(matches!(forecaster.update(late), Err(ForecastError::Ahead { .. })));
}

#[test]
fn many_series_keep_their_order() {
    let all = [series(100), series(1), series(300)];
    let fitted = forecast_many(&all, &Options::default());
    assert!(fitted[0].is_ok() && fitted[1].is_err() && fitted[2].is_ok());
    assert_eq!(fitted[2].as_ref().unwrap().end(), all[2].end());
}

#[test]
fn the_report_names_every_model_and_its_weight() {
    let forecaster = auto(&series(500), &Options::default()).unwrap();
    let report = forecaster.report();
    assert_eq!(report.models.len(), models::AUTOMATIC.len() + models::CANDIDATES.len());
    assert!((report.models.iter().map(|m| m.weight).sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(report.models[0].loss <= report.models[1].loss);
    assert_eq!(report.seasons.periods(), [24]);
    assert!(report.notes.is_empty());
}

#[test]
fn several_models_can_be_asked_for_together_and_no_other_takes_part() {
    let named = |names: &[&str]| Options {
        models: ModelChoice::Named(names.iter().map(|n| (*n).to_owned()).collect()),
        ..Options::default()
    };
    let asked = ["arima", "ets", "mstl", "theta"];
    let report = auto(&series(500), &named(&asked)).unwrap().report();
    let mut found: Vec<&str> = report.models.iter().map(|m| m.name.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, asked);
    assert!((report.models.iter().map(|m| m.weight).sum::<f64>() - 1.0).abs() < 1e-9);
    let unknown = auto(&series(500), &named(&["ets", "etz"])).err().unwrap();
    assert!(matches!(unknown, ForecastError::UnknownModel { name, .. } if name == "etz"));
}
