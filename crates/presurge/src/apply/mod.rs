//! Performing a plan: keyed by name and specification, resumed after whatever happened.

pub mod advice;
pub mod again;
pub mod audience;
pub mod bundle;
pub mod chain;
pub mod control;
pub mod former;
pub mod freezes;
pub mod given;
pub mod keyed;
pub mod lessons;
pub mod orphans;
pub mod permits;
pub mod planner;
pub mod shares;
pub mod world;

#[cfg(test)]
mod as_shown;
#[cfg(test)]
mod slower;
#[cfg(test)]
mod with_signals;

use std::sync::Arc;
use std::time::Duration;

use domain::event::{Created, Event};
use domain::journal::{Actor, Digest, Entry, Head, Record};
use domain::name::{RolloutId, ServerName};
use domain::plan::PerDimension;
use domain::ports::{Append, AppendError, Archive, Authority, Journal};
use rollout::driver::{Audience, Driver, Ended, Stop, World};
use rollout::settings::Pace;
use tokio::sync::Semaphore;

use self::control::Petition;
use self::former::Former;
use self::keyed::Found;
use crate::anchors::Writer;
use crate::cli::Failed;
use crate::notify;
use crate::pipeline::{History, Made, Prepared, Together};

/// Orphans are looked for no longer than this before the driver begins.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(4);

/// So often a record is tried to be written beside a driver that writes as well.
const WRITES: u32 = 5;

/// What a rollout is performed with.
pub struct Applier {
    /// The rollout.
    pub prepared: Arc<Prepared>,
    /// Where events are kept.
    pub journal: Arc<dyn Journal>,
    /// Where inputs are kept.
    pub archive: Arc<dyn Archive>,
    /// Who watches.
    pub audience: Arc<dyn Audience>,
    /// How the driver paces itself.
    pub pace: Pace,
    /// How long a pause or a hold may last before the program returns.
    pub patience: Option<Duration>,
    /// The seed of every draw.
    pub seed: u64,
    /// Who signs the heads of the journal.
    pub anchors: Arc<Writer>,
    /// Who may ask the driver to stop.
    pub stop: Stop,
    /// How many may plan at once.
    pub turns: Arc<Semaphore>,
}

impl Applier {
    /// Writes down that the rollout exists, with its plan. `documents` are those that it was read from,
    /// in the archive, where others may drive it.
    pub async fn create(
        &self,
        id: &RolloutId,
        made: &Made,
        before: Former,
        petition: &Petition<'_>,
        documents: Option<Digest>,
    ) -> Result<(), Failed> {
        let now = petition.at;
        planner::keep(self.archive.as_ref(), &made.histories, &made.calendars).await?;
        let deadline = self.prepared.rollout.deadline.from(now);
        let created = world::created(&self.prepared, &made.histories, &made.plan, deadline);
        let created = Created { before, ..created };
        let actor = petition.by.clone();
        let entry = |cause, reason: &str, inputs, event| Entry {
            at: now,
            actor: actor.clone(),
            cause,
            reason: reason.into(),
            inputs,
            event,
        };
        let inputs = made.histories.values().next().map(|h| h.digest.clone());
        let plan = Event::PlanAdopted { plan: Box::new(made.plan.clone()) };
        let entries = vec![
            entry(None, petition.reason, documents, Event::RolloutCreated(Box::new(created))),
            entry(Some(1), "it was shown and agreed to", inputs, plan),
        ];
        let (authority, after) = (Authority::Operator, Head::empty());
        self.journal.append(Append { rollout: id, authority, after: &after, entries }).await?;
        Ok(())
    }

    /// Goes on with a rollout that is open, see [`Applier::drive`].
    pub async fn resume(&self, id: &RolloutId) -> Result<Ended, Failed> {
        let now = self.prepared.fleet_here.clock.now();
        let mut histories: PerDimension<History> = PerDimension::new();
        for feed in &self.prepared.feeds {
            match crate::pipeline::read(feed, now).await {
                Ok(history) => drop(histories.insert(feed.dimension.clone(), history)),
                Err(error) => {
                    let text = crate::causes::chain(&error);
                    self.audience
                        .troubled(&format!("{text}; no further server goes out without load"));
                }
            }
        }
        let state = keyed::state(self.journal.as_ref(), id).await?;
        let buys = state.is_some_and(|(state, _)| !state.orders.is_empty());
        self.drive(id, world::world(&self.prepared, &histories, buys)?).await
    }

