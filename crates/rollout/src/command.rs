//! What must be made so in a state. The list is a function of the state and of what was seen:
//! after a crash the same list comes out, under the same keys.

use domain::name::{Key, ServerName};
use domain::ports::{
    Admission, Backend, BackendState, HookOrder, SizeOrder, SurgeOrder, UpdateOrder, Wanted,
};

use crate::observe::Seen;
use crate::size::SizeStage;
use crate::state::{OrderStage, Phase, Server, Stage, State, SurgeInstance, SurgeStage, Way};

/// A keyed, level-triggered call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Surge shall be there, or be gone.
    Surge(SurgeOrder),
    /// Traffic shall reach a server, or not.
    Admission(Admission),
    /// A server shall run a version.
    Version(UpdateOrder),
    /// A hook shall run.
    Hook(HookOrder),
    /// The auto-scaler shall be set.
    Size(SizeOrder),
}

impl Command {
    /// The key under which the call has one effect.
    pub fn key(&self) -> &Key {
        match self {
            Self::Surge(order) => &order.key,
            Self::Admission(admission) => &admission.key,
            Self::Version(order) => &order.key,
            Self::Hook(order) => &order.key,
            Self::Size(order) => &order.key,
        }
    }

    /// The key of the driver's own polling: a target state under a key, so that ordering and
    /// giving back under one key do not share their back-off.
    pub(crate) fn poll_key(&self) -> String {
        match self {
            Self::Surge(order) => format!("{} ×{}", order.key, order.names.len()),
            Self::Admission(admission) => format!("{} {:?}", admission.key, admission.wanted),
            Self::Version(order) => order.key.to_string(),
            Self::Hook(order) => order.key.to_string(),
            Self::Size(order) => order.key.to_string(),
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
    list.extend(hook_command(state));
    list.extend(size_command(state));
    list
}

fn size_command(state: &State) -> Option<Command> {
    let taken = state.size.as_ref()?;
    let wanted = match &taken.stage {
        SizeStage::Taking => taken.lent.during.clone(),
        SizeStage::Restoring { wanted, .. } => wanted.clone(),
        SizeStage::Set | SizeStage::Changed(_) | SizeStage::Restored => return None,
    };
    Some(Command::Size(SizeOrder {
        key: state.size_key(taken),
        rollout: state.id.clone(),
        fleet: state.created.fleet.clone(),
        expected: taken.found.clone(),
        wanted,
    }))
}

/// The hook that is under way; after an abort or in a roll-back nobody waits for it any more.
fn hook_command(state: &State) -> Option<Command> {
    let run = state.hook_under_way().filter(|_| state.phase != Phase::Aborting)?;
    let all = || state.servers.keys().cloned().collect();
    Some(Command::Hook(HookOrder {
        key: run.key.clone(),
        hook: run.step.hook,
        rollout: state.id.clone(),
        fleet: state.created.fleet.clone(),
        version: state.created.target.clone(),
        revision: state.plan.as_ref().map_or(0, |plan| plan.revision),
        batch: run.batch,
        servers: if run.batch.is_some() { run.servers.clone() } else { all() },
        timeout: state.hook_limit(run.step.hook).unwrap_or_default(),
    }))
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
        // A drain that was sent long ago may arrive after the server was admitted.
        Stage::Warming(_)
            if is_otherwise(seen, name, server.percent) || is_drained(seen, server) =>
        {
            Some(Wanted::Admit(server.percent))
        }
        _ => lost_its_drain(seen, server).then_some(Wanted::Drain),
    };
    if let Some(wanted) = wanted {
        let key = admission_key(state, name, server.seq);
        list.push(Command::Admission(Admission { key, target: server.target(), wanted }));
    }
    // Unseen, a drain may have been forgotten: an update must not begin then, and one that runs can
    // wait to be asked about.
    let out_of_reach = seen.traffic.is_some() && !is_reached(seen, server);
    if server.stage == Stage::Updating && out_of_reach {
        let attempt = server.attempts.to_string();
        let way = match server.way {
            Way::Forth => "update",
            Way::Back => "back",
        };
        let key = Key::of(&[state.id.as_str(), name.as_str(), way, &attempt]);
        let version = state.wants(server).clone();
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
    let backend = backend(seen, server);
    server.must_be_drained() && backend.is_some_and(|b| b.state != BackendState::Drained)
}

/// Whether the load balancer is seen to have a server drained.
pub(crate) fn is_drained(seen: &Seen, server: &Server) -> bool {
    backend(seen, server).is_some_and(|b| b.state == BackendState::Drained)
}

/// Whether requests are seen to reach a server, or may at any moment: it is not drained, or some
/// are under way.
pub(crate) fn is_reached(seen: &Seen, server: &Server) -> bool {
    let reached = |b: &Backend| match b.state {
        BackendState::InService | BackendState::Down => true,
        BackendState::Drained => b.in_flight.is_some_and(|count| count > 0),
    };
    backend(seen, server).is_some_and(reached)
}

fn backend<'a>(seen: &'a Seen, server: &Server) -> Option<&'a Backend> {
    seen.traffic.as_ref()?.get(&server.member.name)
}
