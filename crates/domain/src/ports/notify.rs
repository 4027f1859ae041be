use async_trait::async_trait;

use super::{PortError, Retry};
use crate::journal::Anchor;
use crate::notice::Notice;

/// Where people are told: a chat, a pager, any webhook.
#[async_trait]
pub trait Notify: Send + Sync {
    /// Whether the receiver can be reached. Nobody is told anything.
    async fn reach(&self) -> Result<(), PortError>;

    /// Tells it, once. `Ok`: the receiver took it. It may have taken it as well when this fails, and
    /// is then told again under the same [id](Notice::id). No text of an error has the secret part
    /// of an address in it.
    async fn tell(&self, notice: &Notice) -> Result<(), PortError>;

    /// Whether it keeps what it is handed, so that somebody finds it there later.
    fn keeps_anchors(&self) -> bool {
        false
    }

    /// Hands over the signed head of a journal, once, to be kept where the journal is not. `Ok`: the
    /// receiver took it. Errors are those of [`tell`](Self::tell); who
    /// [keeps none](Self::keeps_anchors) says so.
    async fn keep(&self, anchor: &Anchor) -> Result<(), PortError> {
        let what = format!("the head of {}", anchor.rollout);
        Err(PortError::new(what, "keep", Retry::Never, "this receiver keeps no anchors"))
    }
}
