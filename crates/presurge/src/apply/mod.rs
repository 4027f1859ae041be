//! Performing a plan: keyed by name and specification, resumed after whatever happened.

pub mod again;
pub mod audience;
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
mod with_signals;

use std::sync::Arc;
use std::time::Duration;

use domain::event::{Created, Event, Outcome};
use domain::journal::{Actor, Entry, Head, Record};
use domain::name::{RolloutId, ServerName};
use domain::ports::{Append, AppendError, Archive, Authority, Journal};
use jiff::Timestamp;
use rollout::driver::{Audience, Driver, Ended, World};
use rollout::settings::Pace;

use self::former::Former;
use crate::anchors::Writer;
use crate::cli::{Code, Failed};
use crate::notify;
use crate::pipeline::{Made, Prepared};

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
}

impl Applier {
    /// Writes down that the rollout exists, with its plan.
    pub async fn create(
        &self,
        id: &RolloutId,
        made: &Made,
        before: Former,
        now: Timestamp,
    ) -> Result<(), Failed> {
        planner::keep(self.archive.as_ref(), &made.histories, &made.calendars).await?;
        let deadline = self.prepared.rollout.deadline.from(now);
        let created = world::created(&self.prepared, &made.histories, &made.plan, deadline);
        let created = Created { before, ..created };
        let actor = Actor::operator(&control::login());
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
            entry(None, "apply was called", None, Event::RolloutCreated(Box::new(created))),
            entry(Some(1), "it was shown and agreed to", inputs, plan),
        ];
        let (authority, after) = (Authority::Operator, Head::empty());
        self.journal.append(Append { rollout: id, authority, after: &after, entries }).await?;
        Ok(())
    }

    /// Drives the rollout to its end, or until patience ends, or until Ctrl-C.
    pub async fn drive(&self, id: &RolloutId, world: World) -> Result<Code, Failed> {
        let planner = planner::LivePlanner {
            prepared: self.prepared.clone(),
            archive: self.archive.clone(),
            seed: self.seed,
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
        };
        let ended = self.until_the_end(&driver, id).await;
        notifier.close().await;
        self.sign_end(id).await;
        if matches!(ended, Ok(Code::Done | Code::Error | Code::Aborted)) {
            self.learn().await;
        }
        ended
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

    async fn until_the_end(&self, driver: &Driver, id: &RolloutId) -> Result<Code, Failed> {
        let name = &self.prepared.rollout.name;
        tokio::select! {
            ended = driver.run(id) => match ended? {
                Ended::Finished(Outcome::Done) => Ok(Code::Done),
                // What failed stands in the story's last line.
                Ended::Finished(Outcome::Incomplete) => Ok(Code::Error),
                Ended::Finished(Outcome::Aborted | Outcome::RolledBack) => Ok(Code::Aborted),
                Ended::Waiting => {
                    eprintln!(
                        "\n{id} is still waiting; look at it with `presurge rollout show {name}`, \
                         then resume, roll back or abort it and run `apply` again"
                    );
                    Ok(Code::Waiting)
                }
            },
            signal = tokio::signal::ctrl_c() => {
                signal?;
                eprintln!(
                    "\ninterrupted; {id} is still open: run the same `presurge apply` to go on, \
                     or `presurge rollout abort {name}` first to end it"
                );
                Ok(Code::Interrupted)
            }
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
fn owner() -> String {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let started = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19));
    format!("{}/{}/{}", host(), std::process::id(), started.unwrap_or("0"))
}
