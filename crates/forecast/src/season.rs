//! Which seasons a series really has.
//!
//! Candidates come from the step (hour, day, week) and from peaks of the autocorrelation.
//! Each is then put to a test that noise fails: the profile made from all *other* cycles must
//! predict a cycle better than the plain mean does (leave-one-cycle-out R²).

use domain::series::{Series, Step};
use serde::{Deserialize, Serialize};

use crate::settings;

/// Periods in steps, shortest first, each at least 2.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seasons(Vec<usize>);

impl Seasons {
    /// No season.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// The given periods, in any order; those below 2 steps are left out.
    pub fn given(periods: &[usize]) -> Self {
        let mut periods: Vec<usize> = periods.iter().copied().filter(|p| *p >= 2).collect();
        periods.sort_unstable();
        periods.dedup();
        Self(periods)
    }

    /// The periods, shortest first.
    pub fn periods(&self) -> &[usize] {
        &self.0
    }

    /// The shortest period.
    pub fn shortest(&self) -> Option<usize> {
        self.0.first().copied()
    }

    /// The longest period.
    pub fn longest(&self) -> Option<usize> {
        self.0.last().copied()
    }

    /// Only the periods of which the first `length` values hold at least `cycles` cycles.
    pub fn within(&self, length: usize, cycles: usize) -> Self {
        Self(self.0.iter().copied().filter(|p| p * cycles <= length).collect())
    }
}

/// The periods that the step suggests: hour, day and week, as far as they are whole steps.
pub fn candidates(step: Step) -> Vec<usize> {
    [3_600, 86_400, 604_800]
        .into_iter()
        .filter(|period: &i64| period % step.seconds() == 0)
        .filter_map(|period| usize::try_from(period / step.seconds()).ok())
        .filter(|period| *period >= settings::SHORTEST_SEASON)
        .collect()
}

/// How much of what a running mean leaves a season explains on cycles that its profile was not
/// made from: at most 1, near 0 or below for noise.
pub(crate) fn strength(values: &[f64], period: usize) -> f64 {
    Profile::of(&detrended(values, period), period).gain
}

/// Finds the seasons of a series; `NaN` values are gaps.
pub fn detect(series: &Series) -> Seasons {
    let raw = series.values();
    let values = &raw[raw.len().saturating_sub(settings::MAX_FIT_POINTS)..];
    // A peak beside a period of the clock is that period.
    let mut tried = candidates(series.step());
    for peak in autocorrelation_peaks(values) {
        if !tried.iter().any(|period| near(*period, peak)) {
            tried.push(peak);
        }
    }
    let Seasons(mut found) = detect_among(values, &tried);
    found.extend(week_of_fine_steps(raw, series.step()));
    Seasons::given(&found)
}

/// The week of a series whose steps are so fine that two weeks of them are more than models
/// otherwise look at: told from the means over blocks of steps.
fn week_of_fine_steps(raw: &[f64], step: Step) -> Option<usize> {
    let steps = |seconds: i64| usize::try_from(seconds / step.seconds()).ok();
    let (day, week) = (steps(86_400)?, steps(604_800)?);
    if 604_800 % step.seconds() != 0 || 2 * week <= settings::MAX_FIT_POINTS {
        return None;
    }
    let newest = &raw[raw.len() - (raw.len() / week).min(settings::WEEKS_LOOKED_AT) * week..];
    let block = (1..).find(|b| day % b == 0 && newest.len() / b <= settings::MAX_FIT_POINTS)?;
    let coarse: Vec<f64> = newest.chunks_exact(block).map(mean_of_finite).collect();
    let found = detect_among(&coarse, &[day / block, week / block]);
    found.periods().contains(&(week / block)).then_some(week)
}

/// Keeps those of `tried` that pass the test, longest cycles last, each on what the shorter
/// ones leave unexplained.
fn detect_among(values: &[f64], tried: &[usize]) -> Seasons {
    let mut tried: Vec<usize> =
        tried.iter().copied().filter(|p| *p >= 2 && 2 * p <= values.len()).collect();
    tried.sort_unstable();
    tried.dedup();
    let mut found: Vec<usize> = Vec::new();
    let mut rest = values.to_vec();
    for period in tried {
        if found.iter().any(|f| near(*f, period)) {
            continue;
        }
        let flat = detrended(&rest, period);
        let profile = Profile::of(&flat, period);
        if profile.gain > settings::SEASON_GAIN {
            for (i, value) in rest.iter_mut().enumerate() {
                *value -= profile.means[i % period];
            }
            found.push(period);
        }
    }
    drop_explained(values, &mut found);
    Seasons(found)
}

