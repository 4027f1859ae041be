//! Making it so: issuing the commands of a state and turning the answers into events.

use domain::event::{Event, HookPoint};
use domain::journal::{Actor, Entry};
use domain::ports::{PortError, Retry, SurgeOrder};
use futures_util::future::join_all;
use jiff::Timestamp;

use super::Driver;
use super::memory::Memory;
use super::sight::world_entry;
use crate::command::{Command, commands};
use crate::observe::Seen;
use crate::outcome::{Answer, failed_for_good, outcomes};
use crate::settings::FAILURES_WRITTEN;
use crate::state::State;

#[derive(Debug, thiserror::Error)]
#[error("the fleet has no `surge.provisioner`")]
struct NoProvisioner;

#[derive(Debug, thiserror::Error)]
#[error("the rollout has no hook {0} any more")]
struct NoHook(HookPoint);

#[derive(Debug, thiserror::Error)]
#[error("the fleet has no `size` any more")]
struct NoSize;

impl Driver {
    /// Issues every command that is due, side by side, and returns what became of them.
    pub(super) async fn issue(
        &self,
        state: &State,
        seen: &Seen,
        memory: &mut Memory,
    ) -> Vec<Entry> {
        let now = self.world.clock.now();
        let all = commands(state, seen);
        let keys: Vec<_> = all.iter().map(Command::poll_key).collect();
        memory.keep(|call| is_observation(call) || keys.iter().any(|key| key == call));
        let due: Vec<_> = all.into_iter().filter(|c| memory.is_due(&c.poll_key(), now)).collect();
        let answers = join_all(due.iter().map(|command| self.call(command))).await;
        let now = self.world.clock.now();
        let mut entries = Vec::new();
        for (command, answer) in due.iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    let (events, pause) = outcomes(state, command, answer, now);
                    memory.answered(&command.poll_key(), now, pause);
                    entries.extend(events.into_iter().map(|o| world_entry(o, now)));
                }
                Err(error) => entries.extend(failure(state, command, &error, memory, now)),
            }
        }
        entries
    }

    async fn call(&self, command: &Command) -> Result<Answer, PortError> {
        match command {
            Command::Surge(order) => {
                let provisioner = self.world.provisioner.as_ref().ok_or_else(|| {
                    PortError::new("surge", "buying", Retry::Never, NoProvisioner)
                })?;
                let call = provisioner.ensure_surge(order);
                self.bounded("provisioner", call).await.map(Answer::Surge)
            }
            Command::Admission(admission) => {
                let call = self.world.traffic.ensure_admission(admission);
                self.bounded("load balancer", call).await.map(Answer::Admission)
            }
            Command::Version(order) => {
                let call = self.world.updater.ensure_version(order);
                self.bounded("updater", call).await.map(Answer::Version)
            }
            Command::Hook(order) => {
                let hook = self.world.hooks.get(&order.hook).ok_or_else(|| {
                    PortError::new("hooks", "running one", Retry::Never, NoHook(order.hook))
                })?;
                self.bounded("hook", hook.ensure_run(order)).await.map(Answer::Hook)
            }
            Command::Size(order) => {
                let size =
                    self.world.size.as_ref().ok_or_else(|| {
                        PortError::new("size", "setting it", Retry::Never, NoSize)
                    })?;
                self.bounded("auto-scaler", size.ensure(order)).await.map(Answer::Size)
            }
        }
    }
}

fn is_observation(call: &str) -> bool {
    let kinds = ["traffic.", "provisioner.", "load.", "gate.", "freezes.", "size.", "updater."];
    kinds.iter().any(|kind| call.starts_with(kind))
}

fn failure(
    state: &State,
    command: &Command,
    error: &PortError,
    memory: &mut Memory,
    now: Timestamp,
) -> Option<Entry> {
    if let Some(outcome) = failed_for_good(state, command, error) {
        memory.answered(&command.poll_key(), now, None);
        return Some(world_entry(outcome, now));
    }
    let news = memory.failed(&command.poll_key(), now, error, FAILURES_WRITTEN);
    let wanted = |order: &SurgeOrder| !order.names.is_empty();
    let is_refused_surge =
        matches!(command, Command::Surge(order) if error.retry == Retry::Never && wanted(order));
    if is_refused_surge {
        memory.refused(&command.poll_key(), command.key());
    }
    let event = Event::CommandFailed { key: command.key().to_string(), error: error.chain() };
    news.then(|| Entry {
        at: now,
        actor: Actor::world(),
        cause: Some(state.head.seq),
        reason: match error.retry {
            Retry::Never if is_refused_surge => {
                "the seller refuses it; what has not come is not waited for".into()
            }
            Retry::Never => "it will fail again; mend it, the call is repeated slowly".into(),
            Retry::Backoff | Retry::After(_) => "it is tried again".into(),
        },
        inputs: None,
        event,
    })
}
