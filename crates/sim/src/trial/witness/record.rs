//! What has to be true of an event at the moment at which it is written.

use std::collections::BTreeSet;

use domain::event::{Event, HoldReason, HookPoint, RiskSpent, Rung};
use domain::journal::Record;
use domain::name::{ServerName, Version};
use domain::plan::Batch;
use domain::ports::HookOrder;
use jiff::Timestamp;
use rollout::State;
use rollout::state::{Order, OrderStage, Phase, SurgeStage};

use super::super::UNSEEN;
use super::super::scene::old;
use super::Witness;
use crate::world::{Missing, Why};

/// Sums of risks differ by rounding.
const ROUNDING: f64 = 1e-9;

impl Witness {
    /// Judges an event by the state before it and by the truth.
    pub(super) fn judge(&self, state: &State, record: &Record, event: &Event) {
        if matches!(event, Event::BatchOpened { .. } | Event::SurgeOrdered { .. }) {
            self.may_begin(state);
        }
        match event {
            Event::PlanApproved { .. } => self.notes().agreed = true,
            Event::BatchOpened { risk, .. } => {
                self.scaler_is_kept(state);
                if let Some(batch) = state.next_batch() {
                    self.may_open(state, record, batch);
                    self.may_spend(state, batch, risk.as_ref());
                }
            }
            Event::SurgeOrdered { .. } if state.paused || self.notes().aborted => {
                self.accuse("surge is bought although a person said stop");
            }
            Event::SurgeOrdered { names, .. } => {
                let given_up =
                    state.rollback.as_ref().is_some_and(|back| state.plan_seq < back.seq);
                if given_up && !names.iter().all(is_replacement) {
                    self.accuse("surge is bought for a plan that was given up");
                }
                self.may_buy(state, names.len());
                if state.size.is_none() && state.created.policy.size.is_some() {
                    self.accuse("surge is bought, and the auto-scaler was not taken");
                }
            }
            Event::ServerRetried { server } if !state.retry && !self.is_left(state, server) => {
                self.accuse(format!("{server} is tried again and nobody said so"));
            }
            Event::UpdateStarted { server, .. } if self.notes().aborted => {
                self.accuse(format!("the update of {server} begins after the abort"));
            }
            Event::UpdateStarted { server, version, .. } => {
                self.goes_the_right_way(state, server, version.as_ref());
            }
            Event::Updated { server, .. } => {
                self.is_updated(state, server);
                self.is_out(server);
            }
            Event::Verified { server } => self.is_well(server),
            Event::StabilisationStarted { until } => {
                let watch = state.created.policy.stabilisation_seconds;
                self.notes().watched = None;
                if until.duration_since(record.at).as_secs_f64() < watch - 1.0 {
                    self.accuse("the watch after the last batch is too short");
                }
            }
            Event::SizeRestoring { .. } | Event::Finished { .. } => self.is_over(),
            Event::SurgeReleasing { key } => self.may_release(state, record, key.as_str()),
            Event::AbortRequested {} => self.notes().aborted = true,
            _ => {}
        }
    }

    /// The auto-scaler is kept from fighting in truth, as far as the driver can have seen.
    fn scaler_is_kept(&self, state: &State) {
        if state.created.policy.size.is_none() {
            return;
        }
        let Some(taken) = &state.size else {
            return self.accuse("it begins, and the auto-scaler was not taken");
        };
        let weaker = self.world.size_now().map(|is| is.weaker_than(&taken.lent.during));
        let now = self.agenda.true_now();
        let lately = self.world.size_touched().is_some_and(|at| at + UNSEEN >= now);
        if !lately && weaker.as_ref().is_some_and(|weaker| !weaker.is_empty()) {
            self.accuse(format!("it goes on, and the auto-scaler is free: {weaker:?}"));
        }
    }

    /// What has to be so before anything is bought or taken out.
    fn may_begin(&self, state: &State) {
        if state.created.policy.approval.is_some() && !self.notes().agreed {
            self.accuse("it begins, and nobody has agreed");
        }
        let runs = |order: &HookOrder| order.hook == HookPoint::Before;
        if state.hook_limit(HookPoint::Before).is_some()
            && !self.world.facts().hooks.iter().any(runs)
        {
            self.accuse("it begins before the hook that comes first");
        }
    }

