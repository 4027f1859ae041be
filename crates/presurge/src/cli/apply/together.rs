//! Performing a rollout over several fleets: one journal chain and one driver for each fleet, side
//! by side in this process. Each adopts its part of the plan, and revises it within its own share
//! of the joint risk. Killed at any moment and started again, each goes on where its world is.

use std::sync::Arc;

use domain::name::RolloutId;
use domain::plan::{Plan, joint_probability};
use domain::ports::{Archive, Clock, Journal};
use futures_util::future::join_all;
use jiff::Timestamp;
use rollout::driver::Stop;
use rollout::state::Phase;
use store::Store;

use super::{Apply, agreed, anchoring};
use crate::anchors::{Watched, Writer};
use crate::apply::audience::Storyteller;
use crate::apply::control::Petition;
use crate::apply::former::{self, Former};
use crate::apply::given::still_good;
use crate::apply::keyed::{self, Found};
use crate::apply::planner::no_queue;
use crate::apply::shares::{self, Owned};
use crate::apply::{Applier, taught, world};
use crate::cli::{Code, Failed, plan_failed, render};
use crate::pipeline::{Made, MadeTogether, Prepared, Together};

/// A fleet with what there is of it in the store.
struct Part {
    prepared: Prepared,
    found: Found,
    /// What its open or finished attempt owns.
    owns: Owned,
    /// It is being aborted, which is carried out whatever the configuration has become since, or rolled
    /// back; nothing else begins meanwhile.
    retreats: bool,
}

/// A fleet that is to be driven, with what it was planned from, where that is new.
struct Driven {
    prepared: Prepared,
    id: RolloutId,
    made: Option<Made>,
    cost: f64,
}

impl Apply {
    /// Performs a rollout over several fleets.
    pub(super) async fn perform_together(
        &self,
        all: Together,
        given: Option<Plan>,
        clock: &Arc<dyn Clock>,
        anchors: &Arc<Writer>,
    ) -> Result<Code, Failed> {
        let store = self.store.open()?;
        let mut parts = Vec::with_capacity(all.parts.len());
        for prepared in all.parts {
            let part = self.found(prepared, store.as_ref()).await?;
            if let Found::Done(id) = &part.found {
                anchoring::sign_end(store.as_ref(), id, anchors).await?;
            }
            parts.push(part);
        }
        if let Some(code) = refused_or_done(&parts)? {
            return Ok(code);
        }
        if parts.iter().any(|part| part.retreats) {
            eprintln!(
                "the rollout is being aborted or rolled back; carrying that out, and beginning nothing"
            );
            parts.retain(|part| matches!(part.found, Found::Open(_)));
        }
        let now = clock.now();
        let rollout = parts[0].prepared.rollout.clone();
        let budget = rollout.budget;
        let total = parts.len();
        let (new, old): (Vec<Part>, Vec<Part>) =
            parts.into_iter().partition(|part| matches!(part.found, Found::New(_)));
        let owned: Vec<Owned> = old.iter().map(|part| part.owns).collect();
        let spent: f64 = owned.iter().map(|owned| owned.cost).sum();
        let mut driven: Vec<Driven> = old.into_iter().filter_map(going_on).collect();
        if !new.is_empty() {
            for part in &new {
                self.not_frozen(store.as_ref(), &part.prepared).await?;
            }
            let whole = new.len() == total;
            let new = with_the_rest(new, &owned)?;
            let made = self.agreed_plan(new, whole, given, now).await?;
            let Some(made) = made else { return Ok(Code::Done) };
            driven.extend(made);
        }
        let costs: f64 = driven.iter().filter(|d| d.made.is_some()).map(|d| d.cost).sum();
        let slack = budget.map(|budget| (budget - spent - costs) / total as f64);
        for part in &mut driven {
            part.prepared.rollout.budget = slack.map(|slack| part.cost + slack);
        }
        self.drive_together(driven, &store, anchors).await
    }

