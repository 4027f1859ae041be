//! What people are told: notices, made from the records of a journal and from nothing else, so that
//! whoever reads the same journal makes the same ones.

use domain::event::{AfterHold, Event, HoldReason, Outcome, Rung};
use domain::journal::Record;
use domain::notice::{Course, Notice, Severity, Topic};
use jiff::Timestamp;

use crate::state::{Hold, State};

/// Goes along a journal, record by record.
#[derive(Debug, Default)]
pub struct Notices {
    open: Option<(Topic, Timestamp)>,
}

impl Notices {
    /// What a record gives to tell. `state` is the fold of the journal up to and with it.
    pub fn take(&mut self, state: &State, record: &Record) -> Vec<Notice> {
        let now = state.hold.as_ref().map(|hold| (topic(hold), hold.since));
        let mut list = Vec::new();
        if let Some((before, begun)) = self.open
            && now.is_none_or(|(topic, _)| topic != before)
        {
            let detail = record.reason.clone();
            let title = format!("{}: {} is over", state.id, word(before));
            let course = Course::Over { begun };
            list.push(notice(state, record, before, course, Severity::Info, title, detail));
            self.open = None;
        }
        if let (Some(hold), Some((topic, since)), None) = (&state.hold, now, self.open) {
            let title = match topic {
                Topic::Approval => format!("{}: {}", state.id, word(topic)),
                _ => format!("{}: no more servers go out: {}", state.id, word(topic)),
            };
            let (severity, detail) = (severity(hold), hold.detail.clone());
            list.push(notice(state, record, topic, Course::Begun, severity, title, detail));
            self.open = Some((topic, since));
        }
        if let Ok(Event::Degraded { rung, detail }) = record.event() {
            let (severity, word) = match rung {
                Rung::Live => (Severity::Info, "metrics are back"),
                Rung::LastForecast => (Severity::Warning, "metrics are missing"),
                Rung::StaticSurge | Rung::Refuse => (Severity::Critical, "metrics are missing"),
            };
            let (title, detail) =
                (format!("{}: {word}", state.id), format!("{detail}; {}", record.reason));
            list.push(notice(state, record, Topic::Metrics, Course::Once, severity, title, detail));
        }
        if let Ok(Event::HoldOverdue { detail, then, .. }) = record.event() {
            let next = match then {
                AfterHold::Abort => "it is aborted",
                AfterHold::Rollback => "it is rolled back",
                AfterHold::Page => "resume or abort it",
            };
            let title = format!("{}: holds for longer than it may; {next}", state.id);
            let severity = Severity::Critical;
            list.push(notice(state, record, Topic::Hold, Course::Once, severity, title, detail));
        }
        if let Ok(Event::RollbackRequested {}) = record.event() {
            let title = format!("{} is being rolled back", state.id);
            let (severity, detail) = (Severity::Warning, record.reason.clone());
            list.push(notice(state, record, Topic::Rollout, Course::Once, severity, title, detail));
        }
        list.extend(size(state, record));
        if let Ok(Event::OrphansSuspected { names }) = record.event() {
            let title = format!("{}: surge that nobody answers for costs money", state.id);
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            let detail = format!("{}: {}", names.join(", "), record.reason);
            let severity = Severity::Critical;
            list.push(notice(state, record, Topic::Orphan, Course::Once, severity, title, detail));
        }
        if let Ok(Event::ServerReverted { server, version }) = record.event() {
            let title = format!("{}: {server} was updated and runs {version} again", state.id);
            let (severity, detail) = (Severity::Warning, record.reason.clone());
            list.push(notice(state, record, Topic::Server, Course::Once, severity, title, detail));
        }
        if let Ok(Event::Finished { outcome }) = record.event() {
            let (severity, word) = match outcome {
                Outcome::Done => (Severity::Info, "is done"),
                Outcome::Incomplete => (Severity::Warning, "is over, and servers are out"),
                Outcome::Aborted => (Severity::Warning, "was aborted"),
                Outcome::RolledBack => (Severity::Warning, "was rolled back"),
            };
            let (title, detail) = (format!("{} {word}", state.id), record.reason.clone());
            list.push(notice(state, record, Topic::Rollout, Course::Once, severity, title, detail));
        }
        list
    }
}

fn notice(
    state: &State,
    record: &Record,
    topic: Topic,
    course: Course,
    severity: Severity,
    title: String,
    detail: String,
) -> Notice {
    let (rollout, fleet) = (state.id.clone(), state.created.fleet.clone());
    Notice {
        seq: record.seq,
        at: record.at,
        rollout,
        fleet,
        topic,
        course,
        severity,
        title,
        detail,
    }
}

/// What somebody else changed at the auto-scaler, and what was left alone because of that.
fn size(state: &State, record: &Record) -> Option<Notice> {
    let Ok(Event::SizeRestored { left_alone }) = record.event() else { return None };
    let taken = state.size.as_ref().filter(|_| !left_alone.is_empty())?;
    let fields: Vec<_> = left_alone
        .iter()
        .map(|field| {
            let (is, set) = (taken.found.told(*field), taken.lent.during.told(*field));
            format!("{field} is {is}; the rollout had set {set}")
        })
        .collect();
    let title = format!("{}: somebody else has changed the auto-scaler; that stays", state.id);
    let (topic, severity, detail) = (Topic::Size, Severity::Warning, fields.join("; "));
    Some(notice(state, record, topic, Course::Once, severity, title, detail))
}

fn topic(hold: &Hold) -> Topic {
    match hold.reason {
        HoldReason::SizeChanged => Topic::Size,
        HoldReason::LoadLeftBand => Topic::Breach,
        HoldReason::Frozen => Topic::Freeze,
        HoldReason::ApprovalNeeded => Topic::Approval,
        HoldReason::OutcomeUnknown => Topic::Orphan,
        HoldReason::NoPlan if hold.detail.starts_with("no plan fits: budget:") => Topic::Budget,
        _ => Topic::Hold,
    }
}

/// What does not mend itself needs a person now.
fn severity(hold: &Hold) -> Severity {
    match hold.reason {
        HoldReason::Frozen => Severity::Info,
        HoldReason::ServerFailed
        | HoldReason::OutcomeUnknown
        | HoldReason::NoPlan
        | HoldReason::SizeChanged
        | HoldReason::HookFailed => Severity::Critical,
        _ => Severity::Warning,
    }
}

fn word(topic: Topic) -> &'static str {
    match topic {
        Topic::Hold => "hold",
        Topic::Breach => "load left its band",
        Topic::Approval => "approval needed",
        Topic::Budget => "the budget is too small",
        Topic::Freeze => "freeze",
        Topic::Orphan => "an outcome is unknown, something may be left running",
        Topic::Metrics => "metrics",
        Topic::Rollout => "rollout",
        Topic::Size => "somebody else has changed the auto-scaler",
        Topic::Server => "a server does not run the target any more",
    }
}
