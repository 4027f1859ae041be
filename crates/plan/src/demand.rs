//! Sampled load laid out for the search: one row of all paths per step, and maxima of rows.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use domain::forecast::Paths;
use domain::series::Step;
use jiff::Timestamp;

use crate::peaks::Peaks;
use crate::request::Margin;

/// The regular instants of a plan: step `i` is `[origin + i·step, origin + (i+1)·step)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) origin: Timestamp,
    pub(crate) step: Step,
    pub(crate) steps: usize,
}

impl Grid {
    /// The grid that covers `[from, to)`, at least one step.
    pub(crate) fn covering(step: Step, from: Timestamp, to: Timestamp) -> Self {
        let origin = step.floor(from);
        let length = to.as_second() - origin.as_second();
        let steps = usize::try_from(length.div_euclid(step.seconds()) + 1).unwrap_or(1);
        let whole = length.rem_euclid(step.seconds()) == 0 && steps > 1;
        Self { origin, step, steps: if whole { steps - 1 } else { steps } }
    }

    /// The start of step `index`.
    pub(crate) fn at(&self, index: usize) -> Timestamp {
        self.origin + self.step.duration() * u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// Whole seconds from the origin, rounded up.
    pub(crate) fn seconds_up(&self, at: Timestamp) -> i64 {
        self.seconds(at) + i64::from(at.subsec_nanosecond() > 0)
    }

    /// Whole seconds from the origin, rounded down.
    pub(crate) fn seconds(&self, at: Timestamp) -> i64 {
        at.as_second() - self.origin.as_second()
    }
}

/// The instant so many seconds after `at`, or the last one there is.
pub(crate) fn after(at: Timestamp, seconds: i64) -> Timestamp {
    let length = std::time::Duration::from_secs(seconds.unsigned_abs());
    at.checked_add(length).unwrap_or(Timestamp::MAX)
}

/// What the search makes of a sampled load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shape {
    /// Extra on top of it.
    pub(crate) margin: Option<Margin>,
    /// No more than this counts.
    pub(crate) most: f64,
}

impl Shape {
    /// The load as it is.
    pub(crate) const PLAIN: Self = Self { margin: None, most: f64::INFINITY };

    fn of(self, load: f64) -> f64 {
        let load = match self.margin {
            None => load,
            Some(Margin::Ratio(ratio)) => load * (1.0 + ratio),
            Some(Margin::Absolute(extra)) => load + extra,
        };
        if load > self.most { self.most } else { load }
    }
}

/// Every path of one dimension on a grid, with maxima over blocks of 4, 16, 64 … steps, so that
/// the maximum over any interval is taken in a few rows. Rows are laid out when they are asked
/// for: a search looks at [`Peaks`] nearly everywhere.
#[derive(Debug)]
pub(crate) struct Demand<'a> {
    paths: Cow<'a, Paths>,
    shape: Shape,
    places: Places,
    steps: usize,
    /// The rows of [`TILE`] steps at a time, one row of all paths per step.
    tiles: Vec<OnceCell<Vec<f64>>>,
    /// Level `l`, from 1: the maxima over each block of 4^l steps; blocks that are not whole are
    /// left out.
    blocks: Vec<Vec<OnceCell<Vec<f64>>>>,
    /// The highest paths, by their number.
    peaks: RefCell<BTreeMap<usize, Rc<Peaks>>>,
}

/// Blocks of one level that make one of the next.
pub(crate) const RADIX: usize = 4;

/// Steps that are laid out together: a few cache lines of each path.
pub(crate) const TILE: usize = 64;

impl<'a> Demand<'a> {
    /// The paths on the grid, each value shaped.
    pub(crate) fn new(paths: &'a Paths, grid: &Grid, shape: Shape) -> Self {
        let coarse = (grid.step > paths.step())
            .then(|| paths.resample(grid.step, grid.origin, grid.at(grid.steps)))
            .flatten();
        let paths = coarse.map_or(Cow::Borrowed(paths), Cow::Owned);
        let places = Places::of(&paths, grid);
        let steps = grid.steps;
        let mut blocks = Vec::new();
        let mut count = steps / RADIX;
        while count > 0 {
            blocks.push((0..count).map(|_| OnceCell::new()).collect());
            count /= RADIX;
        }
        let tiles = (0..steps.div_ceil(TILE)).map(|_| OnceCell::new()).collect();
        Self { paths, shape, places, steps, tiles, blocks, peaks: RefCell::default() }
    }

