//! What Presurge is set beside, by name.

use std::fmt;
use std::str::FromStr;

use super::settings::HOURLY_MARGINS;

/// One way to perform a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// Presurge: the production pipeline and the production driver.
    Presurge,
    /// No rollout at all.
    None,
    /// Batches of 25 % at once, with a surge of so many percent of the fleet, bought on demand.
    Fixed(u32),
    /// The same, bought from whatever is cheapest, spot included.
    FixedAny(u32),
    /// As [`Self::Fixed`], within the next hours from 02:00 to 05:00.
    Night(u32),
    /// Batches of 25 % at once; target tracking adds what it sees to be missing.
    Reactive,
    /// Batches of 25 % at once; surge by an hourly point forecast with so many percent margin.
    Hourly(u32),
    /// … with a fixed buffer.
    HourlyBuffer,
    /// The planner with the load that comes as its only path.
    Clairvoyant,
}

/// The surges of the fixed strategies, in percent of the fleet.
const SURGES: [u32; 5] = [0, 10, 25, 50, 100];

impl Strategy {
    /// Every strategy, in the order of the table.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Presurge, Self::None];
        all.extend(SURGES.map(Self::Fixed));
        all.push(Self::FixedAny(25));
        all.extend(SURGES.map(Self::Night));
        all.push(Self::Reactive);
        all.extend(HOURLY_MARGINS.map(|margin| Self::Hourly((margin * 100.0).round() as u32)));
        all.extend([Self::HourlyBuffer, Self::Clairvoyant]);
        all
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Presurge => f.pad("presurge"),
            Self::None => f.pad("none"),
            Self::Fixed(percent) => f.pad(&format!("fixed-{percent}")),
            Self::FixedAny(percent) => f.pad(&format!("fixed-{percent}-any")),
            Self::Night(percent) => f.pad(&format!("night-{percent}")),
            Self::Reactive => f.pad("reactive"),
            Self::Hourly(percent) => f.pad(&format!("hourly-{percent}")),
            Self::HourlyBuffer => f.pad("hourly-buffer"),
            Self::Clairvoyant => f.pad("clairvoyant"),
        }
    }
}

impl FromStr for Strategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = Self::all();
        let names: Vec<String> = all.iter().map(Self::to_string).collect();
        let found = all.into_iter().zip(&names).find(|(_, name)| *name == text);
        found.map(|(strategy, _)| strategy).ok_or_else(|| {
            let hint = domain::config::hint(text, names.iter().map(String::as_str));
            format!("there is no strategy {text:?}{hint}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_mistakes_are_told() {
        for strategy in Strategy::all() {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
        let error = "fixed-20".parse::<Strategy>().unwrap_err();
        assert!(error.contains("fixed-25") || error.contains("fixed-10"), "{error}");
    }
}
