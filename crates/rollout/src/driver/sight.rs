//! Looking at the world.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;

use domain::event::Event;
use domain::journal::{Actor, Entry};
use domain::name::ServerName;
use domain::ports::{Backend, BackendState, Instance, PortError, Retry, Target, Verdict};
use domain::series::Sample;
use futures_util::future::{Either, join_all, join3, select};
use jiff::Timestamp;

use super::memory::Memory;
use super::{Driver, LoadWatch};
use crate::observe::{Seen, Stop};
use crate::outcome;
use crate::settings::{FAILURES_WRITTEN, VERDICTS_WRITTEN};
use crate::state::{OrderStage, Stage, State, SurgeStage};

/// So many newest samples are looked at.
const NEWEST_SAMPLES: u32 = 8;

#[derive(Debug, thiserror::Error)]
#[error("no answer within {0} s")]
struct NoAnswer(f64);

impl Driver {
    /// A call that is given up when it takes too long.
    pub(super) async fn bounded<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let limit = self.pace.call_timeout;
        let late = self.world.clock.sleep_until(self.world.clock.now() + limit);
        match select(pin!(call), late).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                let error = NoAnswer(limit.as_secs_f64());
                Err(PortError::new(what, "waiting for an answer", Retry::Backoff, error))
            }
        }
    }

    /// Looks at load balancer, surge, load and gates, side by side.
    pub(super) async fn look(&self, state: &State, memory: &mut Memory) -> Seen {
        let now = self.world.clock.now();
        let (traffic, surge, load) = join3(
            self.look_at_traffic(),
            self.look_at_surge(state),
            self.look_at_load(memory, now),
        )
        .await;
        let traffic = note(memory, "traffic.observe", now, traffic).map(by_server);
        let surge = match surge {
            Some(answer) => note(memory, "provisioner.observe", now, answer).map(by_name),
            None => Some(BTreeMap::new()),
        };
        if load.is_some() {
            memory.load_at = Some(now);
        }
        for (watch, answer) in self.world.load.iter().zip(load.into_iter().flatten()) {
            let call = format!("load.{}", watch.dimension);
            if let Some(samples) = note(memory, &call, now, answer) {
                memory.load.insert(watch.dimension.clone(), complete(watch, samples, now));
            }
        }
        self.ask_gates(state, memory).await;
        let size = self.look_at_size(state, memory, now).await;
        self.look_at_versions(state, memory, now).await;
        if let Some(traffic) = &traffic {
            note_down(state, traffic, memory, now);
            memory.serving.take(state, traffic, &self.world.shares, now);
        }
        let asked = asked(state);
        let gates = asked
            .iter()
            .map(|t| (t.server.clone(), memory.tallies.state(&t.server, &self.world.gates, now)));
        Seen {
            gates: gates.collect(),
            traffic,
            surge,
            load: memory.load.clone(),
            down_since: memory.down_since.clone(),
            failing: memory.failing(),
            sold_out: memory.sold_out(),
            stop: Stop::Unknown,
            size,
            size_loose_since: memory.size_loose_since,
            runs: memory.runs.clone(),
            refused_at: memory.refused_at,
            verdict: memory.verdict.clone(),
        }
    }

    async fn look_at_traffic(&self) -> Result<Vec<Backend>, PortError> {
        self.bounded("load balancer", self.world.traffic.observe()).await
    }

    async fn look_at_surge(&self, state: &State) -> Option<Result<Vec<Instance>, PortError>> {
        let open = state.orders.values().any(|o| o.stage != OrderStage::Released);
        let provisioner = self.world.provisioner.as_ref().filter(|_| open)?;
        Some(self.bounded("provisioner", provisioner.observe()).await)
    }

    /// `None` when it is not time yet.
    async fn look_at_load(
        &self,
        memory: &Memory,
        now: Timestamp,
    ) -> Option<Vec<Result<Vec<Sample>, PortError>>> {
        // A clock that was set back must not make it wait for longer.
        let due = memory.load_at.is_none_or(|at| now >= at + self.pace.load_every || now < at);
        if !due {
            return None;
        }
        let ask = self.world.load.iter().map(|watch| async move {
            let from = now - watch.delay - watch.step * NEWEST_SAMPLES;
            self.bounded("load source", watch.source.samples(from, now)).await
        });
        Some(join_all(ask).await)
    }

    async fn ask_gates(&self, state: &State, memory: &mut Memory) {
        let now = self.world.clock.now();
        let asked = asked(state);
        let since = asked.iter().filter_map(|t| Some((t.server.clone(), since(state, &t.server)?)));
        let before = std::mem::replace(&mut memory.asked, since.collect());
        let same = |name: &ServerName| before.get(name) == memory.asked.get(name);
        memory.tallies.keep(|name| memory.asked.contains_key(name) && same(name));
        let mut calls = Vec::new();
        for target in &asked {
            for (index, gate) in self.world.gates.iter().enumerate() {
                if memory.tallies.is_due(&target.server, index, gate, now) {
                    calls.push(async move {
                        let verdict = self.bounded(&gate.name, gate.health.check(target)).await;
                        (target, index, verdict)
                    });
                }
            }
        }
        for (target, index, verdict) in join_all(calls).await {
            let call = format!("gate.{index}");
            // A gate that does not work cannot tell either.
            let vague = verdict.as_ref().err().map(|error| Verdict::Inconclusive(error.chain()));
            if let Some(verdict) = note(memory, &call, now, verdict).or(vague) {
                memory.tallies.count(&target.server, index, now, &verdict);
            }
        }
    }

    /// What gates say of a server that they did not say before, as far as it is told.
    pub(super) fn verdicts(&self, state: &State, memory: &Memory) -> Vec<Entry> {
        let now = self.world.clock.now();
        let mut list = Vec::new();
        for target in asked(state) {
            let server = state.servers.get(&target.server).map(|s| (&s.verdicts, s.seq));
            let surge = || state.surge_instance(&target.server).map(|(_, i)| (&i.verdicts, i.seq));
            let Some((known, cause)) = server.or_else(surge) else { continue };
            for (index, gate) in self.world.gates.iter().enumerate() {
                let Some(newest) = memory.tallies.newest(&target.server, index) else { continue };
                let before = known.get(&gate.name);
                let (verdict, saw) = newest.parts();
                let news = before.is_none_or(|before| {
                    before.verdict != verdict && before.changes < VERDICTS_WRITTEN
                });
                if news {
                    let event = Event::GateJudged {
                        server: target.server.clone(),
                        gate: gate.name.clone(),
                        verdict,
                        saw: saw.into(),
                    };
                    let reason = format!("gate {}: {saw}", gate.name);
                    list.push(world_entry(outcome::Outcome { event, reason, cause }, now));
                }
            }
        }
        list
    }

    /// What the load balancer counted of single servers, when it is time to tell.
    pub(super) fn served(&self, state: &State, memory: &mut Memory) -> Option<Entry> {
        let told = memory.serving.told(state)?;
        Some(world_entry(told, self.world.clock.now()))
    }

    /// Surge that is gone without having been asked to go.
    pub(super) fn losses(&self, state: &State, seen: &Seen) -> Vec<Entry> {
        let now = self.world.clock.now();
        let instances: Vec<_> = seen.surge.iter().flat_map(|s| s.values().cloned()).collect();
        outcome::losses(state, &instances).into_iter().map(|o| world_entry(o, now)).collect()
    }
}

