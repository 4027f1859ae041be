//! `presurge apply`: shows the plan, asks, does it; goes on with what is open.

mod advise;
pub mod anchoring;
mod observe;
mod together;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapters::clock::SystemClock;
use clap::{Args, ValueEnum};
use domain::config::Span;
use domain::event::Outcome;
use domain::name::RolloutId;
use domain::plan::{Plan, Refused};
use domain::ports::{Archive, Clock, Journal};
use jiff::Timestamp;
use rollout::driver::{Ended, Stop};
use rollout::settings::Pace;

use super::store::StoreArgs;
use super::{Code, Failed, render};
use crate::anchors::{Watched, Writer};
use crate::apply::audience::Storyteller;
use crate::apply::control::Petition;
use crate::apply::given::{self, NotPerformed};
use crate::apply::keyed::{self, Found};
use crate::apply::planner::no_queue;
use crate::apply::{Applier, former, freezes, taught, world};
use crate::documents;
use crate::notify;
use crate::pipeline::{Made, PlanError, Prepared, Together};

/// Performs a rollout: shows the plan, asks, does it, and goes on with one that is open.
#[derive(Debug, Args)]
pub struct Apply {
    /// Configuration files; or a plan that `presurge plan --out` wrote, with --config
    #[arg(required = true, value_name = "FILE|PLAN")]
    files: Vec<PathBuf>,
    /// The configuration of a plan that is given as a file
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Which rollout, when the files describe several
    #[arg(long, value_name = "NAME")]
    rollout: Option<String>,
    /// Do not ask
    #[arg(long, short = 'y')]
    yes: bool,
    /// How far to go: only say what will come, or what to do, or do it
    #[arg(long, value_enum, default_value_t = Mode::Act)]
    mode: Mode,
    /// Return with exit code 5 when a pause or a hold lasts longer than this
    #[arg(long, value_name = "SPAN", default_value = "2h")]
    patience: Span,
    /// The seed of the sampled paths
    #[arg(long, default_value_t = 1, value_parser = super::seeds())]
    seed: u64,
    /// From one look at the world to the next
    #[arg(long, hide = true, default_value = "1s")]
    tick: Span,
    /// How long the lease on the rollout lasts
    #[arg(long, hide = true, default_value = "6s")]
    lease: Span,
    #[command(flatten)]
    anchoring: anchoring::Anchoring,
    #[command(flatten)]
    store: StoreArgs,
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Forecast the load of the time until the deadline, and keep what that was made from
    Observe,
    /// Plan, say, and write the advice down; `presurge advice` says what came of it
    Advise,
    /// Do it
    Act,
}

impl Apply {
    pub fn run(self) -> Result<Code, Failed> {
        super::runtime()?.block_on(self.answer())
    }

    async fn answer(self) -> Result<Code, Failed> {
        let key = self.anchoring.key()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let given = given_plan(&self.files, &self.config)?;
        let files = if given.is_some() { &self.config } else { &self.files };
        let documents = documents::load(files, &clock).map_err(Failed::data)?;
        let name = self.rollout.as_deref().or(given.as_ref().map(|plan| plan.rollout.as_str()));
        let all = Together::new(&documents, name, &clock, &[])?;
        match self.mode {
            Mode::Observe if given.is_some() => {
                let text = "a plan is advised on or performed; give --mode observe a configuration";
                return Err(Failed::usage(text));
            }
            Mode::Observe => return self.observe(&all, &clock).await,
            Mode::Advise => return self.advise(all, &documents, given, &clock).await,
            Mode::Act => {}
        }
        let first = all.first();
        let receivers = || {
            let receivers = notify::receivers(&first.rollout.notify, &first.rollout_here);
            receivers.map_err(Failed::data)
        };
        let anchors = Arc::new(self.anchoring.start(key, receivers)?);
        let ended = if all.parts.len() > 1 {
            self.perform_together(all, given, &clock, &anchors).await
        } else {
            self.perform(all, given, &anchors).await
        };
        if let Some(text) = anchors.close() {
            eprintln!("warning: {text}");
        }
        ended
    }

    /// Performs a rollout of one fleet.
    async fn perform(
        &self,
        mut all: Together,
        given: Option<Plan>,
        anchors: &Arc<Writer>,
    ) -> Result<Code, Failed> {
        let prepared = all.parts.remove(0);
        let state = self.store.state(&prepared.fleet.name)?;
        let store = self.store.open()?;
        let name = prepared.rollout.name.clone();
        let found = keyed::find(store.as_ref(), name.as_str(), &prepared.config).await?;
        let prepared = taught(prepared.with_state(state), store.as_ref(), &found).await?;
        let prepared = Arc::new(prepared);
        let applier = Applier {
            prepared: prepared.clone(),
            journal: store.clone() as Arc<dyn Journal>,
            archive: store as Arc<dyn Archive>,
            audience: Arc::new(Watched::new(Arc::new(Storyteller::new()), anchors.clone())),
            pace: self.pace(),
            patience: Some(self.patience.duration()),
            seed: self.seed,
            anchors: anchors.clone(),
            stop: Stop::default(),
            turns: no_queue(),
        };
        match found {
            Found::Done(id) => {
                anchoring::sign_end(applier.journal.as_ref(), &id, anchors).await?;
                eprintln!("{id} is done already with this configuration; nothing to do");
                Ok(Code::Done)
            }
            Found::OtherOpen(id) => {
                let refused = format!(
                    "{id} is open with another configuration; finish it with that one, or end it: \
                     `presurge rollout abort {name}`, then `presurge apply` with its configuration"
                );
                self.refused_or_aborting(&applier, &id, refused).await
            }
            Found::Open(id) => {
                eprintln!("{id} is open; going on with it");
                self.resume(&applier, &id).await
            }
            Found::New(id) => {
                self.not_frozen(applier.journal.as_ref(), &prepared).await?;
                self.begin(&applier, &id, given).await
            }
        }
    }

