//! What can be learned of a fleet.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::figure::{BadFigure, Figure};
use crate::hour::{BadHour, Hour};
use crate::name::{BadName, Dimension, OfferName};

/// Something that the journals of a fleet show. Written `drain`, `update`, `verify`, `warmup`, `balance`,
/// `updateFailure`, or with an offer or a dimension behind a colon: `lead:m6i-spot`. What has figures by the
/// hour is written with the hour of the day, UTC, behind an `@`: `update@03`, `lead:m6i-spot@03`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Quantity {
    /// Until a server that gets no new requests has finished those under way.
    Drain,
    /// From the start of the update until the server runs the target.
    Update,
    /// From then on until its gates have passed.
    Verify,
    /// From its return until a server answers as fast as it does later.
    Warmup,
    /// Mean over peak of what the load balancer gives to servers, for what they carry.
    Balance,
    /// The probability that the update of one server fails, retries included.
    UpdateFailure,
    /// From an order until its instances run.
    Lead(OfferName),
    /// The probability that an instance is lost within an hour.
    Interruption(OfferName),
    /// The share of what is ordered that is delivered.
    Fulfilment(OfferName),
    /// The probability that an instance that is delivered does not come up.
    BootFailure(OfferName),
    /// What one server carries in a dimension of the load. It is not learned from journals, but with
    /// each plan from the load and an objective; people can pin it.
    Capacity(Dimension),
    /// What begins in that hour of the day, where it takes another time than on the whole day.
    At(Hourly, Hour),
}

/// What may take another time in some hours of the day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hourly {
    /// [`Quantity::Drain`].
    Drain,
    /// [`Quantity::Update`].
    Update,
    /// [`Quantity::Warmup`].
    Warmup,
    /// [`Quantity::Lead`].
    Lead(OfferName),
}

impl Hourly {
    /// The same on the whole day.
    pub fn day(&self) -> Quantity {
        match self {
            Self::Drain => Quantity::Drain,
            Self::Update => Quantity::Update,
            Self::Warmup => Quantity::Warmup,
            Self::Lead(offer) => Quantity::Lead(offer.clone()),
        }
    }
}

/// What kind of figure a quantity has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A length of time.
    Duration,
    /// A probability or a share.
    Probability,
    /// An amount of load.
    Amount,
}

/// A text that names no quantity.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadQuantity {
    /// It is not in the list.
    #[error(
        "{0:?} is nothing that is learned: drain, update, verify, warmup, balance, updateFailure, or lead, \
         interruption, fulfilment, bootFailure with an offer behind a colon, such as lead:m6i-spot, or \
         capacity with a dimension, such as capacity:requests"
    )]
    Unknown(String),
    /// What stands behind the colon is no name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// What stands behind the `@` is no hour.
    #[error(transparent)]
    Hour(#[from] BadHour),
    /// It takes the same time in every hour, as far as is known.
    #[error("{0} has no figures by the hour: drain, update, warmup and lead:OFFER have")]
    NoHours(Quantity),
}

