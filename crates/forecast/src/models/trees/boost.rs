//! Gradient boosting for the pinball loss (Friedman, "Greedy function approximation: a gradient
//! boosting machine", Annals of Statistics 29, 2001), on columns cut into bins.
//!
//! Each tree is grown on the signs of what is left over, which are the gradient of the pinball
//! loss; a leaf then says the quantile of what is left in it. Signs are counted, so that sums are
//! whole numbers and the same in any order.

use super::forest::{Forest, Tree};
use super::grid::Grid;
use crate::quantile;
use crate::settings;

/// How large a forest grows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// How many trees it has.
    pub(super) trees: usize,
    /// Splits from the root of a tree to a leaf.
    pub(super) depth: usize,
}

/// Learns the `level` quantile of `targets`, one for each row of the grid.
pub(super) fn boost(grid: &Grid, targets: &[f32], level: f64, size: Size) -> Forest {
    let mut left: Vec<f32> = targets.to_vec();
    let guess = middle(left.clone(), level);
    left.iter_mut().for_each(|rest| *rest -= guess);
    let mut trees = Vec::with_capacity(size.trees);
    for _ in 0..size.trees {
        let mut tree = Growing::new(grid, level, size.depth, &mut left).grow();
        let is_stump = tree.above.iter().all(|above| *above == f32::INFINITY);
        let mut is_done = false;
        if is_stump {
            // Nothing can be told apart until what is left has its quantile at zero; nor then, if
            // it has it there.
            let rest = middle(left.clone(), level);
            tree.leaves[0] += rest;
            left.iter_mut().for_each(|left| *left -= rest);
            is_done = rest.abs() <= f32::EPSILON;
        }
        trees.push(tree);
        if is_done {
            break;
        }
    }
    Forest { width: grid.columns(), guess, trees }
}

fn middle(mut values: Vec<f32>, level: f64) -> f32 {
    values.sort_by(f32::total_cmp);
    let values: Vec<f64> = values.into_iter().map(f64::from).collect();
    if values.is_empty() { 0.0 } else { quantile::of_sorted(&values, level) as f32 }
}

/// How many rows there are, and how many of them have something left above zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    rows: u32,
    above: u32,
}

impl Count {
    fn less(self, other: Self) -> Self {
        Self { rows: self.rows - other.rows, above: self.above - other.above }
    }

    /// The squared sum of the gradient over the number of rows: `level` for what is above zero,
    /// `level − 1` for the rest.
    fn worth(self, level: f64) -> f64 {
        let (rows, above) = (f64::from(self.rows), f64::from(self.above));
        (above - (1.0 - level) * rows).powi(2) / rows.max(1.0)
    }
}

/// The counts of every bin of every column.
type Histogram = Vec<[Count; settings::TREE_BINS + 1]>;

struct Split {
    column: usize,
    bin: usize,
    above: f32,
}

/// One tree while it grows.
struct Growing<'a> {
    grid: &'a Grid,
    level: f64,
    left: &'a mut [f32],
    tree: Tree,
}

impl<'a> Growing<'a> {
    fn new(grid: &'a Grid, level: f64, depth: usize, left: &'a mut [f32]) -> Self {
        let inner = (1 << depth) - 1;
        let tree = Tree {
            columns: vec![0; inner],
            above: vec![f32::INFINITY; inner],
            leaves: vec![0.0; inner + 1],
        };
        Self { grid, level, left, tree }
    }

    fn grow(mut self) -> Tree {
        let rows: Vec<u32> = (0..self.grid.rows() as u32).collect();
        let histogram = self.count(&rows);
        self.node(0, rows, histogram);
        self.tree
    }

    fn node(&mut self, node: usize, rows: Vec<u32>, histogram: Histogram) {
        let Some(split) = self.best(&histogram) else {
            let mut leaf = node;
            while leaf < self.tree.above.len() {
                leaf = 2 * leaf + 1;
            }
            return self.leaf(leaf - self.tree.above.len(), &rows);
        };
        self.tree.columns[node] = split.column as u8;
        self.tree.above[node] = split.above;
        let column = self.grid.column(split.column);
        let is_left = |row: &u32| usize::from(column[*row as usize]) <= split.bin;
        let (left, right): (Vec<u32>, Vec<u32>) = rows.into_iter().partition(is_left);
        let children = (2 * node + 1, 2 * node + 2);
        if children.0 >= self.tree.above.len() {
            let first = self.tree.above.len();
            self.leaf(children.0 - first, &left);
            return self.leaf(children.1 - first, &right);
        }
        // The larger part is what the smaller one leaves of the whole.
        let small = self.count(if left.len() < right.len() { &left } else { &right });
        let mut large = histogram;
        for (large, small) in large.iter_mut().flatten().zip(small.iter().flatten()) {
            *large = large.less(*small);
        }
        let (of_left, of_right) =
            if left.len() < right.len() { (small, large) } else { (large, small) };
        self.node(children.0, left, of_left);
        self.node(children.1, right, of_right);
    }

