//! How tightly the steps of a path hang together, judged by what is decided on.
//!
//! Planning reads the maximum over a window. It is only as good as the dependence of the paths:
//! where spikes come alone, paths made from few past origins have too few of them, and the
//! maximum is put too low. So the scores of a path may be loosened by noise of their own,
//! `√(1 − λ) z + √λ ε`: `λ = 0` is the dependence of past errors, `λ = 1` none. The `λ` is taken
//! that puts the quantiles of past maxima best, by pinball loss (over the whole horizon and over
//! its first quarter); the marginals stay what they are.

use super::Templates;
use crate::metrics;
use crate::settings;

/// What came at one past origin, beside what was said.
pub(crate) struct Came {
    /// The values of the steps, `NaN` where nothing came.
    pub(crate) values: Vec<f64>,
    /// What was expected.
    pub(crate) centres: Vec<f64>,
    /// The size of errors, by the calibration of now.
    pub(crate) sizes: Vec<f64>,
}

/// The levels of the ranks that the choice is made with.
pub(crate) fn rank_levels() -> impl Iterator<Item = f64> {
    (0..settings::WINDOW_PATHS).map(|k| (k as f64 + 0.5) / settings::WINDOW_PATHS as f64)
}

/// The looseness under which the maxima of the past are foreseen best. `units[h][rank]` is the
/// calibrated error of each rank ([`rank_levels`]) at step `h`, in units of its size.
pub(crate) fn looseness(templates: &Templates, past: &[Came], units: &[Vec<f64>]) -> f64 {
    let steps = past.first().map_or(0, |came| came.values.len());
    if past.len() < settings::TEMPLATES_LEAST || steps < 2 {
        return 0.0;
    }
    let mut best = (f64::INFINITY, 0.0);
    for candidate in settings::LOOSENESS {
        let ranks = templates.ranks(steps, settings::WINDOW_PATHS, 0, candidate);
        let margin = if best.0.is_finite() { 1.0 + settings::LOOSENESS_MARGIN } else { 1.0 };
        let found: f64 = [steps.div_ceil(4), steps]
            .into_iter()
            .map(|window| {
                past.iter().filter_map(|came| loss(came, &ranks, units, window)).sum::<f64>()
            })
            .sum();
        if found * margin < best.0 {
            best = (found, candidate);
        }
    }
    best.1
}

/// The pinball loss of the quantiles of the maximum over the first `window` steps; `None` if
/// too little of it came.
fn loss(came: &Came, ranks: &[Vec<u32>], units: &[Vec<f64>], window: usize) -> Option<f64> {
    let known: Vec<usize> = (0..window).filter(|h| came.values[*h].is_finite()).collect();
    if (known.len() as f64) < settings::TEMPLATE_SHARE * window as f64 {
        return None;
    }
    let most = |each: &mut dyn Iterator<Item = f64>| each.fold(f64::NEG_INFINITY, f64::max);
    let actual = most(&mut known.iter().map(|h| came.values[*h]));
    let mut maxima: Vec<f64> = (0..settings::WINDOW_PATHS)
        .map(|path| {
            let value =
                |h: &usize| came.centres[*h] + came.sizes[*h] * units[*h][ranks[*h][path] as usize];
            most(&mut known.iter().map(value))
        })
        .collect();
    maxima.sort_by(f64::total_cmp);
    let at = |level: f64| crate::quantile::of_sorted(&maxima, level);
    Some(settings::WINDOW_LEVELS.iter().map(|l| metrics::pinball(actual, at(*l), *l)).sum())
}
