//! Transitions of batches and of the servers in them.

use domain::event::RiskSpent;
use domain::journal::Record;
use domain::name::{ServerName, Version};
use jiff::Timestamp;

use super::Refusal;
use crate::state::{OpenBatch, Phase, Server, Stage, State};

/// Moves a server to `to` if its stage passes `from`.
fn step(
    state: &mut State,
    at: &Record,
    name: &ServerName,
    from: impl Fn(&Stage) -> bool,
    to: Stage,
) -> Result<(), Refusal> {
    let server =
        state.servers.get_mut(name).ok_or_else(|| format!("{name} is not in the fleet"))?;
    if !from(&server.stage) {
        return Err(format!("{name} is {:?}", server.stage));
    }
    (server.stage, server.since, server.seq) = (to, at.at, at.seq);
    server.verdicts.clear();
    Ok(())
}

fn server<'a>(state: &'a mut State, name: &ServerName) -> Result<&'a mut Server, Refusal> {
    state.servers.get_mut(name).ok_or_else(|| format!("{name} is not in the fleet"))
}

pub(super) fn open(
    state: &mut State,
    at: &Record,
    index: u32,
    risk: Option<RiskSpent>,
) -> Result<(), Refusal> {
    if !matches!(state.phase, Phase::Planned | Phase::Provisioning | Phase::Rolling) {
        return Err(format!("the phase is {:?}", state.phase));
    }
    if let Some(open) = &state.open {
        return Err(format!("batch {} is out", open.batch.index));
    }
    if state.paused || state.hold.is_some() {
        return Err("the rollout is paused or holds".into());
    }
    state.is_approved()?;
    state.hooks_are_done()?;
    state.size_is_safe()?;
    let batch = state.next_batch().ok_or("the plan has no more batches")?.clone();
    if batch.index != index {
        return Err(format!("the next batch is {}", batch.index));
    }
    let plan = state.plan.as_ref().ok_or("there is no plan")?;
    state.account.take(plan, &batch, risk)?;
    state.open = Some(OpenBatch { batch, seq: at.seq });
    state.phase = Phase::Rolling;
    Ok(())
}

pub(super) fn drain(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    if !state.open.as_ref().is_some_and(|o| o.batch.servers.contains(name)) {
        return Err(format!("{name} is not in the batch that is out"));
    }
    step(state, at, name, |s| *s == Stage::Waiting, Stage::Draining)
}

pub(super) fn drained(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    step(state, at, name, |s| matches!(s, Stage::Draining | Stage::Cutting), Stage::Drained)
}

pub(super) fn update(
    state: &mut State,
    at: &Record,
    name: &ServerName,
    attempt: u32,
) -> Result<(), Refusal> {
    let next = server(state, name)?.attempts + 1;
    if attempt != next {
        return Err(format!("the next attempt of {name} is {next}"));
    }
    step(state, at, name, |s| *s == Stage::Drained, Stage::Updating)?;
    server(state, name)?.attempts = attempt;
    Ok(())
}

pub(super) fn updated(
    state: &mut State,
    at: &Record,
    name: &ServerName,
    version: Option<&Version>,
) -> Result<(), Refusal> {
    step(state, at, name, |s| *s == Stage::Updating, Stage::Verifying)?;
    let server = server(state, name)?;
    (server.updated, server.unseen) = (true, version.is_none());
    Ok(())
}

/// A server that was updated and does not run the target any more waits for its update again.
pub(super) fn reverted(
    state: &mut State,
    at: &Record,
    name: &ServerName,
    version: &Version,
) -> Result<(), Refusal> {
    if *version == state.created.target {
        return Err(format!("{version} is the target"));
    }
    let phase = match state.phase {
        Phase::Stabilising { .. } => Phase::Rolling,
        phase @ (Phase::Provisioning | Phase::Rolling) => phase,
        phase => return Err(format!("the phase is {phase:?}")),
    };
    if state.size_is_leaving() {
        return Err("the auto-scaler is being put back".into());
    }
    step(state, at, name, |s| *s == Stage::Back, Stage::Waiting)?;
    server(state, name)?.updated = false;
    state.phase = phase;
    Ok(())
}

pub(super) fn verified(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    step(state, at, name, |s| *s == Stage::Verifying, Stage::Verified)
}

/// A verified server comes back; on the way back, or when its drain took too long, one that has not
/// been touched does as well.
pub(super) fn restore(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    use Stage::{Cutting, Drained, Draining, Verified};
    let skips = server(state, name)?.stage == Draining && state.phase != Phase::Aborting;
    let from = |s: &Stage| matches!(s, Verified | Draining | Cutting | Drained);
    step(state, at, name, from, Stage::Restoring)?;
    let percent = state.first_percent();
    let server = server(state, name)?;
    server.skipped += u32::from(skips);
    server.percent = percent;
    Ok(())
}

/// More of its traffic for whatever warms up. The stage stays, and since when.
pub(super) fn raise(
    state: &mut State,
    at: &Record,
    name: &ServerName,
    percent: u8,
) -> Result<(), Refusal> {
    let present = server(state, name)?.percent;
    let next = state.percent_after(present);
    let server = server(state, name)?;
    if !matches!(server.stage, Stage::Warming(_)) {
        return Err(format!("{name} is {:?}", server.stage));
    }
    if percent != next {
        return Err(format!("the next weight of {name} is {next} percent"));
    }
    (server.percent, server.seq) = (percent, at.seq);
    Ok(())
}

pub(super) fn force(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    step(state, at, name, |s| *s == Stage::Draining, Stage::Cutting)
}

pub(super) fn restored(
    state: &mut State,
    at: &Record,
    name: &ServerName,
    warm_at: Timestamp,
) -> Result<(), Refusal> {
    step(state, at, name, |s| *s == Stage::Restoring, Stage::Warming(warm_at))
}

pub(super) fn warmed(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    let to = if server(state, name)?.updated { Stage::Back } else { Stage::Waiting };
    step(state, at, name, |s| matches!(s, Stage::Warming(_)), to)
}

pub(super) fn fail(
    state: &mut State,
    at: &Record,
    name: &ServerName,
    detail: String,
) -> Result<(), Refusal> {
    use Stage::{Restoring, Updating, Verified, Verifying, Warming};
    let from = |s: &Stage| matches!(s, Updating | Verifying | Verified | Restoring | Warming(_));
    step(state, at, name, from, Stage::Failed(detail))?;
    state.retry = false;
    server(state, name)?.updated = false;
    Ok(())
}

pub(super) fn retry(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    step(state, at, name, |s| matches!(s, Stage::Failed(_)), Stage::Drained)?;
    state.retry = !state.failed().is_empty();
    Ok(())
}

pub(super) fn close(state: &mut State, at: &Record, index: u32) -> Result<(), Refusal> {
    let open = state.open.as_ref().ok_or("no batch is out")?;
    if open.batch.index != index {
        return Err(format!("the batch that is out is {}", open.batch.index));
    }
    let borne = state.unborne().is_none();
    let stays = |server: &Server| borne && server.failure().is_some() && !state.tries_again(server);
    let out = |name: &&ServerName| {
        state.servers.get(*name).is_some_and(|server| server.is_out() && !stays(server))
    };
    if let Some(name) = open.batch.servers.iter().find(out) {
        return Err(format!("{name} is not back"));
    }
    state.last_batch = state.open.take().map(|open| open.batch);
    state.closed += 1;
    state.closed_ever += 1;
    state.closed_at = Some(at.at);
    Ok(())
}
