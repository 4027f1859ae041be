//! The automatic choice as it is used: fitted once on the first two thirds of a trace, carried
//! sample by sample over the rest, asked again and again.

use std::fmt;

use domain::forecast::Probability;
use domain::series::{Sample, Series};
use forecast::{Options, auto, metrics};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::score;

/// Central intervals that are scored.
const CENTRAL: [f64; 3] = [0.80, 0.90, 0.95];
/// One-sided levels that are scored, of values and of maxima over a window.
const UPPER: [f64; 3] = [0.90, 0.95, 0.99];
/// Forecasts per horizon, and of these every so many is asked for paths.
const ASKED: usize = 24;
const WITH_PATHS: usize = 6;
const PATHS: usize = 400;
/// Draws of the block bootstrap.
const DRAWS: usize = 400;

/// What a share came to, and its standard error by block bootstrap (blocks of a day).
#[derive(Debug, Clone, Copy)]
pub struct Share {
    pub found: f64,
    pub error: f64,
}

impl Share {
    /// From the share at each origin; `block` origins are as long as a day.
    fn of(per_origin: &[f64], block: usize) -> Self {
        let n = per_origin.len();
        let block = block.clamp(1, n.div_ceil(2).max(1));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut means = Vec::with_capacity(DRAWS);
        for _ in 0..DRAWS {
            let (mut sum, mut count) = (0.0, 0usize);
            while count < n {
                let from = rng.random_range(0..n);
                for k in 0..block.min(n - count) {
                    sum += per_origin[(from + k) % n];
                    count += 1;
                }
            }
            means.push(sum / n as f64);
        }
        let mean = means.iter().sum::<f64>() / DRAWS as f64;
        let variance = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / DRAWS as f64;
        Self { found: per_origin.iter().sum::<f64>() / n as f64, error: variance.sqrt() }
    }

    /// Whether it lies within two standard errors of what it should be.
    pub fn holds(&self, nominal: f64) -> bool {
        (self.found - nominal).abs() <= 2.0 * self.error
    }
}

/// How one trace did.
#[derive(Debug, Clone)]
pub struct Live {
    pub name: String,
    /// At 80, 90, 95 %.
    pub central: [Share; 3],
    /// At 0.9, 0.95, 0.99.
    pub upper: [Share; 3],
    /// The maximum over the next hour, at 0.9, 0.95, 0.99.
    pub hour: [Share; 3],
    /// The maximum over the whole horizon of 4 hours.
    pub window: [Share; 3],
    /// Mean pinball loss at 0.9, 0.95, 0.99 in units of the daily change.
    pub pinball: [f64; 3],
}

impl fmt::Display for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<37}", self.name)?;
        let parts = [
            (&self.central, CENTRAL),
            (&self.upper, UPPER),
            (&self.hour, UPPER),
            (&self.window, UPPER),
        ];
        for (shares, nominal) in parts {
            for (share, nominal) in shares.iter().zip(nominal) {
                let mark = if share.holds(nominal) { ' ' } else { '!' };
                write!(f, "{:6.1}{mark}", 100.0 * share.found)?;
            }
            f.write_str(" |")?;
        }
        self.pinball.iter().try_for_each(|p| write!(f, "{p:8.4}"))
    }
}

/// The heading of the lines; `!` marks what is more than two standard errors off.
pub const HEADER: &str = "live, 4 h                               80    90     95    |  \
    .9    .95    .99   | max 1h: .9/.95/.99   | max 4h: .9/.95/.99   |  pinball .9/.95/.99";

/// Every trace.
pub fn traces(options: &Options) -> Vec<Live> {
    score::trace_series().par_iter().map(|(name, series)| live(name, series, options)).collect()
}

/// Means over the traces: central, upper, hour, window, and how many of the central ones are
/// further than two standard errors off.
pub fn pooled(all: &[Live]) -> ([[f64; 3]; 4], [usize; 3], [f64; 3]) {
    let mut means = [[0.0; 3]; 4];
    let (mut off, mut pinball) = ([0; 3], [0.0; 3]);
    for one in all {
        let rows = [&one.central, &one.upper, &one.hour, &one.window];
        for (mean, row) in means.iter_mut().zip(rows) {
            mean.iter_mut().zip(row).for_each(|(m, s)| *m += s.found / all.len() as f64);
        }
        for k in 0..3 {
            off[k] += usize::from(!one.central[k].holds(CENTRAL[k]));
            pinball[k] += one.pinball[k] / all.len() as f64;
        }
    }
    (means, off, pinball)
}

