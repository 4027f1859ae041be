//! What a hold costs, how long it may last, and what comes then.

use std::fmt;
use std::time::Duration;

use domain::event::AfterHold;
use jiff::Timestamp;

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
}

impl State {
    /// The terms of a hold that has lasted since then.
    pub fn terms(&self, since: Timestamp) -> Terms {
        let limit = self.created.policy.hold;
        // What is on its way to its end already is not ended.
        let ends = matches!(self.phase, Phase::Releasing | Phase::Aborting);
        Terms {
            price_per_hour: self.orders.values().map(Order::price_per_hour).sum(),
            currency: self.plan.as_ref().map_or_else(String::new, |p| p.cost.currency.clone()),
            until: limit.map(|limit| since + Duration::from_secs_f64(limit.max_seconds)),
            then: limit.filter(|_| !ends).map_or(AfterHold::Page, |limit| limit.then),
        }
    }

    /// The terms of a hold that begins now, or goes on for another reason.
    pub fn terms_now(&self, now: Timestamp) -> Terms {
        self.terms(self.hold.as_ref().map_or(now, |hold| hold.since))
    }
}

impl Order {
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
