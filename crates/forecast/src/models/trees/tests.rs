use domain::series::Step;

use super::*;
use crate::models::{Observation, Regressors};
use crate::season::Seasons;
use crate::state::to_bytes;

fn noise(i: usize) -> f64 {
    ((i * i) as f64 * 0.618).sin()
}

/// A day whose second half is another one at weekends.
fn load(i: usize) -> f64 {
    let day = (std::f64::consts::TAU * (i % 24) as f64 / 24.0).sin();
    let weekend = if (i / 24) % 7 >= 5 { 0.5 } else { 1.0 };
    100.0 + 30.0 * weekend * day + noise(i)
}

fn series(values: impl Iterator<Item = f64>) -> Series {
    Series::new(Timestamp::UNIX_EPOCH, Step::from_seconds(3_600).unwrap(), values.collect())
}

fn context(seasons: &[usize]) -> Context {
    Context { seasons: Seasons::given(seasons), ..Context::default() }
}

fn error(fitted: &dyn Fitted, truth: impl Fn(usize) -> f64, horizon: usize) -> f64 {
    let said = fitted.forecast(horizon, &Regressors::NONE).centre;
    said.iter().enumerate().map(|(h, s)| (s - truth(h)).abs()).sum::<f64>() / horizon as f64
}

#[test]
fn a_day_and_a_week_go_on() {
    let fitted = Trees::default().fit(&series((0..900).map(load)), &context(&[24, 168])).unwrap();
    let error = error(fitted.as_ref(), |h| load(900 + h), 48);
    assert!(error < 2.0, "{error}");
}

/// The load falls back to its level half as fast as it was thrown off: no season says so, only
/// how the last values lie.
#[test]
fn what_comes_after_a_shock_is_learned() {
    let mut values = vec![0.0];
    for i in 1..2_000 {
        values.push(0.8 * values[i - 1] + noise(7 * i));
    }
    let mut fitted = Trees::default().fit(&series(values.into_iter()), &context(&[])).unwrap();
    for value in [0.5, 0.9, 1.3] {
        fitted.update(Observation::of(value));
    }
    let said = fitted.forecast(24, &Regressors::NONE).centre;
    let far = said[12..].iter().sum::<f64>() / 12.0;
    assert!((0.4..1.3).contains(&said[0]) && far < 0.5 * said[0], "{said:?}");
}

#[test]
fn an_outside_series_acts_at_its_step_and_one_of_the_past_by_its_last_value() {
    let outside = |i: usize| f64::from(u8::from((i * i) % 7 < 2));
    let value = |i: usize| load(i) + 20.0 * outside(i);
    let ahead: Vec<f64> = (0..1_248).map(outside).collect();
    let regressors = Regressors { ahead: vec![ahead], past: Vec::new() };
    let known = Context { regressors, ..context(&[24]) };
    let series = series((0..1_200).map(value));
    let fit = |context: &Context| Trees::default().fit(&series, context).unwrap();
    let ahead = Regressors { ahead: vec![(1_200..1_248).map(outside).collect()], past: vec![] };
    let said = fit(&known).forecast(48, &ahead).centre;
    let of = |said: &[f64]| {
        said.iter().enumerate().map(|(h, s)| (s - value(1_200 + h)).abs()).sum::<f64>() / 48.0
    };
    let without = of(&fit(&context(&[24])).forecast(48, &Regressors::NONE).centre);
    assert!(of(&said) < 0.6 * without, "{} {without}", of(&said));

    // Up to now only: the next value is twice the last one of the outside series.
    let past: Vec<f64> = (0..1_200).map(|i| 10.0 * noise(11 * i)).collect();
    let follows = self::series((0..1_200).map(|i| 2.0 * past[i.max(1) - 1] + 0.1 * noise(i)));
    let regressors = Regressors { ahead: Vec::new(), past: vec![past] };
    let mut fitted =
        Trees::default().fit(&follows, &Context { regressors, ..context(&[]) }).unwrap();
    for last in [-8.0, 8.0] {
        fitted.update(Observation { value: 0.0, regressors: &[last] });
        let next = fitted.forecast(1, &Regressors::NONE).centre[0];
        assert!((next - 2.0 * last).abs() < 5.0, "{last}: {next}");
    }
}

