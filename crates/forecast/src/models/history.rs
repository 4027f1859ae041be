//! What every model learns from: a bounded, gap-free copy of the series, and its regressors.

use crate::season::Seasons;
use crate::settings;

/// Outside columns on the grid of the series.
///
/// A column that is known ahead (calendar, planned events) has values beyond the end of the
/// series; one that is known only up to now (other metrics) has not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Regressors {
    /// Columns whose future is known; each covers the series and the horizon.
    pub ahead: Vec<Vec<f64>>,
    /// Columns whose future is not known; each covers the series.
    pub past: Vec<Vec<f64>>,
}

impl Regressors {
    /// Whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.ahead.is_empty() && self.past.is_empty()
    }

    /// No columns at all.
    pub const NONE: Self = Self { ahead: Vec::new(), past: Vec::new() };
}

/// The newest values of a series, without gaps.
///
/// Gaps hold the value one season earlier where there is one, else a straight line; they are
/// marked so that regressions can skip them. At most [`settings::MAX_FIT_POINTS`] are kept,
/// or two cycles of the longest season if that is more (a week of ten-second steps).
#[derive(Debug, Clone)]
pub(crate) struct History {
    values: Vec<f64>,
    observed: Vec<bool>,
    /// How many values were dropped at the front since the first one: keeps phases in place.
    dropped: usize,
}

impl History {
    /// A history from raw values in which `NaN` is a gap.
    pub(crate) fn of(raw: &[f64], seasons: &Seasons) -> Self {
        let first = raw.iter().position(|v| v.is_finite()).unwrap_or(raw.len());
        let cycles = settings::CYCLES_FOR_PROFILE * seasons.longest().unwrap_or(0);
        let most = settings::MAX_FIT_POINTS.max(cycles);
        let from = first.max(raw.len().saturating_sub(most));
        let mut values = raw[from..].to_vec();
        let observed: Vec<bool> = values.iter().map(|v| v.is_finite()).collect();
        if observed.iter().any(|o| !o) {
            bridge(&mut values, &observed, seasons);
        }
        clip_spikes(&mut values);
        Self { values, observed, dropped: from }
    }

    /// All values, oldest first.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    /// Which values were really seen.
    pub(crate) fn observed(&self) -> &[bool] {
        &self.observed
    }

    /// The newest values, and which of them were seen, for models that search: as many cycles of
    /// the longest of `periods` as [`settings::SEARCHED_CYCLES`] says, and at least
    /// [`settings::SEARCHED_POINTS`].
    pub(crate) fn newest(&self, periods: &[usize]) -> (&[f64], &[bool]) {
        let longest = periods.iter().max().copied().unwrap_or(1);
        let most = (settings::SEARCHED_CYCLES * longest).max(settings::SEARCHED_POINTS);
        let from = self.values.len().saturating_sub(most);
        (&self.values[from..], &self.observed[from..])
    }

    /// How many values are kept.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The absolute index of the oldest value that is kept.
    pub(crate) fn first_index(&self) -> usize {
        self.dropped
    }
}

/// Brings single wild values back to a bound: a handful of them would decide every sum of
/// squares. Values count as wild beyond the range of all but the rarest values, widened by
/// [`settings::SPIKE_ROOM`] times itself; whatever is more frequent, or lasts for more than
/// [`settings::SPIKE_RUN`] steps, is load and stays.
pub(crate) fn clip_spikes(values: &mut [f64]) {
    let Some((low, high)) = wild_limits(values) else { return };
    for run in values.chunk_by_mut(|a, b| is_wild(*a, low, high) == is_wild(*b, low, high)) {
        if run.len() <= settings::SPIKE_RUN {
            run.iter_mut().filter(|v| !v.is_nan()).for_each(|v| *v = v.clamp(low, high));
        }
    }
}

/// Where values begin to be wild; gaps are left out. `None` for too few or constant values.
pub(crate) fn wild_limits(values: &[f64]) -> Option<(f64, f64)> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let n = sorted.len();
    if n < settings::SPIKES_LEAST {
        return None;
    }
    let rare = ((n as f64 * settings::SPIKE_SHARE) as usize).max(1);
    let (_, low, rest) = sorted.select_nth_unstable_by(rare, f64::total_cmp);
    let low = *low;
    let place = rest.len() - 1 - rare;
    let high = *rest.select_nth_unstable_by(place, f64::total_cmp).1;
    let room = settings::SPIKE_ROOM * (high - low);
    (room > 0.0 && room.is_finite()).then_some((low - room, high + room))
}

fn is_wild(value: f64, low: f64, high: f64) -> bool {
    value < low || value > high
}

/// Fills gaps from one season earlier, else by a straight line between the neighbours.
fn bridge(values: &mut [f64], observed: &[bool], seasons: &Seasons) {
    let mut index = 0;
    while index < values.len() {
        if observed[index] {
            index += 1;
            continue;
        }
        let end = (index..values.len()).find(|i| observed[*i]).unwrap_or(values.len());
        let gap = end - index;
        let season = seasons.periods().iter().rev().find(|m| **m <= index);
        match season {
            Some(&m) if gap > settings::BRIDGED_GAP => {
                for i in index..end {
                    values[i] = values[i - m];
                }
            }
            _ => {
                let left = if index > 0 { values[index - 1] } else { values[end] };
                let right = if end < values.len() { values[end] } else { left };
                for (k, i) in (index..end).enumerate() {
                    let share = (k + 1) as f64 / (gap + 1) as f64;
                    values[i] = left + share * (right - left);
                }
            }
        }
        index = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_gaps_are_lines_and_long_ones_repeat_the_season() {
        let nan = f64::NAN;
        let history = History::of(&[nan, 1.0, nan, 3.0], &Seasons::none());
        assert_eq!(history.values(), &[1.0, 2.0, 3.0]);
        assert_eq!(history.observed(), &[true, false, true]);
        assert_eq!(history.first_index(), 1);

        let mut raw: Vec<f64> = (0..40).map(|i| f64::from(i % 10)).collect();
        raw[22..30].fill(nan);
        let history = History::of(&raw, &Seasons::given(&[10]));
        assert_eq!(history.values()[22..30], [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    }

    #[test]
    fn a_wild_value_is_clipped_and_frequent_peaks_are_not() {
        let wild = |i: usize| if i == 500 { 1e9 } else { (i % 10) as f64 };
        let raw: Vec<f64> = (0..1_000).map(wild).collect();
        let history = History::of(&raw, &Seasons::none());
        assert!(history.values()[500] < 30.0);
        let raw: Vec<f64> = (0..1_000).map(|i| if i % 100 == 0 { 1e3 } else { 1.0 }).collect();
        assert_eq!(History::of(&raw, &Seasons::none()).values(), raw);
    }

    #[test]
    fn a_new_level_is_not_a_spike_however_young() {
        let mut raw: Vec<f64> = (0..5_000).map(|i| f64::from(i % 10)).collect();
        raw.extend([200.0; 4]);
        assert_eq!(History::of(&raw, &Seasons::none()).values(), raw);
        raw.truncate(5_002);
        assert!(History::of(&raw, &Seasons::none()).values()[5_001] < 30.0);
    }

    #[test]
    fn no_more_than_the_limit_is_kept_and_phases_stay() {
        let raw: Vec<f64> = (0..settings::MAX_FIT_POINTS + 5).map(|i| (i % 7) as f64).collect();
        let history = History::of(&raw, &Seasons::none());
        assert_eq!(history.len(), settings::MAX_FIT_POINTS);
        assert_eq!(history.values()[0], (history.first_index() % 7) as f64);
    }
}
