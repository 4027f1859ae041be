//! A server that speaks the HTTP API of Prometheus: Prometheus itself, Thanos, Mimir,
//! VictoriaMetrics. Shared by what reads load from it and by what judges servers by it.

pub(crate) mod answer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::ports::{PortError, Retry};
use reqwest::{Client, StatusCode, Url};

use crate::web;

/// The largest token file, in bytes.
const MAX_TOKEN: u64 = 64 << 10;

/// What failed, and what the caller may do.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) retry: Retry,
    pub(crate) reason: String,
}

impl Failure {
    pub(crate) fn never(reason: impl Into<String>) -> Self {
        Self { retry: Retry::Never, reason: reason.into() }
    }

    pub(crate) fn later(reason: impl Into<String>) -> Self {
        Self { retry: Retry::Backoff, reason: reason.into() }
    }
}

/// How a server is reached, as it is written in a configuration.
pub(crate) struct Reach {
    /// Its address, without `/api/v1`.
    pub(crate) url: String,
    /// The longest wait for one answer.
    pub(crate) timeout: Duration,
    /// A file with a token, read anew for each call.
    pub(crate) bearer_token_file: Option<PathBuf>,
    /// The tenant.
    pub(crate) tenant: Option<String>,
}

/// A server; nothing is opened before the first question.
pub(crate) struct Server {
    pub(crate) endpoint: Url,
    /// The server without anything secret, for errors.
    pub(crate) name: String,
    token: Option<PathBuf>,
    tenant: Option<String>,
    client: Client,
}

impl Server {
    /// The server, to be asked at `/api/v1/` and `verb`. A relative path of the token file is
    /// relative to `base_dir`.
    ///
    /// # Errors
    /// A configuration that can never work; the text begins with the field.
    pub(crate) fn new(reach: Reach, verb: &str, base_dir: &Path) -> Result<Self, String> {
        let mut url = Url::parse(&reach.url)
            .map_err(|error| format!("url: {error}; write for instance http://prometheus:9090"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("url: begins with neither http:// nor https://".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("url: has a password in it; use bearerTokenFile".into());
        }
        if url.path().trim_end_matches('/').ends_with("/api/v1") || url.query().is_some() {
            return Err("url: give the server's address, without /api/v1 or ?".into());
        }
        let name = format!("prometheus at {}", url.as_str().trim_end_matches('/'));
        let path = format!("{}/api/v1/{verb}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let sendable = |tenant: &String| tenant.bytes().all(|b| b.is_ascii_graphic());
        if !reach.tenant.as_ref().is_none_or(sendable) {
            return Err("tenant: has characters that a header cannot carry".into());
        }
        let client = web::client().timeout(reach.timeout).build();
        let client = client.map_err(|error| web::root(&error))?;
        let token = reach.bearer_token_file.map(|path| base_dir.join(path));
        Ok(Self { endpoint: url, name, token, tenant: reach.tenant, client })
    }

    /// An error about a query.
    pub(crate) fn failed(&self, query: &str, failure: Failure) -> PortError {
        let operation = format!("query {}", web::quote(query.as_bytes(), 100));
        PortError::new(&self.name, operation, failure.retry, failure.reason)
    }

    /// The token that is sent, where one is.
    pub(crate) async fn token(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.token else { return Ok(None) };
        let wrong =
            |what: String| Failure::never(format!("bearerTokenFile {}: {what}", path.display()));
        let about = tokio::fs::metadata(path).await.map_err(|error| wrong(error.to_string()))?;
        if about.len() > MAX_TOKEN {
            return Err(wrong("is too large for a token".into()));
        }
        let text = tokio::fs::read_to_string(path).await;
        let text = text.map_err(|error| wrong(error.to_string()))?;
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong("does not hold a token on one line".into()));
        }
        Ok(Some(token.to_string()))
    }

    /// The body of a good answer to a form, and whether there was more than is read.
    pub(crate) async fn ask(
        &self,
        token: Option<&str>,
        form: &[(&str, String)],
        most: usize,
    ) -> Result<(Vec<u8>, bool), Failure> {
        // A form, since queries can be longer than addresses may be.
        let mut request = self.client.post(self.endpoint.clone()).form(form);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Scope-OrgID", tenant);
        }
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let (body, cut) = web::body(response, most).await.map_err(|e| unreachable(&e))?;
        if status != StatusCode::OK {
            return Err(refused(status, &headers, &body));
        }
        Ok((body, cut))
    }
}

fn unreachable(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::later("no whole answer in time; raise timeout, or make the query cheaper");
    }
    let text = web::quote(web::root(error).as_bytes(), 200);
    if error.is_connect() {
        return Failure::later(format!("cannot connect: {text}; is url right, and is it up?"));
    }
    Failure::later(format!("the answer broke off or is no HTTP: {text}"))
}

/// An answer that is not 200.
fn refused(status: StatusCode, headers: &reqwest::header::HeaderMap, body: &[u8]) -> Failure {
    let said = answer::error_text(body);
    let text = |hint: &str| format!("answered {}{said}{hint}", status.as_u16());
    let wait = || {
        let seconds = headers.get("retry-after")?.to_str().ok()?.trim().parse::<u64>().ok()?;
        // A server may not put the caller off for longer than an hour.
        Some(Retry::After(std::time::Duration::from_secs(seconds.clamp(1, 3_600))))
    };
    match status.as_u16() {
        300..=399 => {
            let place = headers.get("location").map_or_else(String::new, |place| {
                format!(" to {}", web::quote(place.as_bytes(), 200))
            });
            Failure::never(text(&format!("{place}: set url to where the server really is")))
        }
        400 | 422 => Failure::never(text("; try the query in the server's own page")),
        401 | 403 => Failure::never(text("; give a token that is allowed by bearerTokenFile")),
        404 | 405 => Failure::never(text("; is url the server's address, without /api/v1?")),
        408 | 425 | 429 | 500..=599 => {
            Failure { retry: wait().unwrap_or(Retry::Backoff), reason: text("") }
        }
        _ => Failure::never(text("")),
    }
}
