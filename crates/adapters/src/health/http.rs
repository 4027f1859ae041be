//! A health gate that asks over HTTP or HTTPS.

use async_trait::async_trait;
use domain::config::PositiveSpan;
use domain::ports::{Health, PortError, Retry, Target, Verdict};
use reqwest::Client;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{MAX_QUOTE, check, fill};
use crate::web;

/// The most that is read of an answer, in bytes; `body` is looked for in it.
pub const MAX_BODY: usize = 64 << 10;

/// A gate that passes when a GET request is answered with one of the statuses, in time, and with
/// the text where one is asked for. Redirects are not followed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HttpConfig {
    /// Where to ask; `{address}` stands for the server's `host:port`, `{server}` for its name:
    /// `http://{address}/health`.
    pub url: String,
    /// The statuses that pass; `[200]` unless given.
    #[serde(default = "default_status")]
    pub status: Vec<u16>,
    /// The longest wait for the whole answer; 2s unless given. Later is a failure.
    #[serde(default = "default_timeout")]
    pub timeout: PositiveSpan,
    /// A text that the first 64 KiB of the answer must contain.
    #[serde(default)]
    pub body: Option<String>,
}

fn default_status() -> Vec<u16> {
    vec![200]
}

fn default_timeout() -> PositiveSpan {
    PositiveSpan::seconds(2)
}

/// A gate over HTTP.
#[derive(Debug, Clone)]
pub struct HttpHealth {
    config: HttpConfig,
    client: Client,
}

impl HttpHealth {
    /// A gate; nothing is opened yet. Proxies of the environment are not used: a server is
    /// asked directly.
    ///
    /// # Errors
    /// A configuration that can never work.
    pub fn new(config: HttpConfig) -> Result<Self, PortError> {
        let wrong = |reason: String| {
            PortError::new("http health", "read the configuration", Retry::Never, reason)
        };
        check(&config.url).map_err(|error| wrong(format!("url: {error}")))?;
        if !config.url.starts_with("http://") && !config.url.starts_with("https://") {
            return Err(wrong("url: begins with neither http:// nor https://".into()));
        }
        if config.status.is_empty() || config.status.iter().any(|s| !(100..=599).contains(s)) {
            return Err(wrong("status: give HTTP statuses between 100 and 599".into()));
        }
        let client = web::client()
            .no_proxy()
            // A connection that is kept could hide that the server accepts no new one.
            .pool_max_idle_per_host(0)
            .timeout(config.timeout.duration())
            .build()
            .map_err(|error| wrong(web::root(&error)))?;
        Ok(Self { config, client })
    }

    fn judge(&self, status: u16, body: &[u8]) -> Verdict {
        if !self.config.status.contains(&status) {
            let said = web::quote(body, MAX_QUOTE);
            let said = if said.is_empty() { said } else { format!(": {said}") };
            return Verdict::Fail(format!("answered {status}{said}"));
        }
        match &self.config.body {
            Some(text) if !String::from_utf8_lossy(body).contains(text) => {
                let said = web::quote(body, MAX_QUOTE);
                let wanted = web::quote(text.as_bytes(), MAX_QUOTE);
                Verdict::Fail(format!("answered {status} without {wanted:?}: {said}"))
            }
            Some(text) => {
                let wanted = web::quote(text.as_bytes(), MAX_QUOTE);
                Verdict::Pass(format!("answered {status} with {wanted:?}"))
            }
            None => Verdict::Pass(format!("answered {status}")),
        }
    }

    fn explain(&self, error: &reqwest::Error) -> Verdict {
        if error.is_timeout() {
            return Verdict::Fail(format!("no whole answer within {}", self.config.timeout));
        }
        let text = web::quote(web::root(error).as_bytes(), MAX_QUOTE);
        if error.is_dns() {
            // The name server is to blame as likely as the server.
            return Verdict::Inconclusive(format!("its name cannot be looked up: {text}"));
        }
        Verdict::Fail(format!("no HTTP answer: {text}"))
    }
}

