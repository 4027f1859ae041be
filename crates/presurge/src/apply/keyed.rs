//! `apply` is keyed by name and specification: the same one goes on, another one is refused
//! while the first is open.

use std::collections::BTreeMap;

use domain::event::Outcome;
use domain::journal::{Digest, Record};
use domain::name::{FleetName, RolloutId};
use domain::ports::{Journal, PortError};
use rollout::State;
use rollout::machine::{FoldError, fold};

/// What `apply` finds under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or only attempts that have ended otherwise: this is the next attempt.
    New(RolloutId),
    /// The same specification is under way.
    Open(RolloutId),
    /// The same specification was done.
    Done(RolloutId),
    /// Another specification is under way.
    OtherOpen(RolloutId),
}

/// Why a journal could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] PortError),
    /// A journal cannot be folded.
    #[error("the journal of {0} cannot be read; `presurge audit verify {0}` says more")]
    Fold(RolloutId, #[source] FoldError),
    /// No rollout of that name.
    #[error("there is no rollout {0:?} in the store; `presurge rollout list` shows what there is")]
    NoSuch(String),
}

/// The number of an attempt, where `id` is one of `name`.
fn attempt(id: &RolloutId, name: &str) -> Option<u32> {
    let (of, number) = id.as_str().rsplit_once('#')?;
    if of == name { number.parse().ok() } else { None }
}

/// The name of the chain of one fleet, where a rollout is over several.
pub fn of_fleet(name: &str, fleet: &FleetName) -> String {
    format!("{name}@{fleet}")
}

/// The newest attempts under a name: of the rollout, and of each fleet where it is over several;
/// or the one attempt whose whole id it is.
pub async fn existing_all(journal: &dyn Journal, name: &str) -> Result<Vec<RolloutId>, LookError> {
    let all = journal.rollouts().await?;
    if let Some(exact) = all.iter().find(|id| id.as_str() == name) {
        return Ok(vec![exact.clone()]);
    }
    let mut chains: BTreeMap<String, (u32, RolloutId)> = BTreeMap::new();
    for id in all {
        let Some((chain, number)) = id.as_str().rsplit_once('#') else { continue };
        let ours =
            chain == name || chain.strip_prefix(name).is_some_and(|fleet| fleet.starts_with('@'));
        let (true, Ok(number)) = (ours, number.parse()) else { continue };
        let chain = chain.to_owned();
        if chains.get(&chain).is_none_or(|(known, _)| *known < number) {
            chains.insert(chain, (number, id));
        }
    }
    if chains.is_empty() {
        return Err(LookError::NoSuch(name.to_owned()));
    }
    Ok(chains.into_values().map(|(_, id)| id).collect())
}

/// The state of a rollout, with its records; `None` when it has none.
pub async fn state(
    journal: &dyn Journal,
    id: &RolloutId,
) -> Result<Option<(State, Vec<Record>)>, LookError> {
    let records = journal.read(id, 0).await?;
    let state = fold(&records).map_err(|e| LookError::Fold(id.clone(), e))?;
    Ok(state.map(|state| (state, records)))
}

/// The attempts of a rollout, or of one of its fleets, the first one first.
pub async fn attempts(journal: &dyn Journal, name: &str) -> Result<Vec<RolloutId>, LookError> {
    let all = journal.rollouts().await?.into_iter();
    let mut numbered: Vec<_> = all.filter_map(|id| Some((attempt(&id, name)?, id))).collect();
    numbered.sort_by_key(|(number, _)| *number);
    Ok(numbered.into_iter().map(|(_, id)| id).collect())
}

/// The newest attempt of a rollout, by its name or by its whole id.
pub async fn newest(journal: &dyn Journal, name: &str) -> Result<Option<RolloutId>, LookError> {
    let all = journal.rollouts().await?;
    if let Some(exact) = all.iter().find(|id| id.as_str() == name) {
        return Ok(Some(exact.clone()));
    }
    let numbered = all.into_iter().filter_map(|id| Some((attempt(&id, name)?, id)));
    Ok(numbered.max_by_key(|(number, _)| *number).map(|(_, id)| id))
}

/// The newest attempt of a rollout, or an error that says so.
pub async fn existing(journal: &dyn Journal, name: &str) -> Result<RolloutId, LookError> {
    newest(journal, name).await?.ok_or_else(|| LookError::NoSuch(name.to_owned()))
}

/// What there is under a name, for a specification.
pub async fn find(journal: &dyn Journal, name: &str, spec: &Digest) -> Result<Found, LookError> {
    let next = |number: u32| {
        RolloutId::new(format!("{name}#{number}")).expect("a rollout name and a number are an id")
    };
    let Some(id) = newest(journal, name).await? else { return Ok(Found::New(next(1))) };
    let number = attempt(&id, name).unwrap_or(0);
    let Some((state, _)) = state(journal, &id).await? else { return Ok(Found::New(id)) };
    let same = state.created.spec == *spec;
    Ok(match state.outcome() {
        None if same => Found::Open(id),
        None => Found::OtherOpen(id),
        Some(Outcome::Done) if same => Found::Done(id),
        Some(_) => Found::New(next(number + 1)),
    })
}
