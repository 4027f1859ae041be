//! Past decisions, computed again: the question is asked of the journal as it was, by the function
//! that the driver asks by, and answered by the planner that answered it, from the load that the
//! archive keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::event::{Created, Event, Look, Planning, RiskSpent, Weighing};
use domain::forecast::Probability;
use domain::journal::{Digest, Record};
use domain::name::RolloutId;
use domain::plan::{Inputs, Plan, Refused};
use domain::ports::{Archive, PortError};
use jiff::Timestamp;
use rollout::State;
use rollout::asked::{self, Asked};
use rollout::machine::fold;
use rollout::planner::{Planner, ReviseError};
use serde_json::{Value, json};
use store::Store;

use super::keyed::{self, LookError};
use super::planner::{LivePlanner, no_queue};
use super::shares::{self, NothingLeft, Owned};
use crate::pipeline::{NotKept, PlanError, Prepared, Together};

/// Why a decision cannot be computed again.
#[derive(Debug, thiserror::Error)]
pub enum NotAgain {
    /// Its inputs are gone.
    #[error(transparent)]
    Inputs(#[from] NotKept),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] LookError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] PortError),
    /// There is no plan now, for a reason that is no refusal.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The others own the whole risk, by the journals as they are.
    #[error(transparent)]
    Shares(#[from] NothingLeft),
    /// The journal does not say what was asked, or says what cannot be.
    #[error("{0}")]
    Unsaid(String),
}

/// What came of it.
#[derive(Debug)]
pub enum Again {
    /// A plan.
    Plan(Box<Plan>),
    /// Figures of a batch: as they stand in the journal, and as they come out now.
    Figures {
        /// As the journal states them.
        stated: Value,
        /// As they come out.
        again: Value,
        /// Loads that are not those that the journal names.
        other_loads: Vec<String>,
    },
    /// Nothing fits now.
    Refused(Refused),
}

/// The journal of a rollout, or of one of its fleets, and the configuration that it was begun with.
pub struct Past<'a> {
    /// Where journals and inputs are kept.
    pub store: &'a Arc<dyn Store>,
    /// Whose journal.
    pub id: &'a RolloutId,
    /// All of it, verified.
    pub records: &'a [Record],
    /// The rollout with all its fleets, as it is configured.
    pub all: Together,
}

/// What else a fleet of the same rollout was when a plan was made.
enum Sibling {
    /// It was planned at the same time; these are its chain's first two events.
    Planned(Box<(Created, Plan)>),
    /// It had begun before.
    Begun(Owned),
}

impl Past<'_> {
    /// The first plan of this journal, with those of the fleets that it was made together with.
    pub async fn first(&self, plan: &Plan) -> Result<Again, NotAgain> {
        let (created, _) = begun(self.id, self.records)?;
        let (mut group, mut others, mut mine) = (Vec::new(), Vec::new(), 0);
        for part in &self.all.parts {
            if part.fleet.name == created.fleet {
                mine = group.len();
                let known = as_begun(part, &created);
                group.push(self.as_planned(&known, &plan.inputs).await?);
                continue;
            }
            match self.sibling(part, &created.spec, plan.created_at).await? {
                Sibling::Begun(owned) => others.push(owned),
                Sibling::Planned(planned) => {
                    let (created, plan) = *planned;
                    let known = as_begun(part, &created);
                    group.push(self.as_planned(&known, &plan.inputs).await?);
                }
            }
        }
        for part in &mut group {
            shares::leave(&mut part.rollout, &others)?;
        }
        let seed = group[mine].seed(plan.seed);
        match (Together { parts: group }).make_plan(plan.created_at, seed).await {
            Ok(mut made) => Ok(Again::Plan(Box::new(made.parts.swap_remove(mine).plan))),
            Err(PlanError::Refused(refused)) => Ok(Again::Refused(refused)),
            Err(error) => Err(error.into()),
        }
    }

