//! What people are told of a rollout while it runs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::{FleetName, RolloutId};

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Topic {
    /// No more servers go out until the reason is gone or a person says so.
    Hold,
    /// Load left the band that the plan counts on.
    Breach,
    /// What is left of the rollout does not fit into the budget.
    Budget,
    /// A plan waits for somebody who agrees to it.
    Approval,
    /// A person has frozen the fleet, or everything.
    Freeze,
    /// Nobody can say what became of a command: something may run, or be out, that the journal
    /// does not know.
    Orphan,
    /// Metrics are missing, or are back.
    Metrics,
    /// The rollout has ended.
    Rollout,
    /// Somebody else has changed the auto-scaler.
    Size,
    /// A server that was updated does not run the target any more.
    Server,
}

impl Topic {
    /// The name of the topic, as it is published.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Breach => "breach",
            Self::Budget => "budget",
            Self::Metrics => "metrics",
            Self::Approval => "approval",
            Self::Freeze => "freeze",
            Self::Orphan => "orphan",
            Self::Rollout => "rollout",
            Self::Size => "size",
            Self::Server => "server",
        }
    }
}

/// Whether something began, is over, or only happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Course {
    /// It goes on until a notice of the same topic says that it is over.
    Begun,
    /// It is over.
    Over {
        /// When it had begun.
        begun: Timestamp,
    },
    /// It happened.
    Once,
}

impl Course {
    /// The name of the course, as it is published.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Over { .. } => "over",
            Self::Once => "once",
        }
    }
}

/// How urgently a person should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Soon.
    Warning,
    /// Now: it does not mend itself.
    Critical,
}

impl Severity {
    /// The name of the severity, as it is published.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Something to tell people, made from one record of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The record that it was made from.
    pub seq: u64,
    /// When that was written.
    pub at: Timestamp,
    /// The rollout.
    pub rollout: RolloutId,
    /// Its fleet.
    pub fleet: FleetName,
    /// What it is about.
    pub topic: Topic,
    /// Whether that began or is over.
    pub course: Course,
    /// How urgent it is.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// What was seen, with numbers.
    pub detail: String,
}

impl Notice {
    /// The same for the same notice, however often it is told: `NAME#1/17/hold/begun`.
    pub fn id(&self) -> String {
        let (topic, course) = (self.topic.as_str(), self.course.as_str());
        format!("{}/{}/{topic}/{course}", self.rollout, self.seq)
    }
}
