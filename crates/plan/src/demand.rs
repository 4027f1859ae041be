//! Sampled load laid out for the search: one row of all paths per step, and maxima of rows.

use domain::forecast::Paths;
use domain::series::Step;
use jiff::Timestamp;

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

/// Every path of one dimension on a grid, step after step, with maxima over blocks of 4, 16, 64
/// … steps, so that the maximum over any interval is taken in a few rows.
#[derive(Debug, Clone)]
pub(crate) struct Demand {
    paths: usize,
    /// Level `l` holds one row per block of 4^l steps; blocks that are not whole are left out.
    levels: Vec<Vec<f64>>,
}

const RADIX: usize = 4;

impl Demand {
    /// The paths on the grid, each value passed through `shape`.
    pub(crate) fn new(paths: &Paths, grid: &Grid, shape: impl Fn(f64) -> f64) -> Self {
        let rows = rows_on(paths, grid, shape);
        let count = paths.count();
        let mut levels = vec![rows];
        while let Some(below) = levels.last().filter(|rows| rows.len() >= RADIX * count) {
            let mut above = Vec::with_capacity(below.len() / RADIX);
            for block in below.chunks_exact(RADIX * count) {
                let start = above.len();
                above.extend_from_slice(&block[..count]);
                for row in block[count..].chunks_exact(count) {
                    raise(&mut above[start..], row);
                }
            }
            levels.push(above);
        }
        Self { paths: count, levels }
    }

    /// How many paths there are.
    pub(crate) fn paths(&self) -> usize {
        self.paths
    }

    /// How many steps there are, at least 1.
    pub(crate) fn steps(&self) -> usize {
        self.levels[0].len() / self.paths
    }

    /// All paths at one step.
    pub(crate) fn row(&self, step: usize) -> &[f64] {
        self.block(0, step)
    }

    fn block(&self, level: usize, index: usize) -> &[f64] {
        &self.levels[level][index * self.paths..(index + 1) * self.paths]
    }

    /// Raises each entry of `out` to the maximum of its path over the steps `[from, to)`.
    pub(crate) fn raise_over(&self, mut from: usize, mut to: usize, out: &mut [f64]) {
        let mut level = 0;
        while from < to {
            while from < to && !from.is_multiple_of(RADIX) {
                raise(out, self.block(level, from));
                from += 1;
            }
            while from < to && !to.is_multiple_of(RADIX) {
                to -= 1;
                raise(out, self.block(level, to));
            }
            (from, to) = (from / RADIX, to / RADIX);
            level += 1;
        }
    }
}

/// Raises each entry to the one beside it, where that is larger.
pub(crate) fn raise(out: &mut [f64], other: &[f64]) {
    for (high, value) in out.iter_mut().zip(other) {
        *high = if *value > *high { *value } else { *high };
    }
}

/// One row of all paths per step of the grid: the same numbers as [`Paths::resample`] gives.
fn rows_on(paths: &Paths, grid: &Grid, shape: impl Fn(f64) -> f64) -> Vec<f64> {
    if grid.step > paths.step() {
        let to = grid.at(grid.steps);
        let coarse = paths.resample(grid.step, grid.origin, to);
        return coarse.map(|p| transposed(&p, 0, p.steps(), shape)).unwrap_or_default();
    }
    let origin = (grid.origin.as_second() - paths.start().as_second()) as f64;
    let (own, new) = (paths.step().seconds() as f64, grid.step.seconds() as f64);
    let last = paths.steps() - 1;
    let place = |index: usize| {
        let middle = (origin + index as f64 * new + new / 2.0) / own - 0.5;
        let middle = middle.clamp(0.0, last as f64);
        (middle.floor() as usize, middle - middle.floor())
    };
    let (skipped, share) = place(0);
    if origin >= 0.0
        && grid.step == paths.step()
        && share == 0.0
        && skipped + grid.steps <= paths.steps()
    {
        return transposed(paths, skipped, skipped + grid.steps, shape);
    }
    let (first, end) = (place(0).0, (place(grid.steps - 1).0 + 1).clamp(0, last) + 1);
    let count = paths.count();
    let knots = transposed(paths, first, end, |load| load);
    let mut rows = Vec::with_capacity(grid.steps * count);
    for index in 0..grid.steps {
        let (left, share) = place(index);
        let right = (left + 1).clamp(0, last) - first;
        let left = &knots[(left - first) * count..][..count];
        let right = &knots[right * count..][..count];
        rows.extend(left.iter().zip(right).map(|(l, r)| shape(l + (r - l) * share)));
    }
    rows
}

/// Steps `[from, to)` of all paths, step after step, each value passed through `shape`.
fn transposed(paths: &Paths, from: usize, to: usize, shape: impl Fn(f64) -> f64) -> Vec<f64> {
    const TILE: usize = 32;
    let count = paths.count();
    let mut rows = vec![0.0; (to - from) * count];
    for tile in (from..to).step_by(TILE) {
        let end = (tile + TILE).clamp(tile, to);
        for (path, values) in paths.iter().enumerate() {
            for step in tile..end {
                rows[(step - from) * count + path] = shape(values[step]);
            }
        }
    }
    rows
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
            let demand = Demand::new(&paths, &grid, |x| x);
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
        let demand = Demand::new(&paths, &grid, |x| x);
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
