//! Models against the past: rolling origins, one row per model.

use std::fmt;

use domain::forecast::{Forecast, Probability};
use domain::series::Series;
use rayon::prelude::*;

use crate::auto::{ForecastError, ModelChoice, Options, Report, auto};
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
    /// The same two of Naive2, which the overall weighted average compares with.
    pub naive2: [f64; 2],
    /// Pinball loss at 0.5, 0.9, 0.95 and 0.99 in the same unit.
    pub pinball: [f64; 4],
    /// Share of values inside the central 80, 90 and 95 % intervals.
    pub coverage: [f64; 3],
    /// Mean width of the 95 % interval in the same unit.
    pub width: f64,
}

impl Row {
    /// The overall weighted average against Naive2 (Makridakis et al. 2020); lower is better.
    pub fn owa(&self) -> f64 {
        metrics::owa(self.smape, self.mase, self.naive2[0], self.naive2[1])
    }

    /// The mean of rows, each of equal weight; origins are added up. `None` without rows.
    pub fn mean(rows: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut rows = rows.into_iter();
        let mut sum = rows.next()?;
        let mut count = 1.0;
        for row in rows {
            sum.origins += row.origins;
            sum.figures_mut()
                .zip(row.clone().figures_mut())
                .for_each(|(sum, value)| *sum += *value);
            count += 1.0;
        }
        sum.figures_mut().for_each(|figure| *figure /= count);
        Some(sum)
    }

    fn figures_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        [&mut self.smape, &mut self.mase, &mut self.width]
            .into_iter()
            .chain(&mut self.naive2)
            .chain(&mut self.pinball)
            .chain(&mut self.coverage)
    }
}

/// What one line of the table was made of.
#[derive(Debug, Clone)]
pub struct Run {
    /// The means.
    pub row: Row,
    /// The forecast from each origin, with the quantiles of [`LEVELS`].
    pub forecasts: Vec<Forecast>,
    /// What each fit found.
    pub reports: Vec<Report>,
}

/// The quantile levels of every forecast of a run: the edges of the central 80, 90 and 95 %
/// intervals, the median, and the far tail.
pub const LEVELS: [f64; 8] = [0.025, 0.05, 0.1, 0.5, 0.9, 0.95, 0.975, 0.99];

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<24}{:>4}{:8.2}{:8.3}", self.model, self.origins, self.smape, self.mase)?;
        write!(f, "{:8.3}", self.owa())?;
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
    pub fn run(&self, series: &Series) -> Result<Vec<Run>, ForecastError> {
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
        self.rows.iter().map(|(name, options)| self.line(series, name, options, &origins)).collect()
    }

    fn line(
        &self,
        series: &Series,
        name: &str,
        options: &Options,
        origins: &[usize],
    ) -> Result<Run, ForecastError> {
        let options = Options { horizon: Some(self.horizon), ..options.clone() };
        let scores: Vec<Result<(Row, Forecast, Report), ForecastError>> =
            origins.par_iter().map(|origin| self.score(series, *origin, name, &options)).collect();
        let scores = scores.into_iter().collect::<Result<Vec<_>, _>>()?;
        let (mut rows, mut forecasts, mut reports) = (Vec::new(), Vec::new(), Vec::new());
        for (row, forecast, report) in scores {
            rows.push(row);
            forecasts.push(forecast);
            reports.push(report);
        }
        let row = Row::mean(rows).ok_or(ForecastError::Nothing)?;
        Ok(Run { row, forecasts, reports })
    }

    fn score(
        &self,
        series: &Series,
        origin: usize,
        name: &str,
        options: &Options,
    ) -> Result<(Row, Forecast, Report), ForecastError> {
        let past = &series.values()[..origin];
        // A lower bound of demand says nothing of an error.
        let ahead = origin..origin + self.horizon;
        let known = |i: usize| if series.is_bound(i) { f64::NAN } else { series.values()[i] };
        let actual = &ahead.map(known).collect::<Vec<f64>>();
        let forecaster = auto(&series.head(origin), options)?;
        let levels = LEVELS.map(|l| Probability::new(l).expect("the levels are probabilities"));
        let forecast = forecaster.forecast(self.horizon, &levels)?;
        let column = |k: usize| -> Vec<f64> { forecast.quantiles.iter().map(|r| r[k]).collect() };
        let report = forecaster.report();
        let season = report.seasons.shortest().unwrap_or(1);
        let scale = metrics::seasonal_scale(past, season).max(f64::MIN_POSITIVE);
        let naive2 = metrics::naive2(&carried(past), season, self.horizon);
        let pinball = [3, 4, 5, 7]
            .map(|k| metrics::mean_pinball(actual, &column(k), levels[k].get()) / scale);
        let coverage = [(2, 4), (1, 5), (0, 6)]
            .map(|(l, h)| metrics::coverage(actual, &column(l), &column(h)));
        let row = Row {
            model: name.to_owned(),
            origins: 1,
            smape: metrics::smape(actual, &forecast.mean),
            mase: metrics::mae(actual, &forecast.mean) / scale,
            naive2: [metrics::smape(actual, &naive2), metrics::mae(actual, &naive2) / scale],
            pinball,
            coverage,
            width: metrics::width(&column(0), &column(6)) / scale,
        };
        Ok((row, forecast, report))
    }
}

