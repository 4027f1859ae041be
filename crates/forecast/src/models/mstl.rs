//! Several seasons taken apart by local regressions, and smoothing of what remains: STL
//! (Cleveland, Cleveland, McRae and Terpenning 1990) and MSTL (Bandara, Hyndman and Bergmeir
//! 2021), with the forecast of statsforecast: every season repeats its last cycle, and the rest
//! is exponential smoothing without a season.
//!
//! The decomposition is that of `stlrs`, whose jumps (a local regression at every tenth of a
//! window, lines between) keep it linear in the length of the series at any period.

use domain::series::Series;
use serde::{Deserialize, Serialize};
use stlrs::MstlParams;

use super::ets::{Seen, Smoother};
use super::history::{History, Regressors};
use super::{Context, FitError, Fitted, Model, Observation, Prediction};
use crate::settings;
use crate::state::{self, StateError};

/// The decomposition by all seasons of the series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mstl;

impl Model for Mstl {
    fn name(&self) -> &'static str {
        "mstl"
    }

    fn fit(&self, series: &Series, context: &Context) -> Result<Box<dyn Fitted>, FitError> {
        let model = self.name();
        let history = History::of(series.values(), &context.seasons);
        let seasons = context.seasons.within(history.len(), settings::CYCLES_FOR_SMOOTHING);
        if seasons.periods().is_empty() {
            return Err(FitError::NoSeason { model });
        }
        let (values, observed) = history.newest(seasons.periods());
        let n = values.len();
        // The decomposition squares values; near the ends of f64 it works on a scaled copy.
        let mean = values.iter().map(|v| v.abs()).sum::<f64>() / n as f64;
        let scale = if mean.is_normal() { mean } else { 1.0 };
        let scaled: Vec<f64> = values.iter().map(|v| v / scale).collect();
        let parts = MstlParams::new()
            .fit(&scaled, seasons.periods())
            .map_err(|_| FitError::Unsolvable { model })?;
        let rest: Vec<f64> =
            parts.trend().iter().zip(parts.remainder()).map(|(t, r)| t + r).collect();
        let from = n.saturating_sub(settings::SEARCHED_POINTS);
        let seen = Seen { values: &rest[from..], observed: &observed[from..] };
        let rest = Smoother::fit(model, seen, &[])?;
        let cycles = seasons
            .periods()
            .iter()
            .zip(parts.seasonal())
            .map(|(&m, component)| {
                let phases = component[n - m..].iter().map(|phase| *phase as f32).collect();
                Cycle { phases, next: 0 }
            })
            .collect();
        let (low, high) = scaled
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let room = settings::RANGE_ROOM * (high - low);
        Ok(Box::new(Decomposed { rest, cycles, scale, bounds: (low - room, high + room) }))
    }

    fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
        state::restore::<Decomposed>(bytes)
    }
}

/// The last cycle of one season; `next` is the place of the value that comes next. Phases lie
/// around 0, so that single precision loses nothing of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Cycle {
    phases: Vec<f32>,
    next: usize,
}

impl Cycle {
    fn ahead(&self, steps: usize) -> f64 {
        f64::from(self.phases[(self.next + steps) % self.phases.len()])
    }
}

/// The seasons and the smoothed rest, in units of the series over `scale`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Decomposed {
    rest: Smoother,
    cycles: Vec<Cycle>,
    scale: f64,
    /// What values are clamped to, scaled.
    bounds: (f64, f64),
}

impl Decomposed {
    fn season(&self, ahead: usize) -> f64 {
        self.cycles.iter().map(|c| c.ahead(ahead)).sum()
    }
}

impl Fitted for Decomposed {
    /// The rest moves on; a season learns what the rest did not expect by the weight that the
    /// newest cycle has in its local mean.
    fn update(&mut self, observation: Observation<'_>) {
        let value = (observation.value / self.scale).clamp(self.bounds.0, self.bounds.1);
        let rest = value - self.season(0);
        let error = rest - self.rest.forecast(1, &Regressors::NONE).centre[0];
        self.rest.update(Observation::of(rest));
        let share = settings::MSTL_CARRY / self.cycles.len() as f64;
        for cycle in &mut self.cycles {
            if error.is_finite() {
                let phase = &mut cycle.phases[cycle.next];
                *phase = (f64::from(*phase) + share * error) as f32;
            }
            cycle.next = (cycle.next + 1) % cycle.phases.len();
        }
    }

    fn forecast(&self, horizon: usize, ahead: &Regressors) -> Prediction {
        let rest = self.rest.forecast(horizon, ahead).centre.into_iter().enumerate();
        let (low, high) = self.bounds;
        let centre =
            rest.map(|(h, v)| self.scale * (v + self.season(h)).clamp(low, high)).collect();
        Prediction { centre, scale: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::season::Seasons;
    use domain::series::Step;
    use jiff::Timestamp;

    fn load(i: usize) -> f64 {
        let weekend = if (i / 24) % 7 >= 5 { -12.0 } else { 0.0 };
        let noise = ((i * i % 10_007) as f64 * 0.618).sin();
        60.0 + 0.02 * i as f64 + weekend + 10.0 * (0.261_799 * (i % 24) as f64).sin() + noise
    }

    fn fit(values: Vec<f64>, seasons: &[usize]) -> Result<Box<dyn Fitted>, FitError> {
        let step = Step::from_seconds(3_600).unwrap();
        let series = Series::new(Timestamp::UNIX_EPOCH, step, values);
        let context = Context { seasons: Seasons::given(seasons), ..Context::default() };
        Mstl.fit(&series, &context)
    }

    #[test]
    fn day_week_and_level_go_on_also_after_updates() {
        let mut fitted = fit((0..840).map(load).collect(), &[24, 168]).unwrap();
        let mean_error = |fitted: &dyn Fitted, from: usize| {
            let centre = fitted.forecast(168, &Regressors::NONE).centre;
            centre.iter().enumerate().map(|(h, c)| (c - load(from + h)).abs()).sum::<f64>() / 168.0
        };
        assert!(mean_error(fitted.as_ref(), 840) < 2.0, "{}", mean_error(fitted.as_ref(), 840));
        for i in 840..900 {
            fitted.update(Observation::of(if i % 7 == 0 { f64::NAN } else { load(i) }));
        }
        assert!(mean_error(fitted.as_ref(), 900) < 2.0, "{}", mean_error(fitted.as_ref(), 900));
    }

    #[test]
    fn a_changed_phase_is_learned_slowly() {
        let mut fitted = fit((0..480).map(load).collect(), &[24]).unwrap();
        let before = fitted.forecast(24, &Regressors::NONE).centre[5];
        for i in 480..480 + 24 * 20 {
            fitted.update(Observation::of(load(i) + if i % 24 == 5 { 8.0 } else { 0.0 }));
        }
        let after = fitted.forecast(24, &Regressors::NONE).centre;
        let others = after[6] - after[5];
        assert!(after[5] > before + 4.0 && others < 0.0, "{} {before} {others}", after[5]);
    }

    #[test]
    fn without_a_season_it_says_so() {
        assert_eq!(fit(vec![1.0; 50], &[]).err(), Some(FitError::NoSeason { model: "mstl" }));
        assert_eq!(fit(vec![1.0; 30], &[24]).err(), Some(FitError::NoSeason { model: "mstl" }));
    }
}
