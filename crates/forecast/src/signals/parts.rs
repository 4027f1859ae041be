//! What a series is made of, with its signals by name.

use domain::series::Series;

use super::{Kind, Signals, SignalsReport, columns, judge};
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
    let named = columns::of_reports(&report.each, signals, series, count);
    let owner = |place: usize| &report.each[place];
    let owners: Vec<(String, bool)> = named
        .iter()
        .map(|(place, _)| (owner(*place).name.clone(), owner(*place).kind == Kind::Event))
        .collect();
    let all = named.into_iter().map(|(_, column)| column).collect();
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
