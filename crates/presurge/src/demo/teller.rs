//! What the journal of the rollout says, in the words and lights of the demo.

use std::sync::{Mutex, PoisonError};

use domain::event::{Event, Outcome};
use domain::journal::Record;
use domain::name::ServerName;
use jiff::Timestamp;
use rollout::driver::Audience;
use rollout::observe::Seen;
use rollout::state::State;

use super::board::{Board, Light};
use super::plan_words::in_words;
use super::stage::short;

/// Puts what is recorded on the board.
#[derive(Debug)]
pub struct Teller {
    board: Board,
    /// The last trouble up to its details, which change with every try.
    trouble: Mutex<String>,
}

impl Teller {
    /// A teller for this board.
    pub fn new(board: Board) -> Self {
        Self { board, trouble: Mutex::default() }
    }
}

impl Audience for Teller {
    fn recorded(&self, state: &State, record: &Record) {
        let Ok(event) = record.event() else { return };
        if let Some((server, light)) = light(&event) {
            self.board.light(server, light);
        }
        if let Event::PlanAdopted { plan } = &event {
            self.board.plan(in_words(plan));
        }
        if let Event::SurgeLeft { server } = &event {
            self.board.gone(server);
        }
        if let Some(text) = words(state, &event, &record.reason) {
            self.board.event(record.at, &text);
        }
    }

    fn looked(&self, _: &State, _: &Seen, _: Timestamp) {}

    fn troubled(&self, text: &str) {
        let essence = text.split([';', ':']).next().unwrap_or(text);
        let mut last = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != essence {
            essence.clone_into(&mut last);
            let now = self.board.look().now.unwrap_or(Timestamp::UNIX_EPOCH);
            self.board.event(now, &format!("! {text}"));
        }
    }
}

fn light(event: &Event) -> Option<(&ServerName, Light)> {
    Some(match event {
        Event::SurgeJoining { server } => (server, Light::Checking),
        Event::SurgeJoined { server, .. } => (server, Light::Old),
        Event::DrainStarted { server } | Event::SurgeDrained { server, .. } => {
            (server, Light::Draining)
        }
        Event::UpdateStarted { server, .. } | Event::ServerRetried { server } => {
            (server, Light::Updating)
        }
        Event::Updated { server, .. } | Event::RestoreStarted { server } => {
            (server, Light::Checking)
        }
        Event::Restored { server, .. } | Event::Warmed { server } => (server, Light::New),
        Event::ServerFailed { server, .. } | Event::SurgeLost { server, .. } => {
            (server, Light::Failed)
        }
        _ => return None,
    })
}

fn words(state: &State, event: &Event, reason: &str) -> Option<String> {
    let list =
        |names: &[ServerName]| names.iter().map(ServerName::as_str).collect::<Vec<_>>().join(", ");
    Some(match event {
        Event::PlanAdopted { plan } if plan.revision > 1 => {
            format!("new plan, revision {}: {reason}", plan.revision)
        }
        Event::SurgeOrdered { names, .. } => format!("surge ordered: {}", list(names)),
        Event::SurgeJoined { server, .. } => format!("surge in service: {}", short(server)),
        Event::SurgeReleasing { .. } => "surge is drained and given back".into(),
        Event::SurgeReleased { .. } => "surge is gone".into(),
        Event::SurgeMissed { names, detail, .. } => {
            format!("surge does not come: {}: {detail}", list(names))
        }
        Event::SurgeLost { server, detail } => format!("surge lost: {}: {detail}", short(server)),
        Event::BatchOpened { index, look, .. } => {
            let batch = state.open.as_ref().map(|open| list(&open.batch.servers));
            let load = look.load.values().next().copied().unwrap_or_default();
            let edge = match look.upper.values().next() {
                Some(upper) => format!("of at most {upper:.0} req/s"),
                None => "req/s, for which the plan has no band".into(),
            };
            let of = match state.plan.as_ref().map_or(1, |plan| plan.revision) {
                1 => String::new(),
                revision => format!(" of revision {revision}"),
            };
            format!("batch {index}{of} out: {}; load {load:.0} {edge}", batch.unwrap_or_default())
        }
        Event::BatchClosed { index } => format!("batch {index} back, updated and healthy"),
        Event::ServerFailed { server, detail } => format!("{server} FAILED: {detail}"),
        Event::StabilisationStarted { .. } => "all servers updated; watching".into(),
        Event::Held { detail, .. } => format!("HOLD, no more servers go out: {detail}"),
        Event::HoldEnded { detail } => format!("hold over: {detail}"),
        Event::CommandFailed { key, error } => format!("! {key}: {error}"),
        Event::Finished { outcome: Outcome::Done } => "rollout done".into(),
        Event::Finished { outcome: Outcome::Incomplete } => {
            "rollout done but for what failed".into()
        }
        Event::Finished { outcome: Outcome::Aborted } => "rollout aborted".into(),
        Event::Finished { outcome: Outcome::RolledBack } => "rollout rolled back".into(),
        _ => return None,
    })
}
