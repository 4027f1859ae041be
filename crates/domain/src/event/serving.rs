//! What a load balancer showed of single servers.

use serde::{Deserialize, Serialize};

use crate::name::ServerName;

/// How evenly requests were shared out among servers in full service, over stretches of a minute and
/// more in which those stayed the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SharedOut {
    /// How many stretches were seen.
    pub stretches: u32,
    /// Mean over peak of what servers got for what they carry, in (0, 1]; the mean over the stretches.
    pub balance: f64,
    /// The least of them.
    pub least: f64,
}

/// What is known of a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Known {
    /// It was this.
    Exactly,
    /// It had not ended by then.
    AtLeast,
    /// It had ended by then.
    AtMost,
}

/// How long a server that came back took until it answered as fast as it did later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WarmUp {
    /// Which server.
    pub server: ServerName,
    /// Seconds since it got traffic again.
    pub seconds: f64,
    /// What is known of them.
    pub known: Known,
}
