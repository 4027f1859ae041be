//! Advice and its account, as they are published.

use std::collections::BTreeMap;

use domain::advice::{self, Came, Piece, Stands, Verdict};
use domain::journal::Digest;
use domain::name::FleetName;
use domain::schema::Moment;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::Account;

/// Where a piece of advice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its time has not passed, or what came of it is not known yet.
    Open,
    /// The same was asked for again before its time had passed; it does not count.
    Replaced,
    /// What came of it is known.
    Judged,
    /// What came of it will not be known.
    Unknown,
}

/// A piece of advice, and what came of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its number in the journal of advice.
    pub advice: u64,
    /// The fleet.
    pub fleet: FleetName,
    /// The name of the rollout.
    pub rollout: String,
    /// When it was asked for.
    #[schemars(with = "Moment")]
    pub asked_at: Timestamp,
    /// By whom.
    pub actor: String,
    /// What for.
    pub reason: String,
    /// The digest of the plan.
    pub plan: Digest,
    /// The first order or removal of the plan.
    #[schemars(with = "Moment")]
    pub start_at: Timestamp,
    /// The last server is back.
    #[schemars(with = "Moment")]
    pub finish_at: Timestamp,
    /// Nothing is left to do.
    #[schemars(with = "Moment")]
    pub done_at: Timestamp,
    /// What surge costs by the plan.
    pub cost: f64,
    /// In which currency.
    pub currency: String,
    /// The probability of overload by the plan.
    pub risk: f64,
    /// Where it stands.
    pub state: State,
    /// Why, where it is open after its time, replaced or unknown.
    pub why: Option<String>,
    /// So many servers at a time are out in the other ways.
    pub batch: Option<u32>,
    /// What each way comes to by the load that came; `advice` is the plan, `did` what was done
    /// instead, where that was told.
    pub came: BTreeMap<String, Came>,
}

/// What following the advice for a fleet would have saved, beside one other way.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The fleet.
    pub fleet: String,
    /// The other way.
    pub against: String,
    /// So many pieces of advice.
    pub pieces: u32,
    /// Money saved; below zero: spent.
    pub saved: f64,
    /// In which currency.
    pub currency: String,
    /// Minutes of attributable overload avoided; below zero: added.
    pub avoided_minutes: f64,
    /// In so many pieces the advice was dearer, or had more minutes of overload.
    pub worse: u32,
    /// The last server is back so many minutes later, over all pieces; below zero: earlier.
    pub later_minutes: f64,
}

/// All of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Shown {
    /// Every piece, the oldest first.
    pub advice: Vec<Row>,
    /// The account: what is judged, summed.
    pub account: Vec<Line>,
}

impl Account {
    /// The pieces that are asked for, with their sums.
    pub fn shown(&self, mine: impl Fn(&Piece) -> bool) -> Shown {
        let pieces: Vec<&Piece> = self.advice.pieces().filter(|piece| mine(piece)).collect();
        let advice = pieces.iter().map(|piece| self.row(piece)).collect();
        Shown { advice, account: lines(pieces) }
    }

    fn row(&self, piece: &Piece) -> Row {
        let told = &piece.advised;
        let (state, why) = match &piece.stands {
            Stands::Open => (State::Open, self.waiting.get(&piece.seq).cloned()),
            Stands::Replaced { by } => {
                (State::Replaced, Some(format!("it was asked for again: advice {by}")))
            }
            Stands::Settled { verdict: Verdict::Judged(_), .. } => (State::Judged, None),
            Stands::Settled { verdict: Verdict::Unknown { reason }, .. } => {
                (State::Unknown, Some(reason.clone()))
            }
        };
        Row {
            advice: piece.seq,
            fleet: told.fleet.clone(),
            rollout: told.rollout.clone(),
            asked_at: piece.at,
            actor: piece.actor.0.clone(),
            reason: piece.reason.clone(),
            plan: told.plan.clone(),
            start_at: told.start_at,
            finish_at: told.finish_at,
            done_at: told.done_at,
            cost: told.cost,
            currency: told.currency.clone(),
            risk: told.risk,
            state,
            why,
            batch: piece.judged().map(|judged| judged.batch),
            came: piece.came(),
        }
    }
}

/// The account of some pieces.
pub fn lines<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> Vec<Line> {
    let line = |((fleet, currency, against), line): (_, advice::Line)| Line {
        fleet,
        against,
        pieces: line.pieces,
        saved: line.saved,
        currency,
        avoided_minutes: line.avoided_minutes,
        worse: line.worse,
        later_minutes: line.later_minutes,
    };
    advice::account(pieces).into_iter().map(line).collect()
}
