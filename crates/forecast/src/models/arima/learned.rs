//! One way of differencing with its orders and parameters: how it is found, and how it is run.

use std::collections::VecDeque;

use super::design::{self, Design};
use super::estimate::{self, Sample};
use super::filter::Filter;
use super::orders::{Orders, Part};
use super::polynomial::Polynomial;
use super::running::Running;
use super::search::{self, Room};
use super::stationarity;
use crate::models::{Regressors, scale};
use crate::settings;

/// A stretch of the history, scaled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Data<'a> {
    pub(super) values: &'a [f64],
    /// Which values were really seen.
    pub(super) seen: &'a [bool],
    /// Absolute index of the first value.
    pub(super) first: usize,
    pub(super) outside: &'a Regressors,
    pub(super) scale: scale::Fitted,
}

impl<'a> Data<'a> {
    /// The first `end` values.
    pub(super) fn until(self, end: usize) -> Self {
        Self { values: &self.values[..end], seen: &self.seen[..end], ..self }
    }

    /// The raw values of the outside columns at a step; `NaN` where none is known.
    pub(super) fn outside_at(&self, t: usize) -> Vec<f64> {
        let at = |column: &Vec<f64>| column.get(self.first + t).copied().unwrap_or(f64::NAN);
        self.outside.ahead.iter().map(at).collect()
    }

    /// The outside columns from step `t` on, as a forecast from there would be told.
    pub(super) fn regressors(&self, t: usize, length: usize) -> Regressors {
        let from = self.first + t;
        let part = |column: &Vec<f64>| {
            column.iter().skip(from).take(length).copied().collect::<Vec<f64>>()
        };
        Regressors { ahead: self.outside.ahead.iter().map(part).collect(), past: Vec::new() }
    }
}

/// How the seasons enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// The season of a seasonal difference.
    pub(super) difference: Option<usize>,
    /// The seasons that have terms of their own.
    pub(super) terms: Vec<usize>,
}

/// A shape with its differences, orders and free numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Learned {
    shape: Shape,
    /// Plain differences.
    plain: usize,
    orders: Orders,
    free: Vec<f64>,
}

/// The regression behind the differences.
struct Frame {
    design: Design,
    difference: Polynomial,
    /// The columns of the design, and the same differenced (with the constant, if there is one).
    raw: Vec<Vec<f64>>,
    columns: Vec<Vec<f64>>,
    constant: bool,
    target: Vec<f64>,
    seen: Vec<bool>,
}

impl Frame {
    /// A constant stands only where nothing is differenced: a drift over a day of steps does more
    /// harm than good.
    fn of(shape: &Shape, plain: usize, data: Data<'_>) -> Self {
        let n = data.values.len();
        let mut design = Design::new(data.outside, data.first, n);
        let raw = design.columns(data.outside, data.first, n);
        let seasonal = shape.difference.map_or(Polynomial::one(), Polynomial::difference);
        let difference = (0..plain).fold(seasonal, |d, _| d.times(&Polynomial::difference(1)));
        let target = difference.apply(data.values);
        let constant = difference.degree() == 0;
        let columns = design::differenced(&raw, &difference, target.len(), constant);
        let seen = data.seen[difference.degree().min(n)..].to_vec();
        Self { design, difference, raw, columns, constant, target, seen }
    }

    /// What least squares leave of the target.
    fn rest(&self) -> Vec<f64> {
        let beta = design::regress(&self.target, &self.columns, &self.seen);
        design::without(&self.target, &self.columns, &beta)
    }
}

impl Learned {
    /// Searches for orders.
    pub(super) fn search(shape: Shape, data: Data<'_>) -> Option<Self> {
        let level = Frame::of(&shape, 0, data);
        let plain = stationarity::differences(&level.rest(), settings::ARIMA_DIFFERENCES);
        let frame = Frame::of(&shape, plain, data);
        let rest = frame.rest();
        let affordable = settings::ARIMA_SEARCH_WORK / rest.len().max(1);
        let models = affordable.clamp(settings::ARIMA_MODELS_LEAST, settings::ARIMA_MODELS_MOST);
        let room = Room { seasons: shape.terms.clone(), models };
        let found = search::stepwise(Sample { values: &rest, seen: &frame.seen }, &room)?;
        Some(Self { shape, plain, orders: found.orders, free: found.free })
    }

