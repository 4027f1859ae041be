//! The planner of production, with a forecast that knows the process of the world's load: paths
//! are drawn from the same process as the truth, which is one more path.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use domain::calendar::Interval;
use domain::forecast::{Paths, Probability};
use domain::journal::Digest;
use domain::name::{OfferName, ServerName};
use domain::plan::{Batch, Inputs, PerDimension, Plan, Refused};
use domain::series::Step;
use domain::spread::Spread;
use jiff::Timestamp;
use plan::{
    Billing, Canary, Durations, Facts, Held, Market, Offer, Request, Schedule, Server, Survive,
    paths_for, standing, uniform,
};
use rollout::planner::{Planner, ReviseError, Revision, Weighed};

use super::fate::{Fate, offers};
use super::scene::{SERVER_CARRIES, dimension, fleet};
use crate::world::SimWorld;

/// The stream of draws of the load.
const STREAM: u64 = 0x10;

/// The grid of plans and paths, in seconds.
const STEP_SECONDS: i64 = 300;

/// Load rises and falls by this share, in the time of a cycle.
const SWING: f64 = 0.25;
const CYCLE_SECONDS: f64 = 6.0 * 3600.0;

/// Load differs from its mean by at most this share.
const NOISE: f64 = 0.08;

/// The path that comes true.
const TRUTH: u64 = u64::MAX;

/// What the gates and the distance of two looks add to each part, at most.
const LOOKS: Duration = Duration::from_secs(60);

/// Load over time, drawn under a seed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pub(super) seed: u64,
    pub(super) mean: f64,
}

impl Process {
    fn on_path(self, path: u64, at: Timestamp) -> f64 {
        let second = at.as_second();
        let swing = (std::f64::consts::TAU * second as f64 / CYCLE_SECONDS).sin() * SWING;
        let step = second.div_euclid(STEP_SECONDS).unsigned_abs();
        let noise = (uniform(self.seed, [STREAM, path, step]) * 2.0 - 1.0) * NOISE;
        self.mean * (1.0 + swing) * (1.0 + noise)
    }

    /// The load that comes.
    pub(super) fn truth(self, at: Timestamp) -> f64 {
        self.on_path(TRUTH, at)
    }

    fn paths(self, first: u64, count: usize, from: Timestamp, steps: usize, times: f64) -> Paths {
        let step = Step::from_seconds(STEP_SECONDS).expect("a positive number");
        let mut values = Vec::with_capacity(count * steps);
        for path in first..first + count as u64 {
            let at = |n: usize| from + step.duration() * u32::try_from(n).unwrap_or(u32::MAX);
            values.extend((0..steps).map(|n| self.on_path(path, at(n)) * times));
        }
        Paths::new(from, step, steps, values).expect("finite values in full rows")
    }
}

pub(super) struct Forecaster {
    pub(super) process: Process,
    pub(super) world: SimWorld,
    pub(super) names: Vec<ServerName>,
    pub(super) fate: Fate,
    pub(super) deadline: Timestamp,
}

#[async_trait]
impl Planner for Forecaster {
    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        Ok(plan::plan(&self.request(question(ask)))?)
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        let batches = rest.iter().map(|batch| batch.servers.clone()).collect();
        let schedule = Schedule { start_at: None, batches: Some(batches) };
        let standing = standing(&Request { schedule, ..self.request(question(ask)) })?;
        let next = standing.batches.first().copied().unwrap_or(standing.upper95);
        let next = next * standing.planned / standing.upper95;
        Ok(Weighed {
            rest: standing.planned,
            next,
            load: Default::default(),
            models: Default::default(),
        })
    }
}

fn question(ask: &Revision) -> Question<'_> {
    Question {
        now: ask.now,
        revision: (ask.revision, Some(ask.parent.clone())),
        pending: &ask.pending,
        unavailable: &ask.unavailable,
        held: ask.held.iter().map(held).collect(),
        without: &ask.without,
        risk: ask.risk,
        deadline: ask.deadline,
        canary: Canary::Passed,
    }
}

fn held(held: &rollout::planner::HeldSurge) -> Held {
    let (offer, count, ready_at) = (held.offer.clone(), held.count, held.ready_at);
    Held { offer, count, ready_at, ends_at: None }
}

struct Question<'a> {
    now: Timestamp,
    revision: (u32, Option<Digest>),
    pending: &'a [ServerName],
    unavailable: &'a [ServerName],
    held: Vec<Held>,
    without: &'a [OfferName],
    risk: Probability,
    /// The last server is back by then.
    deadline: Timestamp,
    canary: Canary,
}

