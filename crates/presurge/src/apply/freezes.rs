//! The kill switch, as people pull it and as `apply` finds it.

use domain::event::Event;
use domain::freeze::{BadFreezes, Freeze, Freezes};
use domain::journal::{Actor, Entry};
use domain::name::FleetName;
use domain::ports::{Append, AppendError, Authority, Journal, PortError};
use jiff::Timestamp;

use super::control::{TRIES, login};

/// Why freezes could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] PortError),
    /// Their chain cannot be read.
    #[error(transparent)]
    Bad(#[from] BadFreezes),
    /// Nothing was written.
    #[error("the request was not written")]
    Append(#[from] AppendError),
}

/// A rollout may not begin.
#[derive(Debug, thiserror::Error)]
#[error("{0}\nnothing was begun; `presurge unfreeze` ends the freeze")]
pub struct IsFrozen(String);

/// The freezes of a store.
pub async fn read(journal: &dyn Journal) -> Result<Freezes, FreezeError> {
    let mut freezes = Freezes::default();
    for record in journal.read(&Freezes::chain(), 0).await? {
        freezes.take(&record)?;
    }
    Ok(freezes)
}

/// Writes requests of a person, all or none; returns the freezes after them.
pub async fn write(
    journal: &dyn Journal,
    events: &[Event],
    reason: &str,
    now: Timestamp,
) -> Result<Freezes, FreezeError> {
    let entry = |event: &Event| Entry {
        at: now,
        actor: Actor::operator(&login()),
        cause: None,
        reason: reason.into(),
        inputs: None,
        event: event.clone(),
    };
    for tried in 0..TRIES {
        let mut freezes = read(journal).await?;
        let append = Append {
            rollout: &Freezes::chain(),
            authority: Authority::Operator,
            after: freezes.head(),
            entries: events.iter().map(entry).collect(),
        };
        match journal.append(append).await {
            Ok(records) => {
                for record in &records {
                    freezes.take(record)?;
                }
                return Ok(freezes);
            }
            Err(AppendError::Conflict(_)) if tried + 1 < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("the last try returns")
}

/// The freeze that stops a fleet now.
pub async fn on(
    journal: &dyn Journal,
    fleet: &FleetName,
    now: Timestamp,
) -> Result<Option<Freeze>, FreezeError> {
    Ok(read(journal).await?.on(fleet, now).cloned())
}

/// Lets no rollout begin on a fleet that is frozen: its plan would be stale when it thaws.
pub async fn none_on(
    journal: &dyn Journal,
    fleet: &FleetName,
    now: Timestamp,
) -> Result<Result<(), IsFrozen>, FreezeError> {
    let freeze = on(journal, fleet, now).await?;
    Ok(freeze.map_or(Ok(()), |freeze| Err(IsFrozen(freeze.to_string()))))
}
