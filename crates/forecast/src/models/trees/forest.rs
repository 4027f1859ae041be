//! A sum of small complete trees.

use serde::{Deserialize, Serialize};

/// A complete binary tree: the children of inner node `i` are `2i + 1` and `2i + 2`, and the
/// leaves follow the inner nodes. A node that is not split sends everything to the left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tree {
    /// Which column each inner node looks at, and above what a row goes right.
    pub(super) columns: Vec<u8>,
    pub(super) above: Vec<f32>,
    pub(super) leaves: Vec<f32>,
}

impl Tree {
    fn leaf(&self, row: &[f32]) -> f32 {
        let mut node = 0;
        while let Some(above) = self.above.get(node) {
            // What is missing (`NaN`) is never above.
            let right = row[usize::from(self.columns[node])] > *above;
            node = 2 * node + 1 + usize::from(right);
        }
        self.leaves[node - self.above.len()]
    }

    /// Whether rows of `width` values can be followed to a leaf.
    fn fits(&self, width: usize) -> bool {
        self.columns.len() == self.above.len()
            && self.leaves.len() == self.above.len() + 1
            && self.leaves.len().is_power_of_two()
            && self.columns.iter().all(|column| usize::from(*column) < width)
            && self.leaves.iter().all(|leaf| leaf.is_finite())
    }
}

/// What boosting came to: a first guess and trees that add to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub(super) struct Forest {
    pub(super) width: usize,
    pub(super) guess: f32,
    pub(super) trees: Vec<Tree>,
}

impl Forest {
    /// What the trees say of a row.
    pub(super) fn predict(&self, row: &[f32]) -> f64 {
        let sum: f32 = self.trees.iter().map(|tree| tree.leaf(row)).sum();
        f64::from(self.guess + sum)
    }
}

/// A forest as it was read.
#[derive(Deserialize)]
struct Unchecked {
    width: usize,
    guess: f32,
    trees: Vec<Tree>,
}

impl TryFrom<Unchecked> for Forest {
    type Error = &'static str;

    fn try_from(read: Unchecked) -> Result<Self, Self::Error> {
        let Unchecked { width, guess, trees } = read;
        if !guess.is_finite() || trees.iter().any(|tree| !tree.fits(width)) {
            return Err("a tree leads nowhere");
        }
        Ok(Self { width, guess, trees })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree {
            columns: vec![1, 0, 0],
            above: vec![2.0, 1.0, 5.0],
            leaves: vec![1.0, 2.0, 3.0, 4.0],
        }
    }

    #[test]
    fn a_row_finds_its_leaf_and_what_is_missing_goes_left() {
        let rows = [([1.0, 2.0], 1.0), ([1.5, 2.0], 2.0), ([5.0, 2.5], 3.0), ([6.0, 2.5], 4.0)];
        for (row, leaf) in rows {
            assert_eq!(tree().leaf(&row), leaf, "{row:?}");
        }
        assert_eq!(tree().leaf(&[f32::NAN, f32::NAN]), 1.0);
    }

    #[test]
    fn a_tree_that_leads_nowhere_is_not_read() {
        let read = |tree: Tree| {
            let forest = Forest { width: 2, guess: 0.0, trees: vec![tree] };
            crate::state::from_bytes::<Forest>(&crate::state::to_bytes(&forest)).is_ok()
        };
        assert!(read(tree()));
        assert!(!read(Tree { columns: vec![2, 0, 0], ..tree() }));
        assert!(!read(Tree { columns: vec![0, 0], ..tree() }));
        assert!(!read(Tree { leaves: vec![0.0; 3], ..tree() }));
        assert!(!read(Tree { leaves: vec![f32::NAN; 4], ..tree() }));
    }
}
