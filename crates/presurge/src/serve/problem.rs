//! Why a request was not done, as RFC 9457 has it.

use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::route::Response;

/// The media type of a problem.
pub const MEDIA: &str = "application/problem+json";

/// A problem document.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Problem {
    /// What kind of problem: `urn:presurge:problem:` and a word.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for people.
    pub title: &'static str,
    /// The status of the response.
    pub status: u16,
    /// What happened this time, and what to do.
    pub detail: String,
    /// More, by the kind of the problem.
    #[serde(flatten)]
    pub more: Map<String, Value>,
    /// Asking again makes sense after so many seconds.
    #[serde(skip)]
    pub retry_after: Option<u64>,
    /// A header that belongs to the status.
    #[serde(skip)]
    pub header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(
        status: StatusCode,
        kind: &str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind: format!("urn:presurge:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            more: Map::new(),
            retry_after: None,
            header: None,
        }
    }

    /// The request makes no sense.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "The request cannot be read", detail)
    }

    /// The request can be read, and what it says is wrong.
    pub fn wrong(detail: impl Into<String>) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self::new(status, "wrong-content", "The request says something that cannot be", detail)
    }

    /// There is no such thing.
    pub fn missing(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", detail)
    }

    /// It cannot be done as things stand.
    pub fn conflict(kind: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, title, detail)
    }

    /// The caller may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The token does not let you", detail)
    }

    /// Too much is under way.
    pub fn busy(detail: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut problem = Self::new(status, "busy", "Too much is under way", detail);
        problem.retry_after = Some(super::settings::BUSY.as_secs());
        problem
    }

    /// The store does not answer.
    pub fn store(error: &(dyn std::error::Error + 'static)) -> Self {
        let (status, detail) = (StatusCode::SERVICE_UNAVAILABLE, crate::causes::chain(error));
        let mut problem = Self::new(status, "store", "The store does not answer", detail);
        problem.retry_after = Some(super::settings::BUSY.as_secs());
        problem
    }

    /// Something went wrong here.
    pub fn failed(detail: impl Into<String>) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, "failed", "It did not work", detail)
    }

    /// The same with a member more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.into(), value.into());
        self
    }

    /// The same, to be asked again after so many seconds.
    #[must_use]
    pub fn again_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same with a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.header = HeaderValue::from_str(value).ok().map(|value| Box::new((name, value)));
        self
    }

    /// As a response.
    pub fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = hyper::Response::new(Full::from(body).boxed_unsync());
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(header) = self.header {
            headers.insert(header.0, header.1);
        }
        response
    }
}

impl From<domain::ports::PortError> for Problem {
    fn from(error: domain::ports::PortError) -> Self {
        Self::store(&error)
    }
}

impl From<crate::apply::keyed::LookError> for Problem {
    fn from(error: crate::apply::keyed::LookError) -> Self {
        use crate::apply::keyed::LookError;
        match &error {
            LookError::NoSuch(name) => Self::missing(format!("there is no rollout {name:?}")),
            LookError::Store(_) => Self::store(&error),
            LookError::Fold(..) => Self::failed(crate::causes::chain(&error)),
        }
    }
}

impl<Bad: std::error::Error + Send + Sync + 'static> From<crate::apply::chain::ChainError<Bad>>
    for Problem
{
    fn from(error: crate::apply::chain::ChainError<Bad>) -> Self {
        use crate::apply::chain::ChainError;
        match &error {
            ChainError::Bad(_) => Self::failed(crate::causes::chain(&error)),
            ChainError::Store(_) | ChainError::Append(_) => Self::store(&error),
        }
    }
}

impl From<crate::cli::Failed> for Problem {
    fn from(failed: crate::cli::Failed) -> Self {
        use crate::cli::Code;
        let text = failed.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).to_owned();
        match failed.code() {
            Code::BadData | Code::Usage => Self::wrong(text),
            Code::Refused => Self::conflict("refused", "Risk or policy refuses it", text),
            _ => Self::failed(text),
        }
    }
}
