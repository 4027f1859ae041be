//! Who is in a fleet, and what each server carries.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::capacity::{CapacitiesSpec, CapacitySpec};
use crate::config::fleet::{MOST_SERVERS, ServerSpec, ServersSpec, StaticServers};
use crate::config::place::{Findings, Place};
use crate::name::{Dimension, ServerName, Zone};
use crate::plan::PerDimension;

/// A server of a fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetServer {
    /// Its name, unique in the fleet.
    pub name: ServerName,
    /// Its availability zone.
    pub zone: Option<Zone>,
    /// `host:port` where it serves, where the configuration says it.
    pub address: Option<String>,
    /// What it carries, in the unit of each dimension.
    pub capacity: PerDimension<f64>,
    /// Whether Presurge stands on it: its host, its database, its metrics. It serves, and is never
    /// taken out.
    pub own: bool,
}

/// Stands for a capacity that is wrong, so that it is not also said to be missing. A document
/// with a finding is never used.
const UNKNOWN: f64 = 1.0;

/// The units that the load of each dimension is given in.
pub(super) type Units<'a> = BTreeMap<&'a Dimension, Option<&'a str>>;

/// Checks what one server carries unless it says otherwise. What is learned gets a stand-in; whether
/// it can be is checked with the objectives.
pub(super) fn common(
    spec: &CapacitiesSpec,
    place: &Place,
    units: &Units<'_>,
    findings: &mut Findings,
) -> PerDimension<f64> {
    let stand_in = |dimension: &Dimension| (dimension.clone(), UNKNOWN);
    let CapacitiesSpec::Given(given) = spec else {
        return units.keys().map(|dimension| stand_in(dimension)).collect();
    };
    let is_learned = |of: &(&Dimension, &CapacitySpec)| of.1.value.is_none();
    let (learned, numbers): (Vec<_>, Vec<_>) = given.iter().partition(is_learned);
    let numbers = numbers.into_iter().map(|(d, spec)| (d.clone(), spec.clone())).collect();
    let mut capacities = one_by_one(&numbers, place, units, findings);
    capacities.extend(learned.into_iter().map(|(dimension, _)| stand_in(dimension)));
    capacities
}

/// Checks capacities of one server of its own.
fn own(
    spec: &CapacitiesSpec,
    place: &Place,
    units: &Units<'_>,
    findings: &mut Findings,
) -> PerDimension<f64> {
    match spec {
        CapacitiesSpec::Given(given) => one_by_one(given, place, units, findings),
        CapacitiesSpec::Learn => {
            let message = "one server by itself is not learned; leave it out";
            findings.add(place.clone(), message);
            PerDimension::new()
        }
    }
}

/// Checks capacities that are given per dimension.
pub(super) fn one_by_one(
    given: &BTreeMap<Dimension, CapacitySpec>,
    place: &Place,
    units: &Units<'_>,
    findings: &mut Findings,
) -> PerDimension<f64> {
    let mut capacities = PerDimension::new();
    for (dimension, spec) in given {
        let here = place.key(dimension);
        let Some(value) = spec.value else {
            findings.add(here, "is learned for the servers of a fleet only; give it as a number");
            capacities.insert(dimension.clone(), UNKNOWN);
            continue;
        };
        if spec.base.get() != 0.0 {
            let instead = "subtract it from value and leave it out";
            findings.unsupported(here.key("base"), "a base load", instead);
        }
        let unit = spec.unit.as_deref();
        match (unit, units.get(dimension).copied().flatten()) {
            (Some(own), Some(load)) if own.trim() != load.trim() => {
                let said = format!("is in {own:?}, but spec.load.{dimension}.unit is {load:?}");
                findings.add(here, format!("{said}; give both in the same unit"));
            }
            (Some(own), None) if units.contains_key(dimension) => {
                let said = format!("is in {own:?}, but spec.load.{dimension} names no unit");
                findings.add(here, format!("{said}; add unit: {own} there"));
            }
            _ => {}
        }
        capacities.insert(dimension.clone(), value.get());
    }
    capacities
}

