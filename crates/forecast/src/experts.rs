//! The live choice: every model is an expert whose weight follows the losses of its forecasts.
//!
//! Horizons fall into bands around a few leads (1, 3, 6, 12, 24, … steps), each with weights of
//! its own; between two leads the weights are interpolated over the logarithm of the step. At
//! each lead every expert leaves its forecast behind, and when the value comes all of them are
//! scored by pinball loss at [`settings::PLANNING_LEVELS`], each with quantiles made of its own
//! past errors at that lead.
//!
//! The weights are those of the exponentially weighted average forecaster with a fixed share:
//! `v_e ∝ w_e exp(−η ℓ_e)`, `w_e = (1 − α) v_e + α π_e`. For losses in `[0, 1]` its regret over
//! any stretch of `n` rounds against any expert is at most
//! `(ln(1/(α π_e)) + n ln(1/(1 − α)))/η + n η/8`: Cesa-Bianchi, Gaillard, Lugosi and Stoltz, "Mirror
//! descent meets fixed share (and feels no regret)", NIPS 2012 (after Herbster and Warmuth,
//! "Tracking the best expert", Machine Learning 32, 1998). Pinball loss is convex, so the mean
//! of the experts' quantiles loses no more than the experts do on average. Losses here are
//! relative to those of the mean, in units of its discounted loss, and clipped, which keeps them
//! in a range of known size. With forecasts that overlap, `d` of them under way at a time, `η`
//! is divided by `√d` (Joulani, György and Szepesvári, "Online learning under delayed feedback",
//! ICML 2013).

use serde::{Deserialize, Serialize};

use crate::settings;

mod band;

use band::Band;

/// Weights per band of horizons, and the forecasts that wait for their values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Experts {
    /// Where a share of the weight always returns to; sums to 1 over those that are left.
    prior: Vec<f64>,
    bands: Vec<Band>,
}

/// What an expert said at past origins: one row per origin, one value per step.
pub(crate) type Said<'a> = &'a [Vec<f64>];

