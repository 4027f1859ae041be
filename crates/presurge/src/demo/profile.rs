//! Load that follows the measured week: a history to learn from, and what comes after it.

use domain::series::{Sample, Step};
use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::measured::{HOUR_OF_WEEK, NOISE, NOISE_CORRELATION, NOISE_STEP_SECONDS};
use super::settings::{INCIDENT_RATIO, INCIDENT_SECONDS, PEAK_RATE};

/// The noise is only what was measured if it is made at the step of the measurement.
const STEP_SECONDS: i64 = NOISE_STEP_SECONDS;

/// A rate of requests over time: the polygon through the middles of its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    start: Timestamp,
    rates: Vec<f64>,
}

impl Curve {
    /// The weekly profile with noise from `from` on for so many steps of
    /// [`NOISE_STEP_SECONDS`], in requests per second. The same seed gives the same curve.
    ///
    /// The noise is a first-order autoregression with normal innovations, whose values are
    /// mapped to the measured quantiles (a Gaussian copula), so that both the quantiles and, up
    /// to the mapping, the correlation are those of the trace.
    pub fn generate(seed: u64, from: Timestamp, steps: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let fresh = (1.0 - NOISE_CORRELATION * NOISE_CORRELATION).sqrt();
        let mut state = normal(&mut rng);
        let scale = PEAK_RATE / HOUR_OF_WEEK.iter().copied().fold(0.0, f64::max);
        let start = step().floor(from);
        let rates = (0..steps).map(|index| {
            let middle = start.as_second() + index as i64 * STEP_SECONDS + STEP_SECONDS / 2;
            let rate = scale * level(middle) * (1.0 + deviation(state));
            state = NOISE_CORRELATION * state + fresh * normal(&mut rng);
            rate
        });
        Self { start, rates: rates.collect() }
    }

    /// The same curve with an incident some time after `from` that no history has seen.
    pub fn with_incident(mut self, from: Timestamp) -> Self {
        let (begins, ramp, stays) = INCIDENT_SECONDS;
        for (index, rate) in self.rates.iter_mut().enumerate() {
            let middle = (self.start.as_second() - from.as_second()) as f64
                + (index as f64 + 0.5) * STEP_SECONDS as f64;
            let (up, down) =
                ((middle - begins) / ramp, (begins + ramp + stays + ramp - middle) / ramp);
            *rate *= 1.0 + INCIDENT_RATIO * up.min(down).clamp(0.0, 1.0);
        }
        self
    }

    /// Requests per second at a moment; flat beyond both ends.
    pub fn rate_at(&self, at: Timestamp) -> f64 {
        let seconds = at.duration_since(self.start).as_secs_f64();
        let place = (seconds / STEP_SECONDS as f64 - 0.5).clamp(0.0, (self.rates.len() - 1) as f64);
        let (left, share) = (place.floor() as usize, place.fract());
        let right = (left + 1).min(self.rates.len() - 1);
        self.rates[left] + share * (self.rates[right] - self.rates[left])
    }

    /// The steps that end at or before `until`, each with its rate, stamped with its start.
    pub fn samples(&self, until: Timestamp) -> Vec<Sample> {
        let length = step().duration();
        let at = |index: usize| self.start + length * u32::try_from(index).unwrap_or(u32::MAX);
        let all = self.rates.iter().enumerate();
        let samples = all.map(|(index, rate)| Sample { at: at(index), value: *rate });
        samples.take_while(|s| s.at + length <= until).collect()
    }
}

/// The step of a curve.
pub fn step() -> Step {
    Step::from_seconds(STEP_SECONDS).expect("the step is positive")
}

