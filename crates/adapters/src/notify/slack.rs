//! Slack, and everything that takes its incoming webhooks: Mattermost, Rocket.Chat, Zulip, …

use async_trait::async_trait;
use domain::config::PositiveSpan;
use domain::journal::Anchor;
use domain::notice::{Course, Notice, Severity};
use domain::ports::{Notify, PortError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::post::Receiver;
use super::secret::SecretUrl;
use super::webhook::{default_timeout, root};

/// The longest text of a message, in characters; Slack cuts at 40,000.
const LONGEST_TEXT: usize = 3_000;

/// An incoming webhook of Slack or something compatible: each notice is one message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SlackConfig {
    /// The address of the incoming webhook; `${NAME}` stands for an environment variable.
    pub url: SecretUrl,
    /// The longest wait for an answer; 5s unless given.
    #[serde(default = "default_timeout")]
    pub timeout: PositiveSpan,
}

/// An incoming webhook.
#[derive(Debug, Clone)]
pub struct Slack(Receiver);

impl Slack {
    /// An incoming webhook; nothing is opened yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(config: SlackConfig) -> Result<Self, PortError> {
        Ok(Self(Receiver::new("slack", config.url, config.timeout.duration())?))
    }
}

#[async_trait]
impl Notify for Slack {
    async fn reach(&self) -> Result<(), PortError> {
        self.0.ask(root).await.map(drop)
    }

    async fn tell(&self, notice: &Notice) -> Result<(), PortError> {
        self.0.post(|_| (), "application/json", &json!({ "text": text(notice) })).await
    }

    fn keeps_anchors(&self) -> bool {
        true
    }

    async fn keep(&self, anchor: &Anchor) -> Result<(), PortError> {
        self.0.post(|_| (), "application/json", &json!({ "text": kept(anchor) })).await
    }
}

/// The anchor as a line of a file of anchors has it; it has none of Slack's control characters.
fn kept(anchor: &Anchor) -> String {
    let line = serde_json::to_string(anchor).expect("an anchor is plain data");
    format!(":anchor: head of {}, record {}\n```{line}```", anchor.rollout, anchor.seq)
}

/// `&`, `<` and `>` are Slack's control characters: a server's words could mention everybody.
fn text(notice: &Notice) -> String {
    let sign = match (notice.course, notice.severity) {
        (Course::Over { .. }, _) | (Course::Once, Severity::Info) => ":white_check_mark:",
        (_, Severity::Critical) => ":rotating_light:",
        (_, Severity::Warning) => ":warning:",
        (_, Severity::Info) => ":information_source:",
    };
    let plain = |text: &str| {
        let text: String = text.chars().take(LONGEST_TEXT).collect();
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    };
    let (title, detail, fleet) =
        (plain(&notice.title), plain(&notice.detail), plain(notice.fleet.as_str()));
    format!("{sign} *{title}*\n{detail}\nfleet {fleet}, {:.0}, record {}", notice.at, notice.seq)
}
