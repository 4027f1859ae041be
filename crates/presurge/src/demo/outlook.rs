//! Forecast and plan of the demo: the production forecaster and planner on the measured load.
//!
//! The forecaster is fitted once, on the history, and takes in what comes; so a revision in the
//! middle of a run costs milliseconds of real time, which are many seconds of the story.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use domain::calendar::Interval;
use domain::event::{Created, FORMAT, Member, OnFailure, OnTimeout, Policy};
use domain::forecast::{Paths, Probability};
use domain::journal::{Digest, digest_of};
use domain::name::{Dimension, FleetName, OfferName, ServerName, Version};
use domain::plan::{Batch, Inputs, PerDimension, Plan, Refused};
use domain::ports::Target;
use domain::series::{Series, Step};
use domain::spread::Spread;
use forecast::{AutoForecaster, ForecastError, Options};
use jiff::Timestamp;
use plan::{
    Billing, Canary, Durations, Facts, Held, Interruption, Market, Offer, Request, Schedule,
    Server, Survive,
};
use rollout::planner::{Planner, ReviseError, Revision, Weighed};
use rollout::state::Way;

use super::fleet::Fleet;
use super::load::Measured;
use super::profile::step;
use super::settings::{
    BAND_BREACHES, DEADLINE, FIXED_BATCH, HISTORY_WEEKS, LOAD_STEP_SECONDS, MAX_SURGE,
    PLAN_STEP_SECONDS, PLANNED_DRAIN, PLANNED_LEAD, PLANNED_UPDATE, PRICE, RISK, RUN,
    SERVER_CAPACITY, STABILISATION,
};
use crate::apply::planner::{schedule, weighed};

/// The name of the rollout.
pub const ROLLOUT: &str = "security-fix";

/// Why there is no forecast or no plan.
#[derive(Debug, thiserror::Error)]
pub enum OutlookError {
    /// The load cannot be forecast.
    #[error("the load cannot be forecast")]
    Forecast(#[from] ForecastError),
    /// No plan fits.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// The expected load of one step, with the band that holds it in 98 of 100 cases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// The middle of the step.
    pub at: Timestamp,
    /// 1 % lies below.
    pub low: f64,
    /// The expectation.
    pub mean: f64,
    /// 1 % lies above.
    pub high: f64,
}

/// See the module.
pub struct Outlook {
    forecaster: Mutex<AutoForecaster>,
    load: Arc<Measured>,
    seed: u64,
    deadline: Timestamp,
}

impl Outlook {
    /// Learns from the history of the load.
    ///
    /// # Errors
    /// When it cannot be forecast.
    pub fn learn(
        load: Arc<Measured>,
        seed: u64,
        deadline: Timestamp,
    ) -> Result<Self, ForecastError> {
        let start = load.history.first().map_or(load.origin, |s| s.at);
        let values = load.history.iter().map(|s| s.value).collect();
        let series = Series::new(start, step(), values);
        let horizon = usize::try_from(steps(RUN)).ok();
        let options = Options { horizon, ..Options::default() };
        let forecaster = Mutex::new(forecast::auto(&series, &options)?);
        Ok(Self { forecaster, load, seed, deadline })
    }

    fn forecaster(&self) -> MutexGuard<'_, AutoForecaster> {
        self.forecaster.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The forecast of the run: which model, or combination, makes it, and its band per step.
    ///
    /// # Errors
    /// When it cannot be forecast.
    pub fn bands(&self) -> Result<(String, Vec<Band>), ForecastError> {
        let level = |level| Probability::new(level).expect("it lies between 0 and 1");
        let horizon = usize::try_from(steps(RUN)).unwrap_or(1);
        let forecast = self.forecaster().forecast(horizon, &[level(0.01), level(0.99)])?;
        let half = step().duration() / 2;
        let band = |index: usize| Band {
            at: forecast.at(index) + half,
            low: forecast.quantiles[index][0],
            mean: forecast.mean[index],
            high: forecast.quantiles[index][1],
        };
        let bands = (0..forecast.horizon()).map(band).collect();
        Ok((forecast.model.clone(), bands))
    }

    /// The first plan.
    ///
    /// # Errors
    /// When none fits.
    pub fn first(&self, now: Timestamp) -> Result<Plan, OutlookError> {
        let pending = Fleet::names();
        self.plan(&Question { now, pending, ..Question::first(now) })
    }

    fn plan(&self, question: &Question) -> Result<Plan, OutlookError> {
        let until = self.deadline + STABILISATION + Duration::from_secs(86_400);
        let count = plan::paths_for(question.risk);
        Ok(plan::plan(&self.asked(question, until, [count, count])?)?)
    }