/// The profile at a second since 1970: the polygon through the middles of the hours of the week.
fn level(second: i64) -> f64 {
    // 1970-01-01 was a Thursday, and the week begins on Monday.
    let of_week = (second + 3 * 86_400).rem_euclid(7 * 86_400);
    let hour = of_week as f64 / 3_600.0 - 0.5;
    let left = hour.floor().rem_euclid(168.0) as usize;
    let share = hour.rem_euclid(1.0);
    HOUR_OF_WEEK[left] * (1.0 - share) + HOUR_OF_WEEK[(left + 1) % 168] * share
}

/// The measured deviation at the level of a normal score, linear between the measured levels.
fn deviation(score: f64) -> f64 {
    let level = normal_cdf(score);
    let right = NOISE.partition_point(|(l, _)| *l < level);
    if right == 0 {
        return NOISE[0].1;
    }
    if right == NOISE.len() {
        return NOISE[right - 1].1;
    }
    let ((low, from), (high, to)) = (NOISE[right - 1], NOISE[right]);
    from + (to - from) * (level - low) / (high - low)
}

/// A standard normal draw (Box and Muller, Ann. Math. Statist. 29, 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random_range(1e-12..1.0), rng.random_range(0.0..1.0));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Distribution function of the standard normal, to 8e-8 (Abramowitz and Stegun 26.2.17).
fn normal_cdf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let terms = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let tail = terms.iter().fold(0.0, |sum, term| (sum + term) * t) * (-x * x / 2.0).exp()
        / std::f64::consts::TAU.sqrt();
    if x < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monday() -> Timestamp {
        "2026-03-02T00:00:00Z".parse().unwrap()
    }

    const WEEK: usize = 336;

    #[test]
    fn a_long_history_has_the_measured_noise() {
        let curve = Curve::generate(7, monday(), 60 * WEEK);
        let scale = PEAK_RATE / HOUR_OF_WEEK.iter().copied().fold(0.0, f64::max);
        let middle = |i: usize| monday().as_second() + i as i64 * STEP_SECONDS + STEP_SECONDS / 2;
        let noise = curve.rates.iter().enumerate().map(|(i, r)| r / scale / level(middle(i)) - 1.0);
        let mut noise: Vec<f64> = noise.collect();
        let mean = noise.iter().sum::<f64>() / noise.len() as f64;
        let spread: f64 = noise.iter().map(|n| (n - mean).powi(2)).sum();
        let common: f64 = noise.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum();
        assert!((common / spread - NOISE_CORRELATION).abs() < 0.04, "{}", common / spread);
        noise.sort_by(f64::total_cmp);
        for (level, deviation) in &NOISE[1..8] {
            let found = noise[(level * noise.len() as f64) as usize];
            assert!((found - deviation).abs() < 0.006, "{level}: {found} for {deviation}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_curve_and_another_one_another() {
        let of = |seed| Curve::generate(seed, monday(), WEEK);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn samples_are_complete_and_stamped_with_their_start() {
        let curve = Curve::generate(1, monday(), 6);
        let until = monday() + std::time::Duration::from_secs(5_000);
        let samples = curve.samples(until);
        assert_eq!(samples.len(), 2);
        assert_eq!(samples[1].at, monday() + step().duration());
        let middle = samples[1].at + step().duration() / 2;
        assert!((curve.rate_at(middle) - samples[1].value).abs() < 1e-9);
    }

    #[test]
    fn an_incident_rises_stays_and_ends() {
        let plain = Curve::generate(3, monday(), 60);
        let with = plain.clone().with_incident(monday());
        let (begins, ramp, stays) = INCIDENT_SECONDS;
        let ratio = |seconds: f64| {
            let at = monday() + std::time::Duration::from_secs_f64(seconds);
            with.rate_at(at) / plain.rate_at(at) - 1.0
        };
        assert_eq!(ratio(begins - 3_000.0), 0.0);
        assert!((ratio(begins + ramp + stays / 2.0) - INCIDENT_RATIO).abs() < 1e-9);
        assert_eq!(ratio(begins + 2.0 * ramp + stays + 3_000.0), 0.0);
    }
}
