//! What the trees look at: a row for an origin and a step ahead of it.
//!
//! Every row has the same columns, whatever the seasons of its series, so that many series share
//! their trees; what a series does not have is missing (`NaN`). Values are in units of the spread
//! of their series, and count from its level at the origin.

use domain::series::Series;
use serde::{Deserialize, Serialize};

use crate::models::{Context, Regressors};
use crate::settings;

/// Seasons that have columns: the shortest and the longest.
const SEASONS: usize = 2;
/// Columns without outside series.
const OWN: usize = 10 + 4 * SEASONS;

const DAY: i64 = 86_400;
const WEEK: i64 = 7 * DAY;

/// Where the columns of one series come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Frame {
    /// The shortest and the longest season, in steps; 0 where there is none.
    seasons: [usize; SEASONS],
    /// Steps that the level is the mean of.
    window: usize,
    /// The second of the week of the value with index 0, and the seconds of a step.
    clock: (i64, i64),
    /// Whether the history holds two days, and two weeks.
    knows: (bool, bool),
    /// Outside columns that are known ahead, and that are not.
    outside: (usize, usize),
}

/// Values up to an origin; the first of them has index `first` in the series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) values: &'a [f32],
    pub(super) first: usize,
}

impl Known<'_> {
    fn at(&self, index: usize) -> f32 {
        index.checked_sub(self.first).and_then(|i| self.values.get(i)).copied().unwrap_or(f32::NAN)
    }

    /// The mean of `count` values before `end`.
    fn mean(&self, end: usize, count: usize) -> f32 {
        let Some(end) = end.checked_sub(self.first).filter(|end| *end >= count) else {
            return f32::NAN;
        };
        let values = &self.values[end - count..end];
        (values.iter().map(|v| f64::from(*v)).sum::<f64>() / count.max(1) as f64) as f32
    }
}

/// What is the same for all steps ahead of an origin.
pub(super) struct Origin {
    index: usize,
    level: f32,
    head: [f32; 6],
}

impl Origin {
    /// The index of the first value that is not known.
    pub(super) fn index(&self) -> usize {
        self.index
    }
}

impl Frame {
    /// Of a series of which `length` values are known.
    pub(super) fn of(series: &Series, length: usize, context: &Context) -> Self {
        let seasons = context.seasons.within(length, settings::CYCLES_FOR_PROFILE);
        let short = seasons.shortest().unwrap_or(0);
        let long = seasons.longest().filter(|long| *long > short).unwrap_or(0);
        let window = if short > 0 { short } else { settings::TREE_WINDOW };
        let seconds = series.step().seconds();
        let span = seconds.saturating_mul(length as i64);
        let Regressors { ahead, past } = &context.regressors;
        Self {
            seasons: [short, long],
            window: window.min(length / 4).max(1),
            clock: (series.start().as_second().rem_euclid(WEEK), seconds),
            knows: (seconds < DAY && span >= 2 * DAY, span >= 2 * WEEK),
            outside: (ahead.len(), past.len()),
        }
    }

    /// How many columns there are.
    pub(super) fn width(&self) -> usize {
        OWN + self.outside.0 + self.outside.1
    }

    /// How far back the columns reach from an origin, in steps.
    pub(super) fn reach(&self) -> usize {
        let [short, long] = self.seasons;
        long.max(settings::TREE_CYCLES * short).max(2 * self.window) + 4
    }

    /// How many steps ahead are learned: two of the shortest season, where the history allows.
    pub(super) fn horizon(&self, length: usize) -> usize {
        (2 * self.window).min(length / 4).clamp(1, settings::HORIZON_MOST)
    }

    /// What is the same for all steps ahead of `index`, the first value that is not known.
    pub(super) fn origin(&self, known: Known<'_>, index: usize) -> Origin {
        let level = known.mean(index, self.window);
        let last = |back: usize| known.at(index - back.min(index)) - level;
        let before = known.mean(index - self.window.min(index), self.window);
        let few = known.mean(index, settings::TREE_FEW) - level;
        let turn = known.at(index - 1) - known.mean(index, settings::TREE_FEW);
        Origin { index, level, head: [last(1), last(2), last(3), few, level - before, turn] }
    }

    /// The row of a step ahead (0 is the next value), into `row`; `ahead` and `past` are the
    /// outside values at that step, and the last that are known.
    pub(super) fn row(
        &self,
        known: Known<'_>,
        origin: &Origin,
        step: usize,
        (ahead, past): (impl Iterator<Item = f64>, impl Iterator<Item = f64>),
        row: &mut Vec<f32>,
    ) {
        let target = origin.index + step;
        row.clear();
        row.extend_from_slice(&origin.head);
        row.push(((step + 1) as f32).ln());
        for season in self.seasons {
            if season == 0 {
                row.extend([f32::NAN; 4]);
                continue;
            }
            let back = back(target, origin.index, season);
            let same = known.at(back) - origin.level;
            let now = known.at(origin.index - 1)
                - known.at(origin.index - 1 - season.min(origin.index - 1));
            row.extend([same, known.at(back.wrapping_sub(season)) - origin.level, now]);
            row.push((target % season) as f32 / season as f32);
        }
        let cycles = (0..settings::TREE_CYCLES).filter_map(|k| {
            let short = self.seasons[0];
            back(target, origin.index, short.max(1)).checked_sub(k * short).filter(|_| short > 0)
        });
        let (sum, count) = cycles
            .map(|index| known.at(index))
            .filter(|value| !value.is_nan())
            .fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0_f32));
        row.push(sum / count - origin.level);
        let second = (self.clock.0 + self.clock.1 * target as i64).rem_euclid(WEEK);
        row.push(if self.knows.0 { (second % DAY) as f32 / DAY as f32 } else { f32::NAN });
        row.push(if self.knows.1 { (second / DAY) as f32 } else { f32::NAN });
        row.extend(ahead.chain(past).map(|value| value as f32));
        row.resize(self.width(), f32::NAN);
    }

    /// What the trees add to, for a step ahead: the value of the same phase of the longest season,
    /// else the last value.
    pub(super) fn anchor(&self, known: Known<'_>, origin: &Origin, step: usize) -> f32 {
        let season = self.seasons.iter().max().copied().unwrap_or(0);
        let index = match season {
            0 => origin.index - 1,
            season => back(origin.index + step, origin.index, season),
        };
        let value = known.at(index);
        if value.is_nan() { origin.level } else { value }
    }
}

/// The newest index before `origin` that is whole seasons before `target`.
fn back(target: usize, origin: usize, season: usize) -> usize {
    let cycles = (target - origin) / season + 1;
    target.saturating_sub(cycles * season)
}