    /// No more surge than was planned, at any time; what is lost does not count.
    fn may_buy(&self, state: &State, more: usize) {
        let held = state.orders.values().filter(|o| o.stage != OrderStage::Released);
        let live = |order: &Order| {
            let lost = order.instances.iter().filter(|i| i.stage == SurgeStage::Lost).count();
            order.names.len() - lost
        };
        let all = held.map(live).sum::<usize>() + more;
        if all > self.most_surge {
            self.accuse(format!("{all} instances of surge, {} are allowed", self.most_surge));
        }
    }

    fn may_spend(&self, state: &State, batch: &Batch, risk: Option<&RiskSpent>) {
        let Some(risk) = risk else { return self.accuse("a batch spends nothing of the risk") };
        let stated = state.created.risk;
        let spent = {
            let mut notes = self.notes();
            notes.spent += risk.spent;
            notes.spent
        };
        if spent > stated * (1.0 + ROUNDING) {
            self.accuse(format!("{spent:e} of {stated:e} is spent"));
        }
        if batch.risk.is_some_and(|planned| risk.spent < planned - stated * ROUNDING) {
            self.accuse(format!("batch {} spends less than was planned", batch.index));
        }
    }

    fn may_open(&self, state: &State, record: &Record, batch: &Batch) {
        let Some(plan) = &state.plan else { return self.accuse("a batch without a plan") };
        let now = record.at;
        if now < batch.out_at {
            self.accuse(format!("batch {} opens before its time", batch.index));
        }
        if self.notes().aborted || state.paused {
            self.accuse(format!("batch {} opens although a person said stop", batch.index));
        }
        self.goes_where(state, batch);
        self.is_not_late(state, batch, now);
        let missing: Vec<Missing> =
            self.world.missing().into_iter().filter(|m| self.seen(m)).collect();
        if let Some(first) = missing.first() {
            self.accuse(format!("batch {} opens while {first:?}", batch.index));
        }
        if batch.servers.len() + missing.len() > self.most_out {
            self.accuse(format!("more than {} servers are out", self.most_out));
        }
        self.knows_the_load(state, now);
        let needs = plan.timeline_at(&state.created.fleet, batch.out_at).map_or(0, |e| e.surge);
        let warm = |stage| matches!(stage, SurgeStage::Joined(at) if at <= now);
        let running = state.orders.values().filter(|o| o.stage == OrderStage::Running);
        let joined: BTreeSet<_> = running
            .flat_map(|o| &o.instances)
            .filter(|i| warm(i.stage))
            .map(|i| i.running.name.clone())
            .collect();
        if joined.len() < needs as usize {
            let count = joined.len();
            self.accuse(format!("batch {} opens with {count} of {needs} surge", batch.index));
        }
        let serving = self.world.surge_serving();
        let gone = joined.iter().find(|name| !serving.contains(name) && !self.just_left(name));
        if let Some(name) = gone {
            self.accuse(format!("batch {} opens although {name} does not serve", batch.index));
        }
    }

    /// Whether the driver can have seen that a server is missing.
    fn seen(&self, missing: &Missing) -> bool {
        let now = self.agenda.true_now();
        missing.why == Why::Drained || missing.since.is_some_and(|at| at + UNSEEN < now)
    }

    /// Whether surge can have left without having been missed yet.
    fn just_left(&self, name: &ServerName) -> bool {
        let (now, facts) = (self.agenda.true_now(), self.world.facts());
        let lately = |at: Option<Timestamp>| at.is_some_and(|at| at + UNSEEN >= now);
        let hired = facts.hired.iter().rev().find(|hired| hired.name == *name);
        lately(facts.reloaded_at) || hired.is_some_and(|hired| lately(hired.ended_at))
    }

    fn is_not_late(&self, state: &State, batch: &Batch, now: Timestamp) {
        let length = batch.back_at.duration_since(batch.out_at).as_secs_f64();
        let grace = if length / 4.0 > 60.0 { length / 4.0 } else { 60.0 };
        let replaced = state.orders.values().any(|o| o.names.iter().any(is_replacement));
        if !replaced && now.duration_since(batch.out_at).as_secs_f64() > grace {
            self.accuse(format!("batch {} is too late for its plan", batch.index));
        }
    }

