//! Ctrl-C, and the polite ways of ending a process.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether the demo shall end. Copies say the same.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens to SIGINT, SIGTERM and SIGHUP from now on.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn on_signals() -> io::Result<Self> {
        let of = |kind| signal(kind);
        let (mut interrupt, mut terminate, mut hangup) =
            (of(SignalKind::interrupt())?, of(SignalKind::terminate())?, of(SignalKind::hangup())?);
        let (tell, told) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            tell.send_replace(true);
            tell.closed().await;
        });
        Ok(Self(told))
    }

    /// Returns when the demo shall end.
    pub async fn wanted(&self) {
        let mut told = self.0.clone();
        // The sender lives as long as anybody listens.
        let _ = told.wait_for(|wanted| *wanted).await;
    }
}
