//! Stretches in which nothing was served: they must not teach the models.
//!
//! Load that is well away from zero and falls to almost nothing for a while was not asked for
//! less: the service, or its measurement, was down. What comes back at regular distances is a
//! habit of the load, and what lasts is a new level; both stay.

use domain::series::Step;

use crate::settings;

/// The level below which load has collapsed: a share of its low quantile. `None` where load is
/// too short or too near to zero to tell.
pub(super) fn collapse(values: &[f64]) -> Option<f64> {
    let mut alive: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    if alive.len() < settings::SPIKES_LEAST {
        return None;
    }
    let place = ((alive.len() as f64 * settings::OUTAGE_SHARE) as usize).min(alive.len() - 1);
    let usual_low = *alive.select_nth_unstable_by(place, f64::total_cmp).1;
    (usual_low > 0.0).then_some(usual_low * settings::OUTAGE_LEVEL)
}

/// The indices of all steps that are taken for outages, rising.
pub(super) fn find(values: &[f64], step: Step) -> Vec<usize> {
    let Some(limit) = collapse(values) else { return Vec::new() };
    let runs = runs(values, limit);
    if regular(&runs) {
        return Vec::new();
    }
    // The newest stretch is the beginning of a new level once it has lasted.
    let most = believed_after(step);
    let lost = |run: &(usize, usize)| run.1 < values.len() || run.1 - run.0 <= most;
    runs.into_iter().filter(lost).flat_map(|(from, to)| from..to).collect()
}

/// After how many steps a collapse is believed.
pub(super) fn believed_after(step: Step) -> usize {
    let steps = usize::try_from(settings::OUTAGE_SECONDS / step.seconds()).unwrap_or(0);
    steps.max(settings::OUTAGE_LEAST_STEPS)
}

/// The stretches at or below `limit`, as ranges.
pub(super) fn runs(values: &[f64], limit: f64) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (index, value) in values.iter().enumerate() {
        if *value <= limit {
            match runs.last_mut() {
                Some((_, end)) if *end == index => *end = index + 1,
                _ => runs.push((index, index + 1)),
            }
        }
    }
    runs
}

/// Whether the stretches come back at one distance: at least three of them, most distances
/// within a step or a few percent of the middle one.
pub(super) fn regular(runs: &[(usize, usize)]) -> bool {
    if runs.len() < settings::OUTAGE_REGULAR {
        return false;
    }
    let mut distances: Vec<usize> = runs.windows(2).map(|w| w[1].0 - w[0].0).collect();
    distances.sort_unstable();
    let middle = distances[distances.len() / 2];
    let near = |d: &&usize| d.abs_diff(middle) <= (middle / 20).max(1);
    distances.iter().filter(near).count() * 2 > distances.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(i: usize) -> f64 {
        100.0 + 50.0 * (std::f64::consts::TAU * (i % 24) as f64 / 24.0).sin()
    }

    fn dead(hours: &[usize]) -> Vec<f64> {
        (0..24 * 14).map(|i| if hours.contains(&i) { 0.0 } else { load(i) }).collect()
    }

    fn hour() -> Step {
        Step::from_seconds(3_600).unwrap()
    }

    #[test]
    fn one_dead_hour_is_an_outage() {
        assert_eq!(find(&dead(&[100, 101]), hour()), [100, 101]);
        assert_eq!(find(&dead(&[]), hour()), Vec::<usize>::new());
    }

    #[test]
    fn a_nightly_pause_is_a_habit_and_idle_services_have_no_outages() {
        assert_eq!(find(&dead(&[40, 200]), hour()).len(), 2, "two are no habit yet");
        let nightly: Vec<usize> = (0..14).map(|day| 24 * day + 3).collect();
        assert!(find(&dead(&nightly), hour()).is_empty());
        let idle: Vec<f64> = (0..300).map(|i| if i % 3 == 0 { 4.0 } else { 0.0 }).collect();
        assert!(find(&idle, hour()).is_empty());
    }

    #[test]
    fn what_lasts_is_believed() {
        let most = believed_after(hour());
        let mut values = dead(&[]);
        values.extend(vec![0.0; most + 1]);
        assert!(find(&values, hour()).is_empty());
        assert_eq!(believed_after(Step::from_seconds(10).unwrap()), 720);
    }
}
