//! Rows of columns as small numbers: each value is the place of its interval among cuts at
//! quantiles of its column, so that a split is a comparison of bytes.

use crate::settings;

/// The cuts of every column, and the values as bins, column by column. Bin 0 is what is missing.
pub(super) struct Grid {
    cuts: Vec<Vec<f32>>,
    bins: Vec<Vec<u8>>,
    rows: usize,
}

impl Grid {
    /// Of rows of `width` values, one after the other; `NaN` is a missing value.
    pub(super) fn of(table: &[f32], width: usize) -> Self {
        let rows = table.len() / width.max(1);
        let column = |c: usize| (0..rows).map(move |r| table[r * width + c]);
        let cuts: Vec<Vec<f32>> = (0..width).map(|c| cuts(column(c).collect())).collect();
        let bin = |cuts: &[f32], value: f32| {
            if value.is_nan() { 0 } else { 1 + cuts.partition_point(|cut| *cut < value) as u8 }
        };
        let bins = cuts.iter().enumerate().map(|(c, cuts)| column(c).map(|v| bin(cuts, v)));
        Self { bins: bins.map(Iterator::collect).collect(), cuts, rows }
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns there are.
    pub(super) fn columns(&self) -> usize {
        self.bins.len()
    }

    /// The bins of a column, one for each row.
    pub(super) fn column(&self, column: usize) -> &[u8] {
        &self.bins[column]
    }

    /// The greatest value of a bin: what goes right of a split after this bin is above it. `None`
    /// for the last bin, after which there is nothing. What is missing goes left.
    pub(super) fn upper(&self, column: usize, bin: usize) -> Option<f32> {
        if bin == 0 { Some(f32::NEG_INFINITY) } else { self.cuts[column].get(bin - 1).copied() }
    }
}

/// Values of the column, rising, that part it into pieces of like size: a bin is what lies above
/// the cut before it, up to its own cut.
fn cuts(mut values: Vec<f32>) -> Vec<f32> {
    values.retain(|value| !value.is_nan());
    values.sort_by(f32::total_cmp);
    let Some(last) = values.last().copied() else { return Vec::new() };
    let place = |k: usize| values[k * (values.len() - 1) / settings::TREE_BINS];
    let mut cuts: Vec<f32> = (1..settings::TREE_BINS).map(place).collect();
    cuts.dedup();
    cuts.retain(|cut| *cut < last);
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_in_its_bin_and_what_is_missing_in_none() {
        let table: Vec<f32> = (0..500)
            .flat_map(|r| [(r % 7) as f32, if r % 5 == 0 { f32::NAN } else { r as f32 }])
            .collect();
        let grid = Grid::of(&table, 2);
        assert_eq!((grid.rows(), grid.columns()), (500, 2));
        for row in 0..500 {
            for column in 0..2 {
                let (value, bin) = (table[2 * row + column], usize::from(grid.column(column)[row]));
                assert_eq!(value.is_nan(), bin == 0);
                if bin > 0 {
                    assert!(grid.upper(column, bin).is_none_or(|upper| value <= upper));
                    assert!(grid.upper(column, bin - 1).is_some_and(|lower| value > lower));
                }
            }
        }
        // Few values have a bin each.
        assert_eq!(grid.column(0)[..7], [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_column_of_one_value_cannot_be_split() {
        let grid = Grid::of(&[3.0; 40], 1);
        assert_eq!(grid.upper(0, 1), None);
        assert_eq!(Grid::of(&[f32::NAN; 40], 1).upper(0, 1), None);
    }
}
