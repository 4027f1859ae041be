use async_trait::async_trait;
use jiff::Timestamp;

use super::PortError;
use crate::signal::Signal;

/// What a source tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    /// Scheduled events: without them nobody knows what is coming.
    Events,
    /// Series: without them a forecast knows less, and says so by its width.
    Series,
}

/// Where signals come from: a calendar, a table of holidays, a file of outside series.
#[async_trait]
pub trait SignalSource: Send + Sync {
    /// What it tells of.
    fn tells(&self) -> Tells;

    /// Its signals, as they are known at `now`, of the time `[from, until)`; each name once.
    ///
    /// Events: every one that touches that time, past and to come; a category of which none does
    /// is there without times. Series: the samples stamped in that time, those of a series that is
    /// known up to now only before `now`, whatever the source holds. Nothing there: empty lists,
    /// no error.
    async fn signals(
        &self,
        from: Timestamp,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Signal>, PortError>;
}