    /// A fleet with the load, the forecasters and the calendar files that a plan was made from.
    async fn as_planned(&self, part: &Prepared, inputs: &Inputs) -> Result<Prepared, NotAgain> {
        let archive = self.store.as_ref();
        let part = part.as_recorded(archive, &inputs.load).await?;
        let part = part.with_models_of(archive, &inputs.models).await?;
        Ok(part.with_kept_calendars(archive, &inputs.calendars).await?)
    }

    /// A revision: the question stands in the journal up to the record that it follows from.
    pub async fn revision(&self, record: &Record, plan: &Plan) -> Result<Again, NotAgain> {
        let after = record.cause.filter(|cause| *cause < record.seq).ok_or_else(|| {
            NotAgain::Unsaid(format!("record {} does not say what it follows from", record.seq))
        })?;
        let state = self.state(after)?;
        let ask = match asked::revision(&state, record.at, &record.reason) {
            None => {
                return Err(NotAgain::Unsaid(format!("there is no plan before record {after}")));
            }
            Some(Err(refused)) => return Ok(Again::Refused(refused)),
            Some(Ok(ask)) => ask,
        };
        let planner = self.planner(&state, record.seq, &plan.inputs, Some(plan.seed)).await?;
        match planner.revise(&ask).await {
            Ok(plan) => Ok(Again::Plan(Box::new(plan))),
            Err(error) => failed(error),
        }
    }

    /// What was foreseen of the batches that were left when one was opened, and what it spent.
    pub async fn weighing(
        &self,
        record: &Record,
        (look, risk): (&Look, Option<RiskSpent>),
        by: &Weighing,
    ) -> Result<Again, NotAgain> {
        let unsaid = |what: &str| NotAgain::Unsaid(format!("record {}: {what}", record.seq));
        if by.after >= record.seq {
            return Err(unsaid("it was weighed by what came after it"));
        }
        let state = self.state(by.after)?;
        let (rest, ask) = match asked::weighing(&state, by.at) {
            None => return Err(unsaid("no batch was left when it was weighed")),
            Some(Asked { question: Err(refused), .. }) => return Ok(Again::Refused(refused)),
            Some(Asked { question: Ok(question), .. }) => question,
        };
        // Calendars say when a batch may go out, not what it risks.
        let inputs = Inputs {
            config: state.created.spec.clone(),
            load: by.load.clone(),
            until: by.at,
            calendars: BTreeMap::new(),
            learned: Default::default(),
            signals: Default::default(),
            capacity: Default::default(),
            models: by.models.clone(),
        };
        let planner = self.planner(&state, record.seq, &inputs, None).await?;
        let weighed = match planner.weigh(&rest, &ask).await {
            Ok(weighed) => weighed,
            Err(error) => return failed(error),
        };
        let opened = self.state(record.seq - 1)?;
        let (Some(plan), Some(batch)) = (&opened.plan, opened.next_batch()) else {
            return Err(unsaid("no batch was left to open"));
        };
        let spent = opened.account.quote(plan, batch, Some(weighed.next));
        let spent = spent.map_err(|overdrawn| overdrawn.to_string());
        let other = by.load.iter().filter(|(which, d)| weighed.load.get(*which) != Some(d));
        Ok(Again::Figures {
            stated: json!({ "look": { "foreseen": look.foreseen }, "risk": risk }),
            again: json!({ "look": { "foreseen": weighed.rest }, "risk": match &spent {
                Ok(spent) => json!(spent),
                Err(overdrawn) => json!(overdrawn),
            }}),
            other_loads: other.map(|(which, _)| which.clone()).collect(),
        })
    }

