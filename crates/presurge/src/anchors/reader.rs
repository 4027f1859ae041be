//! Reads files of anchors, and trusts nothing that is not signed by a given key.

use std::path::{Path, PathBuf};

use domain::journal::{Anchor, Digest};
use domain::name::RolloutId;
use serde::Deserialize as _;
use serde_json::Value;

use super::key::PublicKey;

/// Why a file of anchors proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{0}: the anchors cannot be read")]
    Io(PathBuf, #[source] std::io::Error),
    /// Somebody else signed.
    #[error(
        "{file}:{line}: this anchor is signed with the key {key}, which is none of those given; \
         give its public key with --public-key if you trust it"
    )]
    OtherKey {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key that it names.
        key: Digest,
    },
    /// The signature is none of this text.
    #[error("{file}:{line}: the signature of this anchor is wrong: it was changed or forged")]
    Forged {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

/// Anchors whose signatures hold, and what else was in their file.
#[derive(Debug)]
pub struct Trusted {
    /// Of any rollouts, in the order of the file.
    pub anchors: Vec<Anchor>,
    /// Lines that are no anchors, for instance one that was cut short. They count for nothing.
    pub warnings: Vec<String>,
}

impl Trusted {
    /// Whether there is an anchor of a chain.
    pub fn has(&self, chain: &RolloutId) -> bool {
        self.anchors.iter().any(|anchor| anchor.rollout == *chain)
    }
}

/// A line is an anchor, or the CloudEvent in which a webhook was handed one.
fn anchor_of(line: &[u8]) -> Result<Anchor, serde_json::Error> {
    let mut value: Value = serde_json::from_slice(line)?;
    let handed = value.get("type").is_some_and(|kind| kind == "presurge.anchor");
    Anchor::deserialize(if handed { value["data"].take() } else { value })
}

/// Reads a file of anchors, or of what a webhook was handed, one a line. Every one has to be signed with one of the keys.
pub fn read(file: &Path, keys: &[PublicKey]) -> Result<Trusted, ReadError> {
    let bytes = std::fs::read(file).map_err(|error| ReadError::Io(file.to_owned(), error))?;
    let mut trusted = Trusted { anchors: Vec::new(), warnings: Vec::new() };
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let number = index + 1;
        let anchor: Anchor = match anchor_of(line) {
            Ok(anchor) => anchor,
            Err(error) => {
                let place = format!("{}:{number}", file.display());
                let text =
                    format!("{place}: this line is no anchor and counts for nothing: {error}");
                trusted.warnings.push(text);
                continue;
            }
        };
        let (file, line) = (file.to_owned(), number);
        let Some(key) = keys.iter().find(|key| *key.id() == anchor.key) else {
            return Err(ReadError::OtherKey { file, line, key: anchor.key });
        };
        if !key.signed(&anchor) {
            return Err(ReadError::Forged { file, line });
        }
        trusted.anchors.push(anchor);
    }
    Ok(trusted)
}
