//! Scheduled events and outside series: which of them help a forecast, and by how much.
//!
//! Everything is judged by what it saves on values that were held out. A category of events is
//! up to three columns of zeros and ones: its own time, and windows before and after it, whose
//! lengths are the ones with the least loss. An outside series is one column; one that is known
//! only up to now is moved back by the horizon, so that no step of a forecast reads what is not
//! known yet. The loss is the pinball loss over rolling origins of
//! [`Prophet`](crate::models::prophet::Prophet) with these columns.
//!
//! A signal enters if it lowers the loss given those that entered before it, by more than
//! [`settings::SIGNAL_GAIN_LEAST`], and by [`settings::SIGNAL_MARGIN`] times what the same signal
//! does at best when it is moved to [`settings::SIGNAL_PLACEBOS`] other times: a signal that says
//! nothing about the load does no worse at the wrong times.
//!
//! The effects of those that entered are taken off the series before other models learn from it,
//! and added to what they expect ([`Lifted`]); these models then compete with the plain ones.

use domain::calendar::Interval;
use serde::{Deserialize, Serialize};

mod choose;
mod columns;
mod judge;
mod lifted;
mod parts;

pub(crate) use choose::choose;
pub(crate) use lifted::{Effects, Lifted, restore};
pub use parts::components;

#[cfg(doc)]
use crate::settings;

/// What is known beside the series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Signals {
    /// Scheduled events by category, each name once.
    pub events: Vec<Category>,
    /// Outside series, each name once.
    pub series: Vec<Outside>,
}

/// Events that move the load alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Category {
    /// What people call it.
    pub name: String,
    /// When they took place, and will.
    pub times: Vec<Interval>,
}

/// A series that may explain the load, on the grid of the load and from its first step on.
/// `NaN` is a gap: the value before it holds on.
#[derive(Debug, Clone, PartialEq)]
pub struct Outside {
    /// What people call it.
    pub name: String,
    /// How far it is known.
    pub reach: Reach,
    /// Its values; those of a series that is [`Reach::KnownAhead`] cover the horizon.
    pub values: Vec<f64>,
}

/// How far a signal is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// Over the horizon, as prices and timetables are.
    KnownAhead,
    /// Up to now, as other measurements are.
    PastOnly,
}

impl Signals {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.series.is_empty()
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<&str> {
        let events = self.events.iter().map(|category| category.name.as_str());
        events.chain(self.series.iter().map(|outside| outside.name.as_str())).collect()
    }

    /// The same without the signal of that name.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut rest = self.clone();
        rest.events.retain(|category| category.name != name);
        rest.series.retain(|outside| outside.name != name);
        rest
    }
}

/// What a signal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A category of events.
    Event,
    /// An outside series.
    Series(Reach),
}

/// Why a signal has weight zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Unused {
    /// No event of the category lies in the history, or all of it.
    #[error("it never happened in the history, so its effect is not known")]
    NeverHappened,
    /// The values do not vary.
    #[error("it is constant over the history")]
    Constant,
    /// Held-out loss does not fall.
    #[error("it does not lower the held-out loss")]
    NoGain,
    /// Held-out loss falls as much when it is moved to other times.
    #[error("it helps no more than the same signal moved to other times")]
    Chance,
    /// The budget was spent.
    #[error("the budget was spent before it could be judged")]
    NoTime,
    /// The history is too short to hold something out.
    #[error("the history is too short to judge it")]
    TooShort,
}

/// What one signal brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalReport {
    /// The name of the signal.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Why it has weight zero, if it has.
    pub unused: Option<Unused>,
    /// The held-out pinball loss without it, and with it, in the unit of the series, all that
    /// entered being there; `NaN` where it was not judged.
    pub loss: (f64, f64),
    /// How many steps late it acts, so that what is not known yet is never read.
    pub lag: usize,
    /// What it adds to the load: while an event lasts, or for one standard deviation of a series.
    /// 0 where it has no weight.
    pub effect: f64,
    /// How many steps before an event the load begins to move, and by how much.
    pub lead: (usize, f64),
    /// For how many steps after an event it stays moved, and by how much.
    pub tail: (usize, f64),
}

/// What all signals brought.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SignalsReport {
    /// The held-out pinball loss of the best choice without signals, and with them in the choice,
    /// in the unit of the series.
    pub loss: (f64, f64),
    /// The share of the forecast that comes from models with signals, 0 to 1.
    pub weight: f64,
    /// Each signal, in the order in which they were given.
    pub each: Vec<SignalReport>,
}

#[cfg(test)]
mod tests;
