//! From documents to a plan: load history → forecast → sampled paths → request → plan.

mod archived;
mod blind;
mod calendars;
mod carried;
mod history;
mod learned;
mod outage;
mod request;
mod saved;
mod signals;
#[cfg(test)]
pub mod testing;
mod together;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::config::{AdapterRef, Finding, Fleet, Rollout};
use domain::journal::{Digest, digest_of};
use domain::learned::Figures;
use domain::name::{Dimension, FleetName, ServerName, Version};
use domain::plan::{Carries, Inputs, PerDimension, Plan, Refused};
use domain::ports::{Archive, Clock, PortError};
use jiff::Timestamp;

use crate::documents::{Documents, FleetFile, RolloutFile};
use crate::registry::{self, BadAdapter, Here};

pub use self::archived::NotKept;
pub use self::calendars::CalendarFile;
#[cfg(test)]
pub use self::carried::Witness;
pub use self::carried::{Judged, with_capacity};
pub use self::history::{
    Feed, History, REACH, Saturation, archived, forecaster, read, read_on, samples, usual_step,
};
pub use self::learned::configured;
pub use self::outage::Outage;
pub use self::request::{Ask, Outlook, Share, facts, request};
pub use self::saved::{Forecasters, Saved, models};
pub use self::signals::{Telling, categories};
pub use self::together::{MadeTogether, Together};

/// Load is forecast this far beyond the end of the rollout, to see its next peak.
const NEXT_PEAK: Duration = Duration::from_secs(24 * 3600);

/// … but by no more steps of the plan than a day of minutes has …
const NEXT_PEAK_STEPS: usize = 24 * 60;

/// … and by fewer where so many values, half a gigabyte, would not do for all paths: what little is
/// left of a risk takes many. The next peak may not be seen then.
const SAMPLED_AT_MOST: usize = 64_000_000;

/// A schedule is judged on load until this long after its planned end: batches may run late.
const RUN_LATE: Duration = Duration::from_secs(3600);

/// The seeds of the two sets of paths: to choose on, and to report on.
const DRAWS: [u64; 2] = [0, 0x9E37_79B9_7F4A_7C15];

/// The seeds of the fleets of one rollout differ by multiples of this odd number.
const FLEET_SALT: u64 = 0xD1B5_4A32_D192_ED03;

/// A seed is below 2⁵³: digests are taken over canonical JSON (RFC 8785), whose numbers are doubles,
/// and do not tell larger integers apart.
pub const SEEDS: u64 = 1 << 53;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Nothing fits.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A load source does not answer.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A history cannot be used.
    #[error("the history of {dimension} cannot be used")]
    History {
        /// Which dimension.
        dimension: Dimension,
        /// Why not.
        #[source]
        source: forecast::hygiene::HygieneError,
    },
    /// A signal cannot be used as it is configured.
    #[error("the signal {name} cannot be used: {why}")]
    Signal {
        /// Its name, or its place in the configuration of the fleet.
        name: String,
        /// Why not.
        why: String,
    },
    /// A history cannot be forecast.
    #[error("{dimension} cannot be forecast")]
    Forecast {
        /// Which dimension.
        dimension: Dimension,
        /// Why not.
        #[source]
        source: forecast::ForecastError,
    },
    /// The load that the plan in force was made from is not in the archive, or not whole.
    #[error("the load of {dimension} that the plan was made from is not known any more")]
    Forgotten {
        /// Which dimension.
        dimension: Dimension,
    },
    /// The time to plan for is empty.
    #[error("there is nothing to plan for between {from} and {until}")]
    Nothing {
        /// From.
        from: Timestamp,
        /// To.
        until: Timestamp,
    },
    /// The deadline has passed.
    #[error("{}: {}", .0.place, .0.message)]
    Deadline(Finding),
    /// One fleet of several cannot be planned.
    #[error("fleet {fleet}")]
    Fleet {
        /// Which.
        fleet: FleetName,
        /// Why not.
        #[source]
        source: Box<PlanError>,
    },
    /// It cannot be told what a server carries.
    #[error(
        "it cannot be learned how much {dimension} a server carries; give spec.capacity as a number \
         until it can"
    )]
    Capacity {
        /// Of what.
        dimension: Dimension,
        /// Why not.
        #[source]
        source: forecast::capacity::Unknown,
    },
    /// The plan that was computed does not keep its own rules.
    #[error("the planner has made a plan that breaks its rules, which is a defect: {0}")]
    Defect(String),
}