/// An outcome as the world's entry in the journal.
pub(super) fn world_entry(outcome: outcome::Outcome, at: Timestamp) -> Entry {
    Entry {
        at,
        actor: Actor::world(),
        cause: Some(outcome.cause),
        reason: outcome.reason,
        inputs: None,
        event: outcome.event,
    }
}

/// Servers whose gates are asked: updated ones, and surge that is not in service yet.
fn asked(state: &State) -> Vec<Target> {
    let verifying = state.servers.values().filter(|s| s.stage == Stage::Verifying);
    let surge = state.orders.values().filter(|o| o.stage == OrderStage::Running);
    let running = surge.flat_map(|o| &o.instances).filter(|i| i.stage == SurgeStage::Running);
    let servers = verifying.map(crate::state::Server::target);
    servers.chain(running.map(crate::state::SurgeInstance::target)).collect()
}

/// The number of the event since which a server or an instance is as it is.
fn since(state: &State, name: &ServerName) -> Option<u64> {
    let server = state.servers.get(name).map(|server| server.seq);
    server.or_else(|| state.surge_instance(name).map(|(_, instance)| instance.seq))
}

pub(super) fn note<T>(
    memory: &mut Memory,
    call: &str,
    now: Timestamp,
    answer: Result<T, PortError>,
) -> Option<T> {
    match answer {
        Ok(value) => {
            memory.answered(call, now, None);
            Some(value)
        }
        Err(error) => {
            memory.failed(call, now, &error, FAILURES_WRITTEN);
            None
        }
    }
}

fn by_server(backends: Vec<Backend>) -> BTreeMap<ServerName, Backend> {
    backends.into_iter().map(|b| (b.server.clone(), b)).collect()
}

fn by_name(instances: Vec<Instance>) -> BTreeMap<ServerName, Instance> {
    instances.into_iter().map(|i| (i.name.clone(), i)).collect()
}

/// Samples whose interval and delay have passed, finite, in the unit of the capacity.
fn complete(watch: &LoadWatch, samples: Vec<Sample>, now: Timestamp) -> Vec<Sample> {
    let ended = |s: &Sample| s.at + watch.step + watch.delay <= now;
    let good = samples.into_iter().filter(|s| s.value.is_finite() && ended(s));
    good.map(|s| Sample { at: s.at, value: s.value * watch.scale }).collect()
}

/// Servers that the rollout counts on and that get no requests.
fn note_down(
    state: &State,
    traffic: &BTreeMap<ServerName, Backend>,
    memory: &mut Memory,
    now: Timestamp,
) {
    let fleet = state.servers.values();
    let counted =
        fleet.filter(|s| matches!(s.stage, Stage::Waiting | Stage::Back | Stage::Warming(_)));
    let surge = state.orders.values().filter(|o| o.stage == OrderStage::Running);
    let joined =
        surge.flat_map(|o| &o.instances).filter(|i| matches!(i.stage, SurgeStage::Joined(_)));
    let names = counted.map(|s| &s.member.name).chain(joined.map(|i| &i.running.name));
    let in_service =
        |name: &ServerName| traffic.get(name).is_some_and(|b| b.state == BackendState::InService);
    let down: Vec<_> = names.filter(|n| !in_service(n)).cloned().collect();
    memory.down_since.retain(|name, _| down.contains(name));
    for name in down {
        memory.down_since.entry(name).or_insert(now);
    }
}
