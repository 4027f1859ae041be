//! Sampled futures of one forecaster.

use domain::forecast::Paths;

use super::{AutoForecaster, ForecastError};
use crate::calibrate;
use crate::paths::Templates;
use crate::paths::windows::{self, Came};

impl AutoForecaster {
    /// `count` sampled futures of `horizon` steps: at each step their values are evenly spread
    /// over the calibrated distribution. The same seed gives the same paths.
    pub fn paths(&self, horizon: usize, count: usize, seed: u64) -> Result<Paths, ForecastError> {
        if horizon == 0 || count == 0 {
            return Err(ForecastError::Nothing);
        }
        let templates = Templates::of(&self.standardised());
        let units: Vec<f64> = windows::rank_levels().map(calibrate::score).collect();
        let units = self.calibration.units(&units);
        let looseness = windows::looseness(&templates, &self.came(), &units);
        let ranks = templates.ranks(horizon, count, seed, looseness);
        let scores: Vec<f64> =
            (0..count).map(|k| calibrate::score((k as f64 + 0.5) / count as f64)).collect();
        let bounds = self.bounds();
        let mut values = vec![0.0; count * horizon];
        for (h, centre) in self.centre(horizon).into_iter().enumerate() {
            let centre = bounds.clamp(centre);
            for (path, rank) in ranks[h].iter().enumerate() {
                let score = scores[*rank as usize];
                let value = self.quantile(h, centre, score);
                values[path * horizon + h] = bounds.clamp(value);
            }
        }
        Ok(Paths::new(self.end(), self.step, horizon, values)
            .expect("bounded values of the right number are paths"))
    }

    /// Past errors in units of their size; `NaN` where nothing or only a lower bound came.
    fn standardised(&self) -> Vec<Vec<f64>> {
        let past = &self.past;
        let of = |o: usize| {
            let score = |h: usize| match past.is_floor(past.origins()[o] + h) {
                true => f64::NAN,
                false => past.error(o, h) / self.calibration.past_size(past, o, h),
            };
            (0..past.horizon()).map(score).collect()
        };
        (0..past.count()).map(of).collect()
    }

    /// What came after the newest past origins, beside what was said.
    fn came(&self) -> Vec<Came> {
        let past = &self.past;
        let row = |of: &dyn Fn(usize) -> f64| (0..past.horizon()).map(of).collect();
        let came = |o: usize| Came {
            values: row(&|h| past.value(o, h)),
            centres: row(&|h| past.centre(o, h)),
            sizes: row(&|h| self.calibration.past_size(past, o, h)),
        };
        (0..past.count()).map(came).collect()
    }
}
