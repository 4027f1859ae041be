//! The Card method: the average of seasonal autoregressions in levels (Rho) and in differences
//! (Delta), in logarithms where all values are positive (Doornik, Castle and Hendry, "Card
//! forecasts for M4", Int. J. Forecasting 36, 2020; Castle, Doornik and Hendry 2021).

use domain::series::Series;
use serde::{Deserialize, Serialize};

use super::history::{History, Regressors};
use super::scale::Scale;
use super::seasonal_ar::{Recipe, Regression, Target};
use super::{Context, FitError, Fitted, Model, Observation, Prediction};
use crate::settings;
use crate::state::{self, StateError};

/// The average of the recipes that can be fitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Card;

impl Model for Card {
    fn name(&self) -> &'static str {
        "card"
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        let history = History::of(series.values(), &context.seasons);
        let recipe = |target, smoothing| Recipe {
            name: "card",
            target,
            lags: settings::LAGS,
            smoothing,
            scale: Scale::Log,
        };
        let mut members = Vec::new();
        let mut failure = None;
        for smoothing in [1.0, settings::PROFILE_SMOOTHING] {
            for target in [Target::Level, Target::Difference] {
                match Regression::fit(&recipe(target, smoothing), &history, context) {
                    Ok(member) => members.push(member),
                    Err(error) => failure = Some(error),
                }
            }
        }
        match failure {
            Some(error) if members.is_empty() => Err(error),
            _ => Ok(Box::new(Average { members })),
        }
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<Average>(bytes)
    }
}

/// The fitted members, at least one.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Average {
    members: Vec<Regression>,
}

impl Fitted for Average {
    fn update(&mut self, observation: Observation<'_>) {
        self.members.iter_mut().for_each(|m| m.update(observation));
    }

    fn forecast(&self, horizon: usize, ahead: &Regressors) -> Prediction {
        let mut centre = vec![0.0; horizon];
        for member in &self.members {
            let values = member.forecast(horizon, ahead).centre;
            centre.iter_mut().zip(values).for_each(|(c, v)| *c += v / self.members.len() as f64);
        }
        Prediction { centre, scale: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::season::Seasons;
    use domain::series::Step;
    use jiff::Timestamp;

    fn series(length: usize) -> Series {
        let step = Step::from_seconds(3_600).unwrap();
        let value = |i: usize| {
            let noise = ((i * i % 10_007) as f64 * 0.618).sin();
            20.0 + 5.0 * (0.261_799 * (i % 24) as f64).sin() + noise
        };
        Series::new(Timestamp::UNIX_EPOCH, step, (0..length).map(value).collect())
    }

    #[test]
    fn it_is_the_mean_of_its_recipes() {
        let context = Context { seasons: Seasons::given(&[24]), ..Context::default() };
        let ahead = |name: &str| {
            let model = crate::models::by_name(name).unwrap();
            model.fit(&series(400), &context).unwrap().forecast(24, &Regressors::NONE).centre
        };
        let recipes = ["rho-log", "delta-log", "rho-profile-log", "delta-profile-log"].map(ahead);
        for (h, found) in ahead("card").iter().enumerate() {
            let wanted = recipes.iter().map(|r| r[h]).sum::<f64>() / 4.0;
            assert!((found - wanted).abs() < 1e-9, "step {h}: {found} is not {wanted}");
        }
    }

    #[test]
    fn too_few_values_say_so() {
        let failed = Card.fit(&series(8), &Context::default()).err();
        assert!(matches!(failed, Some(FitError::TooShort { model: "card", .. })), "{failed:?}");
    }
}
