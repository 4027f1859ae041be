//! The kill switch, as people pull it and as `apply` finds it.

use domain::event::Event;
use domain::freeze::{BadFreezes, Freezes};
use domain::name::FleetName;
use domain::ports::Journal;
use jiff::Timestamp;

use super::chain::{self, ChainError};
use super::control::Petition;

/// Why freezes could not be read or written.
pub type FreezeError = ChainError<BadFreezes>;

/// A rollout may not begin.
#[derive(Debug, thiserror::Error)]
#[error("{0}\nnothing was begun; `presurge unfreeze` ends the freeze")]
pub struct IsFrozen(String);

/// The freezes of a store.
pub async fn read(journal: &dyn Journal) -> Result<Freezes, FreezeError> {
    chain::read(journal).await
}

/// Writes requests of a person, all or none; returns the freezes after them.
pub async fn write(
    journal: &dyn Journal,
    events: &[Event],
    petition: &Petition<'_>,
) -> Result<Freezes, FreezeError> {
    let entry = |event: &Event| chain::asked(event.clone(), petition);
    chain::write(journal, |_: &Freezes| events.iter().map(entry).collect()).await
}

/// Lets no rollout begin on a fleet that is frozen: its plan would be stale when it thaws.
pub async fn none_on(
    journal: &dyn Journal,
    fleet: &FleetName,
    now: Timestamp,
) -> Result<Result<(), IsFrozen>, FreezeError> {
    let freezes = read(journal).await?;
    Ok(freezes.on(fleet, now).map_or(Ok(()), |freeze| Err(IsFrozen(freeze.to_string()))))
}
