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
        let of_step = |(ranks, units): (&Vec<u32>, &Vec<f64>)| -> Vec<f64> {
            ranks.iter().map(|rank| units[*rank as usize]).collect()
        };
        let errors: Vec<Vec<f64>> = ranks.iter().zip(units).map(of_step).collect();
        let margin = if best.0.is_finite() { 1.0 + settings::LOOSENESS_MARGIN } else { 1.0 };
        let each = past.iter().map(|came| losses(came, &errors));
        let [short, whole] =
            each.fold([0.0, 0.0], |sum, each| [sum[0] + each[0], sum[1] + each[1]]);
        let found = short + whole;
        if found * margin < best.0 {
            best = (found, candidate);
        }
    }
    best.1
}

/// The pinball losses of the quantiles of the maximum over the first quarter of the steps and over all of them; zero
/// where too little came. `errors[h][path]` is the error of each path at step `h`, in units of its size.
fn losses(came: &Came, errors: &[Vec<f64>]) -> [f64; 2] {
    let steps = came.values.len();
    let windows = [steps.div_ceil(4), steps];
    let mut found = [0.0; 2];
    let (mut known, mut actual) = (0, f64::NEG_INFINITY);
    let mut maxima = [f64::NEG_INFINITY; settings::WINDOW_PATHS];
    for (h, errors) in errors.iter().enumerate() {
        let (value, centre, size) = (came.values[h], came.centres[h], came.sizes[h]);
        if value.is_finite() {
            known += 1;
            actual = f64::max(actual, value);
            for (most, error) in maxima.iter_mut().zip(errors) {
                let here = centre + size * error;
                *most = if here > *most { here } else { *most };
            }
        }
        for (found, window) in found.iter_mut().zip(windows) {
            if h + 1 == window && f64::from(known) >= settings::TEMPLATE_SHARE * window as f64 {
                *found = loss(actual, maxima);
            }
        }
    }
    found
}

fn loss(actual: f64, mut maxima: [f64; settings::WINDOW_PATHS]) -> f64 {
    maxima.sort_unstable_by(f64::total_cmp);
    let at = |level: f64| crate::quantile::of_sorted(&maxima, level);
    settings::WINDOW_LEVELS.iter().map(|l| metrics::pinball(actual, at(*l), *l)).sum()
}
