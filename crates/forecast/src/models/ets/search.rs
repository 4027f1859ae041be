//! Which form describes a series best, and with which weights.

use super::filter::{Seen, State, Weights};
use super::form::{Cycle, Form, Noise, Trend};
use super::start::start;
use crate::models::simplex::{self, Limits};
use crate::settings;

/// A form with its weights, the states after the last value, and how well it describes them.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) form: Form,
    pub(crate) period: usize,
    pub(crate) weights: Weights,
    pub(crate) state: State,
    pub(crate) criterion: f64,
}

/// The form with the lowest corrected information criterion (AICc, Hurvich and Tsai 1989).
///
/// Error and season are chosen first, without a trend; then the trend. `periods` are the
/// candidates for the season. `None` if there are too few values for any form.
pub(crate) fn best(seen: Seen<'_>, periods: &[usize]) -> Option<Candidate> {
    let positive = positive(seen.values);
    let try_out = |noise, trend, cycle, period, like: Option<&Candidate>| {
        let form = Form { noise, trend, cycle };
        if form.needs_positive() && !positive { None } else { fit(seen, form, period, like) }
    };
    let (added, relative) = (Noise::Additive, Noise::Multiplicative);
    let mut found = try_out(added, Trend::None, Cycle::None, 1, None);
    found = better(found, try_out(relative, Trend::None, Cycle::None, 1, None));
    for &period in periods {
        found = better(found, try_out(added, Trend::None, Cycle::Additive, period, None));
    }
    let plain = found.clone()?;
    if plain.form.cycle != Cycle::None {
        for cycle in [Cycle::Additive, Cycle::Multiplicative] {
            let next = try_out(relative, Trend::None, cycle, plain.period, Some(&plain));
            found = better(found, next);
        }
    }
    let flat = found.clone()?;
    let Form { noise, cycle, .. } = flat.form;
    for trend in [Trend::Damped, Trend::Additive] {
        found = better(found, try_out(noise, trend, cycle, flat.period, Some(&flat)));
    }
    found
}

/// The one with the lower criterion.
fn better(a: Option<Candidate>, b: Option<Candidate>) -> Option<Candidate> {
    [a, b].into_iter().flatten().min_by(|a, b| a.criterion.total_cmp(&b.criterion))
}

/// Whether all values are positive and none is near zero.
fn positive(values: &[f64]) -> bool {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter().all(|v| *v > 0.0 && *v > settings::LOG_FLOOR * mean)
}

/// The most likely weights of a form, sought from those of another one or from a grid.
fn fit(seen: Seen<'_>, form: Form, period: usize, like: Option<&Candidate>) -> Option<Candidate> {
    let count = seen.observed.iter().filter(|o| **o).count();
    let parameters = form.parameters(period);
    if count < parameters + settings::ETS_SPARE {
        return None;
    }
    let first = start(seen.values, form, period);
    let mut scratch = first.clone();
    let mut cost = |point: &[f64]| {
        scratch.clone_from(&first);
        scratch.likelihood(form, &weights(form, point), seen)
    };
    let origin = match like {
        Some(other) => point(form, &other.weights),
        None => grid(form, &mut cost),
    };
    let limits =
        Limits { evaluations: settings::ETS_EVALUATIONS, tolerance: settings::ETS_TOLERANCE };
    let (at, value) = simplex::minimise(&origin, settings::ETS_WIDTH, limits, &mut cost);
    let weights = weights(form, &at);
    let mut state = first;
    state.likelihood(form, &weights, seen);
    let (n, k) = (count as f64, parameters as f64);
    let criterion = value + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0);
    (value < f64::MAX && state.is_finite()).then_some(Candidate {
        form,
        period,
        weights,
        state,
        criterion,
    })
}

/// The best of a few starting points.
fn grid(form: Form, cost: &mut impl FnMut(&[f64]) -> f64) -> Vec<f64> {
    let mut best = (f64::INFINITY, Vec::new());
    let cycles: &[f64] = if form.cycle == Cycle::None { &[0.0] } else { &settings::ETS_CYCLES };
    for &level in &settings::ETS_LEVELS {
        for &cycle in cycles {
            let w = Weights {
                level,
                trend: settings::ETS_TREND * level,
                cycle: cycle * (1.0 - level),
                damping: settings::ETS_DAMPING,
            };
            let point = point(form, &w);
            let value = cost(&point);
            if value < best.0 || best.1.is_empty() {
                best = (value, point);
            }
        }
    }
    best.1
}

/// The weights at a point of the search: each coordinate is a logit of a share of its range, so
/// that the whole space is the usual region.
fn weights(form: Form, point: &[f64]) -> Weights {
    let share = |x: f64| {
        let x = 1.0 / (1.0 + (-x).exp());
        settings::ETS_EDGE + (1.0 - 2.0 * settings::ETS_EDGE) * x
    };
    let mut rest = point.iter().map(|x| share(*x));
    let mut next = || rest.next().unwrap_or(0.0);
    let level = next();
    let cycle = if form.cycle == Cycle::None { 0.0 } else { (1.0 - level) * next() };
    let trend = if form.trend == Trend::None { 0.0 } else { level * next() };
    let (low, high) = settings::ETS_DAMPING_RANGE;
    let damping = if form.trend == Trend::Damped { low + (high - low) * next() } else { 1.0 };
    Weights { level, trend, cycle, damping }
}

/// The point of the search at which these weights are; missing ones get their usual start.
fn point(form: Form, w: &Weights) -> Vec<f64> {
    let logit = |x: f64| {
        let x = x.clamp(0.01, 0.99);
        (x / (1.0 - x)).ln()
    };
    let mut point = vec![logit(w.level)];
    if form.cycle != Cycle::None {
        point.push(logit(w.cycle / (1.0 - w.level).max(settings::ETS_EDGE)));
    }
    if form.trend != Trend::None {
        let trend = if w.trend > 0.0 { w.trend / w.level } else { settings::ETS_TREND };
        point.push(logit(trend));
    }
    if form.trend == Trend::Damped {
        let (low, high) = settings::ETS_DAMPING_RANGE;
        let damping = if w.damping < 1.0 { w.damping } else { settings::ETS_DAMPING };
        point.push(logit((damping - low) / (high - low)));
    }
    point
}