/// A rollout with its fleet and its sources of load, ready to be planned.
#[derive(Clone)]
pub struct Prepared {
    /// The fleet.
    pub fleet: Fleet,
    /// The rollout.
    pub rollout: Rollout,
    /// The load, one feed per dimension.
    pub feeds: Vec<Feed>,
    /// The digest of both documents and of everything that was replaced in them.
    pub config: Digest,
    /// What adapters of the fleet are made with.
    pub fleet_here: Here,
    /// What adapters of the rollout are made with.
    pub rollout_here: Here,
    /// The place of the fleet among those of the rollout, from 0.
    pub place: u64,
    /// The calendar files whose freezes are in the rollout's calendar.
    pub calendars: Vec<CalendarFile>,
    /// What the configuration says of what can be learned.
    pub configured: Figures,
    /// What was learned of the fleet, and stands in `fleet` and `rollout` already.
    pub learned: Figures,
    /// What its servers were taken to carry by a plan, for who cannot see how they do now.
    carries: BTreeMap<String, Carries>,
    /// Who has forecasters at hand; without it one is fitted for each plan.
    forecasters: Option<Arc<dyn Forecasters>>,
}

/// A plan, and what it was made from.
pub struct Made {
    /// The plan.
    pub plan: Plan,
    /// The cleaned histories.
    pub histories: PerDimension<History>,
    /// The calendar files.
    pub calendars: Vec<CalendarFile>,
    /// What was odd, in words.
    pub warnings: Vec<String>,
}

/// What the batches that are left risk, and what that was computed from.
pub struct Stands {
    /// The risk.
    pub standing: plan::Standing,
    /// The cleaned histories.
    pub histories: PerDimension<History>,
}

impl Prepared {
    /// Prepares a rollout of some documents. `loads` replaces sources: (`fleet/dimension`, file).
    pub fn new(
        documents: &Documents,
        name: Option<&str>,
        clock: &Arc<dyn Clock>,
        loads: &[(String, PathBuf)],
    ) -> Result<Self, crate::cli::Failed> {
        let file = documents.rollout(name).map_err(crate::cli::Failed::data)?;
        let [rollout] = file.parts.as_slice() else {
            let text = "a rollout over several fleets cannot be used here; write one per fleet";
            return Err(crate::cli::Failed::data(text));
        };
        let fleet = documents.fleet(rollout);
        let replaced = replaced(fleet, loads).map_err(crate::cli::Failed::data)?;
        let config = config_digest(fleet, file, &replaced);
        Self::part((fleet, rollout, &file.folder), clock, &replaced, config, 0)
    }

    /// Prepares one fleet of a rollout whose document lies in a folder.
    fn part(
        (fleet, rollout, folder): (&FleetFile, &Rollout, &PathBuf),
        clock: &Arc<dyn Clock>,
        replaced: &PerDimension<AdapterRef>,
        config: Digest,
        place: u64,
    ) -> Result<Self, crate::cli::Failed> {
        let here =
            |folder: &PathBuf| Here { folder: folder.clone(), clock: clock.clone(), state: None };
        let (fleet_here, rollout_here) = (here(&fleet.folder), here(folder));
        let feeds = feeds(fleet, &fleet_here, replaced, Some(&rollout.target));
        let feeds = feeds.map_err(crate::cli::Failed::data)?;
        let (fleet, rollout) =
            (fleet.fleet.clone().seen_from(&crate::apply::host()), rollout.clone());
        let (calendars, learned) = (Vec::new(), Figures::new());
        let configured = configured(&fleet, &rollout);
        Ok(Self {
            config,
            fleet,
            rollout,
            feeds,
            fleet_here,
            rollout_here,
            place,
            calendars,
            configured,
            learned,
            carries: BTreeMap::new(),
            forecasters: None,
        })
    }

    /// The same, with a folder in which adapters may remember what they start.
    #[must_use]
    pub fn with_state(mut self, folder: PathBuf) -> Self {
        self.fleet_here.state = Some(folder.clone());
        self.rollout_here.state = Some(folder);
        self
    }

    /// Reads the load up to `ask.now`, forecasts it, and plans.
    pub async fn make_plan(&self, ask: Ask) -> Result<Made, PlanError> {
        let histories = self.histories(ask.now).await?;
        let own = self.clone();
        let compute = move || own.with_calendar_files()?.compute(ask, histories);
        let done = tokio::task::spawn_blocking(compute).await;
        done.map_err(|e| PlanError::Defect(e.to_string()))?
    }

    /// Reads the load up to `now`.
    pub async fn histories(&self, now: Timestamp) -> Result<PerDimension<History>, PlanError> {
        let mut histories = PerDimension::new();
        for feed in &self.feeds {
            histories.insert(feed.dimension.clone(), history::read(feed, now).await?);
        }
        Ok(histories)
    }