    /// Drives the rollout to its end, until patience ends, or until it is asked to stop.
    pub async fn drive(&self, id: &RolloutId, world: World) -> Result<Ended, Failed> {
        let planner = planner::LivePlanner {
            prepared: self.prepared.clone(),
            archive: self.archive.clone(),
            seed: self.seed,
            turns: self.turns.clone(),
        };
        self.tell_orphans(id, &world).await;
        let receivers =
            notify::receivers(&self.prepared.rollout.notify, &self.prepared.rollout_here);
        let receivers = receivers.map_err(Failed::data)?;
        let owner = owner();
        let desk = notify::Desk {
            id: id.clone(),
            journal: self.journal.clone(),
            clock: world.clock.clone(),
            audience: self.audience.clone(),
            owner: owner.clone(),
        };
        let notifier = notify::Notifier::start(desk, receivers);
        let driver = Driver {
            world,
            journal: self.journal.clone(),
            planner: Arc::new(planner),
            decide: rollout::decide,
            audience: self.audience.clone(),
            owner,
            build: build(),
            pace: self.pace,
            patience: self.patience,
            stop: self.stop.clone(),
        };
        let ended = driver.run(id).await;
        notifier.close().await;
        self.sign_end(id).await;
        if matches!(ended, Ok(Ended::Finished(_))) {
            self.learn().await;
        }
        Ok(ended?)
    }

    /// What this rollout and those before it teach of the fleet. Not being able to learn is no failure
    /// of the rollout.
    async fn learn(&self) {
        let now = self.prepared.fleet_here.clock.now();
        match lessons::learn(self.journal.as_ref(), &self.prepared, now).await {
            Ok(changes) => {
                let fleet = &self.prepared.fleet.name;
                for lessons::Change { quantity, before, after } in changes {
                    eprintln!("learned of fleet {fleet}: {quantity} is {after}, not {before}");
                }
            }
            Err(error) => {
                let text = crate::causes::chain(&error);
                eprintln!("warning: nothing was learned from this rollout: {text}");
            }
        }
    }

    /// Surge that costs money and that this rollout will not end. Not being able to look is no reason to
    /// wait: the driver says so itself if it lasts.
    async fn tell_orphans(&self, id: &RolloutId, world: &World) {
        let Some(provisioner) = &world.provisioner else { return };
        let look = orphans::suspects(provisioner.as_ref(), Some(self.journal.as_ref()));
        let Ok(Ok(found)) = tokio::time::timeout(ORPHAN_PATIENCE, look).await else { return };
        for orphan in &found {
            self.audience.troubled(&format!(
                "suspected orphan {}, surge of fleet {}: {}; `{}` ends it",
                orphan.instance.name,
                self.prepared.fleet.name,
                orphan.why,
                crate::cli::orphans::command(orphan, &[])
            ));
        }
        let names = found.iter().map(|orphan| orphan.instance.name.clone()).collect::<Vec<_>>();
        let ends = found.first().map(|orphan| crate::cli::orphans::command(orphan, &[]));
        if let Some(command) = ends
            && let Err(text) = self.suspect(id, names, &command).await
        {
            self.audience.troubled(&text);
        }
    }

    /// Writes the names down, for whoever is to be told, unless the same stand there already.
    async fn suspect(
        &self,
        id: &RolloutId,
        names: Vec<ServerName>,
        command: &str,
    ) -> Result<(), String> {
        for _ in 0..WRITES {
            let known = keyed::state(self.journal.as_ref(), id).await;
            let Some((state, _)) = known.map_err(|error| error.to_string())? else {
                return Ok(());
            };
            if state.outcome().is_some() || state.orphans == names {
                return Ok(());
            }
            let entry = Entry {
                at: self.prepared.fleet_here.clock.now(),
                actor: Actor::world(),
                cause: Some(state.head.seq),
                reason: format!(
                    "they run, and no open rollout holds them; `{command}` ends the first"
                ),
                inputs: None,
                event: Event::OrphansSuspected { names: names.clone() },
            };
            let (authority, entries) = (Authority::Operator, vec![entry]);
            let append = Append { rollout: id, authority, after: &state.head, entries };
            match self.journal.append(append).await {
                Ok(_) => return Ok(()),
                Err(AppendError::Conflict(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    /// What people were told of the end stands behind it in the journal, where the driver does not see
    /// it any more.
    async fn sign_end(&self, id: &RolloutId) {
        match self.journal.read(id, 0).await.map(|records| records.last().map(Record::head)) {
            Ok(Some(head)) => self.anchors.saw(id, head),
            Ok(None) => {}
            Err(error) => self.audience.troubled(&error.chain()),
        }
    }
}

/// A fleet with what its plans are made with: what its rollout was begun with, where one is open, or
/// else what is known now.
pub async fn taught(
    prepared: Prepared,
    journal: &dyn Journal,
    found: &Found,
) -> Result<Prepared, Failed> {
    match found {
        Found::New(_) => {
            let all = lessons::known(journal, Together { parts: vec![prepared] }).await;
            Ok(all.parts.into_iter().next().expect("one part went in"))
        }
        Found::Open(id) | Found::OtherOpen(id) | Found::Done(id) => {
            let state = keyed::state(journal, id).await?;
            let learned = state.map(|(state, _)| state.created.learned.clone());
            Ok(prepared.with_learned(&learned.unwrap_or_default()))
        }
    }
}

/// Version and processor architecture of this build.
pub fn build() -> String {
    format!("{} {}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH)
}

/// The name of this host.
pub fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// This process, unlike every other one.
pub fn owner() -> String {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let started = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19));
    format!("{}/{}/{}", host(), std::process::id(), started.unwrap_or("0"))
}
