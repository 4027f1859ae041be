//! How soon intervals hold what they state again after the level of the load has risen by two fifths:
//! `cargo run --release -p forecast --example shift -- 200`.
//!
//! The number is that of the seeds. Prints, for windows of two hours after the shift, the share of values
//! in the central 80 % and 95 % intervals that were said one step (ten minutes) and one hour before.

#[path = "../tests/shifted/mod.rs"]
mod shifted;

use rayon::prelude::*;

const WINDOW: usize = 12;
const STEPS: usize = 4 * shifted::DAY;
const STATED: [f64; 2] = [0.8, 0.95];

fn main() {
    let seeds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100u64);
    let all: Vec<_> =
        (0..seeds).into_par_iter().map(|seed| shifted::lived_through(seed, STEPS)).collect();
    // The share of the values of some steps in an interval.
    let share = |from: usize, to: usize, ahead: usize, interval: usize| {
        let each = all.iter().flat_map(|one| &one[from..to]);
        let inside = each.filter(|step| step[ahead][interval]).count();
        inside as f64 / ((to - from) * all.len()) as f64
    };
    println!("{seeds} seeds   1 step: 80 %   95 %   1 hour: 80 %   95 %");
    for from in (0..STEPS).step_by(WINDOW) {
        let cell = |ahead, interval| 100.0 * share(from, from + WINDOW, ahead, interval);
        println!(
            "{from:>4} to {:>4} {:>11.1} {:>6.1} {:>14.1} {:>6.1}",
            from + WINDOW,
            cell(0, 0),
            cell(0, 1),
            cell(1, 0),
            cell(1, 1),
        );
    }
    for (ahead, name) in ["one step", "one hour"].into_iter().enumerate() {
        for (interval, stated) in STATED.into_iter().enumerate() {
            // A day is long enough to tell two points.
            let far = |from: &usize| {
                (share(*from, from + shifted::DAY, ahead, interval) - stated).abs() > 0.02
            };
            let last = (0..=STEPS - shifted::DAY).rev().find(far);
            let back = last.map_or(0, |last| last + 1);
            println!(
                "{name}, {:.0} %: the days that begin {back} steps after the shift or later are within 2 points",
                100.0 * stated
            );
        }
    }
}
