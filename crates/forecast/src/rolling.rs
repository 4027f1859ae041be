//! Rolling origins: what each model would have said at past moments.
//!
//! A model is fitted at a few checkpoints on the data before them (a costly one at the first
//! alone), carried forward by `update`, and asked at every origin; no forecast sees a value at
//! or after its origin.

use domain::series::Series;

use crate::auto::Failure;
use crate::models::{Context, Cost, Fitted, Model, Observation, Regressors};
use crate::settings;

/// Where the origins lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Index of the first value that is forecast, per origin; rising.
    pub(crate) origins: Vec<usize>,
    /// The origins at which models are fitted anew, as places in `origins`.
    pub(crate) refits: Vec<usize>,
    /// Steps that each origin forecasts.
    pub(crate) horizon: usize,
}

impl Plan {
    /// Origins over the newer part of `values`, each with a value before it. `season` is the shortest one (or 1): the
    /// spacing shares no factor with it, so that all phases take part.
    pub(crate) fn over(values: &[f64], horizon: usize, season: usize) -> Self {
        let length = values.len();
        let known = values.iter().position(|v| v.is_finite()).unwrap_or(0);
        let reach = length.min(settings::MAX_FIT_POINTS);
        let share = (reach as f64 * settings::EVALUATED_SHARE) as usize;
        let first = (length - share).max(1);
        let mut spacing = (length - first).div_ceil(settings::ORIGINS).max(1);
        while spacing > 1 && season > 1 && gcd(spacing, season) > 1 {
            spacing += 1;
        }
        let count = (length - first).div_ceil(spacing);
        // Counted from the end, so that the newest origins are always there.
        let mut origins: Vec<usize> =
            (0..count).map(|k| length - 1 - k * spacing).filter(|o| *o > known).collect();
        origins.reverse();
        let refits = (0..settings::REFITS.min(origins.len()))
            .map(|k| k * origins.len() / settings::REFITS.min(origins.len()))
            .collect();
        Self { origins, refits, horizon }
    }
}

impl Plan {
    /// The same with models that are fitted anew so often.
    pub(crate) fn refitted(&self, times: usize) -> Self {
        let (count, times) = (self.origins.len(), times.min(self.origins.len()));
        Self { refits: (0..times).map(|k| k * count / times).collect(), ..self.clone() }
    }

    /// Steps between two origins.
    pub(crate) fn spacing(&self) -> usize {
        self.origins.windows(2).map(|pair| pair[1] - pair[0]).next().unwrap_or(1)
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What one model said at each origin: one row per origin, one value per step ahead.
/// `None` if it could not be fitted at the first checkpoint.
pub(crate) type Rows = Option<Vec<Vec<f64>>>;

/// Runs one model over the plan, until `is_late`.
pub(crate) fn run(
    model: &dyn Model,
    series: &Series,
    context: &Context,
    plan: &Plan,
    is_late: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<Vec<f64>>, Failure> {
    let values = series.values();
    let mut rows = Vec::with_capacity(plan.origins.len());
    let mut fitted: Option<Box<dyn Fitted>> = None;
    let mut at = 0;
    for (k, &origin) in plan.origins.iter().enumerate() {
        let due = model.cost() == Cost::Low && plan.refits.contains(&k);
        if is_late() {
            return Err(Failure::Slow);
        }
        if fitted.is_none() || due {
            let past = Series::new(series.start(), series.step(), values[..origin].to_vec());
            match model.fit(&past, context) {
                Ok(new) => fitted = Some(new),
                Err(_) if fitted.is_some() => {}
                Err(error) => return Err(Failure::NotFitted { reason: error.to_string() }),
            }
            at = if fitted.is_some() { origin } else { at };
        }
        let Some(current) = fitted.as_mut() else { continue };
        for value in &values[at..origin] {
            current.update(Observation::of(*value));
        }
        at = origin;
        let centre = current.forecast(plan.horizon, &Regressors::NONE).centre;
        if centre.iter().any(|v| !v.is_finite()) {
            return Err(Failure::NotFinite);
        }
        rows.push(centre);
    }
    Ok(rows)
}

/// The actual values after each origin; `NaN` where there is a gap or no value yet.
pub(crate) fn actuals(values: &[f64], plan: &Plan) -> Vec<Vec<f64>> {
    plan.origins
        .iter()
        .map(|o| (0..plan.horizon).map(|h| *values.get(o + h).unwrap_or(&f64::NAN)).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{FitError, Prediction};
    use crate::state::{self, StateError};
    use domain::series::Step;
    use jiff::Timestamp;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn origins_end_at_the_newest_value_and_meet_all_phases() {
        let plan = Plan::over(&[0.0; 1_000], 48, 24);
        assert_eq!(plan.origins.last(), Some(&999));
        assert!(plan.origins.len() <= settings::ORIGINS + 1);
        let mut phases: Vec<usize> = plan.origins.iter().map(|o| o % 24).collect();
        phases.sort_unstable();
        phases.dedup();
        assert_eq!(phases.len(), 24);
        assert_eq!(Plan::over(&[0.0; 2], 5, 1).origins, [1]);
        assert_eq!(Plan::over(&[f64::NAN, f64::NAN, 0.0, 0.0], 5, 1).origins, [3]);
    }

    /// Says how many values it has seen.
    struct Counter(AtomicUsize, Cost);
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Seen(usize);
    impl Model for Counter {
        fn name(&self) -> &'static str {
            "counter"
        }
        fn cost(&self) -> Cost {
            self.1
        }
        fn fit(&self, series: &Series, _: &Context) -> Result<Box<dyn Fitted>, FitError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(Seen(series.values().len())))
        }
        fn restore(&self, bytes: &[u8]) -> Result<Box<dyn Fitted>, StateError> {
            state::restore::<Seen>(bytes)
        }
    }
    impl Fitted for Seen {
        fn update(&mut self, _: Observation<'_>) {
            self.0 += 1;
        }
        fn forecast(&self, horizon: usize, _: &Regressors) -> Prediction {
            Prediction { centre: vec![self.0 as f64; horizon], scale: None }
        }
    }

    #[test]
    fn no_forecast_sees_its_own_future() {
        let step = Step::from_seconds(60).unwrap();
        let series = Series::new(Timestamp::UNIX_EPOCH, step, vec![0.0; 500]);
        let plan = Plan::over(&[0.0; 500], 3, 1);
        for (cost, fits) in [(Cost::Low, settings::REFITS), (Cost::High, 1)] {
            let model = Counter(AtomicUsize::new(0), cost);
            let rows = run(&model, &series, &Context::default(), &plan, &|| false).unwrap();
            for (row, origin) in rows.iter().zip(&plan.origins) {
                assert_eq!(row[0], *origin as f64);
            }
            assert_eq!(model.0.into_inner(), fits);
        }
    }
}
