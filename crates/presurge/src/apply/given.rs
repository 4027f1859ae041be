//! Whether a plan that is given may still be performed: its inputs have not moved.

use domain::plan::{PerDimension, Plan, TimelineEntry};
use jiff::Timestamp;

use super::world::BAND_BREACHES;
use crate::pipeline::{
    Ask, CalendarFile, History, Made, PlanError, Prepared, facts, with_capacity,
};

const AGAIN: &str = "make a new one with `presurge plan`";

/// Why a given plan is not performed.
#[derive(Debug, thiserror::Error)]
pub enum NotPerformed {
    /// Its inputs have moved.
    #[error("{0}")]
    Moved(String),
    /// It cannot be told.
    #[error(transparent)]
    Unknown(#[from] PlanError),
}

/// The plan of one fleet with the load as it is known now, if nothing has moved that it stands on:
/// configuration, calendar files, its time, and the load inside its band.
pub async fn taken(plan: Plan, prepared: &Prepared, now: Timestamp) -> Result<Made, NotPerformed> {
    still_good(&plan, prepared, now).map_err(NotPerformed::Moved)?;
    let calendars = keeps_its_bounds(&plan, prepared)?;
    let histories = prepared.histories(now).await?;
    in_its_band(&plan.timeline, &histories).map_err(NotPerformed::Moved)?;
    let warnings = histories.values().flat_map(|h| h.warnings.clone()).collect();
    Ok(Made { plan, histories, calendars, warnings })
}

/// Whether a plan may be performed now: its inputs have not moved.
pub fn still_good(plan: &Plan, prepared: &Prepared, now: Timestamp) -> Result<(), String> {
    if plan.computed_digest() != plan.digest {
        return Err("the plan was changed after it was made: its digest does not match".into());
    }
    if plan.rollout != prepared.rollout.name.as_str() {
        let (is, wanted) = (&plan.rollout, &prepared.rollout.name);
        return Err(format!("the plan is for rollout {is}, the configuration for {wanted}"));
    }
    if plan.inputs.config != prepared.config {
        return Err(format!(
            "the configuration has changed since the plan was made (fleet, membership, offers or \
             rollout); {AGAIN}"
        ));
    }
    let learned = plan.inputs.learned.get(&prepared.fleet.name).cloned().unwrap_or_default();
    if learned != prepared.learned {
        return Err(format!(
            "what is learned of fleet {} has changed since the plan was made; {AGAIN}",
            prepared.fleet.name
        ));
    }
    if now > plan.valid_until {
        return Err(format!("the plan was valid until {}; {AGAIN}", plan.valid_until));
    }
    Ok(())
}

/// The plan keeps the bounds of the configuration with what its calendar files hold now: these.
fn keeps_its_bounds(plan: &Plan, prepared: &Prepared) -> Result<Vec<CalendarFile>, NotPerformed> {
    let prepared = prepared.clone().with_calendar_files()?;
    let made = plan.created_at;
    let deadline = prepared.rollout.deadline(made).map_err(PlanError::Deadline)?;
    let ask = Ask::first(made, deadline, plan.seed);
    let fleet = with_capacity(&prepared.fleet, &plan.inputs);
    let findings = plan::check(plan, &facts(&fleet, &prepared.rollout, &ask));
    match findings.first() {
        None => Ok(prepared.calendars),
        Some(finding) => {
            let text = format!("the plan does not keep its bounds any more: {finding}; {AGAIN}");
            Err(NotPerformed::Moved(text))
        }
    }
}

/// The newest samples are not all above the upper edge of the plan's band at their times.
fn in_its_band(
    timeline: &[TimelineEntry],
    histories: &PerDimension<History>,
) -> Result<(), String> {
    for (dimension, history) in histories {
        let series = &history.series;
        let values = series.values().iter().enumerate();
        let known = values.filter(|(_, value)| value.is_finite());
        let newest: Vec<_> = known.rev().take(BAND_BREACHES as usize).collect();
        let above = newest.iter().filter_map(|(index, value)| {
            let at = series.at(*index);
            let entry = timeline.iter().find(|e| e.from <= at && at < e.to)?;
            let upper = entry.load.get(dimension)?.upper;
            (**value > upper).then_some((at, **value, upper))
        });
        let above: Vec<_> = above.collect();
        if let (true, Some((at, value, upper))) =
            (above.len() == BAND_BREACHES as usize, above.first())
        {
            return Err(format!(
                "{dimension} is at {value:.1} since {at}, above the band that the plan was made for \
                 ({upper:.1}); {AGAIN}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::journal::Digest;
    use domain::name::{Dimension, FleetName};
    use domain::plan::LoadBand;
    use domain::series::{Series, Step};

    use super::*;

    fn history(values: &[f64]) -> PerDimension<History> {
        let step = Step::from_seconds(60).unwrap();
        let series = Series::new(Timestamp::UNIX_EPOCH, step, values.to_vec());
        let (digest, archived) = (Digest::zero(), Vec::new());
        let history = History {
            series,
            digest,
            archived,
            known: Default::default(),
            saved: None,
            carried: None,
            warnings: Vec::new(),
        };
        PerDimension::from([(Dimension::new("requests").unwrap(), history)])
    }

    fn band_from(minute: u64) -> [TimelineEntry; 1] {
        let at = |minute: u64| Timestamp::UNIX_EPOCH + Duration::from_secs(60 * minute);
        let band = LoadBand { mean: 5.0, upper: 10.0 };
        [TimelineEntry {
            fleet: FleetName::new("web").unwrap(),
            from: at(minute),
            to: at(minute + 60),
            in_service: 1,
            surge: 0,
            capacity: PerDimension::new(),
            load: PerDimension::from([(Dimension::new("requests").unwrap(), band)]),
            overload_probability: 0.0,
        }]
    }

    #[test]
    fn load_that_has_left_the_band_is_told_and_one_sample_alone_is_not() {
        assert_eq!(in_its_band(&band_from(0), &history(&[5.0, 11.0, 9.0])), Ok(()));
        assert_eq!(in_its_band(&band_from(0), &history(&[5.0, 9.0, 11.0])), Ok(()));
        let told = in_its_band(&band_from(0), &history(&[5.0, 11.0, f64::NAN, 12.0]));
        assert!(told.unwrap_err().starts_with("requests is at 12.0 since 1970-01-01T00:03:00Z"));
        // Samples before the band begins say nothing.
        assert_eq!(in_its_band(&band_from(3), &history(&[5.0, 11.0, 11.0, 12.0])), Ok(()));
    }
}
