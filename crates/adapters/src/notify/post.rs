//! One request to a webhook, and what its answer means.

use std::time::Duration;

use domain::ports::{PortError, Retry};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use super::secret::{SecretUrl, origin};
use crate::web;

/// The longest pause that a receiver may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A receiver over HTTP.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    kind: &'static str,
    url: SecretUrl,
    client: Client,
}

impl Receiver {
    /// A receiver; nothing is opened yet. Proxies of the environment are used.
    pub(super) fn new(
        kind: &'static str,
        url: SecretUrl,
        timeout: Duration,
    ) -> Result<Self, PortError> {
        let client = web::client().timeout(timeout).build().map_err(|error| {
            PortError::new(kind, "make a client", Retry::Never, web::root(&error))
        })?;
        Ok(Self { kind, url, client })
    }

    /// Posts JSON to the address, changed by `place`.
    pub(super) async fn post(
        &self,
        place: impl Fn(&mut Url),
        content: &'static str,
        body: &Value,
    ) -> Result<(), PortError> {
        let mut url = self.address()?;
        let origin = origin(&url);
        place(&mut url);
        let request = self.client.post(url).header(CONTENT_TYPE, content).body(body.to_string());
        let answer = self.send("tell", &origin, request).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(self.failed("tell", &origin, retry(&answer), meaning(status)))
    }

    /// Asks for something harmless; returns the status of the answer, whatever it is.
    pub(super) async fn ask(&self, place: impl Fn(&mut Url)) -> Result<StatusCode, PortError> {
        let mut url = self.address()?;
        let origin = origin(&url);
        place(&mut url);
        Ok(self.send("reach", &origin, self.client.get(url)).await?.status())
    }

    fn address(&self) -> Result<Url, PortError> {
        let url = self.url.resolve(|name| std::env::var(name).ok());
        url.map_err(|error| {
            PortError::new(self.kind, "read its address", Retry::Never, format!("url: {error}"))
        })
    }

    /// The body of the answer is not read: nobody needs it, and it may be of any size.
    async fn send(
        &self,
        verb: &str,
        origin: &str,
        request: RequestBuilder,
    ) -> Result<Response, PortError> {
        request.send().await.map_err(|error| {
            // The text of the error itself has the whole address in it.
            let text = match error.is_timeout() {
                true => "no answer in time".into(),
                false => web::quote(web::root(&error).as_bytes(), 200),
            };
            self.failed(verb, origin, Retry::Backoff, text)
        })
    }

    pub(super) fn failed(
        &self,
        verb: &str,
        origin: &str,
        retry: Retry,
        reason: impl Into<String>,
    ) -> PortError {
        PortError::new(format!("{} at {origin}", self.kind), verb, retry, reason.into())
    }

    /// An error of an answer that is not the expected one.
    pub(super) fn odd(&self, verb: &str, status: StatusCode) -> PortError {
        let origin = self.address().map(|url| origin(&url)).unwrap_or_default();
        self.failed(verb, &origin, Retry::Backoff, meaning(status))
    }
}

fn meaning(status: StatusCode) -> String {
    let hint = match status.as_u16() {
        300..=399 => "; it leads elsewhere, and secrets are not taken along: write that address",
        401 | 403 | 404 | 410 => "; is the address still good?",
        _ => "",
    };
    format!("answered {}{hint}", status.as_u16())
}

/// What is busy or broken may work later; what refuses this notice will refuse it again.
fn retry(answer: &Response) -> Retry {
    let status = answer.status();
    let later = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
    if !later {
        return Retry::Never;
    }
    let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = asked.and_then(|text| text.trim().parse::<u64>().ok());
    seconds.map_or(Retry::Backoff, |s| Retry::After(Duration::from_secs(s).min(LONGEST_PAUSE)))
}
