//! Events: what the journal stores. The stored form is versioned by [`FORMAT`]; a field or an
//! event is added, never changed.

mod created;
mod look;
mod policy;
mod serving;

use jiff::Timestamp;
use serde::de::value::MapDeserializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::advice::{Advised, Did, Settled};
use crate::journal::{Digest, Record};
use crate::learned::{Evidence, Figure, Quantity};
use crate::models::Changed;
use crate::name::{Dimension, FleetName, Key, OfferName, ServerName, Version};
use crate::plan::Plan;
use crate::size::{SizeField, SizeSettings};

pub use created::{Created, Member};
pub use look::{Look, Planning, RiskSpent, Rung, Weighing};
pub use policy::{
    AfterHold, ApprovalRule, HoldLimit, HookLimit, HookPoint, OnFailure, OnTimeout, Policy,
    SizeRule,
};

pub use serving::{Known, SharedOut, WarmUp};

/// The version of the stored events that this build writes; it reads this one and the one before.
pub const FORMAT: u32 = 1;

/// The format that a journal, or a part of it, says of itself: the highest that who created the rollout
/// and who has driven it state. It is read from the records as they lie there, so that it is known of
/// events that this build cannot read. 0 where nothing is stated.
pub fn format_of(records: &[Record]) -> u32 {
    let states = |record: &&Record| matches!(&*record.kind, "RolloutCreated" | "DriverStarted");
    let stated = records.iter().filter(states).filter_map(|r| r.payload.get("format")?.as_u64());
    stated.map(|format| u32::try_from(format).unwrap_or(u32::MAX)).max().unwrap_or(0)
}

/// Why a rollout holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HoldReason {
    /// A server failed its update or its gates and stays out.
    ServerFailed,
    /// A drain took too long.
    DrainTimeout,
    /// Surge did not come in time, or was lost.
    SurgeMissing,
    /// Load left the forecast band.
    LoadLeftBand,
    /// No fresh load samples.
    LoadUnknown,
    /// A server that the rollout did not take out is not in service.
    ForeignOutage,
    /// An adapter cannot say what became of a command.
    OutcomeUnknown,
    /// The plan is late or over, and no revision fits.
    NoPlan,
    /// An outside system does not answer.
    AdapterFailing,
    /// A person has frozen the fleet, or everything.
    Frozen,
    /// A gate could not tell within its time whether a server is well.
    GateInconclusive,
    /// A hook failed, took too long, or nobody knows how it ended.
    HookFailed,
    /// The plan in force waits for somebody who agrees.
    ApprovalNeeded,
    /// Somebody else has changed the auto-scaler, so that it may fight the rollout.
    SizeChanged,
}

/// What a health gate says of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GateVerdict {
    /// It is well.
    Pass,
    /// It is not.
    Fail,
    /// It cannot be told.
    Inconclusive,
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Every server runs the target.
    Done,
    /// Every server runs the target but those that failed, no more than the failure budget: they are
    /// out, and the surge is gone.
    Incomplete,
    /// It was stopped; everything that works is back in service and the surge is gone.
    Aborted,
    /// Every server runs again what it ran before, but those that failed and are out; the surge is
    /// gone.
    RolledBack,
}

/// A surge instance that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Running {
    /// Its name.
    pub name: ServerName,
    /// `host:port` where it serves.
    pub address: Option<String>,
}

