//! Names: short, printable, safe in a shell word, a tag, a file name and a metric label.

use serde::{Deserialize, Serialize};

/// The longest name that is accepted, in bytes.
pub const MAX_NAME: usize = 128;

/// A text that cannot be a name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{text:?} is not a {kind}: use 1 to {MAX_NAME} letters, digits and . _ - / : @ # +, \
     beginning with a letter or digit"
)]
pub struct BadName {
    kind: &'static str,
    text: String,
}

fn check(kind: &'static str, text: &str) -> Result<(), BadName> {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let all = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@#+".contains(&b));
    if first && all && text.len() <= MAX_NAME {
        return Ok(());
    }
    let text = text.chars().take(MAX_NAME).collect();
    Err(BadName { kind, text })
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            schemars::JsonSchema,
        )]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text once; see [`BadName`] for the rule.
            pub fn new(text: impl Into<String>) -> Result<Self, BadName> {
                let text = text.into();
                check($kind, &text)?;
                Ok(Self(text))
            }

            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The name of a fleet: the servers of one application in one region.
    FleetName, "fleet name"
);
name!(
    /// The name of a server, of the fleet or of the surge.
    ServerName, "server name"
);
name!(
    /// The name of an availability zone.
    Zone, "zone"
);
name!(
    /// The name of an offer of surge capacity.
    OfferName, "offer name"
);
name!(
    /// The name of a load dimension: `requests`, `cpu`, `memory`, `network`, or any metric.
    Dimension, "dimension"
);
name!(
    /// What a server runs: a release, an image, a kernel.
    Version, "version"
);
name!(
    /// A rollout, one attempt: `NAME#1`, `NAME#2`, …; it names the rollout's journal.
    RolloutId, "rollout id"
);
name!(
    /// The idempotency key of a command: the same key has one effect, whoever repeats it.
    Key, "key"
);

impl Key {
    /// The key of a command, from parts that are names themselves. A text that would be too long
    /// is cut and closed with a digest of the whole, so that keys stay distinct.
    pub fn of(parts: &[&str]) -> Self {
        let whole = parts.join("/");
        if check("key", &whole).is_ok() {
            return Self(whole);
        }
        let digest = crate::journal::Digest::of_bytes(whole.as_bytes());
        let kept = whole.bytes().filter(u8::is_ascii_alphanumeric).take(60);
        let kept: String = kept.map(char::from).collect();
        Self(format!("k{kept}-{}", digest.short()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_stay_keys_and_stay_distinct() {
        assert_eq!(Key::of(&["r#1", "web-1", "drain"]).as_str(), "r#1/web-1/drain");
        let long = "x".repeat(128);
        let (one, two) = (Key::of(&[&long, "1"]), Key::of(&[&long, "2"]));
        assert_ne!(one, two);
        assert!(Key::new(one.as_str()).is_ok());
    }

    #[test]
    fn names_are_checked_at_the_door() {
        assert!(ServerName::new("web-1").is_ok());
        assert!(Key::new("kernel-6.12#1/surge/0").is_ok());
        for bad in ["", "-x", "a b", "a;b", "a\nb", "ü", &"x".repeat(129)] {
            assert!(ServerName::new(bad).is_err(), "{bad:?}");
        }
        let error = serde_json::from_str::<ServerName>("\"a b\"").unwrap_err().to_string();
        assert!(error.contains("is not a server name"), "{error}");
    }
}
