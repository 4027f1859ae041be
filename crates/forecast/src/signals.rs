//! Scheduled events and outside series: which of them help a forecast, and by how much.
//!
//! Everything is judged by what it saves on values that were held out. A category of events is
//! up to three columns of zeros and ones: its own time, and windows before and after it, whose
//! lengths are the ones with the least loss. An outside series is one column; one that is known
//! only up to now is moved back by the horizon, so that no step of a forecast reads what is not
//! known yet. The loss is the pinball loss over rolling origins of the model that forecasts best
//! alone (of those that are cheap to fit), which learns from the load without the effects of these
//! columns ([`Lifted`]). [`Prophet`](crate::models::prophet::Prophet) finds the effects: its trend and seasons
//! are what they are told apart from. Another judge than Prophet is needed since its trend follows a
//! new level late, so that any column that is one now and then seemed to help.
//!
//! Effects are added, or multiply the load: first on the scale on which the best model works,
//! before signals are looked at; those that entered are then tried on the other.
//!
//! A signal enters if it lowers the loss given those that entered before it, by more than
//! [`settings::SIGNAL_GAIN_LEAST`], and by [`settings::SIGNAL_MARGIN`] times what the same signal
//! does at best when it is moved to [`settings::SIGNAL_PLACEBOS`] other times: a signal that says
//! nothing about the load does no worse at the wrong times.
//!
//! The effects of those that entered are taken off the series before other models learn from it,
//! and added to what they expect ([`Lifted`]); these models then compete with the plain ones.

use domain::calendar::Interval;
pub use domain::signal::Reach;
use serde::{Deserialize, Serialize};

mod choose;
mod coarse;
mod columns;
mod judge;
mod lifted;
mod parts;

pub(crate) use choose::choose;
pub(crate) use judge::Recipe;
pub(crate) use lifted::{Effects, Lifted, restore};
pub use parts::components;

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

/// How signals act on the load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acts {
    /// They add so much, whatever the load is.
    #[default]
    Adds,
    /// They add a share of what the load would be.
    Multiplies,
}

impl std::fmt::Display for Acts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Adds => "adds",
            Self::Multiplies => "multiplies",
        })
    }
}

impl Acts {
    /// How signals are first taken to act, where that model forecasts best alone: as its scale is.
    pub(crate) fn like(model: &str) -> Self {
        if model.ends_with("-log") || model == "card" { Self::Multiplies } else { Self::Adds }
    }

    /// The other of the two.
    fn other(self) -> Self {
        match self {
            Self::Adds => Self::Multiplies,
            Self::Multiplies => Self::Adds,
        }
    }

    /// A load on the scale on which effects are added: itself, or its logarithm.
    fn scaled(self, load: f64) -> f64 {
        match self {
            Self::Adds => load,
            Self::Multiplies => load.ln(),
        }
    }

    /// A load with an effect of that scale.
    fn with(self, load: f64, effect: f64) -> f64 {
        match self {
            Self::Adds => load + effect,
            Self::Multiplies => load * effect.exp(),
        }
    }

    /// A load without an effect of that scale.
    fn without(self, load: f64, effect: f64) -> f64 {
        self.with(load, -effect)
    }

    /// An effect of that scale as people are told it: in the unit of the load, or as a share of it.
    fn told(self, effect: f64) -> f64 {
        match self {
            Self::Adds => effect,
            Self::Multiplies => effect.exp_m1(),
        }
    }

    /// Whether a load has that scale: logarithms need values that are not near zero.
    fn suits(self, values: &[f64]) -> bool {
        let finite = || values.iter().filter(|value| value.is_finite());
        let mean = finite().sum::<f64>() / finite().count().max(1) as f64;
        let least = finite().fold(f64::INFINITY, |least, value| least.min(*value));
        self == Self::Adds || (least > 0.0 && least > settings::LOG_FLOOR * mean)
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
    /// What it adds to the load: while an event lasts, or for one standard deviation of a series; in
    /// the unit of the series, or as a share of the load where signals multiply it
    /// ([`SignalsReport::acts`]). 0 where it has no weight.
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
    /// How those that entered act.
    pub acts: Acts,
    /// Each signal, in the order in which they were given.
    pub each: Vec<SignalReport>,
}

#[cfg(test)]
mod tests;
