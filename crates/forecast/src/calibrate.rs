//! Intervals from the errors that were really made (split conformal prediction, per horizon).
//!
//! Past errors are divided by a scale (how large errors are so many steps ahead, at this level
//! or phase of the season). What remains has one shape per band of horizons, read off as an
//! empirical quantile function, the lower and the upper side apart. Sources: Lei, G'Sell,
//! Rinaldo, Tibshirani and Wasserman, "Distribution-free predictive inference for regression",
//! JASA 113, 2018 (locally weighted scores); the Student factor for few independent blocks of
//! origins is that of a mean from a small sample. [`adaptive`] lets the shapes follow what comes.
//! Lower bounds of saturated samples count as what Efron's redistribution makes of them.

use serde::{Deserialize, Serialize};

use crate::quantile;
use crate::settings;

mod adaptive;
mod errors;
mod heat;
mod normaliser;
mod shape;

pub use adaptive::Adaptation;
pub(crate) use adaptive::Seen;
use adaptive::Tracker;
pub(crate) use errors::Errors;
use heat::Heat;
use normaliser::Normaliser;
use shape::Shape;

/// The interval that history may justify at most, and the least value that makes sense.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Bounds {
    /// Bounds from the history: its range, and as much again as [`settings::WIDTH_CAP`] says;
    /// never below zero if the history is not.
    pub(crate) fn of(values: &[f64]) -> Self {
        let finite = values.iter().filter(|v| v.is_finite());
        let (low, high) =
            finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let size = (high - low).max(0.5 * high.abs());
        let room = settings::WIDTH_CAP * size;
        let least = if low >= 0.0 { (low - room).max(0.0) } else { low - room };
        Self { least, most: high + room }
    }

    /// Whether a value lies further beyond the bounds than they are apart.
    pub(crate) fn is_far_outside(&self, value: f64) -> bool {
        let width = self.most - self.least;
        width > 0.0 && (value > self.most + width || value < self.least - width)
    }

    pub(crate) fn clamp(&self, value: f64) -> f64 {
        if value.is_finite() { value.clamp(self.least, self.most) } else { self.least }
    }
}

/// Calibrated quantiles that follow what comes: shapes from the past, and offsets that are
/// learned from every new value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Calibrator {
    base: Calibration,
    tracker: Tracker,
    /// The shapes with their offsets, one per band.
    shapes: Vec<Shape>,
}

impl Calibrator {
    /// Learns from past errors. The offsets begin at zero: the shapes know these errors already,
    /// and offsets that lived through them once more made intervals worse (measured).
    pub(crate) fn learn(rule: Adaptation, past: &Errors, seasons: &[usize]) -> Self {
        let base = Calibration::learn(past, seasons);
        let tracker = Tracker::new(rule, base.horizon());
        let shapes = tracker.shapes(&base.shapes);
        Self { base, tracker, shapes }
    }

    /// Renews the shapes from newer errors; the offsets stay.
    pub(crate) fn renew(&mut self, past: &Errors, seasons: &[usize]) {
        self.base = Calibration::learn(past, seasons);
        self.shapes = self.tracker.shapes(&self.base.shapes);
    }

    /// Whether a forecast from `index` should be handed to [`Calibrator::issue`].
    pub(crate) fn due(&self, index: usize) -> bool {
        self.tracker.due(index)
    }

    /// Takes note of what is expected from `origin` on, to learn from it when the values come.
    pub(crate) fn issue(&mut self, origin: usize, centres: &[f64]) {
        self.tracker.issue(origin, centres, &self.base);
    }

    /// Learns from the value at `index`; call it for every index in turn, gaps left out.
    pub(crate) fn observe(&mut self, index: usize, seen: Seen, cap: Bounds) {
        if let Some(size) = self.tracker.observe(index, seen, &self.base, cap) {
            self.base.heat.observe(size);
        }
        self.shapes = self.tracker.shapes(&self.base.shapes);
    }

