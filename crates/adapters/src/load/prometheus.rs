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
use schemars::JsonSchema;
use serde::Deserialize;

use crate::prometheus::{Failure, Reach, Server};

mod answer;
#[cfg(test)]
mod tests;

/// Points of one request. Prometheus refuses more than 11,000 per series.
const POINTS_PER_REQUEST: i64 = 10_000;

/// The most points of one call, over all its requests: 3.8 years at a minute.
pub const MAX_POINTS: i64 = 2_000_000;

/// The largest answer that is read, in bytes: far above 10,000 points of one series.
pub const MAX_ANSWER: usize = 16 << 20;

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
    server: Server,
    query: String,
    step: Step,
    clock: Arc<dyn Clock>,
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
        let reach = Reach {
            url: config.url,
            timeout: config.timeout.duration(),
            bearer_token_file: config.bearer_token_file,
            tenant: config.tenant,
        };
        let server = Server::new(reach, "query_range", base_dir).map_err(wrong)?;
        if config.query.trim().is_empty() {
            return Err(wrong("query: is empty".into()));
        }
        let length = config.step.duration();
        let whole = length.subsec_nanos() == 0;
        let seconds = i64::try_from(length.as_secs()).ok().filter(|_| whole);
        let step = seconds.and_then(|seconds| Step::from_seconds(seconds).ok());
        let step = step.ok_or_else(|| wrong("step: give whole seconds, such as 60s".into()))?;
        Ok(Self { server, query: config.query, step, clock })
    }

    /// The length of one interval.
    pub fn step(&self) -> Step {
        self.step
    }

    fn failed(&self, failure: Failure) -> PortError {
        self.server.failed(&self.query, failure)
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

    /// The samples whose query times lie in `first..=last`, both on the grid.
    async fn ask(
        &self,
        token: Option<&str>,
        first: i64,
        last: i64,
    ) -> Result<answer::Part, Failure> {
        let form = [
            ("query", self.query.clone()),
            ("start", first.to_string()),
            ("end", last.to_string()),
            ("step", self.step.seconds().to_string()),
        ];
        let (body, cut) = self.server.ask(token, &form, MAX_ANSWER).await?;
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
        let token = self.server.token().await.map_err(|failure| self.failed(failure))?;
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
