//! What must be made so in a state. The list is a function of the state and of what was seen:
//! after a crash the same list comes out, under the same keys.

use domain::name::{Key, ServerName};
use domain::ports::{Admission, BackendState, SurgeOrder, UpdateOrder, Wanted};

use crate::observe::Seen;
use crate::state::{OrderStage, Server, Stage, State, SurgeInstance, SurgeStage};

/// A keyed, level-triggered call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Surge shall be there, or be gone.
    Surge(SurgeOrder),
    /// Traffic shall reach a server, or not.
    Admission(Admission),
    /// A server shall run a version.
    Version(UpdateOrder),
}

impl Command {
    /// The key under which the call has one effect.
    pub fn key(&self) -> &Key {
        match self {
            Self::Surge(order) => &order.key,
            Self::Admission(admission) => &admission.key,
            Self::Version(order) => &order.key,
        }
    }

    /// The key of the driver's own polling: a target state under a key, so that ordering and
    /// giving back under one key do not share their back-off.
    pub(crate) fn poll_key(&self) -> String {
        match self {
            Self::Surge(order) => format!("{} ×{}", order.key, order.names.len()),
            Self::Admission(admission) => format!("{} {:?}", admission.key, admission.wanted),
            Self::Version(order) => order.key.to_string(),
        }
    }
}

/// Everything that is to be made so now.
pub fn commands(state: &State, seen: &Seen) -> Vec<Command> {
    let mut list = Vec::new();
    for (key, order) in &state.orders {
        let names = match order.stage {
            OrderStage::Ordered => order.names.clone(),
            OrderStage::Releasing if all_left(&order.instances) => Vec::new(),
            _ => {
                list.extend(order.instances.iter().filter_map(|i| surge_admission(state, seen, i)));
                continue;
            }
        };
        let (offer, version) = (order.offer.clone(), order.version.clone());
        list.push(Command::Surge(SurgeOrder { key: key.clone(), offer, names, version }));
    }
    for server in state.servers.values() {
        list.extend(server_command(state, seen, server));
    }
    list
}

fn all_left(instances: &[SurgeInstance]) -> bool {
    instances.iter().all(|i| i.stage == SurgeStage::Left)
}

fn admission_key(state: &State, server: &ServerName, seq: u64) -> Key {
    Key::of(&[state.id.as_str(), server.as_str(), "traffic", &seq.to_string()])
}

fn surge_admission(state: &State, seen: &Seen, instance: &SurgeInstance) -> Option<Command> {
    let name = &instance.running.name;
    let wanted = match instance.stage {
        SurgeStage::Joining => Wanted::Admit(instance.percent),
        SurgeStage::Joined(_) if is_otherwise(seen, name, instance.percent) => {
            Wanted::Admit(instance.percent)
        }
        SurgeStage::Draining => Wanted::Drain,
        SurgeStage::Cutting => Wanted::Cut,
        SurgeStage::Drained => Wanted::Remove,
        _ => return None,
    };
    let key = admission_key(state, name, instance.seq);
    Some(Command::Admission(Admission { key, target: instance.target(), wanted }))
}

fn server_command(state: &State, seen: &Seen, server: &Server) -> Vec<Command> {
    let name = &server.member.name;
    let mut list = Vec::new();
    let wanted = match server.stage {
        Stage::Draining => Some(Wanted::Drain),
        Stage::Cutting => Some(Wanted::Cut),
        Stage::Restoring => Some(Wanted::Admit(server.percent)),
        Stage::Warming(_) if is_otherwise(seen, name, server.percent) => {
            Some(Wanted::Admit(server.percent))
        }
        _ => lost_its_drain(seen, server).then_some(Wanted::Drain),
    };
    if let Some(wanted) = wanted {
        let key = admission_key(state, name, server.seq);
        list.push(Command::Admission(Admission { key, target: server.target(), wanted }));
    }
    if server.stage == Stage::Updating {
        let attempt = server.attempts.to_string();
        let key = Key::of(&[state.id.as_str(), name.as_str(), "update", &attempt]);
        let version = state.created.target.clone();
        list.push(Command::Version(UpdateOrder { key, target: server.target(), version }));
    }
    list
}

/// Whether the load balancer does not know a server that shall get traffic, as one that was reloaded
/// forgets those that were added at run time, or gives it another weight.
fn is_otherwise(seen: &Seen, name: &ServerName, percent: u8) -> bool {
    let Some(traffic) = &seen.traffic else { return false };
    traffic.get(name).is_none_or(|backend| backend.weight.is_some_and(|w| w != percent))
}

/// A load balancer that was reloaded forgets its drains; they are made so again.
fn lost_its_drain(seen: &Seen, server: &Server) -> bool {
    let backend = seen.traffic.as_ref().and_then(|t| t.get(&server.member.name));
    server.must_be_drained() && backend.is_some_and(|b| b.state != BackendState::Drained)
}