    /// How many steps were calibrated.
    pub(crate) fn horizon(&self) -> usize {
        self.base.horizon()
    }

    /// The quantile at normal score `score` of the value at `index`, `ahead` steps ahead.
    pub(crate) fn quantile(&self, index: usize, ahead: usize, centre: f64, score: f64) -> f64 {
        let band = band_of(ahead.min(self.base.scale.len() - 1)).min(self.shapes.len() - 1);
        centre + self.base.size(index, ahead, centre) * self.shapes[band].at(score)
    }

    /// The mean size of the error `ahead` steps ahead, in the unit of the series.
    pub(crate) fn size(&self, index: usize, ahead: usize, centre: f64) -> f64 {
        self.base.size(index, ahead, centre)
    }

    /// The calibrated error at each of the normal `scores`, in units of its size, per step.
    pub(crate) fn units(&self, scores: &[f64]) -> Vec<Vec<f64>> {
        let bands: Vec<Vec<f64>> = self
            .shapes
            .iter()
            .map(|shape| scores.iter().map(|score| shape.at(*score)).collect())
            .collect();
        let last = bands.len() - 1;
        (0..self.horizon()).map(|h| bands[band_of(h).min(last)].clone()).collect()
    }

    /// The size of the error that the past origin in place `o` made `ahead` steps ahead, at the
    /// heat of then.
    pub(crate) fn past_size(&self, past: &Errors, o: usize, ahead: usize) -> f64 {
        let (index, centre) = (past.origins()[o] + ahead, past.centre(o, ahead));
        self.base.heats[o] * self.base.usual_size(index, ahead, centre)
    }
}

/// How wrong the forecaster is, by horizon.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Calibration {
    /// The size of errors per step ahead, in the unit of the series over the normaliser.
    scale: Vec<f64>,
    /// How the size grows beyond the last calibrated step: the exponent of the horizon.
    growth: f64,
    normaliser: Normaliser,
    heat: Heat,
    /// What the heat was at each past origin.
    heats: Vec<f64>,
    shapes: Vec<Shape>,
}

impl Calibration {
    /// Learns from past errors. `seasons` are the periods that the size of errors may follow.
    fn learn(past: &Errors, seasons: &[usize]) -> Self {
        let horizon = past.horizon().max(1);
        let normaliser = Normaliser::choose(past, seasons);
        let (scores, floors) = scores(past, &normaliser, horizon);
        let (scale, _) = scale_by_step(&scores, horizon);
        let (heat, heats) = Heat::learn(past, &over(&scores, |_, h| scale[h]));
        let scores = over(&scores, |o, _| heats[o]);
        let (scale, known) = scale_by_step(&scores, horizon);
        let growth = growth(&scale, known);
        let span = past.origins().last().zip(past.origins().first()).map_or(0, |(l, f)| l - f);
        let shapes = bands(horizon)
            .into_iter()
            .map(|(from, to)| {
                let mut pool: Vec<f64> = scores
                    .iter()
                    .flat_map(|row| (from..to).map(|h| row[h] / scale[h]))
                    .filter(|u| u.is_finite())
                    .collect();
                let bounds = floors.iter().filter(|floor| (from..to).contains(&floor.ahead));
                let unit = |floor: &Floor| floor.score / heats[floor.origin] / scale[floor.ahead];
                redistribute(&mut pool, bounds.map(unit).collect());
                let middle = (from + to).div_ceil(2).max(1);
                let blocks = (span as f64 / middle as f64).min(past.count() as f64);
                Shape::of(&mut pool, settings::FREEDOM_PER_BLOCK * blocks)
            })
            .collect();
        Self { scale, growth, normaliser, heat, heats, shapes }
    }

    /// How many steps were calibrated.
    fn horizon(&self) -> usize {
        self.scale.len()
    }

    /// The size of an error `ahead` steps ahead (0 is the next step) at absolute index `index`.
    fn size(&self, index: usize, ahead: usize, centre: f64) -> f64 {
        self.heat.factor() * self.usual_size(index, ahead, centre)
    }

