//! How good a forecast was: sMAPE, MASE, OWA, pinball loss, coverage and width.
//!
//! sMAPE, MASE, OWA and Naive2 are those of the M4 competition (Makridakis, Spiliotis and
//! Assimakopoulos, "The M4 Competition", Int. J. Forecasting 36, 2020).

use crate::classical;

/// Symmetric mean absolute percentage error, in percent (0 to 200). Steps without an actual
/// value, and steps where both are zero, do not count.
pub fn smape(actual: &[f64], forecast: &[f64]) -> f64 {
    mean(
        actual
            .iter()
            .zip(forecast)
            .filter(|(a, f)| a.is_finite() && a.abs() + f.abs() > 0.0)
            .map(|(a, f)| 200.0 * (a - f).abs() / (a.abs() + f.abs())),
    )
}

/// Mean absolute error, over the steps that have an actual value.
pub fn mae(actual: &[f64], forecast: &[f64]) -> f64 {
    mean(actual.iter().zip(forecast).filter(|(a, _)| a.is_finite()).map(|(a, f)| (a - f).abs()))
}

/// The mean absolute change against one season earlier: the unit of MASE and of scaled losses.
pub fn seasonal_scale(history: &[f64], season: usize) -> f64 {
    let pairs = history.iter().zip(history.iter().skip(season));
    mean(pairs.filter(|(a, b)| a.is_finite() && b.is_finite()).map(|(a, b)| (b - a).abs()))
}

/// Mean absolute scaled error against `history` (Hyndman and Koehler 2006).
pub fn mase(actual: &[f64], forecast: &[f64], history: &[f64], season: usize) -> f64 {
    mae(actual, forecast) / seasonal_scale(history, season)
}

/// The overall weighted average: the mean of sMAPE and MASE relative to those of Naive2,
/// each already averaged over the series.
pub fn owa(smape: f64, mase: f64, naive2_smape: f64, naive2_mase: f64) -> f64 {
    0.5 * (smape / naive2_smape + mase / naive2_mase)
}

/// The pinball loss of one quantile forecast at `level` (Koenker and Bassett 1978). The mean
/// loss over levels is half the continuous ranked probability score.
pub fn pinball(actual: f64, quantile: f64, level: f64) -> f64 {
    if actual >= quantile {
        level * (actual - quantile)
    } else {
        (1.0 - level) * (quantile - actual)
    }
}

/// The mean pinball loss of the quantiles at one level, over the steps with an actual value.
pub fn mean_pinball(actual: &[f64], quantiles: &[f64], level: f64) -> f64 {
    let known = actual.iter().zip(quantiles).filter(|(a, _)| a.is_finite());
    mean(known.map(|(a, q)| pinball(*a, *q, level)))
}

/// The share of actual values that lie in `[low, high]`.
pub fn coverage(actual: &[f64], low: &[f64], high: &[f64]) -> f64 {
    let inside = actual.iter().zip(low.iter().zip(high)).filter(|(a, _)| a.is_finite());
    mean(inside.map(|(a, (l, h))| f64::from(u8::from(l <= a && a <= h))))
}

/// The mean width of the intervals.
pub fn width(low: &[f64], high: &[f64]) -> f64 {
    mean(low.iter().zip(high).map(|(l, h)| h - l))
}

/// The Naive2 benchmark: the last value of the seasonally adjusted series, put back into the
/// season; adjusted (multiplicatively) only if the series passes the 90 % test of seasonality.
pub fn naive2(history: &[f64], season: usize, horizon: usize) -> Vec<f64> {
    let n = history.len();
    let Some(last) = history.last() else { return vec![f64::NAN; horizon] };
    if season < 2 || n < 3 * season || !classical::is_seasonal(history, season) {
        return vec![*last; horizon];
    }
    let index = classical::phases(history, season, classical::Season::Multiplicative);
    let level = last / index[(n - 1) % season];
    (0..horizon).map(|h| level * index[(n + h) % season]).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(s, c), v| (s + v, c + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert!((smape(&[100.0, 0.0], &[50.0, 0.0]) - 200.0 / 3.0).abs() < 1e-9);
        assert_eq!(mase(&[4.0], &[1.0], &[1.0, 2.0, 3.0, 4.0], 2), 1.5);
        assert_eq!(owa(10.0, 2.0, 20.0, 2.0), 0.75);
        assert!((pinball(10.0, 8.0, 0.9) - 1.8).abs() < 1e-12);
        assert!((pinball(8.0, 10.0, 0.9) - 0.2).abs() < 1e-12);
        assert_eq!(coverage(&[1.0, 5.0, f64::NAN], &[0.0; 3], &[2.0; 3]), 0.5);
        assert_eq!(width(&[0.0, 1.0], &[2.0, 5.0]), 3.0);
    }

    #[test]
    fn naive2_keeps_the_season_and_ignores_noise() {
        let shape = [1.0, 2.0, 3.0, 2.0];
        let history: Vec<f64> = (0..48).map(|i| 10.0 * shape[i % 4]).collect();
        for (h, value) in naive2(&history, 4, 8).into_iter().enumerate() {
            assert!((value - 10.0 * shape[h % 4]).abs() < 1e-9);
        }
        let noise: Vec<f64> = (0..48).map(|i| 5.0 + (f64::from(i * i) * 0.7).sin()).collect();
        assert_eq!(naive2(&noise, 4, 2), [noise[47]; 2]);
    }
}
