//! Seasonal ARIMA with regression, chosen automatically, for seasons of any length.
//!
//! `φ(B) Π_m Φ_m(B^m) ∇^d ∇_s (y_t − x_t β) = c + θ(B) Π_m Θ_m(B^m) ε_t`, where `m` runs over
//! *all* seasons of the series (a day and a week, say) and at most one season `s` is differenced.
//!
//! Orders are searched as Hyndman and Khandakar do (J. Stat. Softw. 27(3), 2008), with the KPSS
//! test for `d`; what makes their search take minutes at a season of 24 steps and impossible at
//! 288 is replaced:
//!
//! - The search works on the conditional sum of squares, factor by factor, so that a season costs
//!   as much as a plain lag whatever its length; each model starts from its neighbour's parameters.
//! - The exact likelihood of the model that was found comes from the Chandrasekhar recursions
//!   ([`filter`]): `O(m)` a step instead of `O(m²)`.
//! - `s` is the shortest season that explains nearly as much as the strongest; longer seasons have
//!   terms, no difference.
//!
//! On the developers' data (M4 hourly, seasons of 24 and 168 steps) terms of both seasons on the
//! difference at 24 did best: better than the difference at 168, than no plain difference, than
//! terms of 24 alone, and than sines and cosines with ARMA errors; exact likelihood did better than
//! conditional squares. Cutting single large errors helped there and hurt on server traces, whose
//! bursts return. `--example accuracy -- --no-traces --models arima` measures it as it is now.
//!
//! Logarithms are taken where they make the series more likely. A weak season has to prove itself:
//! the model without seasons is tried too, and forecasts of held-out values decide.
//! Regressors that are known ahead enter as regression with ARMA errors, by generalised least
//! squares. Gaps are bridged for the fit, without a say in the sums of squares.

use domain::series::Series;

use super::history::History;
use super::{Context, Cost, FitError, Fitted, Model, Regressors};
use crate::models::scale::{self, Scale};
use crate::season::{self, Seasons};
use crate::settings;
use crate::state::{self, StateError};

mod covariance;
mod design;
mod estimate;
mod filter;
mod learned;
mod orders;
mod polynomial;
mod running;
mod search;
mod stationarity;

use learned::{Data, Learned, Shape};
use running::Running;

/// The automatic choice of a seasonal ARIMA model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arima;

/// The name of the model.
pub(crate) const NAME: &str = "arima";

impl Model for Arima {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cost(&self) -> Cost {
        Cost::High
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        let history = History::of(series.values(), &context.seasons);
        let found = history.len();
        if found < settings::ARIMA_LEAST {
            return Err(FitError::TooShort { model: NAME, needed: settings::ARIMA_LEAST, found });
        }
        let seasons = usable(&context.seasons, found);
        let most = settings::ARIMA_CYCLES_MOST * seasons.longest().unwrap_or(0);
        let from = found - found.min(most.max(settings::ARIMA_VALUES_MOST));
        let stretch = Stretch {
            raw: &history.values()[from..],
            seen: &history.observed()[from..],
            first: history.first_index() + from,
            outside: &context.regressors,
        };
        let fitted = stretch.fit(&seasons).ok_or(FitError::Unsolvable { model: NAME })?;
        Ok(Box::new(fitted))
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<Running>(bytes)
    }
}

/// The seasons that a model may carry: not too long for a state of bounded size, and with enough
/// cycles left when the newest values are held out.
fn usable(seasons: &Seasons, length: usize) -> Seasons {
    let fits = |p: &usize| {
        *p <= settings::ARIMA_SEASON_MOST
            && p * settings::ARIMA_CYCLES_LEAST <= length - length / settings::ARIMA_HELD_OUT
    };
    let periods: Vec<usize> = seasons.periods().iter().copied().filter(fits).collect();
    Seasons::given(&periods)
}

/// The part of the history that is learned from, in the unit of the series.
struct Stretch<'a> {
    raw: &'a [f64],
    seen: &'a [bool],
    first: usize,
    outside: &'a Regressors,
}