    /// The same at the usual heat.
    fn usual_size(&self, index: usize, ahead: usize, centre: f64) -> f64 {
        let last = self.scale.len() - 1;
        let scale = if ahead <= last {
            self.scale[ahead]
        } else {
            self.scale[last] * ((ahead + 1) as f64 / (last + 1) as f64).powf(self.growth)
        };
        scale * self.normaliser.factor(index, centre)
    }
}

/// Rows over what `by` says of each origin and step.
fn over(rows: &[Vec<f64>], by: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
    let row = |(o, row): (usize, &Vec<f64>)| {
        row.iter().enumerate().map(|(h, value)| value / by(o, h)).collect()
    };
    rows.iter().enumerate().map(row).collect()
}

/// The lower bound of an error.
struct Floor {
    /// The place of its origin.
    origin: usize,
    ahead: usize,
    score: f64,
}

/// Errors over their factor, one row per origin, `NaN` where the value was a lower bound; and
/// the lower bounds of errors.
fn scores(past: &Errors, normaliser: &Normaliser, horizon: usize) -> (Vec<Vec<f64>>, Vec<Floor>) {
    let mut floors = Vec::new();
    let mut scores = vec![vec![f64::NAN; horizon]; past.count()];
    for (o, (origin, row)) in past.origins().iter().zip(&mut scores).enumerate() {
        for (h, slot) in row.iter_mut().enumerate().take(past.horizon()) {
            let score = past.error(o, h) / normaliser.factor(origin + h, past.centre(o, h));
            if !past.is_floor(origin + h) {
                *slot = score;
            } else if score.is_finite() {
                floors.push(Floor { origin: o, ahead: h, score });
            }
        }
    }
    (scores, floors)
}

/// Adds lower bounds to a pool of errors: each stands for one of the errors above it, in turn
/// (the redistribution to the right of Efron 1967, which gives the estimate of Kaplan and
/// Meier), or for itself where there is none.
fn redistribute(pool: &mut Vec<f64>, mut bounds: Vec<f64>) {
    if bounds.is_empty() {
        return;
    }
    pool.sort_by(f64::total_cmp);
    bounds.sort_by(f64::total_cmp);
    let known = pool.len();
    for (k, bound) in bounds.into_iter().enumerate() {
        let above = pool[..known].partition_point(|u| *u <= bound);
        // The golden ratio spreads the places evenly.
        let share = (k as f64 * 0.618_033_988_75 + 0.5).fract();
        let place = above + (share * (known - above) as f64) as usize;
        pool.push(if place < known { pool[place] } else { bound });
    }
}

/// The mean size of errors per step, smoothed over neighbouring steps; and how many steps have
/// errors at all. Steps without errors get the growth of a random walk.
fn scale_by_step(scores: &[Vec<f64>], horizon: usize) -> (Vec<f64>, usize) {
    let mut sums = vec![(0.0, 0usize); horizon];
    for row in scores {
        for (sum, score) in sums.iter_mut().zip(row) {
            if score.is_finite() {
                *sum = (sum.0 + score.abs(), sum.1 + 1);
            }
        }
    }
    let known = sums.iter().rposition(|(_, count)| *count > 0).map_or(0, |last| last + 1);
    if known == 0 {
        return (vec![f64::MIN_POSITIVE; horizon], 0);
    }
    let mut scale = vec![0.0; horizon];
    for (h, slot) in scale.iter_mut().enumerate().take(known) {
        let reach = h / settings::SCALE_SMOOTHING;
        let (sum, count) = sums[h - reach.min(h)..(h + reach + 1).min(known)]
            .iter()
            .fold((0.0, 0usize), |(s, c), (t, d)| (s + t, c + d));
        *slot = if count > 0 { sum / count as f64 } else { 0.0 };
    }
    for h in known..horizon {
        scale[h] = scale[known - 1] * ((h + 1) as f64 / known as f64).sqrt();
    }
    for value in &mut scale {
        *value = value.max(f64::MIN_POSITIVE);
    }
    (scale, known)
}

