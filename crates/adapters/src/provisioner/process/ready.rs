//! When a process that was started counts as running.

use std::net::Ipv4Addr;
use std::time::Duration;

use reqwest::Client;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::web;

/// The longest that one look may take.
const LIMIT: Duration = Duration::from_secs(1);

/// When a process counts as running: one of the two, `tcp: {}` unless given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Ready {
    /// When this path answers with a success: `/health`.
    #[serde(default)]
    pub http: Option<String>,
    /// When its port accepts connections.
    #[serde(default)]
    pub tcp: Option<TcpReady>,
}

/// Nothing to say about it: write `tcp: {}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpReady {}

#[derive(Debug)]
pub(super) enum Probe {
    Http { path: String, client: Client },
    Tcp,
}

impl Probe {
    pub(super) fn new(ready: &Ready) -> Result<Self, String> {
        let path = match (&ready.http, &ready.tcp) {
            (Some(_), Some(_)) => return Err("ready: give `http` or `tcp`, not both".into()),
            (None, _) => return Ok(Self::Tcp),
            (Some(path), None) => path.clone(),
        };
        let plain = path.bytes().all(|byte| byte.is_ascii_graphic());
        if !path.starts_with('/') || !plain {
            return Err(format!("ready: {path:?} is no path; write for instance /health"));
        }
        let client = web::client().no_proxy().timeout(LIMIT).build();
        let client = client.map_err(|error| format!("ready: {}", web::root(&error)))?;
        Ok(Self::Http { path, client })
    }

    pub(super) async fn passes(&self, port: u16) -> bool {
        match self {
            Self::Tcp => {
                let connected = timeout(LIMIT, TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
                connected.await.is_ok_and(|connected| connected.is_ok())
            }
            Self::Http { path, client } => {
                let answer = client.get(format!("http://127.0.0.1:{port}{path}")).send().await;
                answer.is_ok_and(|answer| answer.status().is_success())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_work_is_refused() {
        let http = |path: &str| Ready { http: Some(path.into()), tcp: None };
        assert!(matches!(Probe::new(&Ready::default()), Ok(Probe::Tcp)));
        assert!(matches!(Probe::new(&http("/health?deep=1")), Ok(Probe::Http { .. })));
        for bad in ["", "health", "/a b", "@evil/", "/ü"] {
            assert!(Probe::new(&http(bad)).unwrap_err().starts_with("ready: "), "{bad:?}");
        }
        let both = Ready { tcp: Some(TcpReady {}), ..http("/") };
        assert!(Probe::new(&both).is_err());
    }
}