/// A season is dropped if a longer one is a multiple of it and explains the series as well
/// without it being longer than the data can carry: kept as they are, both serve as lags.
fn drop_explained(values: &[f64], found: &mut Vec<usize>) {
    let long_enough = |period: usize| period * settings::CYCLES_TO_EXPLAIN <= values.len();
    let all = found.clone();
    found.retain(|period| {
        *period >= settings::SHORTEST_KEPT
            || !all.iter().any(|l| l > period && l.is_multiple_of(*period) && long_enough(*l))
    });
}

/// Whether two periods are the same up to a few percent.
fn near(a: usize, b: usize) -> bool {
    (a as f64 - b as f64).abs() <= settings::SEASON_NEARNESS * a as f64
}

/// The series minus its centred running mean over one period.
fn detrended(values: &[f64], period: usize) -> Vec<f64> {
    let n = values.len();
    let (mut sums, mut counts) = (vec![0.0; n + 1], vec![0usize; n + 1]);
    for (i, v) in values.iter().enumerate() {
        sums[i + 1] = sums[i] + if v.is_finite() { *v } else { 0.0 };
        counts[i + 1] = counts[i] + usize::from(v.is_finite());
    }
    let half = period / 2;
    (0..n)
        .map(|i| {
            // At the ends the window moves inwards, so that it always spans whole cycles.
            let left = i.saturating_sub(half).min(n.saturating_sub(period));
            let right = (left + period).min(n);
            let count = counts[right] - counts[left];
            values[i] - (sums[right] - sums[left]) / count.max(1) as f64
        })
        .collect()
}

/// The mean of each phase, and how well the other cycles predict one cycle.
struct Profile {
    means: Vec<f64>,
    gain: f64,
}

impl Profile {
    fn of(values: &[f64], period: usize) -> Self {
        let (mut sums, mut counts) = (vec![0.0; period], vec![0usize; period]);
        for (i, v) in values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
            sums[i % period] += v;
            counts[i % period] += 1;
        }
        let total: usize = counts.iter().sum();
        let grand = sums.iter().sum::<f64>() / total.max(1) as f64;
        let (mut plain, mut left_out) = (0.0, 0.0);
        for (i, v) in values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
            let others = counts[i % period] - 1;
            let expected = if others > 0 { (sums[i % period] - v) / others as f64 } else { grand };
            plain += (v - grand).powi(2);
            left_out += (v - expected).powi(2);
        }
        let means = sums
            .iter()
            .zip(&counts)
            .map(|(s, c)| if *c > 0 { s / *c as f64 } else { 0.0 })
            .collect();
        let gain = if plain > 0.0 { 1.0 - left_out / plain } else { 0.0 };
        Self { means, gain }
    }
}

/// Lags at which the autocorrelation of the (thinned) series has its highest peaks.
fn autocorrelation_peaks(values: &[f64]) -> Vec<usize> {
    let thin = values.len().div_ceil(settings::ACF_POINTS).max(1);
    let coarse: Vec<f64> = values.chunks(thin).map(mean_of_finite).collect();
    let n = coarse.len();
    if n < settings::ACF_SHORTEST {
        return Vec::new();
    }
    let window = (n / 4).max(3);
    let flat: Vec<f64> =
        detrended(&coarse, window).iter().map(|v| if v.is_finite() { *v } else { 0.0 }).collect();
    let power: f64 = flat.iter().map(|v| v * v).sum();
    if power <= 0.0 {
        return Vec::new();
    }
    let acf: Vec<f64> = (0..=n / 3)
        .map(|lag| flat.iter().zip(&flat[lag..]).map(|(a, b)| a * b).sum::<f64>() / power)
        .collect();
    let mut peaks: Vec<(f64, usize)> = (2..acf.len().saturating_sub(1))
        .filter(|l| acf[*l] > acf[l - 1] && acf[*l] >= acf[l + 1] && acf[*l] > settings::ACF_PEAK)
        .map(|l| (acf[l], l))
        .collect();
    peaks.sort_by(|a, b| b.0.total_cmp(&a.0));
    peaks.truncate(settings::ACF_PEAKS);
    peaks.into_iter().map(|(_, lag)| refine(values, lag, thin)).collect()
}

