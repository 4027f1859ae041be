//! What a series is made of, with its signals by name.

use domain::series::Series;

use super::columns::{self, Windows};
use super::{Signals, SignalsReport, judge};
use crate::models::prophet::{Components, Part};
use crate::models::{Context, Regressors};
use crate::season::Seasons;

/// Trend, seasons, and the signals that entered, as Prophet sees them, over the history and
/// `horizon` steps more. `None` if it cannot be fitted.
pub fn components(
    series: &Series,
    seasons: &Seasons,
    signals: &Signals,
    report: &SignalsReport,
    horizon: usize,
) -> Option<Components> {
    let count = series.values().len() + horizon;
    let (mut all, mut owners) = (Vec::new(), Vec::new());
    for one in report.each.iter().filter(|one| one.unused.is_none()) {
        let event = signals.events.iter().find(|category| category.name == one.name);
        let outside = signals.series.iter().find(|outside| outside.name == one.name);
        let own = match (event, outside) {
            (Some(category), _) => {
                let windows = Windows { lead: one.lead.0, tail: one.tail.0 };
                let mask = columns::mask(&category.times, series, count + windows.lead);
                columns::of_events(&mask, windows, count)
            }
            (None, Some(outside)) => vec![columns::of_outside(outside, one.lag, count)],
            (None, None) => continue,
        };
        owners.extend(own.iter().map(|_| (one.name.clone(), event.is_some())));
        all.extend(own);
    }
    let context = Context { seasons: seasons.clone(), regressors: Regressors::NONE };
    let (explained, outside) = judge::explain(series, &context, &all).ok()?;
    let mut parts = explained.components(0..count, &outside);
    let found: Vec<Part> = parts.events.drain(..).chain(parts.regressors.drain(..)).collect();
    for (place, (name, is_event)) in owners.into_iter().enumerate() {
        let own = format!("column {place}");
        let Some(values) = found.iter().find(|part| part.name == own).map(|part| &part.values)
        else {
            continue;
        };
        let list = if is_event { &mut parts.events } else { &mut parts.regressors };
        match list.iter_mut().find(|part| part.name == name) {
            Some(part) => part.values.iter_mut().zip(values).for_each(|(sum, value)| *sum += value),
            None => list.push(Part { name, values: values.clone() }),
        }
    }
    Some(parts)
}
