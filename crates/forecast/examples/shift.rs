//! How soon intervals hold what they state again after the level of the load has risen by two fifths:
//! `cargo run --release -p forecast --example shift -- 200`.
//!
//! The number is that of the seeds; a second one, what the load is multiplied by (1.4): with 1 nothing happens;
//! a third one, how many days of it are looked at (4).
//! Prints, for windows of two hours after the shift, the share of values
//! in the central 80 % and 95 % intervals that were said one step (ten minutes) and one hour before.

#[path = "../tests/shifted/mod.rs"]
mod shifted;

use rayon::prelude::*;

const WINDOW: usize = 12;

fn main() {
    let argument = |place: usize| std::env::args().nth(place);
    let seeds = argument(1).and_then(|text| text.parse().ok()).unwrap_or(100u64);
    let shift = argument(2).and_then(|text| text.parse().ok()).unwrap_or(1.4);
    let days = argument(3).and_then(|text| text.parse().ok()).unwrap_or(4usize);
    let steps = days * shifted::DAY;
    let all: Vec<_> =
        (0..seeds).into_par_iter().map(|seed| shifted::lived_through(seed, shift, steps)).collect();
    // The share of the values of some steps in an interval.
    let share = |from: usize, to: usize, ahead: usize, interval: usize| {
        let each = all.iter().flat_map(|one| &one[from..to]);
        let inside = each.filter(|step| step[ahead][interval]).count();
        inside as f64 / ((to - from) * all.len()) as f64
    };
    println!("{seeds} seeds   1 step: 80 %   95 %   1 hour: 80 %   95 %");
    for from in (0..steps).step_by(WINDOW) {
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
    println!("means over a day, which is long enough to tell two points:");
    for from in (0..=steps - shifted::DAY).step_by(2 * WINDOW) {
        let to = from + shifted::DAY;
        let cell = |ahead, interval| 100.0 * share(from, to, ahead, interval);
        println!(
            "{from:>4} to {to:>4} {:>11.1} {:>6.1} {:>14.1} {:>6.1}",
            cell(0, 0),
            cell(0, 1),
            cell(1, 0),
            cell(1, 1),
        );
    }
}
