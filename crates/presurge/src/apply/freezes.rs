//! The kill switch, as people pull it and as `apply` finds it.

use std::collections::BTreeSet;

use domain::config::nearest;
use domain::event::Event;
use domain::freeze::{BadFreezes, Freezes};
use domain::name::FleetName;
use domain::ports::Journal;
use jiff::Timestamp;

use super::chain::{self, ChainError};
use super::control::Petition;
use super::keyed;

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

/// Freezes fleets, `None` for everything, all or none; returns the freezes after it.
pub async fn declare(
    journal: &dyn Journal,
    scopes: &[Option<FleetName>],
    until: Option<Timestamp>,
    petition: &Petition<'_>,
) -> Result<Freezes, FreezeError> {
    let events = |_: &Freezes| {
        let event =
            |fleet: &Option<FleetName>| Event::FreezeRequested { fleet: fleet.clone(), until };
        scopes.iter().map(event).collect()
    };
    write(journal, events, petition).await
}

/// Ends freezes of fleets, `None` for those of everything, where any is in force; returns those after it.
pub async fn lift(
    journal: &dyn Journal,
    scopes: &[Option<FleetName>],
    petition: &Petition<'_>,
) -> Result<Freezes, FreezeError> {
    let events = |freezes: &Freezes| {
        let ends = |fleet: &&Option<FleetName>| {
            freezes.in_force(petition.at).any(|freeze| freeze.fleet == **fleet)
        };
        let event = |fleet: &Option<FleetName>| Event::UnfreezeRequested { fleet: fleet.clone() };
        scopes.iter().filter(ends).map(event).collect()
    };
    write(journal, events, petition).await
}

/// Writes what follows from the freezes, once for each request.
async fn write(
    journal: &dyn Journal,
    events: impl Fn(&Freezes) -> Vec<Event>,
    petition: &Petition<'_>,
) -> Result<Freezes, FreezeError> {
    let entries = |freezes: &Freezes| {
        if freezes.has_answered(petition.request.as_ref()) {
            return Vec::new();
        }
        events(freezes).into_iter().map(|event| chain::asked(event, petition)).collect()
    };
    chain::write(journal, entries).await
}

/// A warning for each fleet that neither files nor a rollout of the store are about: perhaps it is called
/// otherwise.
pub async fn unknown<'a>(
    journal: &dyn Journal,
    asked: &[FleetName],
    of_files: impl IntoIterator<Item = &'a FleetName>,
) -> Vec<String> {
    let mut known: BTreeSet<String> = of_files.into_iter().map(ToString::to_string).collect();
    if asked.iter().all(|fleet| known.contains(fleet.as_str())) {
        return Vec::new();
    }
    for id in chain::rollouts(journal).await.unwrap_or_default() {
        if let Ok(Some((state, _))) = keyed::state(journal, &id).await {
            known.insert(state.created.fleet.to_string());
        }
    }
    let warning = |fleet: &FleetName| {
        let near = nearest(fleet.as_str(), known.iter().map(String::as_str));
        let near = near.map_or(String::new(), |near| format!("; did you mean {near:?}?"));
        format!("no rollout of this store is about a fleet {:?} yet{near}", fleet.as_str())
    };
    asked.iter().filter(|fleet| !known.contains(fleet.as_str())).map(warning).collect()
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
