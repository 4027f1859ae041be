//! Where a rollout stands: rollout phase × server stage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::event::{Created, GateVerdict, HoldReason, Member, Outcome, Rung, Running};
use domain::journal::Head;
use domain::name::{Key, OfferName, RolloutId, ServerName, Version};
use domain::plan::{Batch, Plan, Replacement};
use domain::ports::Target;
use jiff::Timestamp;

use crate::account::Account;
use crate::approval::Approved;
use crate::hooks::{HookRun, HookStep};
use crate::rollback::Rollback;
use crate::settings::FULL;
use crate::size::Taken;

/// The phase of the whole rollout. What a batch does is told by the stages of its servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Created, no plan yet.
    New,
    /// A plan is adopted, nothing has been done.
    Planned,
    /// Surge is ordered, no server has gone out.
    Provisioning,
    /// Batches go out and come back.
    Rolling,
    /// All are back; watched before the surge is released.
    Stabilising {
        /// The watch ends then.
        until: Timestamp,
    },
    /// Surge is drained and given back.
    Releasing,
    /// What was done is undone: what is out turns round, then batches go out and come back with what
    /// they ran before.
    RollingBack,
    /// A person asked to stop: what is out comes back, surge is given back.
    Aborting,
    /// Nothing is left to do.
    Finished(Outcome),
}

/// Why no more servers go out for the time being.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    /// The reason.
    pub reason: HoldReason,
    /// What was seen, with numbers.
    pub detail: String,
    /// Since when the rollout holds without a break, for this or for another reason.
    pub since: Timestamp,
    /// The number of the event.
    pub seq: u64,
    /// The number of the event that said that it lasts too long.
    pub overdue: Option<u64>,
}

/// What is happening to one server of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// In service, to be updated (or put back without an update).
    Waiting,
    /// No new requests; those under way end.
    Draining,
    /// The drain took too long; what is left is cut.
    Cutting,
    /// No requests at all.
    Drained,
    /// The updater works on it.
    Updating,
    /// It runs the target, its gates are asked.
    Verifying,
    /// Its gates have passed.
    Verified,
    /// It is being admitted again.
    Restoring,
    /// It receives traffic and warms up until then.
    Warming(Timestamp),
    /// In service at the target.
    Back,
    /// It failed and stays out.
    Failed(String),
}

/// What a gate said last of a server, as far as it was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: GateVerdict,
    /// How often that was news.
    pub changes: u32,
}

/// Which way an update goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Way {
    /// To the target.
    #[default]
    Forth,
    /// To what a server ran before.
    Back,
}

/// What a server runs, as far as the journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// What it ran before the rollout.
    Before,
    /// An update has begun and has not ended well, or the server failed after it.
    Unsure,
    /// The target.
    Target,
}

/// One server of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Who it is.
    pub member: Member,
    /// What is happening to it.
    pub stage: Stage,
    /// Since when.
    pub since: Timestamp,
    /// Which way its newest update goes.
    pub way: Way,
    /// Tries of its update that way so far.
    pub attempts: u32,
    /// What it runs.
    pub runs: Runs,
    /// How often it was put back since its drain took too long.
    pub skipped: u32,
    /// The share of its full weight that it shall have when it gets traffic, in percent.
    pub percent: u8,
    /// What each gate said of it since.
    pub verdicts: BTreeMap<String, Judged>,
    /// Whether its updater could not tell what it runs after its update.
    pub unseen: bool,
    /// The number of the event that brought it here.
    pub seq: u64,
}

impl Server {
    /// Whether it runs the target.
    pub fn is_updated(&self) -> bool {
        self.runs == Runs::Target
    }

    /// Whether the rollout keeps it out of service.
    pub fn is_out(&self) -> bool {
        !matches!(self.stage, Stage::Waiting | Stage::Back)
    }

    /// Whether the load balancer must not send it requests.
    pub fn must_be_drained(&self) -> bool {
        use Stage::{Drained, Failed, Updating, Verified, Verifying};
        matches!(self.stage, Drained | Updating | Verifying | Verified | Failed(_))
    }

