//! Any receiver of JSON over HTTP: notices as CloudEvents 1.0 in structured mode.

use async_trait::async_trait;
use domain::config::PositiveSpan;
use domain::journal::{Anchor, source_of};
use domain::notice::{Course, Notice};
use domain::ports::{Notify, PortError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::post::Receiver;
use super::secret::SecretUrl;

/// A webhook that takes JSON: each notice is one POST of a CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WebhookConfig {
    /// Where to post; `${NAME}` stands for an environment variable.
    pub url: SecretUrl,
    /// The longest wait for an answer; 5s unless given.
    #[serde(default = "default_timeout")]
    pub timeout: PositiveSpan,
}

pub(super) fn default_timeout() -> PositiveSpan {
    PositiveSpan::seconds(5)
}

/// A webhook.
#[derive(Debug, Clone)]
pub struct Webhook(Receiver);

impl Webhook {
    /// A webhook; nothing is opened yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(config: WebhookConfig) -> Result<Self, PortError> {
        Ok(Self(Receiver::new("webhook", config.url, config.timeout.duration())?))
    }
}

#[async_trait]
impl Notify for Webhook {
    async fn reach(&self) -> Result<(), PortError> {
        self.0.ask(root).await.map(drop)
    }

    async fn tell(&self, notice: &Notice) -> Result<(), PortError> {
        self.0.post(|_| (), "application/cloudevents+json", &event(notice)).await
    }

    fn keeps_anchors(&self) -> bool {
        true
    }

    async fn keep(&self, anchor: &Anchor) -> Result<(), PortError> {
        self.0.post(|_| (), "application/cloudevents+json", &kept(anchor)).await
    }
}

/// The root of the host: whatever it answers, it can be reached, and it was not told the secret.
pub(super) fn root(url: &mut reqwest::Url) {
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("").and_then(|()| url.set_password(None));
}

/// `data` is the anchor as a line of a file of anchors has it.
fn kept(anchor: &Anchor) -> Value {
    json!({
        "specversion": "1.0",
        "id": format!("{}/{}/anchor", anchor.rollout, anchor.seq),
        "source": source_of(&anchor.rollout),
        "type": "presurge.anchor",
        "time": anchor.at,
        "subject": anchor.rollout,
        "datacontenttype": "application/json",
        "data": anchor,
    })
}

fn event(notice: &Notice) -> Value {
    let (topic, course) = (notice.topic.as_str(), notice.course.as_str());
    let begun = match notice.course {
        Course::Over { begun } => Some(begun),
        Course::Begun => Some(notice.at),
        Course::Once => None,
    };
    json!({
        "specversion": "1.0",
        "id": notice.id(),
        "source": source_of(&notice.rollout),
        "type": format!("presurge.notice.{topic}.{course}"),
        "time": notice.at,
        "subject": notice.fleet,
        "datacontenttype": "application/json",
        "data": {
            "rollout": notice.rollout, "fleet": notice.fleet, "topic": topic, "course": course,
            "severity": notice.severity.as_str(), "title": notice.title, "detail": notice.detail,
            "begun": begun, "record": notice.seq,
        },
    })
}