    /// What the batches that are left risk by the load up to `ask.now`; they follow each other from
    /// then on, with the surge that is held.
    pub async fn stands(&self, ask: Ask, rest: Vec<Vec<ServerName>>) -> Result<Stands, PlanError> {
        let histories = self.histories(ask.now).await?;
        let own = self.clone();
        let compute = move || own.weigh(ask, rest, histories);
        let done = tokio::task::spawn_blocking(compute).await;
        done.map_err(|e| PlanError::Defect(e.to_string()))?
    }

    /// The same with the load at hand.
    pub fn weigh(
        &self,
        ask: Ask,
        rest: Vec<Vec<ServerName>>,
        mut histories: PerDimension<History>,
    ) -> Result<Stands, PlanError> {
        let until = ask.deadline + RUN_LATE;
        let outlook = self.outlook(&ask, &mut histories, until, false)?;
        let standing = self.standing(ask, rest, outlook)?;
        Ok(Stands { standing, histories })
    }

    /// What the batches that are left risk at any load.
    pub fn weigh_blindly(
        &self,
        ask: Ask,
        rest: Vec<Vec<ServerName>>,
    ) -> Result<plan::Standing, PlanError> {
        let outlook = blind::outlook(self, &ask, ask.deadline + RUN_LATE)?;
        self.standing(ask, rest, outlook)
    }

    fn standing(
        &self,
        ask: Ask,
        rest: Vec<Vec<ServerName>>,
        outlook: Outlook,
    ) -> Result<plan::Standing, PlanError> {
        let request = request(&self.fleet, &self.rollout, ask, outlook);
        let schedule = plan::Schedule { start_at: None, batches: Some(rest) };
        Ok(plan::standing(&plan::Request { schedule, ..request })?)
    }

    /// The same with the load that a past decision was made from, and none where it was made from none.
    pub async fn as_recorded(
        &self,
        archive: &dyn Archive,
        load: &BTreeMap<String, Digest>,
    ) -> Result<Self, NotKept> {
        let mut feeds = Vec::with_capacity(self.feeds.len());
        for feed in &self.feeds {
            let which = format!("{}/{}", self.fleet.name, feed.dimension);
            feeds.push(match load.get(&which) {
                Some(digest) => feed.kept(archive, &which, digest).await?,
                None if load.is_empty() => feed.unknown(),
                None => return Err(NotKept::Unnamed { which }),
            });
        }
        Ok(Self { feeds, ..self.clone() })
    }

    /// The same with the load as it was when a plan was made, from the archive.
    pub async fn as_archived(
        &self,
        archive: &dyn Archive,
        inputs: &Inputs,
    ) -> Result<Self, PlanError> {
        let mut feeds = Vec::with_capacity(self.feeds.len());
        for feed in &self.feeds {
            let name = format!("{}/{}", self.fleet.name, feed.dimension);
            let lost = || PlanError::Forgotten { dimension: feed.dimension.clone() };
            let digest = inputs.load.get(&name).ok_or_else(lost)?;
            let bytes = archive.get(digest).await?.ok_or_else(lost)?;
            feeds.push(feed.archived(&bytes).map_err(|_| lost())?);
        }
        Ok(Self { feeds, ..self.clone() })
    }

    /// Plans for any load: surge replaces whatever is out.
    pub fn plan_blindly(&self, ask: Ask) -> Result<Plan, PlanError> {
        let outlook = blind::outlook(self, &ask, next_peak(&self.rollout, &ask))?;
        self.planned(ask, outlook)
    }

    /// Forecasts the load and plans. It waits for nothing: what it takes is time to compute.
    pub fn compute(
        &self,
        ask: Ask,
        mut histories: PerDimension<History>,
    ) -> Result<Made, PlanError> {
        is_sound(&ask, &histories)?;
        let until = next_peak(&self.rollout, &ask);
        let outlook = self.outlook(&ask, &mut histories, until, true)?;
        let plan = self.planned(ask, outlook)?;
        let warnings = histories.values().flat_map(|h| h.warnings.clone()).collect();
        Ok(Made { plan, histories, calendars: self.calendars.clone(), warnings })
    }

