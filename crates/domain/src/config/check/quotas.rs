//! Limits over several offers.

use std::collections::{BTreeMap, BTreeSet};

use super::{Offer, hint};
use crate::config::offer::QuotaSpec;
use crate::config::place::{Findings, Place};
use crate::name::OfferName;

/// A limit over several offers, in a unit of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// Its name, unique in the fleet.
    pub name: String,
    /// No more than this may be used.
    pub limit: f64,
    /// What others use of it, at most the limit.
    pub used: f64,
    /// What one instance of an offer uses; known offers only, at least one above 0.
    pub per: BTreeMap<OfferName, f64>,
}

/// Checks the quotas of a fleet that has these offers.
pub(super) fn quotas(specs: &[QuotaSpec], offers: &[Offer], findings: &mut Findings) -> Vec<Quota> {
    let place = Place::spec().key("surge").key("quotas");
    let known: Vec<&str> = offers.iter().map(|offer| offer.name.as_str()).collect();
    let mut seen = BTreeSet::new();
    let mut quotas = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let here = place.index(index);
        if spec.name.trim().is_empty() {
            findings.add(here.key("name"), "is empty; write for instance vcpu");
        } else if !seen.insert(&spec.name) {
            findings.add(here.key("name"), format!("the quota {:?} is there twice", spec.name));
        }
        let (limit, used) = (spec.limit.get(), spec.used.map_or(0.0, |used| used.get()));
        if used > limit {
            let message =
                format!("is {used}, more than the limit of {limit}; give what is in use now");
            findings.add(here.key("used"), message);
        }
        if !spec.per.values().any(|amount| amount.get() > 0.0) {
            let message = "limits no offer; write what one instance uses, for instance { m6i: 4 }";
            findings.add(here.key("per"), message);
        }
        for offer in spec.per.keys().filter(|offer| !known.contains(&offer.as_str())) {
            let near = hint(offer.as_str(), known.iter().copied());
            findings.add(here.key("per").key(offer), format!("there is no offer {offer}{near}"));
        }
        let per = spec.per.iter().map(|(offer, amount)| (offer.clone(), amount.get())).collect();
        quotas.push(Quota { name: spec.name.clone(), limit, used, per });
    }
    quotas
}