impl Quantity {
    /// What kind of figure it has.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Drain
            | Self::Update
            | Self::Verify
            | Self::Warmup
            | Self::Lead(_)
            | Self::At(..) => Kind::Duration,
            Self::UpdateFailure
            | Self::Balance
            | Self::Interruption(_)
            | Self::Fulfilment(_)
            | Self::BootFailure(_) => Kind::Probability,
            Self::Capacity(_) => Kind::Amount,
        }
    }

    /// Whether a figure can be one of this quantity, by the rules of the configuration.
    pub fn check(&self, figure: Figure) -> Result<(), BadFigure> {
        let (good, value) = match (self.kind(), figure) {
            (Kind::Duration, Figure::Duration { .. }) => return figure.spread().map(|_| ()),
            (Kind::Duration, _) => return Err(BadFigure::NoDuration),
            (Kind::Amount, Figure::Amount { p05, p50 }) => {
                (p05 > 0.0 && p05 <= p50 && p50.is_finite(), p50)
            }
            (Kind::Amount, _) => return Err(BadFigure::NoAmount),
            (Kind::Probability, Figure::Probability { probability }) => {
                let certain = matches!(self, Self::Fulfilment(_) | Self::Balance);
                let good = match certain {
                    true => probability > 0.0 && probability <= 1.0,
                    false => (0.0..1.0).contains(&probability),
                };
                (good, probability)
            }
            (Kind::Probability, _) => return Err(BadFigure::NoProbability),
        };
        if good { Ok(()) } else { Err(BadFigure::Outside(value)) }
    }

    /// A figure of this quantity, from text: `5m`, `5m..9m`, `0.05`, `850` or `800..850`.
    ///
    /// # Errors
    /// It is none, or not one of this quantity.
    pub fn read(&self, text: &str) -> Result<Figure, BadFigure> {
        let figure = match self.kind() {
            Kind::Amount => Figure::amount(text)?,
            Kind::Duration | Kind::Probability => text.parse()?,
        };
        self.check(figure)?;
        Ok(figure)
    }

    /// What it is by the hour; `None` where the hour makes no difference.
    pub fn hourly(&self) -> Option<Hourly> {
        match self {
            Self::Drain => Some(Hourly::Drain),
            Self::Update => Some(Hourly::Update),
            Self::Warmup => Some(Hourly::Warmup),
            Self::Lead(offer) => Some(Hourly::Lead(offer.clone())),
            _ => None,
        }
    }

    /// The same on the whole day, where it is that of an hour.
    pub fn of_day(&self) -> Option<Quantity> {
        match self {
            Self::At(what, _) => Some(what.day()),
            _ => None,
        }
    }

    /// The offer that it is about.
    pub fn offer(&self) -> Option<&OfferName> {
        match self {
            Self::At(Hourly::Lead(offer), _) => Some(offer),
            Self::At(..) => None,
            Self::Lead(offer)
            | Self::Interruption(offer)
            | Self::Fulfilment(offer)
            | Self::BootFailure(offer) => Some(offer),
            Self::Drain
            | Self::Update
            | Self::Verify
            | Self::Warmup
            | Self::Balance
            | Self::UpdateFailure
            | Self::Capacity(_) => None,
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Drain => "drain".into(),
            Self::Update => "update".into(),
            Self::Verify => "verify".into(),
            Self::Warmup => "warmup".into(),
            Self::Balance => "balance".into(),
            Self::UpdateFailure => "updateFailure".into(),
            Self::Lead(offer) => format!("lead:{offer}"),
            Self::Interruption(offer) => format!("interruption:{offer}"),
            Self::Fulfilment(offer) => format!("fulfilment:{offer}"),
            Self::BootFailure(offer) => format!("bootFailure:{offer}"),
            Self::Capacity(dimension) => format!("capacity:{dimension}"),
            Self::At(what, hour) => format!("{}@{hour}", what.day()),
        };
        f.pad(&text)
    }
}

impl FromStr for Quantity {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let Some((what, hour)) = with_hour(text) else { return Self::of_whole_day(text) };
        let what: Self = what.parse()?;
        let hourly = what.hourly().ok_or(BadQuantity::NoHours(what))?;
        Ok(Self::At(hourly, hour.parse()?))
    }
}

/// What stands before and behind the last `@`, where that can be meant as an hour. The name of an offer or a
/// dimension may have an `@` as well, so that behind a colon only digits can.
fn with_hour(text: &str) -> Option<(&str, &str)> {
    let (what, hour) = text.rsplit_once('@')?;
    let digits = !hour.is_empty() && hour.bytes().all(|byte| byte.is_ascii_digit());
    (digits || !what.contains(':')).then_some((what, hour))
}

impl Quantity {
    fn of_whole_day(text: &str) -> Result<Self, BadQuantity> {
        let unknown = || BadQuantity::Unknown(text.chars().take(80).collect());
        let Some((word, offer)) = text.split_once(':') else {
            return match text {
                "drain" => Ok(Self::Drain),
                "update" => Ok(Self::Update),
                "verify" => Ok(Self::Verify),
                "warmup" => Ok(Self::Warmup),
                "balance" => Ok(Self::Balance),
                "updateFailure" => Ok(Self::UpdateFailure),
                _ => Err(unknown()),
            };
        };
        if word == "capacity" {
            return Ok(Self::Capacity(Dimension::new(offer)?));
        }
        let of: fn(OfferName) -> Self = match word {
            "lead" => Self::Lead,
            "interruption" => Self::Interruption,
            "fulfilment" => Self::Fulfilment,
            "bootFailure" => Self::BootFailure,
            _ => return Err(unknown()),
        };
        Ok(of(OfferName::new(offer)?))
    }
}

impl TryFrom<String> for Quantity {
    type Error = BadQuantity;

    /// As it is stored. Before there were hours an offer could have a name such as `spot@24`: what is no hour
    /// belongs to it.
    fn try_from(text: String) -> Result<Self, BadQuantity> {
        let named = |bad| Self::of_whole_day(&text).map_err(|_| bad);
        text.parse().or_else(named)
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> String {
        quantity.to_string()
    }
}
