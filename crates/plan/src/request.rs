//! What a plan is made from: checked values without a trace of the configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::calendar::Interval;
use domain::forecast::{Paths, Probability};
use domain::hour::Hour;
use domain::journal::Digest;
use domain::name::{FleetName, OfferName, ServerName, Zone};
use domain::plan::{Inputs, PerDimension};
use domain::series::Step;
use domain::spread::Spread;
use jiff::Timestamp;

use crate::settings::{FOLLOWED_LATE_SECONDS, ROUNDING_RATIO};

/// The question: how shall this rollout be performed?
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The name of the rollout.
    pub rollout: String,
    /// 1 for the first plan, counts up with each revision.
    pub revision: u32,
    /// The digest of the plan that is replaced.
    pub parent: Option<Digest>,
    /// The seed of the paths and of every draw made here.
    pub seed: u64,
    /// The present moment; nothing is planned before it.
    pub now: Timestamp,
    /// What the plan is made from, copied into it.
    pub inputs: Inputs,
    /// The fleet, its bounds and what can be bought.
    pub facts: Facts,
    /// Searched, or given in whole or in part.
    pub schedule: Schedule,
    /// The first batch.
    pub canary: Canary,
    /// Watch this long after the canary is back, before the next batch.
    pub canary_watch: Duration,
    /// Extra on top of the forecast load, per dimension; a missing dimension has none. It raises
    /// the purchase; the risk is reported without it.
    pub margin: PerDimension<Margin>,
    /// The allowed probability of attributable overload (for a revision: what is left of it).
    pub risk: Probability,
    /// Refuse a risk below what the history can show.
    pub strict_risk: bool,
    /// The surge may cost at most this, in the currency of the facts.
    pub budget: Option<f64>,
    /// Losses to survive while a batch is out: capacity carries the need, and the risk is stated,
    /// after any such loss.
    pub survive: Survive,
    /// Sampled load, per dimension, in the unit of the capacity. Paths that share an index
    /// belong together. The plan is chosen on these; [`paths_for`] says how many are enough.
    pub choosing: PerDimension<Paths>,
    /// Paths like `choosing`, drawn independently; the risk of the plan is reported on these.
    pub fresh: PerDimension<Paths>,
    /// The level of `load.upper` in the timeline, the band that live load is compared with;
    /// `None`: the higher of 0.95 and 1 − risk.
    pub band: Option<Probability>,
    /// How many independent windows of the rollout's kind the history shows; `resolution` is
    /// 1 / (this + 1).
    pub comparable_windows: u32,
}

/// The fleet, its bounds, and what can be bought: all that a plan can be checked against.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The fleet.
    pub fleet: FleetName,
    /// Everybody in it, updated or not.
    pub servers: Vec<Server>,
    /// What can be bought, and every offer of which surge is held.
    pub offers: Vec<Offer>,
    /// Surge that runs or was ordered already; a plan counts on it and does not buy it again.
    pub held: Vec<Held>,
    /// How long the parts of an update take.
    pub durations: Durations,
    /// What of it takes another time where servers go out in some hours of the day, UTC.
    pub hours: BTreeMap<Hour, InHour>,
    /// Probability that the update of one server fails, independent of the others. Such a server
    /// stays out, and no further batch opens.
    pub update_failure: f64,
    /// Plan times stand at this quantile of the durations (of the slowest server of a batch).
    pub plan_at: Probability,
    /// Peak-to-mean efficiency of the load balancer, in (0, 1].
    pub balance: f64,
    /// Capacity that is there for nothing the whole time, on top of the fleet; a missing
    /// dimension has none.
    pub spare: PerDimension<f64>,
    /// How much less a server carries once it is updated, where that was seen; in a missing dimension it carries the
    /// same.
    pub updated: PerDimension<Updated>,
    /// At most this many servers are not in service at the same time, unhealthy ones included.
    pub max_unavailable: u32,
    /// At most this many surge instances at the same time, held ones included.
    pub max_surge: u32,
    /// At most so many servers of a zone are not in service at the same time, unhealthy ones
    /// included; a missing zone has no limit of its own.
    pub zone_limits: BTreeMap<Zone, u32>,
    /// What all surge together may use, held surge included.
    pub quotas: Vec<Quota>,
    /// When servers may be out: windows minus freezes. They may reach beyond the deadline; what
    /// lies there serves only to say what would fit.
    pub windows: Vec<Interval>,
    /// The last server carries full load again by then.
    pub deadline: Timestamp,
    /// Watch this long after the last batch before surge is released.
    pub stabilisation: Duration,
    /// The grid of the plan, aligned to UTC.
    pub step: Step,
    /// The unit of all prices.
    pub currency: String,
}

/// A server of the fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Its name.
    pub name: ServerName,
    /// Its availability zone.
    pub zone: Option<Zone>,
    /// Whether it serves. An unhealthy server counts as unavailable and carries nothing.
    pub healthy: bool,
    /// Whether it is still to be updated.
    pub pending: bool,
    /// Load that it carries safely; a missing dimension is none. Of one that is updated, what it carried before.
    pub capacity: PerDimension<f64>,
    /// Whether it runs the version that [`Facts::updated`] tells of. Who is pending and runs it goes back.
    pub updated: bool,
}