/// The exponent by which errors grew over the last half of the calibrated steps.
fn growth(scale: &[f64], known: usize) -> f64 {
    if known < settings::GROWTH_STEPS {
        return 0.5;
    }
    let (half, last) = (scale[known / 2 - 1], scale[known - 1]);
    ((last / half).ln() / (known as f64 / (known / 2) as f64).ln()).clamp(0.0, 0.5)
}

/// Bands of steps that share a shape: 1, 2–3, 4–7, …
fn bands(horizon: usize) -> Vec<(usize, usize)> {
    let mut bands = Vec::new();
    let mut from = 0;
    while from < horizon {
        let to = (2 * from + 1).min(horizon);
        bands.push((from, to));
        from = to;
    }
    // A short last band shares the shape of the one before.
    if let [.., (start, _), (from, to)] = bands[..]
        && to - from < (from - start) / 2
    {
        bands.pop();
        let last = bands.len() - 1;
        bands[last] = (start, to);
    }
    bands
}

fn band_of(ahead: usize) -> usize {
    (usize::BITS - 1 - (ahead + 1).leading_zeros()) as usize
}

/// The normal score of a level.
pub(crate) fn score(level: f64) -> f64 {
    quantile::normal(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Errors of the last value of a random walk: their size grows with the square root of the
    /// horizon.
    fn past(origins: usize, horizon: usize, seed: u64) -> Errors {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut walk = vec![50.0];
        for i in 0..11 * origins + horizon {
            walk.push(walk[i] + quantile::normal(rng.random_range(1e-12..1.0)));
        }
        let said: Vec<Vec<f64>> = (0..origins).map(|o| vec![walk[11 * o]; horizon]).collect();
        Errors::new((0..origins).map(|o| 1_000 + 11 * o).collect(), &said, &walk[1..])
    }

    /// One walk has few independent stretches, so the mean over many is what must be right.
    #[test]
    fn widths_follow_the_errors_at_every_step_and_grow_beyond() {
        let many: Vec<Calibrator> = (0..40)
            .map(|seed| Calibrator::learn(Adaptation::Quantiles, &past(70, 48, seed), &[24]))
            .collect();
        for h in [0, 5, 15, 30] {
            let upper = |c: &Calibrator| c.quantile(2_000, h, 50.0, score(0.95)) - 50.0;
            let upper = many.iter().map(upper).sum::<f64>() / many.len() as f64;
            let wanted = 1.645 * ((h + 1) as f64).sqrt();
            assert!((0.9..1.25).contains(&(upper / wanted)), "step {h}: {upper} not {wanted}");
        }
    }

    #[test]
    fn without_errors_at_far_steps_the_width_still_grows() {
        let mut past = past(6, 10, 2);
        for origin in past.origins().to_vec() {
            (3..10).for_each(|h| past.came(origin + h, Seen::Value(f64::NAN)));
        }
        let calibration = Calibrator::learn(Adaptation::Quantiles, &past, &[]);
        let width = |h: usize| calibration.quantile(0, h, 50.0, 1.645) - 50.0;
        assert!(width(9) > 1.2 * width(2), "{} {}", width(9), width(2));
        assert!(width(30) > width(9));
    }

    #[test]
    fn bounds_keep_what_was_never_negative_so() {
        let bounds = Bounds::of(&[0.0, 10.0, f64::NAN]);
        assert_eq!(bounds.clamp(-5.0), 0.0);
        assert_eq!(bounds.clamp(f64::NAN), 0.0);
        assert!(bounds.clamp(1e9) <= 10.0 + settings::WIDTH_CAP * 10.0);
        assert!(Bounds::of(&[-1.0, 1.0]).clamp(-5.0) < -1.0);
    }
}
