//! Public holidays of whole countries, as events.

use async_trait::async_trait;
use domain::ports::{PortError, Retry, SignalSource, Tells};
use domain::signal::Signal;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::calendar::holidays::{self, Country};

/// The public holidays of whole countries: those of one country move the load alike.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HolidaysConfig {
    /// Their codes, for instance `[DE, AT]`.
    pub countries: Vec<String>,
}

/// Some countries.
#[derive(Debug, Clone)]
pub struct Holidays {
    countries: Vec<Country>,
}

/// The country of that code, or which there are.
///
/// # Errors
/// There is none.
pub fn country(code: &str) -> Result<Country, String> {
    holidays::country(code.trim()).ok_or_else(|| {
        let known: Vec<&str> = holidays::countries().into_iter().map(Country::code).collect();
        format!("the holidays of {code:?} are not known; the countries are {}", known.join(", "))
    })
}

/// The holidays of a country that touch that time.
pub fn between(country: Country, from: Timestamp, until: Timestamp) -> Signal {
    let name = format!("holidays {}", country.code());
    Signal::Events { name, times: country.times(from, until) }
}

impl Holidays {
    /// The countries of those codes.
    ///
    /// # Errors
    /// One is not known, or there is none.
    pub fn new(config: &HolidaysConfig) -> Result<Self, PortError> {
        let refused =
            |reason: String| PortError::new("holidays", "make an adapter", Retry::Never, reason);
        if config.countries.is_empty() {
            return Err(refused("countries: name one at least, for instance [DE]".into()));
        }
        let mut countries: Vec<Country> = Vec::new();
        for code in &config.countries {
            let one = country(code).map_err(|reason| refused(format!("countries: {reason}")))?;
            if countries.contains(&one) {
                return Err(refused(format!("countries: {code:?} stands there twice")));
            }
            countries.push(one);
        }
        Ok(Self { countries })
    }
}

#[async_trait]
impl SignalSource for Holidays {
    fn tells(&self) -> Tells {
        Tells::Events
    }

    async fn signals(
        &self,
        from: Timestamp,
        _: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Signal>, PortError> {
        Ok(self.countries.iter().map(|country| between(*country, from, until)).collect())
    }
}