    /// What a driver of a former release did not say, where a decision of its stands on it.
    pub fn guessed(&self, seq: u64) -> Option<&'static str> {
        planning(self.records, seq).is_none().then_some(
            "the driver did not say with which seed, risk and budget it planned; those of the first \
             plan and of the configuration were taken",
        )
    }

    /// The state after a record.
    fn state(&self, seq: u64) -> Result<State, NotAgain> {
        let upto = self.records.iter().take_while(|record| record.seq <= seq);
        let upto: Vec<Record> = upto.cloned().collect();
        let state = fold(&upto).map_err(|error| LookError::Fold(self.id.clone(), error))?;
        state.ok_or_else(|| NotAgain::Unsaid(format!("the journal of {} is empty", self.id)))
    }

    /// The planner of the driver that wrote a record, with the load that is asked for. The seed is that
    /// of the plan that was made, or else the driver's.
    async fn planner(
        &self,
        state: &State,
        seq: u64,
        inputs: &Inputs,
        drawn: Option<u64>,
    ) -> Result<LivePlanner, NotAgain> {
        let part = self.all.parts.iter().find(|part| part.fleet.name == state.created.fleet);
        let part = part.ok_or_else(|| {
            NotAgain::Unsaid(format!("the configuration has no fleet {}", state.created.fleet))
        })?;
        let mut prepared = as_begun(part, &state.created);
        let planning = planning(self.records, seq);
        if let Some(planning) = planning {
            prepared.rollout.risk = Probability::new(planning.risk)
                .map_err(|error| NotAgain::Unsaid(format!("risk of the driver: {error}")))?;
            prepared.rollout.budget = planning.budget;
        }
        let in_force = state.plan.as_ref().map_or(1, |plan| plan.seed);
        let seed = match (drawn, planning) {
            (Some(drawn), _) => prepared.seed(drawn),
            (None, Some(planning)) => planning.seed,
            // A former release did not say; its first plan was most often drawn by the same one.
            (None, None) => prepared.seed(in_force),
        };
        let prepared = self.as_planned(&prepared, inputs).await?;
        let archive = Arc::new(Untouched(self.store.clone()));
        Ok(LivePlanner { prepared: Arc::new(prepared), archive, seed, turns: no_queue() })
    }

    /// What another fleet of the rollout was when this one was planned: the rule of `apply`.
    async fn sibling(
        &self,
        part: &Prepared,
        spec: &Digest,
        at: Timestamp,
    ) -> Result<Sibling, NotAgain> {
        let name = keyed::of_fleet(part.rollout.name.as_str(), &part.fleet.name);
        let mut before = Vec::new();
        for id in keyed::attempts(self.store.as_ref(), &name).await? {
            let records = self.store.read(&id, 0).await?;
            fold(&records).map_err(|error| LookError::Fold(id.clone(), error))?;
            let (created, plan) = begun(&id, &records)?;
            if plan.created_at == at {
                return Ok(Sibling::Planned(Box::new((created, plan))));
            }
            if records.first().is_some_and(|first| first.at <= at) {
                before = records.into_iter().take_while(|record| record.at <= at).collect();
            }
        }
        let state = fold(&before).map_err(|error| LookError::Fold(self.id.clone(), error))?;
        let goes_on = |state: &State| {
            let ended = state.outcome().is_some_and(|o| o != domain::event::Outcome::Done);
            state.created.spec == *spec && !ended
        };
        match state.filter(goes_on) {
            Some(state) => Ok(Sibling::Begun(Owned::of(&state))),
            None => Err(NotAgain::Unsaid(format!(
                "it was planned together with fleet {}, whose part was never written down; its load \
                 is in no journal",
                part.fleet.name
            ))),
        }
    }
}

/// What an archive keeps; nothing is added to it.
struct Untouched(Arc<dyn Store>);

