//! What the size of errors follows: nothing, the level, or the phase of a season.
//!
//! Forecasts that did not see the level shift are wrong from then on, all the same way and by many times the
//! usual size. These errors say how far the level went, not what errors follow, but outweigh all others, and by
//! chance fall on some phases of a season more than on others. So they are left out of the choice (not of the
//! calibration: the level may shift again).

use serde::{Deserialize, Serialize};

use super::Errors;
use crate::settings;

/// A factor per forecast value; errors divided by it are alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Normaliser {
    /// Errors have one size.
    Flat,
    /// The size grows with a power of the level; `floor` keeps it off zero.
    Level { power: f64, unit: f64, floor: f64 },
    /// The size follows the phase of a season.
    Phase { factors: Vec<f64> },
}

impl Normaliser {
    /// The factor of the value at absolute index `index` whose forecast is `centre`.
    pub(crate) fn factor(&self, index: usize, centre: f64) -> f64 {
        match self {
            Self::Flat => 1.0,
            Self::Level { power, unit, floor } => (centre.abs() / unit).max(*floor).powf(*power),
            Self::Phase { factors } => {
                let season = factors.len();
                factors[index % season]
            }
        }
    }

    /// The candidate under which past errors are most alike: the least mean of
    /// `ln b + |e| / b` with `b` proportional to the factor (the likelihood of Laplace errors).
    pub(crate) fn choose(past: &Errors, seasons: &[usize]) -> Self {
        let usual = Usual::of(past);
        let mut best = (f64::INFINITY, Self::Flat);
        for (candidate, penalty) in candidates(&usual, seasons) {
            let loss = candidate.loss(&usual) + penalty;
            if loss < best.0 {
                best = (loss, candidate);
            }
        }
        best.1
    }

    fn loss(&self, past: &Usual<'_>) -> f64 {
        let (mut logs, mut sizes, mut count) = (0.0, 0.0, 0usize);
        for (index, centre, error) in past.errors() {
            let factor = self.factor(index, centre);
            logs += factor.ln();
            sizes += error.abs() / factor;
            count += 1;
        }
        if count == 0 || sizes <= 0.0 {
            return 0.0;
        }
        let n = count as f64;
        logs / n + (sizes / n).ln()
    }
}

/// Past errors without those that a shift of the level made.
struct Usual<'a> {
    past: &'a Errors,
    /// How many steps of each origin count.
    until: Vec<usize>,
}

impl<'a> Usual<'a> {
    fn of(past: &'a Errors) -> Self {
        let mut usual = Self { past, until: vec![past.horizon(); past.count()] };
        for _ in 0..settings::SHIFT_ROUNDS {
            let (mut sum, mut count) = (0.0, 0usize);
            for (_, _, error) in usual.errors() {
                sum += error.abs();
                count += 1;
            }
            let mean = sum / count.max(1) as f64;
            let until = (0..past.count()).map(|o| shifted_from(past, o, mean)).collect();
            if usual.until == until {
                break;
            }
            usual.until = until;
        }
        usual
    }

    /// Index, what was said, and the error.
    fn errors(&self) -> impl Iterator<Item = (usize, f64, f64)> {
        let counts = |(o, h, _, _): &(usize, usize, f64, f64)| *h < self.until[*o];
        let known = self.past.known().filter(counts);
        known.map(|(o, h, centre, error)| (self.past.origins()[o] + h, centre, error))
    }
}

/// The step from which on an origin, as far as its values have come, was wrong one way only and by many times
/// the mean size of errors; the horizon where there is none.
fn shifted_from(past: &Errors, o: usize, mean: f64) -> usize {
    let horizon = past.horizon();
    let (mut from, mut sum, mut count) = (horizon, 0.0, 0usize);
    for h in (0..horizon).rev() {
        let error = past.error(o, h);
        if !error.is_finite() {
            continue;
        }
        if error == 0.0 || sum * error < 0.0 {
            break;
        }
        (from, sum, count) = (h, sum + error, count + 1);
    }
    let least = horizon.div_ceil(settings::SHIFT_PART).max(settings::SHIFT_LEAST);
    let shifted = count >= least && sum.abs() > settings::SHIFT_SIZE * mean * count as f64;
    if shifted { from } else { horizon }
}

/// The candidates, each with what it must be better by.
fn candidates(past: &Usual<'_>, seasons: &[usize]) -> Vec<(Normaliser, f64)> {
    let mut list = vec![(Normaliser::Flat, 0.0)];
    let (mut sum, mut count) = (0.0, 0usize);
    for (_, centre, _) in past.errors() {
        sum += centre.abs();
        count += 1;
    }
    let unit = sum / count.max(1) as f64;
    if unit > 0.0 && count >= settings::NORMALISER_LEAST {
        for power in [0.5, 1.0] {
            let level = Normaliser::Level { power, unit, floor: settings::LEVEL_FLOOR };
            list.push((level, settings::NORMALISER_MARGIN));
        }
    }
    for &season in seasons {
        if let Some(factors) = phase_factors(past, season) {
            list.push((Normaliser::Phase { factors }, settings::PHASE_MARGIN));
        }
    }
    list
}

