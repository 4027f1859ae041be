//! One piece of advice, and what came of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::journal::{Actor, Digest, Record};
use crate::name::FleetName;

/// What came of the advice itself, among what came of the others.
pub const ADVICE: &str = "advice";

/// What the team did instead, as it has told.
pub const DID: &str = "did";

/// What was advised for one fleet of a rollout. The moment at which it was asked for is that of its record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Advised {
    /// The name of the rollout.
    pub rollout: String,
    /// The fleet.
    pub fleet: FleetName,
    /// The digest of the configuration.
    pub spec: Digest,
    /// The documents of the configuration in the archive.
    pub documents: Digest,
    /// The digest that the plan has.
    pub plan: Digest,
    /// The plan in the archive, as JSON.
    pub kept: Digest,
    /// The first order or removal.
    pub start_at: Timestamp,
    /// The last server is back.
    pub finish_at: Timestamp,
    /// Nothing is left to do.
    pub done_at: Timestamp,
    /// What surge costs.
    pub cost: f64,
    /// In which currency.
    pub currency: String,
    /// The probability of overload, by the bound that plans are chosen at.
    pub risk: f64,
}

impl Advised {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if !(self.start_at <= self.finish_at && self.finish_at <= self.done_at) {
            return Err("its times do not follow each other");
        }
        if !is_amount(self.cost) {
            return Err("its cost is no amount of money");
        }
        if !(0.0..=1.0).contains(&self.risk) {
            return Err("its risk is no probability");
        }
        Ok(())
    }
}

/// What one way to do it would have come to, or came to, under the load that came.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Came {
    /// What surge costs, in the currency of the advice.
    pub cost: f64,
    /// Instance-hours of surge.
    pub instance_hours: f64,
    /// Minutes in which it is to blame for missing capacity.
    pub attributable_minutes: f64,
    /// Minutes from the moment at which the advice was asked for until the first order or removal.
    pub waited_minutes: f64,
    /// … until the last server was back.
    pub finished_minutes: f64,
    /// Whether that was after the deadline.
    pub late: bool,
}

/// What came of everything, by the load that came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Judged {
    /// It was looked at until then.
    pub until: Timestamp,
    /// The load that it was judged on, in the archive, per `fleet/dimension`.
    pub load: BTreeMap<String, Digest>,
    /// So many servers at a time are out in the others, at most.
    pub batch: u32,
    /// What each way came to, by its name; [`ADVICE`] is one of them.
    pub came: BTreeMap<String, Came>,
}

impl Judged {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if !self.came.contains_key(ADVICE) {
            return Err("it does not say what came of the advice itself");
        }
        self.came.values().try_for_each(Came::check)
    }
}

impl Came {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let all = [self.cost, self.instance_hours, self.attributable_minutes];
        let mut all = all.into_iter().chain([self.waited_minutes, self.finished_minutes]);
        all.all(is_amount).then_some(()).ok_or("a figure of it is no amount")
    }
}

fn is_amount(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// What came of a piece of advice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It is known.
    Judged(Judged),
    /// It will not be known.
    Unknown {
        /// Why not.
        reason: String,
    },
}

/// The end of a piece of advice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settled {
    /// The number of the record of the advice.
    pub advice: u64,
    /// What came of it.
    pub verdict: Verdict,
}

/// What a team did instead of following a piece of advice, as it has told, and what came of that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Did {
    /// The number of the record of the advice.
    pub advice: u64,
    /// What was told, in the archive.
    pub told: Digest,
    /// It was looked at until then.
    pub until: Timestamp,
    /// The load that it was judged on, in the archive, per `fleet/dimension`.
    pub load: BTreeMap<String, Digest>,
    /// What it came to.
    pub came: Came,
}

/// Where a piece of advice stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Stands {
    /// What came of it is not written down yet.
    Open,
    /// The same was asked for again before its time had passed; it does not count.
    Replaced {
        /// By this one.
        by: u64,
    },
    /// What came of it is written down.
    Settled {
        /// In this record.
        seq: u64,
        /// When.
        at: Timestamp,
        /// What.
        verdict: Verdict,
    },
}

/// A piece of advice.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The number of its record, by which it is named.
    pub seq: u64,
    /// When it was asked for.
    pub at: Timestamp,
    /// Who asked.
    pub actor: Actor,
    /// What for.
    pub reason: String,
    /// The request, where the archive keeps it.
    pub request: Option<Digest>,
    /// What was advised.
    pub advised: Advised,
    /// Where it stands.
    pub stands: Stands,
    /// What was done instead, as it was told last, and when.
    pub did: Option<(Timestamp, Did)>,
}

impl Piece {
    pub(super) fn new(record: &Record, advised: Advised) -> Self {
        Self {
            seq: record.seq,
            at: record.at,
            actor: record.actor.clone(),
            reason: record.reason.clone(),
            request: record.inputs.clone(),
            advised,
            stands: Stands::Open,
            did: None,
        }
    }

    /// What came of it, where it is known.
    pub fn judged(&self) -> Option<&Judged> {
        match &self.stands {
            Stands::Settled { verdict: Verdict::Judged(judged), .. } => Some(judged),
            _ => None,
        }
    }

    /// What each way came to, with what was done instead; empty where it is not known.
    pub fn came(&self) -> BTreeMap<String, Came> {
        let Some(judged) = self.judged() else { return BTreeMap::new() };
        let did = self.did.iter().map(|(_, did)| (DID.to_owned(), did.came));
        judged.came.clone().into_iter().chain(did).collect()
    }

    /// Whether its time has passed, and nobody has written down what came of it.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.stands == Stands::Open && self.advised.done_at <= now
    }
}
