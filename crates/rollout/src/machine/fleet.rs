//! Transitions of batches and of the servers in them.

use domain::event::{RiskSpent, SharedOut, WarmUp};
use domain::journal::Record;
use domain::name::{ServerName, Version};
use jiff::Timestamp;

use super::Refusal;
use crate::state::{OpenBatch, Phase, Runs, Server, Stage, State, Way};

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
    let back = state.phase == Phase::RollingBack;
    if !back && !matches!(state.phase, Phase::Planned | Phase::Provisioning | Phase::Rolling) {
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
    state.phase = if back { Phase::RollingBack } else { Phase::Rolling };
    Ok(())
}

pub(super) fn drain(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    if !state.open.as_ref().is_some_and(|o| o.batch.servers.contains(name)) {
        return Err(format!("{name} is not in the batch that is out"));
    }
    let known = server(state, name)?.clone();
    let (way, goes_back) = (state.way(), state.goes_back(&known));
    let in_service = |stage: &Stage| match stage {
        // Where the rollout goes back, what was replaced after its update waits as well.
        Stage::Waiting => way == Way::Forth || goes_back,
        Stage::Back => way == Way::Back,
        _ => false,
    };
    step(state, at, name, in_service, Stage::Draining)
}

pub(super) fn drained(state: &mut State, at: &Record, name: &ServerName) -> Result<(), Refusal> {
    step(state, at, name, |s| matches!(s, Stage::Draining | Stage::Cutting), Stage::Drained)
}

pub(super) fn update(
    state: &mut State,
    at: &Record,
    name: &ServerName,
    attempt: u32,
    version: Option<Version>,
) -> Result<(), Refusal> {
    let (way, before) = (state.way(), state.created.before.get(name).cloned());
    let known = server(state, name)?.clone();
    let next = if known.way == way { known.attempts + 1 } else { 1 };
    if attempt != next {
        return Err(format!("the next attempt of {name} is {next}"));
    }
    let wanted = before.filter(|_| way == Way::Back);
    if way == Way::Back && (wanted.is_none() || !state.goes_back(&known)) {
        return Err(format!("{name} runs what it ran before, or nobody knows what that was"));
    }
    if version != wanted {
        return Err(format!(
            "{name} shall run {}",
            wanted.as_ref().unwrap_or(&state.created.target)
        ));
    }
    // What was on its way to the target is turned round where it is.
    let turns = state.turns_round(&known);
    let from = |stage: &Stage| match stage {
        Stage::Drained => true,
        Stage::Verifying | Stage::Verified | Stage::Failed(_) => turns,
        _ => false,
    };
    step(state, at, name, from, Stage::Updating)?;
    let server = server(state, name)?;
    (server.attempts, server.way, server.runs) = (attempt, way, Runs::Unsure);
    // What is turned round is not tried again besides.
    state.retry &= !state.failed().is_empty();
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
    server.unseen = version.is_none();
    server.runs = match server.way {
        Way::Forth => Runs::Target,
        Way::Back => Runs::Before,
    };
    Ok(())
}

/// What the load balancer counted changes nothing, but has to be possible.
pub(super) fn served(
    state: &State,
    shared: Option<&SharedOut>,
    warmed: &[WarmUp],
) -> Result<(), Refusal> {
    if let Some(SharedOut { balance, least, .. }) = shared
        && !(*least > 0.0 && least <= balance && *balance <= 1.0)
    {
        return Err(format!("{least} and {balance} are no shares"));
    }
    for WarmUp { server, seconds, .. } in warmed {
        if !state.servers.contains_key(server) {
            return Err(format!("{server} is not in the fleet"));
        }
        if !(seconds.is_finite() && *seconds >= 0.0) {
            return Err(format!("{server}: {seconds} s is no length of time"));
        }
    }
    Ok(())
}

/// A server that was updated and does not run any more what that brought waits for it again.
pub(super) fn reverted(
    state: &mut State,
    at: &Record,
    name: &ServerName,
    version: &Version,
) -> Result<(), Refusal> {
    let known = server(state, name)?.clone();
    if !state.has_arrived(&known) || version == state.wants(&known) {
        return Err(format!("{version} is what it shall run, or it is on its way"));
    }
    let phase = match (state.phase, state.way()) {
        (Phase::Stabilising { .. }, Way::Forth) => Phase::Rolling,
        (Phase::Stabilising { .. }, Way::Back) => Phase::RollingBack,
        (phase @ (Phase::Provisioning | Phase::Rolling | Phase::RollingBack), _) => phase,
        (phase, _) => return Err(format!("the phase is {phase:?}")),
    };
    if state.size_is_leaving() {
        return Err("the auto-scaler is being put back".into());
    }
    step(state, at, name, |s| *s == Stage::Back, Stage::Waiting)?;
    server(state, name)?.runs = Runs::Unsure;
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
    let known = server(state, name)?.clone();
    let undone = state.phase == Phase::Aborting
        || state.phase == Phase::RollingBack && !state.goes_back(&known);
    let skips = known.stage == Draining && !undone;
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
    let to = if server(state, name)?.is_updated() { Stage::Back } else { Stage::Waiting };
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
    let server = server(state, name)?;
    if server.attempts > 0 {
        server.runs = Runs::Unsure;
    }
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
