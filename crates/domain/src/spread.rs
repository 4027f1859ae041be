//! Durations that are not known exactly.

use std::time::Duration;

/// How long something takes, as a lognormal distribution through two of its quantiles
/// (`p50 ≤ p95`); one given value has both equal and is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    p50: Duration,
    p95: Duration,
}

/// Two lengths that cannot be the median and the 95 % quantile of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSpread {
    /// The median lies above the 95 % quantile.
    #[error("p50 ({p50:?}) is longer than p95 ({p95:?}); give p50 ≤ p95")]
    Crossed {
        /// The median that was given.
        p50: Duration,
        /// The 95 % quantile that was given.
        p95: Duration,
    },
    /// Half of the time nothing passes, and sometimes something does.
    #[error("p50 is zero and p95 is not; give a p50 above zero, or one value for both")]
    ZeroMedian,
}

/// The 95 % quantile of the standard normal distribution.
const Z95: f64 = 1.644_853_626_951_472_2;

impl Spread {
    /// No time at all.
    pub const ZERO: Self = Self::exactly(Duration::ZERO);

    /// A duration that is known exactly.
    pub const fn exactly(duration: Duration) -> Self {
        Self { p50: duration, p95: duration }
    }

    /// A duration with this median and this 95 % quantile.
    pub fn between(p50: Duration, p95: Duration) -> Result<Self, BadSpread> {
        if p50 > p95 {
            return Err(BadSpread::Crossed { p50, p95 });
        }
        if p50.is_zero() && !p95.is_zero() {
            return Err(BadSpread::ZeroMedian);
        }
        Ok(Self { p50, p95 })
    }

    /// The same with a certain time more.
    #[must_use]
    pub const fn longer(self, by: Duration) -> Self {
        Self { p50: self.p50.saturating_add(by), p95: self.p95.saturating_add(by) }
    }

    /// The median.
    pub const fn p50(self) -> Duration {
        self.p50
    }

    /// The 95 % quantile.
    pub const fn p95(self) -> Duration {
        self.p95
    }

    /// Whether every draw is the same.
    pub fn is_certain(self) -> bool {
        self.p50 == self.p95
    }

    /// The quantile at `level` in seconds: `p50 · (p95 / p50)^(z(level) / z(0.95))`, the
    /// lognormal distribution through both given quantiles. A level outside (0, 1) is moved
    /// just inside.
    pub fn quantile_seconds(self, level: f64) -> f64 {
        let median = self.p50.as_secs_f64();
        if self.is_certain() {
            return median;
        }
        let ratio = self.p95.as_secs_f64() / median;
        median * ratio.powf(normal_quantile(level) / Z95)
    }
}

/// The quantile function of the standard normal distribution, by P. J. Acklam's rational
/// approximation (relative error below 1.2e-9).
pub fn normal_quantile(level: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    let poly = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        poly(&C, q) / poly(&D, q)
    };
    let level = if level.is_nan() { 0.5 } else { level.clamp(1e-300, 1.0 - f64::EPSILON / 2.0) };
    if level < 0.024_25 {
        return tail(level);
    }
    if level > 1.0 - 0.024_25 {
        return -tail(1.0 - level);
    }
    let q = level - 0.5;
    poly(&A, q * q) * q / poly(&B, q * q)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(n: u64) -> Duration {
        Duration::from_secs(60 * n)
    }

    #[test]
    fn the_given_quantiles_come_back() {
        let spread = Spread::between(minutes(5), minutes(9)).unwrap();
        assert!((spread.quantile_seconds(0.5) - 300.0).abs() < 1e-6);
        assert!((spread.quantile_seconds(0.95) - 540.0).abs() < 1e-5);
        assert!(spread.quantile_seconds(0.999) > 540.0);
        assert!(spread.quantile_seconds(0.01) < 300.0);
    }

    #[test]
    fn a_certain_duration_is_the_same_at_every_level() {
        let spread = Spread::exactly(minutes(5));
        for level in [0.0, 1e-9, 0.5, 0.95, 1.0, f64::NAN] {
            assert_eq!(spread.quantile_seconds(level), 300.0);
        }
    }

    #[test]
    fn levels_at_the_rim_stay_finite() {
        let spread = Spread::between(minutes(5), minutes(9)).unwrap();
        for level in [-1.0, 0.0, 1.0, 2.0, f64::NAN] {
            let seconds = spread.quantile_seconds(level);
            assert!(seconds.is_finite() && seconds >= 0.0, "{level}: {seconds}");
        }
    }

    #[test]
    fn normal_quantiles_agree_with_printed_tables() {
        for (level, z) in [(0.5, 0.0), (0.975, 1.959_963_985), (0.01, -2.326_347_874)] {
            assert!((normal_quantile(level) - z).abs() < 1e-8, "{level}");
        }
        assert!((normal_quantile(1e-6) + 4.753_424_309).abs() < 1e-7);
    }

    #[test]
    fn crossed_and_half_zero_spreads_are_refused() {
        assert!(matches!(Spread::between(minutes(9), minutes(5)), Err(BadSpread::Crossed { .. })));
        assert_eq!(Spread::between(Duration::ZERO, minutes(5)), Err(BadSpread::ZeroMedian));
        assert_eq!(Spread::between(Duration::ZERO, Duration::ZERO), Ok(Spread::ZERO));
    }
}
