//! Load whose level shifts, and what the intervals of a forecaster that lives through it hold.

use std::collections::VecDeque;

use domain::forecast::Probability;
use domain::series::{Sample, Series, Step};
use forecast::{AutoForecaster, Options, auto};
use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Ten minutes, in seconds; a day and an hour in such steps.
pub const STEP: i64 = 600;
pub const DAY: usize = 144;
pub const HOUR: usize = 6;

/// Days of history before the shift.
const HISTORY: usize = 14 * DAY;

/// A day with a swing of two fifths, and noise of 4 % of which a part lasts for an hour or two.
/// After the shift all of it is multiplied by `shift`.
fn load(seed: u64, shift: f64, steps: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // The sum of twelve even draws is near enough to normal.
    let mut normal = || (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0;
    let mut lasting = 0.0;
    (0..HISTORY + steps)
        .map(|index| {
            lasting = 0.8 * lasting + 0.015 * normal();
            let day = std::f64::consts::TAU * (index % DAY) as f64 / DAY as f64;
            let level = if index < HISTORY { 1.0 } else { shift };
            let usual = 100.0 + 40.0 * day.sin() + 10.0 * (2.0 * day).cos();
            level * usual * (1.0 + lasting + 0.03 * normal())
        })
        .collect()
}

/// Whether a value lay in the central 80 % and in the central 95 % interval.
pub type Inside = [bool; 2];

/// For each step after the shift: what the intervals held that were said one step and one hour before.
/// The forecaster is kept as the daemon keeps one: carried on, and fitted anew when it asks for it.
pub fn lived_through(seed: u64, shift: f64, steps: usize) -> Vec<[Inside; 2]> {
    let values = load(seed, shift, steps + HOUR);
    let series = Series::new(
        Timestamp::UNIX_EPOCH,
        Step::from_seconds(STEP).expect("it is positive"),
        values.clone(),
    );
    let options = Options { horizon: Some(DAY), ..Options::default() };
    let levels = [0.025, 0.1, 0.9, 0.975].map(|level| Probability::new(level).expect("a level"));
    let begin = HISTORY - HOUR;
    let mut kept: AutoForecaster = auto(&series.head(begin), &options).expect("it is fitted");
    let mut said: VecDeque<Vec<Vec<f64>>> = VecDeque::new();
    let mut found = Vec::with_capacity(steps);
    for (index, value) in values.into_iter().enumerate().take(HISTORY + steps).skip(begin) {
        let forecast = kept.forecast(HOUR, &levels).expect("there is a forecast");
        said.push_back(forecast.quantiles);
        if said.len() > HOUR {
            said.pop_front();
        }
        if index >= HISTORY {
            let inside = |row: &[f64]| {
                [(row[1]..=row[2]).contains(&value), (row[0]..=row[3]).contains(&value)]
            };
            found.push([inside(&said[said.len() - 1][0]), inside(&said[0][HOUR - 1])]);
        }
        kept.update(Sample { at: series.at(index), value }).expect("it is the next");
        if kept.refit_due().is_some() {
            kept.refit(&series.head(index + 1), &options).expect("it is fitted again");
        }
    }
    found
}