#[async_trait]
impl Archive for Untouched {
    async fn put(&self, bytes: &[u8]) -> Result<Digest, PortError> {
        Ok(Digest::of_bytes(bytes))
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, PortError> {
        self.0.get(digest).await
    }
}

fn failed(error: ReviseError) -> Result<Again, NotAgain> {
    match error {
        ReviseError::Refused(refused) => Ok(Again::Refused(refused)),
        ReviseError::Failed(text) => Err(NotAgain::Unsaid(text)),
    }
}

/// What a journal begins with.
pub fn begun(id: &RolloutId, records: &[Record]) -> Result<(Created, Plan), NotAgain> {
    let event = |index: usize| records.get(index).and_then(|record| record.event().ok());
    match (event(0), event(1)) {
        (Some(Event::RolloutCreated(created)), Some(Event::PlanAdopted { plan })) => {
            Ok((*created, *plan))
        }
        _ => Err(NotAgain::Unsaid(format!("the journal of {id} does not begin with a plan"))),
    }
}

/// What the driver before a record planned with, where it said so.
fn planning(records: &[Record], seq: u64) -> Option<Planning> {
    let before = records.iter().rev().filter(|record| record.seq < seq);
    let mut started = before.filter_map(|record| match record.event() {
        Ok(Event::DriverStarted { planning, .. }) => Some(planning),
        _ => None,
    });
    started.next().flatten()
}

/// The fleet as it was when the rollout began: who asks may be on another host, and Presurge leaves
/// alone what it stands on.
fn as_begun(part: &Prepared, created: &Created) -> Prepared {
    let mut part = part.clone();
    for server in &mut part.fleet.servers {
        server.own = !created.servers.iter().any(|member| member.name == server.name);
    }
    part.with_learned(&created.learned)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use domain::event::Rung;
    use domain::ports::Clock;
    use rollout::planner::Revision;
    use rollout::state::Way;
    use sim::SimClock;
    use store::Sqlite;

    use super::*;
    use crate::apply::planner::keep;
    use crate::documents;
    use crate::pipeline::testing::SIX_SERVERS as CONFIGURATION;

    const NOON: &str = "2026-03-08T12:00:00Z";

    /// A week of load, and the configuration beside it.
    fn write(folder: &std::path::Path, configuration: &str) -> std::path::PathBuf {
        let mut load = String::from("ds,y\n");
        for (day, minute) in (1..9).flat_map(|d| (0..1440).step_by(10).map(move |m| (d, m))) {
            let unrest = (day * 1440 + minute) / 10 * 7919 % 31;
            let (hour, minutes) = (minute / 60, minute % 60);
            writeln!(load, "2026-03-{day:02}T{hour:02}:{minutes:02}:00Z,{}", 300 + unrest).unwrap();
        }
        let file = folder.join("web.yaml");
        std::fs::write(&file, configuration).unwrap();
        std::fs::write(folder.join("load.csv"), load).unwrap();
        file
    }

    /// A calendar file with a freeze of so many hours from noon on.
    fn calendar(folder: &std::path::Path, hours: u32) -> Digest {
        let text = format!(
            "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:20260308T120000Z\r\nDURATION:PT{hours}H\r\n\
             END:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        std::fs::write(folder.join("quiet.ics"), &text).unwrap();
        Digest::of_bytes(text.as_bytes())
    }

    #[tokio::test]
    async fn calendar_files_come_out_of_the_archive_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let with = format!("{CONFIGURATION}  freezes: [ {{ ical: quiet.ics }} ]\n");
        let file = write(folder.path(), &with);
        let digest = calendar(folder.path(), 1);
        let now: Timestamp = NOON.parse().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SimClock::at(now));
        let prepared = Prepared::of_file(&file, &clock);
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::open(folder.path().join("presurge.db")).unwrap());
        let ask = prepared.first(now, 7).unwrap();
        let made = prepared.make_plan(ask.clone()).await.unwrap();
        let plan = &made.plan;
        assert!(plan.batches[0].out_at >= now + std::time::Duration::from_secs(3600));
        assert_eq!(plan.inputs.calendars, [("quiet.ics".to_owned(), digest.clone())].into());
        let kept = async || {
            let own = prepared.clone();
            own.with_kept_calendars(store.as_ref(), &plan.inputs.calendars).await
        };
        let gone = kept().await.map(|_| ()).unwrap_err().to_string();
        let said =
            format!("the calendar file quiet.ics as it was, {digest}, is not in the archive");
        assert_eq!(gone, said);
        keep(store.as_ref(), &made.histories, &made.calendars).await.unwrap();
        // Somebody corrects the calendar afterwards.
        calendar(folder.path(), 2);
        let by_now = prepared.make_plan(ask.clone()).await.unwrap().plan;
        assert_ne!(by_now.batches[0].out_at, plan.batches[0].out_at);
        let then = kept().await.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(then.make_plan(ask).await.unwrap().plan, *plan);
    }

    #[tokio::test]
    async fn plans_over_several_fleets_keep_calendars_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let (fleet, rollout) = CONFIGURATION.split_once("---\n").unwrap();
        let other =
            fleet.replace("name: web }", "name: api }").replace("prefix: web", "prefix: api");
        let rollout = rollout.replace("fleets: [web]", "fleets: [web, api]");
        let freezes = "  freezes: [ { ical: quiet.ics } ]\n";
        let file = write(folder.path(), &format!("{fleet}---\n{other}---\n{rollout}{freezes}"));
        calendar(folder.path(), 1);
        let now: Timestamp = NOON.parse().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SimClock::at(now));
        let documents = documents::load(&[file], &clock).unwrap_or_else(|e| panic!("{e}"));
        let all = Together::new(&documents, None, &clock, &[]).unwrap_or_else(|e| panic!("{e}"));
        let made = all.make_plan(now, 7).await.unwrap_or_else(|e| panic!("{e}"));
        let over = now + std::time::Duration::from_secs(3600);
        assert!(made.plan.batches.iter().all(|batch| batch.out_at >= over));
        assert_eq!(made.plan.inputs.calendars.len(), 1);
        assert!(made.parts.iter().all(|part| part.calendars.len() == 1));
    }

    /// On the lower rungs of the ladder there is no live load: what was planned there comes out again
    /// from what the plan says that it was made from, which may be nothing.
    #[tokio::test]
    async fn what_was_planned_without_live_load_comes_out_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), CONFIGURATION);
        let now: Timestamp = NOON.parse().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SimClock::at(now));
        let prepared = Prepared::of_file(&file, &clock);
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::open(folder.path().join("presurge.db")).unwrap());
        let made = prepared.make_plan(prepared.first(now, 7).unwrap()).await.unwrap();
        keep(store.as_ref(), &made.histories, &made.calendars).await.unwrap();
        let ask = |rung| Revision {
            now: now + std::time::Duration::from_secs(600),
            parent: made.plan.digest.clone(),
            revision: 2,
            way: Way::Forth,
            pending: prepared.fleet.servers.iter().map(|s| s.name.clone()).collect(),
            unavailable: Vec::new(),
            held: Vec::new(),
            without: Vec::new(),
            deadline: now + std::time::Duration::from_secs(3 * 3600),
            risk: Probability::new(0.01).unwrap(),
            why: "the load is not known".into(),
            rung,
            inputs: made.plan.inputs.clone(),
            updated_at: None,
        };
        let planner = async |load: &BTreeMap<String, Digest>| LivePlanner {
            prepared: Arc::new(prepared.as_recorded(store.as_ref(), load).await.unwrap()),
            archive: Arc::new(Untouched(store.clone())),
            seed: 7,
            turns: no_queue(),
        };
        let blind = planner(&BTreeMap::new()).await;
        assert!(blind.revise(&ask(Rung::Live)).await.is_err(), "nothing is known of the load");
        for (rung, load) in [(Rung::LastForecast, true), (Rung::StaticSurge, false)] {
            let then = blind.revise(&ask(rung)).await.unwrap_or_else(|e| panic!("{rung:?}: {e}"));
            assert_eq!(!then.inputs.load.is_empty(), load, "{rung:?}");
            let again = planner(&then.inputs.load).await.revise(&ask(rung)).await.unwrap();
            assert_eq!(again, then, "{rung:?}");
        }
    }
}