    /// What there is of a fleet in the store.
    async fn found(&self, prepared: Prepared, store: &dyn Store) -> Result<Part, Failed> {
        let state = self.store.state(&prepared.fleet.name)?;
        let prepared = prepared.with_state(state);
        let name = keyed::of_fleet(prepared.rollout.name.as_str(), &prepared.fleet.name);
        if let Err(error) = RolloutId::new(format!("{name}#9999999")) {
            let text = format!("the names of rollout and fleet are too long together: {error}");
            return Err(Failed::data(text));
        }
        let mut found = keyed::find(store, &name, &prepared.config).await?;
        let (mut owns, mut retreats) = (Owned::default(), false);
        if let Found::Open(id) | Found::Done(id) | Found::OtherOpen(id) = found.clone()
            && let Some((state, _)) = keyed::state(store, &id).await?
        {
            owns = Owned::of(&state);
            let (aborting, ended) = (state.phase == Phase::Aborting, state.outcome().is_some());
            retreats = aborting || state.rollback.is_some() && !ended;
            if aborting {
                found = Found::Open(id);
            }
        }
        let prepared = taught(prepared, store, &found).await?;
        Ok(Part { prepared, found, owns, retreats })
    }

    /// The plan of the fleets that have none yet, shown and agreed to, each with its part.
    async fn agreed_plan(
        &self,
        mut new: Vec<Part>,
        whole: bool,
        given: Option<Plan>,
        now: Timestamp,
    ) -> Result<Option<Vec<Driven>>, Failed> {
        if let (Some(plan), true) = (&given, whole) {
            still_good(plan, &new[0].prepared, now)
                .map_err(|why| Failed::new(Code::Refused, why))?;
        }
        if !whole {
            eprintln!("some fleets of this rollout are under way already; planning the others");
        }
        let ids: Vec<Found> = new.iter().map(|part| part.found.clone()).collect();
        let all = Together { parts: new.drain(..).map(|part| part.prepared).collect() };
        let mut made = all.make_plan(now, self.seed).await.map_err(plan_failed)?;
        if let (Some(plan), true) = (given, whole) {
            take_given(&mut made, plan)?;
        }
        let alone = all.parts.iter().flat_map(Prepared::left_alone);
        for warning in alone.chain(made.warnings()) {
            eprintln!("warning: {warning}");
        }
        render::plan::text(&mut std::io::stderr().lock(), &all.parts, &made.plan, now)?;
        if !self.yes && !agreed()? {
            eprintln!("nothing was done");
            return Ok(None);
        }
        let driven = all.parts.into_iter().zip(ids).zip(made.parts).filter_map(
            |((prepared, found), made)| {
                let Found::New(id) = found else { return None };
                let cost = made.plan.cost.surge;
                Some(Driven { prepared, id, made: Some(made), cost })
            },
        );
        Ok(Some(driven.collect()))
    }

