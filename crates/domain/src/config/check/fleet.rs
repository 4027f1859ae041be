//! A fleet that can be trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::objectives::{Objective, objectives};
use super::offers::{Offer, offers, spare};
use super::quotas::{Quota, quotas};
use super::servers::{FleetServer, Units, common, servers};
use crate::config::adapter::AdapterRef;
use crate::config::document::FleetDocument;
use crate::config::fleet::{FleetSpec, SurgeVersion};
use crate::config::load::{LoadSpec, Measure, SaturationSpec};
use crate::config::place::{Findings, Place};
use crate::config::size::SizeSpec;
use crate::event::OnTimeout;
use crate::hour::Hour;
use crate::name::FleetName;
use crate::plan::PerDimension;
use crate::spread::Spread;

/// A fleet, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    /// Its name.
    pub name: FleetName,
    /// Anything that helps to find it.
    pub labels: BTreeMap<String, String>,
    /// Who is in it, at least one.
    pub servers: Vec<FleetServer>,
    /// What one server carries unless it says otherwise, in the unit of each dimension.
    pub capacity: PerDimension<f64>,
    /// Where that is learned from, for each dimension whose capacity is; in `capacity`, and in that of
    /// each server, stands 1 for these until then.
    pub objectives: PerDimension<Objective>,
    /// Mean over peak load of the servers behind the load balancer, in (0, 1].
    pub balance: f64,
    /// Where the load of each dimension is read; the same dimensions as `capacity`.
    pub load: PerDimension<LoadInput>,
    /// Events and outside series that may explain the load.
    pub signals: Vec<AdapterRef>,
    /// How long the parts of an update take.
    pub durations: UpdateDurations,
    /// What surge can be bought.
    pub offers: Vec<Offer>,
    /// What serves beside the fleet for nothing; only dimensions of `capacity`.
    pub spare: PerDimension<f64>,
    /// What all surge together may use.
    pub quotas: Vec<Quota>,
    /// The currency of all prices.
    pub currency: String,
    /// How servers are drained.
    pub drain: DrainPolicy,
    /// Who starts and ends surge.
    pub provisioner: Option<AdapterRef>,
    /// The load balancer.
    pub traffic: Option<AdapterRef>,
    /// How a server comes to run another version.
    pub update: Option<AdapterRef>,
    /// The auto-scaler that must not fight.
    pub size: Option<Scaler>,
}

/// An auto-scaler, and how it is kept from fighting.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaler {
    /// How it is reached.
    pub adapter: AdapterRef,
    /// The processes that are suspended for the time of a rollout.
    pub suspend: BTreeSet<String>,
}

/// One dimension of load.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadInput {
    /// Where it is read.
    pub source: AdapterRef,
    /// What a sample says.
    pub measure: Measure,
    /// The unit, for people.
    pub unit: Option<String>,
    /// A sample is complete once this has passed.
    pub delay: Duration,
    /// So many samples may be missing before the load counts as unknown, at least 1.
    pub stale_after: u32,
    /// When a sample says only that the load was at least so much.
    pub saturation: Option<SaturationInput>,
}

/// Samples taken at saturation are lower bounds of the demand.
#[derive(Debug, Clone, PartialEq)]
pub struct SaturationInput {
    /// Where what tells of saturation is read: rejected requests, a queue, errors.
    pub source: AdapterRef,
    /// Above this there was saturation.
    pub above: f64,
}

/// How long the parts of an update take.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateDurations {
    /// Until a server that gets no new requests has finished those under way.
    pub drain: Spread,
    /// From the start of the update until the server runs the target, a reboot included.
    pub update: Spread,
    /// Drains that begin in an hour of the day, where it was learned that they take another time.
    pub drain_in: BTreeMap<Hour, Spread>,
    /// The same of updates.
    pub update_in: BTreeMap<Hour, Spread>,
    /// From then on until its gates have passed, where that was learned; no less than its gates ask for.
    pub verify: Spread,
    /// From the order until a replaced server runs.
    pub boot: Spread,
    /// From the first request until a server carries its full load.
    pub warmup: Spread,
    /// Warm-ups that begin in an hour of the day, where it was learned that they take another time.
    pub warmup_in: BTreeMap<Hour, Spread>,
    /// The share of its capacity that a server has when its warm-up begins, in [0, 1].
    pub warmup_from: f64,
}

