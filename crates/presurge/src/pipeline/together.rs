//! A rollout over one or several fleets, planned as one: each fleet for its share of the risk.

use std::path::PathBuf;
use std::sync::Arc;

use domain::config::AdapterRef;
use domain::journal::digest_of;
use domain::learned::Learned;
use domain::name::FleetName;
use domain::plan::{Inputs, PerDimension, Plan};
use domain::ports::Clock;
use jiff::Timestamp;
use plan::Request;

use super::{Ask, CalendarFile, Forecasters, History, Made, PlanError, Prepared, Share, replaced};
use crate::cli::Failed;
use crate::documents::{Documents, FleetFile};

/// A rollout with all its fleets, ready to be planned.
pub struct Together {
    /// What is prepared for each fleet, in the order of the rollout; at least one.
    pub parts: Vec<Prepared>,
}

/// A plan over all fleets, and what it was made from.
pub struct MadeTogether {
    /// The plan.
    pub plan: Plan,
    /// Each fleet's plan with its histories.
    pub parts: Vec<Made>,
}

impl MadeTogether {
    /// What was odd, in words.
    pub fn warnings(&self) -> Vec<String> {
        self.parts.iter().flat_map(|made| made.warnings.clone()).collect()
    }
}

type Replaced = PerDimension<AdapterRef>;

impl Together {
    /// Prepares a rollout of some documents. `loads` replaces sources: (`fleet/dimension`, file).
    pub fn new(
        documents: &Documents,
        name: Option<&str>,
        clock: &Arc<dyn Clock>,
        loads: &[(String, PathBuf)],
    ) -> Result<Self, Failed> {
        let file = documents.rollout(name).map_err(Failed::data)?;
        if file.parts.len() == 1 {
            return Ok(Self { parts: vec![Prepared::new(documents, name, clock, loads)?] });
        }
        let fleets: Vec<&FleetFile> = file.parts.iter().map(|p| documents.fleet(p)).collect();
        let loads = sorted(&fleets, loads).map_err(Failed::data)?;
        let digests: Vec<_> = fleets.iter().map(|fleet| fleet.digest()).collect();
        let files: Vec<Vec<_>> = loads
            .iter()
            .map(|of| of.iter().map(|(d, r)| (d, &r.adapter, &r.config)).collect())
            .collect();
        let config = digest_of(&(digests, file.digest(), files));
        let mut parts = Vec::with_capacity(fleets.len());
        for (((fleet, rollout), replaced), place) in
            fleets.into_iter().zip(&file.parts).zip(&loads).zip(0..)
        {
            let part = (fleet, rollout, &file.folder);
            parts.push(Prepared::part(part, clock, replaced, config.clone(), place)?);
        }
        Ok(Self { parts })
    }

    /// The same with what was learned of each fleet.
    #[must_use]
    pub fn with_learned(self, learned: &Learned) -> Self {
        let with = |part: Prepared| {
            let figures = learned.of(&part.fleet.name).figures();
            part.with_learned(&figures)
        };
        Self { parts: self.parts.into_iter().map(with).collect() }
    }

    /// The same with what a plan was made with.
    #[must_use]
    pub fn with_learned_of(self, inputs: &Inputs) -> Self {
        Self { parts: self.parts.into_iter().map(|part| part.with_learned_of(inputs)).collect() }
    }

    /// The same where forecasters are at hand.
    #[must_use]
    pub fn with_forecasters(self, forecasters: &Arc<dyn Forecasters>) -> Self {
        let with = |part: Prepared| part.with_forecasters(forecasters.clone());
        Self { parts: self.parts.into_iter().map(with).collect() }
    }

    /// The first part: name, target, risk and deadline are the same in all.
    pub fn first(&self) -> &Prepared {
        &self.parts[0]
    }

