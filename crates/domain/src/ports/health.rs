use async_trait::async_trait;

use super::{PortError, Target};
use crate::event::GateVerdict;

/// What one check of one server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is well, and what shows it: the value that was seen.
    Pass(String),
    /// It is not well, and how.
    Fail(String),
    /// The check could not tell: empty, `NaN`, no connection to the judge. Never a pass.
    Inconclusive(String),
}

impl Verdict {
    /// What was said, and what was seen.
    pub fn parts(&self) -> (GateVerdict, &str) {
        match self {
            Self::Pass(saw) => (GateVerdict::Pass, saw),
            Self::Fail(saw) => (GateVerdict::Fail, saw),
            Self::Inconclusive(saw) => (GateVerdict::Inconclusive, saw),
        }
    }
}

/// A health gate: HTTP, TCP, a command, a query.
#[async_trait]
pub trait Health: Send + Sync {
    /// Looks at one server once. A server that refuses the connection is a `Fail`, not an error;
    /// an error means that the gate itself is broken.
    async fn check(&self, target: &Target) -> Result<Verdict, PortError>;
}
