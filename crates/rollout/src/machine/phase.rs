//! Transitions of the rollout as a whole.

use std::collections::{BTreeMap, BTreeSet};

use domain::event::{Event, FORMAT, HoldReason, Outcome, Rung};
use domain::journal::Record;
use domain::name::ServerName;
use domain::plan::Plan;
use jiff::Timestamp;

use super::{Refusal, hook, size};
use crate::account::Account;
use crate::rollback::Rollback;
use crate::settings::FULL;
use crate::state::{Hold, OrderStage, Phase, Runs, Server, Stage, State, Way};

pub(super) fn create(at: &Record, event: Event) -> Result<State, Refusal> {
    let Event::RolloutCreated(created) = event else {
        return Err("a journal begins with RolloutCreated".into());
    };
    if created.format > FORMAT {
        return Err(format!(
            "its events have format {}, this build reads up to {FORMAT}",
            created.format
        ));
    }
    let account = Account::new(created.risk);
    let mut servers = BTreeMap::new();
    for member in &created.servers {
        let server = Server {
            member: member.clone(),
            stage: Stage::Waiting,
            since: at.at,
            way: Way::Forth,
            attempts: 0,
            runs: Runs::Before,
            skipped: 0,
            percent: FULL,
            verdicts: BTreeMap::new(),
            unseen: false,
            seq: at.seq,
        };
        if servers.insert(member.name.clone(), server).is_some() {
            return Err(format!("server {} is named twice", member.name));
        }
    }
    Ok(State {
        id: at.rollout.clone(),
        created: created.into(),
        created_at: at.at,
        plan: None,
        plan_seq: 0,
        account,
        phase: Phase::New,
        rollback: None,
        paused: false,
        hold: None,
        servers,
        orders: BTreeMap::new(),
        open: None,
        closed: 0,
        closed_ever: 0,
        closed_at: None,
        retry: false,
        approved: None,
        unapproved: None,
        rejected: None,
        hook: None,
        hooks_done: BTreeSet::new(),
        orphans: Vec::new(),
        size: None,
        last_batch: None,
        rung: Rung::Live,
        head: at.head(),
    })
}

/// A revision replaces the batches that are not yet opened; the one that is out goes on.
pub(super) fn adopt(state: &mut State, at: &Record, plan: Plan) -> Result<(), Refusal> {
    match (state.phase, &state.plan) {
        (Phase::New, None) => state.phase = Phase::Planned,
        (Phase::Planned | Phase::Provisioning | Phase::Rolling | Phase::RollingBack, Some(old)) => {
            if plan.parent.as_ref() != Some(&old.digest) {
                return Err("its parent is not the plan in force".into());
            }
            if state.open.is_some() {
                return Err("a batch is out".into());
            }
        }
        (phase, _) => return Err(format!("the phase is {phase:?}")),
    }
    state.account.affords(&plan).map_err(|overdrawn| overdrawn.to_string())?;
    for name in plan.batches.iter().flat_map(|b| &b.servers) {
        match state.servers.get(name) {
            None => return Err(format!("{name} is not in the fleet")),
            Some(server) if state.rollback.is_some() && !state.goes_back(server) => {
                return Err(format!("{name} runs what it ran before"));
            }
            Some(server) if state.rollback.is_none() && server.is_updated() => {
                return Err(format!("{name} is updated already"));
            }
            Some(_) => {}
        }
    }
    // Who may perform a rollout may undo it.
    let forth = state.rollback.is_none();
    state.unapproved = state.beyond_approval(&plan, at.at).filter(|_| forth);
    state.plan = Some(plan.into());
    state.plan_seq = at.seq;
    state.closed = 0;
    let answered =
        |hold: &Hold| matches!(hold.reason, HoldReason::NoPlan | HoldReason::LoadLeftBand);
    state.hold.take_if(|hold| answered(hold));
    Ok(())
}

pub(super) fn pause(state: &mut State) -> Result<(), Refusal> {
    state.paused = true;
    Ok(())
}

pub(super) fn resume(state: &mut State) -> Result<(), Refusal> {
    state.paused = false;
    if state.hold.take().is_some_and(|hold| hold.reason == HoldReason::SizeChanged) {
        size::take_again(state);
    }
    state.retry = !state.failed().is_empty();
    hook::run_again(state);
    Ok(())
}

