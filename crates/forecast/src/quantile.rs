//! Empirical quantiles, the normal and the Student distribution.

/// The quantile at `level` of sorted values, linear between order statistics
/// (type 6 of Hyndman and Fan 1996: `level · (n + 1)`), flat beyond the ends.
pub(crate) fn of_sorted(sorted: &[f64], level: f64) -> f64 {
    let n = sorted.len();
    if n == 0 {
        return f64::NAN;
    }
    let place = (level * (n + 1) as f64 - 1.0).clamp(0.0, (n - 1) as f64);
    let left = place.floor() as usize;
    let right = (left + 1).min(n - 1);
    sorted[left] + (place - left as f64) * (sorted[right] - sorted[left])
}

/// The quantile of a standard normal (Acklam's rational approximation, error below 1.2e−9).
pub(crate) fn normal(level: f64) -> f64 {
    const A: [f64; 6] = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
    ];
    const C: [f64; 6] = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_5,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [
        0.007_784_695_709_041_462,
        0.322_467_129_070_039_8,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
    ];
    let tail = |q: f64| {
        (((((C[0] * q + C[1]) * q + C[2]) * q + C[3]) * q + C[4]) * q + C[5])
            / ((((D[0] * q + D[1]) * q + D[2]) * q + D[3]) * q + 1.0)
    };
    let level = level.clamp(1e-12, 1.0 - 1e-12);
    if level < 0.024_25 {
        tail((-2.0 * level.ln()).sqrt())
    } else if level > 1.0 - 0.024_25 {
        -tail((-2.0 * (1.0 - level).ln()).sqrt())
    } else {
        let q = level - 0.5;
        let r = q * q;
        (((((A[0] * r + A[1]) * r + A[2]) * r + A[3]) * r + A[4]) * r + A[5]) * q
            / (((((B[0] * r + B[1]) * r + B[2]) * r + B[3]) * r + B[4]) * r + 1.0)
    }
}

/// The share of a standard normal below `score` (the inverse of [`normal`], by bisection of it:
/// error below 1e−8 between −6 and 6).
pub(crate) fn normal_share(score: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if normal(middle) < score { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The quantile of Student's t with `freedom` degrees (Cornish–Fisher expansion of
/// Abramowitz and Stegun 26.7.5; good for `freedom` of 3 and more).
pub(crate) fn student(level: f64, freedom: f64) -> f64 {
    let x = normal(level);
    let (x2, v) = (x * x, freedom);
    let g1 = (x2 + 1.0) * x / 4.0;
    let g2 = ((5.0 * x2 + 16.0) * x2 + 3.0) * x / 96.0;
    let g3 = (((3.0 * x2 + 19.0) * x2 + 17.0) * x2 - 15.0) * x / 384.0;
    x + g1 / v + g2 / (v * v) + g3 / (v * v * v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_agree() {
        for (level, wanted) in [(0.5, 0.0), (0.975, 1.959_964), (0.001, -3.090_232)] {
            assert!((normal(level) - wanted).abs() < 1e-5);
        }
        assert!((normal_share(1.959_964) - 0.975).abs() < 1e-7);
        assert!((normal_share(0.0) - 0.5).abs() < 1e-8);
        assert!((student(0.975, 10.0) - 2.228).abs() < 0.005);
        assert!((student(0.95, 5.0) - 2.015).abs() < 0.01);
    }

    #[test]
    fn quantiles_of_samples() {
        let sorted = [1.0, 2.0, 3.0];
        assert_eq!(of_sorted(&sorted, 0.5), 2.0);
        assert_eq!(of_sorted(&sorted, 0.999), 3.0);
        assert_eq!(of_sorted(&sorted, 0.375), 1.5);
        assert!(of_sorted(&[], 0.5).is_nan());
    }
}
