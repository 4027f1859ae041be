//! Hooks: what has to run at which point of a rollout, and how far that is.

use std::time::Duration;

use domain::event::{HookLimit, HookPoint};
use domain::name::{Key, ServerName};
use jiff::Timestamp;

use crate::settings::HOOK_GRACE_SECONDS;
use crate::state::{OrderStage, Phase, State};

/// A point of a rollout at which a hook runs: the hook, and after how many batches over all
/// revisions, where it runs after each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HookStep {
    /// Which hook.
    pub hook: HookPoint,
    /// After so many batches; 0 where it does not run after batches.
    pub batches: usize,
}

/// How a run of a hook stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookStage {
    /// It is under way.
    Running,
    /// It ended well.
    Ended,
    /// It did not, and how.
    Failed {
        /// How.
        detail: String,
        /// A person has said resume since, so that it runs again.
        again: bool,
    },
}

/// One run of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRun {
    /// The key of the run.
    pub key: Key,
    /// At which point.
    pub step: HookStep,
    /// After which batch of the plan that was in force.
    pub batch: Option<u32>,
    /// The servers of that batch; none where it is about the whole fleet.
    pub servers: Vec<ServerName>,
    /// 1 for the first try.
    pub attempt: u32,
    /// How it stands.
    pub stage: HookStage,
    /// Since when.
    pub since: Timestamp,
    /// The number of the event that brought it here.
    pub seq: u64,
}

impl State {
    /// How long a hook may take, where there is one.
    pub fn hook_limit(&self, hook: HookPoint) -> Option<Duration> {
        let given = |limit: &&HookLimit| limit.hook == hook;
        let limit = self.created.policy.hooks.iter().find(given)?;
        Some(Duration::from_secs_f64(limit.timeout_seconds))
    }

    /// The point at which a hook has to end well before the rollout goes any further, if it is at one.
    /// A roll-back runs none and waits for none: they belong to the target.
    pub fn hook_due(&self) -> Option<HookStep> {
        if self.rollback.is_some() {
            return None;
        }
        let released = || self.orders.values().all(|order| order.stage == OrderStage::Released);
        let (hook, batches) = match self.phase {
            Phase::Planned => (HookPoint::Before, 0),
            Phase::Provisioning | Phase::Rolling if self.open.is_none() && self.closed_ever > 0 => {
                (HookPoint::AfterBatch, self.closed_ever)
            }
            Phase::Stabilising { .. } | Phase::Releasing if released() => (HookPoint::After, 0),
            _ => return None,
        };
        let step = HookStep { hook, batches };
        let given = self.hook_limit(hook).is_some();
        (given && !self.hooks_done.contains(&step)).then_some(step)
    }

    /// The run of a hook that is under way, as far as the rollout still cares.
    pub fn hook_under_way(&self) -> Option<&HookRun> {
        let run = self.hook.as_ref().filter(|_| self.rollback.is_none())?;
        (run.stage == HookStage::Running).then_some(run)
    }

    /// How the newest run of a hook failed, while nobody has said resume and it matters.
    pub fn hook_failed(&self) -> Option<(&HookRun, &str)> {
        let run = self.hook.as_ref().filter(|_| self.rollback.is_none())?;
        match &run.stage {
            HookStage::Failed { detail, again: false } => Some((run, detail)),
            _ => None,
        }
    }

    /// The number of the next try at a point.
    pub(crate) fn hook_attempt(&self, step: HookStep) -> u32 {
        let last = self.hook.as_ref().filter(|run| run.step == step);
        last.map_or(1, |run| run.attempt + 1)
    }

    /// When the run under way is given up, if its adapter does not end it.
    pub(crate) fn hook_over(&self) -> Option<Timestamp> {
        let run = self.hook_under_way()?;
        let grace = Duration::from_secs_f64(HOOK_GRACE_SECONDS);
        Some(run.since + self.hook_limit(run.step.hook).unwrap_or_default() + grace)
    }

    /// When the hook before everything begins, while it has not: so early that it may take its whole
    /// time, and the plan keeps its own.
    pub(crate) fn hook_before_at(&self) -> Option<Timestamp> {
        let step = self.hook_due().filter(|step| step.hook == HookPoint::Before)?;
        Some(self.plan.as_ref()?.start_at - self.hook_limit(step.hook)?)
    }
}