    /// The question with the load as it is known now, sampled as far as `until` on so many paths to
    /// choose on and to report on.
    fn asked(
        &self,
        question: &Question,
        until: Timestamp,
        counts: [usize; 2],
    ) -> Result<Request, OutlookError> {
        let mut forecaster = self.forecaster();
        let complete = self.load.complete(question.now);
        for sample in
            complete.iter().filter(|s| s.at >= forecaster.end()).copied().collect::<Vec<_>>()
        {
            forecaster.update(sample)?;
        }
        let horizon = until.duration_since(forecaster.end()).as_secs() / LOAD_STEP_SECONDS + 1;
        let horizon = usize::try_from(horizon).unwrap_or(1);
        let draw = |count, salt: u64| forecaster.paths(horizon, count, self.seed ^ salt);
        let (choosing, fresh) = (draw(counts[0], 0)?, draw(counts[1], 0x9E37_79B9_7F4A_7C15)?);
        let used: Vec<_> = complete.iter().map(|s| (s.at, s.value)).collect();
        let inputs = Inputs {
            config: digest_of(&(SERVER_CAPACITY, PRICE, RISK, self.deadline)),
            load: [(format!("{}/{}", fleet_name(), dimension()), digest_of(&used))].into(),
            until: forecaster.end(),
            calendars: Default::default(),
            learned: Default::default(),
            signals: Default::default(),
            capacity: Default::default(),
            models: Default::default(),
        };
        drop(forecaster);
        Ok(self.request(question, inputs, choosing, fresh))
    }

    fn request(
        &self,
        question: &Question,
        inputs: Inputs,
        choosing: Paths,
        fresh: Paths,
    ) -> Request {
        let days = u32::try_from(HISTORY_WEEKS * 7).unwrap_or(0);
        Request {
            rollout: ROLLOUT.into(),
            revision: question.revision,
            parent: question.parent.clone(),
            seed: self.seed,
            now: question.now,
            inputs,
            facts: self.facts(question),
            schedule: Schedule::default(),
            canary: question.canary,
            canary_watch: Duration::ZERO,
            margin: PerDimension::new(),
            risk: question.risk,
            strict_risk: false,
            budget: None,
            survive: Survive::default(),
            choosing: [(dimension(), choosing)].into(),
            fresh: [(dimension(), fresh)].into(),
            band: None,
            comparable_windows: days,
        }
    }

    fn facts(&self, question: &Question) -> Facts {
        let capacity = || PerDimension::from([(dimension(), SERVER_CAPACITY)]);
        let server = |name: ServerName| Server {
            zone: None,
            healthy: !question.unavailable.contains(&name),
            pending: question.pending.contains(&name),
            updated: false,
            capacity: capacity(),
            name,
        };
        let spread = |length| Spread::exactly(length);
        let always = Interval::new(question.now, self.deadline + Duration::from_secs(36 * 3_600));
        Facts {
            fleet: fleet_name(),
            servers: Fleet::names().into_iter().map(server).collect(),
            offers: vec![Offer {
                name: offer_name(),
                market: Market::OnDemand,
                zone: None,
                capacity: capacity(),
                price_per_hour: PRICE,
                lead: spread(PLANNED_LEAD),
                leads: Default::default(),
                warmups: Default::default(),
                warmup: Spread::ZERO,
                max: MAX_SURGE,
                billing: billing(),
                interruption: Interruption::default(),
                fulfilment: 1.0,
                boot_failure: 0.0,
            }],
            held: question.held.clone(),
            durations: Durations {
                drain: spread(PLANNED_DRAIN),
                work: spread(PLANNED_UPDATE),
                warmup: Spread::ZERO,
                warmup_from: 0.0,
            },
            hours: Default::default(),
            update_failure: 0.0,
            plan_at: Probability::new(0.95).expect("it lies between 0 and 1"),
            balance: 1.0,
            spare: PerDimension::new(),
            updated: PerDimension::new(),
            // The same bound as the fixed rolls have.
            max_unavailable: u32::try_from(FIXED_BATCH).unwrap_or(1),
            max_surge: MAX_SURGE,
            zone_limits: std::collections::BTreeMap::new(),
            quotas: Vec::new(),
            windows: always.into_iter().collect(),
            deadline: self.deadline,
            stabilisation: STABILISATION,
            step: Step::from_seconds(PLAN_STEP_SECONDS).expect("the step is positive"),
            currency: "USD".into(),
        }
    }
}

/// What changes from plan to plan.
struct Question {
    now: Timestamp,
    revision: u32,
    parent: Option<Digest>,
    canary: Canary,
    pending: Vec<ServerName>,
    unavailable: Vec<ServerName>,
    held: Vec<Held>,
    /// What of the risk the plan may use.
    risk: Probability,
}

impl Question {
    fn first(now: Timestamp) -> Self {
        Self {
            now,
            revision: 1,
            parent: None,
            canary: Canary::Auto,
            pending: Vec::new(),
            unavailable: Vec::new(),
            held: Vec::new(),
            risk: risk(),
        }
    }
}

/// Revises on the live load.
pub struct Reviser(pub Arc<Outlook>);

impl Question {
    fn of(ask: &Revision) -> Self {
        let held = |h: &rollout::planner::HeldSurge| Held {
            offer: h.offer.clone(),
            count: h.count,
            ready_at: h.ready_at,
            ends_at: None,
        };
        let begun = ask.way == Way::Back || ask.pending.len() < Fleet::names().len();
        Self {
            now: ask.now,
            revision: ask.revision,
            parent: Some(ask.parent.clone()),
            canary: if begun { Canary::Passed } else { Canary::Auto },
            pending: ask.pending.clone(),
            unavailable: ask.unavailable.clone(),
            held: ask.held.iter().map(held).collect(),
            risk: ask.risk,
        }
    }
}

impl Reviser {
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Outlook) -> Result<T, OutlookError> + Send + 'static,
    ) -> Result<T, ReviseError> {
        let outlook = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || work(&outlook)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(OutlookError::Refused(refused))) => Err(ReviseError::Refused(refused)),
            Ok(Err(error)) => Err(ReviseError::Failed(error.to_string())),
            Err(error) => Err(ReviseError::Failed(error.to_string())),
        }
    }
}

