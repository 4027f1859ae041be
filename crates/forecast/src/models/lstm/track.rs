//! What is followed of a series: its last cycle, its seasonal profiles, and how far values lie
//! from what these expect. Inputs of the network and naive forecasts are made from it.
//!
//! Everything that the network sees is a difference in units of the mean change over the shorter
//! season, so that level, trend and size of a series do not matter, and seasons of any length
//! look alike. Places in a season are counted from the peak of its first harmonic.

use serde::{Deserialize, Serialize};

use super::shape::{CANDIDATES, DEVIATIONS, STEP_OWN};
use crate::season::Seasons;
use crate::settings;

/// What is followed of one series; values are scaled to spread 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Track {
    /// The shorter season in steps; 1 without a season.
    day: usize,
    /// The longer season; the shorter one again if there is no other.
    week: usize,
    /// How many values came.
    next: usize,
    /// The last cycle of the longer season: the value of index `i` is at `i % week`.
    cycle: Vec<f32>,
    /// The smoothed value of each place in the shorter season.
    daily: Vec<f32>,
    /// The same of the longer season; empty if there is none.
    weekly: Vec<f32>,
    /// Means of the deviations over a few values, and over a season; and of their sizes.
    fast: [f32; DEVIATIONS],
    slow: [f32; DEVIATIONS],
    size: [f32; DEVIATIONS],
    /// The mean change from value to value.
    jump: f32,
    /// How many deviations these means are made of.
    counted: u32,
    /// Peaks of the first harmonics, in radians, and the spread of the daily profile.
    peaks: [f32; 2],
    swing: f32,
}

/// One step ahead, as the head sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    /// Inputs of the head.
    pub(crate) inputs: Vec<f32>,
    /// Naive forecasts, in units above the first of them.
    pub(crate) candidates: [f32; CANDIDATES],
    /// The first of them, scaled as the values are.
    pub(crate) base: f32,
}

impl Track {
    /// Follows a series with these seasons; the two longest count.
    pub(crate) fn new(seasons: &Seasons) -> Self {
        let (day, week) = match seasons.periods() {
            [] => (1, 1),
            [one] => (*one, *one),
            [.., day, week] => (*day, *week),
        };
        Self {
            day,
            week,
            next: 0,
            cycle: vec![0.0; week],
            daily: vec![0.0; day],
            weekly: if week > day { vec![0.0; week] } else { Vec::new() },
            fast: [0.0; DEVIATIONS],
            slow: [0.0; DEVIATIONS],
            size: [0.0; DEVIATIONS],
            jump: 0.0,
            counted: 0,
            peaks: [0.0; 2],
            swing: 0.0,
        }
    }

    /// The shorter season, in steps.
    pub(crate) fn day(&self) -> usize {
        self.day
    }

    /// The longer season, in steps.
    pub(crate) fn week(&self) -> usize {
        self.week
    }

    /// The value that came so many steps ago; 1 is the last one.
    fn ago(&self, steps: usize) -> f32 {
        self.cycle[(self.next + self.week - steps) % self.week]
    }

    /// What the value of index `at`, from now on, is by the day before, the day's profile, the
    /// week before, the week's profile.
    fn expected(&self, at: usize) -> [f32; DEVIATIONS] {
        let before = |season: usize| {
            let steps = (at - self.next) % season;
            self.ago(season - steps)
        };
        let profile = self.daily[at % self.day];
        let weekly = self.weekly.get(at % self.week).copied().unwrap_or(profile);
        [before(self.day), profile, before(self.week), weekly]
    }

    /// What is carried over a gap: the profile of the longest season at the present level.
    fn carried(&self) -> f32 {
        self.expected(self.next)[3] + self.slow[3]
    }

    /// The mean change over the shorter season, in which differences are told.
    pub(crate) fn unit(&self) -> f32 {
        self.size[0].max(settings::LSTM_UNIT_LEAST)
    }

    /// Takes in the next value (`None` is a gap), and writes what the cell sees of it.
    pub(crate) fn push(&mut self, value: Option<f32>, inputs: &mut Vec<f32>) {
        let expected = self.expected(self.next);
        let came = value.unwrap_or_else(|| self.carried());
        let last = self.ago(1);
        let known = self.next >= self.week;
        let deviations = expected.map(|e| came - e);
        let told = value.is_some() && known;
        if told {
            self.count(&deviations, came - last);
        }
        self.keep(came, value.is_some());
        inputs.clear();
        if told {
            let unit = self.unit();
            inputs.extend(deviations.map(|d| squashed(d / unit)));
            inputs.push(squashed((came - last) / unit));
        } else {
            inputs.resize(DEVIATIONS + 1, 0.0);
        }
        let ahead = self.daily[self.next % self.day] - self.daily[(self.next - 1) % self.day];
        inputs.push(if known { squashed(ahead / self.unit()) } else { 0.0 });
        inputs.push(if told { 0.0 } else { 1.0 });
        inputs.extend(self.phases(self.next - 1));
    }

