//! What a plan that was advised would have come to under the load that came, beside batches of a fixed size
//! that begin at the moment when the advice was asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::advice::{ADVICE, Came, DID};
use domain::config::Finding;
use domain::plan::Plan;
use domain::spread::Spread;
use jiff::Timestamp;
use plan::{Facts, Unknown};

use super::course::{Course, Ended, minutes_between};
use super::fixed::{From, When, fixed, quarter};
use super::truth::Truth;
use super::{Broken, Scene, Strategy};
use crate::pipeline::{Ask, Prepared, facts};

/// The surges that batches of a fixed size are looked at with, in percent of the fleet.
const SURGES: [u32; 2] = [0, 25];

/// Why a piece of advice cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum NotJudged {
    /// The configuration cannot be used.
    #[error("{}: {}", .0.place, .0.message)]
    Deadline(Finding),
    /// The plan names what its configuration does not know.
    #[error("the plan is not one of its configuration")]
    Plan(#[from] Unknown),
    /// A defect.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The load was not recorded where it matters.
    #[error(
        "the load was not recorded in {steps} of the steps of {seconds} s in which servers would have \
         been out, the first at {first}"
    )]
    Blind {
        /// In so many steps.
        steps: usize,
        /// Of this length.
        seconds: i64,
        /// The first of them.
        first: Timestamp,
    },
}

/// Ways to do the same rollout.
pub struct Ways {
    asked: Timestamp,
    /// The first moment at which one of them does anything, or the advice was asked for.
    from: Timestamp,
    facts: Facts,
    ways: BTreeMap<String, Course>,
    /// So many servers at a time are out in the others.
    pub batch: usize,
}

impl Ways {
    /// The ways that there were at the moment when the advice was asked for. Every time stands at the
    /// quantile at which plans put it, and no instance is taken away.
    ///
    /// # Errors
    /// See [`NotJudged`].
    pub fn new(prepared: &Prepared, plan: &Plan, asked: Timestamp) -> Result<Self, NotJudged> {
        let facts = facts_of(prepared, plan, asked)?;
        let batch = quarter(&facts).min(facts.max_unavailable as usize).max(1);
        let (seed, dimensions) = (plan.seed, prepared.fleet.capacity.keys().cloned().collect());
        let certain = certain(&facts, batch);
        let scene = Scene { instant: asked, seed, facts: certain, dimensions, batch };
        let mut ways = BTreeMap::from([(ADVICE.to_owned(), Course::of_plan(&facts, plan)?)]);
        for percent in SURGES {
            let course = fixed(&scene, percent, From::OnDemand, &When::AtOnce)?;
            if course.ended != Ended::Unavailable {
                ways.insert(Strategy::Fixed(percent).to_string(), course);
            }
        }
        Ok(Self::of(asked, facts, ways, batch))
    }

    /// What was done instead of a plan, as if it had been one.
    ///
    /// # Errors
    /// It names what the configuration does not know.
    pub fn done(prepared: &Prepared, instead: &Plan, asked: Timestamp) -> Result<Self, NotJudged> {
        let facts = facts_of(prepared, instead, asked)?;
        let ways = BTreeMap::from([(DID.to_owned(), Course::of_plan(&facts, instead)?)]);
        Ok(Self::of(asked, facts, ways, 0))
    }

    fn of(asked: Timestamp, facts: Facts, ways: BTreeMap<String, Course>, batch: usize) -> Self {
        let first = ways.values().filter_map(|course| course.span.map(|(first, _)| first)).min();
        Self { asked, from: first.map_or(asked, |first| first.min(asked)), facts, ways, batch }
    }

    /// The first moment at which one of them does anything, or the advice was asked for.
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// When the last of them has ended.
    pub fn until(&self) -> Timestamp {
        self.ways.values().filter_map(Course::end).fold(self.asked, Timestamp::max)
    }

    /// What each comes to.
    ///
    /// # Errors
    /// [`NotJudged::Blind`] where it is not known.
    pub fn judge(&self, truth: &Truth) -> Result<BTreeMap<String, Came>, NotJudged> {
        let until = self.until();
        self.is_seen(truth, until)?;
        let judged = self.ways.iter().map(|(name, course)| {
            let account = course.judge_until(&self.facts, truth, self.from, until);
            let since = |at: Timestamp| minutes_between(self.asked, at.max(self.asked));
            let (first, last) = course.span.unwrap_or((self.asked, self.asked));
            let came = Came {
                cost: account.cost,
                instance_hours: account.instance_hours,
                attributable_minutes: account.attributable_minutes,
                waited_minutes: since(first),
                finished_minutes: since(last),
                late: course.ended == Ended::Late,
            };
            (name.clone(), came)
        });
        Ok(judged.collect())
    }

    /// The load has to be known wherever any of them has servers out; elsewhere none is to blame.
    fn is_seen(&self, truth: &Truth, until: Timestamp) -> Result<(), NotJudged> {
        let step = truth.step();
        let (mut at, mut blind, mut first) = (step.floor(self.from), 0, None);
        while at < until {
            let next = at + step.duration();
            let matters = || self.ways.values().any(|course| course.lacks(at, next));
            if truth.load(at).is_none() && matters() {
                blind += 1;
                first.get_or_insert(at);
            }
            at = next;
        }
        match first {
            None => Ok(()),
            Some(first) => Err(NotJudged::Blind { steps: blind, seconds: step.seconds(), first }),
        }
    }
}

/// The fleet as it was when the advice was asked for; those that the plan takes out are to be updated.
fn facts_of(prepared: &Prepared, plan: &Plan, asked: Timestamp) -> Result<Facts, NotJudged> {
    let deadline = prepared.rollout.deadline(asked).map_err(NotJudged::Deadline)?;
    let ask = Ask::first(asked, deadline, plan.seed);
    let mut facts = facts(&prepared.fleet, &prepared.rollout, &ask);
    for server in &mut facts.servers {
        server.pending = plan.batches.iter().any(|batch| batch.servers.contains(&server.name));
    }
    Ok(facts)
}

/// The same with every duration at the quantile at which plans put it: that of the slowest server of a batch.
fn certain(facts: &Facts, batch: usize) -> Facts {
    let mut facts = facts.clone();
    let at = |spread: Spread, servers: usize| {
        let level = facts.plan_at.get().powf(1.0 / servers as f64);
        Spread::exactly(Duration::from_secs_f64(spread.quantile_seconds(level)))
    };
    let durations = plan::Durations {
        drain: at(facts.durations.drain, batch),
        work: at(facts.durations.work, batch),
        warmup: at(facts.durations.warmup, batch),
        ..facts.durations
    };
    let hours = facts.hours.iter().map(|(hour, own)| {
        let [drain, work, warmup] = [own.drain, own.work, own.warmup].map(|own| at(own, batch));
        (*hour, plan::InHour { drain, work, warmup })
    });
    let offers = facts.offers.iter().map(|offer| plan::Offer {
        lead: at(offer.lead, 1),
        leads: offer.leads.iter().map(|(hour, lead)| (*hour, at(*lead, 1))).collect(),
        warmup: at(offer.warmup, 1),
        warmups: offer.warmups.iter().map(|(hour, warmup)| (*hour, at(*warmup, 1))).collect(),
        ..offer.clone()
    });
    (facts.offers, facts.durations, facts.hours) = (offers.collect(), durations, hours.collect());
    facts
}
