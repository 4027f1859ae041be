//! The life of a forecaster after its fit: new samples, and new fits.
//!
//! `update` moves every model on by one value with the parameters of the fit, scores what was
//! said about that value, and shifts weights and intervals. It does not estimate parameters or
//! look for seasons again; `refit` does. How much that matters is measured by the example
//! `live`, and [`AutoForecaster::refit_due`] says when it should be done.

use domain::series::{Sample, Series};

use super::event::{Event, Failure, RefitReason};
use super::{AutoForecaster, ForecastError, Options, auto};
use crate::calibrate::Seen;
use crate::settings;

impl AutoForecaster {
    /// Takes in the next sample: the models move on, their weights follow their losses, past
    /// forecasts learn their errors, and now and then the calibration is renewed. Steps that
    /// were jumped over count as gaps, and so does a collapse to almost nothing, until it has
    /// lasted for two hours. The first three wild values in a row count as the limit that they
    /// cross. Returns what has changed.
    pub fn update(&mut self, sample: Sample) -> Result<Vec<Event>, ForecastError> {
        self.take(sample, |own, value| own.watch.admit(value).map(Seen::Value))
    }

    /// Takes in a sample that was measured at saturation: a lower bound of the demand. The models
    /// move on with what is to be expected above it, and the calibration learns from it only
    /// where it exceeds a quantile.
    pub fn update_at_saturation(&mut self, sample: Sample) -> Result<Vec<Event>, ForecastError> {
        self.take(sample, |_, value| Some(Seen::AtLeast(value)))
    }

    /// Moves on to the step of a sample, and over it with what it shows.
    fn take(
        &mut self,
        sample: Sample,
        shows: impl FnOnce(&mut Self, f64) -> Option<Seen>,
    ) -> Result<Vec<Event>, ForecastError> {
        let (at, end) = (self.step.floor(sample.at), self.step.floor(self.end()));
        let ahead = (at.as_second() - end.as_second()).div_euclid(self.step.seconds());
        let Ok(gaps) = usize::try_from(ahead) else {
            return Err(ForecastError::Late { at: sample.at, end: self.end() });
        };
        if gaps > settings::CARRIED_GAP {
            return Err(ForecastError::Ahead { at: sample.at, limit: settings::CARRIED_GAP });
        }
        let mut events = Vec::new();
        let due = self.refit_due().is_some();
        for _ in 0..gaps {
            self.advance(None, &mut events);
        }
        let value = Some(sample.value).filter(|value| value.is_finite());
        let seen = value.and_then(|value| shows(self, value));
        self.advance(seen, &mut events);
        self.issue(&mut events);
        self.tell_changes(&mut events);
        if let (false, Some(reason)) = (due, self.refit_due()) {
            events.push(Event::RefitDue(reason));
        }
        Ok(events)
    }

    /// Whether, and why, [`AutoForecaster::refit`] should be called.
    pub fn refit_due(&self) -> Option<RefitReason> {
        let steps = self.next - self.fitted_at;
        if self.lost {
            return Some(RefitReason::ModelLost);
        }
        if let Some(drift) = self.drifted
            && steps >= settings::REFIT_REST
        {
            return Some(RefitReason::Drift(drift));
        }
        let season = self.seasons.longest().unwrap_or(settings::REFIT_REST);
        let limit = ((self.fitted_on as f64 * settings::REFIT_AGE) as usize).max(season);
        (steps >= limit).then_some(RefitReason::Age { steps })
    }

    /// Fits anew on `series`, which should hold the newest values. On an error the forecaster
    /// stays as it was.
    pub fn refit(
        &mut self,
        series: &Series,
        options: &Options,
    ) -> Result<Vec<Event>, ForecastError> {
        let new = auto(series, options)?;
        let mut events = Vec::new();
        for (m, member) in new.panel.members().iter().enumerate() {
            let known = self.panel.members().iter().any(|old| old.name == member.name);
            let weight = new.weights()[m];
            if !known && weight >= settings::PROMOTED_WEIGHT {
                let relative_loss = new.experts.relative_loss(m);
                events.push(Event::Promoted { model: member.name.clone(), weight, relative_loss });
            }
        }
        let (from, to) = (self.panel.name(self.leader), new.panel.name(new.leader));
        if from != to {
            let relative_losses =
                [self.experts.relative_loss(self.leader), new.experts.relative_loss(new.leader)];
            let (from, to) = (from.to_owned(), to.to_owned());
            events.push(Event::LeaderChanged { from, to, relative_losses });
        }
        *self = new;
        Ok(events)
    }

    /// After the fit: the first forecasts, and who counts.
    pub(super) fn begin(&mut self) {
        let mut events = Vec::new();
        self.issue(&mut events);
        let weights = self.weights();
        let best = (0..weights.len()).fold(0, |b, e| if weights[e] > weights[b] { e } else { b });
        self.leader = best;
        for (counts, weight) in self.counting.iter_mut().zip(weights) {
            *counts = weight >= settings::PROMOTED_WEIGHT;
        }
    }

