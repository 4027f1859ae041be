//! Advice: writing down what was advised, and later what came of it, judged by the load that came.

pub mod did;
pub mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::advice::{Advice, Advised, BadAdvice, Judged, Piece, Settled, Stands, Verdict};
use domain::event::Event;
use domain::journal::{Actor, Digest, Entry};
use domain::plan::{PerDimension, Plan};
use domain::ports::{Clock, PortError};
use jiff::Timestamp;
use store::Store;

use super::bundle::{self, BundleError};
use super::chain::{self, ChainError};
use super::control::Petition;
use super::planner;
use crate::pipeline::{Made, NotKept, PlanError, Prepared, Together};
use crate::replay::{Came, NotJudged, Truth, Ways};

/// What came of a piece of advice has to be known this long after its time; else it never will be.
pub const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Nothing is judged that was asked for longer ago: its time is none that a plan could have.
const OLDEST: Duration = Duration::from_secs(400 * 86_400);

/// Why advice could not be written down or read.
#[derive(Debug, thiserror::Error)]
pub enum AdviceError {
    /// The chain of advice fails.
    #[error(transparent)]
    Chain(#[from] ChainError<BadAdvice>),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] PortError),
}

/// Why what came of a piece of advice is not known.
#[derive(Debug, thiserror::Error)]
pub enum Unsettled {
    /// The documents are not there.
    #[error(transparent)]
    Documents(#[from] BundleError),
    /// They are others.
    #[error("the documents in the archive are not those that the advice was made from")]
    OtherDocuments,
    /// They cannot be used here.
    #[error("{0}")]
    Unusable(String),
    /// The plan is not there, or is another one.
    #[error("the plan in the archive under {0} is not the one that was advised")]
    Plan(Digest),
    /// The load cannot be read.
    #[error(transparent)]
    Load(#[from] PlanError),
    /// The load is not in the archive.
    #[error(transparent)]
    Kept(#[from] NotKept),
    /// The load is known to less than its end.
    #[error("the load is not known to {0:.0} yet")]
    Early(Timestamp),
    /// It cannot be judged.
    #[error(transparent)]
    Judge(#[from] NotJudged),
    /// The archive does not answer.
    #[error(transparent)]
    Archive(#[from] PortError),
}

/// A plan of one fleet that is told as advice.
pub struct Told<'a> {
    /// The fleet.
    pub prepared: &'a Prepared,
    /// Its plan, and what that was made from.
    pub made: &'a Made,
}

/// Writes down what is advised, with all that it takes to judge it later, all fleets or none. A request that
/// comes again is written once.
///
/// # Errors
/// The store does not answer, or its chain of advice cannot be read.
pub async fn give(
    store: &dyn Store,
    told: &[Told<'_>],
    documents: &Digest,
    petition: &Petition<'_>,
) -> Result<Vec<Piece>, AdviceError> {
    let mut entries = Vec::with_capacity(told.len());
    for Told { prepared, made } in told {
        planner::keep(store, &made.histories, &made.calendars).await?;
        let plan = &made.plan;
        let advised = Advised {
            rollout: prepared.rollout.name.to_string(),
            fleet: prepared.fleet.name.clone(),
            spec: prepared.config.clone(),
            documents: documents.clone(),
            plan: plan.digest.clone(),
            kept: store.put(&serde_json::to_vec(plan).unwrap_or_default()).await?,
            start_at: plan.start_at,
            finish_at: plan.finish_at,
            done_at: plan.done_at,
            cost: plan.cost.surge,
            currency: plan.cost.currency.clone(),
            risk: plan.risk.upper95,
        };
        entries.push(chain::asked(Event::Advised(Box::new(advised)), petition));
    }
    let count = entries.len();
    let new = |known: &Advice| match known.answering(petition.request.as_ref()).is_empty() {
        true => entries.clone(),
        false => Vec::new(),
    };
    let all: Advice = chain::write(store, new).await?;
    let again = all.answering(petition.request.as_ref());
    if !again.is_empty() {
        return Ok(again.into_iter().cloned().collect());
    }
    let first = all.head().seq + 1 - count as u64;
    Ok(all.pieces().filter(|piece| piece.seq >= first).cloned().collect())
}

/// The plan that was advised, from the archive.
///
/// # Errors
/// It is not there, or is another one.
pub async fn plan_of(store: &dyn Store, advised: &Advised) -> Result<Plan, Unsettled> {
    let other = || Unsettled::Plan(advised.kept.clone());
    let bytes = store.get(&advised.kept).await?.ok_or_else(other)?;
    let plan: Plan = serde_json::from_slice(&bytes).map_err(|_| other())?;
    let same = plan.computed_digest() == plan.digest
        && plan.digest == advised.plan
        && plan.rollout == advised.rollout
        && (plan.start_at, plan.finish_at) == (advised.start_at, advised.finish_at)
        && (plan.done_at, plan.cost.surge) == (advised.done_at, advised.cost);
    if same { Ok(plan) } else { Err(other()) }
}

/// The configuration of that time, and the plan.
async fn recalled(
    store: &dyn Store,
    piece: &Piece,
    clock: &Arc<dyn Clock>,
) -> Result<(Prepared, Plan), Unsettled> {
    let advised = &piece.advised;
    let plan = plan_of(store, advised).await?;
    let documents = bundle::under(store, &advised.documents, clock).await?;
    let all = Together::new(&documents, Some(&advised.rollout), clock, &[]);
    let all = all.map_err(|failed| Unsettled::Unusable(failed.to_string()))?;
    let mine = |part: &Prepared| part.fleet.name == advised.fleet && part.config == advised.spec;
    let part = all.parts.into_iter().find(mine).ok_or(Unsettled::OtherDocuments)?;
    Ok((part.with_learned_of(&plan.inputs), plan))
}

/// Judges by the load that came, as its sources tell it now.
async fn judge(
    store: &dyn Store,
    piece: &Piece,
    clock: &Arc<dyn Clock>,
    now: Timestamp,
) -> Result<Judged, Unsettled> {
    let age = now.duration_since(piece.at).unsigned_abs();
    if piece.at > now || age > OLDEST {
        return Err(Unsettled::Unusable("it was asked for too long ago, or later than now".into()));
    }
    let (part, plan) = recalled(store, piece, clock).await?;
    let ways = Ways::new(&part, &plan, piece.at)?;
    let until = ways.until();
    let load = came(&part, &ways, now, piece.advised.done_at + PATIENCE).await?;
    let (batch, came) = computed(ways, load.truth).await?;
    let load = kept(store, &part, &load.archived).await?;
    Ok(Judged { until, load, batch, came })
}

/// The load of the time that some ways take, as its sources tell it now. Until `patient` it is not taken
/// before it is known to its end.
async fn came(
    part: &Prepared,
    ways: &Ways,
    now: Timestamp,
    patient: Timestamp,
) -> Result<Came, Unsettled> {
    let until = ways.until();
    if now < until {
        return Err(Unsettled::Early(until));
    }
    let load = Came::read(part, (ways.from(), until), now).await?;
    if load.whole || patient <= now { Ok(load) } else { Err(Unsettled::Early(until)) }
}

/// Keeps the samples of a fleet.
async fn kept(
    store: &dyn Store,
    part: &Prepared,
    samples: &PerDimension<Vec<u8>>,
) -> Result<BTreeMap<String, Digest>, Unsettled> {
    let mut kept = BTreeMap::new();
    for (dimension, samples) in samples {
        kept.insert(format!("{}/{dimension}", part.fleet.name), store.put(samples).await?);
    }
    Ok(kept)
}

/// The figures, beside everything that waits.
async fn computed(
    ways: Ways,
    truth: Truth,
) -> Result<(u32, BTreeMap<String, domain::advice::Came>), Unsettled> {
    let batch = u32::try_from(ways.batch).unwrap_or(u32::MAX);
    let work = tokio::task::spawn_blocking(move || ways.judge(&truth)).await;
    let came = work.map_err(|error| Unsettled::Unusable(error.to_string()))??;
    Ok((batch, came))
}

/// Judges once more what is settled, by what the archive keeps: the figures as they come out now.
///
/// # Errors
/// Why they do not come out.
pub async fn again(
    store: &dyn Store,
    piece: &Piece,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Judged>, Unsettled> {
    let (Some(judged), Stands::Settled { at, .. }) = (piece.judged(), &piece.stands) else {
        return Ok(None);
    };
    let (part, plan) = recalled(store, piece, clock).await?;
    let ways = Ways::new(&part, &plan, piece.at)?;
    let part = part.as_recorded(store, &judged.load).await?;
    let until = ways.until();
    let load = Came::read(&part, (ways.from(), until), *at).await?;
    let (batch, came) = computed(ways, load.truth).await?;
    Ok(Some(Judged { until, load: judged.load.clone(), batch, came }))
}

/// The account after what can be settled is.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// All advice.
    pub advice: Advice,
    /// What is due, by the number of its record, and why it is not settled yet.
    pub waiting: BTreeMap<u64, String>,
}

/// Settles every piece of advice whose time has passed and of which the load is known, or will not be. Whoever
/// does the same at the same time writes it, or this one does.
///
/// # Errors
/// The store does not answer, or its chain of advice cannot be read.
pub async fn settle(
    store: &dyn Store,
    clock: &Arc<dyn Clock>,
    now: Timestamp,
) -> Result<Account, AdviceError> {
    let mut advice: Advice = chain::read(store).await?;
    let due: Vec<Piece> = advice.pieces().filter(|piece| piece.is_due(now)).cloned().collect();
    let mut waiting = BTreeMap::new();
    for piece in due {
        let seq = piece.seq;
        let verdict = match judge(store, &piece, clock, now).await {
            Ok(judged) => Verdict::Judged(judged),
            Err(why) if now < piece.advised.done_at + PATIENCE => {
                waiting.insert(seq, crate::causes::chain(&why));
                continue;
            }
            Err(why) => Verdict::Unknown { reason: crate::causes::chain(&why) },
        };
        let settled = Settled { advice: seq, verdict };
        let entry = |known: &Advice| {
            let open = known.get(seq).is_some_and(|piece| piece.stands == Stands::Open);
            let entry = Entry {
                at: now,
                actor: Actor("account".into()),
                cause: Some(seq),
                reason: "its time has passed".into(),
                inputs: None,
                event: Event::AdviceSettled(Box::new(settled.clone())),
            };
            open.then_some(entry).into_iter().collect::<Vec<_>>()
        };
        advice = chain::write(store, entry).await?;
    }
    Ok(Account { advice, waiting })
}

#[cfg(test)]
mod tests;
