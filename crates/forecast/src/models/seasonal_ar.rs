//! Regressions on lags and on smoothed seasonal profiles, iterated over the horizon.
//!
//! The regression is
//! `y_t = c + Σ_i φ_i y_{t−i} + Σ_m (α_m E^m_t + β_m E^m_{t−1}) + Σ_m γ_m y_{t−m} + ε_t`,
//! where `E^m` is the exponentially smoothed value of the same phase in earlier cycles of
//! period `m`: `E^m_t = E^m_{t−m} + λ (y_{t−m} − E^m_{t−m})`. With `λ = 1` this is the seasonal
//! autoregression of the Rho method (Doornik, Castle and Hendry, "Card forecasts for M4",
//! Int. J. Forecasting 36, 2020); smaller `λ` averages over cycles as seasonal smoothing does.
//! In differences the target is `y_t − y_{t−m}`, which is the seasonal form of their Delta method.

use domain::series::Series;
use serde::{Deserialize, Serialize};

use super::history::{History, Regressors};
use super::scale::Scale;
use super::{Context, FitError, Fitted, Model, Observation, Prediction};
use crate::linear::Normal;
use crate::settings;
use crate::state::{self, StateError};

/// What the regression explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The level itself.
    Level,
    /// The change against one season earlier (the longest season; one step without a season).
    Difference,
}

/// The form of the regression, before it has met a series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    /// Plain lags `1..=lags`.
    pub(crate) lags: usize,
    /// Smoothing of the profiles over cycles, 0 to 1; 1 is the last cycle alone.
    pub(crate) smoothing: f64,
    pub(crate) scale: Scale,
}

impl Model for Recipe {
    fn name(&self) -> &'static str {
        self.name
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        let history = History::of(series.values(), &context.seasons);
        Ok(Box::new(Regression::fit(self, &history, context)?))
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<Regression>(bytes)
    }
}

/// A fitted regression: coefficients and as much of the past as they reach.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Regression {
    form: Form,
    beta: Vec<f64>,
    scale: super::scale::Fitted,
    past: Past,
    /// The bounds of iterated values, scaled.
    bounds: (f64, f64),
}

/// Which columns a regression has.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Form {
    lags: usize,
    seasons: Vec<usize>,
    difference: usize,
    smoothing: f64,
}

/// Scaled values and the smoothed profile of each season, up to now. Without smoothing a profile
/// is the value one season before and is not kept. Values near 1 that carry noise lose nothing in
/// single precision, and thousands of these live side by side.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Past {
    values: Vec<f32>,
    profiles: Vec<Profile>,
    /// How many of the oldest values were dropped.
    dropped: usize,
}

/// The smoothed values of the same phase in earlier cycles, one step further than the values.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Profile {
    season: usize,
    /// Which of the values that are kept the first one belongs to.
    from: usize,
    smoothed: Vec<f32>,
}

impl Profile {
    fn at(&self, t: usize) -> f64 {
        f64::from(self.smoothed[t - self.from])
    }

    /// `E^m_t` from the values before `t`, of which `dropped` are gone.
    fn push(&mut self, values: &[f32], dropped: usize, smoothing: f64) {
        let (t, m) = (self.from + self.smoothed.len(), self.season);
        let value = |t: usize| f64::from(values[t]);
        let next = if t + dropped < m {
            value(t.min(values.len() - 1))
        } else {
            let before = if t + dropped >= 2 * m { self.at(t - m) } else { value(t - m) };
            before + smoothing * (value(t - m) - before)
        };
        self.smoothed.push(next as f32);
    }

    /// Forgets `cut` values, and what is older than a season and the step before it, less `room`.
    fn forget(&mut self, cut: usize, room: usize) {
        let keep = (self.season + 2 - room).min(self.from + self.smoothed.len() - cut);
        let old = self.smoothed.len() - keep;
        if old > keep / settings::HISTORY_PER_SLACK || self.from < cut {
            self.smoothed.drain(..old);
            self.from += old;
        }
        self.from -= cut;
    }
}

impl Past {
    /// Drops what is older than `reach` values, and `room` of these; on long histories only when
    /// there is more of it. A new value then takes the place of an old one: thousands of models
    /// live side by side, and one that grows by a value leaves a hole in memory.
    fn forget(&mut self, reach: usize, room: usize) {
        let keep = reach - room;
        let over = self.values.len().saturating_sub(keep);
        let cut = if over > keep / settings::HISTORY_PER_SLACK { over } else { 0 };
        self.dropped += cut;
        self.values.drain(..cut);
        self.profiles.iter_mut().for_each(|profile| profile.forget(cut, room));
    }

    fn at(&self, t: usize) -> f64 {
        f64::from(self.values[t])
    }

    fn push(&mut self, value: f64, smoothing: f64) {
        self.values.push(value as f32);
        for profile in &mut self.profiles {
            profile.push(&self.values, self.dropped, smoothing);
        }
    }

