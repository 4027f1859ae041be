//! Raw samples in, a regular series out, with everything odd said aloud.
//!
//! | what is found | what is done |
//! | --- | --- |
//! | times out of order | sorted, [`Warning::OutOfOrder`] |
//! | several samples in one step | averaged (counts too: each is a full count), [`Warning::Duplicates`] |
//! | `NaN`, infinite | left out, [`Warning::NotFinite`] |
//! | after `now` | left out, [`Warning::Future`] |
//! | a newest step that is not over, or over for less than `delay` | left out, [`Warning::Incomplete`] |
//! | gaps of up to [`settings::BRIDGED_GAP`] steps | bridged by a line, [`Warning::Bridged`] |
//! | longer gaps | kept as `NaN`: models mask them, [`Warning::Gaps`] |
//! | a constant, or fewer than [`settings::FEW_VALUES`] values | kept, [`Warning::Constant`], [`Warning::Short`] |
//! | more than [`settings::GRID_MOST`] steps | the newest are kept, [`Warning::Truncated`] |
//! | nothing that is usable | [`HygieneError`] |

use std::collections::BTreeMap;
use std::time::Duration;

use domain::config::Measure;
use domain::series::{Sample, Series, Step};
use jiff::Timestamp;

use crate::settings;

mod warning;

pub use warning::{HygieneError, Warning};

/// How raw samples are to be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hygiene {
    /// The distance of the grid; found from the samples without it.
    pub step: Option<Step>,
    /// What a sample counts.
    pub measure: Measure,
    /// How long after its end a step may still change.
    pub delay: Duration,
    /// Nothing after this instant is used; without it everything is.
    pub now: Option<Timestamp>,
}

/// A regular series, and what was odd on the way to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Clean {
    /// The series; long gaps are `NaN`, both ends are values.
    pub series: Series,
    /// What was odd.
    pub warnings: Vec<Warning>,
}

/// Makes a regular series from raw samples.
pub fn clean(samples: &[Sample], options: &Hygiene) -> Result<Clean, HygieneError> {
    if samples.is_empty() {
        return Err(HygieneError::Empty);
    }
    let mut warnings = Vec::new();
    let samples = usable(samples, options.now, &mut warnings)?;
    let step = match options.step {
        Some(step) => step,
        None => infer_step(&samples).ok_or(HygieneError::NoStep)?,
    };
    let (start, mut values) = gridded(&samples, step, &mut warnings);
    if let Some(now) = options.now {
        drop_incomplete(start, step, &mut values, options.delay, now, &mut warnings);
    }
    let Some(first) = values.iter().position(|v| v.is_finite()) else {
        return Err(HygieneError::NothingComplete);
    };
    values.drain(..first);
    let start = start + step.duration() * u32::try_from(first).unwrap_or(u32::MAX);
    while values.last().is_some_and(|v| v.is_nan()) {
        values.pop();
    }
    bridge_short_gaps(&mut values, &mut warnings);
    if options.measure == Measure::Count {
        for value in &mut values {
            *value /= step.seconds() as f64;
        }
    }
    judge(&values, &mut warnings);
    Ok(Clean { series: Series::new(start, step, values), warnings })
}

/// Counts per sample from a counter that only rises and starts again at zero after a reset.
///
/// Each pair of neighbours gives one sample, stamped with the earlier of the two and holding the
/// increase. After a fall the counter has started anew, and what it shows is the increase since
/// then (as Prometheus does). Read the result with [`Measure::Count`] if scrapes are regular.
/// Returns the samples and how many resets there were.
pub fn counter_increases(samples: &[Sample]) -> (Vec<Sample>, usize) {
    let mut finite: Vec<Sample> = samples.iter().copied().filter(|s| s.value.is_finite()).collect();
    finite.sort_by_key(|s| s.at);
    finite.dedup_by_key(|s| s.at);
    let mut resets = 0;
    let increases = finite
        .windows(2)
        .map(|pair| {
            let fell = pair[1].value < pair[0].value;
            resets += usize::from(fell);
            let value = if fell { pair[1].value } else { pair[1].value - pair[0].value };
            Sample { at: pair[0].at, value }
        })
        .collect();
    (increases, resets)
}

