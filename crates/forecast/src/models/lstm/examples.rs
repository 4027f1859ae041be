//! What networks learn from and are judged by: stretches of series, cut as inference sees them.
//!
//! A window is one fit and what follows it: the cell reads [`super::WARM`] values up to the
//! fit, then goes on, and is asked from [`ORIGINS`] origins, each for [`STEPS`] steps that are
//! drawn from its horizon. Its numbers come from the code that inference runs, so that a network
//! cannot learn from what it will not be given. What is held out is the newest part of every
//! series; no window that is learned from sees a value of it.

use domain::series::Series;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::net::{self, Head, Memory};
use super::scaled::Scaled;
use super::shape::{CANDIDATES, LEVELS, STATICS, Shape};
use super::track::{Step, Track};
use super::weights::Weights;
use crate::metrics;
use crate::models::{Context, Regressors};
use crate::season::Seasons;
use crate::settings;

/// Origins of a window.
pub const ORIGINS: usize = 4;
/// Values from origin to origin.
pub const SPACING: usize = 12;
/// Steps that each origin is asked for.
pub const STEPS: usize = 10;
/// Values that the cell reads in a window.
pub const LENGTH: usize = super::WARM + (ORIGINS - 1) * SPACING;

/// One series to learn from.
#[derive(Debug, Clone)]
pub struct Given {
    /// The series; `NaN` is a gap.
    pub series: Series,
    /// Its seasons.
    pub seasons: Seasons,
    /// Columns that are known ahead, on the grid of the series.
    pub regressors: Vec<Vec<f64>>,
}

/// Which part of a series a window lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What networks learn from.
    Learned,
    /// The newest part, which they are judged by.
    HeldOut,
}

/// One window, as flat tables of numbers.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// What the cell sees: [`LENGTH`] rows of [`Shape::cell_inputs`].
    pub cell: Vec<f32>,
    /// What is known of the series at each origin: [`ORIGINS`] rows of [`STATICS`].
    pub statics: Vec<f32>,
    /// What is known of each step: [`ORIGINS`] × [`STEPS`] rows of [`Shape::step_inputs`].
    pub steps: Vec<f32>,
    /// The naive forecasts of each step: rows of [`CANDIDATES`].
    pub candidates: Vec<f32>,
    /// What came at each step, in units above the first candidate; `NaN` if nothing did.
    pub targets: Vec<f32>,
}

/// Cuts windows from one part of a series, where `held_out` is the share of its newest values
/// that is kept apart; none if that part is too short.
pub fn windows(
    given: &Given,
    shape: Shape,
    (part, held_out): (Part, f64),
    count: usize,
    draw: &mut ChaCha8Rng,
) -> Vec<Window> {
    let length = given.series.values().len();
    let cut = length - (length as f64 * held_out) as usize;
    let seasons = given.seasons.within(cut, settings::CYCLES_FOR_PROFILE);
    let horizon = (2 * Track::new(&seasons).day())
        .clamp(settings::LSTM_HORIZON_LEAST, settings::LSTM_HORIZON_MOST);
    let horizon = horizon.min(length / settings::HISTORY_PER_HORIZON).max(1);
    let reach = 2 * seasons.longest().unwrap_or(settings::LSTM_LEAST);
    let (first, end) = match part {
        Part::Learned => (reach, cut),
        Part::HeldOut => (cut.max(reach), length),
    };
    if first + settings::LSTM_LEAST > end {
        return Vec::new();
    }
    let last = end.saturating_sub((ORIGINS - 1) * SPACING + horizon).max(first);
    let cutting = Cutting { given, seasons, shape, end, horizon };
    (0..count).filter_map(|_| cutting.window(draw.random_range(first..=last), draw)).collect()
}

struct Cutting<'a> {
    given: &'a Given,
    seasons: Seasons,
    shape: Shape,
    /// Values from here on do not exist.
    end: usize,
    horizon: usize,
}

