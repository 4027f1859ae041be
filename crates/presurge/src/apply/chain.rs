//! Chains of their own beside those of the rollouts of a store: read as a whole, written by people and
//! by whoever has learned something.

use std::error::Error;

use domain::advice::{Advice, BadAdvice};
use domain::event::Event;
use domain::freeze::{BadFreezes, Freezes};
use domain::journal::{Entry, Head, Record};
use domain::learned::{BadLessons, Learned};
use domain::models::{BadModels, Models};
use domain::name::RolloutId;
use domain::permit::{BadPermits, Permits};
use domain::ports::{Append, AppendError, Authority, Journal, PortError};

use super::control::{Petition, TRIES};

/// The fold of such a chain.
pub trait Chain: Default {
    /// Why it cannot be read.
    type Bad: Error + Send + Sync + 'static;
    /// Its name.
    fn name() -> RolloutId;
    /// The last record that was taken in.
    fn head(&self) -> &Head;
    /// Takes one more record in.
    fn take(&mut self, record: &Record) -> Result<(), Self::Bad>;
}

impl Chain for Freezes {
    type Bad = BadFreezes;
    fn name() -> RolloutId {
        Self::chain()
    }
    fn head(&self) -> &Head {
        self.head()
    }
    fn take(&mut self, record: &Record) -> Result<(), BadFreezes> {
        self.take(record)
    }
}

impl Chain for Learned {
    type Bad = BadLessons;
    fn name() -> RolloutId {
        Self::chain()
    }
    fn head(&self) -> &Head {
        self.head()
    }
    fn take(&mut self, record: &Record) -> Result<(), BadLessons> {
        self.take(record)
    }
}

impl Chain for Models {
    type Bad = BadModels;
    fn name() -> RolloutId {
        Self::chain()
    }
    fn head(&self) -> &Head {
        self.head()
    }
    fn take(&mut self, record: &Record) -> Result<(), BadModels> {
        self.take(record)
    }
}

impl Chain for Permits {
    type Bad = BadPermits;
    fn name() -> RolloutId {
        Self::chain()
    }
    fn head(&self) -> &Head {
        self.head()
    }
    fn take(&mut self, record: &Record) -> Result<(), BadPermits> {
        self.take(record)
    }
}

impl Chain for Advice {
    type Bad = BadAdvice;
    fn name() -> RolloutId {
        Self::chain()
    }
    fn head(&self) -> &Head {
        self.head()
    }
    fn take(&mut self, record: &Record) -> Result<(), BadAdvice> {
        self.take(record)
    }
}

/// Whether an id is that of a rollout, and not of a chain beside them.
pub fn is_rollout(id: &RolloutId) -> bool {
    let chains =
        [Freezes::chain(), Learned::chain(), Models::chain(), Permits::chain(), Advice::chain()];
    !chains.contains(id)
}

/// Every rollout of a store, in the order of creation, without the chains beside them.
pub async fn rollouts(journal: &dyn Journal) -> Result<Vec<RolloutId>, PortError> {
    Ok(journal.rollouts().await?.into_iter().filter(is_rollout).collect())
}

/// What a person asks for, as an entry of a chain.
pub fn asked(event: Event, petition: &Petition<'_>) -> Entry {
    Entry {
        at: petition.at,
        actor: petition.by.clone(),
        cause: None,
        reason: petition.reason.into(),
        inputs: petition.request.clone(),
        event,
    }
}

/// Why a chain could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ChainError<Bad: Error + Send + Sync + 'static> {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] PortError),
    /// The chain cannot be read.
    #[error(transparent)]
    Bad(Bad),
    /// Nothing was written.
    #[error("the request was not written")]
    Append(#[from] AppendError),
}

/// The chain of a store, as it is now.
pub async fn read<C: Chain>(journal: &dyn Journal) -> Result<C, ChainError<C::Bad>> {
    let mut chain = C::default();
    follow(journal, &mut chain).await?;
    Ok(chain)
}

/// Takes in what has come since a chain was read.
async fn follow<C: Chain>(journal: &dyn Journal, chain: &mut C) -> Result<(), ChainError<C::Bad>> {
    for record in journal.read(&C::name(), chain.head().seq).await? {
        chain.take(&record).map_err(ChainError::Bad)?;
    }
    Ok(())
}

/// Writes what follows from the chain as it is, all or none, and reads on where somebody else was
/// faster; returns the chain after it. Nothing is written where nothing follows.
pub async fn write<C: Chain>(
    journal: &dyn Journal,
    entries: impl Fn(&C) -> Vec<Entry>,
) -> Result<C, ChainError<C::Bad>> {
    let mut chain = C::default();
    write_on(journal, &mut chain, entries).await?;
    Ok(chain)
}

/// The same for who knows the chain already: only what has come since is read.
pub async fn write_on<C: Chain>(
    journal: &dyn Journal,
    chain: &mut C,
    entries: impl Fn(&C) -> Vec<Entry>,
) -> Result<(), ChainError<C::Bad>> {
    for tried in 0..TRIES {
        follow(journal, chain).await?;
        let entries = entries(chain);
        if entries.is_empty() {
            return Ok(());
        }
        let (name, authority) = (C::name(), Authority::Operator);
        let append = Append { rollout: &name, authority, after: chain.head(), entries };
        match journal.append(append).await {
            Ok(records) => {
                for record in &records {
                    chain.take(record).map_err(ChainError::Bad)?;
                }
                return Ok(());
            }
            Err(AppendError::Conflict(_)) if tried + 1 < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("the last try returns")
}