/// Everything that can happen to a rollout.
///
/// *Decisions* are written before their command is issued, *outcomes* after the world has
/// answered, *requests* come from people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all_fields = "camelCase")]
pub enum Event {
    /// Decision: a rollout exists.
    RolloutCreated(Box<Created>),
    /// Decision: this plan is performed from now on.
    PlanAdopted {
        /// The whole plan.
        plan: Box<Plan>,
    },
    /// A driver took the rollout over.
    DriverStarted {
        /// Which process on which host.
        owner: String,
        /// The fencing epoch of its lease.
        epoch: u64,
        /// Version and processor architecture of the build.
        build: String,
        /// What it plans with; absent in journals of former releases.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        planning: Option<Planning>,
        /// The format of the events from here on, where it is newer than the one that was stated before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        format: Option<u32>,
    },
    /// Decision: buy these instances.
    SurgeOrdered {
        /// The key of the order.
        key: Key,
        /// From which offer.
        offer: OfferName,
        /// Exactly these instances.
        names: Vec<ServerName>,
        /// What they run.
        version: Option<Version>,
        /// The release is not before this.
        release_at: Timestamp,
    },
    /// Outcome: all instances of an order run.
    SurgeRunning {
        /// The key of the order.
        key: Key,
        /// The instances.
        instances: Vec<Running>,
    },
    /// Decision: send traffic to a surge instance.
    SurgeJoining {
        /// Which.
        server: ServerName,
    },
    /// Outcome: a surge instance is in service.
    SurgeJoined {
        /// Which.
        server: ServerName,
        /// It carries full load from then on.
        warm_at: Timestamp,
    },
    /// Decision: instances of an order that did not come are waited for no longer; the rest of it goes
    /// on.
    SurgeMissed {
        /// The key of the order.
        key: Key,
        /// Which; all of them give the order back.
        names: Vec<ServerName>,
        /// Why: the seller has said so, or they have not come in time.
        detail: String,
    },
    /// Decision: drain and give back an order.
    SurgeReleasing {
        /// The key of the order.
        key: Key,
    },
    /// Outcome: a surge instance has no more requests.
    SurgeDrained {
        /// Which.
        server: ServerName,
        /// Connections that were cut.
        cut: u64,
    },
    /// Outcome: a surge instance is no longer known to the load balancer.
    SurgeLeft {
        /// Which.
        server: ServerName,
    },
    /// Outcome: the instances of an order are gone and cost nothing more.
    SurgeReleased {
        /// The key of the order.
        key: Key,
    },
    /// Outcome: a surge instance vanished or went down on its own.
    SurgeLost {
        /// Which.
        server: ServerName,
        /// What was seen.
        detail: String,
    },
    /// Decision: a batch goes out, after a look at the world.
    BatchOpened {
        /// Its index in the plan.
        index: u32,
        /// What was seen just before.
        look: Look,
        /// What it spends of the risk; former releases kept no account.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        risk: Option<RiskSpent>,
    },
    /// Decision: stop new requests to a server.
    DrainStarted {
        /// Which.
        server: ServerName,
    },
    /// Decision: a drain took too long; the connections that are left are cut.
    DrainForced {
        /// Which server or surge instance.
        server: ServerName,
    },
    /// Outcome: a server has no more requests.
    Drained {
        /// Which.
        server: ServerName,
        /// Connections that were cut.
        cut: u64,
    },
    /// Decision: update a server.
    UpdateStarted {
        /// Which.
        server: ServerName,
        /// 1 for the first try in its direction.
        attempt: u32,
        /// What it shall run: in a roll-back what it ran before; absent where that is the target.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<Version>,
    },
    /// Outcome: a server runs what its update was to bring.
    Updated {
        /// Which.
        server: ServerName,
        /// What it runs, if the updater can observe it.
        version: Option<Version>,
        /// Its boot id, if the updater can observe it.
        boot_id: Option<String>,
    },
    /// Outcome: a gate says something else of a server than before, or something for the first time.
    GateJudged {
        /// Which server or surge instance.
        server: ServerName,
        /// Which gate.
        gate: String,
        /// What it says.
        verdict: GateVerdict,
        /// What was seen.
        saw: String,
    },
    /// Outcome: a server passed its health gates.
    Verified {
        /// Which.
        server: ServerName,
    },
    /// Decision: send traffic to a server again.
    RestoreStarted {
        /// Which.
        server: ServerName,
    },
    /// Outcome: a server receives traffic again.
    Restored {
        /// Which.
        server: ServerName,
        /// It carries full load from then on.
        warm_at: Timestamp,
    },
    /// Decision: a server or surge instance that warms up gets more of its traffic.
    WeightRaised {
        /// Which.
        server: ServerName,
        /// The share of its full weight, in percent.
        percent: u8,
    },
    /// Decision: a server counts as back.
    Warmed {
        /// Which.
        server: ServerName,
    },
    /// Outcome: a server failed and stays out.
    ServerFailed {
        /// Which.
        server: ServerName,
        /// What failed, in words.
        detail: String,
    },
    /// Decision: try a failed server once more.
    ServerRetried {
        /// Which.
        server: ServerName,
    },
    /// Decision: every server of a batch is back, or stays out within the failure budget.
    BatchClosed {
        /// Its index in the plan.
        index: u32,
    },
    /// Decision: run a hook.
    HookStarted {
        /// The key of this one run.
        key: Key,
        /// Which hook.
        hook: HookPoint,
        /// After which batch of the plan in force, where it runs after each.
        batch: Option<u32>,
        /// The servers of that batch; none where it is about the whole fleet.
        servers: Vec<ServerName>,
        /// The revision of the plan in force.
        revision: u32,
        /// 1 for the first try.
        attempt: u32,
    },
    /// Outcome: a hook ended well.
    HookEnded {
        /// The key of the run.
        key: Key,
        /// The end of what it printed.
        said: String,
    },
    /// Outcome: a hook failed, took too long, or nobody knows how it ended.
    HookFailed {
        /// The key of the run.
        key: Key,
        /// How.
        detail: String,
    },
    /// Decision: watch before the surge is released.
    StabilisationStarted {
        /// Not before this the surge is released.
        until: Timestamp,
    },
    /// Decision: everything stays as it is until the reason is gone or a person says so.
    Held {
        /// Why.
        hold: HoldReason,
        /// What was seen, with numbers.
        detail: String,
    },
    /// Decision: the rollout has held for as long as it may. Said once per hold, for whoever tells
    /// people.
    HoldOverdue {
        /// Why it holds.
        hold: HoldReason,
        /// What was seen, with numbers.
        detail: String,
        /// Since when it holds without a break.
        since: Timestamp,
        /// What the surge that it holds costs per hour, where its prices are known.
        price_per_hour: Option<f64>,
        /// In this currency.
        currency: String,
        /// What happens now.
        then: AfterHold,
    },
    /// Decision: less is known of the load than before, or more again.
    Degraded {
        /// What batches stand on from now on.
        rung: Rung,
        /// What was seen, with numbers.
        detail: String,
    },
    /// Decision: the reason of a hold is gone.
    HoldEnded {
        /// What was seen, with numbers.
        detail: String,
    },
    /// Request: open no more batches.
    PauseRequested {},
    /// Request: go on; a failed server is tried once more.
    ResumeRequested {},
    /// Request of a person, or decision after a hold that lasted too long: put back what is out, give
    /// back the surge, and end.
    AbortRequested {},
    /// Request of a person, or decision after failures or a hold that lasted too long: put back the
    /// version that each server ran before, what is out first, give back the surge, and end.
    RollbackRequested {},
    /// Request: the plan of this digest may be performed. The actor is who agrees.
    PlanApproved {
        /// The digest of the plan in force.
        digest: Digest,
    },
    /// Request: the plan of this digest may not be performed; the rollout is aborted.
    PlanRejected {
        /// The digest of the plan in force.
        digest: Digest,
    },
    /// Request: no server goes out any more. Stands in the chain of freezes only.
    FreezeRequested {
        /// Which fleet; `None`: every one.
        fleet: Option<FleetName>,
        /// It ends by itself then; `None`: when it is lifted.
        until: Option<Timestamp>,
    },
    /// Request: the freezes of this fleet, or those of everything, are over.
    UnfreezeRequested {
        /// Which fleet; `None`: the freezes of everything, not those of single fleets.
        fleet: Option<FleetName>,
    },
    /// Outcome: a call failed; it is tried again unless the text says otherwise.
    CommandFailed {
        /// The key of the command, or the name of the observation.
        key: String,
        /// The error with its causes.
        error: String,
    },
    /// Outcome: people were told.
    Notified {
        /// The id of the notice.
        notice: String,
        /// By which receiver of the configuration.
        receiver: String,
    },
    /// Outcome: people could not be told, and are not any more.
    NotifyFailed {
        /// The id of the notice.
        notice: String,
        /// By which receiver of the configuration.
        receiver: String,
        /// The error with its causes.
        error: String,
    },
    /// Decision: nothing is left to do.
    Finished {
        /// How it ended.
        outcome: Outcome,
    },
    /// Decision: for the time of the rollout the auto-scaler is kept from fighting it.
    SizeTaken {
        /// What it is put back to at the end, as far as nobody else changes it.
        before: SizeSettings,
        /// What was observed.
        found: SizeSettings,
        /// What is set.
        during: SizeSettings,
    },
    /// Outcome: the auto-scaler is set as the rollout needs it.
    SizeSet {},
    /// Outcome: somebody else changed the auto-scaler between the look and the command, which did
    /// nothing.
    SizeChanged {
        /// What it is set to.
        found: SizeSettings,
    },
    /// Decision: put the auto-scaler back to what it was, but for what somebody else changed.
    SizeRestoring {
        /// What was observed.
        found: SizeSettings,
        /// What is put back.
        wanted: SizeSettings,
        /// Settings that somebody else changed meanwhile: they stay.
        left_alone: Vec<SizeField>,
    },
    /// Outcome: the auto-scaler is as it was, but for what somebody else changed.
    SizeRestored {
        /// Settings that somebody else changed meanwhile: they stay.
        left_alone: Vec<SizeField>,
    },
    /// Outcome: a server that was updated does not run the target any more, as when somebody put
    /// another machine in its place. It is to be updated again.
    ServerReverted {
        /// Which.
        server: ServerName,
        /// What it runs.
        version: Version,
    },
    /// Outcome: what the load balancer counted of single servers since it was last told; once after each
    /// batch, where it counts.
    ServingSeen {
        /// How evenly it shared the requests out; absent where too few came or servers changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shared: Option<SharedOut>,
        /// How long servers that came back took to warm up, as far as it can be told.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warmed: Vec<WarmUp>,
    },
    /// Outcome: surge runs that no open rollout answers for. Said once for the same names.
    OrphansSuspected {
        /// The instances.
        names: Vec<ServerName>,
    },
    /// Decision: from now on plans of the fleet are made with a figure that its rollouts have shown.
    /// Stands in the chain of what was learned only, as the two that follow.
    Adjusted {
        /// Which fleet.
        fleet: FleetName,
        /// Of what.
        quantity: Quantity,
        /// The figure until now: of the configuration, where nothing was learned before; of an hour of the
        /// day, where it had none of its own, that of the whole day.
        before: Figure,
        /// The figure from now on. An hour that gets what was learned of the whole day has none of its own any more.
        after: Figure,
        /// What it was learned from.
        evidence: Evidence,
    },
    /// Request: plans are made with this figure, whatever is learned.
    PinRequested {
        /// Which fleet.
        fleet: FleetName,
        /// Of what.
        quantity: Quantity,
        /// The figure; `None`: the one of the configuration.
        figure: Option<Figure>,
    },
    /// Request: plans are made with what is learned again.
    UnpinRequested {
        /// Which fleet.
        fleet: FleetName,
        /// Of what.
        quantity: Quantity,
    },
    /// Decision: a forecaster that a daemon keeps has changed. Stands in the chain of forecasters only.
    ForecasterChanged {
        /// Of which fleet.
        fleet: FleetName,
        /// Of which load.
        dimension: Dimension,
        /// The sample after which it changed.
        sample: Timestamp,
        /// What.
        what: Changed,
        /// What it was until now, in words.
        before: String,
        /// What it is from now on.
        after: String,
    },
    /// Decision: somebody else's updater may take servers out. Stands in the chain of permits only, as the
    /// two that follow.
    PermitGranted {
        /// What it is renewed and released by.
        lease: Key,
        /// Of which fleet.
        fleet: FleetName,
        /// Whose account it counts against: the name of a rollout of the configuration.
        rollout: String,
        /// So many servers.
        count: u32,
        /// Which, where the updater said.
        servers: Vec<ServerName>,
        /// It ends by itself then.
        until: Timestamp,
        /// The probability of overload that it was granted at.
        risk: f64,
        /// Who got no requests for another reason when it was granted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        already_down: Vec<ServerName>,
    },
    /// Decision: a permit lasts longer.
    PermitRenewed {
        /// Which.
        lease: Key,
        /// Until then.
        until: Timestamp,
        /// The probability of overload of that time.
        risk: f64,
    },
    /// Request: the servers of a permit are in service again.
    PermitReleased {
        /// Which.
        lease: Key,
    },
    /// Decision: a plan that was asked for as advice. Stands in the chain of advice only, as the two
    /// that follow.
    Advised(Box<Advised>),
    /// Outcome: what came of a piece of advice, by the load that came.
    AdviceSettled(Box<Settled>),
    /// Request: what the team did instead of following a piece of advice, and what that came to.
    AdviceAnswered(Box<Did>),
}

impl Event {
    /// The name and the fields of the event, as a record stores them.
    pub fn to_parts(&self) -> (String, Value) {
        let mut value = serde_json::to_value(self).expect("an event is plain data");
        let kind = value["type"].as_str().unwrap_or_default().to_owned();
        (kind, value["payload"].take())
    }

    /// The event of a stored name and its fields.
    pub fn from_parts(kind: &str, payload: &Value) -> Result<Self, serde_json::Error> {
        // The name first: then nothing has to be set aside until it is known.
        let kind = Value::from(kind);
        let parts = [("type", &kind), ("payload", payload)];
        Self::deserialize(MapDeserializer::new(parts.into_iter()))
    }
}
