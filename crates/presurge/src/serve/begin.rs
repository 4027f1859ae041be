//! Beginning a rollout: planned, written down, and left to whoever keeps rollouts.

use std::sync::Arc;

use domain::advice::{Advice, Piece};
use domain::journal::Digest;
use domain::name::RolloutId;
use domain::plan::Plan;
use rollout::state::Phase;

use super::problem::Problem;
use super::route::Call;
use super::{Mode, Server};
use crate::apply::advice::{self, Told};
use crate::apply::keyed::{self, Found};
use crate::apply::shares::{self, Owned};
use crate::apply::{bundle, chain, former, freezes, taught, world};
use crate::documents::{Documents, Given};
use crate::pipeline::{MadeTogether, PlanError, Prepared, Together};

/// What became of the wish to begin a rollout.
#[derive(Debug)]
pub enum Begun {
    /// It was begun now.
    Now(Vec<RolloutId>, Box<Plan>),
    /// It was under way with the same configuration.
    Before(Vec<RolloutId>),
    /// It was done with the same configuration.
    Done(Vec<RolloutId>),
    /// It was not: this daemon advises.
    Advised(Box<Advised>),
}

/// What was advised.
#[derive(Debug)]
pub struct Advised {
    /// The pieces of advice, one for each fleet.
    pub pieces: Vec<Piece>,
    /// The plan.
    pub plan: Plan,
    /// What was odd, and what would stand in its way now.
    pub warnings: Vec<String>,
}

/// A fleet with what there is of it in the store.
struct Part {
    prepared: Prepared,
    found: Found,
    owns: Owned,
    retreats: bool,
}

/// Begins a rollout of some documents.
pub async fn begin(
    server: &Arc<Server>,
    call: &Call,
    documents: &Documents,
    name: &str,
    seed: u64,
    reason: &str,
) -> Result<Begun, Problem> {
    let file = documents.rollout(Some(name)).map_err(|e| Problem::missing(e.to_string()))?;
    let all = server.together(documents, name)?;
    let mut parts = Vec::with_capacity(all.parts.len());
    let several = all.parts.len() > 1;
    for prepared in all.parts {
        server.in_scope(&call.who, &prepared.fleet.name)?;
        parts.push(found(server, prepared, several).await?);
    }
    if let Some(Found::OtherOpen(id)) =
        parts.iter().map(|part| &part.found).find(|found| matches!(found, Found::OtherOpen(_)))
    {
        let detail =
            format!("{id} is open with another configuration; finish it, or abort it first");
        let title = "It is open with another configuration";
        return Err(Problem::conflict("other-open", title, detail).with("rollout", id.as_str()));
    }
    let ids = || {
        let id = |part: &Part| match &part.found {
            Found::Open(id) | Found::Done(id) | Found::OtherOpen(id) | Found::New(id) => id.clone(),
        };
        parts.iter().map(id).collect::<Vec<_>>()
    };
    let ids = ids();
    if parts.iter().all(|part| matches!(part.found, Found::Done(_))) {
        return Ok(Begun::Done(ids));
    }
    let retreats = parts.iter().any(|part| part.retreats);
    let (new, old): (Vec<Part>, Vec<Part>) =
        parts.into_iter().partition(|part| matches!(part.found, Found::New(_)));
    if new.is_empty() || retreats {
        server.keeper.wake();
        return Ok(Begun::Before(ids));
    }
    if server.mode == Mode::Advise {
        if !old.is_empty() {
            return Ok(Begun::Before(ids));
        }
        let all = Together { parts: new.into_iter().map(|part| part.prepared).collect() };
        let documents = bundle::of(documents, file);
        let advised = advise(server, call, &all, documents, seed, reason).await?;
        return Ok(Begun::Advised(Box::new(advised)));
    }
    server.acts()?;
    let owned: Vec<Owned> = old.iter().map(|part| part.owns).collect();
    let (mut prepared, mut chains) = (Vec::new(), Vec::new());
    for mut part in new {
        let fleet = &part.prepared.fleet.name;
        if let Err(frozen) = freezes::none_on(server.store.as_ref(), fleet, call.now).await? {
            return Err(Problem::conflict("frozen", "The fleet is frozen", frozen.to_string()));
        }
        shares::leave(&mut part.prepared.rollout, &owned)
            .map_err(|nothing| Problem::conflict("refused", REFUSED, nothing.to_string()))?;
        prepared.push(part.prepared);
        if let Found::New(id) = part.found {
            chains.push(id);
        }
    }
    let all = Together { parts: prepared };
    let made = plan(server, &all, call, seed).await?;
    let documents = bundle::of(documents, file);
    let documents = bundle::keep(server.store.as_ref(), &documents).await?;
    let plan = Box::new(made.plan.clone());
    write(server, call, all, chains, made, &documents, reason).await?;
    server.keeper.wake();
    Ok(Begun::Now(ids, plan))
}

