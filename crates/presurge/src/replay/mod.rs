//! Replay: a rollout started at many past instants of real load, by Presurge and by others.

mod advised;
mod clairvoyant;
mod course;
mod driven;
mod fixed;
mod hourly;
mod reactive;
pub mod regimes;
mod settings;
mod strategy;
mod summary;
mod truth;

use std::error::Error;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::name::Dimension;
use jiff::Timestamp;
use plan::{Absence, Facts};
use rayon::prelude::*;

pub use advised::{NotJudged, Ways};
pub use course::{Account, Course, Ended, Hire};
pub use settings::{AFTER_DEADLINE, HISTORY_AT_LEAST, MOST_INSTANTS};
pub use strategy::Strategy;
pub use summary::{Summary, summaries};
pub use truth::{Came, Recorded, Truth};

use crate::pipeline::Prepared;
use fixed::{From, When};
use hourly::Addition;

/// What one strategy came to at one instant.
#[derive(Debug, Clone)]
pub struct Row {
    /// The instant.
    pub instant: Timestamp,
    /// The seed of every draw at this instant: `presurge plan --now INSTANT --seed SEED` makes
    /// the same first plan.
    pub seed: u64,
    /// Instants of the same block belong together in the bootstrap: the day (UTC) of a trace.
    pub block: String,
    /// Which strategy.
    pub strategy: Strategy,
    /// What it did.
    pub course: Course,
    /// What that came to.
    pub account: Account,
}

/// A replay that cannot go on: a defect, or a history that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the rollout of {instant} cannot be replayed")]
pub struct Broken {
    instant: Timestamp,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl Broken {
    fn new(instant: Timestamp, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { instant, source: source.into() }
    }
}

/// A rollout that is asked for at an instant, as ways that do not look at the load know it.
pub struct Scene {
    /// The instant.
    pub instant: Timestamp,
    /// The seed of every draw.
    pub seed: u64,
    /// The fleet, its bounds and what can be bought.
    pub facts: Facts,
    /// The dimensions of the load.
    pub dimensions: Vec<Dimension>,
    /// So many servers at a time are out in batches of a fixed size.
    pub batch: usize,
}

impl Scene {
    fn broken(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Broken {
        Broken::new(self.instant, source)
    }

    fn still(&self, ended: Ended) -> Course {
        Course::still(&self.facts, &self.dimensions, ended)
    }

    fn course(&self, absences: &[Absence], hires: Vec<Hire>) -> Result<Course, Broken> {
        Course::of_record(&self.facts, &self.dimensions, absences, hires)
            .map_err(|e| self.broken(e))
    }
}

/// One instant of a replay.
pub struct Case<'a> {
    /// The rollout.
    pub prepared: &'a Prepared,
    /// The load.
    pub recorded: &'a Recorded,
    scene: Scene,
}

impl Deref for Case<'_> {
    type Target = Scene;
    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl<'a> Case<'a> {
    fn new(
        prepared: &'a Prepared,
        recorded: &'a Recorded,
        instant: Timestamp,
        seed: u64,
    ) -> Result<Self, Broken> {
        let seed = mixed(seed, instant);
        let facts = driven::facts(prepared, instant, seed);
        let facts = facts.map_err(|e| Broken::new(instant, e))?;
        let (dimensions, batch) = (recorded.truth.dimensions(), fixed::quarter(&facts));
        let scene = Scene { instant, seed, facts, dimensions, batch };
        Ok(Self { prepared, recorded, scene })
    }

    fn row(&self, strategy: Strategy, trace: &str) -> Result<Row, Broken> {
        let (mut credit, mut hours) = (0.0, 0.0);
        let course = match strategy {
            Strategy::Presurge => driven::drive(self)?,
            Strategy::None => self.still(Ended::Nothing),
            Strategy::Fixed(percent) => fixed::fixed(self, percent, From::OnDemand, &When::AtOnce)?,
            Strategy::FixedAny(percent) => fixed::fixed(self, percent, From::Any, &When::AtOnce)?,
            Strategy::Night(percent) => {
                fixed::fixed(self, percent, From::OnDemand, &When::at_night(self))?
            }
            Strategy::Reactive => {
                let (course, anyway) = reactive::reactive(self)?;
                let idle = Course { hires: anyway, ..self.still(Ended::Nothing) };
                let account = idle.judge(&self.facts, &self.recorded.truth, self.instant);
                (credit, hours) = (account.cost, account.instance_hours);
                course
            }
            Strategy::Hourly(percent) => {
                hourly::hourly(self, Addition::Margin(f64::from(percent) / 100.0))?
            }
            Strategy::HourlyBuffer => {
                hourly::hourly(self, Addition::Buffer(settings::HOURLY_BUFFER_RATIO))?
            }
            Strategy::Clairvoyant => clairvoyant::clairvoyant(self)?,
        };
        let mut account = course.judge(&self.facts, &self.recorded.truth, self.instant);
        account.cost -= credit;
        account.instance_hours -= hours;
        let day = self.instant.to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
        let block = format!("{trace}{day}");
        Ok(Row { instant: self.instant, seed: self.seed, block, strategy, course, account })
    }
}

/// The seed of an instant, whatever else is replayed; small enough for every reader of JSON.
fn mixed(seed: u64, instant: Timestamp) -> u64 {
    let second = instant.as_second().cast_unsigned();
    (plan::uniform(seed, [second, 0, 0]) * f64::from(u32::MAX)) as u64
}

/// Replays every strategy at every instant, side by side; the rows are in the order of the
/// instants, then of the strategies, whatever the number of threads. `None`: it was told to stop.
///
/// # Errors
/// [`Broken`] at the first instant that cannot be replayed.
pub fn replay(
    prepared: &Prepared,
    recorded: &Recorded,
    question: &Question<'_>,
    done: impl Fn() + Sync,
) -> Result<Option<Vec<Row>>, Broken> {
    let stopped = || question.stop.load(Ordering::Relaxed);
    let one = |instant: &Timestamp| -> Result<Vec<Row>, Broken> {
        if stopped() {
            return Ok(Vec::new());
        }
        let case = Case::new(prepared, recorded, *instant, question.seed)?;
        let rows = question.strategies.iter().map(|s| case.row(*s, question.trace));
        let rows = rows.collect::<Result<Vec<Row>, Broken>>()?;
        done();
        Ok(rows)
    };
    let rows: Vec<Vec<Row>> = question.instants.par_iter().map(one).collect::<Result<_, _>>()?;
    Ok((!stopped()).then(|| rows.into_iter().flatten().collect()))
}

/// What is replayed.
pub struct Question<'a> {
    /// When rollouts are started.
    pub instants: &'a [Timestamp],
    /// By whom.
    pub strategies: &'a [Strategy],
    /// The seed of every draw.
    pub seed: u64,
    /// Put before the day in the names of blocks.
    pub trace: &'a str,
    /// Set when nothing more is wanted.
    pub stop: &'a AtomicBool,
}