    /// Writes down what is new, then drives every fleet, side by side.
    async fn drive_together(
        &self,
        driven: Vec<Driven>,
        store: &Arc<dyn Store>,
        anchors: &Arc<Writer>,
    ) -> Result<Code, Failed> {
        let mut ready = Vec::with_capacity(driven.len());
        for part in driven {
            let fleet = part.prepared.fleet.name.clone();
            let teller = Arc::new(Storyteller::of(fleet.as_str()));
            let applier = Applier {
                prepared: Arc::new(part.prepared),
                journal: store.clone() as Arc<dyn Journal>,
                archive: store.clone() as Arc<dyn Archive>,
                audience: Arc::new(Watched::new(teller, anchors.clone())),
                pace: self.pace(),
                patience: Some(self.patience.duration()),
                seed: self.seed,
                anchors: anchors.clone(),
                stop: Stop::default(),
                turns: no_queue(),
            };
            // Whatever an adapter is not given is found before anything is written down.
            let mut before = Former::new();
            if let Some(made) = &part.made {
                let buys = !made.plan.surge.is_empty();
                let world = world::world(&applier.prepared, &made.histories, buys)?;
                before = former::known(&applier.prepared, world.updater.as_ref()).await?;
            }
            ready.push((applier, part.id, part.made, before));
        }
        for (applier, id, made, before) in &ready {
            if let Some(made) = made {
                let now = applier.prepared.fleet_here.clock.now();
                let petition = Petition::here("apply was called", now);
                applier.create(id, made, before.clone(), &petition, None).await?;
            }
        }
        let drives = ready.into_iter().map(|(applier, id, ..)| async move {
            eprintln!("{id}: driving fleet {}", applier.prepared.fleet.name);
            self.resume(&applier, &id).await
        });
        let mut worst = Code::Done;
        let mut failed = None;
        for ended in join_all(drives).await {
            match ended {
                Ok(code) => worst = worse(worst, code),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(worst), Err)
    }
}

/// What needs no driver: another configuration is open, or everything is done.
fn refused_or_done(parts: &[Part]) -> Result<Option<Code>, Failed> {
    for part in parts {
        let Found::OtherOpen(id) = &part.found else { continue };
        let name = &part.prepared.rollout.name;
        let text = format!(
            "{id} is open with another configuration; finish it with that one, or end it: \
             `presurge rollout abort {name}`, then `presurge apply` with its configuration"
        );
        return Err(Failed::new(Code::Refused, text));
    }
    if parts.iter().all(|part| matches!(part.found, Found::Done(_))) {
        for part in parts {
            let fleet = &part.prepared.fleet.name;
            eprintln!("fleet {fleet} is done already with this configuration; nothing to do");
        }
        return Ok(Some(Code::Done));
    }
    Ok(None)
}

/// The fleets that have no plan yet, with what the others leave of risk and money: the writing was
/// cut short between two fleets, or one of them was aborted alone.
fn with_the_rest(mut new: Vec<Part>, owned: &[Owned]) -> Result<Vec<Part>, Failed> {
    for part in &mut new {
        shares::leave(&mut part.prepared.rollout, owned)
            .map_err(|nothing| Failed::new(Code::Refused, nothing))?;
    }
    Ok(new)
}

/// A fleet whose rollout is open goes on; one that is done needs no driver.
fn going_on(part: Part) -> Option<Driven> {
    match part.found {
        Found::Open(id) => {
            eprintln!("{id} is open; going on with it");
            Some(Driven { prepared: part.prepared, id, made: None, cost: part.owns.cost })
        }
        _ => None,
    }
}

/// Performs the plan that was given instead of the one that was just made.
pub(super) fn take_given(made: &mut MadeTogether, plan: Plan) -> Result<(), Failed> {
    let bad = || {
        let text = "the parts of the plan are not those that its fleets were planned with; make a \
                    new one with `presurge plan`";
        Failed::new(Code::Refused, text)
    };
    let parts = plan.parts();
    let whole = parts.iter().all(|part| part.computed_digest() == part.digest);
    let shares = joint_probability(parts.iter().map(|part| part.risk.target));
    if parts.len() != made.parts.len() || !whole || shares > plan.risk.target + 1e-12 {
        return Err(bad());
    }
    for (made, part) in made.parts.iter_mut().zip(parts) {
        let of = |plan: &Plan| plan.timeline.first().map(|entry| entry.fleet.clone());
        if of(&made.plan) != of(&part) {
            return Err(bad());
        }
        made.plan = part;
    }
    made.plan = plan;
    Ok(())
}

/// The code that a person has to look at first.
fn worse(a: Code, b: Code) -> Code {
    let weight = |code: Code| match code {
        Code::Done => 0,
        Code::Waiting => 1,
        Code::Aborted => 2,
        _ => 3,
    };
    if weight(b) > weight(a) { b } else { a }
}
