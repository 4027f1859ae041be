//! All legal transitions, in one `match`; everything else is an error.

mod approval;
mod fleet;
mod gate;
mod hook;
mod phase;
mod size;
mod surge;

use domain::event::{Event, FORMAT, format_of};
use domain::journal::{Broken, Entry, Record, UnknownEvent, verify};
use domain::size::Lent;

use crate::state::State;

/// A journal that cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The chain does not hold.
    #[error("the journal is damaged")]
    Broken(#[from] Broken),
    /// A newer build has begun it, or has taken it over.
    #[error(
        "a newer presurge drives it: its events have format {found}, this build reads up to {FORMAT}"
    )]
    Newer {
        /// The format of the events.
        found: u32,
    },
    /// It has an event that this build does not know.
    #[error("the journal was written by another build")]
    Unknown(#[from] UnknownEvent),
    /// An event that cannot follow from the state before it.
    #[error("record {seq}: {event} is not possible here: {why}")]
    Illegal {
        /// The number of the record.
        seq: u64,
        /// The name of the event.
        event: String,
        /// Why not.
        why: String,
    },
}

/// Why a transition is not legal.
pub(crate) type Refusal = String;

/// Folds a whole journal after checking its chain; `None` for an empty one.
pub fn fold(records: &[Record]) -> Result<Option<State>, FoldError> {
    verify(records)?;
    let Some((first, rest)) = records.split_first() else { return Ok(None) };
    readable(records)?;
    let mut state = phase::create(first, first.event()?).map_err(|why| FoldError::Illegal {
        seq: 1,
        event: first.kind.clone(),
        why,
    })?;
    for record in rest {
        apply(&mut state, record)?;
    }
    Ok(Some(state))
}

/// Whether this build reads the format of a journal, as far as it is given.
pub fn readable(records: &[Record]) -> Result<(), FoldError> {
    match format_of(records) {
        found if found > FORMAT => Err(FoldError::Newer { found }),
        _ => Ok(()),
    }
}

/// Takes one more record into the state.
pub fn apply(state: &mut State, record: &Record) -> Result<(), FoldError> {
    let illegal = |why| FoldError::Illegal { seq: record.seq, event: record.kind.clone(), why };
    if record.seq != state.head.seq + 1 {
        return Err(illegal(format!("it follows record {}", state.head.seq)));
    }
    readable(std::slice::from_ref(record))?;
    transition(state, record, record.event()?).map_err(illegal)?;
    state.head = record.head();
    Ok(())
}

/// Takes an entry into a state that serves as a trial: as if it had been written, but without the
/// cost of a hash.
pub(crate) fn suppose(state: &mut State, entry: &Entry) -> Result<(), FoldError> {
    let record = Record {
        seq: state.head.seq + 1,
        at: entry.at,
        actor: entry.actor.clone(),
        rollout: state.id.clone(),
        kind: String::new(),
        cause: entry.cause,
        reason: String::new(),
        inputs: None,
        payload: Default::default(),
        previous: state.head.hash.clone(),
        hash: state.head.hash.clone(),
    };
    transition(state, &record, entry.event.clone()).map_err(|why| FoldError::Illegal {
        seq: record.seq,
        event: entry.event.to_parts().0,
        why,
    })?;
    state.head = record.head();
    Ok(())
}

