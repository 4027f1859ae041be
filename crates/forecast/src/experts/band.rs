//! One band of horizons: the weights, quantiles and losses of every expert at one lead.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Said, normalise};
use crate::metrics;
use crate::quantile;
use crate::settings::{self, PLANNING_LEVELS};

const LEVELS: usize = PLANNING_LEVELS.len();

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Band {
    /// Steps ahead at which forecasts are scored.
    pub(super) lead: usize,
    /// Steps between two forecasts that are scored: long leads are not scored at every step.
    stride: usize,
    weights: Vec<f64>,
    /// Per expert and level: what is added to the forecast, learned from its own errors.
    offsets: Vec<[f64; LEVELS]>,
    /// The discounted mean pinball loss of each expert, in the unit of the series.
    losses: Vec<f64>,
    /// That of the weighted mean.
    scale: f64,
    pending: VecDeque<Pending>,
}

/// Forecasts of one value, one per expert (`NaN` if it had none).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pending {
    /// The index of the value.
    index: usize,
    /// Single precision is enough to score by.
    said: Box<[f32]>,
}

impl Band {
    pub(super) fn new(lead: usize, prior: &[f64], favourite: usize) -> Self {
        let mut weights: Vec<f64> = prior.iter().map(|p| settings::RETURN_SHARE * p).collect();
        weights[favourite] += 1.0 - settings::RETURN_SHARE;
        Self {
            lead,
            stride: lead.div_ceil(settings::SCORED_AT_A_TIME),
            weights,
            offsets: vec![[0.0; LEVELS]; prior.len()],
            losses: vec![0.0; prior.len()],
            scale: 0.0,
            pending: VecDeque::new(),
        }
    }

