//! What was seen of the world at one moment.

use std::collections::BTreeMap;

use domain::event::Rung;
use domain::name::{Key, ServerName, Version};
use domain::plan::PerDimension;
use domain::ports::{Backend, Instance};
use domain::series::Sample;
use domain::size::SizeSettings;
use jiff::Timestamp;

use crate::planner::Weighed;

/// What the health gates say of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateState {
    /// Not enough checks in a row yet.
    Open,
    /// Every gate has passed often enough.
    Passed,
    /// A gate that had passed has failed often enough, or one did not pass within its time, and
    /// how.
    Red(String),
    /// The time of a gate is over, and it cannot tell: which, and why.
    Vague(String),
}

/// Whether people have frozen the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stop {
    /// No freeze is in force.
    #[default]
    No,
    /// One is: what, by whom, since when and why.
    Frozen(String),
    /// It could not be read; nothing goes out until it can.
    Unknown,
}

/// What an updated server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// When it was asked.
    pub at: Timestamp,
    /// What it runs; `None`: its updater cannot tell, or an update is under way.
    pub version: Option<Version>,
}

/// What was seen of the world at one moment. `None` means: it could not be seen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seen {
    /// The load balancer's servers by name.
    pub traffic: Option<BTreeMap<ServerName, Backend>>,
    /// The surge instances by name.
    pub surge: Option<BTreeMap<ServerName, Instance>>,
    /// The newest complete samples per dimension, oldest first, in the unit of the capacity.
    pub load: PerDimension<Vec<Sample>>,
    /// The gates of the servers that are being asked.
    pub gates: BTreeMap<ServerName, GateState>,
    /// Servers that should be in service and are not, and since when.
    pub down_since: BTreeMap<ServerName, Timestamp>,
    /// Whether people have frozen the fleet.
    pub stop: Stop,
    /// The settings of the auto-scaler, as they were seen last since the newest command to it.
    pub size: Option<SizeSettings>,
    /// Since when the auto-scaler has been seen with more freedom than the rollout gave it.
    pub size_loose_since: Option<Timestamp>,
    /// What updated servers run, as far as they were asked lately.
    pub runs: BTreeMap<ServerName, Runs>,
    /// A call that has failed too often, with its error.
    pub failing: Option<String>,
    /// The orders of surge that the seller refuses for good, with what it says.
    pub sold_out: BTreeMap<Key, String>,
    /// When a revision was last refused.
    pub refused_at: Option<Timestamp>,
    /// What the batches that are left risk by what is known now.
    pub verdict: Option<Verdict>,
}

/// What came of weighing what is left of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The number of the event that adopted the plan.
    pub plan_seq: u64,
    /// The next batch.
    pub batch: u32,
    /// What the load was known from.
    pub rung: Rung,
    /// By what was known when.
    pub at: Timestamp,
    /// When the answer was there: a planner may take long.
    pub came: Timestamp,
    /// The number of the last record that was known then.
    pub after: u64,
    /// What it risks, or why that cannot be told.
    pub answer: Result<Weighed, Unweighed>,
}

/// Why it cannot be told what is left of a plan risks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unweighed {
    /// It may not be performed any more as it stands.
    Refused(String),
    /// There is no forecast at the moment.
    Unknown(String),
}
