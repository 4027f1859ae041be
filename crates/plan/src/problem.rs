//! The fleet in numbers: dimensions by index, capacities as sums, what can be bought.

use std::collections::BTreeSet;
use std::rc::Rc;

use domain::name::{Dimension, Zone};
use domain::plan::PerDimension;
use jiff::Timestamp;

use crate::request::{Facts, Held, Offer, Survive};
use crate::settings::ROUNDING_RATIO;

/// A checked fleet with its dimensions in a fixed order.
#[derive(Debug, Clone)]
pub(crate) struct Fleet<'a> {
    pub(crate) facts: &'a Facts,
    /// The dimensions that load is known in; every list per dimension follows this order.
    pub(crate) dimensions: Vec<&'a Dimension>,
    /// Capacity of all healthy servers, per dimension, after `balance`.
    pub(crate) full: Vec<f64>,
    /// Capacity that is there for nothing.
    spare: Vec<f64>,
    /// What each server carries, server after server, before `balance`; an unhealthy one nothing.
    carried: Vec<f64>,
    /// What has to suffice; every list per row follows this order.
    pub(crate) rows: Vec<Row>,
    /// So many servers or instances may be lost.
    pub(crate) few: u32,
}

impl<'a> Fleet<'a> {
    pub(crate) fn new(
        facts: &'a Facts,
        dimensions: impl IntoIterator<Item = &'a Dimension>,
    ) -> Self {
        let dimensions: Vec<&Dimension> = dimensions.into_iter().collect();
        let spare = list(&dimensions, &facts.spare);
        let carried = facts.servers.iter().flat_map(|server| {
            let share = if server.healthy { 1.0 } else { 0.0 };
            list(&dimensions, &server.capacity).into_iter().map(move |c| c * share)
        });
        let carried = carried.collect();
        let rows = (0..dimensions.len()).map(Row::of).collect();
        let mut fleet = Self { facts, dimensions, full: Vec::new(), spare, carried, rows, few: 0 };
        let all: Vec<usize> = (0..facts.servers.len()).collect();
        fleet.full = fleet.loss(&all).iter().map(|sum| sum * facts.balance).collect();
        fleet
    }

    /// The same fleet of which something may be lost: one row per dimension and loss.
    pub(crate) fn surviving(mut self, survive: Survive) -> Self {
        if survive == Survive::default() {
            return self;
        }
        self.few = survive.servers;
        let losses = losses(self.facts, survive.zones);
        let rows = losses.iter().flat_map(|zones| {
            (0..self.dimensions.len()).map(|dimension| self.row(dimension, zones, survive.servers))
        });
        self.rows = rows.collect();
        self
    }

    /// The same fleet with other offers, of which the same may be lost as of `other`.
    pub(crate) fn like(mut self, other: &Fleet<'_>) -> Self {
        (self.rows, self.few) = (other.rows.clone(), other.few);
        self
    }

    fn row(&self, dimension: usize, zones: &Zones, few: u32) -> Row {
        let facts = self.facts;
        let dimensions = self.dimensions.len();
        let carried = |index: usize| self.carried[index * dimensions + dimension] * facts.balance;
        let all = facts.servers.iter().enumerate();
        let (gone, left): (Vec<_>, Vec<_>) = all.partition(|(_, s)| is_lost(zones, &s.zone));
        let in_zones: f64 = gone.iter().map(|(index, _)| carried(*index)).sum();
        let mut each: Vec<f64> = left.iter().map(|(index, _)| carried(*index)).collect();
        for held in &facts.held {
            let offer = facts.offer(&held.offer).filter(|offer| !is_lost(zones, &offer.zone));
            let unit = offer.map_or(0.0, |offer| self.unit(offer)[dimension]);
            each.extend((0..held.count.min(few)).map(|_| unit));
        }
        each.sort_by(|a, b| b.total_cmp(a));
        let few_largest: f64 = each.iter().take(few as usize).sum();
        let smallest = match few as usize {
            0 => f64::INFINITY,
            few => each.get(few - 1).copied().unwrap_or(0.0),
        };
        Row { dimension, zones: zones.clone(), in_zones, few_largest, smallest }
    }

    /// What these servers carry while they are healthy, per row, before `balance`: those of a lost
    /// zone nothing.
    pub(crate) fn row_loss(&self, servers: &[usize]) -> Vec<f64> {
        if self.few == 0 && self.rows.iter().all(|row| row.zones.is_empty()) {
            return self.loss(servers);
        }
        let carried = |row: &Row| {
            let left =
                servers.iter().filter(|i| !is_lost(&row.zones, &self.facts.servers[**i].zone));
            left.map(|i| self.carried[i * self.dimensions.len() + row.dimension]).sum()
        };
        self.rows.iter().map(carried).collect()
    }

    /// What one instance of an offer carries, per row, after `balance`.
    pub(crate) fn row_unit(&self, offer: &Offer) -> Vec<f64> {
        let unit = self.unit(offer);
        let left = |row: &Row| match is_lost(&row.zones, &offer.zone) {
            true => 0.0,
            false => unit[row.dimension],
        };
        self.rows.iter().map(left).collect()
    }

