//! Intervals hold what they state again after the level of the load has risen by two fifths. The figures
//! are in docs/accuracy.md, from many more seeds: `--example shift`.

#[path = "shifted/mod.rs"]
mod shifted;

use rayon::prelude::*;
use shifted::DAY;

const SEEDS: u64 = 24;

/// From so many steps after the shift on …
const BACK: usize = 24;

/// … they hold no fewer over half a day, …
const SOON: usize = DAY / 2;

/// … and no more either over each of so many days, with the fits in between.
const DAYS: usize = 3;

/// Two points, and two standard errors of so few seeds, whose values hang together for an hour or two.
const MARGIN: [f64; 2] = [0.055, 0.04];

#[test]
fn coverage_comes_back_after_a_shift_of_the_level_and_stays() {
    let all: Vec<_> = (1_000..1_000 + SEEDS)
        .into_par_iter()
        .map(|seed| shifted::lived_through(seed, 1.4, BACK + DAYS * DAY))
        .collect();
    let share = |from: usize, to: usize, ahead: usize, interval: usize| {
        let each = all.iter().flat_map(|one| &one[from..to]);
        each.filter(|step| step[ahead][interval]).count() as f64 / ((to - from) * all.len()) as f64
    };
    for (ahead, name) in ["one step", "one hour"].into_iter().enumerate() {
        for (interval, stated) in [0.8, 0.95].into_iter().enumerate() {
            let shock = share(0, 6, ahead, interval);
            assert!(shock < stated - 0.1, "{name}: the shift is felt: {shock}");
            let soon = share(BACK, BACK + SOON, ahead, interval);
            assert!(soon > stated - MARGIN[interval], "{name}, {stated}, soon: {soon}");
            for day in 0..DAYS {
                let from = BACK + day * DAY;
                let back = share(from, from + DAY, ahead, interval);
                assert!(
                    (back - stated).abs() < MARGIN[interval],
                    "{name}, {stated}, day {day}: {back}"
                );
            }
        }
    }
}