    /// The load from `ask.now` until `until`, sampled. Paths to choose on are drawn where something is
    /// chosen; what stands is weighed on the other set alone.
    fn outlook(
        &self,
        ask: &Ask,
        histories: &mut PerDimension<History>,
        until: Timestamp,
        chooses: bool,
    ) -> Result<Outlook, PlanError> {
        let (rollout, fleet) = (&self.rollout, &self.fleet.name);
        let count = ask.share.paths(rollout.risk);
        let counts = [if chooses { count } else { 1 }, count];
        let grid = (rollout.step, ask.now, until);
        let [mut choosing, mut fresh] = [PerDimension::new(), PerDimension::new()];
        let (mut windows, mut signals) = (u32::MAX, BTreeMap::new());
        let mut carries = PerDimension::new();
        for (dimension, history) in histories.iter_mut() {
            let at_hand = self.forecasters.as_deref();
            let (forecaster, brought) =
                history::forecaster((fleet, dimension), history, until, at_hand)?;
            if !brought.is_empty() {
                signals.insert(which(fleet, dimension), brought);
            }
            let sets = [&mut choosing, &mut fresh];
            for ((salt, count), sets) in DRAWS.iter().zip(counts).zip(sets) {
                let draw = (count, ask.seed ^ salt);
                let paths = history::paths(dimension, &history.series, &forecaster, grid, draw)?;
                sets.insert(dimension.clone(), paths);
            }
            windows = windows.min(comparable_windows(history, ask));
            let carried = history.carried.as_ref();
            let carried = carried.map(|carried| carried.at(ask.updated_at, ask.now));
            carries.extend(carried.map(|carried| (dimension.clone(), carried)));
        }
        let ends = histories.values().map(|h| h.series.end());
        let inputs = Inputs {
            config: self.config.clone(),
            load: digests(fleet, histories),
            until: ends.min().unwrap_or(ask.now),
            calendars: calendars::digests(&self.calendars),
            learned: self.learned_of_fleet(),
            signals,
            capacity: Default::default(),
            models: models(fleet, histories),
        };
        let updated = PerDimension::new();
        let outlook = Outlook { choosing, fresh, comparable_windows: windows, updated, inputs };
        Ok(outlook.carrying(fleet, carries))
    }

    fn planned(&self, ask: Ask, outlook: Outlook) -> Result<Plan, PlanError> {
        let request = request(&self.fleet, &self.rollout, ask, outlook);
        let plan = plan::plan(&request)?;
        match plan::check(&plan, &request.facts).first() {
            Some(finding) => Err(PlanError::Defect(finding.to_string())),
            None => Ok(plan),
        }
    }

    /// The question for the first plan, with the deadline as it stands at `now`.
    pub fn first(&self, now: Timestamp, seed: u64) -> Result<Ask, PlanError> {
        let deadline = self.rollout.deadline(now).map_err(PlanError::Deadline)?;
        if self.fleet.servers.iter().all(|server| server.own) {
            let detail = format!(
                "Presurge stands on every server of fleet {}, and takes none of these out; run it \
                 elsewhere",
                self.fleet.name
            );
            return Err(Refused { binding: "self".into(), detail, would_fit: Vec::new() }.into());
        }
        Ok(Ask::first(now, deadline, self.seed(seed)))
    }

    /// A warning for each server that is not updated, since Presurge stands on it.
    pub fn left_alone(&self) -> impl Iterator<Item = String> {
        self.fleet.own().map(|server| {
            format!(
                "{} of fleet {} stays in service and is not updated: Presurge stands on it (self)",
                server.name, self.fleet.name
            )
        })
    }

    /// The seed of this fleet: those of one rollout are independent of each other.
    pub fn seed(&self, seed: u64) -> u64 {
        (seed ^ self.place.wrapping_mul(FLEET_SALT)) % SEEDS
    }
}

/// A person waits for the first plan of a rollout, and can repair what is broken. A rollout that
/// goes on does without an outside series, and says so.
fn is_sound(ask: &Ask, histories: &PerDimension<History>) -> Result<(), PlanError> {
    let mut first = histories.values().filter(|_| ask.revision == 1);
    first.try_for_each(|history| history.known.is_sound())
}

/// How far the first plan of a rollout looks ahead, when it is made now; `None`: it is too late for one.
pub fn looks_ahead(rollout: &Rollout, now: Timestamp) -> Option<Duration> {
    let ask = Ask::first(now, rollout.deadline(now).ok()?, 0);
    Duration::try_from(next_peak(rollout, &ask).duration_since(now)).ok()
}

