//! What a rollout came to, beside what its first plan said.

use std::collections::{BTreeMap, BTreeSet};

use domain::event::Event;
use domain::journal::{Record, UnknownEvent};
use domain::name::{Dimension, Key, OfferName};
use domain::plan::Plan;
use jiff::Timestamp;

/// The figures of a rollout, as they were planned or as they came.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Course {
    /// The first removal.
    pub out: Option<Timestamp>,
    /// When the last batch was back.
    pub back: Option<Timestamp>,
    /// When the last surge was gone and nothing was left to do.
    pub done: Option<Timestamp>,
    /// Batches.
    pub batches: usize,
    /// Surge instances.
    pub surge: usize,
    /// What surge cost, in the currency of the plan; of what came, the price of each instance for the
    /// time from its start to its release, without a seller's rounding. `None`: a price is not known.
    pub cost: Option<f64>,
    /// The risk that was planned with, or that the batches spent, a probability.
    pub risk: f64,
}

/// The load when a batch was opened, beside the upper edge of its forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// When.
    pub at: Timestamp,
    /// Of what.
    pub dimension: Dimension,
    /// What was measured.
    pub came: f64,
    /// The upper edge of the band.
    pub upper: f64,
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// By the first plan.
    pub planned: Course,
    /// As it came.
    pub came: Course,
    /// How many plans there were.
    pub plans: usize,
    /// How long it held, in seconds.
    pub held_seconds: f64,
    /// The load at each batch.
    pub load: Vec<Load>,
    /// In which currency.
    pub currency: String,
}

/// Compares what came with the first plan; `None` before there is one.
///
/// # Errors
/// An event that this build does not know.
pub fn compared(records: &[Record]) -> Result<Option<Compared>, UnknownEvent> {
    let mut walk = Walk::default();
    for record in records {
        walk.take(record.at, record.event()?);
    }
    let Some(first) = walk.first else { return Ok(None) };
    walk.came.cost = walk.known_prices.then_some(walk.cost);
    let planned = Course {
        out: first.batches.iter().map(|batch| batch.out_at).min(),
        back: Some(first.finish_at),
        done: Some(first.done_at),
        batches: first.batches.len(),
        surge: first.surge.iter().map(|order| order.count as usize).sum(),
        cost: Some(first.cost.surge),
        risk: first.risk.upper95,
    };
    Ok(Some(Compared {
        planned,
        came: walk.came,
        plans: walk.plans,
        held_seconds: walk.held,
        load: walk.load,
        currency: first.cost.currency,
    }))
}

#[derive(Default)]
struct Walk {
    first: Option<Plan>,
    plans: usize,
    prices: BTreeMap<OfferName, f64>,
    /// Of each order its offer, and how many instances run since when.
    orders: BTreeMap<Key, (OfferName, usize, Option<Timestamp>)>,
    released: BTreeSet<Key>,
    cost: f64,
    known_prices: bool,
    came: Course,
    holds: Option<Timestamp>,
    held: f64,
    load: Vec<Load>,
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

impl Walk {
    fn take(&mut self, at: Timestamp, event: Event) {
        match event {
            Event::PlanAdopted { plan } => {
                self.plans += 1;
                let bought = plan.surge.iter().map(|p| (p.offer.clone(), p.price_per_hour));
                let offered = plan.basis.iter().flat_map(|basis| &basis.offers);
                let offered = offered.map(|o| (o.offer.clone(), o.price_per_hour));
                self.prices.extend(offered.chain(bought));
                if self.first.is_none() {
                    (self.first, self.known_prices) = (Some(*plan), true);
                }
            }
            Event::BatchOpened { look, risk, .. } => {
                self.came.out.get_or_insert(at);
                self.came.risk += risk.map_or(0.0, |risk| risk.spent);
                for (dimension, came) in look.load {
                    let Some(upper) = look.upper.get(&dimension).copied() else { continue };
                    self.load.push(Load { at: look.at, dimension, came, upper });
                }
            }
            Event::BatchClosed { .. } => {
                self.came.back = Some(at);
                self.came.batches += 1;
            }
            Event::SurgeOrdered { key, offer, names, .. } => {
                self.came.surge += names.len();
                self.orders.insert(key, (offer, names.len(), None));
            }
            Event::SurgeRunning { key, .. } => {
                if let Some((.., since)) = self.orders.get_mut(&key) {
                    since.get_or_insert(at);
                }
            }
            Event::SurgeMissed { key, names, .. } => {
                if let Some((_, count, _)) = self.orders.get_mut(&key) {
                    *count = count.saturating_sub(names.len());
                    self.came.surge = self.came.surge.saturating_sub(names.len());
                }
            }
            Event::SurgeReleased { key } if self.released.insert(key.clone()) => {
                self.bill(&key, at);
            }
            Event::Held { .. } => {
                self.holds.get_or_insert(at);
            }
            Event::HoldEnded { .. } | Event::ResumeRequested {} | Event::AbortRequested {} => {
                self.goes_on(at);
            }
            Event::Finished { .. } => {
                self.goes_on(at);
                self.came.done = Some(at);
            }
            _ => {}
        }
    }

    fn goes_on(&mut self, at: Timestamp) {
        if let Some(since) = self.holds.take() {
            self.held += seconds(since, at);
        }
    }

    fn bill(&mut self, key: &Key, at: Timestamp) {
        let Some((offer, count, Some(since))) = self.orders.get(key) else { return };
        match self.prices.get(offer) {
            Some(price) => self.cost += price * *count as f64 * seconds(*since, at) / 3600.0,
            None => self.known_prices = false,
        }
    }
}