/// What a server carries under the new version, in shares of what it carried before; none above 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Updated {
    /// At least this, with a probability of 95 %.
    pub p05: f64,
    /// The median; plan times are judged by it.
    pub p50: f64,
    /// What a sampled path goes by, each path by one of them in turn.
    pub draws: Vec<f64>,
}

/// Surge capacity that can be bought.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Its name, unique in the fleet.
    pub name: OfferName,
    /// How it is bought.
    pub market: Market,
    /// Where its instances run.
    pub zone: Option<Zone>,
    /// Load that one instance carries safely; a missing dimension is none.
    pub capacity: PerDimension<f64>,
    /// Price of one instance per hour.
    pub price_per_hour: f64,
    /// From the order until an instance runs, boot included.
    pub lead: Spread,
    /// The same for orders that are made in some hours of the day, UTC, where it is another.
    pub leads: BTreeMap<Hour, Spread>,
    /// From then until it carries full load.
    pub warmup: Spread,
    /// The same for instances that come up in some hours of the day, UTC, where it is another.
    pub warmups: BTreeMap<Hour, Spread>,
    /// At most this many instances, held ones included.
    pub max: u32,
    /// How a running instance is billed.
    pub billing: Billing,
    /// How instances get lost.
    pub interruption: Interruption,
    /// The share of an order that is delivered: the probability that one instance is, independent
    /// of the others. Where an offer is sold out as a whole, the rollout plans again without it.
    pub fulfilment: f64,
    /// Probability that an instance does not come up, independent of the others.
    pub boot_failure: f64,
}

impl Offer {
    /// From an order that is made in that hour until an instance runs.
    pub fn lead_in(&self, hour: Hour) -> Spread {
        self.leads.get(&hour).copied().unwrap_or(self.lead)
    }

    /// From when an instance runs until it carries full load, where it runs from that hour on.
    pub fn warmup_in(&self, hour: Hour) -> Spread {
        self.warmups.get(&hour).copied().unwrap_or(self.warmup)
    }

    /// Whether the hour makes no difference.
    pub(crate) fn knows_no_hours(&self) -> bool {
        self.leads.is_empty() && self.warmups.is_empty()
    }

    /// Whether an instance can be missing: it never comes, or is lost.
    pub fn can_be_missing(&self) -> bool {
        self.never_comes() > 0.0 || !self.interruption.is_never()
    }

    /// Probability that an instance that is ordered never comes: it is not delivered, or does not
    /// come up.
    pub fn never_comes(&self) -> f64 {
        // Where all is delivered it is the probability of the boot to the last bit.
        self.boot_failure + (1.0 - self.boot_failure) * (1.0 - self.fulfilment)
    }
}

/// A limit over several offers, in a unit of its own: virtual processors, addresses.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// Its name, unique in the fleet.
    pub name: String,
    /// No more than this may be used.
    pub limit: f64,
    /// What others use of it; surge of this rollout comes on top.
    pub used: f64,
    /// What one instance of an offer uses; a missing offer uses nothing.
    pub per: BTreeMap<OfferName, f64>,
}

impl Quota {
    /// What one instance of an offer uses.
    pub(crate) fn of(&self, offer: &OfferName) -> f64 {
        self.per.get(offer).copied().unwrap_or(0.0)
    }

    /// What is left of it beside the surge that is held.
    pub(crate) fn left(&self, held: &[Held]) -> f64 {
        let held = held.iter().map(|held| self.of(&held.offer) * f64::from(held.count));
        held.fold(self.limit - self.used, |left, used| left - used)
    }

    /// What sums may exceed by rounding.
    pub(crate) fn rounding(&self) -> f64 {
        self.limit * ROUNDING_RATIO
    }
}

/// How surge is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Market {
    /// Own standby servers.
    Standby,
    /// At list price, not interrupted by the seller.
    OnDemand,
    /// Cheap, and taken away when the seller needs it.
    Spot,
}

/// How the running time of an instance becomes money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Billing {
    /// At least this long is billed.
    pub minimum: Duration,
    /// Begun units of this length are billed; zero bills exactly.
    pub granularity: Duration,
}

/// How surge gets lost. A purchase is chosen as if losses came before the first batch; the stated
/// risk counts them from the moment at which they happen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Interruption {
    /// Probability that one instance is lost within an hour, independent of the others.
    pub per_hour: f64,
    /// Probability that all instances of the offer are lost together within an hour.
    pub pool_per_hour: f64,
}

impl Interruption {
    /// Whether nothing is ever lost.
    pub fn is_never(&self) -> bool {
        self.per_hour == 0.0 && self.pool_per_hour == 0.0
    }
}

/// Surge that is there, or ordered, before the plan begins. It is given back with the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// From which offer.
    pub offer: OfferName,
    /// How many instances.
    pub count: u32,
    /// When all of them carry full load; batches that start before do not count on them.
    pub ready_at: Timestamp,
    /// When it goes whatever the plan says; batches that end after do not count on it.
    pub ends_at: Option<Timestamp>,
}

