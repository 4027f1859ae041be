//! The journal: numbered, hash-chained records; state is their fold and nothing else.

mod anchor;
mod cloudevent;
mod line;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::event::Event;
use crate::name::RolloutId;
use crate::schema::Moment;

pub use anchor::{Anchor, BadSignature, KnownHead, Signature, Statement, prove};
pub use cloudevent::{CloudEvent, NoEvent, source_of};
pub use line::{BadLine, read_line, verify_lines};

/// A SHA-256 digest, written `sha256:` and 64 hexadecimal digits.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Digest(String);

/// A text that is no digest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a digest is sha256: and 64 lower-case hexadecimal digits, not {0:?}")]
pub struct BadDigest(String);

impl TryFrom<String> for Digest {
    type Error = BadDigest;
    fn try_from(text: String) -> Result<Self, BadDigest> {
        let hex = text.strip_prefix("sha256:").unwrap_or("");
        let good = hex.len() == 64 && hex.bytes().all(|b| b"0123456789abcdef".contains(&b));
        if good { Ok(Self(text)) } else { Err(BadDigest(text.chars().take(80).collect())) }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Digest {
    /// The digest of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let hash = Sha256::digest(bytes);
        let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
        let digits = hash.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        Self("sha256:".chars().chain(digits).collect())
    }

    /// Before the first record there is nothing: 64 zeros.
    pub fn zero() -> Self {
        Self(format!("sha256:{}", "0".repeat(64)))
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.0["sha256:".len().."sha256:".len() + 12]
    }
}

/// The digest of a value: SHA-256 over its RFC 8785 canonical JSON.
pub fn digest_of(value: &impl Serialize) -> Digest {
    let bytes = serde_json_canonicalizer::to_vec(value).expect("plain data has canonical JSON");
    Digest::of_bytes(&bytes)
}

/// Who caused an event: `presurge`, `operator:NAME`, `planner`, …
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Actor(pub String);

impl Actor {
    /// The decider.
    pub fn decider() -> Self {
        Self("presurge".into())
    }

    /// The outside world, as an adapter reported it.
    pub fn world() -> Self {
        Self("world".into())
    }

    /// A person, by login name.
    pub fn operator(name: &str) -> Self {
        Self(format!("operator:{name}"))
    }
}

/// An event that has no place in the journal yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When it happened, by the clock of the driver.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// The sequence number of the event that it follows from.
    pub cause: Option<u64>,
    /// Why, in words.
    pub reason: String,
    /// Digest of the inputs of a decision, kept in the archive.
    pub inputs: Option<Digest>,
    /// What happened.
    pub event: Event,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// Counts up from 1 without gaps.
    pub seq: u64,
    /// RFC 3339 in UTC.
    #[schemars(with = "Moment")]
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// Whose journal.
    pub rollout: RolloutId,
    /// The name of the event, as in `payload`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The event that this one follows from.
    pub cause: Option<u64>,
    /// Why, in words.
    pub reason: String,
    /// Digest of the inputs of a decision.
    pub inputs: Option<Digest>,
    /// The event's fields.
    pub payload: Value,
    /// The hash of the record before.
    pub previous: Digest,
    /// SHA-256 over the canonical JSON of the record without this field.
    pub hash: Digest,
}

/// What the hash of a record is computed over: all of it but the hash.
#[derive(Serialize)]
struct Hashed<'a> {
    seq: u64,
    at: Timestamp,
    actor: &'a Actor,
    rollout: &'a RolloutId,
    #[serde(rename = "type")]
    kind: &'a str,
    cause: Option<u64>,
    reason: &'a str,
    inputs: Option<&'a Digest>,
    payload: &'a Value,
    previous: &'a Digest,
}

/// Where a chain ends: the number and the hash of its last record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last sequence number, 0 for an empty chain.
    pub seq: u64,
    /// The last hash, zeros for an empty chain.
    pub hash: Digest,
}

impl Head {
    /// The head of an empty chain.
    pub fn empty() -> Self {
        Self { seq: 0, hash: Digest::zero() }
    }
}

impl Record {
    /// The record that follows `head` in the journal of `rollout`.
    pub fn chain(rollout: &RolloutId, head: &Head, entry: Entry) -> Self {
        let (kind, payload) = entry.event.to_parts();
        let mut record = Self {
            seq: head.seq + 1,
            at: entry.at,
            actor: entry.actor,
            rollout: rollout.clone(),
            kind,
            cause: entry.cause,
            reason: entry.reason,
            inputs: entry.inputs,
            payload,
            previous: head.hash.clone(),
            hash: Digest::zero(),
        };
        record.hash = record.computed_hash();
        record
    }

    /// The hash that the record should carry.
    pub fn computed_hash(&self) -> Digest {
        let Self {
            seq, at, actor, rollout, kind, cause, reason, inputs, payload, previous, ..
        } = self;
        let (seq, at, cause, inputs) = (*seq, *at, *cause, inputs.as_ref());
        digest_of(&Hashed {
            seq,
            at,
            actor,
            rollout,
            kind,
            cause,
            reason,
            inputs,
            payload,
            previous,
        })
    }

    /// Whether the record is the next one of the chain that ends with `head`, unchanged.
    ///
    /// # Errors
    /// It is not; the error names the number that the next record would have.
    pub fn continues(&self, head: &Head) -> Result<(), Broken> {
        let follows = self.seq == head.seq + 1 && self.previous == head.hash;
        if follows && self.hash == self.computed_hash() {
            return Ok(());
        }
        Err(Broken { seq: head.seq + 1, what: "does not continue the record before it".into() })
    }

    /// The head of the chain that ends with this record.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash.clone() }
    }

    /// The event; an unknown one refuses to load.
    pub fn event(&self) -> Result<Event, UnknownEvent> {
        Event::from_parts(&self.kind, &self.payload).map_err(|source| UnknownEvent {
            seq: self.seq,
            kind: self.kind.clone(),
            source,
        })
    }
}

/// An event that this build does not know.
#[derive(Debug, thiserror::Error)]
#[error("record {seq}: this build cannot read event {kind:?}")]
pub struct UnknownEvent {
    seq: u64,
    kind: String,
    source: serde_json::Error,
}

/// The first place where a chain does not hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("record {seq}: {what}")]
pub struct Broken {
    /// The first bad sequence number.
    pub seq: u64,
    /// What is wrong with it.
    pub what: String,
}

/// Checks a whole chain: numbers without gaps, one rollout, each hash right, each record
/// pointing at the one before. Returns its head.
///
/// A cut tail and a chain that was computed anew cannot be seen from the chain alone: see [`prove`].
pub fn verify<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<Head, Broken> {
    let mut head = Head::empty();
    let mut rollout = None;
    for record in records {
        let seq = head.seq + 1;
        let broken = |what: String| Err(Broken { seq, what });
        if record.seq > seq {
            return broken(format!("is missing: the next record says {}", record.seq));
        }
        if record.seq < seq {
            return broken(format!(
                "is not in its place, where there is one that says {}: inserted or out of order",
                record.seq
            ));
        }
        if *rollout.get_or_insert(&record.rollout) != &record.rollout {
            return broken(format!("belongs to another rollout, {}", record.rollout));
        }
        if record.previous != head.hash {
            return broken("does not continue the record before it".into());
        }
        if record.hash != record.computed_hash() {
            return broken("was changed after it was written".into());
        }
        head = record.head();
    }
    Ok(head)
}