impl Cutting<'_> {
    fn window(&self, fit: usize, draw: &mut ChaCha8Rng) -> Option<Window> {
        let (series, shape) = (&self.given.series, self.shape);
        let outside = &self.given.regressors;
        let past = Series::new(series.start(), series.step(), series.values()[..fit].to_vec());
        let regressors = Regressors { ahead: outside.clone(), past: Vec::new() };
        let context = Context { seasons: self.seasons.clone(), regressors };
        let mut window = Window::default();
        let mut scaled =
            Scaled::learn(&past, &context, shape, |row| window.cell.extend_from_slice(row)).ok()?;
        let mut inputs = Vec::new();
        self.ask(&scaled, fit, draw, &mut window);
        for index in fit..fit + (ORIGINS - 1) * SPACING {
            let row: Vec<f64> = outside.iter().map(|c| at(c, index)).collect();
            scaled.push(self.value(index), &row, shape, &mut inputs);
            window.cell.extend_from_slice(&inputs);
            if (index + 1 - fit).is_multiple_of(SPACING) {
                self.ask(&scaled, index + 1, draw, &mut window);
            }
        }
        Some(window)
    }

    fn value(&self, index: usize) -> f64 {
        if index < self.end { at(self.given.series.values(), index) } else { f64::NAN }
    }

    /// Half of the steps are drawn evenly, half near ones more often than far ones.
    fn ask(&self, scaled: &Scaled, origin: usize, draw: &mut ChaCha8Rng, window: &mut Window) {
        let ahead: Vec<Vec<f64>> =
            self.given.regressors.iter().map(|c| c.get(origin..).unwrap_or(&[]).to_vec()).collect();
        window.statics.extend(scaled.track.statics());
        let (unit, mut step) = (scaled.track.unit(), Step::default());
        for k in 0..STEPS {
            let h = if k % 2 == 0 {
                draw.random_range(0..self.horizon)
            } else {
                let far = (self.horizon as f64).ln() * draw.random_range(0.0..1.0);
                (far.exp() as usize).clamp(1, self.horizon) - 1
            };
            scaled.step(h, &ahead, self.shape, &mut step);
            window.steps.extend_from_slice(&step.inputs);
            window.candidates.extend_from_slice(&step.candidates);
            let came = self.value(origin + h);
            window.targets.push(if came.is_finite() {
                let most = settings::LSTM_TARGET_MOST;
                ((scaled.on_scale(came) - step.base) / unit).clamp(-most, most)
            } else {
                f32::NAN
            });
        }
    }
}

fn at(values: &[f64], index: usize) -> f64 {
    values.get(index).copied().unwrap_or(f64::NAN)
}

/// What a network says of a window: the quantiles of every step, in units above the first
/// candidate.
pub fn forecast(weights: &Weights, window: &Window) -> Vec<[f32; LEVELS.len()]> {
    let shape = weights.shape();
    let mut memory = Memory::empty(shape.cell);
    let mut gates = Vec::new();
    let mut said = Vec::with_capacity(ORIGINS * STEPS);
    let mut steps = window.steps.chunks_exact(shape.step_inputs());
    let mut candidates = window.candidates.chunks_exact(CANDIDATES);
    let mut statics = window.statics.chunks_exact(STATICS);
    for (place, row) in window.cell.chunks_exact(shape.cell_inputs()).enumerate() {
        net::advance(weights, &mut memory, row, &mut gates);
        let since = (place + 1).checked_sub(super::WARM);
        if !since.is_some_and(|since| since.is_multiple_of(SPACING)) {
            continue;
        }
        let Some(statics) = statics.next() else { break };
        let mut head = Head::new(weights, &memory, statics);
        for (inputs, own) in steps.by_ref().zip(candidates.by_ref()).take(STEPS) {
            let mut step = Step { inputs: inputs.to_vec(), ..Step::default() };
            step.candidates.copy_from_slice(own);
            said.push(head.quantiles(&step));
        }
    }
    said
}

/// The mean pinball loss over all levels and steps, in units of the mean change over a season.
/// `NaN` if there is nothing to judge by.
pub fn loss(weights: &Weights, windows: &[Window]) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for window in windows {
        let said = forecast(weights, window);
        for (row, came) in said.iter().zip(&window.targets).filter(|(_, came)| came.is_finite()) {
            for (quantile, level) in row.iter().zip(LEVELS) {
                sum += metrics::pinball(f64::from(*came), f64::from(*quantile), f64::from(level));
                count += 1.0;
            }
        }
    }
    sum / count
}