    /// A copy that has room for so many more.
    fn longer(&self, more: usize) -> Self {
        let longer = |values: &[f32]| {
            let mut longer = Vec::with_capacity(values.len() + more);
            longer.extend_from_slice(values);
            longer
        };
        let profile = |p: &Profile| Profile { smoothed: longer(&p.smoothed), ..*p };
        let profiles = self.profiles.iter().map(profile).collect();
        Self { values: longer(&self.values), profiles, dropped: self.dropped }
    }
}

impl Form {
    fn of(recipe: &Recipe, length: usize, context: &Context) -> Self {
        let seasons =
            context.seasons.within(length, settings::CYCLES_FOR_PROFILE).periods().to_vec();
        let difference = match recipe.target {
            Target::Level => 0,
            Target::Difference => seasons.last().copied().unwrap_or(1),
        };
        Self { lags: recipe.lags, seasons, difference, smoothing: recipe.smoothing }
    }

    fn width(&self) -> usize {
        1 + self.lags + 3 * self.seasons.len()
    }

    /// The first value that has all its columns.
    fn first(&self) -> usize {
        let season = self.seasons.last().copied().unwrap_or(0);
        (season + self.lags.max(1) + 1).max(self.difference + self.lags + 1)
    }

    /// How far back a column reaches.
    fn reach(&self) -> usize {
        self.seasons.last().copied().unwrap_or(0).max(self.difference) + self.lags + 2
    }

    /// The columns of value `t`. In differences every column is a difference to one season before.
    fn row(&self, past: &Past, t: usize, row: &mut Vec<f64>) {
        let d = self.difference;
        row.clear();
        row.push(1.0);
        let value = |i: usize| if d == 0 { past.at(i) } else { past.at(i) - self.base(past, i) };
        for lag in 1..=self.lags {
            row.push(value(t - lag));
        }
        for (season, &m) in self.seasons.iter().enumerate() {
            let base = |i: usize| if d == 0 { 0.0 } else { self.base(past, i) };
            let profile = |i: usize| past.profiles.get(season).map_or(past.at(i - m), |p| p.at(i));
            row.push(profile(t) - base(t));
            row.push(profile(t - 1) - base(t - 1));
            row.push(past.at(t - m) - base(t));
        }
    }

    /// What a difference is taken against.
    fn base(&self, past: &Past, t: usize) -> f64 {
        past.at(t.saturating_sub(self.difference))
    }

    fn target(&self, past: &Past, t: usize) -> f64 {
        past.at(t) - if self.difference == 0 { 0.0 } else { self.base(past, t) }
    }
}

impl Regression {
    pub(crate) fn fit(
        recipe: &Recipe,
        history: &History,
        context: &Context,
    ) -> Result<Self, FitError> {
        let model = recipe.name;
        let n = history.len();
        let form = Form::of(recipe, n, context);
        let needed = form.first() + settings::ROWS_PER_COLUMN * form.width();
        if n < needed {
            return Err(FitError::TooShort { model, needed, found: n });
        }
        let scale = recipe.scale.fit(history.values());
        let mut past = Past { values: Vec::with_capacity(n), profiles: Vec::new(), dropped: 0 };
        if form.smoothing < 1.0 {
            let first = scale.into(history.values()[0]);
            let profile = |m: &usize| Profile { season: *m, from: 0, smoothed: vec![first as f32] };
            past.profiles = form.seasons.iter().map(profile).collect();
        }
        for value in history.values() {
            past.push(scale.into(*value), form.smoothing);
        }
        let beta = solve(&form, &past, history.observed()).ok_or(FitError::Unsolvable { model })?;
        let (low, high) = past
            .values
            .iter()
            .map(|v| f64::from(*v))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let room = settings::RANGE_ROOM * (high - low);
        let bounds = (low - room, high + room);
        let mut fitted = Self { form, beta, scale, past, bounds };
        fitted.past.forget(fitted.form.reach(), 0);
        fitted.past.values.shrink_to_fit();
        fitted.past.profiles.iter_mut().for_each(|p| p.smoothed.shrink_to_fit());
        Ok(fitted)
    }

    fn next(&self, past: &Past, row: &mut Vec<f64>) -> f64 {
        let t = past.values.len();
        self.form.row(past, t, row);
        let sum: f64 = row.iter().zip(&self.beta).map(|(x, b)| x * b).sum();
        let base = if self.form.difference == 0 { 0.0 } else { self.form.base(past, t) };
        (sum + base).clamp(self.bounds.0, self.bounds.1)
    }

    /// The next values, still scaled.
    pub(crate) fn iterate(&self, horizon: usize) -> Vec<f64> {
        let mut past = self.past.longer(horizon);
        let mut row = Vec::with_capacity(self.form.width());
        let step = |_| {
            let value = self.next(&past, &mut row);
            past.push(value, self.form.smoothing);
            value
        };
        (0..horizon).map(step).collect()
    }
}