    /// How it is reached.
    pub fn target(&self) -> Target {
        Target { server: self.member.name.clone(), address: self.member.address.clone() }
    }
}

/// What is happening to one surge instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SurgeStage {
    /// It runs, its gates are asked.
    Running,
    /// It is being admitted.
    Joining,
    /// It is in service, at full load from then on.
    Joined(Timestamp),
    /// No new requests; those under way end.
    Draining,
    /// The drain took too long; what is left is cut.
    Cutting,
    /// No requests at all.
    Drained,
    /// The load balancer has forgotten it.
    Left,
    /// It ended without being asked to.
    Lost,
}

/// One surge instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurgeInstance {
    /// Its name and address.
    pub running: Running,
    /// What is happening to it.
    pub stage: SurgeStage,
    /// Since when.
    pub since: Timestamp,
    /// The share of its full weight that it shall have when it gets traffic, in percent.
    pub percent: u8,
    /// What each gate said of it since.
    pub verdicts: BTreeMap<String, Judged>,
    /// The number of the event that brought it here.
    pub seq: u64,
}

impl SurgeInstance {
    /// How it is reached.
    pub fn target(&self) -> Target {
        Target { server: self.running.name.clone(), address: self.running.address.clone() }
    }
}

/// How far an order of surge has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderStage {
    /// Bought, not all instances run yet.
    Ordered,
    /// All instances run (or ran).
    Running,
    /// It is being given back.
    Releasing,
    /// Nothing of it is left.
    Released,
}

/// Instances of an order that did not come.
#[derive(Debug, Clone, PartialEq)]
pub struct Missed {
    /// How many over all.
    pub count: usize,
    /// Why the last of them did not.
    pub detail: String,
    /// When they were given up.
    pub at: Timestamp,
    /// The number of the event.
    pub seq: u64,
}

/// One order of surge.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// From which offer.
    pub offer: OfferName,
    /// The instances that were asked for.
    pub names: Vec<ServerName>,
    /// What they run.
    pub version: Option<Version>,
    /// Not released before.
    pub release_at: Timestamp,
    /// When it was ordered.
    pub ordered_at: Timestamp,
    /// When it is expected to carry load.
    pub ready_at: Timestamp,
    /// What one of its instances costs per hour, where the plan says it.
    pub price_each: Option<f64>,
    /// What takes the place of each of its instances that is lost.
    pub on_loss: Option<Replacement>,
    /// How far it has come.
    pub stage: OrderStage,
    /// Its instances, once they run.
    pub instances: Vec<SurgeInstance>,
    /// That some did not come, and when it was seen last.
    pub missed: Option<Missed>,
    /// The number of the event that brought it here.
    pub seq: u64,
}

/// A batch that is out.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenBatch {
    /// As the plan says.
    pub batch: Batch,
    /// The number of the event that opened it.
    pub seq: u64,
}

/// Where a rollout stands. Made by [`crate::machine`] from the journal alone.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Whose journal.
    pub id: RolloutId,
    /// What was asked for.
    pub created: Arc<Created>,
    /// When.
    pub created_at: Timestamp,
    /// The plan in force, `None` before the first.
    pub plan: Option<Arc<Plan>>,
    /// The number of the event that adopted it.
    pub plan_seq: u64,
    /// What of the risk is spent and what is left.
    pub account: Account,
    /// The phase of the whole.
    pub phase: Phase,
    /// The roll-back, once one was asked for.
    pub rollback: Option<Rollback>,
    /// A person asked to open no more batches.
    pub paused: bool,
    /// Why no more servers go out.
    pub hold: Option<Hold>,
    /// The servers of the fleet.
    pub servers: BTreeMap<ServerName, Server>,
    /// The surge by key of the order.
    pub orders: BTreeMap<Key, Order>,
    /// The batch that is out.
    pub open: Option<OpenBatch>,
    /// How many batches of the plan in force are closed.
    pub closed: usize,
    /// How many batches are closed over all revisions.
    pub closed_ever: usize,
    /// When the newest batch closed.
    pub closed_at: Option<Timestamp>,
    /// Failed servers are to be tried once more.
    pub retry: bool,
    /// What was approved last.
    pub approved: Option<Approved>,
    /// Why the plan in force needs an approval, while it does.
    pub unapproved: Option<String>,
    /// The number of the event that rejected a plan.
    pub rejected: Option<u64>,
    /// The newest run of a hook.
    pub hook: Option<HookRun>,
    /// The steps of hooks that ended well.
    pub hooks_done: BTreeSet<HookStep>,
    /// Surge that nobody answers for, as it was said last.
    pub orphans: Vec<ServerName>,
    /// The auto-scaler, once it was taken.
    pub size: Option<Taken>,
    /// The batch that was closed last.
    pub last_batch: Option<Batch>,
    /// What batches stand on.
    pub rung: Rung,
    /// The end of the journal so far.
    pub head: Head,
}

