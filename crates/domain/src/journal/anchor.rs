//! Anchors: signed heads of a chain that leave the machine.
//!
//! A chain that is whole in itself may still have lost its tail, or have been computed anew from
//! some record on. Against a head that was written down elsewhere, both are found. What an anchor
//! proves is that the holder of its key saw the chain end with this record at this time; what came
//! after the last anchor is not proven, and what was false when it was signed stays false.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Broken, Digest, Head, Record};
use crate::name::RolloutId;

/// An Ed25519 signature (RFC 8032), written as 128 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature(pub [u8; 64]);

/// A text that is no signature.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a signature is 128 lower-case hexadecimal digits")]
pub struct BadSignature;

impl TryFrom<String> for Signature {
    type Error = BadSignature;
    fn try_from(text: String) -> Result<Self, BadSignature> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(BadSignature),
        };
        let mut bytes = [0; 64];
        if text.len() != 2 * bytes.len() {
            return Err(BadSignature);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> String {
        signature.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Which document this is; no signature of another kind of document can be taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Anchor,
}

/// Which form of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum ApiVersion {
    #[serde(rename = "presurge/v1")]
    V1,
}

/// What is signed: that a chain ended with this record when somebody looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Whose journal.
    pub rollout: RolloutId,
    /// The number and the hash of the last record.
    pub head: Head,
    /// When it was signed, by the clock of the signer.
    pub at: Timestamp,
    /// The digest of the public key (its SubjectPublicKeyInfo in DER, RFC 8410).
    pub key: Digest,
}

impl Statement {
    /// The bytes that are signed: the canonical JSON (RFC 8785) of the anchor without its
    /// signature.
    pub fn bytes(&self) -> Vec<u8> {
        let anchor = self.clone().signed(Signature([0; 64]));
        anchor.unsigned()
    }

    /// The anchor that this becomes with its signature.
    pub fn signed(self, signature: Signature) -> Anchor {
        Anchor {
            api_version: ApiVersion::V1,
            kind: Kind::Anchor,
            rollout: self.rollout,
            seq: self.head.seq,
            hash: self.head.hash,
            at: self.at,
            key: self.key,
            signature,
        }
    }
}

/// One line of a file of anchors: a statement and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Anchor {
    api_version: ApiVersion,
    kind: Kind,
    /// Whose journal.
    pub rollout: RolloutId,
    /// The number of its last record.
    pub seq: u64,
    /// The hash of its last record.
    pub hash: Digest,
    /// When it was signed, by the clock of the signer.
    pub at: Timestamp,
    /// The digest of the public key (its SubjectPublicKeyInfo in DER, RFC 8410).
    pub key: Digest,
    /// Over the canonical JSON of the anchor without this field.
    pub signature: Signature,
}

impl Anchor {
    /// The bytes under the signature, see [`Statement::bytes`].
    pub fn unsigned(&self) -> Vec<u8> {
        let mut value = serde_json::to_value(self).expect("an anchor is plain data");
        if let Some(object) = value.as_object_mut() {
            object.remove("signature");
        }
        serde_json_canonicalizer::to_vec(&value).expect("plain data has canonical JSON")
    }
}

/// A head that is known from elsewhere and trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHead {
    /// The number and the hash of a record.
    pub head: Head,
    /// Where it is known from, in words: “the head that was signed at …”.
    pub from: String,
}

/// Holds a chain, which [`super::verify`] has found whole in itself, against heads that are known
/// from elsewhere. Returns the number of the last record that they prove, 0 for none.
///
/// Where a chain was computed anew, the first record that differs lies behind the last head that
/// agrees; which one it is, nothing can tell. The record that is named is the first whose hash is
/// known to be another.
pub fn prove(records: &[Record], known: &[KnownHead]) -> Result<u64, Broken> {
    let mut known: Vec<&KnownHead> = known.iter().collect();
    known.sort_by_key(|known| known.head.seq);
    let mut proven = 0;
    for KnownHead { head, from } in known {
        let index = head.seq.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let Some(index) = index else { continue };
        let Some(record) = records.get(index) else {
            let last = records.last().map_or(0, |record| record.seq);
            let what =
                format!("is missing: the tail was cut, since {from} is of record {}", head.seq);
            return Err(Broken { seq: last + 1, what });
        };
        if record.hash != head.hash {
            let first = proven + 1;
            let span = if first == head.seq {
                String::new()
            } else {
                format!(", and the first record that was changed is one of {first} to {}", head.seq)
            };
            let what = format!(
                "has another hash than {from}, {}: the chain was computed anew{span}",
                head.hash
            );
            return Err(Broken { seq: head.seq, what });
        }
        proven = head.seq;
    }
    Ok(proven)
}