    /// Begins nothing on a frozen fleet. What is open already is driven, so that what is out comes back,
    /// and holds.
    async fn not_frozen(&self, journal: &dyn Journal, prepared: &Prepared) -> Result<(), Failed> {
        let now = prepared.fleet_here.clock.now();
        match freezes::none_on(journal, &prepared.fleet.name, now).await? {
            Ok(()) => Ok(()),
            Err(frozen) => Err(Failed::new(Code::Refused, frozen)),
        }
    }

    fn pace(&self) -> Pace {
        let tick = self.tick.duration();
        let load_every = tick.saturating_mul(5);
        Pace { tick, lease: self.lease.duration(), load_every, ..Pace::default() }
    }

    /// An abort must be possible to carry out even though the configuration has changed since.
    async fn refused_or_aborting(
        &self,
        applier: &Applier,
        id: &RolloutId,
        refused: String,
    ) -> Result<Code, Failed> {
        let state = keyed::state(applier.journal.as_ref(), id).await?;
        let aborting = state.is_some_and(|(s, _)| s.phase == rollout::state::Phase::Aborting);
        if !aborting {
            return Err(Failed::new(Code::Refused, refused));
        }
        eprintln!("{id} is being aborted; carrying that out");
        self.resume(applier, id).await
    }

    async fn resume(&self, applier: &Applier, id: &RolloutId) -> Result<Code, Failed> {
        until_the_end(applier, id, applier.resume(id)).await
    }

    async fn new_plan(&self, prepared: &Prepared, now: Timestamp) -> Result<Made, Failed> {
        let ask = prepared.first(now, self.seed).map_err(super::plan_failed)?;
        prepared.make_plan(ask).await.map_err(|error| match error {
            PlanError::Refused(refused) => refusal(refused),
            error => super::plan_failed(error),
        })
    }

    async fn begin(
        &self,
        applier: &Applier,
        id: &RolloutId,
        given: Option<Plan>,
    ) -> Result<Code, Failed> {
        let prepared = &applier.prepared;
        let now = prepared.fleet_here.clock.now();
        let made = match given {
            Some(plan) => given::taken(plan, prepared, now).await.map_err(not_performed)?,
            None => self.new_plan(prepared, now).await?,
        };
        for warning in prepared.left_alone().chain(made.warnings.iter().cloned()) {
            eprintln!("warning: {warning}");
        }
        let fleets = std::slice::from_ref(prepared.as_ref());
        render::plan::text(&mut std::io::stderr().lock(), fleets, &made.plan, now)?;
        let world = world::world(prepared, &made.histories, !made.plan.surge.is_empty())?;
        if !self.yes && !agreed()? {
            eprintln!("nothing was done");
            return Ok(Code::Done);
        }
        let before = former::known(prepared, world.updater.as_ref()).await?;
        let petition = Petition::here("apply was called", prepared.fleet_here.clock.now());
        applier.create(id, &made, before, &petition, None).await?;
        until_the_end(applier, id, applier.drive(id, world)).await
    }
}

/// Drives until the end, or until Ctrl-C, and says how it ended.
async fn until_the_end(
    applier: &Applier,
    id: &RolloutId,
    drive: impl Future<Output = Result<Ended, Failed>>,
) -> Result<Code, Failed> {
    let name = &applier.prepared.rollout.name;
    tokio::select! {
        ended = drive => match ended? {
            Ended::Finished(Outcome::Done) => Ok(Code::Done),
            // What failed stands in the story's last line.
            Ended::Finished(Outcome::Incomplete) => Ok(Code::Error),
            Ended::Finished(Outcome::Aborted | Outcome::RolledBack) => Ok(Code::Aborted),
            Ended::Waiting | Ended::Stopped => {
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

fn not_performed(why: NotPerformed) -> Failed {
    match why {
        NotPerformed::Moved(why) => Failed::new(Code::Refused, why),
        NotPerformed::Unknown(error) => super::plan_failed(error),
    }
}

fn refusal(refused: Refused) -> Failed {
    Failed::new(Code::Refused, refused)
}

/// A plan, when the one file that is given is one.
fn given_plan(files: &[PathBuf], config: &[PathBuf]) -> Result<Option<Plan>, Failed> {
    let [file] = files else { return Ok(None) };
    if !is_plan(file) {
        return Ok(None);
    }
    if config.is_empty() {
        let text = "a plan needs the configuration that it was made from: add --config FILE";
        return Err(Failed::usage(text));
    }
    let text = std::fs::read(file).map_err(|e| Failed::data(format!("{}: {e}", file.display())))?;
    let plan = serde_json::from_slice(&text)
        .map_err(|e| Failed::data(format!("{}: this is no plan: {e}", file.display())))?;
    Ok(Some(plan))
}

fn is_plan(file: &Path) -> bool {
    let Ok(text) = std::fs::read(file) else { return false };
    let value: Result<serde_json::Value, _> = serde_json::from_slice(&text);
    value.is_ok_and(|v| v["kind"] == "Plan")
}

fn agreed() -> Result<bool, Failed> {
    if !std::io::stdin().is_terminal() {
        let text = "there is nobody to ask; say --yes to perform the plan";
        return Err(Failed::usage(text));
    }
    eprint!("\nPerform this plan? Only 'yes' is taken: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