#[async_trait]
impl Health for HttpHealth {
    async fn check(&self, target: &Target) -> Result<Verdict, PortError> {
        let wrong = |reason: String| {
            PortError::new("http health", format!("ask {}", target.server), Retry::Never, reason)
        };
        let url = fill(&self.config.url, target).map_err(|error| wrong(error.to_string()))?;
        let url = reqwest::Url::parse(&url).map_err(|error| wrong(format!("{url:?}: {error}")))?;
        let answer = match self.client.get(url).send().await {
            Ok(answer) => answer,
            Err(error) => return Ok(self.explain(&error)),
        };
        let status = answer.status().as_u16();
        match web::body(answer, MAX_BODY).await {
            Ok((body, _)) => Ok(self.judge(status, &body)),
            Err(error) => Ok(self.explain(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::contract::health as contract;

    use super::super::patient::Patient;
    use super::*;

    fn config(url: &str) -> HttpConfig {
        HttpConfig {
            url: url.into(),
            status: default_status(),
            timeout: "300ms".parse().unwrap(),
            body: Some("ready".into()),
        }
    }

    #[async_trait]
    impl contract::World for Patient {
        fn gate(&self) -> Arc<dyn Health> {
            Arc::new(HttpHealth::new(config("http://{address}/health")).unwrap())
        }
        fn target(&self) -> Target {
            self.target()
        }
        async fn set(&self, condition: contract::Condition) -> bool {
            Patient::set(self, condition).await;
            true
        }
    }

    #[tokio::test]
    async fn it_keeps_the_contract() {
        contract::run(Patient::new).await;
    }

    #[tokio::test]
    async fn a_failure_says_what_the_server_said() {
        let patient = Patient::new().await;
        let gate = HttpHealth::new(config("http://{address}/health")).unwrap();
        patient.set(contract::Condition::Sick).await;
        let verdict = gate.check(&patient.target()).await.unwrap();
        assert_eq!(verdict, Verdict::Fail("answered 503: [31mno database".into()));
        patient.set(contract::Condition::Hanging).await;
        let verdict = gate.check(&patient.target()).await.unwrap();
        assert_eq!(verdict, Verdict::Fail("no whole answer within 300ms".into()));
        patient.set(contract::Condition::Well).await;
        let mut wanted = config("http://{address}/");
        wanted.body = Some("green".into());
        let verdict = HttpHealth::new(wanted).unwrap().check(&patient.target()).await.unwrap();
        let expected = "answered 200 without \"green\": {\"status\": \"ready\"}";
        assert_eq!(verdict, Verdict::Fail(expected.into()));
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_looked_up_is_inconclusive() {
        let gate = HttpHealth::new(config("http://no-such-host.invalid/")).unwrap();
        let verdict = gate.check(&Patient::new().await.target()).await.unwrap();
        assert!(matches!(verdict, Verdict::Inconclusive(_)), "{verdict:?}");
    }

    #[tokio::test]
    async fn a_gate_that_is_broken_is_an_error() {
        let gate = HttpHealth::new(config("http://{address}/")).unwrap();
        let mut target = Patient::new().await.target();
        target.address = None;
        let error = gate.check(&target).await.unwrap_err();
        assert_eq!(error.retry, Retry::Never);
        assert!(error.chain().contains("the address of web-1 is not known"), "{}", error.chain());
        for (url, expected) in [
            ("http://{adress}/", "{adress} is not known"),
            ("{address}/health", "neither http:// nor https://"),
        ] {
            let error = HttpHealth::new(config(url)).unwrap_err().chain();
            assert!(error.contains(expected), "{error}");
        }
        let mut empty = config("http://{address}/");
        empty.status = vec![];
        assert!(HttpHealth::new(empty).is_err());
        assert!(serde_json::from_str::<HttpConfig>(r#"{"url":"x","method":"POST"}"#).is_err());
    }
}
