//! Events and outside series as columns on the grid of the load.

use domain::calendar::Interval;
use domain::series::Series;

use super::{Outside, Reach, SignalReport, Signals};

/// How far before and after an event the load is moved, in steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Windows {
    pub(super) lead: usize,
    pub(super) tail: usize,
}

/// The steps at which a category takes place, of the first `count` steps of the series: those of
/// which an event covers at least one half, or of a short event the one that it covers most.
pub(super) fn mask(times: &[Interval], series: &Series, count: usize) -> Vec<bool> {
    let mut mask = vec![false; count];
    let (origin, step) = (series.start().as_second(), series.step().seconds());
    for time in times {
        let from = time.from().as_second().saturating_sub(origin);
        let to = time.to().as_second().saturating_sub(origin);
        let covered = |index: i64| (to.min((index + 1) * step) - from.max(index * step)).max(0);
        let (first, last) = (from.div_euclid(step), (to - 1).div_euclid(step));
        let within = first.max(0)..=last.min(count as i64 - 1);
        let half = within.clone().filter(|index| 2 * covered(*index) >= step);
        let mut steps: Vec<i64> = half.collect();
        if steps.is_empty() && last - first <= 1 {
            let most = (first..=last).max_by_key(|index| (covered(*index), -index));
            steps.extend(most.filter(|index| within.contains(index)));
        }
        steps.into_iter().for_each(|index| mask[index as usize] = true);
    }
    mask
}

/// The columns of a category over the first `count` steps: itself, then its lead and its tail
/// where there is one.
pub(super) fn of_events(mask: &[bool], windows: Windows, count: usize) -> Vec<Vec<f64>> {
    let (mut lead, mut tail) = (vec![0.0; mask.len()], vec![0.0; mask.len()]);
    let mut end = 0;
    for run in mask.chunk_by(|a, b| a == b) {
        let begin = end;
        end += run.len();
        if !run[0] {
            continue;
        }
        // What began before the grid has no lead on it.
        lead[begin.saturating_sub(windows.lead)..begin].fill(1.0);
        let last = (end + windows.tail).min(mask.len());
        tail[end..last].fill(1.0);
    }
    let own: Vec<f64> = mask.iter().map(|on| f64::from(u8::from(*on))).collect();
    for (index, on) in mask.iter().enumerate() {
        if *on {
            (lead[index], tail[index]) = (0.0, 0.0);
        }
    }
    let wanted = [(true, own), (windows.lead > 0, lead), (windows.tail > 0, tail)];
    let cut = |mut column: Vec<f64>| {
        column.truncate(count);
        column
    };
    wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, column)| cut(column)).collect()
}

/// The columns of the signals that entered, in the order of their reports, over the first `count`
/// steps; each with the place of its report.
pub(super) fn of_reports(
    reports: &[SignalReport],
    signals: &Signals,
    series: &Series,
    count: usize,
) -> Vec<(usize, Vec<f64>)> {
    let mut all = Vec::new();
    for (place, one) in reports.iter().enumerate().filter(|(_, one)| one.unused.is_none()) {
        let event = signals.events.iter().find(|category| category.name == one.name);
        let outside = signals.series.iter().find(|outside| outside.name == one.name);
        let own = match (event, outside) {
            (Some(category), _) => {
                let windows = Windows { lead: one.lead.0, tail: one.tail.0 };
                let mask = mask(&category.times, series, count + windows.lead);
                of_events(&mask, windows, count)
            }
            (None, Some(outside)) => vec![of_outside(outside, one.lag, count)],
            (None, None) => Vec::new(),
        };
        all.extend(own.into_iter().map(|column| (place, column)));
    }
    all
}

/// The column of an outside series over the first `count` steps. One that is known up to now only
/// comes `lag` steps late.
pub(super) fn of_outside(outside: &Outside, lag: usize, count: usize) -> Vec<f64> {
    let back = match outside.reach {
        Reach::KnownAhead => 0,
        Reach::PastOnly => lag,
    };
    let mut last = f64::NAN;
    let value = |index: usize| {
        let raw = index.checked_sub(back).and_then(|i| outside.values.get(i));
        if let Some(raw) = raw.filter(|raw| raw.is_finite()) {
            last = *raw;
        }
        last
    };
    (0..count).map(value).collect()
}

/// The column of the history moved round by `shift` steps: what the same signal would be at other
/// times. What lies after the history is left as it is.
pub(super) fn moved<T: Clone>(column: &[T], history: usize, shift: usize) -> Vec<T> {
    let history = history.min(column.len());
    let mut moved = column.to_vec();
    moved[..history].rotate_left(shift % history.max(1));
    moved
}
