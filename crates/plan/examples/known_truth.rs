//! Whether the stated risk holds where the truth is known: `cargo run --release -p plan --example
//! known_truth`, on one core in ten minutes; with `quick`, a tenth of it.
//!
//! Load comes from a random process (the season of a day, a known rise, noise that
//! remembers, rare bursts), and
//! so do the paths that plans are made from. Each plan is performed many times, each time with a
//! load, lengths of time and losses of its own, and judged by the ledger. For 5 %, 2 % and 0.1 %:
//! the share of rollouts with attributable overload, its one-sided 95 % bounds, and how much of the
//! risk that makes.

#[path = "../tests/fleet/mod.rs"]
mod fleet;
#[path = "../tests/known/mod.rs"]
mod known;

use known::cases::{Case, Lengths, Offers};
use known::tally::{Bought, Outcome, Tally, perform};

/// The risk, how many questions, and how often each plan is performed.
const RUNS: [(f64, usize, usize); 3] = [(0.05, 600, 100), (0.02, 600, 100), (0.001, 144, 1000)];

const SEED: u64 = 20_260_301;

fn line(name: &str, risk: f64, outcomes: &[Outcome], keep: impl Fn(&Outcome) -> bool) {
    let tally = Tally::of(outcomes.iter().filter(|outcome| keep(outcome)));
    if tally.plans == 0 {
        return;
    }
    let (lower, upper) = tally.bounds();
    let percent = |share: f64| format!("{:.4} %", share * 100.0);
    println!(
        "  {name:<26}{:>6}{:>9}{:>7}{:>11}{:>11}{:>11}{:>7.0} %{:>11}{:>11}{:>10.2} %",
        tally.plans,
        tally.rollouts,
        tally.hits,
        percent(tally.share()),
        percent(lower),
        percent(upper),
        tally.share() / risk * 100.0,
        percent(tally.stated.0),
        percent(tally.stated.1),
        tally.worst * 100.0,
    );
}

fn report(risk: f64, outcomes: &[Outcome], refused: usize) {
    println!("\nrisk {} %; {refused} of {} refused", risk * 100.0, outcomes.len() + refused);
    println!(
        "  {:<26}{:>6}{:>9}{:>7}{:>11}{:>11}{:>11}{:>9}{:>11}{:>11}{:>12}",
        "",
        "plans",
        "rollouts",
        "hit",
        "share",
        "lower 95",
        "upper 95",
        "used",
        "planned",
        "upper95",
        "worst plan"
    );
    line("all", risk, outcomes, |_| true);
    line("nothing bought", risk, outcomes, |o| o.bought == Bought::Nothing);
    line("bought, none can be lost", risk, outcomes, |o| o.bought == Bought::Safe);
    line("bought, some can be lost", risk, outcomes, |o| o.bought == Bought::Risky);
    line("spot offered", risk, outcomes, |o| o.offers == Offers::WithSpot);
    line("spot offered, with a pool", risk, outcomes, |o| o.offers == Offers::WithPool);
    line("certain durations", risk, outcomes, |o| o.lengths == Lengths::Certain);
    line("uncertain, planned at p95", risk, outcomes, |o| o.lengths == Lengths::Uncertain);
    line("uncertain, planned at p50", risk, outcomes, |o| o.lengths == Lengths::AtMedian);
}

fn main() {
    let quick = std::env::args().any(|word| word == "quick");
    for (risk, requests, rollouts) in RUNS {
        let (mut outcomes, mut refused) = (Vec::new(), 0);
        let mut performed = 0;
        let wanted = requests * rollouts / if quick { 10 } else { 1 };
        // Questions of which no plan fits are asked and counted, and others take their place.
        for number in 0..requests * 4 {
            if performed >= wanted {
                break;
            }
            let seed = SEED + number as u64;
            match perform(&Case::of(number, SEED), risk, rollouts, seed) {
                Some(outcome) => {
                    performed += outcome.rollouts;
                    outcomes.push(outcome);
                }
                None => refused += 1,
            }
        }
        report(risk, &outcomes, refused);
    }
}