/// The size of errors around each phase relative to all, drawn towards 1.
fn phase_factors(past: &Usual<'_>, season: usize) -> Option<Vec<f64>> {
    let (mut sums, mut counts) = (vec![0.0; season], vec![0.0; season]);
    let mut total = 0.0;
    for (index, _, error) in past.errors() {
        let phase = index % season;
        sums[phase] += error.abs();
        counts[phase] += 1.0;
        total += error.abs();
    }
    let count: f64 = counts.iter().sum();
    if count < settings::NORMALISER_LEAST as f64 || total <= 0.0 {
        return None;
    }
    let mean = total / count;
    let reach = season / settings::PHASE_SMOOTHING;
    let weight = settings::PHASE_SHRINKAGE * count / season as f64 * (2 * reach + 1) as f64;
    let factors = (0..season)
        .map(|phase| {
            let around = (0..=2 * reach).map(|k| (phase + season + k - reach) % season);
            let (sum, seen) = around.fold((0.0, 0.0), |(s, c), p| (s + sums[p], c + counts[p]));
            ((sum + weight * mean) / (seen + weight) / mean).max(settings::PHASE_LEAST)
        })
        .collect();
    Some(factors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(size: impl Fn(usize, f64) -> f64) -> Errors {
        let centre = |index: usize| 10.0 + (index % 7) as f64 * 20.0;
        let value = |index: usize| {
            let sign = ((index * 31) as f64 * 12.9898).sin();
            centre(index) + sign * size(index, centre(index))
        };
        let origins: Vec<usize> = (0..60).map(|o| 100 + 5 * o).collect();
        let said: Vec<Vec<f64>> =
            origins.iter().map(|o| (0..12).map(|h| centre(o + h)).collect()).collect();
        let values: Vec<f64> = (100..100 + 5 * 60 + 12).map(value).collect();
        Errors::new(origins, &said, &values)
    }

    #[test]
    fn errors_that_grow_with_the_level_are_seen() {
        let chosen = Normaliser::choose(&errors(|_, centre| centre), &[]);
        assert!(matches!(chosen, Normaliser::Level { power: 1.0, .. }), "{chosen:?}");
        assert_eq!(Normaliser::choose(&errors(|_, _| 3.0), &[]), Normaliser::Flat);
    }

    #[test]
    fn errors_that_follow_the_phase_are_seen() {
        let chosen = Normaliser::choose(&errors(|i, _| if i % 4 == 0 { 9.0 } else { 1.0 }), &[4]);
        let Normaliser::Phase { factors } = chosen else { panic!("{chosen:?}") };
        assert!(factors[0] > 2.0 * factors[1]);
    }

    const SEASON: usize = 24;

    /// Errors of a tenth of the level, and of what a level that shifts at `shift` makes.
    fn with_shift(shift: usize, by: f64) -> Errors {
        let profile = |index: usize| 10.0 + (index % SEASON) as f64 * 2.0;
        let level = |index: usize| if index < shift { 1.0 } else { by };
        let noise = |index: usize| ((index * 31) as f64 * 12.9898).sin();
        let origins: Vec<usize> = (0..60).map(|o| 105 + 5 * o).collect();
        let row = |o: &usize| (0..SEASON).map(|h| level(*o) * profile(o + h)).collect();
        let said: Vec<Vec<f64>> = origins.iter().map(row).collect();
        let value = |index: usize| level(index) * profile(index) * (1.0 + 0.1 * noise(index));
        let values: Vec<f64> = (105..105 + 5 * 60 + SEASON).map(value).collect();
        Errors::new(origins, &said, &values)
    }

    #[test]
    fn a_shift_of_the_level_does_not_look_like_a_phase() {
        for by in [0.4, 2.0] {
            let chosen = Normaliser::choose(&with_shift(250, by), &[SEASON]);
            assert!(matches!(chosen, Normaliser::Level { power: 1.0, .. }), "{by}: {chosen:?}");
        }
    }

    #[test]
    fn only_what_a_shift_made_is_left_out() {
        let none = with_shift(usize::MAX, 1.0);
        assert_eq!(Usual::of(&none).errors().count(), 60 * SEASON);
        let past = with_shift(250, 2.0);
        let usual = Usual::of(&past);
        for (o, origin) in past.origins().iter().enumerate() {
            let until = usual.until[o];
            if *origin < 250 && origin + SEASON >= 250 + settings::SHIFT_LEAST {
                // With a few before it that were wrong the same way by chance.
                assert!((0..=4).contains(&(250 - origin - until)), "{origin}: {until}");
            } else {
                assert_eq!(until, SEASON, "{origin}");
            }
        }
    }
}