/// Says how it would be done, and writes that down. A request that comes again is answered as before.
async fn advise(
    server: &Arc<Server>,
    call: &Call,
    all: &Together,
    documents: Vec<Given>,
    seed: u64,
    reason: &str,
) -> Result<Advised, Problem> {
    let store = server.store.as_ref();
    let mut warnings: Vec<String> = all.parts.iter().flat_map(Prepared::left_alone).collect();
    for part in &all.parts {
        if let Err(frozen) = freezes::none_on(store, &part.fleet.name, call.now).await? {
            warnings.push(frozen.to_string());
        }
    }
    let known: Advice = chain::read(store).await?;
    let before: Vec<Piece> = known.answering(call.request.as_ref()).into_iter().cloned().collect();
    if !before.is_empty() {
        let mut plans = Vec::with_capacity(before.len());
        for piece in &before {
            let plan = advice::plan_of(store, &piece.advised).await;
            plans.push(plan.map_err(|error| Problem::failed(crate::causes::chain(&error)))?);
        }
        let risk = all.first().rollout.risk.get();
        let joint = if plans.len() > 1 { Plan::joining(&plans, risk, seed) } else { plans.pop() };
        let plan = joint.ok_or_else(|| Problem::failed("the advice has no plan"))?;
        return Ok(Advised { pieces: before, plan, warnings });
    }
    let made = plan(server, all, call, seed).await?;
    warnings.extend(made.warnings());
    let documents = bundle::keep(store, &documents).await?;
    let told = all.parts.iter().zip(&made.parts);
    let told: Vec<Told<'_>> = told.map(|(prepared, made)| Told { prepared, made }).collect();
    let given = advice::give(store, &told, &documents, &call.petition(reason)).await;
    let pieces = given.map_err(|error| Problem::store(&error))?;
    Ok(Advised { pieces, plan: made.plan, warnings })
}

const REFUSED: &str = "Risk or policy refuses it";

/// What there is of a fleet in the store.
async fn found(server: &Server, prepared: Prepared, several: bool) -> Result<Part, Problem> {
    let store = server.store.as_ref();
    let prepared = prepared.clone().with_state(server.place.state(&prepared.fleet.name)?);
    let mut name = prepared.rollout.name.to_string();
    if several {
        name = keyed::of_fleet(&name, &prepared.fleet.name);
    }
    if let Err(error) = RolloutId::new(format!("{name}#9999999")) {
        return Err(Problem::wrong(format!("the name is too long: {error}")));
    }
    let mut found = keyed::find(store, &name, &prepared.config).await?;
    let (mut owns, mut retreats) = (Owned::default(), false);
    if let Found::Open(id) | Found::Done(id) | Found::OtherOpen(id) = found.clone()
        && let Some((state, _)) = keyed::state(store, &id).await?
    {
        owns = Owned::of(&state);
        let aborting = state.phase == Phase::Aborting;
        retreats = aborting || state.rollback.is_some() && state.outcome().is_none();
        if aborting {
            found = Found::Open(id);
        }
    }
    let prepared = taught(prepared, store, &found).await?;
    Ok(Part { prepared, found, owns, retreats })
}

/// A plan, when it is its turn.
pub async fn plan(
    server: &Server,
    all: &Together,
    call: &Call,
    seed: u64,
) -> Result<MadeTogether, Problem> {
    let _turn = server.asked.acquire().await.map_err(|e| Problem::failed(e.to_string()))?;
    all.make_plan(call.now, seed).await.map_err(not_planned)
}

/// Why there is no plan, for whoever asked.
pub fn not_planned(error: PlanError) -> Problem {
    let cause = match &error {
        PlanError::Fleet { source, .. } => source,
        alone => alone,
    };
    let text = crate::causes::chain(&error);
    match cause {
        PlanError::Refused(refused) => {
            let refused = serde_json::to_value(refused).unwrap_or_default();
            Problem::conflict("refused", REFUSED, text).with("refused", refused)
        }
        PlanError::Defect(_) => Problem::failed(text),
        PlanError::Port(_) => {
            let title = "The load cannot be read";
            Problem::new(hyper::StatusCode::SERVICE_UNAVAILABLE, "load", title, text)
                .again_after(30)
        }
        _ => Problem::wrong(text),
    }
}

/// Writes down every fleet's part. Whatever an adapter is not given is found before.
async fn write(
    server: &Arc<Server>,
    call: &Call,
    all: Together,
    chains: Vec<RolloutId>,
    made: MadeTogether,
    documents: &Digest,
    reason: &str,
) -> Result<(), Problem> {
    let mut ready = Vec::new();
    for ((prepared, id), made) in all.parts.into_iter().zip(chains).zip(made.parts) {
        let world = world::world(&prepared, &made.histories, !made.plan.surge.is_empty())?;
        let before = former::known(&prepared, world.updater.as_ref()).await?;
        ready.push((server.applier(Arc::new(prepared), &id), id, made, before));
    }
    for (applier, id, made, before) in ready {
        let petition = call.petition(reason);
        let created = applier.create(&id, &made, before, &petition, Some(documents.clone())).await;
        let Err(failed) = created else { continue };
        // Somebody may have begun the same at the same moment.
        match keyed::state(server.store.as_ref(), &id).await? {
            Some((state, _)) if state.created.spec == applier.prepared.config => {}
            _ => return Err(failed.into()),
        }
    }
    Ok(())
}