/// Many short series of one kind, whose step comes at hours that differ.
fn fleet() -> Vec<Series> {
    let value = |k: usize, i: usize| {
        let scale = 10.0_f64.powi(k as i32 % 5);
        scale * (load(i + 24 * k) + 2.0 * noise(i + 1_000 * k))
    };
    (0..12).map(|k| series((0..300).map(|i| value(k, i)))).collect()
}

#[test]
fn one_forest_serves_all_series_and_is_kept_once() {
    let all = fleet();
    let context = context(&[24]);
    let pairs: Vec<(&Series, &Context)> = all.iter().map(|series| (series, &context)).collect();
    let model = Trees::default().teach(&pairs, &[all[0].end()]);
    let taught =
        Trees { taught: vec![(all[0].end(), Arc::new(taught(&pairs, all[0].end()).unwrap()))] };
    let lessons = all.iter().map(|series| Lesson::of(series, &context).unwrap());
    let forest = &taught.taught[0].1;
    let grown: Vec<Grown> = lessons.map(|lesson| lesson.grown(forest)).collect();
    assert_eq!(Arc::strong_count(forest), 1 + all.len());
    for (series, own) in all.iter().zip(&grown) {
        // The same as the model that was taught makes, on its own scale.
        let fitted = model.fit(series, &context).unwrap();
        assert_eq!(fitted.save(), to_bytes(own));
        let level = series.values().iter().sum::<f64>() / 300.0;
        let said = fitted.forecast(24, &Regressors::NONE).centre;
        assert!(said.iter().all(|s| (0.4..1.6).contains(&(s / level))), "{said:?} of {level}");
    }
}

#[test]
fn many_series_teach_more_than_one() {
    let (all, truth) = (fleet(), fleet());
    let context = context(&[24]);
    let heads: Vec<Series> = all.iter().map(|series| series.head(250)).collect();
    let pairs: Vec<(&Series, &Context)> = heads.iter().map(|series| (series, &context)).collect();
    let together = Trees::default().teach(&pairs, &[heads[0].end()]);
    let (mut own, mut shared) = (0.0, 0.0);
    for (head, truth) in heads.iter().zip(&truth) {
        let level = head.values()[0].abs();
        let of = |fitted: &dyn Fitted| error(fitted, |h| truth.values()[250 + h], 48) / level;
        own += of(Trees::default().fit(head, &context).unwrap().as_ref());
        shared += of(together.fit(head, &context).unwrap().as_ref());
    }
    assert!(shared < 0.9 * own, "{shared} {own}");
}

#[test]
fn nothing_is_known_before_its_time() {
    let all = fleet();
    let context = context(&[24]);
    let pairs: Vec<(&Series, &Context)> = all.iter().map(|series| (series, &context)).collect();
    let ends = [all[0].at(200), all[0].at(250), all[0].at(300)];
    let model = Trees::default().teach(&pairs, &ends);
    // What came after the moment of a fit changes nothing in it.
    let changed: Vec<Series> = all
        .iter()
        .map(|series| {
            let late = |(i, v): (usize, &f64)| if i < 250 { *v } else { -5.0 * v };
            self::series(series.values().iter().enumerate().map(late))
        })
        .collect();
    let changed: Vec<(&Series, &Context)> = changed.iter().map(|s| (s, &context)).collect();
    let other = Trees::default().teach(&changed, &ends);
    let saved = |model: &Arc<dyn Model>, length: usize| {
        model.fit(&all[3].head(length), &context).unwrap().save()
    };
    for length in [200, 230, 250, 299] {
        assert_eq!(saved(&model, length), saved(&other, length), "{length}");
    }
    assert_ne!(saved(&model, 300), saved(&other, 300));
    // Before the first moment a series learns from itself alone.
    let alone = Trees::default().fit(&all[3].head(199), &context).unwrap().save();
    assert_eq!(saved(&model, 199), alone);
}

#[test]
fn a_short_series_is_refused_and_a_kept_one_does_not_grow() {
    let error = Trees::default().fit(&series((0..60).map(load)), &context(&[24])).err().unwrap();
    assert!(matches!(error, FitError::TooShort { model: NAME, .. }), "{error}");
    let mut fitted = Trees::default().fit(&series((0..900).map(load)), &context(&[24])).unwrap();
    let before = fitted.save().len();
    (900..1_900).for_each(|i| fitted.update(Observation::of(load(i))));
    assert!(fitted.save().len() <= before + 8, "{before} {}", fitted.save().len());
}
