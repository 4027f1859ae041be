//! How long things take in a world, and when surge is taken away: drawn under a seed.

use std::time::Duration;

use domain::name::ServerName;
use domain::spread::Spread;
use plan::{Interruption, uniform};

/// What takes its time, or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// From a drain until the last request has ended.
    Drain = 1,
    /// The update itself.
    Update = 2,
    /// From the first request to full load.
    Warmup = 3,
    /// From an order until the instance runs.
    Lead = 4,
    /// The life of an instance until it is taken away.
    Life = 5,
    /// The life of all instances of an order until they are taken away together.
    Pool = 6,
}

/// Draws that depend on the seed and on what they are for, and on nothing else that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draws {
    seed: u64,
}

impl Draws {
    /// The draws of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// How long a part takes for a server, the `nth` time, in whole milliseconds.
    pub fn length(&self, spread: Spread, server: &ServerName, part: Part, nth: u32) -> Duration {
        if spread.is_certain() {
            return spread.p50();
        }
        let level = self.draw(server.as_str(), part, nth);
        Duration::from_millis((spread.quantile_seconds(level) * 1000.0).round() as u64)
    }

    /// When an instance is taken away, counted from when it runs: by itself, or with all that
    /// were ordered under the same `order`; `None` for never. Both lives are exponential, as in
    /// the plan.
    pub fn life(
        &self,
        interruption: Interruption,
        server: &ServerName,
        order: &str,
    ) -> Option<Duration> {
        let alone = life(interruption.per_hour, self.draw(server.as_str(), Part::Life, 0));
        let pool = life(interruption.pool_per_hour, self.draw(order, Part::Pool, 0));
        match (alone, pool) {
            (Some(alone), Some(pool)) => Some(alone.min(pool)),
            (alone, pool) => alone.or(pool),
        }
    }

    fn draw(&self, name: &str, part: Part, nth: u32) -> f64 {
        uniform(self.seed, [number(name), part as u64, u64::from(nth)])
    }
}

/// Lives longer than this are for ever.
const LONGEST_LIFE_SECONDS: f64 = 1e9;

fn life(per_hour: f64, level: f64) -> Option<Duration> {
    if per_hour <= 0.0 {
        return None;
    }
    let rate = -(-per_hour).ln_1p() / 3600.0;
    let seconds = -level.ln() / rate;
    (seconds < LONGEST_LIFE_SECONDS).then(|| Duration::from_millis((seconds * 1000.0) as u64))
}

/// A number for a name (FNV-1a, 64 bits).
fn number(name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> ServerName {
        ServerName::new(format!("web-{number}")).unwrap()
    }

    #[test]
    fn lengths_follow_their_spread_and_belong_to_their_server() {
        let (p50, p95) = (Duration::from_secs(300), Duration::from_secs(540));
        let spread = Spread::between(p50, p95).unwrap();
        let draws = Draws::new(7);
        let draw = |n: u32| draws.length(spread, &name(n), Part::Update, 1);
        let all: Vec<Duration> = (0..20_000).map(draw).collect();
        let share = |limit| all.iter().filter(|d| **d <= limit).count() as f64 / 20_000.0;
        assert!((share(p50) - 0.5).abs() < 0.01, "{}", share(p50));
        assert!((share(p95) - 0.95).abs() < 0.005, "{}", share(p95));
        assert_eq!(draw(3), Draws::new(7).length(spread, &name(3), Part::Update, 1));
        assert_ne!(draw(3), draws.length(spread, &name(3), Part::Update, 2));
        assert_ne!(draw(3), draws.length(spread, &name(3), Part::Drain, 1));
        assert_ne!(draw(3), Draws::new(8).length(spread, &name(3), Part::Update, 1));
    }

    #[test]
    fn lives_end_as_often_as_the_seller_says_and_a_pool_ends_as_one() {
        let draws = Draws::new(1);
        let alone = Interruption { per_hour: 0.2, pool_per_hour: 0.0 };
        let ends = |n| draws.life(alone, &name(n), "order");
        let hour = Duration::from_secs(3600);
        let lost = (0..20_000).filter(|n| ends(*n).is_some_and(|life| life <= hour)).count();
        assert!((lost as f64 / 20_000.0 - 0.2).abs() < 0.01, "{lost}");
        let pool = Interruption { per_hour: 0.0, pool_per_hour: 0.2 };
        assert_eq!(draws.life(pool, &name(1), "a"), draws.life(pool, &name(2), "a"));
        assert_ne!(draws.life(pool, &name(1), "a"), draws.life(pool, &name(1), "b"));
        assert_eq!(draws.life(Interruption::default(), &name(1), "a"), None);
    }
}
