//! The ledger of what happened, beside that of what was planned.

use std::collections::BTreeMap;

use domain::name::{Dimension, OfferName, ServerName};
use domain::plan::Plan;
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

    /// The ledger of what happened where only a plan is at hand that took the same servers out: each server
    /// carries an equal part of what its batch did. `None`: the plan, of one fleet, does not say what its figures
    /// are made of.
    pub fn of_journal(plan: &Plan, absences: &[Absence], presences: &[Presence]) -> Option<Self> {
        let basis = plan.basis.first()?;
        let mut ledger = Self::stated(basis);
        let lines = std::mem::take(&mut ledger.outages);
        ledger.supplies.clear();
        let batch = |server: &ServerName| {
            let batch = plan.batches.iter().find(|batch| batch.servers.contains(server));
            lines.iter().find(|line| Some(line.batch) == batch.map(|batch| batch.index))
        };
        for (absence, index) in absences.iter().zip(1_u32..) {
            let mut capacity = vec![0.0; ledger.dimensions.len()];
            for server in &absence.servers {
                let Some(line) = batch(server).or(lines.first()) else { continue };
                let each = f64::from(line.servers.clamp(1, u32::MAX));
                for (sum, of_batch) in capacity.iter_mut().zip(&line.capacity) {
                    *sum += of_batch / each;
                }
            }
            ledger.outages.push(Outage {
                batch: index,
                servers: u32::try_from(absence.servers.len()).unwrap_or(u32::MAX),
                capacity,
                out_at: absence.out_at,
                warm_at: absence.warm_at,
                back_at: absence.back_at,
                then: Vec::new(),
            });
        }
        for presence in presences {
            let terms = basis.offers.iter().find(|terms| terms.offer == presence.offer);
            let unit = |dimension: &Dimension| {
                terms.and_then(|terms| terms.capacity.get(dimension).copied()).unwrap_or(0.0)
            };
            let count = f64::from(presence.count);
            ledger.supplies.push(Supply {
                offer: presence.offer.clone(),
                count: presence.count,
                capacity: ledger.dimensions.iter().map(|d| unit(d) * count).collect(),
                ready_at: presence.ready_at,
                release_at: presence.release_at,
            });
        }
        Some(ledger)
    }
}
