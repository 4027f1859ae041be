//! Whether the stated risk holds over many revisions, on load whose process is known:
//! `cargo run --release -p sim --example horizon -- [rollouts] [risk] [least revisions]
//! [first seed]`, 10000, 0.05, 10 and 0 unless given. Rollouts that were planned again less often are
//! not counted.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::horizon::{Course, Rig, perform};

fn number(nth: usize, otherwise: f64) -> f64 {
    std::env::args().nth(nth).and_then(|word| word.parse().ok()).unwrap_or(otherwise)
}

fn main() {
    let (wanted, risk, least) = (number(1, 10_000.0) as usize, number(2, 0.05), number(3, 10.0));
    let first = number(4, 0.0) as u64;
    let (next, counted) = (AtomicU64::new(first), Mutex::new(Vec::<Course>::new()));
    let (refused, fewer) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while counted.lock().unwrap_or_else(|e| e.into_inner()).len() < wanted {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    match perform(seed, risk, Rig::default()) {
                        None => refused.fetch_add(1, Ordering::Relaxed),
                        Some(course) if (course.revisions as f64) < least => {
                            fewer.fetch_add(1, Ordering::Relaxed)
                        }
                        Some(course) => {
                            let mut all = counted.lock().unwrap_or_else(|e| e.into_inner());
                            all.push(course);
                            if all.len().is_multiple_of(500) {
                                let hits = all.iter().filter(|course| course.overloaded).count();
                                eprintln!("{} rollouts, {hits} with overload …", all.len());
                            }
                            0
                        }
                    };
                }
            });
        }
    });
    let all = counted.into_inner().unwrap_or_else(|e| e.into_inner());
    let count = all.len() as f64;
    let mean = |of: &dyn Fn(&Course) -> f64| all.iter().map(of).sum::<f64>() / count;
    let hits = all.iter().filter(|course| course.overloaded).count();
    println!("{} rollouts with at least {least} revisions at a risk of {risk}", all.len());
    println!("  seeds: {first} to {}", next.into_inner());
    println!("  refused at the start: {}", refused.into_inner());
    println!("  planned again less often, not counted: {}", fewer.into_inner());
    println!("  with attributable overload: {hits} ({:.3} %)", 100.0 * hits as f64 / count);
    let share = hits as f64 / count;
    let upper = share + 1.645 * (share * (1.0 - share) / count).sqrt();
    println!("  upper 95 % bound of the share: {:.3} %", 100.0 * upper);
    println!("  risk that their batches spent, mean: {:.3} %", 100.0 * mean(&|c| c.spent));
    println!("  revisions, mean: {:.1}", mean(&|c| c.revisions as f64));
    println!("  batches, mean: {:.1}", mean(&|c| c.batches as f64));
    println!(
        "  instances bought and lost, mean: {:.2} and {:.2}",
        mean(&|c| c.bought as f64),
        mean(&|c| c.lost as f64)
    );
    println!("  ended: {:.1} %", 100.0 * mean(&|c| f64::from(u8::from(c.outcome.is_some()))));
}
