//! A health gate that opens a TCP connection.

use std::io::ErrorKind;

use async_trait::async_trait;
use domain::config::PositiveSpan;
use domain::ports::{Health, PortError, Retry, Target, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::{MAX_QUOTE, check, fill};
use crate::web;

/// A gate that passes when a TCP connection is accepted in time. It shows that something listens,
/// not that it works: prefer `http` where the server speaks it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TcpConfig {
    /// `host:port` to connect to; `{address}`, the server's own, unless given. `{server}` stands
    /// for its name.
    #[serde(default = "default_address")]
    pub address: String,
    /// The longest wait for the connection; 2s unless given. Later is a failure.
    #[serde(default = "default_timeout")]
    pub timeout: PositiveSpan,
}

fn default_address() -> String {
    "{address}".into()
}

fn default_timeout() -> PositiveSpan {
    PositiveSpan::seconds(2)
}

/// A gate over TCP.
#[derive(Debug, Clone)]
pub struct TcpHealth {
    config: TcpConfig,
}

impl TcpHealth {
    /// A gate; nothing is opened yet.
    ///
    /// # Errors
    /// A configuration that can never work.
    pub fn new(config: TcpConfig) -> Result<Self, PortError> {
        check(&config.address).map_err(|error| {
            PortError::new("tcp health", "read the configuration", Retry::Never, error)
        })?;
        Ok(Self { config })
    }
}

#[async_trait]
impl Health for TcpHealth {
    async fn check(&self, target: &Target) -> Result<Verdict, PortError> {
        let wrong = |reason: String| {
            let operation = format!("connect to {}", target.server);
            PortError::new("tcp health", operation, Retry::Never, reason)
        };
        let address =
            fill(&self.config.address, target).map_err(|error| wrong(error.to_string()))?;
        let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            return Err(wrong(format!("{address:?} is not host:port")));
        }
        let connect = async {
            let places: Vec<_> = match lookup_host(&address).await {
                Ok(places) => places.collect(),
                Err(error) => {
                    let text = web::quote(error.to_string().as_bytes(), MAX_QUOTE);
                    let text = format!("its name cannot be looked up: {text}");
                    return Verdict::Inconclusive(text);
                }
            };
            match TcpStream::connect(places.as_slice()).await {
                Ok(_) => Verdict::Pass(format!("{address} accepts connections")),
                // Nothing is known about the server when this host cannot open a connection.
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                    Verdict::Inconclusive(format!("this host has no free port: {error}"))
                }
                Err(error) => Verdict::Fail(format!("no connection: {error}")),
            }
        };
        Ok(timeout(self.config.timeout.duration(), connect).await.unwrap_or_else(|_| {
            Verdict::Fail(format!("no connection within {}", self.config.timeout))
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::contract::health as contract;

    use super::super::patient::Patient;
    use super::*;

    struct World(Patient);

    #[async_trait]
    impl contract::World for World {
        fn gate(&self) -> Arc<dyn Health> {
            Arc::new(TcpHealth::new(serde_json::from_str("{}").unwrap()).unwrap())
        }
        fn target(&self) -> Target {
            self.0.target()
        }
        async fn set(&self, condition: contract::Condition) -> bool {
            // What a server says on a connection is not this gate's business.
            let seen =
                matches!(condition, contract::Condition::Well | contract::Condition::Refusing);
            if seen {
                self.0.set(condition).await;
            }
            seen
        }
    }

    #[tokio::test]
    async fn it_keeps_the_contract() {
        contract::run(async || World(Patient::new().await)).await;
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_an_error_or_inconclusive() {
        let gate = |address: &str| {
            let timeout = default_timeout();
            TcpHealth::new(TcpConfig { address: address.into(), timeout })
        };
        let target = Patient::new().await.target();
        assert!(gate("{adress}").is_err());
        for wrong in ["localhost", "localhost:0", "localhost:http", "{server}"] {
            let error = gate(wrong).unwrap().check(&target).await.unwrap_err();
            assert_eq!(error.retry, Retry::Never);
            assert!(error.chain().contains("is not host:port"), "{}", error.chain());
        }
        let verdict = gate("no-such-host.invalid:80").unwrap().check(&target).await.unwrap();
        assert!(matches!(verdict, Verdict::Inconclusive(_)), "{verdict:?}");
    }
}