    /// How many paths there are.
    pub(crate) fn paths(&self) -> usize {
        self.paths.count()
    }

    /// How many steps there are, at least 1.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// All paths at one step.
    pub(crate) fn row(&self, step: usize) -> &[f64] {
        let tile = self.tiles[step / TILE].get_or_init(|| self.tile(step / TILE));
        let (first, count) = (step % TILE, self.paths());
        &tile[first * count..(first + 1) * count]
    }

    /// The paths that are highest somewhere, `count` for each interval.
    pub(crate) fn peaks(&self, count: usize) -> Rc<Peaks> {
        let mut known = self.peaks.borrow_mut();
        Rc::clone(known.entry(count).or_insert_with(|| Rc::new(Peaks::of(self, count))))
    }

    /// The mean over all paths, step by step.
    pub(crate) fn means(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.steps];
        let mut loads = vec![0.0; self.steps];
        for path in 0..self.paths() {
            self.fill(path, 0, &mut loads);
            for (sum, load) in sums.iter_mut().zip(&loads) {
                *sum += load;
            }
        }
        sums.iter().map(|sum| sum / self.paths() as f64).collect()
    }

    /// The least value, step by step, that at least a share of `level` of the paths does not
    /// exceed.
    pub(crate) fn upper(&self, level: f64) -> Vec<f64> {
        let paths = self.paths();
        let rank = (level * paths as f64 - 1e-9).ceil() as usize;
        Peaks::lowest_of(self, paths + 1 - rank.clamp(1, paths))
    }

    /// The load of one path at one step, shaped.
    pub(crate) fn load(&self, path: usize, step: usize) -> f64 {
        let mut load = [0.0];
        self.fill(path, step, &mut load);
        load[0]
    }

    /// The load of one path from step `first` on, shaped.
    pub(crate) fn fill(&self, path: usize, first: usize, out: &mut [f64]) {
        let values = self.paths.path(path);
        match &self.places {
            Places::Same { skipped } => {
                for (out, load) in out.iter_mut().zip(&values[skipped + first..]) {
                    *out = self.shape.of(*load);
                }
            }
            Places::Between(places) => {
                for (out, (left, share)) in out.iter_mut().zip(&places[first..]) {
                    let left = *left as usize;
                    let right = (left + 1).clamp(0, values.len() - 1);
                    let load = values[left] + (values[right] - values[left]) * share;
                    *out = self.shape.of(load);
                }
            }
        }
    }

    fn tile(&self, index: usize) -> Vec<f64> {
        let (first, count) = (index * TILE, self.paths());
        let length = TILE.clamp(1, self.steps - first);
        let mut rows = vec![0.0; length * count];
        let mut buffer = [0.0; TILE];
        for path in 0..count {
            let buffer = &mut buffer[..length];
            self.fill(path, first, buffer);
            for (step, load) in buffer.iter().enumerate() {
                rows[step * count + path] = *load;
            }
        }
        rows
    }

    fn block(&self, level: usize, index: usize) -> &[f64] {
        if level == 0 {
            return self.row(index);
        }
        self.blocks[level - 1][index].get_or_init(|| {
            let mut high = self.block(level - 1, index * RADIX).to_vec();
            for part in 1..RADIX {
                raise(&mut high, self.block(level - 1, index * RADIX + part));
            }
            high
        })
    }

    /// Raises each entry of `out` to the maximum of its path over the steps `[from, to)`.
    pub(crate) fn raise_over(&self, from: usize, to: usize, out: &mut [f64]) {
        each_block(from, to, |level, index| raise(out, self.block(level, index)));
    }
}

