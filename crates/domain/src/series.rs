//! Load as it is observed: samples, and the regular series made from them.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One observation of one series. A gap is the absence of a sample, or `NaN`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The instant that the sample is stamped with (start of its interval).
    pub at: Timestamp,
    /// The value in the unit of its source.
    pub value: f64,
}

/// The distance of two neighbours of a regular grid, in whole seconds, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Step(i64);

/// A step that is not a positive number of whole seconds.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a step is a positive number of whole seconds, not {0}")]
pub struct BadStep(i64);

impl Step {
    /// A step of `seconds`.
    pub fn from_seconds(seconds: i64) -> Result<Self, BadStep> {
        if seconds >= 1 { Ok(Self(seconds)) } else { Err(BadStep(seconds)) }
    }

    /// The step in seconds, at least 1.
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// The step as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.unsigned_abs())
    }

    /// The grid point at or before `at`; grids are aligned to the Unix epoch in UTC.
    pub fn floor(self, at: Timestamp) -> Timestamp {
        let floored = at.as_second().div_euclid(self.0) * self.0;
        Timestamp::from_second(floored).expect("a floored timestamp stays in range")
    }

    /// The grid point at or after `at`.
    pub fn ceil(self, at: Timestamp) -> Timestamp {
        let down = self.floor(at);
        if down == at { at } else { down + self.duration() }
    }
}

impl TryFrom<i64> for Step {
    type Error = BadStep;
    fn try_from(seconds: i64) -> Result<Self, BadStep> {
        Self::from_seconds(seconds)
    }
}

impl From<Step> for i64 {
    fn from(step: Step) -> i64 {
        step.0
    }
}

/// A regular series: value `i` belongs to `[start + i·step, start + (i+1)·step)`.
/// A gap is `NaN`; no value is infinite. A value may be marked as a lower bound: it was measured
/// at saturation, and more was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    start: Timestamp,
    step: Step,
    values: Vec<f64>,
    /// Which values are lower bounds; empty if none is.
    bounds: Vec<bool>,
}

impl Series {
    /// A series from its first instant, its step and its values. Infinite values become gaps.
    pub fn new(start: Timestamp, step: Step, mut values: Vec<f64>) -> Self {
        for value in &mut values {
            if value.is_infinite() {
                *value = f64::NAN;
            }
        }
        Self { start, step, values, bounds: Vec::new() }
    }

    /// The same series with the values of all steps that overlap one of `spans` (start and end)
    /// marked as lower bounds, beside those that are marked already.
    pub fn saturated_during(mut self, spans: &[(Timestamp, Timestamp)]) -> Self {
        let (origin, step) = (self.start.as_second(), self.step.seconds());
        let last = i64::try_from(self.values.len()).unwrap_or(i64::MAX);
        for (from, to) in spans.iter().filter(|(from, to)| from < to) {
            let first = (from.as_second() - origin).div_euclid(step).clamp(0, last);
            let end = (to.as_second() - origin + step - 1).div_euclid(step).clamp(first, last);
            if first < end {
                self.bounds.resize(self.values.len(), false);
                self.bounds[first as usize..end as usize].fill(true);
            }
        }
        self
    }

    /// Whether value `index` is a lower bound.
    pub fn is_bound(&self, index: usize) -> bool {
        self.bounds.get(index).copied().unwrap_or(false)
    }

    /// The first `count` values, or all of them if there are fewer.
    #[must_use]
    pub fn head(&self, count: usize) -> Self {
        let count = count.min(self.values.len());
        let bounds = self.bounds[..count.min(self.bounds.len())].to_vec();
        Self { values: self.values[..count].to_vec(), bounds, ..*self }
    }

    /// The start of the first interval.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The length of one interval.
    pub fn step(&self) -> Step {
        self.step
    }

    /// All values; `NaN` is a gap.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The instant just after the last interval: where a forecast begins.
    pub fn end(&self) -> Timestamp {
        self.at(self.values.len())
    }

    /// The start of interval `index`, which may lie beyond the end.
    pub fn at(&self, index: usize) -> Timestamp {
        self.start + self.step.duration() * u32::try_from(index).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_touch_a_span_are_lower_bounds() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let step = Step::from_seconds(60).unwrap();
        let series = Series::new(at(0), step, vec![1.0; 6]);
        assert!((0..6).all(|i| !series.is_bound(i)));
        let far = (at(-500), at(-400));
        let spans = [(at(90), at(180)), (at(301), at(9_999)), far, (at(50), at(10))];
        let marked = series.saturated_during(&spans);
        let found: Vec<usize> = (0..9).filter(|i| marked.is_bound(*i)).collect();
        assert_eq!(found, [1, 2, 5]);
    }
}