impl UpdateDurations {
    /// From the first request until a server carries its full load, for 95 % of servers at whatever hour.
    pub fn longest_warmup(&self) -> Duration {
        self.warmup_in.values().fold(self.warmup.p95(), |most, warmup| most.max(warmup.p95()))
    }
}

/// How a server is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainPolicy {
    /// It may take this long.
    pub timeout: Duration,
    /// What happens when it takes longer.
    pub on_timeout: OnTimeout,
}

impl FleetDocument {
    /// The fleet of the document, or everything that is wrong with it.
    ///
    /// Keys that name adapters are taken as they are: whether such an adapter exists is known
    /// to the registry of adapters only.
    pub fn check(&self) -> Result<Fleet, Findings> {
        let spec = &self.spec;
        let mut findings = Findings::default();
        not_built_yet(spec, &mut findings);
        let units: Units<'_> =
            spec.load.iter().map(|(dimension, load)| (dimension, load.unit.as_deref())).collect();
        let place = Place::spec().key("capacity");
        let capacity = common(&spec.capacity, &place, &units, &mut findings);
        let mut servers = servers(&spec.servers, &capacity, &units, &mut findings);
        super::own::mark(&spec.own, &mut servers, &mut findings);
        let objectives = objectives(spec, &mut findings);
        let load = load(spec, &capacity, &mut findings);
        let durations = durations(spec, &mut findings);
        let offers = offers(&spec.surge.offers, &capacity, &units, &mut findings);
        let spare = spare(&spec.surge.spare, &capacity, &units, &mut findings);
        let quotas = quotas(&spec.surge.quotas, &offers, &mut findings);
        let size = size(spec.size.as_ref(), &mut findings);
        let currency = currency(spec.currency.as_deref(), &mut findings);
        if !findings.is_empty() {
            return Err(findings);
        }
        let drain = DrainPolicy {
            timeout: spec.drain.timeout.duration(),
            on_timeout: spec.drain.on_timeout,
        };
        Ok(Fleet {
            name: self.metadata.name.clone(),
            labels: self.metadata.labels.clone(),
            servers,
            capacity,
            objectives,
            balance: spec.balance.map_or(1.0, |share| share.get()),
            load,
            signals: spec.signals.iter().filter_map(|slot| slot.0.only().cloned()).collect(),
            durations,
            offers,
            spare,
            quotas,
            currency,
            drain,
            provisioner: spec.surge.provisioner.0.only().cloned(),
            traffic: spec.traffic.0.only().cloned(),
            update: spec.update.0.only().cloned(),
            size,
        })
    }
}

/// Says which features of the document are part of the schema and not built yet.
fn not_built_yet(spec: &FleetSpec, findings: &mut Findings) {
    let here = Place::spec();
    if spec.surge.version == SurgeVersion::New {
        let place = here.key("surge").key("version");
        findings.unsupported(place, "surge that runs the new version", "write old");
    }
    if spec.surge.adopt {
        findings.unsupported(here.key("surge").key("adopt"), "adopting surge", "write false");
    }
}

fn size(spec: Option<&SizeSpec>, findings: &mut Findings) -> Option<Scaler> {
    let spec = spec?;
    let place = Place::spec().key("size").key("suspend");
    let mut suspend = BTreeSet::new();
    for (index, process) in spec.suspend.iter().enumerate() {
        let place = place.index(index);
        if process.is_empty() || process.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let form = "expected the name of a process, without blanks, for instance AZRebalance";
            findings.add(place, form);
        } else if !suspend.insert(process.clone()) {
            findings.add(place, format!("{process} stands there twice"));
        }
    }
    if spec.adapter.is_empty() && !suspend.is_empty() {
        let message = "names processes, and spec.size has no auto-scaler; add for instance exec";
        findings.add(place, message);
    }
    Some(Scaler { adapter: spec.adapter.only()?.clone(), suspend })
}

