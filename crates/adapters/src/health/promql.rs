//! A health gate by a PromQL query: of Prometheus, or of what speaks its API.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use domain::config::PositiveSpan;
use domain::ports::{Health, PortError, Retry, Target, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{MAX_QUOTE, check, fill};
use crate::prometheus::answer::{Data, ambiguous, data, number};
use crate::prometheus::{Failure, Reach, Server};
use crate::web;

#[cfg(test)]
mod tests;

/// The most that is read of an answer, in bytes: it should be one number.
const MAX_ANSWER: usize = 256 << 10;

/// A gate that passes while one number, as a query gives it now, lies within its bounds.
///
/// No number at all, `NaN`, an infinite one, several series, a partial answer or a server of
/// metrics that does not answer is inconclusive: never a pass, and no failure either.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PromqlConfig {
    /// The address of the server of metrics, without `/api/v1`: `http://prometheus:9090`.
    pub url: String,
    /// PromQL with one series, or a scalar, as its result. `{server}` stands for the server's
    /// name, `{address}` for its `host:port`:
    /// `sum(rate(errors_total{instance="{address}"}[1m]))`.
    pub query: String,
    /// It passes when the value is not below this.
    #[serde(default)]
    pub at_least: Option<f64>,
    /// It passes when the value is not above this; at least one of the two bounds is given.
    #[serde(default)]
    pub at_most: Option<f64>,
    /// The longest wait for an answer; 3s unless given.
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

fn default_timeout() -> PositiveSpan {
    PositiveSpan::seconds(3)
}

/// A gate by query.
pub struct PromqlHealth {
    server: Server,
    query: String,
    bounds: Bounds,
}

/// Between what the value has to lie, both included.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    at_least: Option<f64>,
    at_most: Option<f64>,
}

impl Bounds {
    fn judge(self, value: f64) -> Verdict {
        match self {
            Self { at_least: Some(bound), .. } if value < bound => {
                Verdict::Fail(format!("the query gives {value}, below {bound}"))
            }
            Self { at_most: Some(bound), .. } if value > bound => {
                Verdict::Fail(format!("the query gives {value}, above {bound}"))
            }
            _ => Verdict::Pass(format!("the query gives {value}")),
        }
    }
}

impl PromqlHealth {
    /// A gate; nothing is asked yet.
    ///
    /// # Errors
    /// A configuration that can never work.
    pub fn new(config: PromqlConfig, base_dir: &Path) -> Result<Self, PortError> {
        let wrong = |reason: String| {
            PortError::new("promql health", "read the configuration", Retry::Never, reason)
        };
        if config.query.trim().is_empty() {
            return Err(wrong("query: is empty".into()));
        }
        check(&config.query).map_err(|error| wrong(format!("query: {error}")))?;
        let bounds = Bounds { at_least: config.at_least, at_most: config.at_most };
        match (bounds.at_least, bounds.at_most) {
            (None, None) => {
                let text = "query: nothing says which values pass; give atLeast, atMost, or both";
                return Err(wrong(text.into()));
            }
            (Some(least), Some(most)) if least > most => {
                return Err(wrong(format!("atLeast: {least} is above atMost, {most}")));
            }
            _ => {}
        }
        let reach = Reach {
            url: config.url,
            timeout: config.timeout.duration(),
            bearer_token_file: config.bearer_token_file,
            tenant: config.tenant,
        };
        let server = Server::new(reach, "query", base_dir).map_err(wrong)?;
        Ok(Self { server, query: config.query, bounds })
    }

    /// The one number that the query gives now; why there is none otherwise.
    async fn value(&self, query: &str) -> Result<Result<f64, String>, Failure> {
        let token = self.server.token().await?;
        let form = [("query", query.to_owned())];
        let (body, cut) = match self.server.ask(token.as_deref(), &form, MAX_ANSWER).await {
            Ok(answer) => answer,
            Err(Failure { retry: Retry::Never, reason }) => return Err(Failure::never(reason)),
            Err(failure) => return Ok(Err(failure.reason)),
        };
        if cut {
            return Ok(Err("the answer is too long for one number; use sum(…)".into()));
        }
        Ok(read(&body))
    }
}

#[derive(Deserialize)]
struct Found<'a> {
    #[serde(borrow, default)]
    metric: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    value: (f64, Cow<'a, str>),
}

/// The one number of an answer, or why there is none.
fn read(body: &[u8]) -> Result<f64, String> {
    let answer: Data<Value> = data(body).map_err(|failure| failure.reason)?;
    let kind = web::quote(answer.kind.as_bytes(), 40);
    let strange = |error| format!("the answer is not what Prometheus answers: {error}");
    let text = match kind.as_str() {
        "vector" => {
            let all = Vec::<Found>::deserialize(&answer.result).map_err(strange)?;
            match all.as_slice() {
                [] => return Err("the query gives nothing".into()),
                [one] => one.value.1.to_string(),
                several => return Err(ambiguous(several.iter().map(|found| &found.metric))),
            }
        }
        "scalar" => {
            let value = <(f64, Cow<str>)>::deserialize(&answer.result).map_err(strange)?;
            value.1.to_string()
        }
        _ => return Err(format!("the result is a {kind}, not one number")),
    };
    match number(&text) {
        Some(value) if value.is_finite() => Ok(value),
        _ => Err(format!("the query gives {}, no number", web::quote(text.as_bytes(), 40))),
    }
}

#[async_trait]
impl Health for PromqlHealth {
    async fn check(&self, target: &Target) -> Result<Verdict, PortError> {
        let filled = fill(&self.query, target).map_err(|error| Failure::never(error.to_string()));
        let value = match filled {
            Ok(query) => self.value(&query).await,
            Err(failure) => Err(failure),
        };
        match value {
            Ok(Ok(value)) => Ok(self.bounds.judge(value)),
            Ok(Err(why)) => Ok(Verdict::Inconclusive(web::quote(why.as_bytes(), MAX_QUOTE))),
            Err(failure) => Err(self.server.failed(&self.query, failure)),
        }
    }
}
