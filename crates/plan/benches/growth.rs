//! How long a plan takes, over fleet sizes and horizons: `cargo bench -p plan`.
//!
//! A sine of a day with scatter, one-minute steps, 2,000 paths, risk 1 %, an update of eight
//! minutes; the load leaves headroom all day, at night only, or never, so that batch, start and
//! surge matter; bought from one offer, or from a market of four sizes of which one can be lost.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "../tests/fleet/mod.rs"]
mod fleet;

use std::time::Instant;

use fleet::*;
use plan::Interruption;

fn load(path: usize, step: usize, servers: usize, level: f64) -> f64 {
    let day = (step as f64 / 1440.0 * std::f64::consts::TAU).sin();
    let own = noise(path, 1) - 0.5;
    let here = noise(path * 31 + step / 5, 2) - 0.5;
    (level + 0.25 * day + 0.1 * own + 0.08 * here) * 100.0 * servers as f64
}

/// One offer; four whose sizes have no simple ratio, each for a part of the fleet only; or, as
/// `offers` 5, on demand and spot in two zones, of which none suffices alone.
fn market(offers: usize, servers: u32) -> Vec<plan::Offer> {
    if offers == 5 {
        return in_zones(servers);
    }
    let mut list = vec![offer("od", 0.6)];
    list[0].max = servers;
    for (name, price, carries, part) in
        [("large", 1.05, 230.0, 20), ("small", 0.25, 37.0, 10), ("spot", 0.2, 100.0, 15)]
    {
        let mut more = offer(name, price);
        (more.capacity, more.max) = (one(carries), servers.div_ceil(part));
        list.push(more);
    }
    list[3].interruption = Interruption { per_hour: 0.05, pool_per_hour: 0.0 };
    list.truncate(offers);
    list
}

fn in_zones(servers: u32) -> Vec<plan::Offer> {
    let known =
        [("od-a", 0.6, 0.0), ("od-b", 0.62, 0.0), ("spot-a", 0.2, 0.05), ("spot-b", 0.23, 0.04)];
    let each = known.map(|(name, price, per_hour)| {
        let mut more = offer(name, price);
        more.zone = domain::name::Zone::new(&name[name.len() - 1..]).ok();
        more.max = servers.div_ceil(60);
        more.interruption = Interruption { per_hour, pool_per_hour: per_hour / 100.0 };
        more
    });
    let mut every = each.to_vec();
    let mut rest = offer("od-c", 0.7);
    rest.max = servers;
    every.push(rest);
    every
}

fn measure(level: f64, (name, minutes): (&str, i64), servers: usize, offers: usize) {
    let mut facts = facts(servers);
    facts.deadline = minute(minutes);
    facts.offers = market(offers, servers as u32);
    let mut request = request(facts, |_, _| 0.0);
    request.risk = p(0.01);
    let steps = minutes as usize + 60;
    let set = |shift| {
        let load = |p: usize, t| load(p + shift, t, servers, level);
        [(requests(), paths(steps, 2000, load))].into()
    };
    (request.choosing, request.fresh) = (set(0), set(1_000_000));
    let (start, on_core) = (Instant::now(), on_core());
    let plan = plan::plan(&request);
    let seconds = start.elapsed().as_secs_f64();
    let core = self::on_core() - on_core;
    let (batches, surge, orders) = plan.as_ref().map_or((0, 0, 0), |plan| {
        let surge = plan.surge.iter().map(|s| s.count).sum::<u32>();
        (plan.batches.len(), surge, plan.surge.len())
    });
    println!(
        "{servers:>8} {name:>8} {level:>7} {offers:>7} {seconds:>10.3} {core:>10.3} {batches:>8} {surge:>8} \
         {orders:>7}"
    );
}

/// Seconds that this thread was on a core; on a busy machine less than went by. NaN where the
/// system does not say it.
fn on_core() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.map_or(f64::NAN, |nanoseconds| nanoseconds / 1e9)
}

/// Words after `--` choose the lines to measure: numbers of servers, and horizons.
fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|w| !w.starts_with("--")).collect();
    let chosen = |known: &[String]| {
        let asked = known.iter().any(|name| words.contains(name));
        move |name: &str, words: &[String]| !asked || words.iter().any(|word| word == name)
    };
    let sizes = [10, 100, 1000, 10_000];
    let horizons = [("1h", 60), ("1d", 1440), ("1w", 10_080)];
    let by_size = chosen(&sizes.map(|size: usize| size.to_string()));
    let by_horizon = chosen(&horizons.map(|(name, _)| name.to_owned()));
    println!(
        "{:>8} {:>8} {:>7} {:>7} {:>10} {:>10} {:>8} {:>8} {:>7}",
        "servers", "horizon", "level", "offers", "seconds", "on core", "batches", "surge", "orders"
    );
    for offers in [1, 4, 5] {
        for level in [0.6, 0.8, 0.95, 1.15] {
            for horizon in horizons.into_iter().filter(|(name, _)| by_horizon(name, &words)) {
                let wanted = |size: &usize| by_size(&size.to_string(), &words);
                for servers in sizes.into_iter().filter(wanted) {
                    measure(level, horizon, servers, offers);
                }
            }
        }
    }
}