fn load(
    spec: &FleetSpec,
    capacity: &PerDimension<f64>,
    findings: &mut Findings,
) -> PerDimension<LoadInput> {
    let place = Place::spec().key("load");
    if capacity.is_empty() {
        let form = "requests: 850";
        findings.add(Place::spec().key("capacity"), format!("is empty; write for instance {form}"));
    }
    for dimension in capacity.keys().filter(|dimension| !spec.load.contains_key(*dimension)) {
        let message = format!("has no source for {dimension}, which spec.capacity names; add it");
        findings.add(place.clone(), message);
    }
    let mut inputs = PerDimension::new();
    for (dimension, load) in &spec.load {
        let here = place.key(dimension);
        if !capacity.contains_key(dimension) {
            let known = capacity.keys().map(|known| known.as_str());
            let near = super::hint(dimension.as_str(), known.collect::<Vec<_>>());
            findings.add(here.clone(), format!("spec.capacity has no dimension {dimension}{near}"));
        }
        if let Some(input) = input(load, &here, findings) {
            let saturation = spec.saturation.get(dimension).and_then(saturation);
            inputs.insert(dimension.clone(), LoadInput { saturation, ..input });
        }
    }
    for dimension in spec.saturation.keys().filter(|known| !spec.load.contains_key(*known)) {
        let here = Place::spec().key("saturation").key(dimension);
        let known = spec.load.keys().map(|known| known.as_str());
        let near = super::hint(dimension.as_str(), known.collect::<Vec<_>>());
        findings.add(here, format!("spec.load has no dimension {dimension}{near}"));
    }
    inputs
}

fn saturation(spec: &SaturationSpec) -> Option<SaturationInput> {
    let above = spec.above.map_or(0.0, |amount| amount.get());
    Some(SaturationInput { source: spec.adapter.only()?.clone(), above })
}

fn input(load: &LoadSpec, place: &Place, findings: &mut Findings) -> Option<LoadInput> {
    if load.measure == Measure::Utilisation {
        let instead = "give the load in the unit of the capacity";
        findings.unsupported(place.key("measure"), "load as utilisation", instead);
    }
    if load.in_service.is_some() && load.measure != Measure::Utilisation {
        findings.add(place.key("inService"), "is of use with measure: utilisation only");
    }
    if load.measure == Measure::Count
        && let Some(unit) = load.unit.as_deref().filter(|unit| !unit.contains('/'))
    {
        let message = format!(
            "is {unit:?}, but counts are divided by their length in seconds, as the capacity is \
             per second; write {unit}/s"
        );
        findings.add(place.key("unit"), message);
    }
    if load.stale_after == 0 {
        findings.add(place.key("staleAfter"), "expected at least 1 sample, found 0");
    }
    let source = load.adapter.only()?.clone();
    Some(LoadInput {
        source,
        measure: load.measure,
        unit: load.unit.clone(),
        delay: load.delay.duration(),
        stale_after: load.stale_after,
        saturation: None,
    })
}

fn durations(spec: &FleetSpec, findings: &mut Findings) -> UpdateDurations {
    let given = &spec.durations;
    let place = Place::spec().key("durations");
    let expected = spec.drain.expect.map(|span| Spread::exactly(span.duration()));
    let drain = given.drain.map(|spread| spread.0);
    match (drain, expected) {
        (Some(one), Some(other)) if one.p50() != other.p50() && one.p95() != other.p95() => {
            let message = "differs from spec.durations.drain; give one of them";
            findings.add(Place::spec().key("drain").key("expect"), message);
        }
        (None, None) => {
            let message = "does not say how long a drain takes; add for instance drain: 1m";
            findings.add(place.clone(), message);
        }
        _ => {}
    }
    if given.update.is_none() {
        let message = "does not say how long the update of one server takes; add update: 5m";
        findings.add(place.clone(), message);
    }
    let drain = drain.or(expected).unwrap_or(Spread::ZERO);
    if drain.p95() > spec.drain.timeout.duration() {
        let (timeout, place) = (spec.drain.timeout, Place::spec().key("drain").key("timeout"));
        let message = format!("is {timeout}, shorter than the drain that is expected; raise it");
        findings.add(place, message);
    }
    UpdateDurations {
        drain,
        update: given.update.map_or(Spread::ZERO, |spread| spread.0),
        drain_in: BTreeMap::new(),
        update_in: BTreeMap::new(),
        verify: Spread::ZERO,
        boot: given.boot.map_or(Spread::ZERO, |spread| spread.0),
        warmup: given.warmup.map_or(Spread::ZERO, |spread| spread.0),
        warmup_in: BTreeMap::new(),
        warmup_from: given.warmup_from.map_or(0.0, |share| share.get()),
    }
}

fn currency(given: Option<&str>, findings: &mut Findings) -> String {
    let currency = given.unwrap_or("USD");
    let good = (1..=16).contains(&currency.len())
        && currency.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !good {
        let message = format!("expected a code such as USD or EUR, found {currency:?}");
        findings.add(Place::spec().key("currency"), message);
    }
    currency.to_owned()
}