    /// One step further; `None` is a gap.
    fn advance(&mut self, seen: Option<Seen>, events: &mut Vec<Event>) {
        let demand = seen.map_or(f64::NAN, |seen| self.demand(seen));
        // A lower bound says nothing of who forecast the demand best.
        let value = if let Some(Seen::Value(value)) = seen { value } else { f64::NAN };
        self.experts.observe(self.next, value);
        if value.is_finite() {
            self.look_for_drift(value, events);
        }
        if let Some(seen) = seen {
            self.past.came(self.next, seen);
            self.calibration.observe(self.next, seen, self.bounds());
            self.range = (self.range.0.min(demand), self.range.1.max(demand));
            self.last = demand;
        }
        let failures = self.panel.update(demand);
        self.leave_out(failures, events);
        self.next += 1;
        self.widening = 1.0 + (self.widening - 1.0) * (-1.0 / settings::DRIFT_HALF_LIFE).exp2();
        self.expected = f64::NAN;
    }

    /// The demand to be expected when this much is seen.
    fn demand(&self, seen: Seen) -> f64 {
        match seen {
            Seen::Value(value) => value,
            Seen::AtLeast(bound) => {
                let centre = self.centre(1)[0];
                let deviation =
                    settings::SIZE_TO_DEVIATION * self.calibration.size(self.next, 0, centre);
                let bounds = self.bounds();
                crate::demand::expected_above(bounds.clamp(centre), deviation, bound)
                    .min(bounds.most.max(bound))
            }
        }
    }

    /// Where the value lies in what was forecast for it.
    fn look_for_drift(&mut self, value: f64, events: &mut Vec<Event>) {
        if !self.expected.is_finite() {
            return;
        }
        let score =
            score_of(value, |score| self.calibration.quantile(self.next, 0, self.expected, score));
        if let Some(drift) = self.detector.observe(score) {
            self.drifted = Some(drift);
            self.widening = settings::DRIFT_WIDENING;
            events.push(Event::Drifted(drift));
        }
    }

    /// Leaves forecasts behind, to be scored when the values come.
    pub(super) fn issue(&mut self, events: &mut Vec<Event>) {
        let newest = self.past.origins().last().copied().unwrap_or(0);
        let kept = self.next >= newest + self.spacing;
        let judged = self.calibration.due(self.next);
        let reach = self.experts.reach(self.next);
        let calibrated = self.calibration.horizon();
        let horizon = if kept || judged { reach.max(calibrated) } else { reach };
        let (mut said, failures) = self.panel.say(horizon, self.bounds(), |_| true);
        for (expert, _) in &failures {
            said[*expert] = Vec::new();
        }
        self.leave_out(failures, events);
        self.experts.issue(self.next, &said);
        let rows: Vec<&[f64]> = said.iter().map(Vec::as_slice).collect();
        if !kept && !judged {
            self.expected = self.experts.mix(&rows, 1, self.last)[0];
            return;
        }
        let centres = self.experts.mix(&rows, calibrated, self.last);
        self.expected = centres[0];
        if kept {
            self.past.issue(self.next, &centres);
            self.calibration.renew(&self.past, self.seasons.periods());
        }
        if judged {
            self.calibration.issue(self.next, &centres);
        }
    }

    fn leave_out(&mut self, failures: Vec<(usize, Failure)>, events: &mut Vec<Event>) {
        for (member, failure) in failures {
            self.lost |= self.weights()[member] >= settings::PROMOTED_WEIGHT;
            for expert in self.panel.leave_out(member) {
                self.lost |= expert != member;
                self.experts.leave_out(expert);
            }
            let model = self.panel.name(member).to_owned();
            events.push(Event::Dropped { model, failure });
        }
    }

    /// The mean weight of each expert; a combination of one model is that model.
    fn weights(&self) -> Vec<f64> {
        self.panel.merged(self.experts.mean_weights())
    }

    /// Who leads, and who counts, with some inertia so that events are rare.
    fn tell_changes(&mut self, events: &mut Vec<Event>) {
        let weights = self.weights();
        let best = (0..weights.len()).fold(0, |b, e| if weights[e] > weights[b] { e } else { b });
        if weights[best] > weights[self.leader] + settings::LEADER_MARGIN {
            events.push(Event::LeaderChanged {
                from: self.panel.name(self.leader).to_owned(),
                to: self.panel.name(best).to_owned(),
                relative_losses: [self.leader, best].map(|e| self.experts.relative_loss(e)),
            });
            self.leader = best;
        }
        for (expert, weight) in weights.into_iter().enumerate() {
            let change = if self.counting[expert] {
                weight < settings::DEMOTED_WEIGHT
            } else {
                weight >= settings::PROMOTED_WEIGHT
            };
            if change {
                self.counting[expert] = !self.counting[expert];
                let model = self.panel.name(expert).to_owned();
                let relative_loss = self.experts.relative_loss(expert);
                events.push(if self.counting[expert] {
                    Event::Promoted { model, weight, relative_loss }
                } else {
                    Event::Demoted { model, weight, relative_loss }
                });
            }
        }
    }
}

/// The normal score at which the rising function `quantile` has the value `value`, the middle
/// of them if there are many; between −4 and 4.
fn score_of(value: f64, quantile: impl Fn(f64) -> f64) -> f64 {
    let edge = |is_below: &dyn Fn(f64) -> bool| {
        let (mut low, mut high) = (-4.0, 4.0);
        for _ in 0..24 {
            let middle = 0.5 * (low + high);
            if is_below(quantile(middle)) { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    };
    0.5 * (edge(&|q| q < value) + edge(&|q| q <= value))
}

#[cfg(test)]
mod tests;
