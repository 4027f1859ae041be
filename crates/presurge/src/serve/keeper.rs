//! Who drives what: this replica looks for rollouts that nobody drives and drives them, as far as it knows
//! their configuration. The lease in the store says who has which; nothing here is shared otherwise.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::journal::Record;
use domain::name::RolloutId;
use domain::ports::{Clock, Lease, PortError};
use futures_util::StreamExt;
use jiff::Timestamp;
use rollout::State;
use rollout::driver::Ended;
use rollout::state::Phase;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::settings::{KEEP, LAST_TURNS, LEASES_AT_ONCE, REST_FIRST, REST_LONGEST};
use super::{Server, told};
use crate::apply::shares::Owned;
use crate::apply::{bundle, chain, keyed, owner};
use crate::cli::Failed;
use crate::documents::Documents;
use crate::pipeline::{Prepared, Together};

/// What this replica knows of the rollouts of the store.
#[derive(Debug, Default)]
pub struct Keeper {
    seen: Mutex<HashMap<RolloutId, Seen>>,
    wake: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Seen {
    /// It has to be driven by somebody.
    Open,
    /// This replica drives it.
    Driven,
    /// Its driver failed so many times in a row, or could not be made.
    Rests { failures: u32, until: Timestamp },
    /// Nothing is left to do.
    Ended,
}

impl Keeper {
    /// There may be something new.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// How many rollouts this replica drives, and how many of the others are open.
    pub fn counts(&self) -> (usize, usize) {
        let seen = self.seen.lock().expect("nobody panics with it");
        let driven = seen.values().filter(|seen| **seen == Seen::Driven).count();
        (driven, seen.values().filter(|seen| **seen != Seen::Ended).count() - driven)
    }

    fn get(&self, id: &RolloutId) -> Option<Seen> {
        self.seen.lock().expect("nobody panics with it").get(id).copied()
    }

    fn set(&self, id: &RolloutId, seen: Seen) {
        self.seen.lock().expect("nobody panics with it").insert(id.clone(), seen);
    }

    /// Lets a rollout rest after a failure, for twice as long each time.
    fn rest(&self, id: &RolloutId, failures: u32, now: Timestamp) {
        let length = REST_FIRST.saturating_mul(2_u32.saturating_pow(failures)).min(REST_LONGEST);
        self.set(id, Seen::Rests { failures: failures + 1, until: now + length });
    }

