//! What a hold costs, how long it may last, and what comes then.

use std::fmt;
use std::time::Duration;

use domain::event::{AfterHold, HoldLimit, HoldReason};
use jiff::Timestamp;

use crate::pressure::Pressure;
use crate::state::{Order, OrderStage, Phase, State, SurgeStage};

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// What the surge that is held costs per hour, where its prices are known.
    pub price_per_hour: Option<f64>,
    /// In this currency.
    pub currency: String,
    /// It may last until then; `None`: for ever.
    pub until: Option<Timestamp>,
    /// What comes then.
    pub then: AfterHold,
    /// What the deadline says to it, where the terms are of a moment.
    pub pressure: Option<Pressure>,
}

impl State {
    /// The terms of a hold that has lasted since then.
    pub fn terms(&self, since: Timestamp) -> Terms {
        let limit = self.created.policy.hold;
        // What is on its way to its end already is not ended.
        let ends = matches!(self.phase, Phase::Releasing | Phase::Aborting);
        let then = |limit: HoldLimit| match limit.then {
            AfterHold::Rollback if self.may_roll_back().is_err() => AfterHold::Page,
            then => then,
        };
        Terms {
            price_per_hour: self.orders.values().map(Order::price_per_hour).sum(),
            currency: self.plan.as_ref().map_or_else(String::new, |p| p.cost.currency.clone()),
            until: limit.map(|limit| since + Duration::from_secs_f64(limit.max_seconds)),
            then: limit.filter(|_| !ends).map_or(AfterHold::Page, then),
            pressure: None,
        }
    }

    /// The terms of a hold that begins now, or goes on for another reason.
    pub fn terms_now(&self, now: Timestamp) -> Terms {
        let terms = self.terms(self.hold.as_ref().map_or(now, |hold| hold.since));
        Terms { pressure: self.pressure(now), ..terms }
    }

    /// Since when nothing needs surge, with the event that says so: no plan fits, nobody is out, and
    /// no person is at it.
    pub fn unneeded_since(&self) -> Option<(Timestamp, u64)> {
        let hold = self.hold.as_ref().filter(|hold| hold.reason == HoldReason::NoPlan)?;
        let idle =
            !self.paused && self.open.is_none() && self.servers.values().all(|s| !s.is_out());
        idle.then_some((hold.since, hold.seq))
    }

    /// When an order that nothing needs since then has cost as much as another would before it is
    /// of use.
    pub fn given_back_at(&self, order: &Order, since: Timestamp) -> Option<Timestamp> {
        let offers =
            self.plan.as_ref().into_iter().flat_map(|plan| &plan.basis).flat_map(|b| &b.offers);
        let own = offers.filter(|offer| offer.offer == order.offer);
        let minimum =
            own.filter_map(|o| Duration::try_from_secs_f64(o.billing_minimum_seconds).ok());
        let paid = order.ordered_at.checked_add(minimum.max().unwrap_or_default()).ok()?;
        let again = since.checked_add(order.ready_at.duration_since(order.ordered_at)).ok()?;
        Some(paid.max(again))
    }
}

impl Order {
    /// Whether it is ordered or runs, and is not being given back.
    pub fn is_held(&self) -> bool {
        matches!(self.stage, OrderStage::Ordered | OrderStage::Running)
    }

    /// What its instances cost per hour together, lost ones not counted.
    fn price_per_hour(&self) -> Option<f64> {
        let lost = self.instances.iter().filter(|i| i.stage == SurgeStage::Lost).count();
        match self.stage {
            OrderStage::Released => Some(0.0),
            _ => self.price_each.map(|price| price * (self.names.len() - lost) as f64),
        }
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.price_per_hour {
            None => write!(f, "what its surge costs is not known")?,
            Some(price) if price > 0.0 => {
                write!(f, "its surge costs {} {} an hour", short(price), self.currency)?;
            }
            Some(_) => write!(f, "it costs nothing")?,
        }
        if let Some(pressure) = self.pressure {
            write!(f, "; {pressure}")?;
        }
        let Some(until) = self.until else { return Ok(()) };
        let then = match self.then {
            AfterHold::Page => "people are told",
            AfterHold::Rollback => "it is rolled back",
            AfterHold::Abort => "it is aborted",
        };
        write!(f, "; if it lasts until {until:.0}, {then}")
    }
}

/// A price with at most four digits after the point.
fn short(price: f64) -> f64 {
    (price * 1e4).round() / 1e4
}
