//! The planner of the trials: a timetable that knows the load, and refuses what does not fit.

use async_trait::async_trait;
use domain::plan::{Batch, Plan, Refused};
use rollout::planner::{Planner, ReviseError, Revision, Weighed};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::forecaster::Forecaster;
use super::scene::SERVER_CARRIES;
use crate::planner::Timetable;
use crate::world::SimWorld;

/// The stream of draws of its failures.
const STREAM: u64 = 0xF1;

/// A band is so much wider than the load that is seen.
const WIDER: f64 = 1.15;

pub(super) struct Careful {
    pub(super) timetable: Timetable,
    pub(super) world: SimWorld,
    pub(super) servers: usize,
    pub(super) seed: u64,
    pub(super) fails: f64,
    pub(super) until: jiff::Timestamp,
    pub(super) asked: AtomicU64,
    /// What it refused last, until it makes a plan.
    pub(super) refused: Arc<Mutex<Option<String>>>,
}

#[async_trait]
impl Planner for Careful {
    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        let answer = self.answer(ask);
        let refused = answer.as_ref().err().map(ToString::to_string);
        *self.refused.lock().expect("no panic under the lock") = refused;
        answer
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        let risk = |next| Weighed {
            rest: next * rest.len() as f64,
            next,
            load: Default::default(),
            models: Default::default(),
        };
        // What no plan fits is too risky as it stands as well.
        match self.answer(ask) {
            Ok(_) => Ok(risk(0.0)),
            Err(ReviseError::Refused(_)) => Ok(risk(1.0)),
            Err(error) => Err(error),
        }
    }
}

/// The planner of production, whose refusals are remembered.
pub(super) struct Searching {
    pub(super) forecaster: Forecaster,
    pub(super) refused: Arc<Mutex<Option<String>>>,
}

#[async_trait]
impl Planner for Searching {
    async fn revise(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        let answer = self.forecaster.revise(ask).await;
        let refused = answer.as_ref().err().map(ToString::to_string);
        *self.refused.lock().expect("no panic under the lock") = refused;
        answer
    }

    async fn weigh(&self, rest: &[Batch], ask: &Revision) -> Result<Weighed, ReviseError> {
        self.forecaster.weigh(rest, ask).await
    }
}

impl Careful {
    fn answer(&self, ask: &Revision) -> Result<Plan, ReviseError> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let fails = plan::uniform(self.seed, [STREAM, asked, 0]) < self.fails;
        if fails && self.world.true_now() < self.until {
            return Err(ReviseError::Failed("no forecast".into()));
        }
        let refuse = |binding: &str, detail: String| {
            let binding = binding.into();
            Err(Refused { binding, detail, would_fit: Vec::new() }.into())
        };
        let load = self.world.load_now();
        let there = self.servers - self.timetable.batch - ask.unavailable.len();
        let carries = (there + self.timetable.surge.1 as usize) as f64 * SERVER_CARRIES;
        if load * WIDER > carries {
            return refuse("risk", format!("load {load:.0} is too much for {carries:.0}"));
        }
        let mut timetable = self.timetable.clone();
        if load * WIDER > timetable.upper {
            timetable.revised_upper = load * WIDER;
        }
        let plan = timetable.revise(ask);
        let plan = crate::run_until_stuck(plan).expect("a timetable does not wait")?;
        match plan.finish_at > ask.deadline {
            true => refuse("deadline", format!("it would finish at {}", plan.finish_at)),
            false => Ok(plan),
        }
    }
}
