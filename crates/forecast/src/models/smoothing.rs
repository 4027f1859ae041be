//! Exponential smoothing with several additive seasons, a damped trend and an error that
//! carries over (Taylor, "Short-term electricity demand forecasting using double seasonal
//! exponential smoothing", J. Oper. Res. Soc. 54, 2003, with his AR(1) adjustment).
//!
//! With level `l`, damped trend `b`, seasons `s^m` and last error `e`:
//! `ŷ_t = l + φ b + Σ_m s^m_{t} + ρ e_{t−1}`, `e_t = y_t − (l + φ b + Σ_m s^m_t)`,
//! `l += φ b + α ε`, `b = φ b + β ε`, `s^m_t += γ_m ε`, with the one-step error `ε = y_t − ŷ_t`.

use domain::series::Series;
use serde::{Deserialize, Serialize};

use super::history::{History, Regressors};
use super::scale::Scale;
use super::{Context, FitError, Fitted, Model, Observation, Prediction};
use crate::settings;
use crate::state::{self, StateError};

/// Smoothing with all seasons that the series can carry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Smoothing {
    pub(crate) name: &'static str,
    pub(crate) scale: Scale,
}

/// The smoothing weights: level, trend, damping, carry-over, one per season.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Weights {
    level: f64,
    trend: f64,
    damping: f64,
    carry: f64,
    seasons: Vec<f64>,
}

/// The state after some values.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    level: f64,
    trend: f64,
    error: f64,
    /// One ring per season, indexed by the absolute index modulo its length. Scaled to be near 1,
    /// so that single precision loses nothing of a noisy season.
    seasons: Vec<Vec<f32>>,
    next: usize,
}

impl State {
    /// Level and seasons `ahead` steps after the next value.
    fn base(&self, ahead: usize, trend: f64) -> f64 {
        let index = self.next + ahead;
        let seasons: f64 = self.seasons.iter().map(|s| f64::from(s[index % s.len()])).sum();
        self.level + trend + seasons
    }

    /// Takes in one value and returns the one-step error.
    fn step(&mut self, weights: &Weights, value: f64) -> f64 {
        let slope = weights.damping * self.trend;
        let base = self.base(0, slope);
        let error = value - base - weights.carry * self.error;
        self.level += slope + weights.level * error;
        self.trend = slope + weights.trend * error;
        for (season, weight) in self.seasons.iter_mut().zip(&weights.seasons) {
            let phase = self.next % season.len();
            season[phase] = (f64::from(season[phase]) + weight * error) as f32;
        }
        self.error = value - base;
        self.next += 1;
        error
    }
}

impl Model for Smoothing {
    fn name(&self) -> &'static str {
        self.name
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        let model = self.name;
        let history = History::of(series.values(), &context.seasons);
        let n = history.len();
        let seasons = context.seasons.within(n, settings::CYCLES_FOR_SMOOTHING);
        let longest = seasons.longest().unwrap_or(1);
        let needed = settings::SMOOTHING_LEAST.max(2 * longest);
        if n < needed {
            return Err(FitError::TooShort { model, needed, found: n });
        }
        let scale = self.scale.fit(history.values());
        let values: Vec<f64> = history.values().iter().map(|v| scale.into(*v)).collect();
        let first = history.first_index();
        let start = initial(&values, seasons.periods(), first);
        let weights = search(&values, history.observed(), &start);
        let mut state = start;
        run(&mut state, &weights, &values, history.observed(), settings::HUBER_OFF);
        let (low, high) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let room = settings::RANGE_ROOM * (high - low);
        Ok(Box::new(Smoothed { weights, state, scale, bounds: (low - room, high + room) }))
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<Smoothed>(bytes)
    }
}

/// Seasons from phase means of the first cycles, shortest season first, each on the rest.
fn initial(values: &[f64], periods: &[usize], first: usize) -> State {
    let longest = periods.last().copied().unwrap_or(1);
    let cycles = (values.len() / longest).min(settings::CYCLES_TO_START);
    let span = if periods.is_empty() { settings::SMOOTHING_LEAST } else { cycles * longest };
    let head = &values[..span.min(values.len())];
    let level = head.iter().sum::<f64>() / head.len() as f64;
    let mut rest: Vec<f64> = head.iter().map(|v| v - level).collect();
    let mut seasons = Vec::new();
    for &m in periods {
        let (mut sums, mut counts) = (vec![0.0; m], vec![0usize; m]);
        for (i, v) in rest.iter().enumerate() {
            sums[(first + i) % m] += v;
            counts[(first + i) % m] += 1;
        }
        let season: Vec<f64> =
            sums.iter().zip(&counts).map(|(s, c)| s / (*c).max(1) as f64).collect();
        for (i, v) in rest.iter_mut().enumerate() {
            *v -= season[(first + i) % m];
        }
        seasons.push(season.into_iter().map(|s| s as f32).collect());
    }
    State { level, trend: 0.0, error: 0.0, seasons, next: first }
}

/// Runs over the values and returns the mean size of the one-step errors (Huber's loss).
fn run(state: &mut State, weights: &Weights, values: &[f64], observed: &[bool], limit: f64) -> f64 {
    let warm = values.len() / 4;
    let (mut loss, mut count) = (0.0, 0usize);
    for (i, (value, seen)) in values.iter().zip(observed).enumerate() {
        let error = state.step(weights, *value).abs();
        if i >= warm && *seen {
            loss += if error <= limit { error * error } else { limit * (2.0 * error - limit) };
            count += 1;
        }
    }
    loss / count.max(1) as f64
}

