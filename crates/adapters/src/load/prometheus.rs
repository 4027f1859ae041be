//! Load from Prometheus, or anything that speaks its HTTP API: Thanos, Mimir, VictoriaMetrics.
//!
//! A sample is stamped with the start of its interval, while a query looks back from the end of
//! it. So the sample of `[t, t + step)` is the value of the query at `t + step`, and it exists
//! once that moment has passed: asked about the future, a server answers with its last value.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use domain::config::PositiveSpan;
use domain::ports::{Clock, LoadSource, PortError, Retry};
use domain::series::{Sample, Step};
use jiff::Timestamp;
use reqwest::{Client, StatusCode, Url};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::web;

mod answer;
#[cfg(test)]
mod tests;

/// Points of one request. Prometheus refuses more than 11,000 per series.
const POINTS_PER_REQUEST: i64 = 10_000;

/// The most points of one call, over all its requests: 3.8 years at a minute.
pub const MAX_POINTS: i64 = 2_000_000;

/// The largest answer that is read, in bytes: far above 10,000 points of one series.
pub const MAX_ANSWER: usize = 16 << 20;

/// The largest token file, in bytes.
const MAX_TOKEN: u64 = 64 << 10;

/// A query whose result is one series: the load.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PrometheusConfig {
    /// The address of the server, without `/api/v1`: `http://prometheus:9090`.
    pub url: String,
    /// PromQL with one series as its result, such as `sum(rate(http_requests_total[1m]))`. A
    /// range in brackets as long as `step` sees each event once.
    pub query: String,
    /// The distance of two samples, in whole seconds; 1m unless given.
    #[serde(default = "default_step")]
    pub step: PositiveSpan,
    /// The longest wait for one answer; 30s unless given.
    #[serde(default = "default_timeout")]
    pub timeout: PositiveSpan,
    /// A file with a token, sent as `Authorization: Bearer …`; read anew for each call, so that
    /// it may be rotated. A relative path is relative to the file that names it.
    #[serde(default)]
    pub bearer_token_file: Option<PathBuf>,
    /// The tenant, sent as `X-Scope-OrgID` (Mimir, Cortex).
    #[serde(default)]
    pub tenant: Option<String>,
}

fn default_step() -> PositiveSpan {
    PositiveSpan::seconds(60)
}

fn default_timeout() -> PositiveSpan {
    PositiveSpan::seconds(30)
}

/// Prometheus as a load source.
pub struct PrometheusLoad {
    endpoint: Url,
    /// The server without anything secret, for errors.
    name: String,
    query: String,
    step: Step,
    token: Option<PathBuf>,
    tenant: Option<String>,
    client: Client,
    clock: Arc<dyn Clock>,
}

/// What failed, and what the caller may do.
#[derive(Debug)]
struct Failure {
    retry: Retry,
    reason: String,
}

impl Failure {
    fn never(reason: impl Into<String>) -> Self {
        Self { retry: Retry::Never, reason: reason.into() }
    }

    fn later(reason: impl Into<String>) -> Self {
        Self { retry: Retry::Backoff, reason: reason.into() }
    }
}

impl PrometheusLoad {
    /// A source; nothing is opened yet. The clock says which intervals are over.
    ///
    /// # Errors
    /// A configuration that can never work.
    pub fn new(
        config: PrometheusConfig,
        base_dir: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, PortError> {
        let wrong = |reason: String| {
            PortError::new("prometheus", "read the configuration", Retry::Never, reason)
        };
        let mut url = Url::parse(&config.url).map_err(|error| {
            wrong(format!("url: {error}; write for instance http://prometheus:9090"))
        })?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong("url: begins with neither http:// nor https://".into()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("url: has a password in it; use bearerTokenFile".into()));
        }
        if url.path().trim_end_matches('/').ends_with("/api/v1") || url.query().is_some() {
            return Err(wrong("url: give the server's address, without /api/v1 or ?".into()));
        }
        let name = format!("prometheus at {}", url.as_str().trim_end_matches('/'));
        let path = format!("{}/api/v1/query_range", url.path().trim_end_matches('/'));
        url.set_path(&path);
        if config.query.trim().is_empty() {
            return Err(wrong("query: is empty".into()));
        }
        let length = config.step.duration();
        let whole = length.subsec_nanos() == 0;
        let seconds = i64::try_from(length.as_secs()).ok().filter(|_| whole);
        let step = seconds.and_then(|seconds| Step::from_seconds(seconds).ok());
        let step = step.ok_or_else(|| wrong("step: give whole seconds, such as 60s".into()))?;
        if config
            .tenant
            .as_ref()
            .is_some_and(|tenant| !tenant.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err(wrong("tenant: has characters that a header cannot carry".into()));
        }
        let client = web::client().timeout(config.timeout.duration()).build();
        let client = client.map_err(|error| wrong(web::root(&error)))?;
        let token = config.bearer_token_file.map(|path| base_dir.join(path));
        let (query, tenant) = (config.query, config.tenant);
        Ok(Self { endpoint: url, name, query, step, token, tenant, client, clock })
    }

