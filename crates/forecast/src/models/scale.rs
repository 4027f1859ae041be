//! The scale on which a model works: plain or logarithmic, brought to mean 0 and spread 1.

use serde::{Deserialize, Serialize};

/// A choice of scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// The unit of the series.
    Plain,
    /// Logarithms, where all values are positive and not near zero; else plain.
    Log,
}

/// A scale that knows its series.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Fitted {
    log: bool,
    centre: f64,
    spread: f64,
}

impl Scale {
    pub(crate) fn fit(self, values: &[f64]) -> Fitted {
        let n = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / n;
        let low = values.iter().fold(f64::INFINITY, |l, v| l.min(*v));
        let log = self == Self::Log && low > 0.0 && low > crate::settings::LOG_FLOOR * mean;
        let own = |v: f64| if log { v.ln() } else { v };
        let centre = values.iter().map(|v| own(*v)).sum::<f64>() / n;
        let variance = values.iter().map(|v| (own(*v) - centre).powi(2)).sum::<f64>() / n;
        // Squares of huge values overflow; then the largest deviation has to do.
        let largest = || values.iter().fold(0.0, |l: f64, v| l.max((own(*v) - centre).abs()));
        let spread = if variance.is_finite() { variance.sqrt() } else { largest() };
        // A spread of rounding errors alone counts as none.
        let spread = if spread > 1e-12 * centre.abs() && spread.is_normal() { spread } else { 1.0 };
        Fitted { log, centre, spread }
    }
}

impl Fitted {
    /// From the unit of the series to the scale.
    pub(crate) fn into(self, value: f64) -> f64 {
        let own = if self.log { value.max(f64::MIN_POSITIVE).ln() } else { value };
        (own - self.centre) / self.spread
    }

    /// Whether values are logarithms on this scale.
    #[cfg(test)]
    pub(crate) fn is_log(self) -> bool {
        self.log
    }

    /// The logarithm of the slope of the scale at a value: what a density gains by the change.
    pub(crate) fn log_slope(self, value: f64) -> f64 {
        let own = if self.log { value.max(f64::MIN_POSITIVE).ln() } else { 0.0 };
        -own - self.spread.ln()
    }

    /// From the scale to the unit of the series.
    pub(crate) fn back(self, value: f64) -> f64 {
        let own = self.centre + value * self.spread;
        if self.log { own.exp() } else { own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for scale in [Scale::Plain, Scale::Log] {
            let fitted = scale.fit(&[3.0, 4.0, 8.0]);
            for value in [3.0, 5.5, 80.0] {
                assert!((fitted.back(fitted.into(value)) - value).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn constants_and_zeros_stay_finite() {
        assert_eq!(Scale::Log.fit(&[0.0, 0.0]).into(1.0), 1.0);
        assert_eq!(Scale::Plain.fit(&[5.0, 5.0]).into(5.0), 0.0);
        assert!(Scale::Log.fit(&[1.0, 2.0]).into(-3.0).is_finite());
        assert!(Scale::Plain.fit(&[1e300, -1e300, 1e300]).into(1e300) < 2.0);
    }
}
