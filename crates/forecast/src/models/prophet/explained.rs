//! A fit: its forecasts, its parts, and the futures that it allows.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::estimate::{self, Mode, Sample};
use super::quadratic::Quadratic;
use super::surface::Surface;
use crate::models::{Fitted, Observation, Prediction, Regressors};
use crate::quantile;
use crate::settings;

/// A fitted Prophet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    surface: Surface,
    theta: Vec<f64>,
    /// Of the noise, scaled.
    variance: f64,
    sums: Quadratic,
    /// How many values came since the coefficients were last found.
    fresh: usize,
    /// What values are clamped to, scaled.
    bounds: (f64, f64),
    /// The index of the next value.
    pub(super) next: usize,
}

/// What a stretch of the series is made of: at every step, trend and parts add up to what the
/// model expects, in the unit of the series.
#[derive(Debug, Clone, PartialEq)]
pub struct Components {
    /// The trend.
    pub trend: Vec<f64>,
    /// What each season adds, longest first.
    pub seasons: Vec<Part>,
    /// What each event adds: a column of zeros and ones.
    pub events: Vec<Part>,
    /// What each other column adds.
    pub regressors: Vec<Part>,
}

/// One part of the whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// `year`, `week`, `day`, `N steps`; of an outside column `column N`, counted from 0.
    pub name: String,
    /// What it adds at each step, in the unit of the series.
    pub values: Vec<f64>,
}

impl Explained {
    /// Learns from the values that were seen, with their indices.
    pub(super) fn fit(
        mut surface: Surface,
        seen: &[(usize, f64)],
        next: usize,
        outside: &Regressors,
    ) -> Option<Self> {
        let width = surface.frame.width();
        let mut sample = Sample { rows: Vec::with_capacity(width * seen.len()), values: vec![] };
        let mut row = Vec::with_capacity(width);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for (index, value) in seen {
            surface.frame.row(*index, |place| known(outside, place, *index), &mut row);
            sample.rows.extend_from_slice(&row);
            let value = surface.unit.into(*value);
            sample.values.push(value);
            (low, high) = (low.min(value), high.max(value));
        }
        let Mode { theta, variance, sums } = estimate::mode(&surface, &sample)?;
        let room = settings::RANGE_ROOM * (high - low);
        let bounds = (low - room, high + room);
        Some(Self { surface, theta, variance, sums, fresh: 0, bounds, next })
    }

    /// What the model makes of the `steps`, counted from the first one of the series, before or
    /// after its end. `outside` are the columns on the grid of the series.
    pub fn components(&self, steps: Range<usize>, outside: &Regressors) -> Components {
        let mut frame = self.surface.frame.clone();
        let part = |name: String| Part { name, values: Vec::with_capacity(steps.len()) };
        let mut seasons: Vec<Part> = frame.seasons.iter().map(|s| part(s.name.clone())).collect();
        let name = |place: usize| format!("column {place}");
        let mut columns: Vec<(bool, Part)> =
            frame.columns.iter().map(|c| (c.is_event, part(name(c.place)))).collect();
        let orders: Vec<usize> = frame.seasons.iter().map(|s| 2 * s.order).collect();
        let mut trend = Vec::with_capacity(steps.len());
        let mut row = Vec::new();
        for index in steps {
            frame.row(index, |place| known(outside, place, index), &mut row);
            let point = self.surface.look(&row, &self.theta, 0.0);
            trend.push(self.surface.unit.back(point.trend));
            let each: Vec<f64> = row.iter().zip(&self.theta).map(|(x, b)| x * b).collect();
            let mut rest = &each[frame.trend_width()..];
            let widths = orders.iter().copied().chain(std::iter::repeat(1));
            let parts = seasons.iter_mut().chain(columns.iter_mut().map(|(_, part)| part));
            for (part, width) in parts.zip(widths) {
                let (own, others) = rest.split_at(width);
                let sum = point.by_effects * own.iter().sum::<f64>();
                part.values.push(self.surface.unit.back_change(sum));
                rest = others;
            }
        }
        let (events, regressors): (Vec<_>, Vec<_>) =
            columns.into_iter().partition(|(is_event, _)| *is_event);
        let parts = |list: Vec<(bool, Part)>| list.into_iter().map(|(_, part)| part).collect();
        Components { trend, seasons, events: parts(events), regressors: parts(regressors) }
    }

    /// What each of the first `count` outside columns adds: an event while it lasts, another
    /// column for one standard deviation; 0 for a column that was left out. Additive effects, in
    /// the unit of the series.
    pub(crate) fn effects(&self, count: usize) -> Vec<f64> {
        let frame = &self.surface.frame;
        let first = frame.trend_width() + frame.seasons_width();
        let mut effects = vec![0.0; count];
        for (column, value) in frame.columns.iter().zip(&self.theta[first..]) {
            if let Some(effect) = effects.get_mut(column.place) {
                *effect = self.surface.unit.back_change(*value);
            }
        }
        effects
    }

