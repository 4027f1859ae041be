//! What a team did instead of following a piece of advice, as it tells, judged as the advice is.

use std::sync::Arc;
use std::time::Duration;

use domain::advice::{Advice, Came, DID, Did, Piece};
use domain::event::Event;
use domain::journal::Digest;
use domain::name::{OfferName, ServerName};
use domain::plan::{Batch, Plan, SurgePurchase};
use domain::ports::Clock;
use jiff::Timestamp;
use serde::Deserialize;
use store::Store;

use super::{AdviceError, Unsettled, came, computed, kept, recalled};
use crate::apply::chain;
use crate::apply::control::Petition;
use crate::documents::read_text;
use crate::replay::Ways;

/// What is told lies within this of the moment at which the advice was asked for.
const FARTHEST: Duration = Duration::from_secs(31 * 86_400);

/// What was done, as it is told: with the words of plans.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Told {
    batches: Vec<OutTogether>,
    #[serde(default)]
    surge: Vec<Bought>,
}

/// Servers that were out together.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OutTogether {
    servers: Vec<ServerName>,
    out_at: Timestamp,
    back_at: Timestamp,
}

/// Surge that was bought.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Bought {
    offer: OfferName,
    count: u32,
    order_at: Timestamp,
    ready_at: Timestamp,
    release_at: Timestamp,
    end_at: Timestamp,
}

/// Why it is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// There is no such advice, or it is not judged.
    #[error("advice {0} is not one that is judged; `presurge advice` shows which are")]
    NotJudged(u64),
    /// What is told cannot have been.
    #[error("{0}")]
    Told(String),
    /// It cannot be judged.
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
    /// It cannot be written down.
    #[error(transparent)]
    Advice(#[from] AdviceError),
}

impl Told {
    fn read(file: &str, text: &str, piece: &Piece) -> Result<Self, String> {
        let told: Self = read_text(file, text)?;
        let near = |at: Timestamp| piece.at - FARTHEST <= at && at <= piece.at + FARTHEST;
        if told.batches.is_empty() {
            return Err(format!("{file}: batches: expected one at least"));
        }
        for (index, batch) in told.batches.iter().enumerate() {
            let place = format!("{file}: batches[{index}]");
            if batch.out_at >= batch.back_at {
                return Err(format!("{place}: outAt is not before backAt"));
            }
            if !near(batch.out_at) || !near(batch.back_at) {
                return Err(format!("{place}: is not within a month of the advice"));
            }
        }
        for (index, bought) in told.surge.iter().enumerate() {
            let place = format!("{file}: surge[{index}]");
            let times = [bought.order_at, bought.ready_at, bought.release_at, bought.end_at];
            if !times.is_sorted() {
                return Err(format!(
                    "{place}: expected orderAt, readyAt, releaseAt, endAt in this order"
                ));
            }
            if !times.into_iter().all(near) {
                return Err(format!("{place}: is not within a month of the advice"));
            }
        }
        Ok(told)
    }

    /// The plan that it would have been.
    fn instead_of(self, plan: &Plan) -> Plan {
        let fleet = plan.batches.first().map(|batch| batch.fleet.clone());
        let fleet = fleet.expect("a plan that was advised has batches");
        let batches: Vec<Batch> = self
            .batches
            .into_iter()
            .zip(1..)
            .map(|(OutTogether { servers, out_at, back_at }, index)| Batch {
                index,
                fleet: fleet.clone(),
                servers,
                out_at,
                back_at,
                risk: None,
            })
            .collect();
        let bought = |bought: Bought| SurgePurchase {
            fleet: fleet.clone(),
            offer: bought.offer,
            count: bought.count,
            order_at: bought.order_at,
            ready_at: bought.ready_at,
            release_at: bought.release_at,
            end_at: bought.end_at,
            price_per_hour: 0.0,
            on_loss: None,
        };
        let surge: Vec<SurgePurchase> = self.surge.into_iter().map(bought).collect();
        let first = batches.iter().map(|batch| batch.out_at);
        let first = first.chain(surge.iter().map(|bought| bought.order_at)).min();
        let last = batches.iter().map(|batch| batch.back_at).max();
        Plan {
            start_at: first.unwrap_or(plan.start_at),
            finish_at: last.unwrap_or(plan.finish_at),
            batches,
            surge,
            ..plan.clone()
        }
    }
}

/// Writes down what was done instead of following a piece of advice, with what that came to.
///
/// # Errors
/// See [`NotTaken`].
pub async fn answer(
    store: &dyn Store,
    seq: u64,
    (file, text): (&str, &str),
    clock: &Arc<dyn Clock>,
    petition: &Petition<'_>,
) -> Result<Came, NotTaken> {
    let advice: Advice = chain::read(store).await.map_err(AdviceError::from)?;
    let piece = advice.get(seq).filter(|piece| piece.judged().is_some());
    let piece = piece.ok_or(NotTaken::NotJudged(seq))?;
    let told = Told::read(file, text, piece).map_err(NotTaken::Told)?;
    let (part, plan) = recalled(store, piece, clock).await?;
    let ways = Ways::done(&part, &told.instead_of(&plan), piece.at).map_err(Unsettled::from)?;
    let until = ways.until();
    let load = came(&part, &ways, petition.at, until + super::PATIENCE).await?;
    let (_, came) = computed(ways, load.truth).await?;
    let did = Did {
        advice: seq,
        told: store.put(text.as_bytes()).await.map_err(Unsettled::from)?,
        until,
        load: kept(store, &part, &load.archived).await?,
        came: came[DID],
    };
    let entry = |_: &Advice| {
        let event = Event::AdviceAnswered(Box::new(did.clone()));
        vec![chain::asked(event, petition)]
    };
    chain::write(store, entry).await.map_err(AdviceError::from)?;
    Ok(came[DID])
}

/// What was told to have been done, computed once more from what the archive keeps.
///
/// # Errors
/// Why it does not come out.
pub async fn again(
    store: &dyn Store,
    piece: &Piece,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Came>, Unsettled> {
    let Some((at, did)) = &piece.did else { return Ok(None) };
    let gone = |digest: &Digest| Unsettled::Unusable(format!("{digest} is not in the archive"));
    let bytes = store.get(&did.told).await?.ok_or_else(|| gone(&did.told))?;
    let text = String::from_utf8_lossy(&bytes);
    let told = Told::read("what was told", &text, piece).map_err(Unsettled::Unusable)?;
    let (part, plan) = recalled(store, piece, clock).await?;
    let ways = Ways::done(&part, &told.instead_of(&plan), piece.at)?;
    let part = part.as_recorded(store, &did.load).await?;
    let load = came(&part, &ways, *at, *at).await?;
    let (_, came) = computed(ways, load.truth).await?;
    Ok(Some(came[DID]))
}