/// Finite samples up to `now`, in order.
fn usable(
    samples: &[Sample],
    now: Option<Timestamp>,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Sample>, HygieneError> {
    let disorder = samples.windows(2).filter(|w| w[1].at < w[0].at).count();
    if disorder > 0 {
        warnings.push(Warning::OutOfOrder { samples: disorder });
    }
    let mut kept: Vec<Sample> = samples.iter().copied().filter(|s| s.value.is_finite()).collect();
    if kept.is_empty() {
        return Err(HygieneError::AllGaps { samples: samples.len() });
    }
    if kept.len() < samples.len() {
        warnings.push(Warning::NotFinite { samples: samples.len() - kept.len() });
    }
    kept.sort_by_key(|s| s.at);
    if let Some(now) = now {
        let past = kept.partition_point(|s| s.at <= now);
        if past < kept.len() {
            warnings.push(Warning::Future { samples: kept.len() - past });
        }
        kept.truncate(past);
        if kept.is_empty() {
            return Err(HygieneError::NothingBefore { now });
        }
    }
    Ok(kept)
}

/// The most frequent distance of neighbours; where none is frequent, their median, rounded to a
/// usual step if it is close to one.
fn infer_step(samples: &[Sample]) -> Option<Step> {
    let mut distances: Vec<i64> = samples
        .windows(2)
        .map(|w| w[1].at.as_second() - w[0].at.as_second())
        .filter(|d| *d > 0)
        .collect();
    distances.sort_unstable();
    let median = *distances.get(distances.len() / 2)?;
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for distance in &distances {
        *counts.entry(*distance).or_default() += 1;
    }
    let (mode, times) = counts.into_iter().max_by_key(|(d, n)| (*n, -*d))?;
    if times * 2 >= distances.len() {
        return Step::from_seconds(mode).ok();
    }
    let close =
        |usual: &i64| (usual - median).abs() as f64 <= settings::STEP_TOLERANCE * median as f64;
    let usual = settings::USUAL_STEPS.into_iter().filter(close);
    let nearest = usual.min_by_key(|usual| (usual - median).abs());
    Step::from_seconds(nearest.unwrap_or(median)).ok()
}

/// The mean of each step's samples; the grid is aligned to UTC.
fn gridded(samples: &[Sample], step: Step, warnings: &mut Vec<Warning>) -> (Timestamp, Vec<f64>) {
    let last = step.floor(samples[samples.len() - 1].at);
    let slot = |from: Timestamp, at: Timestamp| {
        (step.floor(at).as_second() - from.as_second()).div_euclid(step.seconds())
    };
    let mut start = step.floor(samples[0].at);
    let steps = slot(start, last) + 1;
    let most = settings::GRID_MOST as i64;
    if steps > most {
        let dropped = steps - most;
        warnings.push(Warning::Truncated { steps: dropped.unsigned_abs() });
        let seconds = start.as_second() + dropped * step.seconds();
        start = Timestamp::from_second(seconds).unwrap_or(last);
    }
    let length = usize::try_from(steps.min(most)).unwrap_or(1);
    let (mut values, mut counts) = (vec![0.0; length], vec![0u32; length]);
    let mut duplicates = 0;
    for sample in samples {
        let Ok(index) = usize::try_from(slot(start, sample.at)) else { continue };
        duplicates += usize::from(counts[index] > 0);
        counts[index] += 1;
        // The running mean stays finite where a sum would not.
        values[index] += (sample.value - values[index]) / f64::from(counts[index]);
    }
    if duplicates > 0 {
        warnings.push(Warning::Duplicates { samples: duplicates });
    }
    for (value, count) in values.iter_mut().zip(&counts) {
        if *count == 0 || !value.is_finite() {
            *value = f64::NAN;
        }
    }
    (start, values)
}

fn drop_incomplete(
    start: Timestamp,
    step: Step,
    values: &mut Vec<f64>,
    delay: Duration,
    now: Timestamp,
    warnings: &mut Vec<Warning>,
) {
    let delay = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
    let known = now.as_second().saturating_sub(delay).saturating_sub(start.as_second());
    let complete = usize::try_from(known.div_euclid(step.seconds())).unwrap_or(0);
    if complete < values.len() {
        warnings.push(Warning::Incomplete { steps: values.len() - complete });
        values.truncate(complete);
    }
}

fn bridge_short_gaps(values: &mut [f64], warnings: &mut Vec<Warning>) {
    let (mut bridged, mut gaps, mut steps, mut longest) = (0, 0, 0, 0);
    let mut index = 1;
    while index < values.len() {
        if values[index].is_finite() {
            index += 1;
            continue;
        }
        // Both ends are values, so the gap has an end.
        let length = values[index..].iter().take_while(|v| v.is_nan()).count();
        let (left, right) = (values[index - 1], values[index + length]);
        if length <= settings::BRIDGED_GAP {
            for k in 0..length {
                let share = (k + 1) as f64 / (length + 1) as f64;
                values[index + k] = left * (1.0 - share) + right * share;
            }
            bridged += length;
        } else {
            gaps += 1;
            steps += length;
            longest = longest.max(length);
        }
        index += length;
    }
    if bridged > 0 {
        warnings.push(Warning::Bridged { steps: bridged });
    }
    if gaps > 0 {
        warnings.push(Warning::Gaps { gaps, steps, longest });
    }
}

fn judge(values: &[f64], warnings: &mut Vec<Warning>) {
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    if finite.len() < settings::FEW_VALUES {
        warnings.push(Warning::Short { values: finite.len() });
    }
    if finite.len() > 1 && finite.windows(2).all(|w| w[0] == w[1]) {
        warnings.push(Warning::Constant);
    }
}

#[cfg(test)]
mod tests;
