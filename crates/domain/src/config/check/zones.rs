//! Bounds on the servers that are out in each zone.

use std::collections::BTreeMap;

use super::fleet::Fleet;
use crate::config::place::{Findings, Place};
use crate::config::rollout::{LimitBy, RolloutSpec};
use crate::name::Zone;

/// How many servers of each zone may be out; of several limits the lowest counts. A given
/// schedule is held against it.
pub(super) fn zone_limits(
    spec: &RolloutSpec,
    fleet: &Fleet,
    findings: &mut Findings,
) -> BTreeMap<Zone, u32> {
    let place = Place::spec().key("batch").key("limits");
    let mut sizes: BTreeMap<&Zone, u32> = BTreeMap::new();
    for zone in fleet.servers.iter().filter_map(|server| server.zone.as_ref()) {
        *sizes.entry(zone).or_default() += 1;
    }
    let mut limits: BTreeMap<Zone, u32> = BTreeMap::new();
    for (index, limit) in spec.batch.limits.iter().enumerate() {
        let LimitBy::Zone = limit.by;
        let here = place.index(index);
        if let Some(server) = fleet.servers.iter().find(|server| server.zone.is_none()) {
            let message = format!(
                "needs to know where each server stands; give {} a zone in the fleet {}",
                server.name, fleet.name
            );
            findings.add(here.key("by"), message);
            return BTreeMap::new();
        }
        for (zone, servers) in &sizes {
            let most = limit.max_unavailable.rounded_down(*servers);
            if most == 0 {
                let message = format!(
                    "{} of the {servers} servers in zone {zone} rounds down to none, so that \
                     none of them may ever be out; write at least 1",
                    limit.max_unavailable
                );
                findings.add(here.key("maxUnavailable"), message);
                return BTreeMap::new();
            }
            let known = limits.entry((*zone).clone()).or_insert(most);
            *known = most.min(*known);
        }
    }
    given(spec, fleet, &limits, findings);
    limits
}

fn given(spec: &RolloutSpec, fleet: &Fleet, limits: &BTreeMap<Zone, u32>, findings: &mut Findings) {
    let place = Place::spec().key("schedule").key("batches");
    let zone_of: BTreeMap<&str, Option<&Zone>> =
        fleet.servers.iter().map(|s| (s.name.as_str(), s.zone.as_ref())).collect();
    for (index, batch) in spec.schedule.batches.iter().flatten().enumerate() {
        for (zone, most) in limits {
            let here = |name: &&str| zone_of.get(name).copied().flatten() == Some(zone);
            let out = batch.iter().map(|name| name.as_str()).filter(here).count();
            if out > *most as usize {
                let message = format!(
                    "takes out {out} of zone {zone}, but batch.limits allows at most {most}"
                );
                findings.add(place.index(index), message);
            }
        }
    }
}
