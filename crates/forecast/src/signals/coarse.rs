//! A long load in longer steps: signals are judged on means, so that the search takes seconds.

use domain::series::{Series, Step};

use super::{Outside, Signals};
use crate::models::Context;
use crate::season::Seasons;
use crate::settings;

/// A load in longer steps.
pub(super) struct Coarse {
    pub(super) series: Series,
    pub(super) context: Context,
    /// So many steps are one.
    pub(super) factor: usize,
    /// So many of the oldest steps make no whole one, and are left out.
    skipped: usize,
}

impl Coarse {
    /// In steps that are as short as [`settings::SIGNAL_POINTS`] allow, and that divide the shortest
    /// season where there is such a length. A load that is short enough is as it was.
    pub(super) fn of(series: &Series, context: &Context) -> Self {
        let length = series.values().len();
        let factor = factor(length, &context.seasons);
        let step = i64::try_from(factor).ok().and_then(|f| series.step().seconds().checked_mul(f));
        let (Some(step), true) = (step.and_then(|s| Step::from_seconds(s).ok()), factor > 1) else {
            return Self {
                series: series.clone(),
                context: context.clone(),
                factor: 1,
                skipped: 0,
            };
        };
        let skipped = length % factor;
        let values = means(&series.values()[skipped..], factor);
        let periods = context.seasons.periods().iter().map(|p| (p + factor / 2) / factor);
        let seasons = Seasons::given(&periods.collect::<Vec<_>>());
        Self {
            series: Series::new(series.at(skipped), step, values),
            context: Context { seasons, ..context.clone() },
            factor,
            skipped,
        }
    }

    /// So many steps, in whole steps of this load.
    pub(super) fn steps(&self, fine: usize) -> usize {
        fine.div_ceil(self.factor)
    }

    /// The signals on its grid.
    pub(super) fn signals(&self, signals: &Signals) -> Signals {
        let outside = |outside: &Outside| {
            let values = outside.values.get(self.skipped..).unwrap_or(&[]);
            Outside { values: means(values, self.factor), ..outside.clone() }
        };
        let series = signals.series.iter().map(outside).collect();
        Signals { events: signals.events.clone(), series }
    }
}

/// How many steps become one.
fn factor(length: usize, seasons: &Seasons) -> usize {
    let least = length.div_ceil(settings::SIGNAL_POINTS).max(1);
    let divides = |factor: &usize| seasons.shortest().is_none_or(|season| season % factor == 0);
    (least..=2 * least).find(divides).unwrap_or(least)
}

/// The means of so many values each; gaps count for nothing, and the last may be of fewer.
fn means(values: &[f64], factor: usize) -> Vec<f64> {
    let mean = |some: &[f64]| {
        let known: Vec<f64> = some.iter().copied().filter(|value| value.is_finite()).collect();
        known.iter().sum::<f64>() / known.len() as f64
    };
    values.chunks(factor).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::Reach;
    use super::*;
    use crate::models::Regressors;

    #[test]
    fn a_long_load_is_judged_in_steps_that_divide_its_day() {
        let minutes = |length: usize| {
            let values = (0..length).map(|minute| minute as f64).collect();
            Series::new(Timestamp::UNIX_EPOCH, Step::from_seconds(60).unwrap(), values)
        };
        let context =
            Context { seasons: Seasons::given(&[1_440, 10_080]), regressors: Regressors::NONE };
        let length = 17 * settings::SIGNAL_POINTS + 5;
        let coarse = Coarse::of(&minutes(length), &context);
        assert_eq!(coarse.factor, 18);
        assert_eq!(coarse.context.seasons.periods(), [80, 560]);
        assert_eq!(coarse.series.end(), minutes(length).end());
        let skipped = length % 18;
        assert_eq!(coarse.series.values()[0], skipped as f64 + 8.5);
        let values = (0..length + 20).map(|minute| minute as f64).collect();
        let price = Outside { name: "price".into(), reach: Reach::KnownAhead, values };
        let signals = Signals { events: Vec::new(), series: vec![price] };
        let laid = coarse.signals(&signals);
        assert_eq!(laid.series[0].values[..10], coarse.series.values()[..10]);
        assert_eq!(laid.series[0].values.len(), coarse.series.values().len() + coarse.steps(20));
        // A short one is left as it is.
        let short = Coarse::of(&minutes(2_000), &context);
        assert_eq!((short.factor, short.series), (1, minutes(2_000)));
    }

    #[test]
    fn gaps_do_not_count() {
        let means = means(&[1.0, f64::NAN, f64::NAN, f64::NAN, 5.0], 2);
        assert!(means[0] == 1.0 && means[1].is_nan() && means[2] == 5.0);
    }
}