    fn count(&self, rows: &[u32]) -> Histogram {
        let mut histogram = vec![[Count::default(); settings::TREE_BINS + 1]; self.grid.columns()];
        for (column, counts) in histogram.iter_mut().enumerate() {
            let bins = self.grid.column(column);
            for row in rows {
                let count = &mut counts[usize::from(bins[*row as usize])];
                count.rows += 1;
                count.above += u32::from(self.left[*row as usize] > 0.0);
            }
        }
        histogram
    }

    /// The split that explains most of the gradient; the first of equals.
    fn best(&self, histogram: &Histogram) -> Option<Split> {
        let least = settings::TREE_LEAF_LEAST as u32;
        // Signs vary less the further a quantile lies out.
        let by_chance = settings::TREE_GAIN_LEAST * 4.0 * self.level * (1.0 - self.level);
        let mut best: Option<(f64, Split)> = None;
        for (column, counts) in histogram.iter().enumerate() {
            let add =
                |a: Count, b: &Count| Count { rows: a.rows + b.rows, above: a.above + b.above };
            let whole = counts.iter().fold(Count::default(), add);
            let mut part = Count::default();
            for (bin, count) in counts.iter().enumerate() {
                part = add(part, count);
                let rest = whole.less(part);
                if part.rows < least || rest.rows < least {
                    continue;
                }
                let Some(above) = self.grid.upper(column, bin) else { break };
                let worth = |count: Count| count.worth(self.level);
                let gain = worth(part) + worth(rest) - worth(whole);
                if gain > best.as_ref().map_or(by_chance, |(gain, _)| *gain) {
                    best = Some((gain, Split { column, bin, above }));
                }
            }
        }
        best.map(|(_, split)| split)
    }

    /// A leaf says a part of the quantile of what is left, and takes it off.
    fn leaf(&mut self, leaf: usize, rows: &[u32]) {
        let rest = rows.iter().map(|row| self.left[*row as usize]).collect();
        let said = settings::TREE_RATE as f32 * middle(rest, self.level);
        self.tree.leaves[leaf] = said;
        rows.iter().for_each(|row| self.left[*row as usize] -= said);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics;

    const SIZE: Size = Size { trees: 60, depth: 4 };

    /// Two columns that matter, one that does not, and one without values.
    fn table(rows: usize) -> (Vec<f32>, Vec<f32>) {
        let chance = |i: usize, k: usize| ((i * k) as f32 * 0.618_034).fract();
        let row = |i: usize| [chance(i, 7), chance(i, 13), chance(i, 31), f32::NAN];
        let noise = |i: usize| ((i * i) as f32 * 0.37).sin();
        let target = |i: usize| {
            let [a, b, ..] = row(i);
            10.0 + if a > 0.5 { 5.0 } else { 0.0 } * if b > 0.3 { 1.0 } else { -1.0 } + noise(i)
        };
        ((0..rows).flat_map(row).collect(), (0..rows).map(target).collect())
    }

    #[test]
    fn steps_and_their_product_are_learned() {
        let (table, targets) = table(4_000);
        let forest = boost(&Grid::of(&table, 4), &targets, 0.5, SIZE);
        for (row, truth) in [([0.9, 0.9], 15.0), ([0.9, 0.1], 5.0), ([0.1, 0.9], 10.0)] {
            let said = forest.predict(&[row[0], row[1], 0.5, f32::NAN]);
            assert!((said - truth).abs() < 0.4, "{row:?}: {said}, not {truth}");
        }
    }

    #[test]
    fn as_many_values_lie_below_as_the_level_says() {
        let (table, targets) = table(4_000);
        let grid = Grid::of(&table, 4);
        for level in [0.1, 0.5, 0.9, 0.95] {
            let forest = boost(&grid, &targets, level, Size { trees: 150, ..SIZE });
            let said: Vec<f64> = table.chunks(4).map(|row| forest.predict(row)).collect();
            let below = said.iter().zip(&targets).filter(|(s, t)| f64::from(**t) <= **s).count();
            let share = below as f64 / targets.len() as f64;
            assert!((share - level).abs() < 0.04, "{level}: {share}");
            let targets: Vec<f64> = targets.iter().map(|t| f64::from(*t)).collect();
            let flat = vec![
                f64::from(middle(targets.iter().map(|t| *t as f32).collect(), level));
                targets.len()
            ];
            let loss = metrics::mean_pinball(&targets, &said, level);
            assert!(loss < 0.5 * metrics::mean_pinball(&targets, &flat, level), "{level}: {loss}");
        }
    }

    #[test]
    fn where_nothing_can_be_split_the_quantile_is_said() {
        let targets: Vec<f32> = (0..101).map(|i| i as f32).collect();
        let forest = boost(&Grid::of(&[1.0; 101], 1), &targets, 0.9, SIZE);
        assert!((forest.predict(&[1.0]) - 90.0).abs() < 1.5);
        // It ends at once, and not after sixty trees that say nothing.
        assert!(forest.trees.len() <= 2, "{}", forest.trees.len());
        assert_eq!(boost(&Grid::of(&[], 1), &[], 0.5, SIZE).predict(&[0.0]), 0.0);
    }
}
