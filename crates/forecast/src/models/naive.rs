//! The last value, or the same phase of the last cycle: what every other model has to beat.

use domain::series::Series;
use serde::{Deserialize, Serialize};

use super::history::{History, Regressors};
use super::{Context, FitError, Fitted, Model, Observation, Prediction};
use crate::state::{self, StateError};

/// The last value, for ever.
#[derive(Debug, Clone, Copy)]
pub struct Naive;

/// The value one season earlier.
#[derive(Debug, Clone, Copy)]
pub enum SeasonalNaive {
    /// The shortest season.
    Shortest,
    /// The longest season of which the series holds two cycles.
    Longest,
}

impl Model for Naive {
    fn name(&self) -> &'static str {
        "naive"
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        repeat(self.name(), series, context, 1)
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<Repeat>(bytes)
    }
}

impl Model for SeasonalNaive {
    fn name(&self) -> &'static str {
        match self {
            Self::Shortest => "seasonal-naive",
            Self::Longest => "seasonal-naive-long",
        }
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        let model = self.name();
        let seasons = context.seasons.within(series.values().len(), 1);
        let period = match self {
            Self::Shortest => seasons.shortest(),
            Self::Longest => seasons.longest(),
        };
        repeat(model, series, context, period.ok_or(FitError::NoSeason { model })?)
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<Repeat>(bytes)
    }
}

fn repeat(
    model: &'static str,
    series: &Series,
    context: &Context,
    period: usize,
) -> Result<Box<dyn Fitted>, FitError> {
    let history = History::of(series.values(), &context.seasons);
    let found = history.len();
    let Some(from) = found.checked_sub(period) else {
        return Err(FitError::TooShort { model, needed: period, found });
    };
    Ok(Box::new(Repeat { cycle: history.values()[from..].to_vec(), next: 0 }))
}

/// The last cycle; `next` is the place of the value that comes next.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Repeat {
    cycle: Vec<f64>,
    next: usize,
}

impl Fitted for Repeat {
    fn update(&mut self, observation: Observation<'_>) {
        if observation.value.is_finite() {
            self.cycle[self.next] = observation.value;
        }
        self.next = (self.next + 1) % self.cycle.len();
    }

    fn forecast(&self, horizon: usize, _ahead: &Regressors) -> Prediction {
        let centre = (0..horizon).map(|h| self.cycle[(self.next + h) % self.cycle.len()]).collect();
        Prediction { centre, scale: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::season::Seasons;
    use domain::series::Step;
    use jiff::Timestamp;

    fn fit(model: &dyn Model, values: &[f64], seasons: &[usize]) -> Box<dyn Fitted> {
        let step = Step::from_seconds(60).unwrap();
        let series = Series::new(Timestamp::UNIX_EPOCH, step, values.to_vec());
        let context = Context { seasons: Seasons::given(seasons), ..Context::default() };
        model.fit(&series, &context).unwrap()
    }

    #[test]
    fn the_last_value_goes_on() {
        let mut fitted = fit(&Naive, &[1.0, f64::NAN, 4.0], &[]);
        assert_eq!(fitted.forecast(2, &Regressors::NONE).centre, [4.0, 4.0]);
        fitted.update(Observation::of(f64::NAN));
        fitted.update(Observation::of(7.0));
        assert_eq!(fitted.forecast(1, &Regressors::NONE).centre, [7.0]);
    }

    #[test]
    fn the_last_cycle_goes_on() {
        let mut fitted = fit(&SeasonalNaive::Longest, &[9.0, 1.0, 2.0, 3.0], &[2, 3]);
        assert_eq!(fitted.forecast(5, &Regressors::NONE).centre, [1.0, 2.0, 3.0, 1.0, 2.0]);
        fitted.update(Observation::of(5.0));
        assert_eq!(fitted.forecast(3, &Regressors::NONE).centre, [2.0, 3.0, 5.0]);
    }
}
