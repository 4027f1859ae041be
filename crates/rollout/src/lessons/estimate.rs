//! From observations to a figure: a prior that the configuration gives, and what was seen.

use std::time::Duration;

use domain::spread::Spread;

/// A length of time that was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// From its beginning to its end, in seconds.
    Ended(f64),
    /// It lasted at least so long, in seconds: it was cut off, or it failed.
    AtLeast(f64),
    /// It had ended by then, in seconds; nobody looked sooner.
    AtMost(f64),
}

impl Length {
    /// Whether only a least length is known.
    pub fn is_censored(self) -> bool {
        matches!(self, Self::AtLeast(_))
    }
}

/// What could have failed, and what did. Of interruptions: hours of instances, and losses.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Trials {
    /// How many there were.
    pub tried: f64,
    /// How many of them failed.
    pub failed: f64,
}

impl Trials {
    /// Adds others that count for `weight` each.
    pub fn add(&mut self, others: Self, weight: f64) {
        self.tried += others.tried * weight;
        self.failed += others.failed * weight;
    }
}

/// The configured figure counts as much as one observation of the mean …
const PRIOR_MEAN: f64 = 1.0;

/// … as two of the spread …
const PRIOR_SPREAD: f64 = 2.0;

/// … and as so many trials of a probability.
const PRIOR_TRIALS: f64 = 20.0;

/// What a single configured length is taken to vary by, as the standard deviation of its logarithm: a
/// 95 % quantile a sixth above the median.
const PRIOR_SIGMA: f64 = 0.1;

/// Looks are a second apart: nothing shorter than this is told apart, in seconds.
const SHORTEST: f64 = 1.0;

/// So many rounds are enough for a thousandth; each is cheap.
const ROUNDS: usize = 60;

/// The 95 % quantile of the standard normal distribution.
pub(super) const Z95: f64 = 1.644_853_626_951_472_2;

/// How long the next one takes, by what is configured and what was seen. `None` where nothing was seen to its
/// end.
pub fn duration(configured: Spread, seen: &[(Length, f64)]) -> Option<Spread> {
    Belief::configured(configured).after(seen)?.next()
}

/// What is believed of a length: it is lognormal, and the parameters have the conjugate normal-gamma distribution
/// (Gelman et al., Bayesian Data Analysis, §3.3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Belief {
    /// Of the logarithm of the seconds.
    pub(super) mean: f64,
    /// Of the same.
    pub(super) deviation: f64,
    /// The mean counts as so many observations …
    pub(super) weight: f64,
    /// … and the deviation as so many.
    pub(super) freedom: f64,
}

impl Belief {
    /// What is believed before anything is seen.
    pub(super) fn configured(spread: Spread) -> Self {
        let mean = log(spread.p50().as_secs_f64());
        let apart = (log(spread.p95().as_secs_f64()) - mean) / Z95;
        let deviation = if spread.is_certain() { PRIOR_SIGMA } else { apart.max(1e-3) };
        Self { mean, deviation, weight: PRIOR_MEAN, freedom: PRIOR_SPREAD }
    }

    /// What is believed after weighted observations. What is known of a censored one is that it is longer: the
    /// expectation-maximisation algorithm takes its expected logarithm and square (Lawless, Statistical
    /// Models and Methods for Lifetime Data, §5.3). `None` where nothing was seen to its end.
    pub(super) fn after(self, seen: &[(Length, f64)]) -> Option<Self> {
        let ended = |(length, weight): &(Length, f64)| !length.is_censored() && *weight > 0.0;
        if !seen.iter().any(ended) {
            return None;
        }
        let total: f64 = seen.iter().map(|(_, weight)| weight).sum();
        let (weight, freedom) = (self.weight + total, self.freedom + total);
        let mut now = Self { weight, freedom, ..self };
        for _ in 0..ROUNDS {
            let (mut sum, mut squares) = (0.0, 0.0);
            for (length, weight) in seen {
                let (first, second) = now.expects(*length);
                sum += weight * first;
                squares += weight * second;
            }
            let mean = (self.weight * self.mean + sum) / weight;
            let around = squares - 2.0 * mean * sum + total * mean * mean;
            let scatter = self.freedom * self.deviation.powi(2)
                + self.weight * (mean - self.mean).powi(2)
                + around.max(0.0);
            (now.mean, now.deviation) = (mean, (scatter / freedom).sqrt());
        }
        Some(now)
    }