#[async_trait]
impl Planner for Reviser {
    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        let question = Question::of(ask);
        self.compute(move |outlook| outlook.plan(&question)).await
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        let (question, batches) = (Question::of(ask), schedule(rest));
        let schedule = Schedule { start_at: None, batches: Some(batches) };
        // Batches may run late, as far as the forecast has to see.
        let until = ask.deadline + Duration::from_secs(3_600);
        let weigh = move |outlook: &Outlook| {
            // What is left of the risk would take ever more paths, and time is short here.
            let counts = [1, plan::paths_for(question.risk).min(plan::paths_for(risk()))];
            let request = Request { schedule, ..outlook.asked(&question, until, counts)? };
            Ok(plan::standing(&request)?)
        };
        let standing = self.compute(weigh).await?;
        Ok(weighed(&standing))
    }
}

/// The first event of the journal.
pub fn created(targets: &[Target], target: &Version, deadline: Timestamp, spec: Digest) -> Created {
    let member =
        |t: &Target| Member { name: t.server.clone(), zone: None, address: t.address.clone() };
    let seconds = |length: Duration| length.as_secs_f64();
    Created {
        format: FORMAT,
        name: ROLLOUT.into(),
        spec,
        fleet: fleet_name(),
        target: target.clone(),
        servers: targets.iter().map(member).collect(),
        before: Default::default(),
        learned: Default::default(),
        deadline,
        risk: RISK,
        policy: Policy {
            drain_timeout_seconds: 12.0 * seconds(PLANNED_DRAIN),
            drain_on_timeout: OnTimeout::Hold,
            update_timeout_seconds: 12.0 * seconds(PLANNED_UPDATE),
            verify_timeout_seconds: 12.0 * seconds(PLANNED_UPDATE),
            warmup_seconds: 0.0,
            warmup_seconds_in: Default::default(),
            warmup_steps: 1,
            degrade: false,
            retries: 0,
            failure_budget: 0,
            on_failure: OnFailure::Hold,
            reversible: true,
            hold: None,
            surge_timeout_seconds: 12.0 * seconds(PLANNED_LEAD),
            canary_watch_seconds: 0.0,
            stabilisation_seconds: seconds(STABILISATION),
            approval: None,
            hooks: Vec::new(),
            size: None,
            band_breaches: BAND_BREACHES,
            stale_after_seconds: 4.0 * LOAD_STEP_SECONDS as f64,
        },
    }
}

/// How surge is billed: whole seconds, at least a minute.
pub fn billing() -> Billing {
    Billing { minimum: Duration::from_secs(60), granularity: Duration::from_secs(1) }
}

/// What surge costs that was ordered and given back at these moments.
pub fn surge_cost(count: usize, ordered: Timestamp, gone: Timestamp) -> f64 {
    let billing = billing();
    let seconds = gone.duration_since(ordered).as_secs_f64().ceil();
    count as f64 * seconds.max(billing.minimum.as_secs_f64()) / 3_600.0 * PRICE
}

/// The deadline, unless another one is asked for.
pub fn deadline(now: Timestamp, asked: Option<Duration>) -> Timestamp {
    now + asked.unwrap_or(DEADLINE)
}

/// The only dimension of the load.
pub fn dimension() -> Dimension {
    Dimension::new("requests").expect("a word is a name")
}

/// The fleet.
pub fn fleet_name() -> FleetName {
    FleetName::new("web").expect("a word is a name")
}

/// The only offer.
pub fn offer_name() -> OfferName {
    OfferName::new("process").expect("a word is a name")
}

fn risk() -> Probability {
    Probability::new(RISK).expect("it lies between 0 and 1")
}

fn steps(length: Duration) -> u64 {
    length.as_secs() / LOAD_STEP_SECONDS.unsigned_abs()
}

#[cfg(test)]
mod tests;
