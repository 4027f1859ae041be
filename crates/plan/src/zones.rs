//! Batches that leave enough of each zone in service.

use std::collections::BTreeMap;

use domain::name::Zone;
use domain::plan::Refused;

use crate::layout::Layout;
use crate::refused;
use crate::request::{Canary, Facts};

/// The order of a layout whose batches take as evenly from each zone as they can: after the
/// canary the servers are dealt out, zone after zone, to one batch after the other, so that no
/// batch takes more of a zone than its share, rounded up.
pub(crate) fn dealt_order(
    facts: &Facts,
    order: &[usize],
    sizes: &[usize],
    canary: Canary,
) -> Vec<usize> {
    let first = if canary == Canary::Passed { 0 } else { sizes.first().copied().unwrap_or(0) };
    let (canary, rest) = order.split_at(first.clamp(0, order.len()));
    let batches = sizes.len() - usize::from(first > 0);
    let mut by_zone = rest.to_vec();
    by_zone.sort_by_key(|index| facts.servers[*index].zone.as_ref());
    let mut dealt = canary.to_vec();
    for batch in 0..batches {
        dealt.extend(by_zone.iter().skip(batch).step_by(batches));
    }
    dealt
}

/// The layouts that keep within the limits of all zones.
///
/// # Errors
/// None does: the zone that binds, with its numbers.
pub(crate) fn spread(layouts: Vec<Layout>, facts: &Facts) -> Result<Vec<Layout>, Refused> {
    if facts.zone_limits.is_empty() {
        return Ok(layouts);
    }
    let sick =
        count(facts, facts.servers.iter().enumerate().filter(|(_, s)| !s.healthy).map(|s| s.0));
    let over = |layout: &Layout| {
        layout.slots.iter().find_map(|slot| {
            let out = count(facts, layout.members(slot).iter().copied());
            out.into_iter().find_map(|(zone, out)| {
                let most = *facts.zone_limits.get(zone)? as usize;
                let sick = sick.get(zone).copied().unwrap_or(0);
                (out + sick > most).then_some((zone.clone(), out, sick, most))
            })
        })
    };
    let mut binding = None;
    let mut kept = Vec::with_capacity(layouts.len());
    for layout in layouts {
        match over(&layout) {
            None => kept.push(layout),
            found => binding = found,
        }
    }
    match binding {
        Some((zone, out, sick, most)) if kept.is_empty() => {
            let detail = format!(
                "at most {most} servers of zone {zone} may be unavailable; {sick} are unhealthy \
                 already, and the batches that take the fewest out together take {out}; write a \
                 higher maxUnavailable for zones, or a smaller canary"
            );
            Err(refused("batch.limits", detail))
        }
        _ => Ok(kept),
    }
}

/// How many of these servers stand in each zone.
pub(crate) fn count(facts: &Facts, servers: impl Iterator<Item = usize>) -> BTreeMap<&Zone, usize> {
    let mut counts = BTreeMap::new();
    for zone in servers.filter_map(|index| facts.servers[index].zone.as_ref()) {
        *counts.entry(zone).or_default() += 1;
    }
    counts
}
