use async_trait::async_trait;

use super::PortError;
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
}
