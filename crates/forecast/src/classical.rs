//! Classical decomposition: a centred moving average, and the mean of each phase around it.
//!
//! Source: Makridakis, Wheelwright and Hyndman, "Forecasting: methods and applications", 1998,
//! chapter 3; the test of seasonality is that of the M3 and M4 competitions (90 %, with
//! Bartlett's standard error).

use crate::settings;

/// How a season acts on the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Season {
    /// Its phases are added.
    Additive,
    /// Its phases multiply.
    Multiplicative,
}

/// Whether the autocorrelation at `period` is beyond 1.645 standard errors. The squares of the
/// shorter lags are summed over at most [`settings::ACF_LAGS`] of them, evenly spread.
pub(crate) fn is_seasonal(values: &[f64], period: usize) -> bool {
    let n = values.len();
    let centre = mean(values.iter().copied());
    let power: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    let acf = |lag: usize| {
        values.iter().zip(&values[lag..]).map(|(a, b)| (a - centre) * (b - centre)).sum::<f64>()
            / power
    };
    let stride = period.div_ceil(settings::ACF_LAGS).max(1);
    let squares: f64 =
        stride as f64 * (1..period).step_by(stride).map(|lag| acf(lag).powi(2)).sum::<f64>();
    acf(period).abs() > 1.645 * ((1.0 + 2.0 * squares) / n as f64).sqrt()
}

/// The phases of the season, from index 0 of `values` on: around 0 if additive, around 1 (and at
/// least 10⁻⁶) if multiplicative. Needs two full periods; a flat season is all 0 or all 1.
pub(crate) fn phases(values: &[f64], period: usize, season: Season) -> Vec<f64> {
    let (mut sums, mut counts) = (vec![0.0; period], vec![0usize; period]);
    for (t, trend) in moving_average(values, period) {
        let share = match season {
            Season::Additive => values[t] - trend,
            Season::Multiplicative if trend.abs() > f64::MIN_POSITIVE => values[t] / trend,
            Season::Multiplicative => continue,
        };
        sums[t % period] += share;
        counts[t % period] += 1;
    }
    let raw: Vec<f64> = sums.iter().zip(&counts).map(|(s, c)| s / (*c).max(1) as f64).collect();
    let norm = mean(raw.iter().copied());
    match season {
        Season::Additive => raw.iter().map(|v| v - norm).collect(),
        Season::Multiplicative if norm > 0.0 => {
            raw.iter().map(|v| (v / norm).max(settings::LEAST_PHASE)).collect()
        }
        Season::Multiplicative => vec![1.0; period],
    }
}

/// The centred moving average over one period (the ends of an even window count half), with the
/// index of each value.
fn moving_average(values: &[f64], period: usize) -> impl Iterator<Item = (usize, f64)> {
    let n = values.len();
    let half = period / 2;
    let even = period.is_multiple_of(2);
    let mut total: f64 = values[..n.min(2 * half + 1)].iter().sum();
    (half..n.saturating_sub(half)).map(move |t| {
        if t > half {
            total += values[t + half] - values[t - half - 1];
        }
        let ends = if even { 0.5 * (values[t - half] + values[t + half]) } else { 0.0 };
        (t, (total - ends) / period as f64)
    })
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(s, c), v| (s + v, c + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_season_is_found_again_on_a_trend() {
        let season = [-3.0, 1.0, 4.0, -2.0];
        let values: Vec<f64> = (0..40).map(|i| 50.0 + 0.5 * i as f64 + season[i % 4]).collect();
        for (found, wanted) in phases(&values, 4, Season::Additive).iter().zip(season) {
            assert!((found - wanted).abs() < 1e-9, "{found} is not {wanted}");
        }
        let shape = [0.5, 1.5, 0.75, 1.25, 1.0];
        let values: Vec<f64> = (0..40).map(|i| 80.0 * shape[i % 5]).collect();
        for (found, wanted) in phases(&values, 5, Season::Multiplicative).iter().zip(shape) {
            assert!((found - wanted).abs() < 1e-9, "{found} is not {wanted}");
        }
    }

    #[test]
    fn noise_and_constants_are_not_seasonal_and_a_wave_is() {
        let wave: Vec<f64> = (0..96).map(|i| (f64::from(i) * 0.2618).sin()).collect();
        assert!(is_seasonal(&wave, 24));
        let noise: Vec<f64> = (0..960).map(|i| (f64::from(i * i) * 0.618).sin()).collect();
        assert!(!is_seasonal(&noise, 24));
        assert!(!is_seasonal(&[5.0; 96], 24));
        assert_eq!(phases(&[0.0; 12], 4, Season::Multiplicative), [1.0; 4]);
    }
}
