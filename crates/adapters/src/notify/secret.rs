//! Addresses that are secrets themselves: whoever has the address of a webhook may write to it.

use std::fmt;

use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

/// A piece of an address as it is written.
#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

/// An `http://` or `https://` address. `${NAME}` stands for the environment variable `NAME`, in any
/// part of it and more than once, and is looked up when the address is used. What is behind the
/// host is never shown: it may be a secret whether it comes from the environment or not.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct SecretUrl(Vec<Piece>);

/// A text that is no address. Nothing of the text is repeated.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadUrl {
    /// A `${` without an end, or around something that names no variable.
    #[error("${{…}} takes the name of an environment variable: letters, digits and _")]
    Variable,
    /// The variable is not there.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// With the variables in their places it is none.
    #[error("is no http:// or https:// address")]
    Address,
}

impl TryFrom<String> for SecretUrl {
    type Error = BadUrl;

    fn try_from(text: String) -> Result<Self, BadUrl> {
        let (mut pieces, mut rest) = (Vec::new(), text.as_str());
        while let Some((before, behind)) = rest.split_once("${") {
            let (name, after) = behind.split_once('}').ok_or(BadUrl::Variable)?;
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if name.is_empty() || !name.bytes().all(word) {
                return Err(BadUrl::Variable);
            }
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Variable(name.to_owned()));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        let url = Self(pieces);
        if url.0.iter().all(|piece| matches!(piece, Piece::Text(_))) {
            url.resolve(|_| None)?;
        }
        Ok(url)
    }
}

impl SecretUrl {
    /// The address with every variable in its place.
    pub(super) fn resolve(&self, env: impl Fn(&str) -> Option<String>) -> Result<Url, BadUrl> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Variable(name) => {
                    let value = env(name).filter(|value| !value.is_empty());
                    text.push_str(value.ok_or_else(|| BadUrl::Unset(name.clone()))?.trim());
                }
            }
        }
        let url = Url::parse(&text).map_err(|_| BadUrl::Address)?;
        let web = matches!(url.scheme(), "http" | "https") && url.has_host();
        if web { Ok(url) } else { Err(BadUrl::Address) }
    }
}

/// The part of an address that is no secret: `https://hooks.example.com:8443`.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretUrl(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<SecretUrl, BadUrl> {
        SecretUrl::try_from(text.to_owned())
    }

    fn filled(text: &str) -> Result<String, BadUrl> {
        let env = |name: &str| match name {
            "HOOK" => Some("https://hooks.example.com/services/T0/B0/xyz\n".to_owned()),
            "TOKEN" => Some("t0k3n".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        url(text)?.resolve(env).map(String::from)
    }

    #[test]
    fn variables_take_their_places() {
        assert_eq!(filled("${HOOK}").unwrap(), "https://hooks.example.com/services/T0/B0/xyz");
        assert_eq!(
            filled("https://a.b/${TOKEN}/c?k=${TOKEN}").unwrap(),
            "https://a.b/t0k3n/c?k=t0k3n"
        );
        assert_eq!(filled("http://a.b:80/$x").unwrap(), "http://a.b/$x");
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for text in ["", "hooks.example.com/s3cret", "ftp://a/s3cret", "file:///s3cret"] {
            assert_eq!(url(text).unwrap_err(), BadUrl::Address, "{text}");
        }
        for text in ["https://a/${}", "https://a/${s3cret", "https://a/${A-B}"] {
            assert_eq!(url(text).unwrap_err(), BadUrl::Variable, "{text}");
        }
        for name in ["NONE", "EMPTY"] {
            let error = filled(&format!("https://a/${{{name}}}")).unwrap_err();
            assert_eq!(error, BadUrl::Unset(name.into()));
        }
        assert_eq!(filled("${TOKEN}").unwrap_err(), BadUrl::Address);
        assert!(!format!("{:?}", url("https://a/s3cret").unwrap()).contains("s3cret"));
    }
}