impl Experts {
    /// Experts that have lived through the past: `said` by each expert, what `came`, and the
    /// `favourite` among them, to which half of the returning weight goes. `spacing` is the
    /// distance of two origins in steps.
    pub(crate) fn learn(
        said: &[Said<'_>],
        came: &[Vec<f64>],
        favourite: usize,
        spacing: usize,
    ) -> Self {
        let count = said.len();
        let rest = (1.0 - settings::FAVOURITE_SHARE) / count as f64;
        let mut prior = vec![rest; count];
        prior[favourite] += settings::FAVOURITE_SHARE;
        let horizon = came.first().map_or(1, Vec::len).max(1);
        let mut from = 0;
        let bands = leads(horizon)
            .into_iter()
            .map(|lead| {
                let mut band = Band::new(lead, &prior, favourite);
                band.warm_up(said, came, from..lead, spacing, &prior);
                from = lead;
                band
            })
            .collect();
        Self { prior, bands }
    }

    /// How many experts there are, dropped ones included.
    pub(crate) fn count(&self) -> usize {
        self.prior.len()
    }

    /// How many steps ahead the forecasts from `index` on have to reach to be scored.
    pub(crate) fn reach(&self, index: usize) -> usize {
        let due = self.bands.iter().filter(|band| band.issues_at(index));
        due.map(|band| band.lead).max().unwrap_or(1)
    }

    /// Takes note of what every expert says from `index` on; `said[e]` is at least as long as
    /// [`Experts::reach`] says, or empty if there is no forecast.
    pub(crate) fn issue(&mut self, index: usize, said: &[Vec<f64>]) {
        for band in self.bands.iter_mut().filter(|band| band.issues_at(index)) {
            band.issue(index, said);
        }
    }

    /// Scores what was said about the value at `index`; a gap (`NaN`) scores nothing.
    pub(crate) fn observe(&mut self, index: usize, value: f64) {
        for band in &mut self.bands {
            band.observe(index, value, &self.prior);
        }
    }

    /// Takes an expert out until the next fit.
    pub(crate) fn leave_out(&mut self, expert: usize) {
        self.prior[expert] = 0.0;
        normalise(&mut self.prior);
        for band in &mut self.bands {
            band.leave_out(expert, &self.prior);
        }
    }

    /// The weights for a forecast of `ahead` steps (0 is the next one), into `weights`.
    pub(crate) fn weights_at(&self, ahead: usize, weights: &mut Vec<f64>) {
        let steps = ahead + 1;
        let right = self.bands.partition_point(|band| band.lead < steps);
        weights.clear();
        if right == 0 || right == self.bands.len() {
            let band = &self.bands[right.min(self.bands.len() - 1)];
            weights.extend(band.mixing());
            return;
        }
        let (near, far) = (&self.bands[right - 1], &self.bands[right]);
        let log = |steps: usize| (steps as f64).ln();
        let share = (log(steps) - log(near.lead)) / (log(far.lead) - log(near.lead));
        weights.extend(near.mixing().zip(far.mixing()).map(|(a, b)| a + share * (b - a)));
    }

    /// The weighted mean of what the experts say, step by step; `said[e]` is empty where an
    /// expert says nothing. `last` stands in if none says anything.
    pub(crate) fn mix(&self, said: &[&[f64]], horizon: usize, last: f64) -> Vec<f64> {
        let mut weights = Vec::with_capacity(said.len());
        (0..horizon)
            .map(|h| {
                self.weights_at(h, &mut weights);
                let (mut sum, mut total) = (0.0, 0.0);
                for (weight, row) in weights.iter().zip(said) {
                    if let (true, Some(value)) = (*weight > 0.0, row.get(h)) {
                        sum += weight * value;
                        total += weight;
                    }
                }
                if total > 0.0 { sum / total } else { last }
            })
            .collect()
    }

    /// Whether an expert takes part in any forecast.
    pub(crate) fn takes_part(&self, expert: usize) -> bool {
        self.bands.iter().any(|band| band.mixing().nth(expert).is_some_and(|w| w > 0.0))
    }

    /// The weight of each expert, averaged over the bands.
    pub(crate) fn mean_weights(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.count()];
        for band in &self.bands {
            for (sum, weight) in mean.iter_mut().zip(band.mixing()) {
                *sum += weight / self.bands.len() as f64;
            }
        }
        mean
    }

    /// Per band: its lead, the weights, and the discounted losses, per expert.
    pub(crate) fn bands(&self) -> impl Iterator<Item = (usize, Vec<f64>, &[f64])> {
        self.bands.iter().map(|band| (band.lead, band.mixing().collect(), band.losses()))
    }

    /// The discounted loss of an expert, relative to that of the mean, averaged over the bands.
    pub(crate) fn relative_loss(&self, expert: usize) -> f64 {
        let sum: f64 = self.bands.iter().map(|band| band.losses()[expert] / band.scale()).sum();
        sum / self.bands.len() as f64
    }
}

/// 1, 3, 6, 12, … up to the horizon, which is always the last.
fn leads(horizon: usize) -> Vec<usize> {
    let doubled = (0..).map(|k| 3usize << k).take_while(|lead| *lead < horizon);
    let mut leads: Vec<usize> = std::iter::once(1).chain(doubled).collect();
    // A last band of its own only if it is far enough from the one before.
    if let Some(last) = leads.last_mut()
        && *last > 1
        && 3 * *last > 2 * horizon
    {
        *last = horizon;
    } else if horizon > 1 {
        leads.push(horizon);
    }
    leads
}

fn normalise(weights: &mut [f64]) {
    let total: f64 = weights.iter().sum();
    if total > 0.0 {
        weights.iter_mut().for_each(|w| *w /= total);
    }
}

#[cfg(test)]
mod tests;
