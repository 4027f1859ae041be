//! Target tracking: instances are added when what is in service is busier than it should be, as
//! far as late metrics show it.

use std::time::Duration;

use jiff::Timestamp;
use plan::{Ledger, Offer};

use super::course::{Course, Ended, Hire};
use super::fixed::{From, Orders, When, cheapest, roll};
use super::settings::{
    TRACKING_BEFORE_MINUTES, TRACKING_IN_MINUTES, TRACKING_IN_RATIO, TRACKING_LAG_MINUTES,
    TRACKING_OUT_MINUTES, TRACKING_TARGET_RATIO,
};
use super::{Broken, Case};

const MINUTE: Duration = Duration::from_secs(60);

/// Batches of 25 % at once, under target tracking. What target tracking would have bought
/// without a rollout is no cost of the rollout.
pub fn reactive(case: &Case<'_>) -> Result<(Course, Vec<Hire>), Broken> {
    let Some((offer, _)) = cheapest(&case.facts, From::OnDemand, |_| 1.0) else {
        return Ok((case.still(Ended::Unavailable), Vec::new()));
    };
    let absences = roll(case, case.instant, &When::AtOnce);
    let back = absences.iter().map(|a| a.back_at).max().unwrap_or(case.instant);
    let end = back + case.facts.stabilisation + Duration::from_secs(3600);
    let rolled = case.course(&absences, Vec::new())?;
    let still = case.still(Ended::Nothing);
    let with = Tracking::run(case, offer, &rolled.ledger, end);
    let without = Tracking::run(case, offer, &still.ledger, end);
    // What was bought before the rollout does not lengthen it.
    let course = Course { span: rolled.span, ..case.course(&absences, with)? };
    Ok((course, without))
}

/// An instance under way or in service.
struct Running {
    nth: u32,
    ordered_at: Timestamp,
    ready_at: Timestamp,
}

struct Tracking<'a, 'b> {
    case: &'a Case<'b>,
    offer: &'a Offer,
    ledger: &'a Ledger,
    running: Vec<Running>,
    ended: Vec<Hire>,
    /// Busyness per minute: the largest share of the capacity in service in any dimension.
    busy: Vec<f64>,
    ordered: u32,
}

impl<'a, 'b> Tracking<'a, 'b> {
    fn run(case: &'a Case<'b>, offer: &'a Offer, ledger: &'a Ledger, end: Timestamp) -> Vec<Hire> {
        let (running, ended, busy) = (Vec::new(), Vec::new(), Vec::new());
        let mut own = Self { case, offer, ledger, running, ended, busy, ordered: 0 };
        let before = Duration::from_secs(TRACKING_BEFORE_MINUTES.unsigned_abs() * 60);
        let mut now = case.instant.checked_sub(before).unwrap_or(case.instant);
        while now < end {
            let seen = own.busy.len().saturating_sub(TRACKING_LAG_MINUTES);
            own.scale_out(seen, now);
            own.scale_in(seen, now);
            let busy = own.busyness(now).or(own.busy.last().copied()).unwrap_or(0.0);
            own.busy.push(busy);
            now += MINUTE;
        }
        let left: Vec<Running> = own.running.drain(..).collect();
        for instance in left {
            own.end(&instance, end);
        }
        own.ended
    }

    fn unit(&self) -> f64 {
        // The share of the whole fleet that one instance carries, where it carries least.
        let dimensions = self.ledger.dimensions.iter().zip(&self.ledger.full);
        let shares = dimensions.map(|(dimension, full)| {
            let unit = self.offer.capacity.get(dimension).copied().unwrap_or(0.0);
            unit * self.case.facts.balance / full
        });
        shares.fold(f64::INFINITY, |a, b| if b < a { b } else { a })
    }

    fn ready(&self, now: Timestamp) -> f64 {
        self.running.iter().filter(|i| i.ready_at <= now).count() as f64
    }

    /// The capacity in service as a share of the whole fleet's, where it is least.
    fn capacity(&self, now: Timestamp) -> f64 {
        let own = self.ledger.capacity_at(now);
        let shares = own.iter().zip(&self.ledger.full).map(|(own, full)| own / full);
        let least = shares.fold(f64::INFINITY, |a, b| if b < a { b } else { a });
        least + self.ready(now) * self.unit()
    }

    fn busyness(&self, now: Timestamp) -> Option<f64> {
        let load = self.case.recorded.truth.load(now)?;
        let shares = load.iter().zip(&self.ledger.full).map(|(load, full)| load / full);
        let most = shares.fold(0.0, |a: f64, b| if b > a { b } else { a });
        Some(most / self.capacity(now))
    }

    fn scale_out(&mut self, seen: usize, now: Timestamp) {
        let Some(from) = seen.checked_sub(TRACKING_OUT_MINUTES) else { return };
        let newest = &self.busy[from..seen];
        if newest.iter().any(|busy| *busy <= TRACKING_TARGET_RATIO) {
            return;
        }
        let wanted = self.capacity(now) * newest[newest.len() - 1] / TRACKING_TARGET_RATIO;
        let coming = self.running.iter().filter(|i| i.ready_at > now).count() as f64;
        let missing = (wanted - self.capacity(now)) / self.unit() - coming;
        let room = self.offer.max.saturating_sub(self.running.len() as u32);
        let count = if missing > 0.0 { (missing.ceil() as u32).min(room) } else { 0 };
        let orders = Orders { case: self.case, order_at: now };
        for _ in 0..count {
            self.ordered += 1;
            let ready_at = orders.ready(self.offer, self.ordered);
            self.running.push(Running { nth: self.ordered, ordered_at: now, ready_at });
        }
    }

    fn scale_in(&mut self, seen: usize, now: Timestamp) {
        let Some(from) = seen.checked_sub(TRACKING_IN_MINUTES) else { return };
        let newest = &self.busy[from..seen];
        let limit = TRACKING_TARGET_RATIO * TRACKING_IN_RATIO;
        if self.running.is_empty() || newest.iter().any(|busy| *busy >= limit) {
            return;
        }
        let wanted = self.capacity(now) * newest[newest.len() - 1] / TRACKING_TARGET_RATIO;
        let spare = ((self.capacity(now) - wanted) / self.unit()).floor();
        for _ in 0..(spare.clamp(0.0, self.running.len() as f64) as usize) {
            if let Some(instance) = self.running.pop() {
                self.end(&instance, now);
            }
        }
    }

    fn end(&mut self, instance: &Running, now: Timestamp) {
        let orders = Orders { case: self.case, order_at: instance.ordered_at };
        self.ended.push(orders.hire(self.offer, instance.nth, instance.ready_at, now));
    }
}
