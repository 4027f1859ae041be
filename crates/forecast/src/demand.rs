//! What was asked for, as far as the samples can tell it: what models learn from.
//!
//! Some samples say something else than the demand. At saturation a sample is a lower
//! bound: served load stops at the capacity just where the forecast matters. And in an outage
//! nothing is served, whatever is asked for. A single wild value is a fault of measurement. Bounds are replaced by the demand to be expected
//! above them, outages become gaps,
//! and wild values are brought back.

use domain::series::Series;

use crate::auto::Note;
use crate::models;
use crate::season::Seasons;
use crate::settings;

mod bounded;
mod outage;
mod watch;

pub(crate) use bounded::expected_above;
pub(crate) use watch::Watch;

/// A series of demand, and which of its values are no measurements.
#[derive(Debug, Clone)]
pub(crate) struct Demand {
    /// The series with gaps for outages and expectations for lower bounds.
    pub(crate) series: Series,
    /// The indices of lower bounds, rising, each with the bound.
    pub(crate) floors: Vec<(usize, f64)>,
    /// How many steps were taken for outages.
    pub(crate) outages: usize,
}

impl Demand {
    /// The demand without outages; lower bounds are as they were measured.
    pub(crate) fn served(series: &Series) -> Self {
        let mut values = series.values().to_vec();
        let lost = outage::find(&values, series.step());
        for index in &lost {
            values[*index] = f64::NAN;
        }
        models::clip_spikes(&mut values);
        let bound = |index: &usize| series.is_bound(*index) && values[*index].is_finite();
        let floors: Vec<(usize, f64)> =
            (0..values.len()).filter(bound).map(|index| (index, values[index])).collect();
        let series = Series::new(series.start(), series.step(), values);
        Self { series, floors, outages: lost.len() }
    }

    /// What is to be said about it.
    pub(crate) fn notes(&self) -> impl Iterator<Item = Note> {
        let outages = (self.outages > 0).then_some(Note::Outages { steps: self.outages });
        let bounds = self.floors.len();
        outages.into_iter().chain((bounds > 0).then_some(Note::Saturated { steps: bounds }))
    }

    /// The same with the expected demand in the place of lower bounds.
    pub(crate) fn expected(self, seasons: &Seasons) -> Self {
        if self.floors.is_empty() {
            return self;
        }
        let from = self.series.values().len().saturating_sub(settings::MAX_FIT_POINTS);
        let mut values = self.series.values().to_vec();
        let near: Vec<usize> =
            self.floors.iter().filter(|(i, _)| *i >= from).map(|(i, _)| i - from).collect();
        bounded::impute(&mut values[from..], &near, seasons);
        let series = Series::new(self.series.start(), self.series.step(), values);
        Self { series, ..self }
    }
}
