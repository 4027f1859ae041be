//! What one strategy did at one instant, and what came of it under the load that really came.

use domain::name::{Dimension, OfferName, ServerName};
use domain::plan::{Plan, Refused};
use jiff::Timestamp;
use plan::{Absence, Facts, Ledger, Presence, Unknown, bill};
use serde::Serialize;

use super::settings::ROUNDING_RATIO;
use super::truth::Truth;

/// One instance of surge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hire {
    /// From which offer.
    pub offer: OfferName,
    /// When it was ordered; it costs from here on.
    pub ordered_at: Timestamp,
    /// When it carried full load, and when it did so no more; `None`: never.
    pub service: Option<(Timestamp, Timestamp)>,
    /// When it cost nothing more.
    pub ended_at: Timestamp,
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ended {
    /// Every server was back by the deadline.
    Done,
    /// Every server was back, after the deadline.
    Late,
    /// Given up: a hold that nobody ended.
    Unfinished,
    /// No plan fitted.
    Refused,
    /// Nothing was to be done.
    Nothing,
    /// The strategy cannot be performed: nothing that it buys is offered.
    Unavailable,
}

/// What one strategy did.
#[derive(Debug, Clone)]
pub struct Course {
    /// How it ended.
    pub ended: Ended,
    /// Why there was no plan.
    pub refused: Option<Refused>,
    /// Capacity over time, by the one account that plans have as well.
    pub ledger: Ledger,
    /// What was bought.
    pub hires: Vec<Hire>,
    /// The first order or removal, and when the last server was back.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Counts that only the driver knows.
    pub told: Told,
}

/// What the journal of a driven rollout tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// Plans after the first.
    pub revisions: u32,
    /// Times that it held.
    pub holds: u32,
    /// Why it held last.
    pub last_hold: Option<String>,
    /// Instances that were taken away.
    pub lost: u32,
    /// The first plan.
    pub plan: Option<Box<Plan>>,
}

/// What a course comes to. Minutes are minutes of the plan's grid, hours are instance-hours.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Minutes in which the rollout was to blame for missing capacity.
    pub attributable_minutes: f64,
    /// Minutes before the deadline in which the whole healthy fleet could not have carried the
    /// load either, and no surge did.
    pub baseline_minutes: f64,
    /// Minutes of which the load was not recorded; nothing is judged in them.
    pub unobserved_minutes: f64,
    /// The least capacity minus min(load, whole fleet), as a share of the whole fleet.
    pub headroom_ratio: f64,
    /// Extra instance-hours.
    pub instance_hours: f64,
    /// What they cost, in the currency of the fleet.
    pub cost: f64,
    /// Minutes from the first order or removal until the last server was back.
    pub duration_minutes: Option<f64>,
}

impl Course {
    /// A course that takes nothing out.
    pub fn still(facts: &Facts, dimensions: &[Dimension], ended: Ended) -> Self {
        let ledger = Ledger::of_record(facts, dimensions, &[], &[]).expect("nothing is named");
        let (hires, told) = (Vec::new(), Told::default());
        Self { ended, refused: None, ledger, hires, span: None, told }
    }

    /// A course of servers that were away and surge that was there.
    ///
    /// # Errors
    /// The record names what the facts do not know.
    pub fn of_record(
        facts: &Facts,
        dimensions: &[Dimension],
        absences: &[Absence],
        hires: Vec<Hire>,
    ) -> Result<Self, Unknown> {
        let presence = |hire: &Hire| {
            let (ready_at, release_at) = hire.service?;
            Some(Presence { offer: hire.offer.clone(), count: 1, ready_at, release_at })
        };
        let presences: Vec<Presence> = hires.iter().filter_map(presence).collect();
        let ledger = Ledger::of_record(facts, dimensions, absences, &presences)?;
        let first = absences.iter().map(|a| a.out_at);
        let first = first.chain(hires.iter().map(|h| h.ordered_at)).min();
        let last = absences.iter().map(|a| a.back_at).max();
        let ended = match last {
            Some(last) if last > facts.deadline => Ended::Late,
            _ => Ended::Done,
        };
        let told = Told::default();
        Ok(Self { ended, refused: None, ledger, hires, span: first.zip(last), told })
    }