impl State {
    /// Servers of the fleet that are in service, warming ones included.
    pub fn in_service(&self) -> usize {
        let inside = |s: &&Server| !s.is_out() || matches!(s.stage, Stage::Warming(_));
        self.servers.values().filter(inside).count()
    }

    /// Since when a server that runs the target is fully in service, as far as the rollout updated it.
    pub fn updated_at(&self) -> Option<Timestamp> {
        let serves = |s: &&Server| s.is_updated() && !s.is_out();
        self.servers.values().filter(serves).map(|s| s.since).min()
    }

    /// Surge instances in service.
    pub fn surge_in_service(&self) -> usize {
        let joined = |i: &&SurgeInstance| matches!(i.stage, SurgeStage::Joined(_));
        self.orders.values().flat_map(|o| &o.instances).filter(joined).count()
    }

    /// Servers that are still to be updated, or brought back, and have not failed.
    pub fn pending(&self) -> Vec<ServerName> {
        let goes = |s: &Server| match self.way() {
            Way::Forth => !s.is_updated(),
            Way::Back => self.goes_back(s),
        };
        let todo = |s: &&Server| goes(s) && !matches!(s.stage, Stage::Failed(_));
        self.servers.values().filter(todo).map(|s| s.member.name.clone()).collect()
    }

    /// Servers that failed and stay out.
    pub fn failed(&self) -> Vec<&Server> {
        self.servers.values().filter(|s| matches!(s.stage, Stage::Failed(_))).collect()
    }

    /// The share of its weight that a server gets first when it comes into service, in percent.
    pub fn first_percent(&self) -> u8 {
        self.percent_after(0)
    }

    /// The share that follows `percent` while it warms up: equal steps up to the full weight.
    pub fn percent_after(&self, percent: u8) -> u8 {
        let steps = self.created.policy.warmup_steps.clamp(1, u32::from(FULL));
        let done = u32::from(percent) * steps / u32::from(FULL);
        let next = ((done + 1) * u32::from(FULL)).div_ceil(steps).clamp(1, u32::from(FULL));
        u8::try_from(next).unwrap_or(FULL)
    }

    /// When a server or instance that has been in service since `from` and is warm at `warm_at`
    /// gets more than `percent` of its weight; `None` when it has all of it.
    pub fn raised_at(&self, percent: u8, from: Timestamp, warm_at: Timestamp) -> Option<Timestamp> {
        let share = f64::from(percent) / f64::from(FULL);
        let whole = warm_at.duration_since(from).as_secs_f64();
        let after = Duration::try_from_secs_f64(whole * share).unwrap_or_default();
        (percent < FULL).then(|| from + after)
    }

    /// The next batch of the plan in force that has not been opened.
    pub fn next_batch(&self) -> Option<&Batch> {
        let taken = self.closed + usize::from(self.open.is_some());
        self.plan.as_ref()?.batches.get(taken)
    }

    /// The surge instance of that name, with the key of its order.
    pub fn surge_instance(&self, name: &ServerName) -> Option<(&Key, &SurgeInstance)> {
        self.orders.iter().find_map(|(key, order)| {
            order.instances.iter().find(|i| i.running.name == *name).map(|i| (key, i))
        })
    }

    /// How it ended, when it has.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.phase {
            Phase::Finished(outcome) => Some(outcome),
            _ => None,
        }
    }
}
