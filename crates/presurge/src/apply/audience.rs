//! The story of a rollout, told line by line while it happens.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;

use domain::event::{Event, GateVerdict, HoldReason, Outcome, Rung};
use domain::journal::Record;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rollout::driver::Audience;
use rollout::observe::Seen;
use rollout::state::{Phase, Stage, State};

/// The same trouble is told again after so many other lines.
const TROUBLE_AGAIN: u32 = 50;

/// So many troubles are told apart.
const TROUBLES: usize = 1000;

/// Tells the story on standard error; on a terminal with a status line that stays at the bottom.
pub struct Storyteller {
    zone: TimeZone,
    terminal: bool,
    /// Stands before each line, where several stories are told at once.
    prefix: String,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    status: String,
    troubles: BTreeMap<String, u32>,
}

impl Storyteller {
    /// A storyteller on standard error.
    pub fn new() -> Self {
        let (zone, terminal) = (TimeZone::system(), std::io::stderr().is_terminal());
        Self { zone, terminal, prefix: String::new(), told: Mutex::default() }
    }

    /// A storyteller of one of several fleets: its lines begin with the fleet, and it keeps no
    /// status line, of which a terminal has room for one.
    pub fn of(fleet: &str) -> Self {
        Self { terminal: false, prefix: format!("{fleet}: "), ..Self::new() }
    }

    fn line(&self, at: Option<Timestamp>, text: &str) {
        let mut told = self.told.lock().expect("no panic under the lock");
        let time =
            at.map(|at| at.to_zoned_datetime(self.zone.clone()).strftime("%H:%M:%S ").to_string());
        let mut err = std::io::stderr().lock();
        let clear = if self.terminal && !told.status.is_empty() { "\r\x1b[2K" } else { "" };
        let _ = writeln!(err, "{clear}{}{}{text}", time.unwrap_or_default(), self.prefix);
        told.status.clear();
    }

    fn status(&self, text: String) {
        if !self.terminal {
            return;
        }
        let mut told = self.told.lock().expect("no panic under the lock");
        if told.status != text {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "\r\x1b[2K{text}");
            let _ = err.flush();
            told.status = text;
        }
    }
}

impl Default for Storyteller {
    fn default() -> Self {
        Self::new()
    }
}

impl Audience for Storyteller {
    fn recorded(&self, state: &State, record: &Record) {
        let Ok(event) = record.event() else { return };
        if let Some(text) = tell(state, &event, &record.reason) {
            self.line(Some(record.at), &text);
        }
    }

    fn looked(&self, state: &State, seen: &Seen, now: Timestamp) {
        self.status(summary(state, seen, now));
    }

    fn troubled(&self, text: &str) {
        let mut told = self.told.lock().expect("no panic under the lock");
        if told.troubles.len() >= TROUBLES {
            told.troubles.clear();
        }
        let count = told.troubles.entry(text.to_owned()).or_default();
        *count += 1;
        let tell = *count % TROUBLE_AGAIN == 1;
        drop(told);
        if tell {
            self.line(None, &format!("warning: {text}"));
        }
    }
}

/// One line on where a rollout stands.
pub fn summary(state: &State, seen: &Seen, now: Timestamp) -> String {
    let total = state.servers.len();
    let done = state.servers.values().filter(|s| s.is_updated() && s.stage == Stage::Back).count();
    let out = state.servers.values().filter(|s| s.is_out()).count();
    let phase = match (&state.hold, state.phase) {
        (Some(hold), _) => format!("HOLDS ({})", hold.detail),
        (None, _) if state.paused => "paused".into(),
        (None, Phase::New | Phase::Planned) => "planned".into(),
        (None, Phase::Provisioning) => "provisioning".into(),
        (None, Phase::Rolling) => batches(state, now).unwrap_or_else(|| "rolling".into()),
        (None, Phase::RollingBack) => match batches(state, now) {
            Some(batches) => format!("rolling back, {batches}"),
            None => "rolling back".into(),
        },
        (None, Phase::Stabilising { until }) => {
            format!("stabilising, over {}", from_now(until, now))
        }
        (None, Phase::Releasing) => "releasing surge".into(),
        (None, Phase::Aborting) => "aborting".into(),
        (None, Phase::Finished(outcome)) => format!("{outcome:?}"),
    };
    let load = seen.load.iter().filter_map(|(dimension, samples)| {
        samples.last().map(|s| format!("  {dimension} {:.0}", s.value))
    });
    let surge = state.surge_in_service();
    format!("{done}/{total} updated  {out} out  surge {surge}  {phase}{}", load.collect::<String>())
}

