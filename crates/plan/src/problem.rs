//! The fleet in numbers: dimensions by index, capacities as sums, what can be bought.

use domain::name::Dimension;
use domain::plan::PerDimension;
use jiff::Timestamp;

use crate::request::{Facts, Held, Offer};
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
        let mut fleet = Self { facts, dimensions, full: Vec::new(), spare, carried };
        let all: Vec<usize> = (0..facts.servers.len()).collect();
        fleet.full = fleet.loss(&all).iter().map(|sum| sum * facts.balance).collect();
        fleet
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
    /// and surge that is held, per dimension, after `balance`.
    pub(crate) fn besides(&self, start: Timestamp, finish: Timestamp) -> Vec<f64> {
        let mut sum = self.spare.clone();
        for held in self.facts.held.iter().filter(|h| counts(h, start, finish)) {
            let Some(offer) = self.facts.offer(&held.offer) else { continue };
            for (sum, unit) in sum.iter_mut().zip(self.unit(offer)) {
                *sum += unit * f64::from(held.count);
            }
        }
        sum
    }

    /// Deficits up to this are rounding.
    pub(crate) fn rounding(&self, dimension: usize) -> f64 {
        self.full[dimension] * ROUNDING_RATIO
    }

    /// How many servers may go out together, on top of the unhealthy ones.
    pub(crate) fn may_be_out(&self) -> usize {
        let unhealthy = self.facts.servers.iter().filter(|s| !s.healthy).count();
        (self.facts.max_unavailable as usize).saturating_sub(unhealthy)
    }
}

/// Whether held surge carries load for batches within `[start, finish)`.
pub(crate) fn counts(held: &Held, start: Timestamp, finish: Timestamp) -> bool {
    held.ready_at <= start && held.ends_at.is_none_or(|end| end >= finish)
}

fn list(dimensions: &[&Dimension], values: &PerDimension<f64>) -> Vec<f64> {
    dimensions.iter().map(|d| values.get(*d).copied().unwrap_or(0.0)).collect()
}
