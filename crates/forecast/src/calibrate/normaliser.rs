//! What the size of errors follows: nothing, the level, or the phase of a season.
//!
//! After a shift of the level, forecasts from before it are wrong by many times the usual size, and
//! by chance at some phases more than at others. Their errors must not decide what the others
//! follow: in the likelihood, sizes beyond a multiple of the mean count as that multiple
//! (winsorising: Huber, "Robust Statistics", 1981). Under a candidate that expects large errors
//! somewhere, they are not beyond it there.

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
    /// `ln b + |e| / b` with `b` proportional to the factor (the likelihood of Laplace errors),
    /// where no size counts for more than [`settings::NORMALISER_CLIP`] times the mean.
    pub(crate) fn choose(past: &Errors, seasons: &[usize]) -> Self {
        let mut best = (f64::INFINITY, Self::Flat);
        for (candidate, penalty) in candidates(past, seasons) {
            let loss = candidate.loss(past) + penalty;
            if loss < best.0 {
                best = (loss, candidate);
            }
        }
        best.1
    }

    fn loss(&self, past: &Errors) -> f64 {
        let (mut logs, mut sizes) = (0.0, Vec::new());
        for (o, h, centre, error) in past.known() {
            let factor = self.factor(past.origins()[o] + h, centre);
            logs += factor.ln();
            sizes.push(error.abs() / factor);
        }
        let mean = winsorised_mean(&sizes);
        if mean > 0.0 { logs / sizes.len() as f64 + mean.ln() } else { 0.0 }
    }
}

/// The mean of sizes, those beyond [`settings::NORMALISER_CLIP`] times the mean as that; 0 of none.
/// Rounds come near the mean that this says of itself, and cannot go on to 0 where most sizes are.
fn winsorised_mean(sizes: &[f64]) -> f64 {
    let mean = |most: f64| {
        let sum: f64 = sizes.iter().map(|size| if *size < most { *size } else { most }).sum();
        sum / sizes.len().max(1) as f64
    };
    let plain = sizes.iter().sum::<f64>() / sizes.len().max(1) as f64;
    (0..settings::NORMALISER_ROUNDS).fold(plain, |found, _| mean(settings::NORMALISER_CLIP * found))
}

/// The candidates, each with what it must be better by.
fn candidates(past: &Errors, seasons: &[usize]) -> Vec<(Normaliser, f64)> {
    let mut list = vec![(Normaliser::Flat, 0.0)];
    let (mut sum, mut count) = (0.0, 0usize);
    for (_, _, centre, _) in past.known() {
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
fn phase_factors(past: &Errors, season: usize) -> Option<Vec<f64>> {
    let (mut sums, mut counts) = (vec![0.0; season], vec![0.0; season]);
    let mut total = 0.0;
    for (o, h, _, error) in past.known() {
        let phase = (past.origins()[o] + h) % season;
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

    /// Errors of a tenth of the level, but for one origin in twelve, which did not see a shift come:
    /// they are wrong by half of what came from it on, and more of them soon after it than later.
    #[test]
    fn a_shift_of_the_level_does_not_look_like_a_phase() {
        let season = 24;
        let profile = |index: usize| 10.0 + (index % season) as f64 * 2.0;
        let level = |index: usize| if index < 250 { 1.0 } else { 2.0 };
        let noise = |index: usize| ((index * 31) as f64 * 12.9898).sin();
        let origins: Vec<usize> = (0..60).map(|o| 105 + 5 * o).collect();
        let row = |o: &usize| (0..season).map(|h| level(*o) * profile(o + h)).collect();
        let said: Vec<Vec<f64>> = origins.iter().map(row).collect();
        let value = |index: usize| level(index) * profile(index) * (1.0 + 0.1 * noise(index));
        let values: Vec<f64> = (105..105 + 5 * 60 + season).map(value).collect();
        let chosen = Normaliser::choose(&Errors::new(origins, &said, &values), &[season]);
        assert!(matches!(chosen, Normaliser::Level { power: 1.0, .. }), "{chosen:?}");
    }

    #[test]
    fn wild_sizes_count_for_little_and_usual_ones_fully() {
        let mut sizes = vec![1.0; 95];
        assert_eq!(winsorised_mean(&sizes), 1.0);
        sizes.extend([1e6; 5]);
        let found = winsorised_mean(&sizes);
        assert!(found < 1e6 * 0.05 * 0.05, "{found}");
        assert_eq!(winsorised_mean(&[]), 0.0);
        // Where most are 0 the others are the mean, not nothing.
        assert!(winsorised_mean(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]) > 0.0);
    }
}