/// Until when a plan looks at the load: the next peak after it is there by then.
fn next_peak(rollout: &Rollout, ask: &Ask) -> Timestamp {
    let end = ask.deadline + rollout.stabilisation;
    let step = rollout.step.seconds();
    let steps = |seconds: i64| usize::try_from(seconds / step).unwrap_or(0);
    let least = steps(RUN_LATE.as_secs().cast_signed()).clamp(1, NEXT_PEAK_STEPS);
    let needed = steps(end.duration_since(ask.now).as_secs());
    let room = (SAMPLED_AT_MOST / ask.share.paths(rollout.risk)).saturating_sub(needed);
    let beyond = room.clamp(least, NEXT_PEAK_STEPS);
    end + NEXT_PEAK.min(rollout.step.duration() * u32::try_from(beyond).unwrap_or(u32::MAX))
}

/// The name of a dimension of a fleet: `fleet/dimension`.
pub fn which(fleet: &FleetName, dimension: &Dimension) -> String {
    format!("{fleet}/{dimension}")
}

/// The digests of histories, per `fleet/dimension`.
pub fn digests(fleet: &FleetName, histories: &PerDimension<History>) -> BTreeMap<String, Digest> {
    histories.iter().map(|(d, h)| (which(fleet, d), h.digest.clone())).collect()
}

/// Windows of the rollout's length at the same time of day, in the history of a dimension.
fn comparable_windows(history: &History, ask: &Ask) -> u32 {
    let day = 86_400.0;
    let window = ask.deadline.duration_since(ask.now).as_secs_f64();
    let length = history.series.end().duration_since(history.series.start()).as_secs_f64();
    let known = history.series.values().iter().filter(|v| v.is_finite()).count() as f64;
    let share = known / history.series.values().len().max(1) as f64;
    (length * share / (window / day).ceil().max(1.0) / day) as u32
}

fn config_digest(
    fleet: &FleetFile,
    rollout: &RolloutFile,
    replaced: &PerDimension<AdapterRef>,
) -> Digest {
    let replaced: Vec<_> = replaced.iter().map(|(d, r)| (d, &r.adapter, &r.config)).collect();
    digest_of(&(fleet.digest(), rollout.digest(), replaced))
}

/// The sources that the command line replaces by files.
fn replaced(
    fleet: &FleetFile,
    loads: &[(String, PathBuf)],
) -> Result<PerDimension<AdapterRef>, String> {
    let name = &fleet.fleet.name;
    let mut list = PerDimension::new();
    for (which, path) in loads {
        let dimension = which.strip_prefix(&format!("{name}/")).unwrap_or(which);
        let known = fleet.fleet.load.keys().find(|d| d.as_str() == dimension);
        let Some(dimension) = known else {
            let all: Vec<_> = fleet.fleet.load.keys().map(|d| format!("{name}/{d}")).collect();
            return Err(format!("--load {which}: there is {}", all.join(", ")));
        };
        let path = std::path::absolute(path).map_err(|e| format!("--load {which}: {e}"))?;
        let config = serde_json::json!({ "path": path });
        list.insert(dimension.clone(), AdapterRef { adapter: "csv".into(), config });
    }
    Ok(list)
}

/// The load of every fleet of some documents.
pub fn feeds_of(
    documents: &Documents,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<(FleetName, Feed)>, BadAdapter> {
    let mut all = Vec::new();
    for (name, file) in &documents.fleets {
        let here = Here { folder: file.folder.clone(), clock: clock.clone(), state: None };
        let feeds = feeds(file, &here, &PerDimension::new(), None)?;
        all.extend(feeds.into_iter().map(|feed| (name.clone(), feed)));
    }
    Ok(all)
}

fn feeds(
    fleet: &FleetFile,
    here: &Here,
    replaced: &PerDimension<AdapterRef>,
    target: Option<&Version>,
) -> Result<Vec<Feed>, BadAdapter> {
    let signals = fleet.fleet.signals.iter().map(|entry| registry::signal(entry, here));
    let signals = Telling::Sources(signals.collect::<Result<_, _>>()?);
    let feed = |(dimension, input): (&Dimension, &domain::config::LoadInput)| {
        let source = replaced.get(dimension).unwrap_or(&input.source);
        Ok(Feed {
            dimension: dimension.clone(),
            source: registry::load(source, here)?,
            measure: input.measure,
            delay: input.delay,
            stale_after: input.stale_after,
            saturation: match &input.saturation {
                Some(told) => {
                    Some(Saturation::Told(registry::load(&told.source, here)?, told.above))
                }
                None => None,
            },
            signals: signals.clone(),
            judged: match fleet.fleet.objectives.get(dimension) {
                Some(given) => Some(Judged::new(given, fleet.fleet.servers.len(), target, here)?),
                None => None,
            },
        })
    };
    fleet.fleet.load.iter().map(feed).collect()
}
