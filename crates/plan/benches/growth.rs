//! How long a plan takes, over fleet sizes and horizons: `cargo bench -p plan`.
//!
//! A sine of a day with scatter, one-minute steps, 2,000 paths, risk 1 %, an update of eight
//! minutes; the load leaves headroom all day, at night only, or never, so that batch, start and surge matter.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "../tests/fleet/mod.rs"]
mod fleet;

use std::time::Instant;

use fleet::*;

fn load(path: usize, step: usize, servers: usize, level: f64) -> f64 {
    let day = (step as f64 / 1440.0 * std::f64::consts::TAU).sin();
    let own = noise(path, 1) - 0.5;
    let here = noise(path * 31 + step / 5, 2) - 0.5;
    (level + 0.25 * day + 0.1 * own + 0.08 * here) * 100.0 * servers as f64
}

fn main() {
    println!(
        "{:>8} {:>8} {:>7} {:>10} {:>8} {:>8}",
        "servers", "horizon", "level", "seconds", "batches", "surge"
    );
    for level in [0.6, 0.8, 1.15] {
        for (name, minutes) in [("1h", 60), ("1d", 1440), ("1w", 10_080)] {
            for servers in [10, 100, 1000, 10_000] {
                let mut facts = facts(servers);
                facts.deadline = minute(minutes);
                facts.offers[0].max = servers as u32;
                let mut request = request(facts, |_, _| 0.0);
                request.risk = p(0.01);
                let steps = minutes as usize + 60;
                let set = |shift| {
                    let load = |p: usize, t| load(p + shift, t, servers, level);
                    [(requests(), paths(steps, 2000, load))].into()
                };
                (request.choosing, request.fresh) = (set(0), set(1_000_000));
                let start = Instant::now();
                let plan = plan::plan(&request);
                let seconds = start.elapsed().as_secs_f64();
                let (batches, surge) = plan.as_ref().map_or((0, 0), |plan| {
                    (plan.batches.len(), plan.surge.iter().map(|s| s.count).sum::<u32>())
                });
                println!(
                    "{servers:>8} {name:>8} {level:>7} {seconds:>10.3} {batches:>8} {surge:>8}"
                );
            }
        }
    }
}
