//! Prometheus Alertmanager, by its API v2
//! (<https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>).

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use domain::config::PositiveSpan;
use domain::notice::{Course, Notice, Topic};
use domain::ports::{Notify, PortError, Retry};
use jiff::Timestamp;
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::post::Receiver;
use super::secret::SecretUrl;
use super::webhook::default_timeout;

/// An alert that nobody ends fires for this long: a rollout whose driver died says nothing more.
const FIRES: Duration = Duration::from_secs(86_400);

/// What only happened is an alert for this long.
const HAPPENED: Duration = Duration::from_secs(300);

/// An Alertmanager: each notice is an alert, which ends when what it tells of is over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AlertmanagerConfig {
    /// Where it is, without `/api/v2`; `${NAME}` stands for an environment variable.
    pub url: SecretUrl,
    /// Labels of every alert, for routing.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The longest wait for an answer; 5s unless given.
    #[serde(default = "default_timeout")]
    pub timeout: PositiveSpan,
}

/// An Alertmanager.
#[derive(Debug, Clone)]
pub struct Alertmanager {
    receiver: Receiver,
    labels: BTreeMap<String, String>,
}

/// What Presurge sets itself.
const OURS: [&str; 4] = ["alertname", "rollout", "fleet", "topic"];

impl Alertmanager {
    /// An Alertmanager; nothing is opened yet.
    ///
    /// # Errors
    /// Labels that Alertmanager would refuse, or that Presurge sets itself.
    pub fn new(config: AlertmanagerConfig) -> Result<Self, PortError> {
        let wrong = |reason: String| {
            PortError::new("alertmanager", "read the configuration", Retry::Never, reason)
        };
        for name in config.labels.keys() {
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if !name.bytes().all(word) || name.bytes().next().is_none_or(|b| b.is_ascii_digit()) {
                return Err(wrong(format!("labels: {name:?} is no name of a label")));
            }
            if OURS.contains(&name.as_str()) {
                return Err(wrong(format!("labels: {name:?} is set by Presurge")));
            }
        }
        let receiver = Receiver::new("alertmanager", config.url, config.timeout.duration())?;
        Ok(Self { receiver, labels: config.labels })
    }

    /// The labels are the same from begin to end: they are what an alert is known by.
    fn alert(&self, notice: &Notice) -> Value {
        let (begun, end) = match notice.course {
            Course::Begun => (notice.at, notice.at + FIRES),
            Course::Over { begun } => (begun, notice.at),
            Course::Once => (notice.at, notice.at + HAPPENED),
        };
        let mut labels = json!(self.labels);
        labels["alertname"] = name(notice.topic).into();
        labels["rollout"] = notice.rollout.as_str().into();
        labels["fleet"] = notice.fleet.as_str().into();
        labels["topic"] = notice.topic.as_str().into();
        let annotations = json!({
            "summary": notice.title, "description": notice.detail, "notice": notice.id(),
            "severity": notice.severity.as_str(),
        });
        json!([{
            "labels": labels, "annotations": annotations,
            "startsAt": seconds(begun), "endsAt": seconds(end),
        }])
    }
}

/// Alertmanager refuses years beyond 9999, and needs no fractions.
fn seconds(at: Timestamp) -> String {
    format!("{at:.3}")
}

fn name(topic: Topic) -> &'static str {
    match topic {
        Topic::Hold => "PresurgeHold",
        Topic::Breach => "PresurgeLoadLeftBand",
        Topic::Budget => "PresurgeBudget",
        Topic::Approval => "PresurgeApprovalNeeded",
        Topic::Freeze => "PresurgeFreeze",
        Topic::Orphan => "PresurgeOrphanSuspected",
        Topic::Metrics => "PresurgeMetricsMissing",
        Topic::Rollout => "PresurgeRolloutEnded",
        Topic::Size => "PresurgeSizeChanged",
        Topic::Server => "PresurgeServerReverted",
    }
}

fn at(path: &'static [&'static str]) -> impl Fn(&mut Url) {
    move |url| {
        // An address with a host has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
    }
}

#[async_trait]
impl Notify for Alertmanager {
    async fn reach(&self) -> Result<(), PortError> {
        let status = self.receiver.ask(at(&["-", "ready"])).await?;
        if status.is_success() { Ok(()) } else { Err(self.receiver.odd("reach", status)) }
    }

    async fn tell(&self, notice: &Notice) -> Result<(), PortError> {
        let alert = self.alert(notice);
        self.receiver.post(at(&["api", "v2", "alerts"]), "application/json", &alert).await
    }
}
