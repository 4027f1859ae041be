//! The value of something that is learned.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Span;
use crate::spread::{BadSpread, Spread};

/// A length of time or an amount, as two of its quantiles, or a probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Figure {
    /// How long something takes.
    Duration {
        /// The median, in seconds.
        p50_seconds: f64,
        /// The 95 % quantile, in seconds.
        p95_seconds: f64,
    },
    /// How probable something is; of an interruption, within an hour; or a share.
    Probability {
        /// The probability.
        probability: f64,
    },
    /// An amount of load, of which less is worse.
    Amount {
        /// What it is at least with a probability of 95 %.
        p05: f64,
        /// The median.
        p50: f64,
    },
}

/// A value that is none of its quantity.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum BadFigure {
    /// A probability is wanted.
    #[error("this is a probability or a share, such as 0.05; a length of time is none")]
    NoProbability,
    /// An amount is wanted.
    #[error(
        "this is an amount of load of one server, such as 850 or 800..850 (5 % quantile and median)"
    )]
    NoAmount,
    /// A duration is wanted.
    #[error("this is a length of time, such as 5m or 5m..9m (median and 95 % quantile)")]
    NoDuration,
    /// Not a value that the configuration takes.
    #[error("{0} is outside of what a configuration takes here")]
    Outside(f64),
    /// The two quantiles do not fit.
    #[error(transparent)]
    Spread(#[from] BadSpread),
    /// No number and no length of time.
    #[error("{0:?} is neither a length of time such as 5m or 5m..9m, nor a number such as 0.05")]
    Unreadable(String),
}

impl Figure {
    /// The figure of a duration.
    pub fn duration(spread: Spread) -> Self {
        let (p50, p95) = (spread.p50(), spread.p95());
        Self::Duration { p50_seconds: p50.as_secs_f64(), p95_seconds: p95.as_secs_f64() }
    }

    /// The figure of a probability.
    pub fn probability(probability: f64) -> Self {
        Self::Probability { probability }
    }

    /// An amount from text, `850` or `800..850`.
    pub(super) fn amount(text: &str) -> Result<Self, BadFigure> {
        let (p05, p50) = text.split_once("..").unwrap_or((text, text));
        let number = |text: &str| text.trim().parse().map_err(|_| BadFigure::NoAmount);
        Ok(Self::Amount { p05: number(p05)?, p50: number(p50)? })
    }

    /// The duration that it is.
    ///
    /// # Errors
    /// It is a probability, or its quantiles do not fit.
    pub fn spread(self) -> Result<Spread, BadFigure> {
        let Self::Duration { p50_seconds, p95_seconds } = self else {
            return Err(BadFigure::NoDuration);
        };
        let length = |seconds: f64| {
            Duration::try_from_secs_f64(seconds).map_err(|_| BadFigure::Outside(seconds))
        };
        Ok(Spread::between(length(p50_seconds)?, length(p95_seconds)?)?)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            Self::Duration { p50_seconds, p95_seconds } => {
                let length = |seconds: f64| {
                    let whole = seconds.round().clamp(0.0, f64::from(u32::MAX)) as u32;
                    Span::seconds(whole).to_string()
                };
                let (p50, p95) = (length(p50_seconds), length(p95_seconds));
                if p50 == p95 { p50 } else { format!("{p50}..{p95}") }
            }
            Self::Probability { probability } => format!("{probability:.4}"),
            Self::Amount { p05, p50 } if p05 == p50 => format!("{p50:.4}"),
            Self::Amount { p05, p50 } => format!("{p05:.4}..{p50:.4}"),
        };
        f.pad(&text)
    }
}

impl FromStr for Figure {
    type Err = BadFigure;

    /// `5m`, `5m..9m` or `0.05`.
    fn from_str(text: &str) -> Result<Self, BadFigure> {
        let unreadable = || BadFigure::Unreadable(text.chars().take(80).collect());
        if let Ok(probability) = text.parse::<f64>() {
            return match probability.is_finite() {
                true => Ok(Self::Probability { probability }),
                false => Err(unreadable()),
            };
        }
        let (p50, p95) = text.split_once("..").unwrap_or((text, text));
        let length = |text: &str| {
            let span = text.trim().parse::<Span>().map_err(|_| unreadable())?;
            Ok::<_, BadFigure>(span.duration())
        };
        Ok(Self::duration(Spread::between(length(p50)?, length(p95)?)?))
    }
}
