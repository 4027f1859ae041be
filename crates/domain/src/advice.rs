//! Advice: plans that were told and that nobody performed for Presurge, in a chain of its own, and what came
//! of each, judged on the load that came. The account is the fold of the chain.

mod account;
mod piece;

use std::collections::BTreeMap;

use crate::event::Event;
use crate::journal::{Broken, Digest, Head, Record, UnknownEvent};
use crate::name::RolloutId;

pub use account::{Line, account};
pub use piece::{ADVICE, Advised, Came, DID, Did, Judged, Piece, Settled, Stands, Verdict};

/// The name of the chain. The name of a rollout has no `#`, and the number of an attempt is no word.
const CHAIN: &str = "presurge#advice";

/// A chain of advice that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadAdvice {
    /// The chain does not hold.
    #[error("the journal of advice is damaged; `presurge audit verify {CHAIN}` says more")]
    Broken(#[from] Broken),
    /// It was written by a newer build.
    #[error("the journal of advice was written by another build")]
    Unknown(#[from] UnknownEvent),
    /// An event that cannot follow from those before it, or says what cannot be.
    #[error("record {seq} of the journal of advice is a {kind} that cannot stand there: {why}")]
    Illegal {
        /// The number of the record.
        seq: u64,
        /// The name of its event.
        kind: String,
        /// Why not.
        why: &'static str,
    },
}

/// All advice of a store: the fold of its chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    head: Head,
    pieces: BTreeMap<u64, Piece>,
}

impl Default for Advice {
    fn default() -> Self {
        Self { head: Head::empty(), pieces: BTreeMap::new() }
    }
}

impl Advice {
    /// The chain that it is written in.
    pub fn chain() -> RolloutId {
        RolloutId::new(CHAIN).expect("the name of the chain is a name")
    }

    /// The last record that was taken in.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Takes one more record in; one that does not continue the chain changes nothing.
    ///
    /// # Errors
    /// See [`BadAdvice`].
    pub fn take(&mut self, record: &Record) -> Result<(), BadAdvice> {
        record.continues(&self.head)?;
        let seq = record.seq;
        let illegal = |why| BadAdvice::Illegal { seq, kind: record.kind.clone(), why };
        match record.event()? {
            Event::Advised(advised) => {
                advised.check().map_err(illegal)?;
                self.replaced_by(seq, record, &advised);
                self.pieces.insert(seq, Piece::new(record, *advised));
            }
            Event::AdviceSettled(settled) => {
                let piece = self.pieces.get_mut(&settled.advice);
                let piece = piece.ok_or_else(|| illegal("there is no such advice"))?;
                if piece.stands != Stands::Open {
                    return Err(illegal("that advice does not wait to be settled"));
                }
                if let Verdict::Judged(judged) = &settled.verdict {
                    judged.check().map_err(illegal)?;
                }
                piece.stands = Stands::Settled { seq, at: record.at, verdict: settled.verdict };
            }
            Event::AdviceAnswered(did) => {
                did.came.check().map_err(illegal)?;
                let piece = self.pieces.get_mut(&did.advice);
                let piece = piece.filter(|piece| piece.judged().is_some());
                let piece = piece.ok_or_else(|| illegal("that advice is not judged"))?;
                piece.did = Some((record.at, *did));
            }
            _ => return Err(illegal("it belongs to another journal")),
        }
        self.head = record.head();
        Ok(())
    }

    /// Whoever asks again for the same before the time of the last advice has passed would have followed one
    /// of them only: the newest.
    fn replaced_by(&mut self, seq: u64, record: &Record, advised: &Advised) {
        let same = |piece: &&mut Piece| {
            let told = &piece.advised;
            let open = piece.stands == Stands::Open && record.at < told.done_at;
            open && told.rollout == advised.rollout && told.fleet == advised.fleet
        };
        for piece in self.pieces.values_mut().filter(same) {
            piece.stands = Stands::Replaced { by: seq };
        }
    }

    /// Every piece of advice, the oldest first.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.values()
    }

    /// The piece of advice of a record.
    pub fn get(&self, seq: u64) -> Option<&Piece> {
        self.pieces.get(&seq)
    }

    /// What was advised on a request, where it has come before.
    pub fn answering(&self, request: Option<&Digest>) -> Vec<&Piece> {
        let same = |piece: &&Piece| request.is_some() && piece.request.as_ref() == request;
        self.pieces().filter(same).collect()
    }
}

#[cfg(test)]
mod tests;
