//! The auto-scaler: what it is set to for the time of a rollout, and how far that is.

use std::collections::BTreeSet;

use domain::name::{Key, ServerName};
use domain::size::{Lent, SizeField, SizeSettings};
use jiff::Timestamp;

use crate::decide::surge::order_key;
use crate::state::{OrderStage, State, SurgeStage};

/// How the auto-scaler stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SizeStage {
    /// It is being set.
    Taking,
    /// It is set.
    Set,
    /// Somebody else changed it between a look and the command, which did nothing.
    Changed(SizeSettings),
    /// It is being put back.
    Restoring {
        /// To this.
        wanted: SizeSettings,
        /// What somebody else changed meanwhile.
        left_alone: Vec<SizeField>,
    },
    /// It is as it was, but for what somebody else changed.
    Restored,
}

/// An auto-scaler in the hands of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What it was set to, and what is set meanwhile.
    pub lent: Lent,
    /// What was observed before the newest command.
    pub found: SizeSettings,
    /// Everything that the rollout has set it to, or has tried to, each with what it was to be put back to.
    pub ours: Vec<Lent>,
    /// How it stands.
    pub stage: SizeStage,
    /// Since when.
    pub since: Timestamp,
    /// So many commands in a row found that somebody else had changed it.
    pub conflicts: u32,
    /// A person has said resume since somebody else changed it, so that it is set again.
    pub again: bool,
    /// The number of the event that brought it here.
    pub seq: u64,
}

impl Taken {
    /// What it is put back to at the end if it is `found` so: what somebody else changed is what they
    /// want by now.
    pub(crate) fn rebased(&self, found: &SizeSettings) -> SizeSettings {
        let before = &self.lent.before;
        let mut now = self.lent.put_back(found);
        // What the rollout set before is no more somebody else's than what it sets now: it is there
        // yet, or is what an answer that is older than the newest command shows.
        // What it only left as it was is not its own.
        let set = |of: fn(&SizeSettings) -> u32| {
            let changed = self.ours.iter().filter(|own| of(&own.during) != of(&own.before));
            changed.map(|own| of(&own.during)).any(|value| value == of(found))
        };
        if set(|settings| settings.minimum) {
            now.minimum = before.minimum.min(now.maximum);
        }
        if set(|settings| settings.maximum) {
            now.maximum = before.maximum.max(now.minimum);
        }
        now
    }
}

impl State {
    /// Whether the auto-scaler is kept from fighting, or there is none.
    pub fn size_is_kept(&self) -> bool {
        let set = |taken: &Taken| taken.stage == SizeStage::Set;
        self.created.policy.size.is_none() || self.size.as_ref().is_some_and(set)
    }

    /// Whether it was taken and is not put back yet.
    pub fn size_is_lent(&self) -> bool {
        self.size.as_ref().is_some_and(|taken| taken.stage != SizeStage::Restored)
    }

    /// Whether it is on its way back: nothing begins any more.
    pub fn size_is_leaving(&self) -> bool {
        let leaving =
            |t: &Taken| matches!(t.stage, SizeStage::Restoring { .. } | SizeStage::Restored);
        self.size.as_ref().is_some_and(leaving)
    }

    /// What the auto-scaler is set to, given what it would be without the rollout: it keeps the fleet
    /// and all surge that the plan may have, ends no server of it, and does nothing that would fight.
    pub fn size_wanted(&self, before: &SizeSettings) -> SizeSettings {
        let fleet = u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        let room = fleet.saturating_add(self.most_surge());
        let suspend = self.created.policy.size.iter().flat_map(|rule| rule.suspend.clone());
        let protect = self.servers.keys().cloned();
        SizeSettings {
            minimum: before.minimum.max(fleet),
            maximum: before.maximum.max(room),
            protected: before.protected.iter().cloned().chain(protect).collect(),
            suspended: before.suspended.iter().cloned().chain(suspend).collect(),
        }
    }

    /// Whether what is set keeps what the plan in force needs by now.
    pub(crate) fn size_suffices(&self) -> bool {
        let Some(taken) = &self.size else { return self.created.policy.size.is_none() };
        let during = &taken.lent.during;
        during.weaker_than(&self.size_wanted(&taken.lent.before)).is_empty()
    }

    /// The most instances of surge that may exist at once under the plan in force: those that are
    /// held, what takes the place of lost ones, and those to come.
    fn most_surge(&self) -> u32 {
        let held = self.orders.values().filter(|order| order.stage != OrderStage::Released);
        let of = |order: &crate::state::Order| {
            let lost = order.instances.iter().filter(|i| i.stage == SurgeStage::Lost).count();
            order.names.len() + if order.on_loss.is_some() { lost } else { 0 }
        };
        let held = u32::try_from(held.map(of).sum::<usize>()).unwrap_or(u32::MAX);
        let plan = self.plan.iter().flat_map(|plan| {
            plan.surge
                .iter()
                .enumerate()
                .filter(|(index, _)| !self.orders.contains_key(&order_key(self, plan, *index)))
        });
        plan.fold(held, |sum, (_, purchase)| sum.saturating_add(purchase.count))
    }

    /// Whether a new order has room in the group.
    pub(crate) fn size_has_room(&self, names: &[ServerName]) -> bool {
        let Some(taken) = &self.size else { return true };
        let held = self.orders.values().filter(|order| order.stage != OrderStage::Released);
        let all: BTreeSet<_> = held.flat_map(|order| &order.names).chain(names).collect();
        self.servers.len() + all.len() <= taken.lent.during.maximum as usize
    }

    /// The key of the command under way.
    pub(crate) fn size_key(&self, taken: &Taken) -> Key {
        Key::of(&[self.id.as_str(), "size", &taken.seq.to_string()])
    }
}
