//! Saved state: bytes that give back the same numbers to the last bit, on any machine.
//!
//! The encoding is postcard's (little-endian floats, variable-length integers), which is
//! written down and stable over its 1.x versions.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::models::Fitted;

/// Why saved state cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The bytes are not what was written: cut off, changed, or of something else.
    #[error("the saved state is damaged: {what}")]
    Damaged {
        /// What is wrong with them.
        what: String,
    },
    /// The state was written by a later version of this crate.
    #[error("the saved state has format {found}, and this version reads formats up to {known}")]
    Newer {
        /// The format of the bytes.
        found: u16,
        /// The newest format that can be read.
        known: u16,
    },
    /// The state holds a model that this version does not have.
    #[error("the saved state holds the model {name:?}, which this version does not have")]
    UnknownModel {
        /// The name of the model.
        name: String,
    },
}

/// The bytes of a value.
pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data of known length can be written to memory")
}

/// The value of these bytes, all of which belong to it.
pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateError> {
    let damaged = |what: String| StateError::Damaged { what };
    let (value, rest) =
        postcard::take_from_bytes(bytes).map_err(|error| damaged(error.to_string()))?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(damaged(format!("{} bytes follow its end", rest.len())))
    }
}

/// The fitted model of these bytes; what [`crate::models::Model::restore`] is made of.
pub(crate) fn restore<T: Fitted + DeserializeOwned + 'static>(
    bytes: &[u8],
) -> Result<Box<dyn Fitted>, StateError> {
    Ok(Box::new(from_bytes::<T>(bytes)?))
}

/// Fowler, Noll and Vo's hash of 64 bits: any single changed byte changes it.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
