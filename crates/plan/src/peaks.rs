//! The paths that are highest in an interval, without a look at the others.
//!
//! How many paths may lack capacity is a small number, so that what is bought is decided by the
//! few highest paths of an interval. They are among the highest of its parts: a path that is not
//! among the `k` highest of a part has `k` above it there, and so in the whole. Lists of the `k`
//! highest paths of 1, 4, 16 … steps therefore give the `k` highest values of any interval
//! exactly, also when what is in service differs from part to part.

use crate::demand::{Demand, RADIX, TILE, each_block};

/// Lists of the highest paths over blocks of steps.
#[derive(Debug)]
pub(crate) struct Peaks {
    /// How many paths a list has.
    count: usize,
    /// Level `l` holds one list per block of 4^l steps, each in no order.
    levels: Vec<Vec<Peak>>,
}

/// A path with its highest load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Peak {
    pub(crate) load: f64,
    pub(crate) path: u32,
}

impl Peaks {
    /// The `count` highest paths of every block, at most as many as there are.
    pub(crate) fn of(demand: &Demand<'_>, count: usize) -> Self {
        let count = count.clamp(1, demand.paths());
        let mut levels = vec![of_steps(demand, count)];
        let mut highest = Highest::new(demand.paths());
        while let Some(below) = levels.last().filter(|lists| lists.len() >= RADIX * count) {
            let mut above = Vec::with_capacity(below.len() / RADIX);
            for lists in below.chunks_exact(RADIX * count) {
                for peak in lists {
                    highest.raise(peak.path, peak.load);
                }
                let mut merged: Vec<Peak> = highest.drain().collect();
                keep_highest(&mut merged, count);
                above.append(&mut merged);
            }
            levels.push(above);
        }
        Self { count, levels }
    }

    /// The least of the `count` highest values of each step.
    pub(crate) fn lowest_of(demand: &Demand<'_>, count: usize) -> Vec<f64> {
        let count = count.clamp(1, demand.paths());
        of_steps(demand, count).chunks_exact(count).map(lowest).collect()
    }

    /// Calls `visit` with every path that may be among the highest of the steps `[from, to)`,
    /// some more than once.
    pub(crate) fn over(&self, from: usize, to: usize, mut visit: impl FnMut(&Peak)) {
        each_block(from, to, |level, index| {
            let list = &self.levels[level][index * self.count..(index + 1) * self.count];
            list.iter().for_each(&mut visit);
        });
    }
}

/// Leaves the highest; of two equal ones the path with the lower number.
fn keep_highest(list: &mut Vec<Peak>, count: usize) {
    if list.len() > count {
        let higher = |a: &Peak, b: &Peak| b.load.total_cmp(&a.load).then(a.path.cmp(&b.path));
        list.select_nth_unstable_by(count - 1, higher);
        list.truncate(count);
    }
}

fn lowest(list: &[Peak]) -> f64 {
    list.iter().map(|peak| peak.load).fold(f64::INFINITY, |a, b| if b < a { b } else { a })
}

/// The highest paths of each step, one list after the other.
fn of_steps(demand: &Demand<'_>, count: usize) -> Vec<Peak> {
    let mut all = Vec::with_capacity(demand.steps() * count);
    let mut lists: Vec<Vec<Peak>> = (0..TILE).map(|_| Vec::with_capacity(2 * count)).collect();
    let (mut loads, mut floors) = ([0.0; TILE], [0.0; TILE]);
    for first in (0..demand.steps()).step_by(TILE) {
        let length = TILE.clamp(1, demand.steps() - first);
        let (loads, floors) = (&mut loads[..length], &mut floors[..length]);
        floors.fill(f64::NEG_INFINITY);
        for path in 0..demand.paths() {
            demand.fill(path, first, loads);
            let number = u32::try_from(path).unwrap_or(u32::MAX);
            for (step, load) in loads.iter().enumerate() {
                if *load <= floors[step] {
                    continue;
                }
                let list = &mut lists[step];
                list.push(Peak { load: *load, path: number });
                if list.len() == 2 * count {
                    keep_highest(list, count);
                    floors[step] = lowest(list);
                }
            }
        }
        for list in &mut lists[..length] {
            keep_highest(list, count);
            all.append(list);
        }
    }
    all
}

