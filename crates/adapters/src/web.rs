//! HTTP as the adapters speak it: one TLS provider, bounded bodies, errors without secrets.

use std::sync::Once;

use reqwest::{Client, ClientBuilder, Response, redirect};

/// A client builder that follows no redirect: an address that moved is a configuration to change,
/// and a login page is no answer.
pub fn client() -> ClientBuilder {
    static TLS: Once = Once::new();
    TLS.call_once(|| {
        // Refused only when the program has chosen its provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Client::builder()
        .redirect(redirect::Policy::none())
        .user_agent(concat!("presurge/", env!("CARGO_PKG_VERSION")))
}

/// The beginning of a body, of at most `limit` bytes, and whether there was more.
///
/// # Errors
/// The connection breaks, or the time limit of the request is over.
pub async fn body(mut response: Response, limit: usize) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = limit - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            return Ok((body, true));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body, false))
}

/// The innermost cause of a failure: what the operating system or the protocol says.
pub fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The beginning of a foreign text: printable, on one line, at most `limit` characters.
pub fn quote(bytes: &[u8], limit: usize) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(limit * 4)]).into_owned();
    let words = text.split(|c: char| c.is_control() || c.is_whitespace());
    let text = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    text.chars().take(limit).collect()
}
