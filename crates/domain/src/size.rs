//! How large an auto-scaler keeps a group, and whom it leaves alone.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::ServerName;

/// The settings of an auto-scaler that a rollout has to do with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SizeSettings {
    /// It keeps at least so many members.
    pub minimum: u32,
    /// It keeps at most so many.
    pub maximum: u32,
    /// Members that it does not end.
    pub protected: BTreeSet<ServerName>,
    /// What it does not do at present, by the names that it gives to its processes.
    pub suspended: BTreeSet<String>,
}

/// One of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SizeField {
    /// The least number of members.
    Minimum,
    /// The greatest.
    Maximum,
    /// Members that are not ended.
    Protected,
    /// Processes that are suspended.
    Suspended,
}

impl SizeField {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Minimum, Self::Maximum, Self::Protected, Self::Suspended];

    /// The name of the setting, as it is published.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minimum => "minimum",
            Self::Maximum => "maximum",
            Self::Protected => "protected",
            Self::Suspended => "suspended",
        }
    }
}

impl fmt::Display for SizeField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl SizeSettings {
    /// Why no auto-scaler can have these settings, if so.
    pub fn absurd(&self) -> Option<String> {
        if self.minimum > self.maximum {
            let (minimum, maximum) = (self.minimum, self.maximum);
            return Some(format!("the minimum, {minimum}, is above the maximum, {maximum}"));
        }
        let nameless = |name: &&String| name.trim().is_empty();
        self.suspended.iter().find(nameless).map(|_| "a process without a name".into())
    }

    /// Whether every setting is that of `one` or that of `other`, and of the members and processes
    /// each: a change from one to the other that was cut short may leave this, and no one else.
    pub fn is_between(&self, one: &Self, other: &Self) -> bool {
        let among = |own: u32, a: u32, b: u32| own == a || own == b;
        among(self.minimum, one.minimum, other.minimum)
            && among(self.maximum, one.maximum, other.maximum)
            && spans(&self.protected, &one.protected, &other.protected)
            && spans(&self.suspended, &one.suspended, &other.suspended)
    }

    /// The settings that leave an auto-scaler more freedom than `wanted` does.
    pub fn weaker_than(&self, wanted: &Self) -> Vec<SizeField> {
        let weaker = |field: &SizeField| match field {
            SizeField::Minimum => self.minimum < wanted.minimum,
            SizeField::Maximum => self.maximum < wanted.maximum,
            SizeField::Protected => !self.protected.is_superset(&wanted.protected),
            SizeField::Suspended => !self.suspended.is_superset(&wanted.suspended),
        };
        SizeField::ALL.into_iter().filter(weaker).collect()
    }

    /// One setting in words.
    pub fn told(&self, field: SizeField) -> String {
        let names = |all: Vec<&str>| match all.len() {
            0 => "none".into(),
            _ => all.join(", "),
        };
        match field {
            SizeField::Minimum => self.minimum.to_string(),
            SizeField::Maximum => self.maximum.to_string(),
            SizeField::Protected => names(self.protected.iter().map(ServerName::as_str).collect()),
            SizeField::Suspended => names(self.suspended.iter().map(String::as_str).collect()),
        }
    }
}

impl fmt::Display for SizeSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (protected, suspended) = (self.protected.len(), &self.suspended);
        write!(f, "{} to {} members, {protected} protected, ", self.minimum, self.maximum)?;
        match suspended.len() {
            0 => f.write_str("no process suspended"),
            _ => write!(f, "suspended: {}", self.told(SizeField::Suspended)),
        }
    }
}

/// Whether a set has what both have, and nothing that neither has.
fn spans<T: Ord>(set: &BTreeSet<T>, one: &BTreeSet<T>, other: &BTreeSet<T>) -> bool {
    one.intersection(other).all(|it| set.contains(it))
        && set.iter().all(|it| one.contains(it) || other.contains(it))
}

/// What somebody set for a time, and what was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent {
    /// What is there when it is over, as far as nobody else changes it.
    pub before: SizeSettings,
    /// What is set meanwhile.
    pub during: SizeSettings,
}

