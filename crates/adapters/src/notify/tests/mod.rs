//! Every receiver against the contract of its port, and each against what it has to be told.

mod real;
mod server;

use std::sync::Arc;

use domain::contract::notify::{Mood, SECRET, World, run};
use domain::ports::{Notify, PortError};
use serde_json::{Value, json};

use self::server::Server;
use super::alertmanager::{Alertmanager, AlertmanagerConfig};
use super::slack::{Slack, SlackConfig};
use super::webhook::{Webhook, WebhookConfig};

/// A receiver that is made for an address.
type Make = fn(Value) -> Result<Arc<dyn Notify>, PortError>;

fn webhook(config: Value) -> Result<Arc<dyn Notify>, PortError> {
    let config: WebhookConfig = serde_json::from_value(config).expect("a configuration");
    Ok(Arc::new(Webhook::new(config)?))
}

fn slack(config: Value) -> Result<Arc<dyn Notify>, PortError> {
    let config: SlackConfig = serde_json::from_value(config).expect("a configuration");
    Ok(Arc::new(Slack::new(config)?))
}

fn alertmanager(config: Value) -> Result<Arc<dyn Notify>, PortError> {
    let config: AlertmanagerConfig = serde_json::from_value(config).expect("a configuration");
    Ok(Arc::new(Alertmanager::new(config)?))
}

struct Case {
    server: Server,
    make: Make,
}

impl World for Case {
    fn notify(&self) -> Arc<dyn Notify> {
        let url = format!("{}/{SECRET}", self.server.url);
        (self.make)(json!({ "url": url, "timeout": "400ms" })).unwrap()
    }

    fn told(&self) -> Vec<String> {
        self.server.bodies("POST ")
    }

    fn requests(&self) -> Vec<String> {
        self.server.requests()
    }
}

async fn keeps_the_contract(make: Make) {
    run(async |mood: Mood| Case { server: Server::start(mood).await, make }).await;
}

#[tokio::test]
async fn a_webhook_keeps_the_contract() {
    keeps_the_contract(webhook).await;
}

#[tokio::test]
async fn slack_keeps_the_contract() {
    keeps_the_contract(slack).await;
}

#[tokio::test]
async fn alertmanager_keeps_the_contract() {
    keeps_the_contract(alertmanager).await;
}

fn notice() -> domain::notice::Notice {
    use domain::notice::{Course, Severity, Topic};
    domain::notice::Notice {
        seq: 9,
        at: "2026-03-01T02:00:00Z".parse().unwrap(),
        rollout: domain::name::RolloutId::new("kernel#1").unwrap(),
        fleet: domain::name::FleetName::new("web").unwrap(),
        topic: Topic::Hold,
        course: Course::Begun,
        severity: Severity::Critical,
        title: "kernel#1: no more servers go out: hold".into(),
        detail: "web-3: <!channel> & failed".into(),
    }
}

async fn said(make: Make, more: Value) -> (String, Value) {
    let server = Server::start(Mood::Good).await;
    let mut config = json!({ "url": format!("{}/{SECRET}?k=v", server.url) });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    make(config).unwrap().tell(&notice()).await.unwrap();
    let head = server.requests().remove(0);
    (head, serde_json::from_str(&server.bodies("POST ")[0]).unwrap())
}

#[tokio::test]
async fn a_webhook_is_told_a_cloud_event() {
    let (head, body) = said(webhook, json!({})).await;
    assert!(head.starts_with(&format!("POST /{SECRET}?k=v HTTP/1.1\r\n")), "{head}");
    assert!(head.contains("content-type: application/cloudevents+json\r\n"), "{head}");
    assert_eq!(body["id"], "kernel#1/9/hold/begun");
    assert_eq!(body["source"], "/presurge/rollouts/kernel%231");
    assert_eq!(body["type"], "presurge.notice.hold.begun");
    assert_eq!(body["data"]["detail"], "web-3: <!channel> & failed");
}

#[tokio::test]
async fn slack_is_told_a_text_that_mentions_nobody() {
    let (_, body) = said(slack, json!({})).await;
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    let text = body["text"].as_str().unwrap();
    assert!(text.contains("web-3: &lt;!channel&gt; &amp; failed"), "{text}");
}

#[tokio::test]
async fn what_is_handed_over_can_be_read_as_a_line_of_anchors() {
    let statement = domain::journal::Statement {
        rollout: notice().rollout,
        head: domain::journal::Head::empty(),
        at: notice().at,
        key: domain::journal::Digest::zero(),
    };
    let anchor = statement.signed(domain::journal::Signature([7; 64]));
    let line = serde_json::to_string(&anchor).unwrap();
    let server = Server::start(Mood::Good).await;
    for make in [webhook, slack] {
        make(json!({ "url": server.url })).unwrap().keep(&anchor).await.unwrap();
    }
    let bodies = server.bodies("POST ");
    let event: Value = serde_json::from_str(&bodies[0]).unwrap();
    assert_eq!(event["type"], "presurge.anchor");
    assert_eq!(event["data"], serde_json::to_value(&anchor).unwrap());
    let message: Value = serde_json::from_str(&bodies[1]).unwrap();
    let text = message["text"].as_str().unwrap();
    assert_eq!(text.split("```").nth(1), Some(line.as_str()), "{text}");
}

#[tokio::test]
async fn alertmanager_is_told_an_alert_with_an_end() {
    let (head, body) = said(alertmanager, json!({ "labels": { "team": "sre" } })).await;
    assert!(head.starts_with(&format!("POST /{SECRET}/api/v2/alerts?k=v HTTP/1.1\r\n")), "{head}");
    let labels = json!({
        "alertname": "PresurgeHold", "rollout": "kernel#1", "fleet": "web", "topic": "hold",
        "team": "sre",
    });
    assert_eq!(body[0]["labels"], labels);
    assert_eq!(body[0]["startsAt"], "2026-03-01T02:00:00.000Z");
    assert_eq!(body[0]["endsAt"], "2026-03-02T02:00:00.000Z");
}

#[tokio::test]
async fn who_is_busy_says_how_long() {
    let server = Server::start(Mood::Busy).await;
    let told = webhook(json!({ "url": server.url })).unwrap().tell(&notice()).await;
    let seven = std::time::Duration::from_secs(7);
    assert_eq!(told.unwrap_err().retry, domain::ports::Retry::After(seven));
}

#[tokio::test]
async fn a_variable_that_is_not_set_is_named() {
    let url = "${PRESURGE_TEST_THAT_IS_NOT_SET}";
    let told = slack(json!({ "url": url })).unwrap().tell(&notice()).await;
    let text = told.unwrap_err().chain();
    assert!(text.contains("PRESURGE_TEST_THAT_IS_NOT_SET is not set"), "{text}");
}

#[test]
fn labels_that_cannot_be_are_refused() {
    for (label, what) in [("1st", "no name of a label"), ("fleet", "is set by Presurge")] {
        let config = json!({ "url": "http://a", "labels": { label: "x" } });
        let error = alertmanager(config).err().expect("refused").chain();
        assert!(error.contains(what), "{error}");
    }
}
