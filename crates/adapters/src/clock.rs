//! The real clock, and one that runs faster for demonstrations.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::ports::Clock;
use jiff::Timestamp;

/// The longest single sleep: a wall clock that steps is noticed after this long.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// The shortest single sleep: the resolution of the timer.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// The wall clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        wall_now()
    }

    async fn sleep_until(&self, until: Timestamp) {
        while let Some(left) = left(self.now(), until) {
            sleep(left).await;
        }
    }
}

/// A clock that starts at a chosen moment and runs at a multiple of real time.
#[derive(Debug, Clone, Copy)]
pub struct ScaledClock {
    origin: Timestamp,
    speed: f64,
    started: Instant,
}

/// A speed that no clock can have.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("a clock runs at a speed above 0 and at most {MAX_SPEED}, not at {0}")]
pub struct BadSpeed(f64);

/// The highest speed of a [`ScaledClock`]: beyond it timers are too coarse.
pub const MAX_SPEED: f64 = 1e6;

impl ScaledClock {
    /// A clock that shows `origin` now, and from then on `speed` seconds for each real second.
    pub fn new(origin: Timestamp, speed: f64) -> Result<Self, BadSpeed> {
        if !(speed > 0.0 && speed <= MAX_SPEED) {
            return Err(BadSpeed(speed));
        }
        Ok(Self { origin, speed, started: monotonic_now() })
    }

    /// Seconds of this clock for each real second.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// How long a span of this clock takes in real time.
    pub fn real(&self, span: Duration) -> Duration {
        Duration::try_from_secs_f64(span.as_secs_f64() / self.speed).unwrap_or(Duration::MAX)
    }
}

#[async_trait]
impl Clock for ScaledClock {
    fn now(&self) -> Timestamp {
        let scaled = self.started.elapsed().as_secs_f64() * self.speed;
        let passed = Duration::try_from_secs_f64(scaled).unwrap_or(Duration::MAX);
        self.origin.saturating_add(passed).unwrap_or(Timestamp::MAX)
    }

    async fn sleep_until(&self, until: Timestamp) {
        while let Some(left) = left(self.now(), until) {
            sleep(self.real(left)).await;
        }
    }
}

/// What is missing until a moment; `None` when it has come.
fn left(now: Timestamp, until: Timestamp) -> Option<Duration> {
    Duration::try_from(now.duration_until(until)).ok().filter(|left| *left > Duration::ZERO)
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is given")]
fn wall_now() -> Timestamp {
    Timestamp::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is given")]
pub(crate) fn monotonic_now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is given")]
async fn sleep(length: Duration) {
    tokio::time::sleep(length.clamp(SHORTEST_SLEEP, LONGEST_SLEEP)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleep_ends_when_its_moment_has_come() {
        let clock = SystemClock;
        let until = clock.now() + Duration::from_millis(20);
        clock.sleep_until(until).await;
        assert!(clock.now() >= until);
        clock.sleep_until(Timestamp::MIN).await;
    }

    #[tokio::test]
    async fn a_scaled_clock_starts_at_its_origin_and_runs_faster() {
        let origin: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
        let clock = ScaledClock::new(origin, 1_000.0).unwrap();
        let until = origin + Duration::from_secs(60);
        assert!(clock.now() >= origin);
        clock.sleep_until(until).await;
        assert!(clock.now() >= until);
        assert_eq!(clock.real(Duration::from_secs(60)), Duration::from_millis(60));
    }

    #[test]
    fn speeds_that_no_clock_can_have_are_refused() {
        for speed in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e7] {
            assert!(ScaledClock::new(Timestamp::UNIX_EPOCH, speed).is_err(), "{speed}");
        }
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let clock = ScaledClock::new(Timestamp::MAX, MAX_SPEED).unwrap();
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
