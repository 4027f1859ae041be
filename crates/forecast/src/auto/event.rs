//! What happened to a forecaster between two samples, with reasons.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::drift::Drift;

/// Why a model does not take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// It could not learn from the series.
    NotFitted {
        /// What it said.
        reason: String,
    },
    /// It panicked, which is a fault of the model.
    Panicked {
        /// The message of the panic.
        message: String,
    },
    /// It forecast something that is not a finite number.
    NotFinite,
    /// It forecast far beyond all that the history holds.
    Diverged,
    /// Its fit took longer than what was left of the budget.
    Slow,
    /// The budget was gone before its turn came.
    NoTime,
    /// The choice is not better with it by as much as it costs.
    NotWorth,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFitted { reason } => f.write_str(reason),
            Self::Panicked { message } => write!(f, "it panicked: {message}"),
            Self::NotFinite => f.write_str("it forecast a value that is not finite"),
            Self::Diverged => f.write_str("it forecast far beyond the range of the history"),
            Self::Slow => f.write_str("its fit took longer than the budget allows"),
            Self::NoTime => f.write_str("the budget was gone before its turn"),
            Self::NotWorth => f.write_str("it costs more than it brings"),
        }
    }
}

/// Why a forecaster should be fitted anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefitReason {
    /// Forecasts have become worse.
    Drift(Drift),
    /// The fit is old.
    Age {
        /// Steps since the fit.
        steps: usize,
    },
    /// A model that carried much of the forecast had to be dropped.
    ModelLost,
}

impl fmt::Display for RefitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drift(drift) => write!(f, "drift: {drift}"),
            Self::Age { steps } => write!(f, "the fit is {steps} steps old"),
            Self::ModelLost => f.write_str("a model that carried the forecast was dropped"),
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Above => "values lie above the forecast",
            Self::Below => "values lie below the forecast",
            Self::Spread => "errors are larger than they were",
        })
    }
}

/// Something that a new sample, or a new fit, has brought about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Another model, or combination, has the most weight.
    LeaderChanged {
        /// Which had it.
        from: String,
        /// Which has it now.
        to: String,
        /// Their discounted losses, old leader first, relative to the forecast's own.
        relative_losses: [f64; 2],
    },
    /// A model has come to count.
    Promoted {
        /// Its name.
        model: String,
        /// Its mean weight over all bands.
        weight: f64,
        /// Its discounted loss, relative to the forecast's own.
        relative_loss: f64,
    },
    /// A model has lost its weight.
    Demoted {
        /// Its name.
        model: String,
        /// Its mean weight over all bands.
        weight: f64,
        /// Its discounted loss, relative to the forecast's own.
        relative_loss: f64,
    },
    /// A model was dropped; it has its next chance at the next fit.
    Dropped {
        /// Its name.
        model: String,
        /// What it did.
        failure: Failure,
    },
    /// Forecasts have become worse than they were; intervals are widened for a while.
    Drifted(Drift),
    /// A new fit has become due.
    RefitDue(RefitReason),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaderChanged { from, to, relative_losses: [old, new] } => write!(
                f,
                "{to} leads instead of {from}: its loss is {new:.2} of the forecast's, not {old:.2}"
            ),
            Self::Promoted { model, weight, relative_loss } => {
                write!(
                    f,
                    "{model} counts now (weight {weight:.2}, relative loss {relative_loss:.2})"
                )
            }
            Self::Demoted { model, weight, relative_loss } => write!(
                f,
                "{model} counts no more (weight {weight:.2}, relative loss {relative_loss:.2})"
            ),
            Self::Dropped { model, failure } => write!(f, "{model} was dropped: {failure}"),
            Self::Drifted(drift) => write!(f, "drift: {drift}"),
            Self::RefitDue(reason) => write!(f, "a new fit is due: {reason}"),
        }
    }
}