    fn failures(&self, id: &RolloutId) -> u32 {
        match self.get(id) {
            Some(Seen::Rests { failures, .. }) => failures,
            _ => 0,
        }
    }
}

/// How the driving of a rollout ended.
type Driven = (RolloutId, u32, Result<Ended, Failed>);

/// Looks for rollouts and drives them until it is told to stop; then lets every turn end, so that the
/// leases are free.
pub async fn keep(server: Arc<Server>, mut stop: watch::Receiver<bool>) {
    let mut driving: JoinSet<Driven> = JoinSet::new();
    loop {
        look_around(&server, &mut driving).await;
        let next = server.clock.now() + KEEP;
        loop {
            tokio::select! {
                () = told(&mut stop) => {
                    server.stop.ask();
                    let ends = async {
                        while let Some(ended) = driving.join_next().await {
                            let Ok(ended) = ended else { continue };
                            settle(&server, ended);
                        }
                    };
                    if tokio::time::timeout(LAST_TURNS, ends).await.is_err() {
                        eprintln!("warning: some turns have not ended in time; their leases run out");
                    }
                    return;
                }
                Some(ended) = driving.join_next(), if !driving.is_empty() => {
                    let Ok(ended) = ended else { continue };
                    settle(&server, ended);
                }
                () = server.clock.sleep_until(next) => break,
                () = server.keeper.wake.notified() => break,
            }
        }
    }
}

/// What follows from the end of a driver.
fn settle(server: &Server, (id, failures, ended): Driven) {
    let now = server.clock.now();
    match ended {
        Ok(Ended::Finished(outcome)) => {
            eprintln!("{id}: ended, {outcome:?}");
            server.meters.finished(outcome);
            server.keeper.set(&id, Seen::Ended);
        }
        Ok(Ended::Waiting | Ended::Stopped) => server.keeper.set(&id, Seen::Open),
        Err(error) => {
            eprintln!("{id}: its driver stopped; {error}");
            server.meters.driver_failed();
            server.keeper.rest(&id, failures, now);
        }
    }
}

/// One look through the store.
async fn look_around(server: &Arc<Server>, driving: &mut JoinSet<Driven>) {
    let ids = match chain::rollouts(server.store.as_ref()).await {
        Ok(ids) => ids,
        Err(error) => {
            server.trouble("the store does not answer", &error);
            return;
        }
    };
    let now = server.clock.now();
    let to_see = ids.into_iter().filter(|id| match server.keeper.get(id) {
        None | Some(Seen::Open) => true,
        Some(Seen::Rests { until, .. }) => until <= now,
        Some(Seen::Driven | Seen::Ended) => false,
    });
    let room = server.most.saturating_sub(driving.len());
    if room == 0 {
        return;
    }
    let looks = to_see.map(|id| async move {
        let found = take(server, &id).await;
        (id, found)
    });
    let mut found = futures_util::stream::iter(looks).buffer_unordered(LEASES_AT_ONCE);
    let mut taken = 0;
    while let Some((id, found)) = found.next().await {
        match found {
            Ok(Some(prepared)) => {
                taken += 1;
                let failures = server.keeper.failures(&id);
                server.keeper.set(&id, Seen::Driven);
                driving.spawn(drive(server.clone(), id, failures, prepared));
            }
            Ok(None) => {}
            Err(error) => {
                server.trouble(&format!("{id} is not driven here"), error.as_ref());
                server.keeper.rest(&id, server.keeper.failures(&id), server.clock.now());
            }
        }
        if taken >= room {
            break;
        }
    }
}

async fn drive(server: Arc<Server>, id: RolloutId, failures: u32, prepared: Prepared) -> Driven {
    let applier = server.applier(Arc::new(prepared), &id);
    let (own, begun) = (id.clone(), server.clock.now());
    // A defect in one driver is no reason to stop the others.
    let driven = tokio::spawn(async move { applier.resume(&own).await }).await;
    let ended = driven.unwrap_or_else(|panic| Err(Failed::new(crate::cli::Code::Error, panic)));
    // One that drove for long had no lasting trouble.
    let long = server.clock.now() > begun + REST_LONGEST;
    (id, if long { 0 } else { failures }, ended)
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Takes a rollout if nobody drives it, it is open, and its configuration is known.
async fn take(server: &Server, id: &RolloutId) -> Result<Option<Prepared>, Trouble> {
    let store = server.store.as_ref();
    if server.keeper.get(id).is_none() {
        // Whatever ended long ago is only read.
        match keyed::state(store, id).await? {
            Some((state, _)) if state.outcome().is_none() => server.keeper.set(id, Seen::Open),
            Some(_) => {
                server.keeper.set(id, Seen::Ended);
                return Ok(None);
            }
            None => return Ok(None),
        }
    }
    let (now, length) = (server.clock.now(), server.pace.lease);
    let Some(lease) = store.lease(id, &owner(), now, length).await? else { return Ok(None) };
    match mine(server, id).await {
        Ok(Some(prepared)) => Ok(Some(prepared)),
        other => {
            release(server, &lease).await?;
            other
        }
    }
}

async fn release(server: &Server, lease: &Lease) -> Result<(), PortError> {
    server.store.release(lease).await
}

async fn mine(server: &Server, id: &RolloutId) -> Result<Option<Prepared>, Trouble> {
    let Some((state, records)) = keyed::state(server.store.as_ref(), id).await? else {
        return Ok(None);
    };
    if state.outcome().is_some() {
        server.keeper.set(id, Seen::Ended);
        return Ok(None);
    }
    Ok(Some(prepared(server, &state, &records).await?))
}

/// No configuration here is that of a rollout.
#[derive(Debug, thiserror::Error)]
#[error(
    "the rollout was begun with another configuration than the one that is here; give the daemon the file \
     that it was begun with, or go on with `presurge apply`"
)]
struct Unknown;

/// What a rollout is driven with: the documents that it was begun with, and what was known then.
async fn prepared(server: &Server, state: &State, records: &[Record]) -> Result<Prepared, Trouble> {
    let first = records.first().ok_or(Unknown)?;
    let kept = bundle::read(server.store.as_ref(), first, &server.clock).await?;
    let documents = kept.as_ref().unwrap_or(&server.documents);
    let created = &state.created;
    let all = together(server, documents, &created.name)?;
    let several = all.parts.len() > 1;
    let (total, fleets) = (all.parts.len(), all.parts.iter().map(|p| p.fleet.name.clone()));
    let fleets: Vec<_> = fleets.collect();
    // An abort must be possible to carry out even though the configuration has changed since.
    let good = |part: &Prepared| part.config == created.spec || state.phase == Phase::Aborting;
    let part = all.parts.into_iter().find(|part| part.fleet.name == created.fleet && good(part));
    let part = part.ok_or(Unknown)?.with_learned(&created.learned);
    let folder = server.place.state(&part.fleet.name).map_err(|failed| failed.to_string())?;
    let mut part = part.with_state(folder);
    if let (true, Some(budget)) = (several, part.rollout.budget) {
        let mut spent = 0.0;
        for fleet in &fleets {
            let name = keyed::of_fleet(&created.name, fleet);
            let Some(id) = keyed::newest(server.store.as_ref(), &name).await? else { continue };
            let state = keyed::state(server.store.as_ref(), &id).await?;
            spent += state.map_or(0.0, |(state, _)| Owned::of(&state).cost);
        }
        let slack = (budget - spent) / total as f64;
        part.rollout.budget = Some(Owned::of(state).cost + slack);
    }
    Ok(part)
}

fn together(server: &Server, documents: &Documents, name: &str) -> Result<Together, Trouble> {
    if !documents.rollouts.iter().any(|file| file.rollout().name.as_str() == name) {
        return Err(Unknown.into());
    }
    Ok(server.together(documents, name).map_err(|failed| failed.to_string())?)
}

/// Lets a pause pass, in the time of the daemon.
pub async fn pause(clock: &dyn Clock, length: Duration) {
    clock.sleep_until(clock.now() + length).await;
}
