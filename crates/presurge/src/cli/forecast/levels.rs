//! Which intervals are asked for.

use std::str::FromStr;

use domain::forecast::Probability;

/// Central intervals in percent, as they were asked for.
#[derive(Debug, Clone)]
pub(super) struct Levels(pub(super) Vec<(String, f64)>);

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut levels: Vec<(String, f64)> = Vec::new();
        for part in text.split(',') {
            let name = part.trim();
            let plain = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let level = name.parse::<f64>().ok().filter(|level| plain && *level > 0.0);
            let Some(level) = level.filter(|level| *level < 100.0) else {
                return Err(format!("{part:?} is no level: give percents such as 80,95"));
            };
            if levels.iter().any(|(_, known)| *known == level) {
                return Err(format!("the level {name} is there twice"));
            }
            levels.push((name.to_owned(), level));
        }
        Ok(Self(levels))
    }
}

impl Levels {
    /// The lower and the upper quantile of each interval.
    pub(super) fn quantiles(&self) -> Vec<(Probability, Probability)> {
        let at = |share: f64| Probability::new(share).expect("levels lie between 0 and 100 %");
        self.0.iter().map(|(_, level)| (at(0.5 - level / 200.0), at(0.5 + level / 200.0))).collect()
    }

    /// Both quantiles of each interval, the widest interval first.
    pub(super) fn widest_first(&self) -> Vec<(Probability, Probability)> {
        let mut all = self.quantiles();
        all.sort_by(|one, other| one.0.get().total_cmp(&other.0.get()));
        all
    }

    /// As they were asked for.
    pub(super) fn names(&self) -> String {
        self.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// All quantiles, rising.
    pub(super) fn all(&self) -> Vec<Probability> {
        let mut all: Vec<Probability> =
            self.quantiles().into_iter().flat_map(|(low, high)| [low, high]).collect();
        all.sort_by(|one, other| one.get().total_cmp(&other.get()));
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_percents_once_each() {
        let levels: Levels = "80,95".parse().unwrap();
        let shares: Vec<f64> = levels.all().iter().map(|level| level.get()).collect();
        assert_eq!(shares.len(), 4);
        for (share, expected) in shares.iter().zip([0.025, 0.1, 0.9, 0.975]) {
            assert!((share - expected).abs() < 1e-12);
        }
        for bad in ["", "0", "100", "-5", "80,80", "nan", "1e1", "80;95"] {
            assert!(bad.parse::<Levels>().is_err(), "{bad:?}");
        }
    }
}
