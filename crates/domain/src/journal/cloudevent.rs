//! Records as CloudEvents 1.0 in their JSON format
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).
//!
//! Nothing of a record is lost: what has no place of its own becomes an extension attribute, so
//! that the chain can be verified after the events have gone through any number of brokers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Actor, Digest, Record};
use crate::name::{BadName, RolloutId};

/// The type of an event is its name in the journal behind this.
const TYPE: &str = "presurge.";

/// An event of a journal as a CloudEvent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudEvent {
    /// The version of CloudEvents, `1.0`.
    pub specversion: String,
    /// The sequence number; unique together with `source`.
    pub id: String,
    /// The chain, as a reference that any reader of URIs takes: `/presurge/rollouts/NAME%231`.
    pub source: String,
    /// `presurge.` and the name of the event.
    #[serde(rename = "type")]
    pub kind: String,
    /// RFC 3339 in UTC.
    pub time: Timestamp,
    /// What `data` is.
    pub datacontenttype: String,
    /// The event's fields.
    pub data: Value,
    /// The sequence number with leading zeros, so that texts sort as numbers do (the extension
    /// Sequence of CloudEvents).
    pub sequence: String,
    /// The id of the rollout.
    pub rollout: String,
    /// Who.
    pub actor: String,
    /// Why, in words.
    pub reason: String,
    /// The sequence number of the event that this one follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Digest of the inputs of a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Digest>,
    /// The hash of the record before.
    pub previoushash: Digest,
    /// The hash of the record: of the record, not of this event.
    pub hash: Digest,
}

/// Why an event is none of a journal.
#[derive(Debug, thiserror::Error)]
pub enum NoEvent {
    /// An attribute is not what the export writes.
    #[error("the attribute {0} of this event is not as `presurge audit export` writes it")]
    Attribute(&'static str),
    /// The rollout has no name that could be one.
    #[error("the attribute rollout is no id of a rollout")]
    Rollout(#[from] BadName),
}

impl From<&Record> for CloudEvent {
    fn from(record: &Record) -> Self {
        Self {
            specversion: "1.0".into(),
            id: record.seq.to_string(),
            source: source_of(&record.rollout),
            kind: format!("{TYPE}{}", record.kind),
            time: record.at,
            datacontenttype: "application/json".into(),
            data: record.payload.clone(),
            sequence: sequence(record.seq),
            rollout: record.rollout.to_string(),
            actor: record.actor.0.clone(),
            reason: record.reason.clone(),
            cause: record.cause.map(|seq| seq.to_string()),
            inputs: record.inputs.clone(),
            previoushash: record.previous.clone(),
            hash: record.hash.clone(),
        }
    }
}

impl CloudEvent {
    /// The record that the event was made of. Its hash is not checked here.
    pub fn into_record(self) -> Result<Record, NoEvent> {
        let bad = |name| Err(NoEvent::Attribute(name));
        let Ok(seq) = self.id.parse() else { return bad("id") };
        let rollout = RolloutId::new(self.rollout)?;
        if self.specversion != "1.0" {
            return bad("specversion");
        }
        if self.id != u64::to_string(&seq) {
            return bad("id");
        }
        if self.sequence != sequence(seq) {
            return bad("sequence");
        }
        if self.source != source_of(&rollout) {
            return bad("source");
        }
        if self.datacontenttype != "application/json" {
            return bad("datacontenttype");
        }
        let Some(kind) = self.kind.strip_prefix(TYPE) else { return bad("type") };
        let cause = match self.cause.as_deref().map(str::parse) {
            Some(Err(_)) => return bad("cause"),
            Some(Ok(seq)) => Some(seq),
            None => None,
        };
        Ok(Record {
            seq,
            at: self.time,
            actor: Actor(self.actor),
            rollout,
            kind: kind.to_owned(),
            cause,
            reason: self.reason,
            inputs: self.inputs,
            payload: self.data,
            previous: self.previoushash,
            hash: self.hash,
        })
    }
}

fn sequence(seq: u64) -> String {
    format!("{seq:020}")
}

/// Where events of a rollout come from, as a reference that any reader of URIs takes.
///
/// Everything but the unreserved characters of RFC 3986, section 2.3, and `@` is escaped.
pub fn source_of(rollout: &RolloutId) -> String {
    let mut text = String::from("/presurge/rollouts/");
    for byte in rollout.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
