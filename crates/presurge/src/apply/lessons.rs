//! What the finished rollouts of a store teach of a fleet, and what people fix.

use domain::event::Event;
use domain::journal::{Actor, Entry};
use domain::learned::{BadLessons, Learned, Quantity};
use domain::name::FleetName;
use domain::ports::{Journal, PortError};
use jiff::Timestamp;
pub use rollout::lessons::Change;
use rollout::lessons::{self, Moved, Observed, Reason};
use rollout::machine::FoldError;

use super::chain::{self, ChainError};
use super::control::Petition;
use crate::pipeline::{Prepared, Together};

/// No more journals than this are opened to find those of one fleet.
const OPENED: usize = 256;

/// Why nothing could be learned.
#[derive(Debug, thiserror::Error)]
pub enum LessonError {
    /// The chain of what was learned fails.
    #[error(transparent)]
    Chain(#[from] ChainError<BadLessons>),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] PortError),
    /// The journal of a rollout cannot be read.
    #[error("{rollout}")]
    Fold {
        /// Which.
        rollout: domain::name::RolloutId,
        /// Why.
        #[source]
        source: FoldError,
    },
}

/// What is known of all fleets of a store.
pub async fn read(journal: &dyn Journal) -> Result<Learned, LessonError> {
    Ok(chain::read(journal).await?)
}

/// What the newest finished rollouts of a fleet show, newest first.
async fn history(journal: &dyn Journal, fleet: &FleetName) -> Result<Vec<Observed>, LessonError> {
    let ids = chain::rollouts(journal).await?;
    let mut seen = Vec::new();
    for id in ids.iter().rev().take(OPENED) {
        let records = journal.read(id, 0).await?;
        let ended = records.iter().any(|record| record.kind == "Finished");
        if !ended {
            continue;
        }
        let fold = |source| LessonError::Fold { rollout: id.clone(), source };
        match lessons::observed(&records).map_err(fold)? {
            Some(observed) if observed.fleet == *fleet => seen.push(observed),
            _ => continue,
        }
        if seen.len() == lessons::ROLLOUTS {
            break;
        }
    }
    Ok(seen)
}

/// Learns from the finished rollouts of a fleet, and writes down every figure that has moved.
pub async fn learn(
    journal: &dyn Journal,
    prepared: &Prepared,
    now: Timestamp,
) -> Result<Vec<Change>, LessonError> {
    let fleet = &prepared.fleet.name;
    let seen = history(journal, fleet).await?;
    let configured = &prepared.configured;
    let found = lessons::findings(configured, &seen);
    let moved = |known: &Learned| lessons::moved(configured, &known.of(fleet), &found);
    let entries = |known: &Learned| {
        let entry = |Moved { change, evidence, reason }: Moved| Entry {
            at: now,
            actor: Actor("learner".into()),
            cause: None,
            reason: words(&change, &evidence, reason),
            inputs: None,
            event: Event::Adjusted {
                fleet: fleet.clone(),
                quantity: change.quantity,
                before: change.before,
                after: change.after,
                evidence,
            },
        };
        moved(known).into_iter().map(entry).collect::<Vec<_>>()
    };
    let before = read(journal).await?;
    let changes = moved(&before).into_iter().map(|moved| moved.change).collect();
    chain::write(journal, entries).await?;
    Ok(changes)
}

/// Why a figure changes, in words.
fn words(change: &Change, evidence: &domain::learned::Evidence, reason: Reason) -> String {
    if reason == Reason::LikeTheDay {
        let (what, before) = (&change.quantity, change.before);
        return format!(
            "{what} was {before}; that hour does not differ from the whole day any more"
        );
    }
    let rollouts = match evidence.rollouts {
        1 => "1 rollout".into(),
        count => format!("{count} rollouts"),
    };
    let seen = match &change.quantity {
        Quantity::Interruption(_) => {
            format!("{:.0} lost in {:.1} hours of instances", evidence.of_which, evidence.seen)
        }
        Quantity::Balance => {
            let lost = 100.0 * evidence.of_which / evidence.seen;
            let (seen, more) = (evidence.seen, 100.0 * lost / (100.0 - lost));
            format!(
                "over {seen:.0} stretches the busiest server got {more:.1} % more than its share"
            )
        }
        Quantity::UpdateFailure | Quantity::Fulfilment(_) | Quantity::BootFailure(_) => {
            format!("{:.0} of {:.0} failed", evidence.of_which, evidence.seen)
        }
        _ => format!(
            "{:.0} were seen to their end, {:.0} were not",
            evidence.seen, evidence.of_which
        ),
    };
    format!("{} was {}; {seen} in {rollouts}", change.quantity, change.before)
}

/// Fixes a figure, or takes that back.
pub async fn pin(
    journal: &dyn Journal,
    event: Event,
    petition: &Petition<'_>,
) -> Result<Learned, LessonError> {
    let entries = |_: &Learned| vec![chain::asked(event.clone(), petition)];
    Ok(chain::write(journal, entries).await?)
}

/// A rollout as it would be planned now, by what a journal has learned. What keeps it from that is a warning.
pub async fn known(journal: &dyn Journal, all: Together) -> Together {
    match read(journal).await {
        Ok(learned) => all.with_learned(&learned),
        Err(error) => {
            let text = crate::causes::chain(&error);
            eprintln!(
                "warning: what was learned cannot be read, plans go by the configuration: {text}"
            );
            all
        }
    }
}
