use super::form::{Cycle, Noise, Trend};
use super::*;
use crate::season::Seasons;
use domain::series::Step;
use jiff::Timestamp;

const VALUES: [f64; 16] = [
    30.0, 21.0, 29.0, 40.0, 33.0, 24.0, 31.0, 44.0, 36.0, 27.0, 35.0, 47.0, 38.0, 28.0, 39.0, 52.0,
];

/// Form, weights (level, trend, cycle, damping), and what statsforecast 2.1.1 says of
/// [`VALUES`] from the same starting states: likelihood and the next five values
/// (`pegelsresid_C` and `etsforecast`).
#[rustfmt::skip]
const REFERENCE: [(Form, [f64; 4], f64, [f64; 5]); 6] = [
    (Form { noise: Noise::Additive, trend: Trend::None, cycle: Cycle::None },
        [0.3, 0.0, 0.0, 1.0], 112.39016329460355,
        [40.7796519283, 40.7796519283, 40.7796519283, 40.7796519283, 40.7796519283]),
    (Form { noise: Noise::Additive, trend: Trend::Additive, cycle: Cycle::Additive },
        [0.4, 0.1, 0.2, 1.0], 74.64216036218632,
        [42.678510229, 35.1120743052, 43.8143990446, 54.6006606092, 47.0022919056]),
    (Form { noise: Noise::Additive, trend: Trend::Damped, cycle: Cycle::Additive },
        [0.4, 0.1, 0.2, 0.9], 75.70549863119842,
        [42.1350780367, 34.3438582207, 42.724322875, 53.1078398185, 44.9528930282]),
    (Form { noise: Noise::Multiplicative, trend: Trend::None, cycle: Cycle::Additive },
        [0.3, 0.0, 0.1, 1.0], 79.57761898014458,
        [40.3829719484, 32.5055362065, 38.8965990409, 47.4963984372, 40.3829719484]),
    (Form { noise: Noise::Multiplicative, trend: Trend::Damped, cycle: Cycle::Multiplicative },
        [0.4, 0.1, 0.2, 0.9], 55.961798916664556,
        [42.1183335264, 30.8538223629, 40.685449468, 54.4014458616, 44.3613998982]),
    (Form { noise: Noise::Multiplicative, trend: Trend::Additive, cycle: Cycle::None },
        [0.5, 0.2, 0.0, 1.0], 117.42474603579589,
        [47.0450616363, 50.0152526867, 52.9854437372, 55.9556347877, 58.9258258382]),
];

#[test]
fn likelihood_and_forecast_are_those_of_the_reference() {
    for (form, [level, trend, cycle, damping], wanted, next) in REFERENCE {
        let weights = Weights { level, trend, cycle, damping };
        let phases = match form.cycle {
            Cycle::None => Vec::new(),
            Cycle::Additive => vec![1.0, -6.0, -1.0, 6.0],
            Cycle::Multiplicative => vec![1.05, 0.75, 0.95, 1.25],
        };
        let slope = if form.trend == Trend::None { 0.0 } else { 0.5 };
        let mut state = State { level: 30.0, slope, cycle: phases, phase: 0 };
        let seen = Seen { values: &VALUES, observed: &[true; 16] };
        let found = state.likelihood(form, &weights, seen);
        assert!((found - wanted).abs() < 1e-9, "{form}: {found} is not {wanted}");
        // Its damped trends count the first power twice from the second step on; the book does not.
        let alike = if form.trend == Trend::Damped { 1 } else { 5 };
        for (a, b) in state.ahead(form.cycle, &weights, alike).iter().zip(next) {
            assert!((a - b).abs() < 1e-8, "{form}: {a} is not {b}");
        }
    }
}

fn fit(values: &[f64], periods: &[usize]) -> Smoother {
    let observed = vec![true; values.len()];
    Smoother::fit("ets", Seen { values, observed: &observed }, periods).unwrap()
}

fn noise(i: usize) -> f64 {
    ((i * i % 10_007) as f64 * 0.618).sin()
}

fn wave(i: usize) -> f64 {
    (std::f64::consts::TAU * (i % 12) as f64 / 12.0).sin()
}

#[test]
fn the_form_is_the_one_that_made_the_values() {
    let flat: Vec<f64> = (0..240).map(|i| 50.0 + noise(i)).collect();
    assert_eq!(fit(&flat, &[]).form.to_string(), "ETS(A,N,N)");
    let added: Vec<f64> = (0..240).map(|i| 50.0 + 10.0 * wave(i) + noise(i)).collect();
    assert_eq!(fit(&added, &[12]).form.cycle, Cycle::Additive);
    let grown = |i: usize| (20.0 + i as f64) * (1.0 + 0.4 * wave(i)) * (1.0 + 0.05 * noise(i));
    let multiplied: Vec<f64> = (0..240).map(grown).collect();
    let form = fit(&multiplied, &[12]).form;
    assert_eq!((form.noise, form.cycle), (Noise::Multiplicative, Cycle::Multiplicative), "{form}");
    assert_ne!(form.trend, Trend::None, "{form}");
}

#[test]
fn of_two_periods_the_one_that_pays_for_its_phases_is_taken() {
    let day: Vec<f64> = (0..480).map(|i| 50.0 + 10.0 * wave(i) + noise(i)).collect();
    assert_eq!(fit(&day, &[12, 84]).state.cycle.len(), 12);
    let weekend = |i: usize| if (i / 12) % 7 >= 5 { -20.0 } else { 0.0 };
    let week: Vec<f64> = (0..480).map(|i| day[i] + weekend(i)).collect();
    assert_eq!(fit(&week, &[12, 84]).state.cycle.len(), 84);
}

#[test]
fn gaps_leave_the_level_and_outliers_are_bounded() {
    let values: Vec<f64> = (0..240).map(|i| 50.0 + 10.0 * wave(i) + noise(i)).collect();
    let mut fitted = fit(&values, &[12]);
    let before = fitted.forecast(24, &Regressors::NONE).centre;
    (0..12).for_each(|_| fitted.update(Observation::of(f64::NAN)));
    let after = fitted.forecast(12, &Regressors::NONE).centre;
    assert!(before[12..].iter().zip(&after).all(|(a, b)| (a - b).abs() < 1.0));
    fitted.update(Observation::of(1e300));
    let bounded = fitted.forecast(12, &Regressors::NONE).centre;
    assert!(bounded.iter().all(|v| v.abs() < 200.0), "{bounded:?}");
}

#[test]
fn too_few_values_say_so() {
    let step = Step::from_seconds(60).unwrap();
    let series = Series::new(Timestamp::UNIX_EPOCH, step, vec![1.0; 5]);
    let context = Context { seasons: Seasons::none(), ..Context::default() };
    assert_eq!(
        Ets.fit(&series, &context).err(),
        Some(FitError::TooShort { model: "ets", needed: 10, found: 5 })
    );
}