    /// A course that is the plan, to the second.
    ///
    /// # Errors
    /// The plan names what the facts do not know.
    pub fn of_plan(facts: &Facts, plan: &Plan) -> Result<Self, Unknown> {
        let ledger = Ledger::of(plan, facts)?;
        let hires = plan.surge.iter().flat_map(|purchase| {
            let hire = Hire {
                offer: purchase.offer.clone(),
                ordered_at: purchase.order_at,
                service: Some((purchase.ready_at, purchase.release_at)),
                ended_at: purchase.end_at,
            };
            std::iter::repeat_n(hire, purchase.count as usize)
        });
        let ended = if plan.finish_at > facts.deadline { Ended::Late } else { Ended::Done };
        let (span, told) = (Some((plan.start_at, plan.finish_at)), Told::default());
        Ok(Self { ended, refused: None, ledger, hires: hires.collect(), span, told })
    }

    /// The last moment at which it changes anything.
    pub fn end(&self) -> Option<Timestamp> {
        self.ledger.moments().last().copied()
    }

    /// Whether it takes anything out of service in `[from, to)`: elsewhere it is to blame for nothing.
    pub fn lacks(&self, from: Timestamp, to: Timestamp) -> bool {
        self.ledger.outages.iter().any(|outage| outage.out_at < to && from < outage.back_at)
    }

    /// Judges the course from `from` to the deadline, or to its own end where that is later.
    pub fn judge(&self, facts: &Facts, truth: &Truth, from: Timestamp) -> Account {
        let until = self.end().map_or(facts.deadline, |own| own.max(facts.deadline));
        self.judge_until(facts, truth, from, until)
    }

    /// Judges the course over `[from, until)`.
    pub fn judge_until(
        &self,
        facts: &Facts,
        truth: &Truth,
        from: Timestamp,
        until: Timestamp,
    ) -> Account {
        let (step, mut at) = (truth.step(), truth.step().floor(from));
        let minutes = step.seconds() as f64 / 60.0;
        let (mut attributable, mut baseline, mut unobserved) = (0_u32, 0_u32, 0_u32);
        let mut headroom = f64::INFINITY;
        while at < until {
            let next = at + step.duration();
            match truth.load(at) {
                None => unobserved += 1,
                Some(load) => {
                    let seen = self.step(&load, at, next);
                    attributable += u32::from(seen.attributable);
                    baseline +=
                        u32::from(!seen.attributable && seen.overload && at < facts.deadline);
                    headroom = if seen.headroom < headroom { seen.headroom } else { headroom };
                }
            }
            at = next;
        }
        let (hours, cost) = self.paid(facts);
        Account {
            attributable_minutes: f64::from(attributable) * minutes,
            baseline_minutes: f64::from(baseline) * minutes,
            unobserved_minutes: f64::from(unobserved) * minutes,
            headroom_ratio: if headroom.is_finite() { headroom } else { 0.0 },
            instance_hours: hours,
            cost,
            duration_minutes: self.span.map(|(first, last)| minutes_between(first, last)),
        }
    }

    fn step(&self, load: &[f64], at: Timestamp, next: Timestamp) -> Seen {
        let least = self.ledger.least(at, next);
        let mut seen = Seen { attributable: false, overload: false, headroom: f64::INFINITY };
        for ((load, full), capacity) in load.iter().zip(&self.ledger.full).zip(least.values()) {
            let could = if load > full { full } else { load };
            let rounding = full * ROUNDING_RATIO;
            seen.attributable |= could - capacity > rounding;
            seen.overload |= load - capacity > rounding;
            let left = (capacity - could) / full;
            seen.headroom = if left < seen.headroom { left } else { seen.headroom };
        }
        seen
    }

    /// Instance-hours and money, by the billing of the offers.
    fn paid(&self, facts: &Facts) -> (f64, f64) {
        self.hires.iter().fold((0.0, 0.0), |(hours, cost), hire| {
            let seconds = hire.ended_at.duration_since(hire.ordered_at).as_secs_f64();
            let paid = facts.offer(&hire.offer).map_or(0.0, |offer| {
                bill(offer.billing, offer.price_per_hour, 1, seconds.ceil() as i64)
            });
            (hours + seconds / 3600.0, cost + paid)
        })
    }
}

/// One step of the grid.
struct Seen {
    attributable: bool,
    overload: bool,
    headroom: f64,
}

/// Minutes from one moment to another.
pub fn minutes_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() / 60.0
}

/// The servers of a fleet, in its order.
pub fn servers(facts: &Facts) -> Vec<ServerName> {
    facts.servers.iter().map(|server| server.name.clone()).collect()
}
