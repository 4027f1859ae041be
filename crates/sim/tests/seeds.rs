//! Rollouts under everything that can go wrong, by seeds. A seed that fails prints the command
//! that tells its story.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::faults::Fault;
use sim::trial::{Report, Rig, Telling, run, run_with};

/// How many seeds are tried here; `examples/seeds.rs` tries as many as one likes.
const SEEDS: u64 = 20_000;

/// More failing seeds than this are not told.
const MOST_TOLD: usize = 5;

#[test]
fn rollouts_end_well_or_hold_for_a_true_reason_whatever_happens() {
    let (next, bad, seen) = (AtomicU64::new(0), Mutex::new(Vec::new()), Mutex::default());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut own = BTreeSet::new();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        break;
                    }
                    let report = run(seed);
                    own.extend(
                        report.happenings.iter().filter(|(_, n)| **n > 0).map(|(k, _)| k.clone()),
                    );
                    if !report.accusations.is_empty() {
                        bad.lock().unwrap().push(report);
                    }
                }
                let seen: &Mutex<BTreeSet<String>> = &seen;
                seen.lock().unwrap().extend(own);
            });
        }
    });
    everything_happened(&seen.into_inner().unwrap());
    let mut bad = bad.into_inner().unwrap();
    bad.sort_by_key(|report| report.seed);
    let told: String = bad.iter().take(MOST_TOLD).map(tell).collect();
    assert!(bad.is_empty(), "{} of {SEEDS} seeds failed:\n{told}", bad.len());
}

fn tell(report: &Report) -> String {
    let seed = report.seed;
    let accusations = report.accusations.join("\n    ");
    format!(
        "seed {seed}:\n    {accusations}\n    cargo run --release -p sim --example seeds -- --seed \
         {seed} --story\n"
    )
}

/// A trial in which nothing goes wrong proves nothing.
fn everything_happened(seen: &BTreeSet<String>) {
    let calls = Fault::ALL.map(|fault| format!("call {fault:?}"));
    let happenings = [
        "Abort",
        "BootFailures",
        "ClockStep",
        "Death",
        "EndlessConnections",
        "HookEnded",
        "HookFailed",
        "Load",
        "MaximumLowered",
        "MaximumRaised",
        "MetricsLag",
        "MetricsLie",
        "MetricsVanish",
        "MinimumLowered",
        "Pause",
        "PlanApproved",
        "PlanRejected",
        "Protected",
        "Reload",
        "Replacement",
        "Resume",
        "Resumed",
        "ScalerReplaces",
        "ServerReverted",
        "SizeChanged",
        "SoldOut",
        "SpotLoss",
        "Suspended",
        "TakenOut",
        "Unprotected",
        "UpdateFailures",
        "driver killed",
    ];
    for kind in calls.iter().map(String::as_str).chain(happenings) {
        assert!(seen.contains(kind), "no {kind} in {SEEDS} seeds");
    }
}

#[test]
fn the_same_seed_gives_the_same_journal_byte_for_byte() {
    for seed in 0..40 {
        let [once, again] = [run(seed), run_with(seed, &Rig::default(), Telling::Story)];
        let text = |report: &Report| serde_json::to_string(&report.records).unwrap();
        assert_eq!(text(&once), text(&again), "seed {seed}");
        assert_eq!(once.happenings, again.happenings, "seed {seed}");
        assert!(once.story.is_empty() && again.story.len() >= again.records.len());
    }
}