fn live(name: &str, series: &Series, options: &Options) -> Live {
    let (values, step) = (series.values(), series.step());
    let horizon = usize::try_from(14_400 / step.seconds()).unwrap();
    let (day, stride) = (6 * horizon, horizon / ASKED);
    let from = values.len() * 2 / 3;
    let past = Series::new(series.start(), step, values[..from].to_vec());
    let options = Options { horizon: Some(horizon), ..options.clone() };
    let mut forecaster = auto(&past, &options).unwrap();
    let scale = metrics::seasonal_scale(&values[..from], day);
    let mut tally = Tally::default();
    for index in from..values.len() {
        let asked = (index - from) / stride;
        if (index - from).is_multiple_of(stride) && index + horizon <= values.len() {
            let forecast = forecaster.forecast(horizon, &score::levels()).unwrap();
            tally.add(&forecast, &values[index..index + horizon], scale);
            if asked.is_multiple_of(WITH_PATHS) {
                let paths = forecaster.paths(horizon, PATHS, index as u64).unwrap();
                tally.maxima(&paths, &values[index..index + horizon], horizon);
            }
        }
        forecaster.update(Sample { at: forecaster.end(), value: values[index] }).unwrap();
    }
    tally.finish(name, day / stride)
}

/// Shares per origin.
#[derive(Default)]
struct Tally {
    central: [Vec<f64>; 3],
    upper: [Vec<f64>; 3],
    hour: [Vec<f64>; 3],
    window: [Vec<f64>; 3],
    pinball: [Vec<f64>; 3],
}

impl Tally {
    fn add(&mut self, forecast: &domain::forecast::Forecast, actual: &[f64], scale: f64) {
        if actual.iter().all(|v| v.is_nan()) {
            return;
        }
        let column = |level: f64| -> Vec<f64> {
            let level = Probability::new(level).unwrap();
            (0..actual.len()).map(|h| forecast.quantile(h, level)).collect()
        };
        for k in 0..3 {
            let (low, high) =
                (column((1.0 - CENTRAL[k]) / 2.0), column(f64::midpoint(1.0, CENTRAL[k])));
            self.central[k].push(metrics::coverage(actual, &low, &high));
            let upper = column(UPPER[k]);
            let least = vec![f64::NEG_INFINITY; actual.len()];
            self.upper[k].push(metrics::coverage(actual, &least, &upper));
            self.pinball[k].push(metrics::mean_pinball(actual, &upper, UPPER[k]) / scale);
        }
    }

    fn maxima(&mut self, paths: &domain::forecast::Paths, actual: &[f64], horizon: usize) {
        for (steps, tally) in [(horizon / 4, &mut self.hour), (horizon, &mut self.window)] {
            let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let came = most(&actual[..steps]);
            if !came.is_finite() {
                continue;
            }
            let mut maxima: Vec<f64> = paths.iter().map(|path| most(&path[..steps])).collect();
            maxima.sort_by(f64::total_cmp);
            for (k, level) in UPPER.into_iter().enumerate() {
                let place = (level * maxima.len() as f64) as usize;
                tally[k].push(f64::from(u8::from(came <= maxima[place.min(maxima.len() - 1)])));
            }
        }
    }

    fn finish(self, name: &str, block: usize) -> Live {
        let shares = |lists: &[Vec<f64>; 3], block: usize| {
            [0, 1, 2].map(|k: usize| Share::of(&lists[k], block))
        };
        Live {
            name: name.to_owned(),
            central: shares(&self.central, block),
            upper: shares(&self.upper, block),
            hour: shares(&self.hour, block / WITH_PATHS),
            window: shares(&self.window, block / WITH_PATHS),
            pinball: self.pinball.map(|list| list.iter().sum::<f64>() / list.len() as f64),
        }
    }
}