pub(super) fn abort(state: &mut State) -> Result<(), Refusal> {
    state.phase = Phase::Aborting;
    state.paused = false;
    state.hold = None;
    size::begin_anew(state);
    Ok(())
}

/// Nothing more of the plan in force begins; the batch that is out turns round.
pub(super) fn roll_back(state: &mut State, at: &Record) -> Result<(), Refusal> {
    state.may_roll_back()?;
    let given = state.created.deadline.duration_since(state.created_at);
    let deadline = at.at.checked_add(given).unwrap_or(Timestamp::MAX).max(state.created.deadline);
    state.rollback = Some(Rollback { since: at.at, seq: at.seq, deadline });
    state.phase = Phase::RollingBack;
    state.closed = state.plan.as_ref().map_or(0, |plan| plan.batches.len());
    (state.paused, state.retry, state.hold, state.unapproved) = (false, false, None, None);
    Ok(())
}

pub(super) fn hold(
    state: &mut State,
    at: &Record,
    reason: HoldReason,
    detail: String,
) -> Result<(), Refusal> {
    let before = state.hold.take().map(|hold| (hold.since, hold.overdue));
    let (since, overdue) = before.unwrap_or((at.at, None));
    state.hold = Some(Hold { reason, detail, since, seq: at.seq, overdue });
    Ok(())
}

pub(super) fn overdue(state: &mut State, at: &Record) -> Result<(), Refusal> {
    let hold = state.hold.as_mut().ok_or("nothing holds")?;
    match hold.overdue.replace(at.seq) {
        None => Ok(()),
        Some(seq) => Err(format!("record {seq} said so already")),
    }
}

pub(super) fn suspect(state: &mut State, names: Vec<ServerName>) -> Result<(), Refusal> {
    if state.orphans == names {
        return Err("it was said already".into());
    }
    state.orphans = names;
    Ok(())
}

pub(super) fn degrade(state: &mut State, rung: Rung) -> Result<(), Refusal> {
    state.rung = rung;
    Ok(())
}

pub(super) fn end_hold(state: &mut State) -> Result<(), Refusal> {
    state.hold.take().map(|_| ()).ok_or_else(|| "nothing holds".into())
}

pub(super) fn stabilise(state: &mut State, until: Timestamp) -> Result<(), Refusal> {
    let ready = matches!(
        state.phase,
        Phase::Planned | Phase::Provisioning | Phase::Rolling | Phase::RollingBack
    );
    if !ready || state.open.is_some() {
        return Err(format!("the phase is {:?}, or a batch is out", state.phase));
    }
    state.hooks_are_done()?;
    let borne = state.unborne().is_none();
    let arrived = |s: &Server| match state.way() {
        Way::Forth => s.is_updated(),
        Way::Back => !state.goes_back(s) && s.failure().is_none(),
    };
    let stays = |s: &Server| borne && s.failure().is_some() && !state.tries_again(s);
    if let Some(server) = state.servers.values().find(|s| !arrived(s) && !stays(s)) {
        return Err(format!("{} is not updated", server.member.name));
    }
    state.phase = Phase::Stabilising { until };
    Ok(())
}

pub(super) fn finish(state: &mut State, outcome: Outcome) -> Result<(), Refusal> {
    if let Some((key, _)) = state.orders.iter().find(|(_, o)| o.stage != OrderStage::Released) {
        return Err(format!("surge {key} is not given back"));
    }
    if state.size_is_lent() {
        return Err("the auto-scaler is not put back".into());
    }
    let watched = matches!(state.phase, Phase::Stabilising { .. } | Phase::Releasing);
    if watched {
        state.hooks_are_done()?;
    }
    let (way, whole) = (state.way(), state.failed().is_empty());
    let phase_fits = match outcome {
        Outcome::Done => watched && way == Way::Forth && whole,
        Outcome::Incomplete => watched && way == Way::Forth && !whole,
        Outcome::RolledBack => watched && way == Way::Back,
        Outcome::Aborted => state.phase == Phase::Aborting,
    };
    let out = |s: &&Server| s.is_out() && !matches!(s.stage, Stage::Failed(_));
    match state.servers.values().find(out) {
        Some(server) => Err(format!("{} is still out", server.member.name)),
        None if !phase_fits => Err(format!("the phase is {:?}", state.phase)),
        None => {
            state.phase = Phase::Finished(outcome);
            Ok(())
        }
    }
}
