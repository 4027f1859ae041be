//! The ledger of what happened, beside that of what was planned.

use std::collections::BTreeMap;

use domain::name::{Dimension, OfferName, ServerName};
use jiff::Timestamp;

use crate::ledger::{Ledger, Outage, Supply, Unknown};
use crate::problem::Fleet;
use crate::request::Facts;

/// Servers of the fleet that were away together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// Who.
    pub servers: Vec<ServerName>,
    /// They carried nothing from here on.
    pub out_at: Timestamp,
    /// Their warm-up began.
    pub warm_at: Timestamp,
    /// They carried everything again.
    pub back_at: Timestamp,
}

/// Surge that was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// From which offer.
    pub offer: OfferName,
    /// How many instances.
    pub count: u32,
    /// They carried full load from here on.
    pub ready_at: Timestamp,
    /// Until here.
    pub release_at: Timestamp,
}

impl Ledger {
    /// The ledger of what happened to a fleet, by the same account as that of a plan.
    ///
    /// # Errors
    /// The record names a server or an offer that the facts do not know; the batch of the error
    /// is the place in `absences`, counted from 1.
    pub fn of_record(
        facts: &Facts,
        dimensions: &[Dimension],
        absences: &[Absence],
        presences: &[Presence],
    ) -> Result<Self, Unknown> {
        let fleet = Fleet::new(facts, dimensions);
        let places: BTreeMap<&ServerName, usize> =
            facts.servers.iter().enumerate().map(|(i, s)| (&s.name, i)).collect();
        let mut ledger = Self::idle(facts, &fleet);
        // What an updated server carried is not known here.
        ledger.slower.clear();
        for (absence, batch) in absences.iter().zip(1_u32..) {
            let place = |server: &ServerName| {
                let unknown = || Unknown::Server { batch, server: server.clone() };
                places.get(server).copied().ok_or_else(unknown)
            };
            let members: Vec<usize> =
                absence.servers.iter().map(place).collect::<Result<_, _>>()?;
            let healthy = members.iter().filter(|i| facts.servers[**i].healthy).count();
            ledger.outages.push(Outage {
                batch,
                servers: u32::try_from(healthy).unwrap_or(u32::MAX),
                capacity: fleet.loss(&members).iter().map(|c| c * facts.balance).collect(),
                out_at: absence.out_at,
                warm_at: absence.warm_at,
                back_at: absence.back_at,
                then: Vec::new(),
            });
        }
        for presence in presences {
            let offer = facts.offer(&presence.offer);
            let offer = offer.ok_or_else(|| Unknown::Offer(presence.offer.clone()))?;
            let count = f64::from(presence.count);
            ledger.supplies.push(Supply {
                offer: presence.offer.clone(),
                count: presence.count,
                capacity: fleet.unit(offer).iter().map(|c| c * count).collect(),
                ready_at: presence.ready_at,
                release_at: presence.release_at,
            });
        }
        Ok(ledger)
    }
}