/// The values with every gap filled by the value before it.
fn carried(values: &[f64]) -> Vec<f64> {
    let known = values.iter().skip_while(|value| !value.is_finite());
    known
        .scan(f64::NAN, |last, value| {
            *last = if value.is_finite() { *value } else { *last };
            Some(*last)
        })
        .collect()
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
        let models: Vec<&str> = rows.iter().map(|r| r.row.model.as_str()).collect();
        assert_eq!(models, ["auto", "naive", "seasonal-naive", "rho-profile"]);
        assert!(rows.iter().all(|r| r.forecasts.len() == 5 && r.reports.len() == 5));
        let rows: Vec<Row> = rows.into_iter().map(|r| r.row).collect();
        assert!(rows[0].owa() < 0.7 * rows[1].owa(), "{} {}", rows[0], rows[1]);
        assert!(rows[0].pinball[2] < 0.3 * rows[1].pinball[2], "{rows:?}");
        assert!(rows[0].coverage[2] > 0.85, "{}", rows[0]);
    }

    #[test]
    fn values_at_saturation_are_lower_bounds_before_and_after_the_origin() {
        let full = series(480);
        let cut = full.values().iter().map(|v| v.min(25.0)).collect();
        let cut = Series::new(full.start(), full.step(), cut);
        let spans: Vec<_> = (0..480)
            .filter(|i| full.values()[*i] > 25.0)
            .map(|i| (full.at(i), full.at(i + 1)))
            .collect();
        let backtest = Backtest::of(24, 5, &Options::default(), &[]);
        let row = |series: &Series| backtest.run(series).unwrap().remove(0);
        let (blind, told) = (row(&cut), row(&cut.clone().saturated_during(&spans)));
        // Told, it expects the demand above the cut, and is not blamed for it.
        let highest = |run: &Run| {
            let all = run.forecasts.iter().flat_map(|f| &f.mean);
            all.copied().fold(f64::MIN, f64::max)
        };
        assert!(highest(&blind) < 25.5 && highest(&told) > 26.0);
        let blamed = |forecast: &Forecast| {
            let from = (forecast.start.as_second() / 3_600) as usize;
            metrics::smape(&cut.values()[from..from + 24], &forecast.mean)
        };
        let blamed = told.forecasts.iter().map(blamed).sum::<f64>() / 5.0;
        assert!(told.row.smape < 0.8 * blamed, "{} is not below {blamed}", told.row.smape);
    }

    #[test]
    fn too_little_history_is_an_error() {
        let backtest = Backtest::of(24, 5, &Options::default(), &[]);
        let error = backtest.run(&series(30)).unwrap_err();
        assert_eq!(error, ForecastError::TooShort { found: 30 });
        let error = Backtest { horizon: 0, ..backtest }.run(&series(30)).unwrap_err();
        assert_eq!(error, ForecastError::Nothing);
    }
}