    /// How many instances that carry `unit` per row are not to be counted on, because losing
    /// them is worse than what is reckoned with.
    pub(crate) fn spared(&self, unit: &[f64]) -> u32 {
        let mut each = unit.iter().zip(&self.rows);
        let larger = each.any(|(unit, row)| *unit > row.smallest * (1.0 + ROUNDING_RATIO));
        if larger { self.few } else { 0 }
    }

    /// Capacity of all healthy servers in the dimension of a row.
    pub(crate) fn full_of(&self, row: usize) -> f64 {
        self.full[self.rows[row].dimension]
    }

    /// What these servers carry while they are healthy, per dimension, before `balance`.
    pub(crate) fn loss(&self, servers: &[usize]) -> Vec<f64> {
        let mut sum = vec![0.0; self.dimensions.len()];
        for server in servers {
            let carried = &self.carried[server * sum.len()..(server + 1) * sum.len()];
            for (sum, carried) in sum.iter_mut().zip(carried) {
                *sum += carried;
            }
        }
        sum
    }

    /// What one instance of an offer carries, per dimension, after `balance`.
    pub(crate) fn unit(&self, offer: &Offer) -> Vec<f64> {
        let carried = list(&self.dimensions, &offer.capacity);
        carried.iter().map(|c| c * self.facts.balance).collect()
    }

    /// What is there besides the servers, for batches within `[start, finish)`: spare capacity
    /// and surge that is held, less what may be lost; per row, after `balance`.
    pub(crate) fn besides(&self, start: Timestamp, finish: Timestamp) -> Vec<f64> {
        let own = |row: &Row| self.spare[row.dimension] - row.in_zones - row.few_largest;
        let mut sum: Vec<f64> = self.rows.iter().map(own).collect();
        for held in self.facts.held.iter().filter(|h| counts(h, start, finish)) {
            let Some(offer) = self.facts.offer(&held.offer) else { continue };
            for (sum, unit) in sum.iter_mut().zip(self.row_unit(offer)) {
                *sum += unit * f64::from(held.count);
            }
        }
        sum
    }

    /// Deficits of a row up to this are rounding.
    pub(crate) fn rounding(&self, row: usize) -> f64 {
        self.full_of(row) * ROUNDING_RATIO
    }

    /// How many servers may go out together, on top of the unhealthy ones.
    pub(crate) fn may_be_out(&self) -> usize {
        let unhealthy = self.facts.servers.iter().filter(|s| !s.healthy).count();
        (self.facts.max_unavailable as usize).saturating_sub(unhealthy)
    }
}

/// One thing that has to suffice: the capacity in a dimension, after a loss.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) dimension: usize,
    /// Which zones are lost.
    pub(crate) zones: Zones,
    /// What the healthy servers in these zones carry, after `balance`.
    pub(crate) in_zones: f64,
    /// What the largest of the other servers and held instances carry that may be lost besides.
    pub(crate) few_largest: f64,
    /// What the smallest of these carries; infinite where none may be lost.
    smallest: f64,
}

pub(crate) type Zones = Rc<BTreeSet<Zone>>;

impl Row {
    fn of(dimension: usize) -> Self {
        let zones = Zones::default();
        Self { dimension, zones, in_zones: 0.0, few_largest: 0.0, smallest: f64::INFINITY }
    }
}

/// Whether what stands in `zone` goes with `zones`; what may stand anywhere goes with any.
fn is_lost(zones: &Zones, zone: &Option<Zone>) -> bool {
    match zone {
        Some(zone) => zones.contains(zone),
        None => !zones.is_empty(),
    }
}

/// The zones of the fleet's servers, each once.
pub(crate) fn zones(facts: &Facts) -> BTreeSet<&Zone> {
    facts.servers.iter().filter_map(|s| s.zone.as_ref()).collect()
}

/// Every choice of so many zones out of those in which servers or offers stand.
fn losses(facts: &Facts, count: u32) -> Vec<Zones> {
    let offered = facts.offers.iter().filter_map(|o| o.zone.as_ref());
    let all: BTreeSet<&Zone> = zones(facts).into_iter().chain(offered).collect();
    let mut choices: Vec<BTreeSet<Zone>> = vec![BTreeSet::new()];
    for _ in 0..count {
        let larger = choices.iter().flat_map(|choice| {
            let after = |zone: &&&Zone| choice.last().is_none_or(|last| last < **zone);
            let grown = |zone: &Zone| choice.iter().cloned().chain([zone.clone()]).collect();
            all.iter().filter(after).map(move |zone| grown(zone)).collect::<Vec<_>>()
        });
        choices = larger.collect();
    }
    choices.into_iter().map(Rc::new).collect()
}

/// Whether held surge carries load for batches within `[start, finish)`.
pub(crate) fn counts(held: &Held, start: Timestamp, finish: Timestamp) -> bool {
    held.ready_at <= start && held.ends_at.is_none_or(|end| end >= finish)
}

fn list(dimensions: &[&Dimension], values: &PerDimension<f64>) -> Vec<f64> {
    dimensions.iter().map(|d| values.get(*d).copied().unwrap_or(0.0)).collect()
}
