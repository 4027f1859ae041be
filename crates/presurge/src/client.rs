//! A daemon that is asked over HTTP, as the command line asks it: its journals, which can be read as those
//! of a store, and what people want of it.

use std::path::Path;
use std::time::Duration;

use adapters::web;
use async_trait::async_trait;
use domain::freeze::Freeze;
use domain::journal::{Actor, Record};
use domain::name::{FleetName, RolloutId};
use domain::ports::{Append, AppendError, Journal, Lease, PortError, Retry};
use jiff::Timestamp;
use reqwest::{Certificate, Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// An answer has come within this: a permit may take a few seconds to be computed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest answer, in bytes: a thousand records with a few plans of ten thousand servers.
const LONGEST: usize = 256 << 20;

/// So many rollouts are asked for at once.
const ROLLOUTS: usize = 1000;

/// Why a daemon did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It cannot be asked at all.
    #[error("{0}")]
    Unusable(String),
    /// It does not answer.
    #[error("the daemon at {place} does not answer: {why}")]
    Silent {
        /// Where it is.
        place: String,
        /// What the system says.
        why: String,
    },
    /// Something else answers.
    #[error("what answers at {place} is no daemon of this version: {what}")]
    Foreign {
        /// Where it is.
        place: String,
        /// What is wrong about the answer.
        what: String,
    },
    /// It says why not.
    #[error("{detail}")]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// Its words.
        detail: String,
        /// The whole answer.
        problem: Value,
    },
}

/// What a daemon says when it does not do as asked (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

#[derive(Deserialize)]
struct Rollouts {
    rollouts: Vec<Value>,
    before: Option<u64>,
}

#[derive(Deserialize)]
struct Records {
    records: Vec<Record>,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct Frozen {
    freezes: Vec<Row>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Row {
    fleet: Option<FleetName>,
    since: Timestamp,
    until: Option<Timestamp>,
    actor: String,
    reason: String,
    seq: u64,
}

impl From<Frozen> for Vec<Freeze> {
    fn from(frozen: Frozen) -> Self {
        let freeze = |row: Row| {
            let Row { fleet, since, until, actor, reason, seq } = row;
            Freeze { fleet, since, until, actor: Actor(actor), reason, seq }
        };
        frozen.freezes.into_iter().map(freeze).collect()
    }
}

/// See the module.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
    /// As it was given.
    place: String,
}

impl Client {
    /// A daemon at `http://…`, `https://…` or `unix:PATH`. Nothing is asked yet.
    ///
    /// # Errors
    /// Says what of it cannot be used.
    pub fn new(
        place: &str,
        token: Option<String>,
        authority: Option<&Path>,
    ) -> Result<Self, ClientError> {
        let unusable = |why: String| ClientError::Unusable(why);
        let mut http = web::client().no_proxy().timeout(PATIENCE);
        let address = match place.strip_prefix("unix:") {
            Some(path) => {
                http = http.unix_socket(path.to_owned());
                "http://localhost"
            }
            None => place,
        };
        let base = Url::parse(address).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/"
        });
        let base = base.filter(|url| url.username().is_empty() && url.password().is_none());
        let base = base.ok_or_else(|| {
            unusable("the daemon: expected http://HOST:PORT, https://HOST:PORT or unix:PATH".into())
        })?;
        if let Some(path) = authority {
            let file = path.display();
            let pem = std::fs::read(path).map_err(|error| unusable(format!("{file}: {error}")))?;
            let all = Certificate::from_pem_bundle(&pem).ok().filter(|all| !all.is_empty());
            let all =
                all.ok_or_else(|| unusable(format!("{file}: there is no certificate in it")))?;
            http = http.tls_certs_only(all);
        }
        let http = http.build().map_err(|error| unusable(web::root(&error)))?;
        Ok(Self { http, base, token, place: place.to_owned() })
    }

    /// Asks for something, at the parts of a path.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        self.ask(Method::GET, path, query, None).await
    }

    /// Wants something done.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &Value,
    ) -> Result<T, ClientError> {
        self.ask(Method::POST, path, &[], Some(body)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<T, ClientError> {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.clear().push("v1").extend(path);
        }
        let mut request = self.http.request(method, url).query(query);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let silent =
            |error| ClientError::Silent { place: self.place.clone(), why: web::root(&error) };
        let foreign = |what: String| ClientError::Foreign { place: self.place.clone(), what };
        let answer = request.send().await.map_err(silent)?;
        let status = answer.status();
        let (bytes, more) = web::body(answer, LONGEST).await.map_err(silent)?;
        if more {
            return Err(foreign(format!("its answer is longer than {} MiB", LONGEST >> 20)));
        }
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| foreign(error.to_string()));
        }
        let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match Problem::deserialize(&problem) {
            Ok(Problem { detail }) => Err(ClientError::Refused { status, detail, problem }),
            Err(_) => Err(foreign(format!("{status}: {}", web::quote(&bytes, 200)))),
        }
    }

    /// Every rollout in short, in the order of creation.
    pub async fn rows(&self) -> Result<Vec<Value>, ClientError> {
        let (mut pages, mut before) = (Vec::new(), None::<u64>);
        loop {
            let mut query = vec![("limit", ROLLOUTS.to_string())];
            query.extend(before.map(|before| ("before", before.to_string())));
            let page: Rollouts = self.get(&["rollouts"], &query).await?;
            pages.push(page.rollouts);
            match page.before {
                // A daemon that goes round in circles is left.
                Some(next) if before.is_none_or(|before| next < before) => before = Some(next),
                _ => return Ok(pages.into_iter().rev().flatten().collect()),
            }
        }
    }

    /// The freezes in force.
    pub async fn frozen(&self) -> Result<Vec<Freeze>, ClientError> {
        self.get::<Frozen>(&["freezes"], &[]).await.map(Into::into)
    }

    /// Freezes, or ends freezes (`lift`); the freezes in force after it, and what is odd about it.
    pub async fn freeze(
        &self,
        lift: bool,
        body: &Value,
    ) -> Result<(Vec<Freeze>, Vec<String>), ClientError> {
        let path: &[&str] = if lift { &["freezes", "lift"] } else { &["freezes"] };
        let mut frozen: Frozen = self.post(path, body).await?;
        let warnings = std::mem::take(&mut frozen.warnings);
        Ok((frozen.into(), warnings))
    }

    /// What a person wants of a rollout: which journals it was written into, and why not into others.
    pub async fn request(
        &self,
        name: &str,
        verb: &str,
        body: &Value,
    ) -> Result<Written, ClientError> {
        self.post(&["rollouts", name, verb], body).await
    }

    /// The same in the words of a store.
    fn as_port(&self, operation: &str, error: ClientError) -> PortError {
        let retry = match &error {
            ClientError::Silent { .. } => Retry::Backoff,
            ClientError::Refused { status, .. } if status.is_server_error() => Retry::Backoff,
            _ => Retry::Never,
        };
        PortError::new(format!("daemon {}", self.place), operation, retry, error)
    }
}

