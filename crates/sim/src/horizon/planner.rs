//! The planner of production, told what load can come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::calendar::Interval;
use domain::forecast::Probability;
use domain::journal::Digest;
use domain::name::{Dimension, FleetName, OfferName, ServerName};
use domain::plan::{Batch, Inputs, PerDimension, Plan, Refused};
use jiff::Timestamp;
use plan::{
    Billing, Canary, Durations, Facts, Held, Market, Offer, Request, Schedule, Server, Survive,
    paths_for, standing,
};
use rollout::planner::{Planner, ReviseError, Revision, Weighed};

use super::process::Process;
use crate::world::Settings;

/// Load that one server carries, in requests a second.
pub(super) const CARRIES: f64 = 100.0;

/// What the gates and the distance of two looks add to each part, at most.
const LOOKS: Duration = Duration::from_secs(30);

/// No more paths than these are drawn, however little is left of the risk.
const MOST_PATHS: usize = 1_000;

/// Load is drawn so far beyond the deadline, in seconds.
const BEYOND_SECONDS: i64 = 3 * 3600;

/// At most so many instances.
const MOST_SURGE: u32 = 6;

pub(super) fn dimension() -> Dimension {
    Dimension::new("requests").expect("a name")
}

pub(super) fn fleet() -> FleetName {
    FleetName::new("web").expect("a name")
}

/// One that can be lost, and one that cannot.
pub(super) fn offers() -> [OfferName; 2] {
    ["spot", "sure"].map(|name| OfferName::new(name).expect("a name"))
}

/// What stays the same from one plan to the next.
pub(super) struct Terms {
    pub(super) settings: Settings,
    pub(super) names: Vec<ServerName>,
    pub(super) deadline: Timestamp,
    pub(super) stabilisation: Duration,
}

/// See the module.
pub(super) struct Informed {
    pub(super) process: Arc<Process>,
    pub(super) terms: Terms,
    pub(super) seed: u64,
    /// What it is told of the load, as a share of the truth.
    pub(super) tells: f64,
}

#[async_trait]
impl Planner for Informed {
    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        Ok(plan::plan(&self.asked(ask))?)
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        let batches = rest.iter().map(|batch| batch.servers.clone()).collect();
        let schedule = Schedule { start_at: None, batches: Some(batches) };
        let standing = standing(&Request { schedule, ..self.asked(ask) })?;
        let next = standing.batches.first().copied().unwrap_or(standing.upper95);
        let next = next * standing.planned / standing.upper95;
        Ok(Weighed { rest: standing.planned, next, load: BTreeMap::new(), models: BTreeMap::new() })
    }
}

impl Informed {
    /// The first plan.
    pub(super) fn first(&self, now: Timestamp, risk: f64) -> Result<Plan, Refused> {
        let risk = Probability::new(risk).expect("between 0 and 1");
        let facts = self.facts(now, self.terms.deadline, &self.terms.names, &[], &[]);
        plan::plan(&self.request(now, (1, None), risk, facts))
    }

    fn asked(&self, ask: &Revision) -> Request {
        let held = |held: &rollout::planner::HeldSurge| Held {
            offer: held.offer.clone(),
            count: held.count,
            ready_at: held.ready_at,
            ends_at: None,
        };
        let held: Vec<_> = ask.held.iter().map(held).collect();
        let facts = self.facts(ask.now, ask.deadline, &ask.pending, &ask.unavailable, &held);
        self.request(ask.now, (ask.revision, Some(ask.parent.clone())), ask.risk, facts)
    }

    fn request(
        &self,
        now: Timestamp,
        (revision, parent): (u32, Option<Digest>),
        risk: Probability,
        facts: Facts,
    ) -> Request {
        let step = self.process.grid();
        let from = step.floor(now);
        let ahead = facts.deadline.duration_since(from).as_secs().max(0) + BEYOND_SECONDS;
        let steps = usize::try_from(ahead / step.seconds()).unwrap_or(1).max(1);
        let count = paths_for(risk).next_multiple_of(2).min(MOST_PATHS);
        // Each plan has paths of its own, as a forecast that is made anew.
        let own = u64::from(revision) << 32 | from.as_second().unsigned_abs() << 40;
        let draw = |first: u64| {
            let paths = self.process.paths(own + first, count, (from, steps), self.tells);
            PerDimension::from([(dimension(), paths)])
        };
        Request {
            rollout: "horizon".into(),
            revision,
            parent,
            seed: self.seed,
            now,
            inputs: Inputs {
                config: Digest::of_bytes(b"horizon"),
                load: BTreeMap::new(),
                until: now,
                calendars: BTreeMap::new(),
                learned: Default::default(),
                signals: Default::default(),
                capacity: Default::default(),
                models: Default::default(),
            },
            schedule: Schedule::default(),
            canary: if revision == 1 { Canary::Auto } else { Canary::Passed },
            canary_watch: Duration::from_secs(60),
            margin: BTreeMap::new(),
            risk,
            strict_risk: false,
            budget: None,
            survive: Survive::default(),
            choosing: draw(0),
            fresh: draw(1_000_000),
            band: Probability::new(0.999).ok(),
            comparable_windows: 60,
            facts,
        }
    }

    /// The fleet at a moment.
    pub(super) fn facts(
        &self,
        now: Timestamp,
        deadline: Timestamp,
        pending: &[ServerName],
        unavailable: &[ServerName],
        held: &[Held],
    ) -> Facts {
        let capacity = PerDimension::from([(dimension(), CARRIES)]);
        let server = |name: &ServerName| Server {
            name: name.clone(),
            zone: None,
            healthy: !unavailable.contains(name),
            pending: pending.contains(name),
            updated: false,
            capacity: capacity.clone(),
        };
        let settings = &self.terms.settings;
        let [spot, sure] = offers();
        let offer = |(name, market, price): (OfferName, Market, f64)| Offer {
            capacity: capacity.clone(),
            market,
            zone: None,
            price_per_hour: price,
            lead: settings.offers[&name].lead.longer(LOOKS),
            leads: Default::default(),
            warmups: Default::default(),
            warmup: settings.warmup,
            max: MOST_SURGE,
            billing: Billing { minimum: LOOKS, granularity: Duration::from_secs(1) },
            interruption: settings.offers[&name].interruption,
            fulfilment: 1.0,
            boot_failure: 0.0,
            name,
        };
        let on_sale = [(spot, Market::Spot, 0.1), (sure, Market::OnDemand, 0.3)];
        let until = deadline + Duration::from_secs(BEYOND_SECONDS.unsigned_abs());
        Facts {
            fleet: fleet(),
            servers: self.terms.names.iter().map(server).collect(),
            offers: on_sale.into_iter().map(offer).collect(),
            held: held.to_vec(),
            durations: Durations {
                drain: settings.drain.longer(LOOKS),
                work: settings.update.longer(settings.start + LOOKS),
                warmup: settings.warmup,
                warmup_from: 0.0,
            },
            hours: Default::default(),
            update_failure: 0.0,
            plan_at: Probability::new(0.95).expect("between 0 and 1"),
            balance: 1.0,
            spare: PerDimension::new(),
            updated: PerDimension::new(),
            max_unavailable: 1,
            max_surge: MOST_SURGE,
            zone_limits: BTreeMap::new(),
            quotas: Vec::new(),
            windows: Interval::new(now, until).into_iter().collect(),
            deadline,
            stabilisation: self.terms.stabilisation,
            step: self.process.grid(),
            currency: "USD".into(),
        }
    }
}
