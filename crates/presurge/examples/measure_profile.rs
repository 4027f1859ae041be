//! Measures a weekly profile on a trace and prints it as the Rust table that the demo ships.
//!
//! ```sh
//! cargo run --release -p presurge --example measure_profile -- TRACE.csv 1200
//! ```
//!
//! `TRACE.csv` is `unique_id,ds,y` with one series of at least two weeks; the second argument is
//! the step of the noise in seconds. Method:
//!
//! 1. samples are averaged over each step;
//! 2. each is divided by the mean of the week around it (at the ends: of the first and the last
//!    whole week), which takes growth out;
//! 3. the level of an hour of the week is the median of these ratios in that hour, in UTC;
//! 4. the profile is the polygon through the middles of the hours, and the noise is
//!    ratio / profile − 1: its quantiles, and its correlation from one step to the next.

use std::error::Error;
use std::process::ExitCode;

const HOURS_PER_WEEK: usize = 168;
const WEEK_SECONDS: i64 = 7 * 86_400;
const LEVELS: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, trace, step] = arguments.as_slice() else {
        eprintln!("usage: measure_profile TRACE.csv STEP_SECONDS");
        return ExitCode::from(64);
    };
    match measure(trace, step) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{trace}: {error}");
            ExitCode::from(65)
        }
    }
}

fn measure(trace: &str, step: &str) -> Result<String, Box<dyn Error>> {
    let step: i64 = step.parse().map_err(|_| format!("{step:?} is no number of seconds"))?;
    if step < 1 || WEEK_SECONDS % step != 0 {
        return Err(format!("a step divides the week; {step} s does not").into());
    }
    let samples = averaged(&std::fs::read_to_string(trace)?, step)?;
    let per_week = usize::try_from(WEEK_SECONDS / step)?;
    if samples.len() < 2 * per_week {
        return Err("the trace is shorter than two weeks".into());
    }
    let ratios = without_growth(&samples, per_week);
    let levels = hour_levels(&ratios)?;
    let noise: Vec<f64> =
        ratios.iter().map(|(at, ratio)| ratio / profile(&levels, *at, step) - 1.0).collect();
    Ok(table(&levels, &noise))
}

/// The mean of the values of each step, with the step's start in seconds since 1970.
fn averaged(text: &str, step: i64) -> Result<Vec<(i64, f64)>, Box<dyn Error>> {
    let mut steps: Vec<(i64, f64, f64)> = Vec::new();
    for (index, line) in text.lines().enumerate().skip(1) {
        let mut fields = line.split(',').skip(1);
        let (Some(ds), Some(y)) = (fields.next(), fields.next()) else {
            return Err(format!("line {}: expected unique_id,ds,y", index + 1).into());
        };
        if y.is_empty() {
            continue;
        }
        let at: jiff::Timestamp = ds.parse().map_err(|e| format!("line {}: {e}", index + 1))?;
        let value: f64 = y.parse().map_err(|e| format!("line {}: {y:?}: {e}", index + 1))?;
        let start = at.as_second().div_euclid(step) * step;
        match steps.last_mut() {
            Some((last, sum, count)) if *last == start => {
                *sum += value;
                *count += 1.0;
            }
            _ => steps.push((start, value, 1.0)),
        }
    }
    Ok(steps.into_iter().map(|(at, sum, count)| (at, sum / count)).collect())
}

fn without_growth(samples: &[(i64, f64)], per_week: usize) -> Vec<(i64, f64)> {
    let last = samples.len() - per_week;
    let ratio = |(index, (at, value)): (usize, &(i64, f64))| {
        let from = index.saturating_sub(per_week / 2).min(last);
        let week = &samples[from..from + per_week];
        let mean = week.iter().map(|(_, v)| v).sum::<f64>() / per_week as f64;
        (*at, value / mean)
    };
    samples.iter().enumerate().map(ratio).collect()
}

/// Seconds since Monday 00:00 UTC; 1970-01-01 was a Thursday.
fn second_of_week(at: i64) -> i64 {
    (at + 3 * 86_400).rem_euclid(WEEK_SECONDS)
}

fn hour_levels(ratios: &[(i64, f64)]) -> Result<Vec<f64>, String> {
    let mut hours = vec![Vec::new(); HOURS_PER_WEEK];
    for (at, ratio) in ratios {
        hours[(second_of_week(*at) / 3600) as usize].push(*ratio);
    }
    let level = |(hour, values): (usize, &mut Vec<f64>)| {
        if values.is_empty() {
            return Err(format!("hour {hour} of the week has no value"));
        }
        values.sort_by(f64::total_cmp);
        Ok(quantile(values, 0.5))
    };
    hours.iter_mut().enumerate().map(level).collect()
}

/// The profile in the middle of the step that starts at `at`.
fn profile(levels: &[f64], at: i64, step: i64) -> f64 {
    let hour = (second_of_week(at) as f64 + step as f64 / 2.0) / 3600.0 - 0.5;
    let share = hour.rem_euclid(1.0);
    let left = hour.floor().rem_euclid(HOURS_PER_WEEK as f64) as usize;
    levels[left] * (1.0 - share) + levels[(left + 1) % HOURS_PER_WEEK] * share
}

fn quantile(sorted: &[f64], level: f64) -> f64 {
    let place = level * (sorted.len() - 1) as f64;
    let (left, share) = (place.floor() as usize, place.fract());
    let right = (left + 1).min(sorted.len() - 1);
    sorted[left] + share * (sorted[right] - sorted[left])
}

fn correlation(noise: &[f64]) -> f64 {
    let mean = noise.iter().sum::<f64>() / noise.len() as f64;
    let spread: f64 = noise.iter().map(|n| (n - mean).powi(2)).sum();
    let common: f64 = noise.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum();
    common / spread
}

fn table(levels: &[f64], noise: &[f64]) -> String {
    let mut text = String::from("pub const HOUR_OF_WEEK: [f64; 168] = [\n");
    for day in levels.chunks(24) {
        for half in day.chunks(12) {
            let row: Vec<String> = half.iter().map(|level| format!("{level:.4}")).collect();
            text += &format!("    {},\n", row.join(", "));
        }
    }
    let mut sorted = noise.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rows: Vec<String> =
        LEVELS.iter().map(|p| format!("({p}, {:.4})", quantile(&sorted, *p))).collect();
    text += &format!("];\npub const NOISE: [(f64, f64); 9] = [{}];\n", rows.join(", "));
    text += &format!("pub const NOISE_CORRELATION: f64 = {:.3};\n", correlation(noise));
    let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
    text + &format!("// {} steps; the extremes are {low:.3} and {high:.3}\n", noise.len())
}