impl Lent {
    /// The settings as they would be without us: what still is as we set it is put back, what
    /// somebody else changed meanwhile stays. Where the two do not fit, ours gives way.
    pub fn put_back(&self, found: &SizeSettings) -> SizeSettings {
        let Self { before, during } = self;
        let ours = |found: u32, during: u32| found == during;
        let our_minimum = ours(found.minimum, during.minimum);
        let mut minimum = if our_minimum { before.minimum } else { found.minimum };
        let our_maximum = ours(found.maximum, during.maximum);
        let mut maximum = if our_maximum { before.maximum } else { found.maximum };
        if minimum > maximum {
            match our_minimum {
                true => minimum = maximum,
                false => maximum = minimum,
            }
        }
        SizeSettings {
            minimum,
            maximum,
            protected: without(&found.protected, &during.protected, &before.protected),
            suspended: without(&found.suspended, &during.suspended, &before.suspended),
        }
    }

    /// The settings that are neither as we set them nor as they were: somebody else changed them.
    pub fn changed(&self, found: &SizeSettings) -> Vec<SizeField> {
        let Self { before, during } = self;
        let changed = |field: &SizeField| match field {
            SizeField::Minimum => ![before.minimum, during.minimum].contains(&found.minimum),
            SizeField::Maximum => ![before.maximum, during.maximum].contains(&found.maximum),
            SizeField::Protected => !spans(&found.protected, &before.protected, &during.protected),
            SizeField::Suspended => !spans(&found.suspended, &before.suspended, &during.suspended),
        };
        SizeField::ALL.into_iter().filter(changed).collect()
    }
}

/// What is found, but for what we added.
fn without<T: Ord + Clone>(
    found: &BTreeSet<T>,
    during: &BTreeSet<T>,
    before: &BTreeSet<T>,
) -> BTreeSet<T> {
    let added = |it: &&T| during.contains(it) && !before.contains(it);
    found.iter().filter(|it| !added(it)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(
        minimum: u32,
        maximum: u32,
        protected: &[&str],
        suspended: &[&str],
    ) -> SizeSettings {
        let server = |name: &&str| ServerName::new(*name).unwrap();
        SizeSettings {
            minimum,
            maximum,
            protected: protected.iter().map(server).collect(),
            suspended: suspended.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn lent() -> Lent {
        let before = settings(2, 6, &["a"], &["alarms"]);
        let during = settings(6, 8, &["a", "b", "c"], &["alarms", "balance"]);
        Lent { before, during }
    }

    #[test]
    fn what_nobody_touched_is_put_back_whole() {
        let lent = lent();
        assert_eq!(lent.put_back(&lent.during), lent.before);
        assert_eq!(lent.changed(&lent.during), []);
        assert_eq!(lent.put_back(&lent.before), lent.before, "somebody did it for us");
    }

    #[test]
    fn what_somebody_else_changed_stays() {
        let lent = lent();
        let found = settings(4, 8, &["b", "c", "d"], &["alarms", "balance", "launch"]);
        let expected = settings(4, 6, &["d"], &["alarms", "launch"]);
        assert_eq!(lent.put_back(&found), expected);
        use SizeField::{Minimum, Protected, Suspended};
        assert_eq!(lent.changed(&found), [Minimum, Protected, Suspended]);
    }

    #[test]
    fn where_the_two_do_not_fit_ours_gives_way() {
        let lent = Lent { before: settings(5, 6, &[], &[]), during: settings(7, 9, &[], &[]) };
        let narrowed = lent.put_back(&settings(7, 3, &[], &[]));
        assert_eq!((narrowed.minimum, narrowed.maximum), (3, 3));
        let raised = lent.put_back(&settings(8, 9, &[], &[]));
        assert_eq!((raised.minimum, raised.maximum), (8, 8));
        assert!(narrowed.absurd().is_none() && raised.absurd().is_none());
    }

    #[test]
    fn a_change_that_was_cut_short_is_between() {
        let Lent { before, during } = lent();
        let half = settings(6, 6, &["a", "c"], &["alarms"]);
        assert!(half.is_between(&before, &during) && half.is_between(&during, &before));
        for other in [
            settings(5, 6, &["a"], &["alarms"]),
            settings(2, 7, &["a"], &["alarms"]),
            settings(2, 6, &["c"], &["alarms"]),
            settings(2, 6, &["a", "x"], &["alarms"]),
            settings(2, 6, &["a"], &[]),
            settings(2, 6, &["a"], &["alarms", "launch"]),
        ] {
            assert!(!other.is_between(&before, &during), "{other}");
        }
    }

    #[test]
    fn more_freedom_is_weaker_and_less_is_not() {
        let Lent { before, during } = lent();
        assert_eq!(before.weaker_than(&during), SizeField::ALL);
        assert_eq!(during.weaker_than(&before), []);
        let stronger = settings(7, 9, &["a", "b", "c", "d"], &["alarms", "balance", "launch"]);
        assert_eq!(stronger.weaker_than(&during), []);
    }
}
