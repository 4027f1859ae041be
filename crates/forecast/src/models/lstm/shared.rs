//! Weights that thousands of forecasters share, and how their saved state names them.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::weights::Weights;

/// Weights beside the state of one series. Saved state names those that are part of the program
/// by their checksum, and holds all others whole, so that it can be read wherever it is taken.
#[derive(Debug, Clone)]
pub(super) struct Shared(pub(super) Arc<Weights>);

#[derive(Serialize, Deserialize)]
struct Named {
    id: u64,
    /// The file; empty for the weights that are part of the program.
    file: Vec<u8>,
}

impl Serialize for Shared {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let id = self.0.id();
        let file = if id == super::shipped().id() { Vec::new() } else { self.0.to_bytes() };
        Named { id, file }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Named { id, file } = Named::deserialize(deserializer)?;
        let weights = if file.is_empty() {
            super::shipped()
        } else {
            Arc::new(Weights::from_bytes(&file).map_err(de::Error::custom)?)
        };
        if weights.id() != id {
            return Err(de::Error::custom("the state was made with other LSTM weights"));
        }
        Ok(Self(weights))
    }
}