/// What became of a request of a person.
#[derive(Debug, Deserialize)]
pub struct Written {
    /// Into which journals it was written.
    pub written: Vec<RolloutId>,
    /// Where it could not be.
    pub refused: Vec<Unwritten>,
}

/// Why a request was not written.
#[derive(Debug, Deserialize)]
pub struct Unwritten {
    /// Of which rollout, and why.
    pub reason: String,
}

/// Journals of a daemon can be read; what is written there is asked for otherwise.
#[async_trait]
impl Journal for Client {
    async fn lease(
        &self,
        _: &RolloutId,
        _: &str,
        _: Timestamp,
        _: Duration,
    ) -> Result<Option<Lease>, PortError> {
        Err(self.as_port("taking a lease", read_only()))
    }

    async fn release(&self, _: &Lease) -> Result<(), PortError> {
        Err(self.as_port("giving a lease back", read_only()))
    }

    async fn read(&self, rollout: &RolloutId, after: u64) -> Result<Vec<Record>, PortError> {
        let (mut all, mut after) = (Vec::new(), after);
        loop {
            let query = [("after", after.to_string())];
            let page = self.get(&["journal", rollout.as_str()], &query).await;
            let page: Records = match page {
                Err(ClientError::Refused { status: StatusCode::NOT_FOUND, .. }) => return Ok(all),
                page => page.map_err(|error| self.as_port("reading a journal", error))?,
            };
            all.extend(page.records);
            match page.next {
                Some(next) if next > after => after = next,
                _ => return Ok(all),
            }
        }
    }

    async fn append(&self, _: Append<'_>) -> Result<Vec<Record>, AppendError> {
        Err(self.as_port("writing a journal", read_only()).into())
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, PortError> {
        let fail = |error| self.as_port("listing rollouts", error);
        let id = |row: Value| {
            let name = row["rollout"].as_str().unwrap_or_default();
            let foreign = |what| ClientError::Foreign { place: self.place.clone(), what };
            RolloutId::new(name).map_err(|error| fail(foreign(error.to_string())))
        };
        self.rows().await.map_err(fail)?.into_iter().map(id).collect()
    }
}

fn read_only() -> ClientError {
    ClientError::Unusable("the journals of a daemon can only be read".into())
}

/// The body of a request that has nothing but a reason.
pub fn because(reason: &str) -> Value {
    json!({ "reason": reason })
}