/// The exact lag near a lag of the thinned series.
fn refine(values: &[f64], lag: usize, thin: usize) -> usize {
    if thin == 1 {
        return lag;
    }
    let centre = mean_of_finite(values);
    let product = |lag: usize| {
        values
            .iter()
            .zip(&values[lag..])
            .filter(|(a, b)| a.is_finite() && b.is_finite())
            .map(|(a, b)| (a - centre) * (b - centre))
            .sum::<f64>()
    };
    let (low, high) = (lag * thin - thin, (lag * thin + thin).min(values.len() / 2));
    (low.max(2)..=high.max(2))
        .max_by(|a, b| product(*a).total_cmp(&product(*b)))
        .unwrap_or(lag * thin)
}

fn mean_of_finite(values: &[f64]) -> f64 {
    let finite = values.iter().filter(|v| v.is_finite());
    let (sum, count) = finite.fold((0.0, 0usize), |(s, c), v| (s + v, c + 1));
    if count == 0 { f64::NAN } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn series(step: i64, length: usize, value: impl Fn(usize) -> f64) -> Series {
        let step = Step::from_seconds(step).unwrap();
        Series::new(Timestamp::UNIX_EPOCH, step, (0..length).map(value).collect())
    }

    fn noise(length: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        (0..length).map(|_| rng.random::<f64>() - 0.5).collect()
    }

    fn wave(i: usize, period: usize) -> f64 {
        (std::f64::consts::TAU * i as f64 / period as f64).sin()
    }

    #[test]
    fn day_and_week_are_found_at_many_steps() {
        for (step, day) in [(3_600, 24), (300, 288), (1_800, 48)] {
            let e = noise(day * 35);
            let s = series(step, day * 35, |i| {
                let weekend = if (i / day) % 7 >= 5 { 0.3 } else { 1.0 };
                10.0 + weekend * (2.0 + wave(i, day)) + 0.3 * e[i]
            });
            assert_eq!(detect(&s).periods(), &[day, 7 * day], "step {step}");
        }
    }

    #[test]
    fn the_week_of_a_ten_second_step_is_found() {
        let day = 8_640;
        let weekend = |i: usize| if (i / day) % 7 >= 5 { 0.3 } else { 1.0 };
        let unrest = |i: usize| 0.2 * ((i * i) as f64 * 0.618).sin();
        let s = series(10, 15 * day, |i| 10.0 + weekend(i) * (2.0 + wave(i, day)) + unrest(i));
        assert_eq!(detect(&s).periods(), &[day, 7 * day]);
        let same = series(10, 15 * day, |i| 10.0 + wave(i, day) + unrest(i));
        assert_eq!(detect(&same).periods(), &[day]);
    }

    #[test]
    fn noise_walks_and_constants_have_no_season() {
        let e = noise(2_000);
        assert_eq!(detect(&series(300, 2_000, |i| e[i])), Seasons::none());
        assert_eq!(detect(&series(300, 2_000, |_| 7.0)), Seasons::none());
        let mut walk = e.clone();
        for i in 1..walk.len() {
            walk[i] += walk[i - 1];
        }
        assert_eq!(detect(&series(3_600, 2_000, |i| walk[i])), Seasons::none());
    }

    #[test]
    fn a_period_that_no_clock_suggests_is_found() {
        let e = noise(3_000);
        let s = series(60, 3_000, |i| wave(i, 110) + 0.5 * e[i]);
        let found = detect(&s);
        assert!(found.periods().iter().any(|p| near(110, *p)), "{found:?}");
    }

    #[test]
    fn gaps_do_not_hide_the_day() {
        let e = noise(24 * 20);
        let s = series(3_600, 24 * 20, |i| {
            if i % 11 == 0 || (100..140).contains(&i) { f64::NAN } else { wave(i, 24) + e[i] * 0.4 }
        });
        assert_eq!(detect(&s).periods(), &[24]);
    }
}