/// The blocks that make up the steps `[from, to)`, by level and index.
pub(crate) fn each_block(mut from: usize, mut to: usize, mut visit: impl FnMut(usize, usize)) {
    let mut level = 0;
    while from < to {
        while from < to && !from.is_multiple_of(RADIX) {
            visit(level, from);
            from += 1;
        }
        while from < to && !to.is_multiple_of(RADIX) {
            to -= 1;
            visit(level, to);
        }
        (from, to) = (from / RADIX, to / RADIX);
        level += 1;
    }
}

/// Where the steps of a grid lie in the steps of the paths: the same places as
/// [`Paths::resample`] takes.
#[derive(Debug)]
enum Places {
    /// Each step is one of the paths, after some that are skipped.
    Same { skipped: usize },
    /// Each step lies between two, so far from the left one to the next.
    Between(Vec<(u32, f64)>),
}

impl Places {
    fn of(paths: &Paths, grid: &Grid) -> Self {
        let origin = (grid.origin.as_second() - paths.start().as_second()) as f64;
        let (own, new) = (paths.step().seconds() as f64, grid.step.seconds() as f64);
        let last = (paths.steps() - 1) as f64;
        let place = |index: usize| {
            let middle = (origin + index as f64 * new + new / 2.0) / own - 0.5;
            let middle = middle.clamp(0.0, last);
            (middle.floor() as u32, middle - middle.floor())
        };
        let (skipped, share) = place(0);
        let skipped = skipped as usize;
        let same = origin >= 0.0 && grid.step == paths.step() && share == 0.0;
        match same && skipped + grid.steps <= paths.steps() {
            true => Self::Same { skipped },
            false => Self::Between((0..grid.steps).map(place).collect()),
        }
    }
}

/// Raises each entry to the one beside it, where that is larger.
pub(crate) fn raise(out: &mut [f64], other: &[f64]) {
    for (high, value) in out.iter_mut().zip(other) {
        *high = if *value > *high { *value } else { *high };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(s: i64) -> Timestamp {
        Timestamp::from_second(s).unwrap()
    }

    fn some_paths(step: i64, steps: usize, count: usize) -> Paths {
        let value = |i: usize| ((i * 7919 + 13) % 997) as f64;
        let values = (0..steps * count).map(value).collect();
        Paths::new(second(6000), Step::from_seconds(step).unwrap(), steps, values).unwrap()
    }

    #[test]
    fn rows_are_what_resampling_gives() {
        for (own, new) in [(300, 60), (60, 60), (60, 300), (300, 120), (60, 90)] {
            let paths = some_paths(own, 40, 3);
            let step = Step::from_seconds(new).unwrap();
            let grid = Grid::covering(step, second(5400), second(9000));
            let demand = Demand::new(&paths, &grid, Shape::PLAIN);
            let same = paths.resample(step, second(5400), grid.at(grid.steps)).unwrap();
            assert_eq!(demand.steps(), same.steps());
            for (path, values) in same.iter().enumerate() {
                for (at, value) in values.iter().enumerate() {
                    let row = demand.row(at)[path];
                    assert!((row - value).abs() < 1e-9, "{own} to {new}, step {at}");
                }
            }
        }
    }

    #[test]
    fn maxima_over_any_interval_are_exact() {
        let paths = some_paths(60, 150, 2);
        let grid = Grid::covering(paths.step(), paths.start(), paths.end());
        let demand = Demand::new(&paths, &grid, Shape::PLAIN);
        assert_eq!(demand.steps(), 150);
        for from in (0..150).step_by(7) {
            for to in from + 1..=150 {
                let mut out = [f64::NEG_INFINITY; 2];
                demand.raise_over(from, to, &mut out);
                for (path, high) in out.iter().enumerate() {
                    let values = &paths.path(path)[from..to];
                    let slow =
                        values.iter().fold(f64::NEG_INFINITY, |a, b| if *b > a { *b } else { a });
                    assert_eq!(*high, slow);
                }
            }
        }
    }

    #[test]
    fn a_grid_covers_what_it_is_asked_for() {
        let minute = Step::from_seconds(60).unwrap();
        assert_eq!(Grid::covering(minute, second(0), second(600)).steps, 10);
        assert_eq!(Grid::covering(minute, second(30), second(601)).steps, 11);
        assert_eq!(Grid::covering(minute, second(0), second(0)).steps, 1);
    }
}
