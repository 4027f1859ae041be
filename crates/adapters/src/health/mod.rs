//! Health gates: does a server work?

use domain::ports::Target;

pub mod command;
pub mod http;
pub mod promql;
pub mod tcp;

/// The most characters that a verdict repeats of what a server or a command said.
const MAX_QUOTE: usize = 200;

/// Why a text with places cannot be filled in for a server.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadTemplate {
    /// A place that does not exist.
    #[error("{{{0}}} is not known; write {{server}} or {{address}}")]
    UnknownPlace(String),
    /// The text needs the address of a server that has none.
    #[error("the address of {0} is not known; give the server one, or do without {{address}}")]
    NoAddress(String),
}

/// Puts the name of a server for `{server}` and its `host:port` for `{address}`. Other braces,
/// such as those of JSON, stay as they are; a lower-case word between braces must be a place.
fn fill(template: &str, target: &Target) -> Result<String, BadTemplate> {
    check(template)?;
    let mut text = template.replace("{server}", target.server.as_str());
    if text.contains("{address}") {
        let address = target.address.as_deref();
        let unknown = || BadTemplate::NoAddress(target.server.to_string());
        text = text.replace("{address}", address.ok_or_else(unknown)?);
    }
    Ok(text)
}

/// Checks the places of a text before there is a server to fill in.
fn check(template: &str) -> Result<(), BadTemplate> {
    for part in template.split('{').skip(1) {
        let Some((word, _)) = part.split_once('}') else { continue };
        let is_word = !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        if is_word && word != "server" && word != "address" {
            return Err(BadTemplate::UnknownPlace(word.chars().take(40).collect()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::name::ServerName;

    use super::*;

    #[test]
    fn places_are_filled_in_and_unknown_ones_named() {
        let server = ServerName::new("web-1").unwrap();
        let target = Target { server, address: Some("10.0.0.1:80".into()) };
        let text = fill("http://{address}/{server}?q={\"a\":1}", &target).unwrap();
        assert_eq!(text, "http://10.0.0.1:80/web-1?q={\"a\":1}");
        let error = check("http://{adress}/").unwrap_err().to_string();
        assert_eq!(error, "{adress} is not known; write {server} or {address}");
        let nowhere = Target { address: None, ..target };
        let error = fill("http://{address}/", &nowhere).unwrap_err().to_string();
        assert!(error.starts_with("the address of web-1 is not known"), "{error}");
        assert_eq!(fill("{server}", &nowhere).unwrap(), "web-1");
    }
}

#[cfg(test)]
mod patient;
