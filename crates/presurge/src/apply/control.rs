//! What people ask of a rollout that is under way: the request is an event in its journal.

use std::str::FromStr;

use domain::event::Event;
use domain::journal::{Actor, Digest, Head, Record};
use domain::name::RolloutId;
use domain::ports::{Append, AppendError, Authority, Journal};
use jiff::Timestamp;
use rollout::State;

use super::chain;
use super::keyed::{self, LookError};

/// A driver may write at the same moment; so many conflicts in a row are a defect.
pub(super) const TRIES: usize = 20;

/// What goes with a request of a person.
#[derive(Debug, Clone)]
pub struct Petition<'a> {
    /// Who asks.
    pub by: Actor,
    /// Why, for the journal.
    pub reason: &'a str,
    /// When.
    pub at: Timestamp,
    /// The request itself, in the archive, where it may come again: one that stands in the journal
    /// already is not written a second time.
    pub request: Option<Digest>,
}

impl<'a> Petition<'a> {
    /// Whoever is logged in on this machine asks.
    pub fn here(reason: &'a str, at: Timestamp) -> Self {
        Self { by: Actor::operator(&login()), reason, at, request: None }
    }
}

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
    /// It is not possible here, or not for this person.
    #[error("{id}: {why}")]
    Refused {
        /// Which rollout.
        id: RolloutId,
        /// Why not.
        why: String,
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
    petition: &Petition<'_>,
) -> Result<RolloutId, ControlError> {
    let id = keyed::existing(journal, name).await?;
    let ask = |_: &State| Ok(event.clone());
    write(journal, id, verb, ask, petition).await
}

/// Asks for a roll-back of a rollout, where it can be rolled back.
pub async fn roll_back(
    journal: &dyn Journal,
    id: RolloutId,
    petition: &Petition<'_>,
) -> Result<RolloutId, ControlError> {
    let ask = |state: &State| {
        state.may_roll_back()?;
        Ok(Event::RollbackRequested {})
    };
    write(journal, id, "roll back", ask, petition).await
}

/// What a person says of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It may be performed.
    Approve,
    /// It may not.
    Reject,
}

/// So many digits of a digest name a plan: chance does not make two plans with the same.
const LEAST_DIGITS: usize = 12;

/// A digest as a person types it: whole, or its beginning.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DigestStart(String);

impl FromStr for DigestStart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let known = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !known || digits.len() < LEAST_DIGITS {
            return Err(format!(
                "expected a digest, or at least its first {LEAST_DIGITS} digits, as `presurge \
                 rollout show` prints it"
            ));
        }
        Ok(Self(format!("sha256:{digits}")))
    }
}

impl DigestStart {
    fn is_of(&self, digest: &Digest) -> bool {
        digest.to_string().starts_with(&self.0)
    }
}

/// Approves or rejects the plan in force of a rollout.
pub async fn judge_plan(
    journal: &dyn Journal,
    id: RolloutId,
    start: &DigestStart,
    judgement: Judgement,
    petition: &Petition<'_>,
) -> Result<RolloutId, ControlError> {
    let ask = |state: &State| {
        let plan = state.plan.as_ref().ok_or("there is no plan yet")?;
        let digest = plan.digest.clone();
        if !start.is_of(&digest) {
            return Err(format!(
                "the plan in force is {digest}, revision {}; look at it first: `presurge rollout \
                 show {} -o json`",
                plan.revision, state.id
            ));
        }
        state.may_approve(&petition.by.0, &digest)?;
        Ok(match judgement {
            Judgement::Approve => Event::PlanApproved { digest },
            Judgement::Reject => Event::PlanRejected { digest },
        })
    };
    let verb = match judgement {
        Judgement::Approve => "approve",
        Judgement::Reject => "reject",
    };
    write(journal, id, verb, ask, petition).await
}

/// Writes what `ask` makes of the state, as long as nobody else writes between.
async fn write(
    journal: &dyn Journal,
    id: RolloutId,
    verb: &'static str,
    ask: impl Fn(&State) -> Result<Event, String>,
    petition: &Petition<'_>,
) -> Result<RolloutId, ControlError> {
    for tried in 0..TRIES {
        let (state, records) =
            keyed::state(journal, &id).await?.ok_or_else(|| LookError::NoSuch(id.to_string()))?;
        let written = |record: &Record| record.inputs == petition.request;
        if petition.request.is_some() && records.iter().any(written) {
            return Ok(id);
        }
        if state.outcome().is_some() {
            return Err(ControlError::Ended { id, verb });
        }
        let event = ask(&state);
        let event = event.map_err(|why| ControlError::Refused { id: id.clone(), why })?;
        let after = records.last().map_or_else(Head::empty, Record::head);
        let mut entry = chain::asked(event, petition);
        if petition.reason.is_empty() {
            entry.reason = format!("{verb} was asked for");
        }
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
