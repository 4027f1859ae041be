//! What a forecaster has taken in, as far as it takes to tell whether a history is the same: a hash for
//! each block of steps. The values themselves would take more room than the forecaster.

use std::collections::VecDeque;

use domain::series::{Series, Step};
use serde::{Deserialize, Serialize};

/// Steps of a block; blocks begin at multiples of it since the Unix epoch.
const BLOCK: i64 = 256;

/// What has been taken in, from the first step of a fit to the newest one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    step: Step,
    /// The number of the first step since the Unix epoch, and that of the next one.
    first: i64,
    next: i64,
    /// The hash of each block, the newest is not full.
    blocks: VecDeque<u64>,
}

/// How a history compares with what was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// All that was taken in is as the history has it, which goes on for so many steps.
    Same {
        /// How many.
        more: usize,
    },
    /// The history ends before.
    Ahead,
    /// Other values, or another grid.
    Other,
}

impl Taken {
    /// All of a series.
    pub fn all(series: &Series) -> Self {
        let first = number(series, 0);
        let mut taken = Self { step: series.step(), first, next: first, blocks: VecDeque::new() };
        for (index, value) in series.values().iter().enumerate() {
            taken.take(number(series, index), *value, series.is_bound(index));
        }
        taken
    }

    /// The length of a step.
    pub fn step(&self) -> Step {
        self.step
    }

    /// The steps of a series that follow what was taken in; the first of them may come after a gap.
    pub fn follow(&mut self, series: &Series) {
        for (index, value) in series.values().iter().enumerate() {
            self.take(number(series, index), *value, series.is_bound(index));
        }
    }

    /// One value; steps before it that were jumped over are gaps.
    fn take(&mut self, number: i64, value: f64, is_bound: bool) {
        while self.next < number {
            self.put(f64::NAN, false);
        }
        if self.next == number {
            self.put(value, is_bound);
        }
    }

    fn put(&mut self, value: f64, is_bound: bool) {
        if self.blocks.is_empty() || self.next.rem_euclid(BLOCK) == 0 {
            self.blocks.push_back(0xcbf2_9ce4_8422_2325);
        }
        // Every gap is the same gap.
        let bits = if value.is_finite() { value.to_bits() } else { f64::NAN.to_bits() };
        if let Some(hash) = self.blocks.back_mut() {
            for byte in bits.to_le_bytes().into_iter().chain([u8::from(is_bound)]) {
                *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        self.next += 1;
    }

    /// Whether a history holds the same values as far as both reach back; both begin where what is asked
    /// for does, so that the later one may begin in the middle of a block, which is left out then.
    pub fn compare(&self, series: &Series) -> Compared {
        let end = number(series, series.values().len());
        if series.step() != self.step {
            return Compared::Other;
        }
        let Ok(more) = usize::try_from(end - self.next) else { return Compared::Ahead };
        let Some(known) = series.values().len().checked_sub(more) else { return Compared::Other };
        let other = Self::all(&series.head(known));
        let begin = self.first.max(other.first);
        let same_start = self.first == other.first;
        let block = begin.div_euclid(BLOCK) + i64::from(!same_start && begin.rem_euclid(BLOCK) > 0);
        let (mine, theirs) = (self.from(block), other.from(block));
        // A gap at the end may not be known as one yet.
        if mine.len() == theirs.len() && !mine.is_empty() && mine == theirs {
            Compared::Same { more }
        } else {
            Compared::Other
        }
    }

    fn from(&self, block: i64) -> Vec<u64> {
        let skipped = (block - self.first.div_euclid(BLOCK)).max(0);
        self.blocks.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX)).copied().collect()
    }
}

/// The number of a step since the Unix epoch.
fn number(series: &Series, index: usize) -> i64 {
    let first = series.start().as_second().div_euclid(series.step().seconds());
    first.saturating_add(i64::try_from(index).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn series(from: i64, to: i64, value: impl Fn(i64) -> f64) -> Series {
        let step = Step::from_seconds(60).unwrap();
        let start = Timestamp::from_second(60 * from).unwrap();
        Series::new(start, step, (from..to).map(value).collect())
    }

    fn plain(k: i64) -> f64 {
        if k % 97 == 5 { f64::NAN } else { (k % 31) as f64 / 7.0 }
    }

    #[test]
    fn the_same_values_are_told_from_others_wherever_a_window_begins() {
        let mut taken = Taken::all(&series(1_000, 3_000, plain));
        taken.follow(&series(2_990, 3_100, plain));
        for from in [900, 1_000, 1_001, 1_300, 2_304, 2_500] {
            let told = |to, value: &dyn Fn(i64) -> f64| taken.compare(&series(from, to, value));
            assert_eq!(told(3_100, &plain), Compared::Same { more: 0 }, "{from}");
            assert_eq!(told(3_107, &plain), Compared::Same { more: 7 }, "{from}");
            assert_eq!(told(3_099, &plain), Compared::Ahead, "{from}");
            for changed in [2_900, 3_099] {
                let other = |k| if k == changed { 9.0 } else { plain(k) };
                assert_eq!(told(3_100, &other), Compared::Other, "{from}, {changed}");
                let gone = |k| if k == changed { f64::NAN } else { plain(k) };
                assert_eq!(told(3_107, &gone), Compared::Other, "{from}, {changed}");
            }
        }
        let saturated = series(1_000, 3_100, plain)
            .saturated_during(&[(Timestamp::from_second(60 * 3_050).unwrap(), Timestamp::MAX)]);
        assert_eq!(taken.compare(&saturated), Compared::Other);
        let hours =
            Series::new(Timestamp::UNIX_EPOCH, Step::from_seconds(3_600).unwrap(), vec![1.0; 90]);
        assert_eq!(taken.compare(&hours), Compared::Other);
    }

    #[test]
    fn steps_that_were_jumped_over_are_gaps() {
        let mut taken = Taken::all(&series(0, 500, plain));
        taken.follow(&series(520, 530, plain));
        let gap = |k| if (500..520).contains(&k) { f64::NAN } else { plain(k) };
        assert_eq!(taken.compare(&series(0, 530, gap)), Compared::Same { more: 0 });
        assert_eq!(taken.compare(&series(0, 530, plain)), Compared::Other);
    }
}
