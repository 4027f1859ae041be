//! Models against the past: rolling origins, one row per model.

use std::fmt;

use domain::forecast::Probability;
use domain::series::Series;
use rayon::prelude::*;

use crate::auto::{ForecastError, ModelChoice, Options, auto};
use crate::metrics;

/// What to try.
#[derive(Debug, Clone)]
pub struct Backtest {
    /// Steps ahead.
    pub horizon: usize,
    /// How many origins, spread over the newest third of the series.
    pub origins: usize,
    /// The rows: each a name and what it is made of.
    pub rows: Vec<(String, Options)>,
}

/// One line of the table: means over origins and steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The name of the row.
    pub model: String,
    /// Origins at which there was a forecast.
    pub origins: usize,
    /// In percent.
    pub smape: f64,
    /// Absolute error in units of the seasonal (else one-step) change of the history.
    pub mase: f64,
    /// Pinball loss at 0.5, 0.9, 0.95 and 0.99 in the same unit.
    pub pinball: [f64; 4],
    /// Share of values inside the central 80, 90 and 95 % intervals.
    pub coverage: [f64; 3],
    /// Mean width of the 95 % interval in the same unit.
    pub width: f64,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<24}{:>4}{:8.2}{:8.3}", self.model, self.origins, self.smape, self.mase)?;
        self.pinball.iter().try_for_each(|p| write!(f, "{p:8.3}"))?;
        self.coverage.iter().try_for_each(|c| write!(f, "{:7.1}", 100.0 * c))?;
        write!(f, "{:8.2}", self.width)
    }
}

impl Backtest {
    /// The automatic choice and each of the named models.
    pub fn of(horizon: usize, origins: usize, options: &Options, models: &[&str]) -> Self {
        let named = |name: &&str| {
            let models = ModelChoice::Named(vec![(*name).to_owned()]);
            ((*name).to_owned(), Options { models, ..options.clone() })
        };
        let mut rows = vec![("auto".to_owned(), options.clone())];
        rows.extend(models.iter().map(named));
        Self { horizon, origins, rows }
    }

    /// Runs over the series. Every forecast is made from the values before its origin alone.
    pub fn run(&self, series: &Series) -> Result<Vec<Row>, ForecastError> {
        let n = series.values().len();
        let first = (n * 2 / 3).max(2);
        if self.horizon == 0 || self.origins == 0 {
            return Err(ForecastError::Nothing);
        }
        if first + self.horizon > n {
            return Err(ForecastError::TooShort { found: n });
        }
        let last = n - self.horizon;
        let places = self.origins.min(last - first + 1);
        let at = |k: usize| first + k * (last - first) / (places - 1).max(1);
        let origins: Vec<usize> = (0..places).map(at).collect();
        self.rows.iter().map(|(name, options)| self.row(series, name, options, &origins)).collect()
    }

    fn row(
        &self,
        series: &Series,
        name: &str,
        options: &Options,
        origins: &[usize],
    ) -> Result<Row, ForecastError> {
        let options = Options { horizon: Some(self.horizon), ..options.clone() };
        let scores: Vec<Result<Row, ForecastError>> =
            origins.par_iter().map(|origin| self.score(series, *origin, name, &options)).collect();
        let mut scores = scores.into_iter().collect::<Result<Vec<Row>, _>>()?.into_iter();
        let mut sum = scores.next().ok_or(ForecastError::Nothing)?;
        for s in scores {
            sum.origins += s.origins;
            sum.smape += s.smape;
            sum.mase += s.mase;
            sum.width += s.width;
            sum.pinball.iter_mut().zip(s.pinball).for_each(|(a, b)| *a += b);
            sum.coverage.iter_mut().zip(s.coverage).for_each(|(a, b)| *a += b);
        }
        let n = sum.origins as f64;
        sum.smape /= n;
        sum.mase /= n;
        sum.width /= n;
        sum.pinball.iter_mut().for_each(|p| *p /= n);
        sum.coverage.iter_mut().for_each(|c| *c /= n);
        Ok(sum)
    }

    fn score(
        &self,
        series: &Series,
        origin: usize,
        name: &str,
        options: &Options,
    ) -> Result<Row, ForecastError> {
        let past = &series.values()[..origin];
        let actual = &series.values()[origin..origin + self.horizon];
        let known = Series::new(series.start(), series.step(), past.to_vec());
        let forecaster = auto(&known, options)?;
        let levels = [0.025, 0.05, 0.1, 0.5, 0.9, 0.95, 0.975, 0.99];
        let levels = levels.map(|l| Probability::new(l).expect("the levels are probabilities"));
        let forecast = forecaster.forecast(self.horizon, &levels)?;
        let column = |k: usize| -> Vec<f64> { forecast.quantiles.iter().map(|r| r[k]).collect() };
        let season = forecaster.report().seasons.shortest().unwrap_or(1);
        let scale = metrics::seasonal_scale(past, season).max(f64::MIN_POSITIVE);
        let pinball = [3, 4, 5, 7]
            .map(|k| metrics::mean_pinball(actual, &column(k), levels[k].get()) / scale);
        let coverage = [(2, 4), (1, 5), (0, 6)]
            .map(|(l, h)| metrics::coverage(actual, &column(l), &column(h)));
        Ok(Row {
            model: name.to_owned(),
            origins: 1,
            smape: metrics::smape(actual, &forecast.mean),
            mase: metrics::mae(actual, &forecast.mean) / scale,
            pinball,
            coverage,
            width: metrics::width(&column(0), &column(6)) / scale,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::NAMES;
    use domain::series::Step;
    use jiff::Timestamp;

    fn series(length: usize) -> Series {
        let step = Step::from_seconds(3_600).unwrap();
        let value = |i: usize| {
            let noise = ((i * i * 31 + i * 17) as f64 * 0.618).sin();
            20.0 + 10.0 * (std::f64::consts::TAU * (i % 24) as f64 / 24.0).sin() + noise
        };
        Series::new(Timestamp::UNIX_EPOCH, step, (0..length).map(value).collect())
    }

    #[test]
    fn a_row_per_model_and_the_choice_beats_naive() {
        let names = ["naive", "seasonal-naive", "rho-profile"];
        assert!(names.iter().all(|n| NAMES.contains(n)));
        let backtest = Backtest::of(24, 5, &Options::default(), &names);
        let rows = backtest.run(&series(480)).unwrap();
        let models: Vec<&str> = rows.iter().map(|r| r.model.as_str()).collect();
        assert_eq!(models, ["auto", "naive", "seasonal-naive", "rho-profile"]);
        assert!(rows[0].pinball[2] < 0.3 * rows[1].pinball[2], "{rows:?}");
        assert!(rows[0].coverage[2] > 0.85, "{}", rows[0]);
    }

    #[test]
    fn too_little_history_is_an_error() {
        let backtest = Backtest::of(24, 5, &Options::default(), &[]);
        assert_eq!(backtest.run(&series(30)), Err(ForecastError::TooShort { found: 30 }));
        assert_eq!(
            Backtest { horizon: 0, ..backtest }.run(&series(30)),
            Err(ForecastError::Nothing)
        );
    }
}