    /// The length of one interval.
    pub fn step(&self) -> Step {
        self.step
    }

    fn failed(&self, failure: Failure) -> PortError {
        let operation = format!("query {}", web::quote(self.query.as_bytes(), 100));
        PortError::new(&self.name, operation, failure.retry, failure.reason)
    }

    /// The grid points, in seconds, at which the query is asked for samples stamped in
    /// `[from, to)`: first and last, which may be none.
    fn grid(&self, from: Timestamp, to: Timestamp) -> Result<Option<(i64, i64)>, Failure> {
        let step = self.step.seconds();
        let ceil = |at: Timestamp| {
            let up = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
            // Rounds up, also before 1970.
            -(-up).div_euclid(step)
        };
        // Sample i begins at i·step and is asked for at (i + 1)·step, which must have passed.
        let over = self.clock.now().as_second().div_euclid(step) - 1;
        let (first, last) = (ceil(from), (ceil(to) - 1).min(over));
        if last < first {
            return Ok(None);
        }
        if last - first >= MAX_POINTS {
            return Err(Failure::never(format!(
                "{} samples are asked for at once; at most {MAX_POINTS} are read: raise step",
                last - first + 1
            )));
        }
        Ok(Some(((first + 1) * step, (last + 1) * step)))
    }

    async fn token(&self) -> Result<Option<String>, Failure> {
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

    /// The samples whose query times lie in `first..=last`, both on the grid.
    async fn ask(
        &self,
        token: Option<&str>,
        first: i64,
        last: i64,
    ) -> Result<answer::Part, Failure> {
        // A form, since queries can be longer than addresses may be.
        let form = [
            ("query", self.query.clone()),
            ("start", first.to_string()),
            ("end", last.to_string()),
            ("step", self.step.seconds().to_string()),
        ];
        let mut request = self.client.post(self.endpoint.clone()).form(&form);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Scope-OrgID", tenant);
        }
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let (body, cut) = web::body(response, MAX_ANSWER).await.map_err(|e| unreachable(&e))?;
        if status != StatusCode::OK {
            return Err(refused(status, &headers, &body));
        }
        if cut {
            return Err(Failure::never(format!(
                "the answer is over {} MiB: make it one series with sum(…)",
                MAX_ANSWER >> 20
            )));
        }
        answer::read(&body, self.step, first, last)
    }
}

#[async_trait]
impl LoadSource for PrometheusLoad {
    async fn samples(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Sample>, PortError> {
        let grid = self.grid(from, to).map_err(|failure| self.failed(failure))?;
        let Some((mut first, last)) = grid else { return Ok(Vec::new()) };
        let token = self.token().await.map_err(|failure| self.failed(failure))?;
        let (mut samples, mut labels) = (Vec::new(), None);
        while first <= last {
            let end = last.min(first + (POINTS_PER_REQUEST - 1) * self.step.seconds());
            let part = self.ask(token.as_deref(), first, end).await;
            let part = part.map_err(|failure| self.failed(failure))?;
            if part.labels.is_some() && labels.is_some() && part.labels != labels {
                let reason = "the result is another series over time; make it one with sum(…)";
                return Err(self.failed(Failure::never(reason)));
            }
            labels = part.labels.or(labels);
            samples.extend(part.samples);
            first = end + self.step.seconds();
        }
        Ok(samples)
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