    fn count(&mut self, deviations: &[f32; DEVIATIONS], change: f32) {
        self.counted = self.counted.saturating_add(1);
        let first = 1.0 / self.counted as f32;
        let season = self.day.max(settings::LSTM_SEASON_LEAST) as f32;
        let (slow, long) = (first.max(2.0 / (season + 1.0)), settings::LSTM_UNIT_SEASONS * season);
        let (fast, long) = (first.max(settings::LSTM_FAST), first.max(1.0 / long));
        for (k, deviation) in deviations.iter().enumerate() {
            self.fast[k] += fast * (deviation - self.fast[k]);
            self.slow[k] += slow * (deviation - self.slow[k]);
            self.size[k] += long * (deviation.abs() - self.size[k]);
        }
        self.jump += long * (change.abs() - self.jump);
    }

    fn keep(&mut self, value: f32, seen: bool) {
        let at = self.next;
        self.cycle[at % self.week] = value;
        let profiles = [(self.day, &mut self.daily), (self.week, &mut self.weekly)];
        for (season, profile) in profiles {
            let Some(place) = profile.get_mut(at % season) else { continue };
            if at < season {
                *place = value;
            } else if seen {
                *place += settings::PROFILE_SMOOTHING as f32 * (value - *place);
            }
        }
        self.next += 1;
    }

    /// Finds where the seasons have their peaks. Called once, when a cycle has been seen.
    pub(crate) fn anchor(&mut self) {
        self.peaks = [peak(&self.daily), peak(&self.weekly)];
        let n = self.daily.len() as f32;
        let mean = self.daily.iter().sum::<f32>() / n;
        self.swing = (self.daily.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt();
    }

    /// Sine and cosine of the place in each season; zero where there is none.
    fn phases(&self, at: usize) -> [f32; 4] {
        let angle = |season: usize, peak: f32| {
            std::f32::consts::TAU * (at % season) as f32 / season as f32 - peak
        };
        let mut phases = [0.0; 4];
        if self.day > 1 {
            (phases[0], phases[1]) = angle(self.day, self.peaks[0]).sin_cos();
        }
        if self.week > self.day {
            (phases[2], phases[3]) = angle(self.week, self.peaks[1]).sin_cos();
        }
        phases
    }

    /// What the head sees of the series at this moment.
    pub(crate) fn statics(&self) -> Vec<f32> {
        let unit = self.unit();
        let ratio = |size: f32| (size.max(f32::MIN_POSITIVE) / unit).ln().clamp(-4.0, 4.0) / 2.0;
        let mut statics = vec![
            if self.week > self.day { 1.0 } else { 0.0 },
            (self.day as f32).ln() / 5.0,
            ratio(self.swing),
            ratio(self.jump),
        ];
        statics.extend(self.size[1..].iter().map(|size| ratio(*size)));
        statics.extend(self.fast.iter().chain(&self.slow).map(|mean| squashed(mean / unit)));
        statics
    }

    /// The step so many after the next one (0 is the next one), without calendar and regressors.
    pub(crate) fn step(&self, ahead: usize, step: &mut Step) {
        let at = self.next + ahead;
        let [before, profile, week, weekly] = self.expected(at);
        let unit = self.unit();
        let named = [
            before,
            self.ago(1),
            profile,
            week,
            weekly,
            before + self.fast[0],
            profile + self.fast[1],
            profile + self.slow[1],
            week + self.slow[2],
            weekly + self.fast[3],
            weekly + self.slow[3],
        ];
        step.base = before;
        step.candidates = named.map(|candidate| (candidate - before) / unit);
        step.inputs.clear();
        step.inputs.extend(step.candidates[1..].iter().map(|c| squashed(*c)));
        let far = ahead.min(settings::LSTM_FARTHEST);
        step.inputs.push((1.0 + far as f32).ln() / 4.0);
        step.inputs.push(((far + 1) as f32 / self.day as f32).min(4.0) / 2.0);
        step.inputs.extend(self.phases(at));
        debug_assert_eq!(step.inputs.len(), STEP_OWN);
    }
}

/// Large differences count less: the inverse hyperbolic sine.
fn squashed(x: f32) -> f32 {
    let size = x.abs().min(1e6);
    (size + (size * size + 1.0).sqrt()).ln().copysign(x)
}

/// Where the first harmonic of a profile has its peak, in radians.
fn peak(profile: &[f32]) -> f32 {
    let n = profile.len() as f32;
    let place = |i: usize| std::f32::consts::TAU * i as f32 / n;
    let each = profile.iter().enumerate();
    let (cos, sin) = each.fold((0.0, 0.0), |(cos, sin), (i, value)| {
        (cos + value * place(i).cos(), sin + value * place(i).sin())
    });
    f32::atan2(sin, cos)
}