/// How long the parts of the update of one server take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Durations {
    /// From the last new request to the last answer.
    pub drain: Spread,
    /// The update itself, with its reboot; for replaced servers the boot of the new one.
    pub work: Spread,
    /// From the first new request to full load.
    pub warmup: Spread,
    /// The share of its capacity that a server has when its warm-up begins, in [0, 1]; it rises
    /// linearly to 1.
    pub warmup_from: f64,
}

/// How long the parts of the update of a server take in one hour of the day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InHour {
    /// See [`Durations::drain`]; of a server that goes out in that hour.
    pub drain: Spread,
    /// See [`Durations::work`]; of a server that goes out in that hour.
    pub work: Spread,
    /// See [`Durations::warmup`]; of a server that comes back in that hour.
    pub warmup: Spread,
}

/// Which servers go out when.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schedule {
    /// The first removal; `None` searches it.
    pub start_at: Option<Timestamp>,
    /// The batches in order; `None` searches them.
    pub batches: Option<Vec<Vec<ServerName>>>,
}

/// The first batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canary {
    /// One server, or one in a hundred of a large fleet.
    Auto,
    /// So many servers, at least one.
    Size(u32),
    /// There was one already: a revision in the middle of a rollout.
    Passed,
}

/// Extra on top of the forecast load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Margin {
    /// A share of the load: 0.1 is 10 %.
    Ratio(f64),
    /// So much load.
    Absolute(f64),
}

/// Losses that a plan shall survive, all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Survive {
    /// So many servers of the fleet or instances of the surge, whichever carry most; fewer than
    /// the fleet has.
    pub servers: u32,
    /// So many zones with all that stands in them, fewer than the fleet has, at most two. An
    /// offer without a zone may stand in any, so that it is not counted on after such a loss.
    pub zones: u32,
}

/// How many sampled paths are enough to plan at `risk`: 20 / risk, at least 400.
pub fn paths_for(risk: Probability) -> usize {
    ((20.0 / risk.get()).ceil() as usize).clamp(400, 1_000_000)
}

impl Durations {
    /// Whether every server takes the same time.
    pub fn are_certain(&self) -> bool {
        [self.drain, self.work, self.warmup].into_iter().all(Spread::is_certain)
    }
}

impl Facts {
    /// How long the parts of an update take of a server that goes out in one hour of the day and comes back in
    /// another, or the same.
    pub fn durations_in(&self, out: Hour, back: Hour) -> Durations {
        self.durations_of(self.hours.get(&out), self.hours.get(&back))
    }

    /// Those of the day, and of each pair of hours that makes a difference.
    pub(crate) fn every_durations(&self) -> impl Iterator<Item = Durations> {
        let hours = || std::iter::once(None).chain(self.hours.values().map(Some));
        hours().flat_map(move |out| hours().map(move |back| self.durations_of(out, back)))
    }

    pub(crate) fn durations_of(&self, out: Option<&InHour>, back: Option<&InHour>) -> Durations {
        let day = self.durations;
        Durations {
            drain: out.map_or(day.drain, |own| own.drain),
            work: out.map_or(day.work, |own| own.work),
            warmup: back.map_or(day.warmup, |own| own.warmup),
            ..day
        }
    }

    /// Whether every path has its batches out at the same times, and all come back as they were.
    pub(crate) fn are_certain(&self) -> bool {
        self.have_one_course() && self.update_failure == 0.0
    }

    /// Whether on every path the same is in service at the same time, unless an update fails.
    pub(crate) fn have_one_course(&self) -> bool {
        self.every_durations().all(|durations| durations.are_certain()) && self.updated.is_empty()
    }

    /// So many seconds after its planned end a sampled rollout is followed: servers that failed
    /// are missing until the watch is over, and what a slower version lacks.
    pub(crate) fn followed_seconds(&self) -> i64 {
        let lacks = self.update_failure > 0.0 || !self.updated.is_empty();
        let watch = if lacks { self.stabilisation.as_secs() } else { 0 };
        FOLLOWED_LATE_SECONDS.max(watch.cast_signed())
    }
}

impl Facts {
    /// The offer of that name.
    pub fn offer(&self, name: &OfferName) -> Option<&Offer> {
        self.offers.iter().find(|o| o.name == *name)
    }

    /// How many instances of that offer are held.
    pub fn held_of(&self, name: &OfferName) -> u32 {
        self.held.iter().filter(|h| h.offer == *name).map(|h| h.count).sum()
    }

    /// What the held surge costs for so many seconds from now.
    pub(crate) fn kept_cost(&self, seconds: f64) -> f64 {
        let per_hour = |held: &Held| {
            let price = self.offer(&held.offer).map_or(0.0, |o| o.price_per_hour);
            f64::from(held.count) * price
        };
        self.held.iter().map(per_hour).fold(0.0, |sum, price| sum + price) * seconds / 3600.0
    }
}