impl Forecaster {
    /// The first plan.
    pub(super) fn first(&self, now: Timestamp, risk: f64) -> Result<Plan, Refused> {
        let question = Question {
            now,
            revision: (1, None),
            pending: &self.names,
            unavailable: &[],
            held: Vec::new(),
            without: &[],
            risk: probability(risk),
            deadline: self.deadline,
            canary: Canary::Auto,
        };
        plan::plan(&self.request(question))
    }

    fn request(&self, question: Question<'_>) -> Request {
        let step = Step::from_seconds(STEP_SECONDS).expect("a positive number");
        let from = step.floor(question.now);
        let ahead = question.deadline.max(self.deadline).duration_since(from).as_secs() + 6 * 3600;
        let steps = usize::try_from(ahead / STEP_SECONDS).unwrap_or(0).clamp(72, 300);
        // Load that is not as forecast is known to be so: the paths follow what is measured.
        let measured = self.world.load_now() / self.process.truth(self.world.true_now());
        let times = if measured > 1.0 { measured } else { 1.0 };
        let count = paths_for(question.risk).min(2000);
        let draw = |first| {
            PerDimension::from([(
                dimension(),
                self.process.paths(first, count, from, steps, times),
            )])
        };
        Request {
            rollout: "trial".into(),
            revision: question.revision.0,
            parent: question.revision.1.clone(),
            seed: self.process.seed,
            now: question.now,
            inputs: Inputs {
                config: Digest::of_bytes(b"simulated"),
                load: BTreeMap::new(),
                until: question.now,
                calendars: Default::default(),
                learned: Default::default(),
                signals: Default::default(),
                capacity: Default::default(),
                models: Default::default(),
            },
            schedule: Schedule::default(),
            canary: question.canary,
            canary_watch: Duration::from_secs_f64(self.fate.policy.canary_watch_seconds),
            margin: BTreeMap::new(),
            risk: question.risk,
            strict_risk: false,
            budget: None,
            survive: Survive::default(),
            choosing: draw(0),
            fresh: draw(1_000_000),
            band: Probability::new(0.999).ok(),
            comparable_windows: 60,
            facts: self.facts(&question, from, step),
        }
    }

    fn facts(&self, question: &Question<'_>, from: Timestamp, step: Step) -> Facts {
        let capacity = PerDimension::from([(dimension(), SERVER_CARRIES)]);
        let server = |name: &ServerName| Server {
            name: name.clone(),
            zone: None,
            healthy: !question.unavailable.contains(name),
            pending: question.pending.contains(name),
            updated: false,
            capacity: capacity.clone(),
        };
        let settings = &self.fate.settings;
        let certain = |spread: Spread, more: Duration| {
            Spread::exactly(Duration::from_secs(spread.quantile_seconds(0.95) as u64) + more)
        };
        let most = |name: &OfferName| match question.without.contains(name) {
            false => self.fate.surge,
            true => question.held.iter().filter(|h| h.offer == *name).map(|h| h.count).sum(),
        };
        let offer = |(name, price): (OfferName, f64)| Offer {
            capacity: capacity.clone(),
            market: Market::OnDemand,
            zone: None,
            price_per_hour: price,
            lead: certain(settings.boot, LOOKS),
            leads: BTreeMap::new(),
            warmups: BTreeMap::new(),
            warmup: Spread::exactly(Duration::from_secs(30)),
            max: most(&name),
            billing: Billing { minimum: LOOKS, granularity: Duration::from_secs(1) },
            interruption: settings.offers[&name].interruption,
            fulfilment: 1.0,
            boot_failure: 0.0,
            name,
        };
        Facts {
            fleet: fleet(),
            servers: self.names.iter().map(server).collect(),
            offers: offers().into_iter().zip([0.1, 0.3]).map(offer).collect(),
            held: question.held.clone(),
            durations: Durations {
                drain: certain(settings.drain, LOOKS),
                work: certain(settings.update, settings.start + LOOKS),
                warmup: Spread::exactly(Duration::from_secs(30)),
                warmup_from: 0.0,
            },
            hours: BTreeMap::new(),
            update_failure: 0.0,
            plan_at: probability(0.95),
            balance: 1.0,
            spare: BTreeMap::new(),
            updated: BTreeMap::new(),
            max_unavailable: u32::try_from(self.fate.batch).unwrap_or(u32::MAX),
            max_surge: self.fate.surge,
            zone_limits: BTreeMap::new(),
            quotas: Vec::new(),
            windows: Interval::new(
                from,
                question.deadline.max(self.deadline) + Duration::from_secs(12 * 3600),
            )
            .into_iter()
            .collect(),
            deadline: question.deadline.max(self.deadline),
            stabilisation: Duration::from_secs_f64(self.fate.policy.stabilisation_seconds),
            step,
            currency: "USD".into(),
        }
    }
}

fn probability(value: f64) -> Probability {
    Probability::new(value).expect("between 0 and 1")
}
