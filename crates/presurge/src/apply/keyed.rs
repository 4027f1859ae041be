//! `apply` is keyed by name and specification: the same one goes on, another one is refused
//! while the first is open.

use domain::event::Outcome;
use domain::journal::{Digest, Record};
use domain::name::RolloutId;
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

/// The state of a rollout, with its records; `None` when it has none.
pub async fn state(
    journal: &dyn Journal,
    id: &RolloutId,
) -> Result<Option<(State, Vec<Record>)>, LookError> {
    let records = journal.read(id, 0).await?;
    let state = fold(&records).map_err(|e| LookError::Fold(id.clone(), e))?;
    Ok(state.map(|state| (state, records)))
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
