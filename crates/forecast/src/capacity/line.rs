//! A line through points of which some are wrong, and how much it moves when blocks of time are drawn
//! again.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::settings;

/// One point, with what it counts and the block of time that it lies in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) weight: f64,
    pub(super) block: i64,
}

/// `y = level + slope · x`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    level: f64,
    slope: f64,
    /// Points further from it count less (Huber, *Robust Statistics*, §7).
    spread: f64,
}

impl Line {
    /// Where it stands without load.
    pub(super) fn level(&self) -> f64 {
        self.level
    }

    /// Where it stands at a load.
    pub(super) fn at(&self, load: f64) -> f64 {
        self.level + self.slope * load
    }

    fn rest(&self, point: &Point) -> f64 {
        point.y - self.level - self.slope * point.x
    }

    /// What a point counts, given how far it lies from the line.
    fn counts(&self, point: &Point) -> f64 {
        let far = self.rest(point).abs() / (settings::CAPACITY_HUBER * self.spread);
        point.weight / far.max(1.0)
    }

    /// How far above the line the points lie at a level, by their weight; no less than on it.
    pub(super) fn above(&self, points: &[Point], level: f64) -> f64 {
        let mut rests: Vec<(f64, f64)> = points.iter().map(|p| (self.rest(p), p.weight)).collect();
        rests.sort_by(|a, b| a.0.total_cmp(&b.0));
        let whole: f64 = rests.iter().map(|rest| rest.1).sum();
        let mut sum = 0.0;
        let at = rests.iter().find(|rest| {
            sum += rest.1;
            sum >= level * whole
        });
        at.map_or(0.0, |rest| rest.0.max(0.0))
    }

    /// Whether it rises by more than chance.
    pub(super) fn rises(&self, blocks: &Blocks) -> bool {
        let mut slopes: Vec<f64> = blocks.drawn_again().map(|(_, slope)| slope).collect();
        slopes.sort_by(f64::total_cmp);
        self.slope > 0.0 && crate::quantile::of_sorted(&slopes, settings::CAPACITY_CHANCE) > 0.0
    }
}

/// The line that fits best.
pub(super) fn fit(points: &[Point]) -> Line {
    let mut line = Line { level: 0.0, slope: 0.0, spread: f64::INFINITY };
    for _ in 0..settings::CAPACITY_ROUNDS {
        let sums = points.iter().fold(Sums::default(), |sums, p| sums.with(p, line.counts(p)));
        let (level, slope) = sums.line();
        line = Line { level, slope, ..line };
        let mut far: Vec<f64> = points.iter().map(|point| line.rest(point).abs()).collect();
        far.sort_by(f64::total_cmp);
        // The standard deviation of what is normal, by its median (Huber, §5.1); never zero.
        line.spread = (1.4826 * far[far.len() / 2]).max(f64::MIN_POSITIVE);
    }
    line
}

/// Weighted sums of points.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    w: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Sums {
    fn with(self, point: &Point, weight: f64) -> Self {
        let (x, y) = (point.x, point.y);
        self.and(&Self {
            w: weight,
            x: weight * x,
            y: weight * y,
            xx: weight * x * x,
            xy: weight * x * y,
        })
    }

    fn and(self, other: &Self) -> Self {
        Self {
            w: self.w + other.w,
            x: self.x + other.x,
            y: self.y + other.y,
            xx: self.xx + other.xx,
            xy: self.xy + other.xy,
        }
    }

    /// Level and slope of the line with the least squares.
    fn line(&self) -> (f64, f64) {
        let (x, y) = (self.x / self.w, self.y / self.w);
        let spread = self.xx / self.w - x * x;
        let slope = if spread > 0.0 { (self.xy / self.w - x * y) / spread } else { 0.0 };
        (y - slope * x, slope)
    }
}

/// The sums of each block of time.
pub(super) struct Blocks(Vec<Sums>);

impl Blocks {
    pub(super) fn of(points: &[Point], line: &Line) -> Self {
        let mut blocks: BTreeMap<i64, Sums> = BTreeMap::new();
        for point in points {
            let sums = blocks.entry(point.block).or_default();
            *sums = sums.with(point, line.counts(point));
        }
        Self(blocks.into_values().collect())
    }

    /// Level and slope of many histories, each made of as many blocks, drawn with replacement; the
    /// same ones each time.
    pub(super) fn drawn_again(&self) -> impl Iterator<Item = (f64, f64)> {
        let mut chance = ChaCha8Rng::seed_from_u64(0);
        (0..settings::CAPACITY_DRAWS).map(move |_| {
            let drawn = (0..self.0.len()).map(|_| &self.0[chance.random_range(0..self.0.len())]);
            drawn.fold(Sums::default(), |sums, block| sums.and(block)).line()
        })
    }
}