/// Checks who is in the fleet.
pub(super) fn servers(
    spec: &ServersSpec,
    common: &PerDimension<f64>,
    units: &Units<'_>,
    findings: &mut Findings,
) -> Vec<FleetServer> {
    let place = Place::spec().key("servers");
    match spec {
        ServersSpec::Static(listed) => {
            let place = place.key("static");
            match (listed.servers.as_deref(), listed.prefix.as_deref(), listed.count) {
                (Some(servers), None, None) => {
                    by_name(servers, &place.key("servers"), common, units, findings)
                }
                (None, Some(_), Some(_)) => by_prefix(listed, &place, common, findings),
                _ => {
                    let forms = "{ prefix: web, count: 20 } or { servers: [{ name: web-1 }] }";
                    findings.add(place, format!("expected {forms}"));
                    Vec::new()
                }
            }
        }
        ServersSpec::Discovered(slot) if slot.is_empty() => {
            let form = "static: { prefix: web, count: 20 }";
            findings.add(place, format!("names no servers; write for instance {form}"));
            Vec::new()
        }
        // The registry of adapters has already said that it knows none for this place.
        ServersSpec::Discovered(_) => Vec::new(),
    }
}

fn by_prefix(
    listed: &StaticServers,
    place: &Place,
    common: &PerDimension<f64>,
    findings: &mut Findings,
) -> Vec<FleetServer> {
    let (prefix, count) = (listed.prefix.as_deref().unwrap_or_default(), listed.count);
    let count = count.unwrap_or_default();
    if count == 0 || count > MOST_SERVERS {
        let expected = format!("expected 1 to {MOST_SERVERS} servers, found {count}");
        findings.add(place.key("count"), expected);
        return Vec::new();
    }
    if let Err(error) = ServerName::new(format!("{prefix}-{count}")) {
        findings.add(place.key("prefix"), error.to_string());
        return Vec::new();
    }
    let names = (1..=count).filter_map(|index| ServerName::new(format!("{prefix}-{index}")).ok());
    let server = |name| FleetServer {
        name,
        zone: None,
        address: None,
        capacity: common.clone(),
        own: false,
    };
    names.map(server).collect()
}

fn by_name(
    listed: &[ServerSpec],
    place: &Place,
    common: &PerDimension<f64>,
    units: &Units<'_>,
    findings: &mut Findings,
) -> Vec<FleetServer> {
    if listed.is_empty() || listed.len() > MOST_SERVERS as usize {
        let expected = format!("expected 1 to {MOST_SERVERS} servers, found {}", listed.len());
        findings.add(place.clone(), expected);
    }
    let (mut seen, mut servers) = (BTreeSet::new(), Vec::new());
    for (index, spec) in listed.iter().enumerate() {
        let here = place.index(index);
        if !seen.insert(&spec.name) {
            findings.add(
                here.key("name"),
                format!("the server {:?} is there twice", spec.name.as_str()),
            );
        }
        if let Some(address) = &spec.address
            && !is_host_and_port(address)
        {
            let message = format!("expected host:port, found {address:?}");
            findings.add(here.key("address"), message);
        }
        let mut capacity = common.clone();
        if let Some(spec) = &spec.capacity {
            let here = here.key("capacity");
            for (dimension, value) in own(spec, &here, units, findings) {
                if !common.contains_key(&dimension) {
                    let message =
                        format!("spec.capacity has no dimension {dimension}; add it there");
                    findings.add(here.key(&dimension), message);
                }
                capacity.insert(dimension, value);
            }
        }
        let (name, zone, address) = (spec.name.clone(), spec.zone.clone(), spec.address.clone());
        servers.push(FleetServer { name, zone, address, capacity, own: false });
    }
    servers
}

/// Whether a text is `host:port`.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let good_host = match bracketed {
        Some(inner) => inner.parse::<core::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(plain),
    };
    good_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for good in ["127.0.0.1:80", "web-1.example:8080", "[::1]:443"] {
            assert!(is_host_and_port(good), "{good}");
        }
        for bad in ["web", ":80", "web:", "web:0", "web:70000", "::1:80", "a b:80", "[x]:80"] {
            assert!(!is_host_and_port(bad), "{bad}");
        }
    }
}