    /// Reads the load up to `now`, forecasts it, and plans.
    pub async fn make_plan(&self, now: Timestamp, seed: u64) -> Result<MadeTogether, PlanError> {
        if let [only] = self.parts.as_slice() {
            let made = only.make_plan(only.first(now, seed)?).await?;
            return Ok(MadeTogether { plan: made.plan.clone(), parts: vec![made] });
        }
        let fleets = self.parts.len();
        let mut questions = Vec::with_capacity(fleets);
        for part in &self.parts {
            let ask = Ask { share: Share::OneOf(fleets), ..part.first(now, seed)? };
            let fleet = part.fleet.name.clone();
            let question = part.question(ask).await.map_err(|e| of_fleet(&fleet, e))?;
            questions.push((question, fleet));
        }
        let rollout = &self.first().rollout;
        let (risk, budget) = (rollout.risk, rollout.budget);
        let compute = move || {
            let (mut requests, mut read) = (Vec::new(), Vec::new());
            for (question, fleet) in questions {
                let (request, history, calendars) =
                    question.request().map_err(|e| of_fleet(&fleet, e))?;
                requests.push(request);
                read.push((history, calendars));
            }
            let plans = plan::plan_together(&requests, risk, budget)?;
            let joint = joined(&plans, &requests, risk.get(), seed)?;
            Ok::<_, PlanError>((joint, plans, read))
        };
        let done = tokio::task::spawn_blocking(compute).await;
        let (plan, plans, read) = done.map_err(|e| PlanError::Defect(e.to_string()))??;
        type Read = (PerDimension<History>, Vec<CalendarFile>);
        let made = |(plan, (histories, calendars)): (Plan, Read)| {
            let fleet = plan.timeline.first().map(|entry| entry.fleet.to_string());
            let of = fleet.unwrap_or_default();
            let told = histories.values().flat_map(|h| &h.warnings);
            let warnings = told.map(|warning| format!("{of}/{warning}")).collect();
            Made { plan, histories, calendars, warnings }
        };
        let parts = plans.into_iter().zip(read).map(made).collect();
        Ok(MadeTogether { plan, parts })
    }
}

fn of_fleet(fleet: &FleetName, error: PlanError) -> PlanError {
    PlanError::Fleet { fleet: fleet.clone(), source: Box::new(error) }
}

/// One plan of all, which has to keep its own rules.
fn joined(plans: &[Plan], requests: &[Request], risk: f64, seed: u64) -> Result<Plan, PlanError> {
    let joint = Plan::joining(plans, risk, seed)
        .ok_or_else(|| PlanError::Defect("there is no fleet to plan for".into()))?;
    let facts: Vec<plan::Facts> = requests.iter().map(|request| request.facts.clone()).collect();
    match plan::check_all(&joint, &facts).first() {
        Some(finding) => Err(PlanError::Defect(finding.to_string())),
        None => Ok(joint),
    }
}

/// The sources that the command line replaces, by fleet.
fn sorted(fleets: &[&FleetFile], loads: &[(String, PathBuf)]) -> Result<Vec<Replaced>, String> {
    let mut own: Vec<Vec<(String, PathBuf)>> = vec![Vec::new(); fleets.len()];
    for (which, path) in loads {
        let is_of = |fleet: &&FleetFile| {
            let dimension = which.strip_prefix(&format!("{}/", fleet.fleet.name));
            dimension.is_some_and(|name| fleet.fleet.load.keys().any(|d| d.as_str() == name))
        };
        let Some(index) = fleets.iter().position(is_of) else {
            let names = fleets.iter().flat_map(|fleet| {
                fleet.fleet.load.keys().map(|d| format!("{}/{d}", fleet.fleet.name))
            });
            let names: Vec<String> = names.collect();
            return Err(format!("--load {which}: there is {}", names.join(", ")));
        };
        own[index].push((which.clone(), path.clone()));
    }
    fleets.iter().zip(&own).map(|(fleet, loads)| replaced(fleet, loads)).collect()
}

/// A question that is read and waits to be computed.
pub(super) struct Question {
    own: Prepared,
    ask: Ask,
    histories: PerDimension<History>,
}

impl Question {
    /// Forecasts, and asks the planner's question.
    fn request(self) -> Result<(Request, PerDimension<History>, Vec<CalendarFile>), PlanError> {
        let Self { own, ask, mut histories } = self;
        super::is_sound(&ask, &histories)?;
        let until = super::next_peak(&own.rollout, &ask);
        let outlook = own.outlook(&ask, &mut histories, until, true)?;
        let request = super::request::request(&own.fleet, &own.rollout, ask, outlook);
        Ok((request, histories, own.calendars))
    }
}

impl Prepared {
    /// Reads the load that a plan is asked from.
    async fn question(&self, ask: Ask) -> Result<Question, PlanError> {
        let histories = self.histories(ask.now).await?;
        let own = self.clone().with_calendar_files()?;
        Ok(Question { own, ask, histories })
    }
}
