use super::*;
use domain::series::Step;
use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::models::Observation;

fn series(values: Vec<f64>) -> Series {
    Series::new(Timestamp::UNIX_EPOCH, Step::from_seconds(3_600).unwrap(), values)
}

fn context(seasons: &[usize]) -> Context {
    Context { seasons: Seasons::given(seasons), ..Context::default() }
}

fn noise(n: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    (0..n).map(|_| rng.random::<f64>() - 0.5).collect()
}

fn wave(i: usize, period: usize) -> f64 {
    (std::f64::consts::TAU * (i % period) as f64 / period as f64).sin()
}

#[test]
fn days_and_weeks_go_on() {
    let (n, e) = (24 * 7 * 5, noise(24 * 7 * 6));
    let truth = |i: usize| 50.0 + 20.0 * wave(i, 24) - if (i / 24) % 7 >= 5 { 15.0 } else { 0.0 };
    let values = (0..n).map(|i| truth(i) + e[i]).collect();
    let fitted = Arima.fit(&series(values), &context(&[24, 168])).unwrap();
    let said = fitted.forecast(168, &Regressors::NONE);
    let size = |h: usize| (said.centre[h] - truth(n + h)).abs();
    let mean = (0..168).map(size).sum::<f64>() / 168.0;
    assert!(mean < 1.0, "{mean}");
    let scale = said.scale.unwrap();
    assert!(scale.windows(2).all(|s| s[1] >= s[0] * (1.0 - 1e-9)), "{scale:?}");
    assert!((0.2..3.0).contains(&scale[0]), "{}", scale[0]);
}

#[test]
fn long_seasons_are_carried() {
    let e = noise(1_440 * 4);
    let values = (0..1_440 * 3).map(|i| 10.0 + 4.0 * wave(i, 1_440) + e[i]).collect();
    let said = Arima.fit(&series(values), &context(&[1_440])).unwrap();
    let centre = said.forecast(720, &Regressors::NONE).centre;
    let mean = (0..720).map(|h| (centre[h] - 10.0 - 4.0 * wave(h, 1_440)).abs()).sum::<f64>();
    assert!(mean / 720.0 < 0.6, "{}", mean / 720.0);
}

#[test]
fn a_regressor_that_is_known_ahead_moves_the_forecast() {
    let (n, e) = (400, noise(420));
    let on = |i: usize| f64::from(u8::from(i % 37 < 5));
    let mut state = 0.0;
    let values: Vec<f64> = (0..n)
        .map(|i| {
            state = 0.6 * state + e[i];
            20.0 + 8.0 * on(i) + state
        })
        .collect();
    let regressors = Regressors { ahead: vec![(0..n + 20).map(on).collect()], past: vec![] };
    let context = Context { regressors, ..context(&[]) };
    let mut fitted = Arima.fit(&series(values), &context).unwrap();
    let future =
        |from: usize| Regressors { ahead: vec![(from..from + 12).map(on).collect()], past: vec![] };
    for from in [n, n + 1] {
        let centre = fitted.forecast(12, &future(from)).centre;
        for (h, value) in centre.iter().enumerate() {
            let wanted = 20.0 + 8.0 * on(from + h);
            assert!((value - wanted).abs() < 1.5, "step {h} from {from}: {value} {wanted}");
        }
        let regressors = [on(n)];
        fitted.update(Observation { value: 20.0 + 8.0 * on(n), regressors: &regressors });
    }
}

#[test]
fn gaps_carry_the_expectation_and_updates_are_replays() {
    let e = noise(600);
    let values: Vec<f64> = (0..600).map(|i| 9.0 + 3.0 * wave(i, 24) + e[i]).collect();
    let mut fitted = Arima.fit(&series(values[..500].to_vec()), &context(&[24])).unwrap();
    let before = fitted.forecast(30, &Regressors::NONE).centre;
    for _ in 0..5 {
        fitted.update(Observation::of(f64::NAN));
    }
    let after = fitted.forecast(25, &Regressors::NONE).centre;
    for (a, b) in before[5..].iter().zip(&after) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }

    let shape = Shape { difference: Some(24), terms: vec![24] };
    let data = Data {
        values: &values,
        seen: &[true; 600],
        first: 0,
        outside: &Regressors::NONE,
        scale: Scale::Plain.fit(&values),
    };
    let learned = Learned::search(shape, data).unwrap().refine(data).unwrap();
    let mut moved = learned.run(data.until(480)).unwrap();
    values[480..].iter().for_each(|v| moved.push(*v, &[]));
    let whole = learned.run(data).unwrap();
    let (a, b) = (moved.centre(48, &Regressors::NONE), whole.centre(48, &Regressors::NONE));
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-9));
}

#[test]
fn any_shape_of_series_gives_sound_numbers_or_an_error() {
    let e = noise(300);
    let shapes: [(&str, Vec<f64>); 9] = [
        ("constant", vec![5.0; 200]),
        ("zeros", vec![0.0; 200]),
        ("short", (0..20).map(|i| e[i]).collect()),
        ("tiny", vec![1.0, 2.0]),
        ("gappy", (0..300).map(|i| if i % 3 == 0 { f64::NAN } else { wave(i, 24) }).collect()),
        ("counts", e.iter().map(|v| f64::from(u8::from(*v > 0.45))).collect()),
        ("trend", (0..300).map(|i| i as f64 + e[i]).collect()),
        ("huge", e.iter().map(|v| 1e300 * v).collect()),
        ("explosive", (0..300).map(|i| 1.2f64.powi(i)).collect()),
    ];
    for (name, values) in shapes {
        let range = values.iter().filter(|v| v.is_finite()).fold(0.0, |a: f64, v| a + v.abs());
        match Arima.fit(&series(values), &context(&[24, 168])) {
            Err(error) => assert!(["tiny", "huge"].contains(&name), "{name}: {error}"),
            Ok(mut fitted) => {
                for value in [f64::NAN, 1e300, -1e300, 0.0] {
                    fitted.update(Observation::of(value));
                    let said = fitted.forecast(60, &Regressors::NONE);
                    assert!(said.centre.iter().all(|c| c.abs() <= 10.0 * (range + 1.0)), "{name}");
                    let scale = said.scale.unwrap();
                    assert!(scale.iter().all(|s| s.is_finite() && *s >= 0.0), "{name} {scale:?}");
                }
            }
        }
    }
}

#[test]
fn a_trend_is_followed() {
    let e = noise(300);
    let values = (0..300).map(|i| 0.5 * i as f64 + e[i]).collect();
    let centre =
        Arima.fit(&series(values), &context(&[])).unwrap().forecast(5, &Regressors::NONE).centre;
    assert!((centre[4] - 152.0).abs() < 3.0, "{centre:?}");
}

#[test]
fn logarithms_are_taken_where_swings_grow_with_the_level() {
    let e = noise(480);
    let growing: Vec<f64> =
        (0..480).map(|i| (3.0 + wave(i, 24) + 0.5 * wave(i, 480) + 0.2 * e[i]).exp()).collect();
    let steady: Vec<f64> = (0..480).map(|i| 9.0 + 4.0 * wave(i, 24) + e[i]).collect();
    let log = |raw: &[f64]| {
        let stretch = Stretch { raw, seen: &[true; 480], first: 0, outside: &Regressors::NONE };
        let shape = Shape { difference: Some(24), terms: vec![24] };
        stretch.scale(Scale::Plain.fit(raw), &shape).is_log()
    };
    assert_eq!((log(&growing), log(&steady)), (true, false));
}