/// The batch that is out, or the next one.
fn batches(state: &State, now: Timestamp) -> Option<String> {
    match (&state.open, state.next_batch()) {
        (Some(open), _) => Some(format!("batch {} is out", open.batch.index)),
        (None, Some(next)) => Some(format!("batch {} {}", next.index, from_now(next.out_at, now))),
        (None, None) => None,
    }
}

/// `in 12m`, `now`.
fn from_now(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.duration_since(now).as_secs();
    match seconds {
        ..=0 => "now".into(),
        1..=119 => format!("in {seconds} s"),
        _ => format!("in {} min", seconds / 60),
    }
}

/// An event in words; `None` for those that only the journal needs.
fn tell(state: &State, event: &Event, reason: &str) -> Option<String> {
    let text = match event {
        Event::RolloutCreated(created) => {
            format!("rollout {} of {} to {}", state.id, created.fleet, created.target)
        }
        Event::PlanAdopted { plan } if plan.revision > 1 => format!(
            "new plan, revision {} ({reason}): {} batches, finished {}",
            plan.revision,
            plan.batches.len(),
            plan.finish_at
        ),
        Event::DriverStarted { epoch, .. } if *epoch > 1 => {
            format!("taken over (epoch {epoch}); going on where the world is")
        }
        Event::PlanAdopted { .. } | Event::DriverStarted { .. } => return None,
        Event::SurgeOrdered { offer, names, .. } => {
            format!("surge    ordered {} × {offer}", names.len())
        }
        Event::SurgeRunning { instances, .. } => format!("surge    {} running", instances.len()),
        Event::SurgeJoining { .. } => return None,
        Event::SurgeJoined { server, .. } => format!("surge    {server} in service"),
        Event::SurgeReleasing { key } => format!("surge    draining {key}"),
        Event::SurgeDrained { server, cut } => format!("surge    {server} drained{}", cuts(*cut)),
        Event::SurgeLeft { .. } => return None,
        Event::SurgeReleased { key } => format!("surge    given back: {key}"),
        Event::SurgeMissed { names, detail, .. } => {
            format!("surge    {} do not come: {detail}", names.len())
        }
        Event::SurgeLost { server, detail } => format!("surge    LOST {server}: {detail}"),
        Event::BatchOpened { index, look, .. } => format!(
            "batch {index}  out: {} in service, {} surge; {reason}",
            look.in_service, look.surge
        ),
        Event::DrainStarted { server } => format!("  {server} draining"),
        Event::DrainForced { server } => format!("  {server}: {reason}"),
        Event::WeightRaised { server, percent } => {
            format!("  {server} at {percent} % of its weight")
        }
        Event::Degraded { rung: Rung::Live, detail } => format!("metrics  {detail}; {reason}"),
        Event::Degraded { detail, .. } => format!("metrics  MISSING: {detail}; {reason}"),
        Event::Drained { server, cut } => format!("  {server} drained{}", cuts(*cut)),
        Event::UpdateStarted { server, attempt, version } => {
            let back = version.as_ref().map_or_else(String::new, |v| format!(" back to {v}"));
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            format!("  {server} updating{back}{again}")
        }
        Event::Updated { server, version: Some(version), .. } => {
            format!("  {server} runs {version}")
        }
        Event::Updated { server, .. } => format!("  {server} updated"),
        Event::GateJudged { verdict: GateVerdict::Pass, .. } => return None,
        Event::GateJudged { server, gate, saw, .. } => format!("  {server} {gate}: {saw}"),
        Event::Verified { server } => format!("  {server} healthy"),
        Event::RestoreStarted { .. } => return None,
        Event::Restored { server, .. } => format!("  {server} in service, warming up"),
        Event::Warmed { server } => format!("  {server} back"),
        Event::ServerFailed { server, detail } => format!("  {server} FAILED: {detail}"),
        Event::ServerRetried { server } => format!("  {server} is tried again"),
        Event::BatchClosed { index } => match state.given_up().len() {
            0 => format!("batch {index}  back"),
            _ => format!("batch {index}  over: {reason}"),
        },
        Event::HookStarted { hook, batch, attempt, .. } => {
            let after = batch.map_or_else(String::new, |batch| format!(" {batch}"));
            let again = if *attempt > 1 { format!(", try {attempt}") } else { String::new() };
            format!("hook     {hook}{after} runs{again}")
        }
        Event::HookEnded { said, .. } if said.is_empty() => "hook     ended well".into(),
        Event::HookEnded { said, .. } => format!("hook     ended well: {said}"),
        Event::HookFailed { detail, .. } => format!("hook     FAILED: {detail}"),
        Event::SizeTaken { during, .. } => format!("size     to be set: {during}; {reason}"),
        Event::SizeSet {} => "size     set".into(),
        Event::SizeChanged { found } => format!("size     {reason}: {found}"),
        Event::SizeRestoring { wanted, .. } => {
            format!("size     to be put back: {wanted}; {reason}")
        }
        Event::SizeRestored { .. } => format!("size     {reason}"),
        Event::ServingSeen { .. } => format!("seen     {reason}"),
        Event::ServerReverted { server, version } => {
            format!("  {server} runs {version} again: it is to be updated again")
        }
        Event::StabilisationStarted { until } => format!("{reason}; watching until {until:.0}"),
        Event::Held { hold: HoldReason::Frozen, detail } => {
            format!("FROZEN   {detail}\n         no more servers go out until `presurge unfreeze`")
        }
        Event::Held { hold: HoldReason::ApprovalNeeded, detail } => {
            format!("WAITS    {detail}\n         {reason}")
        }
        Event::PlanApproved { digest } => format!("approved: plan {}", digest.short()),
        Event::PlanRejected { digest } => format!("REJECTED: plan {}; {reason}", digest.short()),
        Event::Held { detail, .. } => {
            let name = &state.created.name;
            let back = if state.may_roll_back().is_ok() { ", `rollback`" } else { "" };
            format!(
                "HOLD     {detail}\n         {reason}\n         `presurge rollout resume {name}`{back} or \
                 `abort {name}`"
            )
        }
        Event::HoldOverdue { detail, since, .. } => {
            format!("HOLD     since {since:.0}, longer than it may: {detail}")
        }
        Event::HoldEnded { detail } => format!("hold over: {detail}"),
        Event::PauseRequested {} => "paused: no further batch goes out".into(),
        Event::ResumeRequested {} => "resumed".into(),
        Event::AbortRequested {} => {
            "aborting: what is out comes back, the surge is given back".into()
        }
        Event::RollbackRequested {} => format!(
            "ROLLBACK {reason}\n         what is out turns round, then what was done goes back in batches"
        ),
        Event::FreezeRequested { .. }
        | Event::UnfreezeRequested { .. }
        | Event::Adjusted { .. }
        | Event::PinRequested { .. }
        | Event::UnpinRequested { .. }
        | Event::ForecasterChanged { .. }
        | Event::PermitGranted { .. }
        | Event::PermitRenewed { .. }
        | Event::PermitReleased { .. }
        | Event::Advised(_)
        | Event::AdviceSettled(_)
        | Event::AdviceAnswered(_) => return None,
        // They are told one by one, with the command that ends each.
        Event::OrphansSuspected { .. } => return None,
        Event::Notified { .. } | Event::NotifyFailed { .. } => return None,
        Event::CommandFailed { key, error } => format!("  {key}: {error}"),
        Event::Finished { outcome: Outcome::Done } => "done".into(),
        Event::Finished { outcome: Outcome::Incomplete } => {
            format!("every other server runs {}{}", state.created.target, left_out(state))
        }
        Event::Finished { outcome: Outcome::Aborted } => format!("aborted{}", left_out(state)),
        Event::Finished { outcome: Outcome::RolledBack } => {
            format!("rolled back{}", left_out(state))
        }
    };
    Some(text)
}

/// What the rollout leaves out of service, and what to do about it.
fn left_out(state: &State) -> String {
    let failed: Vec<&str> =
        state.failed().iter().map(|server| server.member.name.as_str()).collect();
    match failed.as_slice() {
        [] => String::new(),
        left => format!(
            "; out of service, because it failed: {}; put it right, then admit it at the load \
             balancer",
            left.join(", ")
        ),
    }
}

fn cuts(cut: u64) -> String {
    if cut == 0 { String::new() } else { format!(", {cut} connections cut") }
}