/// Weighted least squares, with large errors weighed down once (Huber's psi, one step).
fn solve(form: &Form, past: &Past, observed: &[bool]) -> Option<Vec<f64>> {
    let rows: Vec<usize> = (form.first()..past.values.len()).filter(|t| observed[*t]).collect();
    let mut row = Vec::with_capacity(form.width());
    let mut beta: Option<Vec<f64>> = None;
    let mut limit = f64::INFINITY;
    for _ in 0..=settings::HUBER_STEPS {
        let mut sums = Normal::new(form.width());
        let mut errors = Vec::with_capacity(rows.len());
        for &t in &rows {
            form.row(past, t, &mut row);
            let y = form.target(past, t);
            let error = beta
                .as_ref()
                .map_or(0.0, |b| (y - row.iter().zip(b).map(|(x, b)| x * b).sum::<f64>()).abs());
            errors.push(error);
            sums.add(&row, y, if error > limit { limit / error } else { 1.0 });
        }
        if sums.weight() < form.width() as f64 {
            return None;
        }
        let next = sums.solve(settings::RIDGE)?;
        let mut sizes: Vec<f64> = Vec::with_capacity(rows.len());
        for &t in &rows {
            form.row(past, t, &mut row);
            let fit: f64 = row.iter().zip(&next).map(|(x, b)| x * b).sum();
            sizes.push((form.target(past, t) - fit).abs());
        }
        let middle = sizes.len() / 2;
        let median = *sizes.select_nth_unstable_by(middle, f64::total_cmp).1;
        limit = settings::HUBER_LIMIT * median.max(f64::MIN_POSITIVE) / settings::MAD_NORMAL;
        beta = Some(next);
    }
    beta
}

impl Fitted for Regression {
    fn update(&mut self, observation: Observation<'_>) {
        let value = if observation.value.is_finite() {
            self.scale.into(observation.value).clamp(self.bounds.0, self.bounds.1)
        } else {
            self.next(&self.past, &mut Vec::new())
        };
        self.past.forget(self.form.reach(), 1);
        self.past.push(value, self.form.smoothing);
    }

    fn forecast(&self, horizon: usize, _ahead: &Regressors) -> Prediction {
        let centre = self.iterate(horizon).into_iter().map(|v| self.scale.back(v)).collect();
        Prediction { centre, scale: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::season::Seasons;
    use domain::series::Step;
    use jiff::Timestamp;

    fn fit(recipe: Recipe, values: Vec<f64>, seasons: &[usize]) -> Box<dyn Fitted> {
        let step = Step::from_seconds(3_600).unwrap();
        let series = Series::new(Timestamp::UNIX_EPOCH, step, values);
        let context = Context { seasons: Seasons::given(seasons), ..Context::default() };
        recipe.fit(&series, &context).unwrap()
    }

    fn recipe(target: Target, scale: Scale) -> Recipe {
        Recipe { name: "test", target, lags: 3, smoothing: 0.5, scale }
    }

    fn wave(i: usize) -> f64 {
        10.0 + 3.0 * (std::f64::consts::TAU * i as f64 / 12.0).sin()
    }

    #[test]
    fn a_season_goes_on_in_levels_differences_and_logarithms() {
        for target in [Target::Level, Target::Difference] {
            for scale in [Scale::Plain, Scale::Log] {
                let fitted = fit(recipe(target, scale), (0..240).map(wave).collect(), &[12]);
                let centre = fitted.forecast(24, &Regressors::NONE).centre;
                for (h, value) in centre.iter().enumerate() {
                    assert!((value - wave(240 + h)).abs() < 0.1, "{target:?} {scale:?} {h}");
                }
            }
        }
    }

    #[test]
    fn a_lost_shock_fades_at_the_rate_that_was_learned() {
        // y_t = 0.8 y_{t−1} + e_t without a season.
        let mut values = vec![0.0];
        for i in 1..600 {
            values.push(0.8 * values[i - 1] + ((i * i) as f64 * 0.37).sin());
        }
        let mut fitted = fit(recipe(Target::Level, Scale::Plain), values, &[]);
        fitted.update(Observation::of(5.0));
        let centre = fitted.forecast(3, &Regressors::NONE).centre;
        assert!((2.6..5.0).contains(&centre[0]) && centre[2] < centre[1], "{centre:?}");
    }

    #[test]
    fn updates_are_the_same_as_having_known() {
        let values: Vec<f64> = (0..300).map(|i| wave(i) + ((i * i) as f64).sin()).collect();
        let mut moved = fit(recipe(Target::Level, Scale::Plain), values[..280].to_vec(), &[12]);
        for value in &values[280..] {
            moved.update(Observation::of(*value));
        }
        let known = fit(recipe(Target::Level, Scale::Plain), values, &[12]);
        let (a, b) = (moved.forecast(12, &Regressors::NONE), known.forecast(12, &Regressors::NONE));
        for (a, b) in a.centre.iter().zip(&b.centre) {
            assert!((a - b).abs() < 0.2, "{a} {b}");
        }
    }

    #[test]
    fn one_outlier_does_not_move_the_season() {
        let mut values: Vec<f64> = (0..240).map(wave).collect();
        values[120] = 1e6;
        let centre = fit(recipe(Target::Level, Scale::Plain), values, &[12])
            .forecast(12, &Regressors::NONE)
            .centre;
        for (h, value) in centre.iter().enumerate() {
            assert!((value - wave(240 + h)).abs() < 1.0, "step {h}: {value}");
        }
    }
}
