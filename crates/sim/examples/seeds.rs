//! Many trials, one after the other, on all processors; or the story of one.
//!
//! ```text
//! cargo run --release -p sim --example seeds -- --seeds 100000 --from 0
//! cargo run --release -p sim --example seeds -- --minutes 60 --from 20000
//! cargo run --release -p sim --example seeds -- --seed 7 --story
//! ```

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sim::trial::{Report, Rig, Telling, run, run_with};

/// More failing seeds than this are only counted.
const MOST_NAMED: usize = 20;

struct Asked {
    from: u64,
    seeds: u64,
    /// No seed is begun after this.
    limit: Duration,
    story: bool,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked { from: 0, seeds: 1000, limit: Duration::MAX, story: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let text = words.next().ok_or(format!("{word} needs a number"))?;
            text.parse::<u64>().map_err(|error| format!("{word} {text}: {error}"))
        };
        match word.as_str() {
            "--seed" => (asked.from, asked.seeds) = (number()?, 1),
            "--seeds" => asked.seeds = number()?,
            "--minutes" => {
                asked.limit = Duration::from_secs(number()? * 60);
                asked.seeds = u64::from(u32::MAX);
            }
            "--from" => asked.from = number()?,
            "--story" => asked.story = true,
            other => {
                return Err(format!(
                    "{other}: use --seeds N or --minutes M, --from K, or --seed N --story"
                ));
            }
        }
    }
    Ok(asked)
}

fn main() -> ExitCode {
    let asked = match asked() {
        Ok(asked) => asked,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(64);
        }
    };
    let good = if asked.story { story(asked.from) } else { many(&asked) };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn story(seed: u64) -> bool {
    let report = run_with(seed, &Rig::default(), Telling::Story);
    let mut out = std::io::stdout().lock();
    for line in &report.story {
        // A reader that has seen enough closes the pipe.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    let (outcome, lives) = (report.outcome, report.lives);
    let _closed = writeln!(out, "seed {seed}: {outcome:?} after {lives} drivers");
    report.accusations.is_empty()
}

#[derive(Default)]
struct Sum {
    outcomes: BTreeMap<String, u64>,
    happenings: BTreeMap<String, u64>,
    kinds: BTreeMap<String, u64>,
    records: u64,
    lives: u64,
    seeds: u64,
    bad: u64,
    named: Vec<(u64, Vec<String>)>,
}

impl Sum {
    fn add(&mut self, report: Report) {
        *self.outcomes.entry(format!("{:?}", report.outcome)).or_default() += 1;
        for (kind, count) in report.happenings {
            *self.happenings.entry(kind).or_default() += count;
        }
        for record in &report.records {
            *self.kinds.entry(record.kind.clone()).or_default() += 1;
        }
        self.seeds += 1;
        self.records += report.records.len() as u64;
        self.lives += u64::from(report.lives);
        if !report.accusations.is_empty() {
            self.bad += 1;
            self.named.push((report.seed, report.accusations));
            self.named.sort();
            self.named.truncate(MOST_NAMED);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures how long the trials take")]
fn many(asked: &Asked) -> bool {
    let (from, began) = (asked.from, Instant::now());
    let (next, sum) = (AtomicU64::new(from), Mutex::new(Sum::default()));
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + asked.seeds || began.elapsed() >= asked.limit {
                        return;
                    }
                    let report = run(seed);
                    sum.lock().expect("no panic under the lock").add(report);
                }
            });
        }
    });
    let (sum, took) = (sum.into_inner().expect("no panic under the lock"), began.elapsed());
    let seeds = sum.seeds;
    let each = took.as_secs_f64() * 1000.0 * workers as f64 / seeds as f64;
    println!("{:.0}: seeds {from} to {}", jiff::Timestamp::now(), from + seeds - 1);
    println!(
        "{:.0} s on {workers} processors, {each:.2} ms of each per seed; {} drivers, {} records",
        took.as_secs_f64(),
        sum.lives,
        sum.records
    );
    table("ended", &sum.outcomes);
    table("happened", &sum.happenings);
    table("written", &sum.kinds);
    for (seed, accusations) in &sum.named {
        println!("seed {seed}:");
        accusations.iter().for_each(|text| println!("    {text}"));
        println!("    cargo run --release -p sim --example seeds -- --seed {seed} --story");
    }
    println!("{} of {seeds} seeds failed", sum.bad);
    sum.bad == 0
}

fn table(title: &str, counts: &BTreeMap<String, u64>) {
    println!("{title}:");
    counts.iter().for_each(|(what, count)| println!("    {count:>10}  {what}"));
}
