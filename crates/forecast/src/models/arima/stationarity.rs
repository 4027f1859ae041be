//! Whether a series needs a difference: the test of Kwiatkowski, Phillips, Schmidt and Shin
//! ("Testing the null hypothesis of stationarity against the alternative of a unit root",
//! J. Econometrics 54, 1992), as the R package forecast uses it.

use crate::settings;

/// How many plain differences make the values stationary around a level, at most `most`.
pub(super) fn differences(values: &[f64], most: usize) -> usize {
    let mut rest = values.to_vec();
    for count in 0..most {
        if kpss(&rest).is_none_or(|statistic| statistic <= settings::KPSS_CRITICAL) {
            return count;
        }
        rest = rest.windows(2).map(|pair| pair[1] - pair[0]).collect();
    }
    most
}

/// The statistic for stationarity around a level; `None` if there are too few values or these
/// do not vary.
fn kpss(values: &[f64]) -> Option<f64> {
    let n = values.len();
    if n < settings::KPSS_LEAST {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let errors: Vec<f64> = values.iter().map(|v| v - mean).collect();
    let (mut sum, mut squares) = (0.0, 0.0);
    for error in &errors {
        sum += error;
        squares += sum * sum;
    }
    let product = |lag: usize| -> f64 {
        errors.iter().zip(&errors[lag..]).map(|(a, b)| a * b).sum::<f64>() / n as f64
    };
    // Bartlett weights up to the lag that R takes.
    let lags = (3.0 * (n as f64).sqrt() / 13.0) as usize;
    let weighted = |lag: usize| 2.0 * (1.0 - lag as f64 / (lags + 1) as f64) * product(lag);
    let variance = product(0) + (1..=lags).map(weighted).sum::<f64>();
    let statistic = squares / (n as f64).powi(2) / variance;
    (variance > 0.0 && statistic.is_finite()).then_some(statistic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn noise(seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..500).map(|_| rng.random::<f64>() - 0.5).collect()
    }

    fn summed(values: &[f64]) -> Vec<f64> {
        let add = |sum: &mut f64, v: &f64| {
            *sum += v;
            Some(*sum)
        };
        values.iter().scan(0.0, add).collect()
    }

    #[test]
    fn the_statistic_of_a_line_is_known() {
        // Errors i − 4.5, whose sums s are −4.5, −8, −10.5, −12, −12.5, … 0: Σ s² = 833.25; variance 8.25 without lags.
        let line: Vec<f64> = (0..10).map(f64::from).collect();
        let wanted = 833.25 / 100.0 / 8.25;
        assert!((kpss(&line).unwrap() - wanted).abs() < 1e-12, "{:?} {wanted}", kpss(&line));
    }

    #[test]
    fn noise_a_walk_and_a_summed_walk() {
        for seed in 0..5 {
            let plain = noise(seed);
            let walk = summed(&plain);
            assert_eq!(differences(&plain, 2), 0, "seed {seed}");
            assert_eq!(differences(&walk, 2), 1, "seed {seed}");
            assert_eq!(differences(&summed(&walk), 2), 2, "seed {seed}");
        }
    }

    #[test]
    fn constants_and_few_values_need_none() {
        assert_eq!(differences(&[3.0; 50], 2), 0);
        assert_eq!(differences(&[1.0, 9.0], 2), 0);
    }
}
