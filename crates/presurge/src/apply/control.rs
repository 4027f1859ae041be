//! What people ask of a rollout that is under way: the request is an event in its journal.

use domain::event::Event;
use domain::journal::{Actor, Entry, Head, Record};
use domain::name::RolloutId;
use domain::ports::{Append, AppendError, Authority, Journal};
use jiff::Timestamp;

use super::keyed::{self, LookError};

/// A driver may write at the same moment; so many conflicts in a row are a defect.
pub(super) const TRIES: usize = 20;

/// Why a request was not written.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// See [`LookError`].
    #[error(transparent)]
    Look(#[from] LookError),
    /// The rollout has ended.
    #[error("{id} has ended; there is nothing to {verb}")]
    Ended {
        /// Which rollout.
        id: RolloutId,
        /// What was asked.
        verb: &'static str,
    },
    /// Nothing was written.
    #[error("the request was not written")]
    Append(#[from] AppendError),
}

/// Writes a request of a person into the journal of the newest attempt of `name`.
pub async fn request(
    journal: &dyn Journal,
    name: &str,
    verb: &'static str,
    event: Event,
    reason: &str,
    now: Timestamp,
) -> Result<RolloutId, ControlError> {
    let id = keyed::existing(journal, name).await?;
    for tried in 0..TRIES {
        let (state, records) =
            keyed::state(journal, &id).await?.ok_or_else(|| LookError::NoSuch(name.to_owned()))?;
        if state.outcome().is_some() {
            return Err(ControlError::Ended { id, verb });
        }
        let after = records.last().map_or_else(Head::empty, Record::head);
        let entry = Entry {
            at: now,
            actor: Actor::operator(&login()),
            cause: None,
            reason: if reason.is_empty() { format!("{verb} was asked for") } else { reason.into() },
            inputs: None,
            event: event.clone(),
        };
        let (authority, entries) = (Authority::Operator, vec![entry]);
        match journal.append(Append { rollout: &id, authority, after: &after, entries }).await {
            Ok(_) => return Ok(id),
            Err(AppendError::Conflict(_)) if tried + 1 < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("the last try returns")
}

/// The name under which a person is known on this machine.
pub fn login() -> String {
    let of = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    of("SUDO_USER")
        .or_else(|| of("USER"))
        .or_else(|| of("LOGNAME"))
        .unwrap_or_else(|| "unknown".into())
}