    /// Learns offsets and losses from the errors at the steps of the band, then lives through
    /// the origins in their order.
    pub(super) fn warm_up(
        &mut self,
        said: &[Said<'_>],
        came: &[Vec<f64>],
        steps: Range<usize>,
        spacing: usize,
        prior: &[f64],
    ) {
        for (expert, rows) in said.iter().enumerate() {
            let pairs = rows.iter().zip(came);
            let mut errors: Vec<f64> = pairs
                .flat_map(|(row, came)| steps.clone().map(|h| came[h] - row[h]))
                .filter(|error| error.is_finite())
                .collect();
            if errors.is_empty() {
                continue;
            }
            errors.sort_by(f64::total_cmp);
            self.offsets[expert] = PLANNING_LEVELS.map(|level| quantile::of_sorted(&errors, level));
            let loss = |error: &f64| pinball(*error, &self.offsets[expert]);
            self.losses[expert] = errors.iter().map(loss).sum::<f64>() / errors.len() as f64;
        }
        self.scale = self.weights.iter().zip(&self.losses).map(|(w, l)| w * l).sum();
        let rate = settings::LEARNING_RATE / ((self.lead as f64 / spacing as f64).max(1.0)).sqrt();
        let last = self.lead - 1;
        let mut each = vec![0.0; said.len()];
        for (o, came) in came.iter().enumerate() {
            for (slot, rows) in each.iter_mut().zip(said) {
                *slot = rows[o][last];
            }
            if came[last].is_finite() {
                self.reweigh(came[last], &each, rate, prior);
            }
        }
    }

    pub(super) fn issues_at(&self, index: usize) -> bool {
        index.is_multiple_of(self.stride)
    }

    pub(super) fn issue(&mut self, index: usize, said: &[Vec<f64>]) {
        let at = self.lead - 1;
        let said = said.iter().map(|row| row.get(at).map_or(f32::NAN, |v| *v as f32)).collect();
        // Never doubled: thousands of these live side by side.
        let most = self.lead.div_ceil(self.stride) + 1;
        self.pending.reserve_exact(most.saturating_sub(self.pending.len()));
        self.pending.push_back(Pending { index: index + at, said });
    }

    pub(super) fn observe(&mut self, index: usize, value: f64, prior: &[f64]) {
        while self.pending.front().is_some_and(|pending| pending.index <= index) {
            let Some(pending) = self.pending.pop_front() else { break };
            if pending.index == index && value.is_finite() {
                let each: Vec<f64> = pending.said.iter().map(|v| f64::from(*v)).collect();
                let under_way = (self.lead as f64 / self.stride as f64).max(1.0);
                self.reweigh(value, &each, settings::LEARNING_RATE / under_way.sqrt(), prior);
                self.track(value, &each);
            }
        }
    }

    /// One round of the aggregation.
    fn reweigh(&mut self, value: f64, said: &[f64], rate: f64, prior: &[f64]) {
        let losses: Vec<f64> = said
            .iter()
            .zip(&self.offsets)
            .map(|(s, offsets)| pinball(value - s, offsets))
            .collect();
        let mut mean = [0.0; LEVELS];
        let mut total = 0.0;
        for ((weight, s), offsets) in self.weights.iter().zip(said).zip(&self.offsets) {
            if s.is_finite() {
                total += weight;
                mean.iter_mut().zip(offsets).for_each(|(m, offset)| *m += weight * (s + offset));
            }
        }
        if total <= 0.0 {
            return;
        }
        let own = pinball(value, &mean.map(|m| m / total));
        let unit = self.scale.max(f64::MIN_POSITIVE);
        let clip = settings::LOSS_CLIP;
        for (weight, loss) in self.weights.iter_mut().zip(&losses) {
            let relative = ((loss - own) / unit).clamp(-clip, clip);
            if relative.is_finite() {
                *weight *= (-rate * relative).exp();
            }
        }
        normalise(&mut self.weights);
        for (weight, prior) in self.weights.iter_mut().zip(prior) {
            *weight += settings::RETURN_SHARE * (prior - *weight);
        }
        if own.is_finite() {
            self.scale += settings::LOSS_DISCOUNT * (own - self.scale);
        }
        for (mean, loss) in self.losses.iter_mut().zip(&losses).filter(|(_, l)| l.is_finite()) {
            *mean += settings::LOSS_DISCOUNT * (loss - *mean);
        }
    }

    /// Moves the offsets towards the quantiles of the newest errors: a step up after an error
    /// above, a step down after one below (the quantile tracker of Gibbs and Candès 2021, in
    /// units of the expert's own loss).
    fn track(&mut self, value: f64, said: &[f64]) {
        for ((s, offsets), loss) in said.iter().zip(&mut self.offsets).zip(&self.losses) {
            if !s.is_finite() {
                continue;
            }
            for (offset, level) in offsets.iter_mut().zip(PLANNING_LEVELS) {
                let below = if value - s < *offset { 1.0 } else { 0.0 };
                *offset += settings::OFFSET_RATE * loss * (level - below);
            }
            for k in 1..LEVELS {
                offsets[k] = offsets[k].max(offsets[k - 1]);
            }
        }
    }

    pub(super) fn leave_out(&mut self, expert: usize, prior: &[f64]) {
        self.weights[expert] = 0.0;
        if self.weights.iter().sum::<f64>() > 0.0 {
            normalise(&mut self.weights);
        } else {
            self.weights.copy_from_slice(prior);
        }
        for pending in &mut self.pending {
            pending.said[expert] = f32::NAN;
        }
    }

    /// The weights that a forecast uses: the smallest are left out.
    pub(super) fn mixing(&self) -> impl Iterator<Item = f64> {
        let kept = |w: &f64| {
            if *w < settings::LEAST_WEIGHT { 0.0 } else { *w }
        };
        let total: f64 = self.weights.iter().map(kept).sum();
        self.weights.iter().map(move |w| if total > 0.0 { kept(w) / total } else { *w })
    }

    pub(super) fn losses(&self) -> &[f64] {
        &self.losses
    }

    pub(super) fn scale(&self) -> f64 {
        self.scale.max(f64::MIN_POSITIVE)
    }
}

/// The mean pinball loss of an error against quantiles of errors.
fn pinball(error: f64, quantiles: &[f64; LEVELS]) -> f64 {
    let each = quantiles.iter().zip(PLANNING_LEVELS);
    each.map(|(quantile, level)| metrics::pinball(error, *quantile, level)).sum::<f64>()
        / LEVELS as f64
}
