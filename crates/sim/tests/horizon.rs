//! The stated risk holds however often a rollout is planned again; `cargo run --release -p sim --example
//! horizon` performs ten thousand, `docs/soak` keeps what came of it.

use sim::horizon::{Course, Rig, perform};

const RISK: f64 = 0.05;

fn courses(seeds: std::ops::Range<u64>, rig: Rig) -> Vec<Course> {
    seeds.filter_map(|seed| perform(seed, RISK, rig)).collect()
}

/// More than so many of twenty come with 0.3 % where each has 5 %.
const MOST_OF_TWENTY: usize = 4;

#[test]
fn rollouts_that_are_planned_again_ten_times_keep_their_risk() {
    let all = courses(0..20, Rig::default());
    let often = all.iter().filter(|course| course.revisions >= 10).count();
    assert!(often >= 10 && all.len() >= 15, "{often} of {} rollouts", all.len());
    assert!(all.iter().all(|course| course.spent <= RISK * (1.0 + 1e-9)), "{all:#?}");
    let hits = all.iter().filter(|course| course.overloaded).count();
    assert!(hits <= MOST_OF_TWENTY, "{hits} of {}", all.len());
    assert!(all.iter().any(|course| course.bought > 0));
}

#[test]
fn a_planner_that_is_told_less_than_comes_and_never_looks_is_found_out() {
    let rig = Rig { tells: 0.85, looks: false };
    let hits = courses(0..20, rig).iter().filter(|course| course.overloaded).count();
    assert!(hits > MOST_OF_TWENTY, "{hits}");
}
