//! What surge can be bought.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::servers::{Units, one_by_one};
use crate::config::capacity::CapacitySpec;
use crate::config::offer::{InterruptionSpec, Market, OfferSpec};
use crate::config::place::{Findings, Place};
use crate::hour::Hour;
use crate::name::{Dimension, OfferName, Zone};
use crate::plan::PerDimension;
use crate::spread::Spread;

/// The probability per hour that a spot instance is taken away, where an offer does not say it:
/// well above the loss rates that sellers publish, so that silence never looks safe.
pub const SPOT_LOSS_PER_HOUR: f64 = 0.05;

/// One kind of temporary capacity.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Its name, unique in the fleet.
    pub name: OfferName,
    /// How it is sold.
    pub market: Market,
    /// Where it stands.
    pub zone: Option<Zone>,
    /// What one instance carries, in the unit of each dimension; every dimension of the fleet.
    pub capacity: PerDimension<f64>,
    /// Price of one instance per hour, in the currency of the fleet.
    pub price_per_hour: f64,
    /// From the order until an instance runs, its boot included.
    pub lead: Spread,
    /// The same of orders that are made in an hour of the day, where it was learned that it is another.
    pub lead_in: BTreeMap<Hour, Spread>,
    /// At most so many at a time, at least one.
    pub max: u32,
    /// How often instances are taken away.
    pub interruption: InterruptionSpec,
    /// The share of an order that is delivered, above 0.
    pub fulfilment: f64,
    /// Probability that an instance does not come up, below 1.
    pub boot_failure: f64,
    /// At least this long is billed.
    pub billing_minimum: Duration,
    /// Begun units of this length are billed.
    pub billing_granularity: Duration,
}

impl Offer {
    /// From the order until an instance runs, in 95 % of orders of whatever hour.
    pub fn longest_lead(&self) -> Duration {
        self.lead_in.values().fold(self.lead.p95(), |most, lead| most.max(lead.p95()))
    }
}

/// Whether what is learned of an offer of that name could not be told from what is learned of an hour.
fn ends_like_an_hour(name: &str) -> bool {
    let end = name.rsplit_once('@').map_or("", |(_, end)| end);
    !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit())
}

/// Checks the offers of a fleet whose servers carry `common`.
pub(super) fn offers(
    specs: &[OfferSpec],
    common: &PerDimension<f64>,
    units: &Units<'_>,
    findings: &mut Findings,
) -> Vec<Offer> {
    let place = Place::spec().key("surge").key("offers");
    let mut seen = BTreeSet::new();
    let mut offers = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let here = place.index(index);
        if !seen.insert(&spec.name) {
            let message = format!("the offer {:?} is there twice", spec.name.as_str());
            findings.add(here.key("name"), message);
        }
        if ends_like_an_hour(spec.name.as_str()) {
            let message =
                "ends with an @ and digits, as figures of an hour do; give it another name";
            findings.add(here.key("name"), message);
        }
        offers.push(offer(spec, &here, common, units, findings));
    }
    offers
}

/// Checks what serves beside a fleet.
pub(super) fn spare(
    given: &BTreeMap<Dimension, CapacitySpec>,
    common: &PerDimension<f64>,
    units: &Units<'_>,
    findings: &mut Findings,
) -> PerDimension<f64> {
    let place = Place::spec().key("surge").key("spare");
    let spare = one_by_one(given, &place, units, findings);
    for dimension in given.keys().filter(|dimension| !common.contains_key(*dimension)) {
        let message = format!("spec.capacity has no dimension {dimension}; leave it out");
        findings.add(place.key(dimension), message);
    }
    spare
}

fn offer(
    spec: &OfferSpec,
    place: &Place,
    common: &PerDimension<f64>,
    units: &Units<'_>,
    findings: &mut Findings,
) -> Offer {
    if spec.max == 0 {
        let message = "expected at least 1, found 0: leave out an offer that sells nothing";
        findings.add(place.key("max"), message);
    }
    let here = place.key("capacity");
    let capacity = one_by_one(&spec.capacity, &here, units, findings);
    for dimension in common.keys().filter(|dimension| !spec.capacity.contains_key(*dimension)) {
        let message = format!("carries no {dimension}, which the fleet needs; add {dimension}: …");
        findings.add(here.clone(), message);
    }
    for dimension in spec.capacity.keys().filter(|dimension| !common.contains_key(*dimension)) {
        let message = format!("spec.capacity has no dimension {dimension}; leave it out");
        findings.add(here.key(dimension), message);
    }
    let interruption = match (spec.interruption, spec.market) {
        (Some(parts), Market::OnDemand | Market::Standby) if !parts.is_never() => {
            let message = "only spot instances are taken away; write market: spot";
            findings.add(place.key("interruption"), message);
            parts
        }
        (Some(parts), _) => parts,
        (None, Market::OnDemand | Market::Standby) => InterruptionSpec::NEVER,
        (None, Market::Spot) => InterruptionSpec::per_hour(SPOT_LOSS_PER_HOUR),
    };
    Offer {
        name: spec.name.clone(),
        market: spec.market,
        zone: spec.zone.clone(),
        capacity,
        price_per_hour: spec.price.get(),
        lead: spec.lead.0,
        lead_in: BTreeMap::new(),
        max: spec.max,
        interruption,
        fulfilment: spec.fulfilment.map_or(1.0, |share| share.get()),
        boot_failure: spec.boot_failure.map_or(0.0, |chance| chance.get()),
        billing_minimum: spec.billing.minimum.duration(),
        billing_granularity: spec.billing.granularity.duration(),
    }
}
