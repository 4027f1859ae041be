//! The outlook of who cannot see: load that takes all of the fleet, at every moment.

use domain::forecast::Paths;
use domain::name::Dimension;
use domain::plan::{Inputs, PerDimension};
use jiff::Timestamp;

use super::{Ask, Outlook, PlanError, Prepared};

/// Load of twice what the whole fleet carries until `until`. Overload that a rollout can be blamed
/// for is then any lack of capacity below the whole fleet.
pub(super) fn outlook(
    prepared: &Prepared,
    ask: &Ask,
    until: Timestamp,
) -> Result<Outlook, PlanError> {
    let (rollout, fleet) = (&prepared.rollout, &prepared.fleet);
    let (step, from) = (rollout.step, rollout.step.floor(ask.now));
    let nothing = || PlanError::Nothing { from, until };
    let steps = (until.as_second() - from.as_second()).div_euclid(step.seconds());
    let steps = usize::try_from(steps).ok().filter(|steps| *steps > 0).ok_or_else(nothing)?;
    let unknown = |d: &&Dimension| !prepared.carries.contains_key(&format!("{}/{d}", fleet.name));
    if let Some(dimension) = fleet.objectives.keys().find(unknown) {
        return Err(PlanError::Forgotten { dimension: dimension.clone() });
    }
    let count = ask.share.paths(rollout.risk);
    let mut choosing = PerDimension::new();
    for feed in &prepared.feeds {
        let each = fleet.servers.iter().filter_map(|s| s.capacity.get(&feed.dimension));
        let whole: f64 = each.sum();
        let paths = Paths::new(from, step, steps, vec![2.0 * whole; steps * count]);
        choosing.insert(feed.dimension.clone(), paths.map_err(|_| nothing())?);
    }
    let inputs = Inputs {
        config: prepared.config.clone(),
        load: Default::default(),
        until: from,
        calendars: super::calendars::digests(&prepared.calendars),
        learned: prepared.learned_of_fleet(),
        signals: Default::default(),
        capacity: prepared.carries.clone(),
        models: Default::default(),
    };
    let (fresh, updated) = (choosing.clone(), PerDimension::new());
    Ok(Outlook { fresh, choosing, comparable_windows: u32::MAX, updated, inputs })
}