    /// The same orders, with parameters for other data: of greatest likelihood where that is
    /// affordable and every value was seen, else of least conditional squares.
    pub(super) fn refine(mut self, data: Data<'_>) -> Option<Self> {
        let frame = Frame::of(&self.shape, self.plain, data);
        let rest = frame.rest();
        let sample = Sample { values: &rest, seen: &frame.seen };
        self.free = estimate::least_squares(sample, &self.orders, self.free)?.free;
        let work = self.orders.state().saturating_mul(rest.len());
        if work <= settings::ARIMA_EXACT_WORK && frame.seen.iter().all(|seen| *seen) {
            let exact = estimate::likelihood(&rest, &self.orders, self.free.clone());
            self.free = exact.map_or(self.free, |estimate| estimate.free);
        }
        Some(self)
    }

    /// The filter before the first value. Where rounding leaves none, since the roots of several
    /// factors crowd near the unit circle, they are drawn away from it until there is one.
    fn filter(&self) -> Option<(Vec<f64>, Filter)> {
        let mut free = self.free.clone();
        for _ in 0..settings::ARIMA_RETREATS {
            if let Some(filter) = self.orders.filter(&free) {
                return Some((free, filter));
            }
            free.iter_mut().for_each(|z| *z *= settings::ARIMA_RETREAT);
        }
        None
    }

    /// The model after all values of the data. Coefficients by generalised least squares (the filter makes the errors of target and
    /// columns white: Harvey and Phillips, Biometrika 66, 1979), then one pass over the values.
    pub(super) fn run(&self, data: Data<'_>) -> Option<Running> {
        let frame = Frame::of(&self.shape, self.plain, data);
        if frame.target.is_empty() {
            return None;
        }
        let (free, start) = self.filter()?;
        let factors = self.orders.factors(&free);
        let (ar, ma) = (factors.autoregression(), factors.moving_average());
        let target = start.whitened(&frame.target);
        let columns: Vec<Vec<f64>> = frame.columns.iter().map(|c| start.whitened(c)).collect();
        let mut beta = design::regress(&target, &columns, &frame.seen);
        let errors = design::without(&target, &columns, &beta);
        let squares: f64 = errors.iter().map(|e| e * e).sum();
        let deviation = (squares / errors.len().max(1) as f64).sqrt();
        let constant = if frame.constant { beta.pop()? } else { 0.0 };
        let reach = frame.difference.degree();
        let head = design::without(&data.values[..reach], &frame.raw, &beta);
        let (low, high) = range(data.values);
        let room = settings::RANGE_ROOM * (high - low);
        let mut running = Running {
            scale: data.scale,
            bounds: (low - room, high + room),
            design: frame.design,
            beta,
            constant,
            difference: frame.difference,
            ar,
            ma,
            deviation,
            filter: start,
            tail: VecDeque::from(head),
        };
        for (t, value) in data.values.iter().enumerate().skip(reach) {
            running.push(*value, &data.outside_at(t));
        }
        Some(running)
    }
}

/// The mean square of the errors of a simple model of the shape; `None` if it has none above zero.
pub(super) fn pilot(shape: &Shape, data: Data<'_>) -> Option<f64> {
    let frame = Frame::of(shape, 0, data);
    let rest = frame.rest();
    let mut parts = vec![Part { stride: 1, ar: 1, ma: 1 }];
    parts.extend(shape.difference.map(|stride| Part { stride, ar: 0, ma: 1 }));
    let orders = Orders(parts);
    let sample = Sample { values: &rest, seen: &frame.seen };
    let estimate = estimate::least_squares(sample, &orders, orders.start())?;
    (estimate.variance > 0.0).then_some(estimate.variance)
}

fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)))
}