/// Coordinate search over the weights from a few starts, on the one-step loss.
fn search(values: &[f64], observed: &[bool], start: &State) -> Weights {
    let k = start.seasons.len();
    let loss = |w: &Weights, limit: f64| {
        let mut state = start.clone();
        run(&mut state, w, values, observed, limit)
    };
    let mut best =
        Weights { level: 0.1, trend: 0.0, damping: 0.9, carry: 0.7, seasons: vec![0.15; k] };
    let rough = loss(&best, f64::INFINITY).sqrt();
    let limit = settings::HUBER_LIMIT * rough;
    let mut lowest = loss(&best, limit);
    let mut width = 1.0;
    for _ in 0..settings::SMOOTHING_ROUNDS {
        for coordinate in 0..3 + k {
            for direction in [-1.0, 1.0] {
                let trial = moved(&best, coordinate, direction * width);
                if trial == best {
                    continue;
                }
                let found = loss(&trial, limit);
                if found < lowest {
                    (best, lowest) = (trial, found);
                    break;
                }
            }
        }
        width *= settings::SMOOTHING_SHRINK;
    }
    best
}

/// One weight moved by `amount` on the logit scale (the trend: by steps of its own grid).
fn moved(weights: &Weights, coordinate: usize, amount: f64) -> Weights {
    let mut next = weights.clone();
    let logit = |x: f64, low: f64, high: f64| {
        let share = ((x - low) / (high - low)).clamp(0.005, 0.995);
        let moved = (share / (1.0 - share)).ln() + 2.0 * amount;
        low + (high - low) / (1.0 + (-moved).exp())
    };
    match coordinate {
        0 => next.level = logit(next.level, 0.0, 0.99),
        1 => next.carry = logit(next.carry, -0.5, 0.99),
        2 => next.trend = logit(next.trend, 0.0, 0.1),
        i => next.seasons[i - 3] = logit(next.seasons[i - 3], 0.0, 0.8),
    }
    next
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Smoothed {
    weights: Weights,
    state: State,
    scale: super::scale::Fitted,
    bounds: (f64, f64),
}

impl Fitted for Smoothed {
    fn update(&mut self, observation: Observation<'_>) {
        let value = if observation.value.is_finite() {
            self.scale.into(observation.value).clamp(self.bounds.0, self.bounds.1)
        } else {
            let slope = self.weights.damping * self.state.trend;
            self.state.base(0, slope) + self.weights.carry * self.state.error
        };
        self.state.step(&self.weights, value);
    }

    fn forecast(&self, horizon: usize, _ahead: &Regressors) -> Prediction {
        let (mut trend, mut slope, mut carry) = (0.0, self.state.trend, self.state.error);
        let centre = (0..horizon)
            .map(|h| {
                slope *= self.weights.damping;
                trend += slope;
                carry *= self.weights.carry;
                let value = self.state.base(h, trend) + carry;
                self.scale.back(value.clamp(self.bounds.0, self.bounds.1))
            })
            .collect();
        Prediction { centre, scale: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::season::Seasons;
    use domain::series::Step;
    use jiff::Timestamp;

    fn fit(values: Vec<f64>, seasons: &[usize]) -> Result<Box<dyn Fitted>, FitError> {
        let step = Step::from_seconds(3_600).unwrap();
        let series = Series::new(Timestamp::UNIX_EPOCH, step, values);
        let context = Context { seasons: Seasons::given(seasons), ..Context::default() };
        Smoothing { name: "smoothing", scale: Scale::Plain }.fit(&series, &context)
    }

    fn load(i: usize) -> f64 {
        let weekend = if (i / 24) % 7 >= 5 { -4.0 } else { 0.0 };
        20.0 + weekend + 5.0 * (std::f64::consts::TAU * (i % 24) as f64 / 24.0).sin()
    }

    #[test]
    fn day_and_week_go_on() {
        let fitted = fit((0..24 * 35).map(load).collect(), &[24, 168]).unwrap();
        let centre = fitted.forecast(168, &Regressors::NONE).centre;
        let error: f64 =
            centre.iter().enumerate().map(|(h, c)| (c - load(24 * 35 + h)).abs()).sum::<f64>();
        assert!(error / 168.0 < 0.5, "{}", error / 168.0);
    }

    #[test]
    fn the_level_follows_a_shift_and_gaps_change_nothing() {
        let noisy = |i: usize| load(i) + ((i * i) as f64 * 0.7).sin();
        let mut fitted = fit((0..24 * 21).map(noisy).collect(), &[24]).unwrap();
        let before = fitted.forecast(24, &Regressors::NONE).centre;
        for _ in 0..24 {
            fitted.update(Observation::of(f64::NAN));
        }
        let after = fitted.forecast(24, &Regressors::NONE).centre;
        assert!(before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 2.0));
        for i in 0..72 {
            fitted.update(Observation::of(noisy(24 * 21 + i) + 8.0));
        }
        let shifted = fitted.forecast(24, &Regressors::NONE).centre;
        let moved: f64 = shifted.iter().zip(&after).map(|(a, b)| a - b).sum::<f64>() / 24.0;
        assert!(moved > 3.0, "{moved}");
    }

    #[test]
    fn too_short_a_series_says_so() {
        assert!(matches!(fit(vec![1.0; 5], &[]), Err(FitError::TooShort { needed: 10, .. })));
    }
}