    fn knows_the_load(&self, state: &State, now: Timestamp) {
        if state.rung != Rung::Live {
            // It said that it does not know, and what it stands on instead.
            return;
        }
        let told = self.notes().told.clone();
        let stale = state.created.policy.stale_after_seconds;
        let Some(newest) = told.last() else {
            return self.accuse("a batch opens without a word of the load");
        };
        if now.duration_since(newest.at).as_secs_f64() >= stale {
            self.accuse(format!("a batch opens, and the newest load is of {}", newest.at));
        }
        let rows = state.created.policy.band_breaches.max(1) as usize;
        let upper = |at| {
            let entry = state.plan.as_ref()?.timeline_at(&state.created.fleet, at)?;
            entry.load.values().next().map(|band| band.upper)
        };
        let newest_rows = told.iter().rev().take(rows);
        let above = newest_rows.filter(|s| upper(s.at).is_some_and(|upper| s.value > upper));
        if above.count() == rows {
            self.accuse(format!("a batch opens at load {}, above the band", newest.value));
        }
    }

    fn is_updated(&self, state: &State, server: &ServerName) {
        let versions = self.world.versions();
        let replaced = self.world.facts().replaced.contains_key(server);
        let runs = versions.iter().find(|(name, _)| name == server).map(|(_, version)| version);
        let wanted = state.servers.get(server).map(|server| state.wants(server));
        if runs != wanted && !replaced {
            self.accuse(format!("{server} counts as updated and runs {runs:?}"));
        }
    }

    /// Once it is rolled back, no update begins but to what a server ran before, and before that none
    /// but to the target.
    fn goes_the_right_way(&self, state: &State, server: &ServerName, version: Option<&Version>) {
        let wanted = state.rollback.as_ref().map(|_| old());
        if version != wanted.as_ref() {
            self.accuse(format!("the update of {server} to {version:?} goes the wrong way"));
        }
    }

    /// A roll-back takes out what runs the target, and nothing else.
    fn goes_where(&self, state: &State, batch: &Batch) {
        if state.rollback.is_none() {
            return;
        }
        let replaced = self.world.facts().replaced;
        for (name, version) in self.world.versions() {
            let there = batch.servers.contains(&name) && !replaced.contains_key(&name);
            if there && version == old() {
                self.accuse(format!("{name} is taken out for a roll-back and runs {version}"));
            }
        }
    }

    /// Whether a failed server has a try left.
    fn is_left(&self, state: &State, server: &ServerName) -> bool {
        let known = state.servers.get(server);
        known.is_some_and(|known| known.attempts.max(1) <= state.created.policy.retries)
    }

    /// What was updated was out of service, as far as the driver could see to it.
    fn is_out(&self, server: &ServerName) {
        let reached = self.world.admitted(server);
        let forgot = self.world.undrained(server);
        let now = self.agenda.true_now();
        if reached && forgot.is_none_or(|at| at + UNSEEN < now) {
            self.accuse(format!("{server} was updated while requests reached it"));
        }
    }

    fn is_well(&self, server: &ServerName) {
        if !self.world.is_well(server) && !self.died_lately(server) {
            self.accuse(format!("{server} counts as well and is not"));
        }
    }

    fn died_lately(&self, server: &ServerName) -> bool {
        let now = self.agenda.true_now();
        self.world.died(server).is_some_and(|at| at + UNSEEN >= now)
    }

    fn is_over(&self) {
        let now = self.agenda.true_now();
        self.notes().watched.get_or_insert(now);
    }

    fn may_release(&self, state: &State, record: &Record, key: &str) {
        self.is_over();
        if state.phase == Phase::Aborting {
            return;
        }
        let order = state.orders.iter().find(|(k, _)| k.as_str() == key).map(|(_, order)| order);
        if let (Some(order), Some(hold)) = (order, &state.hold)
            && hold.reason == HoldReason::NoPlan
            && matches!(state.phase, Phase::Provisioning | Phase::Rolling | Phase::RollingBack)
        {
            let lead = order.ready_at.duration_since(order.ordered_at);
            if record.at.duration_since(hold.since) < lead {
                self.accuse(format!("{key} is given back although another would cost more"));
            }
            if state.servers.values().any(rollout::state::Server::is_out) {
                self.accuse(format!("{key} is given back while servers are out"));
            }
            return;
        }
        if state.rollback.is_none() && order.is_some_and(|order| record.at < order.release_at) {
            self.accuse(format!("{key} is given back before its time"));
        }
        if let Phase::Stabilising { until } = state.phase
            && record.at < until
        {
            self.accuse(format!("{key} is given back before the fleet is stable"));
        }
    }
}

/// Names of what takes the place of lost surge end in `-x` and a number.
fn is_replacement(name: &ServerName) -> bool {
    let last = name.as_str().rsplit('-').next().unwrap_or_default();
    last.strip_prefix('x').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
}