#[rustfmt::skip]
fn transition(state: &mut State, at: &Record, event: Event) -> Result<(), Refusal> {
    if state.outcome().is_some() {
        return match event {
            Event::DriverStarted { .. } | Event::Notified { .. } | Event::NotifyFailed { .. } => Ok(()),
            _ => Err("the rollout has ended".into()),
        };
    }
    match event {
        Event::RolloutCreated(_)                      => Err("the rollout exists already".into()),
        Event::PlanAdopted { plan }                   => phase::adopt(state, at, *plan),
        Event::DriverStarted { .. }                   => Ok(()),
        Event::CommandFailed { .. }                   => Ok(()),
        Event::Notified { .. }                        => Ok(()),
        Event::NotifyFailed { .. }                    => Ok(()),
        Event::PauseRequested {}                      => phase::pause(state),
        Event::ResumeRequested {}                     => phase::resume(state),
        Event::AbortRequested {}                      => phase::abort(state),
        Event::RollbackRequested {}                   => phase::roll_back(state, at),
        Event::PlanApproved { digest }                => approval::approved(state, at, &digest),
        Event::PlanRejected { digest }                => approval::rejected(state, at, &digest),
        Event::FreezeRequested { .. }
        | Event::UnfreezeRequested { .. }             => Err("it belongs to the journal of freezes".into()),
        Event::Adjusted { .. }
        | Event::PinRequested { .. }
        | Event::UnpinRequested { .. }                => Err("it belongs to the journal of what was learned".into()),
        Event::ForecasterChanged { .. }               => Err("it belongs to the journal of forecasters".into()),
        Event::PermitGranted { .. }
        | Event::PermitRenewed { .. }
        | Event::PermitReleased { .. }                => Err("it belongs to the journal of permits".into()),
        Event::Advised(_)
        | Event::AdviceSettled(_)
        | Event::AdviceAnswered(_)                    => Err("it belongs to the journal of advice".into()),
        Event::Held { hold, detail }                  => phase::hold(state, at, hold, detail),
        Event::HoldOverdue { .. }                     => phase::overdue(state, at),
        Event::Degraded { rung, .. }                  => phase::degrade(state, rung),
        Event::HoldEnded { .. }                       => phase::end_hold(state),
        Event::StabilisationStarted { until }         => phase::stabilise(state, until),
        Event::Finished { outcome }                   => phase::finish(state, outcome),

        Event::BatchOpened { index, risk, .. }        => fleet::open(state, at, index, risk),
        Event::DrainStarted { server }                => fleet::drain(state, at, &server),
        Event::DrainForced { server } if state.servers.contains_key(&server)
                                                      => fleet::force(state, at, &server),
        Event::DrainForced { server }                 => surge::force(state, at, &server),
        Event::WeightRaised { server, percent } if state.servers.contains_key(&server)
                                                      => fleet::raise(state, at, &server, percent),
        Event::WeightRaised { server, percent }       => surge::raise(state, at, &server, percent),
        Event::Drained { server, .. }                 => fleet::drained(state, at, &server),
        Event::UpdateStarted { server, attempt, version }
                                                      => fleet::update(state, at, &server, attempt, version),
        Event::Updated { server, version, .. }        => fleet::updated(state, at, &server, version.as_ref()),
        Event::GateJudged { server, gate, verdict, .. }
                                                      => gate::judged(state, &server, gate, verdict),
        Event::Verified { server }                    => fleet::verified(state, at, &server),
        Event::RestoreStarted { server }              => fleet::restore(state, at, &server),
        Event::Restored { server, warm_at }           => fleet::restored(state, at, &server, warm_at),
        Event::Warmed { server }                      => fleet::warmed(state, at, &server),
        Event::ServerFailed { server, detail }        => fleet::fail(state, at, &server, detail),
        Event::ServerRetried { server }               => fleet::retry(state, at, &server),
        Event::BatchClosed { index }                  => fleet::close(state, at, index),

        Event::HookStarted { key, hook, batch, servers, attempt, .. }
                                                      => hook::started(state, at, hook::Wish { key, hook, batch, servers, attempt }),
        Event::HookEnded { key, .. }                  => hook::ended(state, at, &key),
        Event::HookFailed { key, detail }             => hook::failed(state, at, &key, detail),

        Event::SurgeOrdered { key, offer, names, version, release_at }
                                                      => surge::order(state, at, key, surge::Wish { offer, names, version, release_at }),
        Event::SurgeRunning { key, instances }        => surge::running(state, at, &key, instances),
        Event::SurgeMissed { key, names, detail }     => surge::missed(state, at, &key, &names, detail),
        Event::SurgeJoining { server }                => surge::joining(state, at, &server),
        Event::SurgeJoined { server, warm_at }        => surge::joined(state, at, &server, warm_at),
        Event::SurgeReleasing { key }                 => surge::releasing(state, at, &key),
        Event::SurgeDrained { server, .. }            => surge::drained(state, at, &server),
        Event::SurgeLeft { server }                   => surge::left(state, at, &server),
        Event::SurgeReleased { key }                  => surge::released(state, at, &key),
        Event::SurgeLost { server, .. }               => surge::lost(state, at, &server),

        Event::SizeTaken { before, found, during }    => size::taken(state, at, Lent { before, during }, found),
        Event::SizeSet {}                             => size::set(state, at),
        Event::SizeChanged { found }                  => size::changed(state, at, found),
        Event::SizeRestoring { found, wanted, left_alone }
                                                      => size::restoring(state, at, found, wanted, left_alone),
        Event::SizeRestored { left_alone }            => size::restored(state, at, &left_alone),
        Event::OrphansSuspected { names }             => phase::suspect(state, names),
        Event::ServingSeen { shared, warmed }         => fleet::served(state, shared.as_ref(), &warmed),
        Event::ServerReverted { server, version }     => fleet::reverted(state, at, &server, &version),
    }
}