impl Stretch<'_> {
    fn fit(&self, seasons: &Seasons) -> Option<Running> {
        let plain = Scale::Plain.fit(self.raw);
        let values: Vec<f64> = self.raw.iter().map(|v| plain.into(*v)).collect();
        let differenced = differenced_season(&values, seasons);
        let shape = |difference: Option<(usize, f64)>| Shape {
            difference: difference.map(|(period, _)| period),
            terms: difference.map_or(Vec::new(), |_| seasons.periods().to_vec()),
        };
        let mut shapes = vec![shape(differenced)];
        if differenced.is_some_and(|(_, strength)| strength < settings::SEASON_STRONG) {
            shapes.push(shape(None));
        }
        let scale = self.scale(plain, &shapes[0]);
        let values: Vec<f64> = self.raw.iter().map(|v| scale.into(*v)).collect();
        let data = Data {
            values: &values,
            seen: self.seen,
            first: self.first,
            outside: self.outside,
            scale,
        };
        let learned = choose(shapes, data, seasons)?.refine(data)?;
        let running = learned.run(data)?;
        let sound = |p: super::Prediction| {
            p.centre.iter().chain(p.scale.iter().flatten()).all(|v| v.is_finite())
        };
        sound(running.forecast(settings::ARIMA_LOOK, &Regressors::NONE)).then_some(running)
    }

    /// Plain or logarithmic: what makes the values more likely under a simple model of the shape
    /// (Box and Cox, "An analysis of transformations", J. R. Stat. Soc. B 26, 1964).
    fn scale(&self, plain: scale::Fitted, shape: &Shape) -> scale::Fitted {
        let log = Scale::Log.fit(self.raw);
        let unlikely = |scale: scale::Fitted| -> Option<f64> {
            let values: Vec<f64> = self.raw.iter().map(|v| scale.into(*v)).collect();
            let data = Data {
                values: &values,
                seen: self.seen,
                first: self.first,
                outside: &Regressors::NONE,
                scale,
            };
            let slopes: f64 = self.raw.iter().map(|v| scale.log_slope(*v)).sum();
            let n = values.len() as f64;
            Some(0.5 * n * learned::pilot(shape, data)?.ln() - slopes)
        };
        match (unlikely(plain), unlikely(log)) {
            (Some(a), Some(b)) if b < a => log,
            _ => plain,
        }
    }
}

/// The shortest season that explains nearly as much as the strongest, and how much it explains.
fn differenced_season(values: &[f64], seasons: &Seasons) -> Option<(usize, f64)> {
    let strengths: Vec<(usize, f64)> =
        seasons.periods().iter().map(|p| (*p, season::strength(values, *p))).collect();
    let most = strengths.iter().map(|(_, s)| *s).fold(0.0, |a: f64, b| if b > a { b } else { a });
    strengths.into_iter().find(|(_, s)| *s >= settings::SEASON_NEARLY * most)
}

/// One shape is taken as it is; among several, those forecasts of held-out values decide.
fn choose(mut shapes: Vec<Shape>, data: Data<'_>, seasons: &Seasons) -> Option<Learned> {
    if shapes.len() == 1 {
        return Learned::search(shapes.pop()?, data);
    }
    let n = data.values.len();
    let cycles = settings::ARIMA_HELD_OUT * seasons.longest().unwrap_or(n);
    let past = n - (n / settings::ARIMA_HELD_OUT).min(cycles).max(1);
    let horizon = seasons.shortest().unwrap_or(1);
    let horizon = horizon.clamp(settings::HORIZON_LEAST, settings::ARIMA_LOOK);
    let mut best: Option<(f64, Learned)> = None;
    for shape in shapes {
        let Some(learned) = Learned::search(shape, data.until(past)) else { continue };
        let Some(running) = learned.run(data.until(past)) else { continue };
        let loss = held_out(running, data, past, horizon);
        if best.as_ref().is_none_or(|(least, _)| loss < *least) {
            best = Some((loss, learned));
        }
    }
    best.map(|(_, learned)| learned)
}

/// The mean absolute error of up to `horizon` steps ahead over the values from `from` on, scaled.
fn held_out(mut running: Running, data: Data<'_>, from: usize, horizon: usize) -> f64 {
    let n = data.values.len();
    let stride = (n - from).div_ceil(settings::ARIMA_ORIGINS);
    let (mut sum, mut count) = (0.0, 0usize);
    for t in from..n {
        if (t - from).is_multiple_of(stride) {
            let length = horizon.min(n - t);
            let said = running.centre(length, &data.regressors(t, length));
            for (h, centre) in said.iter().enumerate().filter(|(h, _)| data.seen[t + h]) {
                sum += (centre - data.values[t + h]).abs();
                count += 1;
            }
        }
        running.push(data.values[t], &data.outside_at(t));
    }
    sum / count.max(1) as f64
}

#[cfg(test)]
mod tests;