    /// The logarithm of a length and its square, as far as they are known.
    pub(super) fn expects(&self, length: Length) -> (f64, f64) {
        match length {
            Length::Ended(seconds) => (log(seconds), log(seconds).powi(2)),
            Length::AtLeast(seconds) => beyond(log(seconds), self.mean, self.deviation),
            Length::AtMost(seconds) => within(log(seconds), self.mean, self.deviation),
        }
    }

    /// How long the next one takes. The quantiles are those of the prediction, so that few observations give a
    /// wider spread than many.
    pub(super) fn next(&self) -> Option<Spread> {
        let reach =
            student_quantile(Z95, self.freedom) * self.deviation * (1.0 + 1.0 / self.weight).sqrt();
        let length = |log: f64| Duration::try_from_secs_f64(log.exp()).ok();
        Spread::between(length(self.mean)?, length(self.mean + reach)?).ok()
    }
}

fn log(seconds: f64) -> f64 {
    seconds.max(SHORTEST).ln()
}

/// Mean and mean square of a normal variable that is known to lie above `least`.
fn beyond(least: f64, mean: f64, deviation: f64) -> (f64, f64) {
    let z = (least - mean) / deviation;
    let hazard = normal_hazard(z);
    let first = mean + deviation * hazard;
    let variance = deviation.powi(2) * (1.0 + z * hazard - hazard * hazard).max(0.0);
    (first, first * first + variance)
}

/// Mean and mean square of a normal variable that is known to lie below `most`: the mirror image.
fn within(most: f64, mean: f64, deviation: f64) -> (f64, f64) {
    let (first, square) = beyond(-most, -mean, deviation);
    (-first, square)
}

/// The hazard φ(z) / (1 − Φ(z)) of the standard normal distribution. From 3 on by the continued
/// fraction of Mills' ratio (Abramowitz and Stegun 26.2.14); below by numerical integration of the
/// tail, whose error is under a millionth.
pub(super) fn normal_hazard(z: f64) -> f64 {
    if z < -8.0 {
        return 0.0;
    }
    if z > 3.0 {
        return (1..=40).rev().fold(z, |below, k| z + f64::from(k) / below);
    }
    let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let (from, to, steps) = (z, 9.0, 400);
    let width = (to - from) / f64::from(steps);
    let simpson: f64 = (0..=steps)
        .map(|k| {
            let factor = match k {
                0 => 1.0,
                k if k == steps => 1.0,
                k if k % 2 == 1 => 4.0,
                _ => 2.0,
            };
            factor * density(from + width * f64::from(k))
        })
        .sum();
    density(z) / (simpson * width / 3.0)
}

/// The quantile of Student's distribution with so many degrees of freedom, at least 3, at the level of which `z`
/// is the quantile of the standard normal distribution: the expansion of Abramowitz and Stegun 26.7.5, at
/// 95 % off by less than 1 % from 4 on.
pub(super) fn student_quantile(z: f64, freedom: f64) -> f64 {
    let n = freedom.max(3.0);
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / n + second / (n * n) + third / (n * n * n)
}

/// How probable a failure is: the mean of the beta distribution that follows from the configured
/// probability as a prior and from what was tried.
pub fn probability(configured: f64, seen: Trials) -> f64 {
    (PRIOR_TRIALS * configured + seen.failed) / (PRIOR_TRIALS + seen.tried)
}
