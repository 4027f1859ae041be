//! The tail of the paths beyond what they show by themselves, by peaks over a threshold.
//!
//! Above a high threshold excesses of nearly every distribution are nearly generalised Pareto
//! (Balkema and de Haan 1974, Pickands 1975). Its shape and scale are estimated by probability-weighted
//! moments (Hosking and Wallis 1987); a tail that would end below the largest sample ends there
//! (Dupuis and Tsao 1998). The error is that of as many samples drawn from the model itself, and of
//! the number of samples above the threshold.

use domain::plan::{NoTail, Tail, TailModel, survival};

use crate::draw::uniform;
use crate::settings::{ROUNDING_RATIO, TAIL_AT_LEAST, TAIL_AT_MOST, TAIL_REPLICATES, TAIL_SHARE};

/// Draws of the error are apart from all others.
const TAIL_SEED: u64 = 0x7461_696c_5f65_7272;

/// The tail of a sample of deficits, and the probability of one above zero. What can never be short
/// is minus infinity.
///
/// # Errors
/// Why there is no such tail.
pub(crate) fn fit(mut sample: Vec<f64>, seed: u64) -> Result<Tail, NoTail> {
    let paths = sample.len() as f64;
    sample.sort_unstable_by(|a, b| b.total_cmp(a));
    if sample.first().is_none_or(|most| *most == f64::NEG_INFINITY) {
        return Err(NoTail::Covered);
    }
    let wanted = ((paths * TAIL_SHARE) as usize).min(TAIL_AT_MOST);
    let threshold = *sample.get(wanted).ok_or(NoTail::TooFew)?;
    if threshold >= 0.0 {
        return Err(NoTail::WithinThePaths);
    }
    if threshold == f64::NEG_INFINITY || wanted < TAIL_AT_LEAST {
        return Err(NoTail::TooFew);
    }
    let above = sample.iter().take_while(|value| **value - threshold > ROUNDING_RATIO);
    let excesses: Vec<f64> = above.map(|value| value - threshold).collect();
    let (Some(most), Some(least)) = (excesses.first(), excesses.last()) else {
        return Err(NoTail::NoSpread);
    };
    if most - least <= ROUNDING_RATIO {
        return Err(NoTail::NoSpread);
    }
    if excesses.len() < TAIL_AT_LEAST {
        return Err(NoTail::TooFew);
    }
    let shape = Shape::of(&excesses).ok_or(NoTail::NoSpread)?;
    let share = excesses.len() as f64 / paths;
    let (beyond, spread) =
        (shape.survival(-threshold), shape.error(-threshold, excesses.len(), seed));
    let counted = share * (1.0 - share) / paths;
    let variance = counted * (beyond * beyond + spread) + share * share * spread;
    Ok(Tail {
        model: TailModel::GeneralisedPareto,
        threshold,
        exceedances: excesses.len() as u64,
        shape: shape.shape,
        scale: shape.scale,
        probability: share * beyond,
        standard_error: variance.sqrt(),
    })
}

/// A generalised Pareto distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shape {
    shape: f64,
    scale: f64,
}

impl Shape {
    /// That of excesses, the largest first; `None` where they do not spread.
    fn of(excesses: &[f64]) -> Option<Self> {
        let count = excesses.len() as f64;
        let mean = excesses.iter().sum::<f64>() / count;
        // Each weighted by the share of the others that are larger.
        let weighted = excesses.iter().enumerate().map(|(larger, x)| x * larger as f64);
        let weighted = weighted.sum::<f64>() / (count - 1.0) / count;
        let apart = mean - 2.0 * weighted;
        if apart.is_nan() || apart <= mean * ROUNDING_RATIO {
            return None;
        }
        let (shape, scale) = (2.0 - mean / apart, 2.0 * mean * weighted / apart);
        let ends_at = -scale / excesses[0];
        Some(Self { shape: if shape < ends_at { ends_at } else { shape }, scale })
    }

    fn survival(self, t: f64) -> f64 {
        survival(t, self.shape, self.scale)
    }

    /// The excess that is exceeded with a probability.
    fn excess(self, exceeded: f64) -> f64 {
        match self.shape.abs() < 1e-9 {
            true => -self.scale * exceeded.ln(),
            false => self.scale * (exceeded.powf(-self.shape) - 1.0) / self.shape,
        }
    }

    /// The mean squared error of the probability beyond `t` that so many excesses give.
    fn error(self, t: f64, count: usize, seed: u64) -> f64 {
        let truth = self.survival(t);
        let mut drawn = vec![0.0; count];
        let squares = (0..TAIL_REPLICATES).filter_map(|replicate| {
            for (nth, excess) in drawn.iter_mut().enumerate() {
                *excess = self.excess(uniform(seed ^ TAIL_SEED, [replicate, nth as u64, 0]));
            }
            drawn.sort_unstable_by(|a, b| b.total_cmp(a));
            let again = Self::of(&drawn)?.survival(t);
            Some((again - truth) * (again - truth))
        });
        squares.sum::<f64>() / TAIL_REPLICATES as f64
    }
}

#[cfg(test)]
mod tests;