    /// `count` futures of `horizon` steps. The trend goes on to bend as often as it had
    /// changepoints (a Poisson process), by Laplace steps whose scale is the mean size of its
    /// bends (Taylor and Letham 2018, §3.1.4); values carry the noise of the fit. The same seed
    /// gives the same futures. `ahead` holds the columns of those steps.
    pub fn simulate(
        &self,
        horizon: usize,
        count: usize,
        seed: u64,
        ahead: &Regressors,
    ) -> Vec<Vec<f64>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rows = self.rows_ahead(horizon, ahead);
        let deviation = self.variance.sqrt();
        let mut path = || {
            let bends = self.bends_ahead(horizon, &mut rng);
            let step = |(h, row): (usize, &Vec<f64>)| {
                let t = self.surface.frame.time(self.next + h);
                let lift = bends.iter().map(|(at, bend)| bend * (t - at).max(0.0)).sum();
                let said = self.surface.look(row, &self.theta, lift).value();
                self.surface.unit.back(said + deviation * quantile::normal(even(&mut rng)))
            };
            rows.iter().enumerate().map(step).collect()
        };
        (0..count).map(|_| path()).collect()
    }

    /// Bends of the next `horizon` steps, each with its time.
    fn bends_ahead(&self, horizon: usize, rng: &mut ChaCha8Rng) -> Vec<(f64, f64)> {
        let (rate, scale) = (self.surface.frame.changes.len() as f64, self.bend());
        let end = self.surface.frame.time(self.next + horizon);
        let mut at = self.now();
        let mut bends = Vec::new();
        loop {
            // Without changepoints the next one never comes.
            at -= even(rng).ln() / rate;
            if at >= end {
                return bends;
            }
            let u = even(rng) - 0.5;
            bends.push((at, -scale * u.signum() * (1.0 - 2.0 * u.abs()).ln()));
        }
    }

    /// The time of the newest value.
    fn now(&self) -> f64 {
        self.surface.frame.time(self.next.saturating_sub(1))
    }

    /// The mean size of a bend.
    fn bend(&self) -> f64 {
        let bends = &self.theta[2..self.surface.frame.trend_width()];
        bends.iter().map(|bend| bend.abs()).sum::<f64>() / bends.len().max(1) as f64
    }

    fn rows_ahead(&self, horizon: usize, ahead: &Regressors) -> Vec<Vec<f64>> {
        let mut frame = self.surface.frame.clone();
        let row = |h: usize| {
            let mut row = Vec::with_capacity(frame.width());
            frame.row(self.next + h, |place| known(ahead, place, h), &mut row);
            row
        };
        (0..horizon).map(row).collect()
    }

    /// Finds the coefficients again; they stay where that fails.
    pub(super) fn learn(&mut self) {
        let count = self.sums.count();
        let mut theta = self.theta.clone();
        let noise = estimate::variance(self.sums.errors(&theta), count);
        let found = self.sums.minimise(&self.surface.penalty, noise, &mut theta);
        if found.is_some() && theta.iter().all(|v| v.is_finite()) {
            self.variance = estimate::variance(self.sums.errors(&theta), count);
            self.theta = theta;
        }
        self.fresh = 0;
    }
}

/// A number between 0 and 1.
fn even(rng: &mut ChaCha8Rng) -> f64 {
    rng.random_range(1e-12..1.0)
}

/// The value of a column, if there is one.
fn known(outside: &Regressors, place: usize, index: usize) -> Option<f64> {
    outside.ahead.get(place)?.get(index).copied()
}

impl Fitted for Explained {
    /// The value enters the sums; the coefficients follow once enough of them have come.
    fn update(&mut self, observation: Observation<'_>) {
        let mut row = Vec::with_capacity(self.theta.len());
        let known = |place: usize| observation.regressors.get(place).copied();
        self.surface.frame.row(self.next, known, &mut row);
        self.next += 1;
        if !observation.value.is_finite() {
            return;
        }
        let value = self.surface.unit.into(observation.value);
        let value = value.clamp(self.bounds.0, self.bounds.1);
        let target = estimate::target(&self.surface, &mut row, &self.theta, value);
        self.sums.add(&row, target);
        self.fresh += 1;
        if self.fresh as f64 >= settings::PROPHET_FRESH * self.sums.count() {
            self.learn();
        }
    }

    fn forecast(&self, horizon: usize, ahead: &Regressors) -> Prediction {
        let (low, high) = self.bounds;
        let (rate, bend, now) = (self.surface.frame.changes.len() as f64, self.bend(), self.now());
        let mut deviations = Vec::with_capacity(horizon);
        let step = |(h, row): (usize, Vec<f64>)| {
            let point = self.surface.look(&row, &self.theta, 0.0);
            // The variance of the line when it bends on: rate · 2 bend² · ∫ (t − s)² ds.
            let ahead = self.surface.frame.time(self.next + h) - now;
            let line = rate * 2.0 * bend * bend * ahead.powi(3) / 3.0;
            let deviation =
                (self.variance + line * (point.steepness * point.by_trend).powi(2)).sqrt();
            deviations.push(self.surface.unit.back_change(deviation.min(high - low)));
            self.surface.unit.back(point.value().clamp(low, high))
        };
        let rows = self.rows_ahead(horizon, ahead);
        let centre = rows.into_iter().enumerate().map(step).collect();
        Prediction { centre, scale: Some(deviations) }
    }
}