/// The highest value of each path that was seen.
#[derive(Debug, Clone)]
pub(crate) struct Highest {
    of: Vec<f64>,
    seen: Vec<u32>,
}

impl Highest {
    pub(crate) fn new(paths: usize) -> Self {
        Self { of: vec![f64::NEG_INFINITY; paths], seen: Vec::new() }
    }

    /// Raises the value of a path to `value`.
    pub(crate) fn raise(&mut self, path: u32, value: f64) {
        let high = &mut self.of[path as usize];
        if *high == f64::NEG_INFINITY {
            self.seen.push(path);
        }
        *high = if value > *high { value } else { *high };
    }

    /// Every path that was seen with its highest value; nothing is seen afterwards.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Peak> + '_ {
        let Self { of, seen } = self;
        seen.drain(..).map(|path| {
            let load = std::mem::replace(&mut of[path as usize], f64::NEG_INFINITY);
            Peak { load, path }
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::forecast::Paths;
    use domain::series::Step;
    use jiff::Timestamp;

    use super::*;
    use crate::demand::{Grid, Shape};

    /// Random values with many ties, `count` paths of `steps` steps of a minute.
    fn demand_of(steps: usize, count: usize) -> Paths {
        let value = |i: usize| ((i * 7919 + i / 7 * 104_729 + 13) % 61) as f64;
        let values = (0..steps * count).map(value).collect();
        let start = Timestamp::from_second(6000).unwrap();
        Paths::new(start, Step::from_seconds(60).unwrap(), steps, values).unwrap()
    }

    #[test]
    fn the_highest_values_of_any_interval_are_exact() {
        let paths = demand_of(150, 40);
        let grid = Grid::covering(paths.step(), paths.start(), paths.end());
        let demand = Demand::new(&paths, &grid, Shape { margin: None, most: 57.0 });
        let mut highest = Highest::new(40);
        for count in [1, 3, 7, 40, 99] {
            let peaks = Peaks::of(&demand, count);
            for (from, to) in (0..150).step_by(11).flat_map(|f| [1, 5, 30, 99].map(|n| (f, f + n)))
            {
                let (from, to) = (from, to.clamp(from, 150));
                // The second half of the interval stands for a batch that takes out more.
                let middle = from + (to - from) / 2;
                let lift = |step: usize| if step < middle { 0.0 } else { 9.0 };
                peaks.over(from, middle, |p| highest.raise(p.path, p.load));
                peaks.over(middle, to, |p| highest.raise(p.path, p.load + 9.0));
                let mut found: Vec<f64> = highest.drain().map(|peak| peak.load).collect();
                let mut every: Vec<f64> = (0..40)
                    .map(|path| {
                        let of = (from..to).map(|step| demand.load(path, step) + lift(step));
                        of.fold(f64::NEG_INFINITY, |a, b| if b > a { b } else { a })
                    })
                    .collect();
                found.sort_by(|a, b| b.total_cmp(a));
                every.sort_by(|a, b| b.total_cmp(a));
                let count = count.clamp(1, 40);
                assert_eq!(found[..count], every[..count], "{count} of {from} to {to}");
            }
        }
    }

    #[test]
    fn the_lowest_of_the_highest_is_a_quantile() {
        let paths = demand_of(70, 40);
        let grid = Grid::covering(paths.step(), paths.start(), paths.end());
        let demand = Demand::new(&paths, &grid, Shape::PLAIN);
        for (level, rank) in [(0.95, 38), (0.5, 20), (1.0, 40), (0.01, 1)] {
            for (step, upper) in demand.upper(level).into_iter().enumerate() {
                let mut row = demand.row(step).to_vec();
                row.sort_by(f64::total_cmp);
                assert_eq!(upper, row[rank - 1]);
            }
        }
        let means = demand.means();
        assert_eq!(means[3], demand.row(3).iter().sum::<f64>() / 40.0);
    }
}
