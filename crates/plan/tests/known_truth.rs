//! The stated risk holds where the truth is known; `examples/known_truth.rs` is the long version.

mod fleet;
mod known;

use known::cases::{Case, Lengths, Offers};
use known::tally::{Bought, Outcome, Tally, perform};

const RISK: f64 = 0.05;
const SEED: u64 = 5;

/// Plans so many of some cases, and performs each a hundred times.
fn outcomes(plans: usize, cases: impl Iterator<Item = (u64, Case)>) -> Vec<Outcome> {
    let performed = cases.filter_map(|(number, case)| perform(&case, RISK, 100, SEED + number));
    performed.take(plans).collect()
}

fn cases() -> impl Iterator<Item = (u64, Case)> {
    (0..200).map(|number| (number, Case::of(number as usize, SEED)))
}

/// That the share of rollouts with overload keeps the risk, 95 % sure.
#[track_caller]
fn keeps_the_risk(outcomes: &[Outcome]) {
    let tally = Tally::of(outcomes.iter());
    let (lower, upper) = tally.bounds();
    assert!(upper <= RISK, "{lower} to {upper}: {tally:?}");
}

/// … and uses some of it: surge is not bought for nothing.
#[track_caller]
fn uses_the_risk(outcomes: &[Outcome]) {
    let tally = Tally::of(outcomes.iter());
    assert!(tally.bounds().0 >= RISK / 50.0, "{tally:?}");
}

#[test]
fn plans_of_every_kind_keep_the_stated_risk() {
    let all = outcomes(48, cases());
    keeps_the_risk(&all);
    uses_the_risk(&all);
    // What is stated is what comes, within the scatter of both.
    let tally = Tally::of(all.iter());
    let (lower, upper) = tally.bounds();
    assert!(lower <= tally.stated.1 && tally.stated.0 / 3.0 <= upper, "{tally:?}");
}

#[test]
fn losses_of_spot_instances_are_in_the_risk() {
    let with_spot = |case: &Case| matches!(case.offers, Offers::WithSpot | Offers::WithPool);
    let spot = outcomes(24, cases().filter(|(_, case)| with_spot(case)));
    assert!(spot.iter().filter(|o| o.bought == Bought::Risky).count() >= 8);
    keeps_the_risk(&spot);
    uses_the_risk(&spot);
}

#[test]
fn failed_orders_boots_and_updates_are_in_the_risk() {
    let failing = cases().map(|(number, case)| (number, case.failing(0.97, 0.02, 0.002)));
    let all = outcomes(36, failing);
    assert!(all.iter().filter(|o| o.bought == Bought::Risky).count() >= 12);
    keeps_the_risk(&all);
    uses_the_risk(&all);
    let tally = Tally::of(all.iter());
    let (lower, upper) = tally.bounds();
    assert!(lower <= tally.stated.1 && tally.stated.0 / 3.0 <= upper, "{tally:?}");
}

#[test]
fn servers_that_come_back_late_are_in_the_risk() {
    let late = |case: &Case| case.lengths == Lengths::AtMedian && case.offers != Offers::Nothing;
    let late = cases().filter(|(_, case)| late(case));
    let plans = outcomes(24, late.map(|(number, case)| (number, case.ending_at_the_rise())));
    assert_eq!(plans.len(), 24);
    keeps_the_risk(&plans);
}
