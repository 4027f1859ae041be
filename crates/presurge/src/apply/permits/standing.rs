//! How a fleet stands when a permit is asked for: who is out, and what may still be risked.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::config::FleetServer;
use domain::name::{FleetName, ServerName};
use domain::permit::{Permit, Permits};
use domain::ports::{BackendState, Journal};
use jiff::Timestamp;

use super::{PermitError, Wish};
use crate::apply::{chain, keyed};
use crate::pipeline::{PlanError, Prepared};
use crate::registry;

/// The load balancer has this long to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// It cannot be seen who is in service, and why.
pub(super) struct Unseen(pub(super) String);

/// Servers of the fleet that get no requests now, as its load balancer sees it. None are known of a
/// fleet without one.
pub(super) async fn out_of_service(prepared: &Prepared) -> Result<BTreeSet<ServerName>, Unseen> {
    let fleet = &prepared.fleet;
    let Some(entry) = &fleet.traffic else { return Ok(BTreeSet::new()) };
    let unseen = |why: String| {
        Unseen(format!(
            "it cannot be seen which servers of fleet {} are in service: {} {why}; `presurge doctor` tells more",
            fleet.name, entry.adapter
        ))
    };
    let traffic = registry::traffic(entry, &prepared.fleet_here);
    let traffic = traffic.map_err(|error| unseen(crate::causes::chain(&error)))?;
    let known = match tokio::time::timeout(PATIENCE, traffic.observe()).await {
        Ok(answer) => answer.map_err(|error| unseen(error.chain()))?,
        Err(_) => return Err(unseen(format!("has not answered in {} s", PATIENCE.as_secs()))),
    };
    let serving = known.into_iter().filter(|backend| backend.state == BackendState::InService);
    let serving: BTreeSet<ServerName> = serving.map(|backend| backend.server).collect();
    let names = fleet.servers.iter().map(|server| &server.name);
    Ok(names.filter(|name| !serving.contains(*name)).cloned().collect())
}

/// See the module.
pub(super) struct Standing {
    /// Servers that are out by name: those of our own rollouts, and those of permits that name them.
    named: BTreeSet<ServerName>,
    /// Servers that are out by permits which name none.
    unnamed: usize,
    /// Others that get no requests, and did not when a permit in force was granted: none has them out.
    broken: BTreeSet<ServerName>,
    /// Others that get no requests. Those of permits which name none are among them while they are out.
    down: BTreeSet<ServerName>,
    /// Of them, those that are out by the permit itself, which is renewed.
    mine: usize,
    pub(super) left: f64,
    /// When more of the account is free.
    pub(super) frees: Option<Timestamp>,
    /// When the first permit in force ends.
    pub(super) ends: Option<Timestamp>,
}

impl Standing {
    /// How it stands without the permit that is renewed, as far as permits and rollouts tell.
    pub(super) async fn new(
        journal: &dyn Journal,
        prepared: &Prepared,
        permits: &Permits,
        renewed: Option<&Permit>,
        now: Timestamp,
    ) -> Result<Self, PermitError> {
        let (fleet, rollout) = (&prepared.fleet.name, prepared.rollout.name.as_str());
        let mut named = out_by_rollouts(journal, fleet).await?;
        let (mut unnamed, mut ends) = (0, None);
        let is_other = |permit: &&Permit| renewed.is_none_or(|own| own.lease != permit.lease);
        for permit in permits.on(fleet, now).into_iter().filter(is_other) {
            named.extend(permit.servers.iter().cloned());
            unnamed += without_name(permit);
            ends = Some(ends.map_or(permit.until, |end: Timestamp| end.min(permit.until)));
        }
        let deadline = prepared.rollout.deadline(now).map_err(PlanError::Deadline)?;
        let window = deadline.duration_since(now);
        let since = now - window;
        Ok(Self {
            named,
            unnamed,
            broken: BTreeSet::new(),
            down: BTreeSet::new(),
            mine: renewed.map_or(0, without_name),
            left: prepared.rollout.risk.get() - permits.spent(rollout, since),
            frees: permits.frees(rollout, since).map(|at| at + window),
            ends,
        })
    }

    /// These get no requests, those of the permit that is renewed among them.
    pub(super) fn are_down(
        &mut self,
        mut down: BTreeSet<ServerName>,
        in_force: Vec<&Permit>,
        renewed: Option<&Permit>,
    ) {
        let own = renewed.map(|permit| permit.servers.as_slice()).unwrap_or_default();
        down.retain(|name| !self.named.contains(name) && !own.contains(name));
        let was_down = |name: &ServerName| in_force.iter().any(|p| p.already_down.contains(name));
        (self.broken, self.down) = down.into_iter().partition(was_down);
    }

    /// Who gets no requests for another reason than a permit. Where it cannot be told who of several, it
    /// is all of them: one too many is counted then, and not one too few.
    pub(super) fn down_otherwise(&self) -> Vec<ServerName> {
        let more = self.down.iter().filter(|_| self.down.len() > self.unnamed);
        self.broken.iter().chain(more).cloned().collect()
    }

    /// How many are out beside those that are wished for.
    pub(super) fn out(&self, wish: &Wish) -> usize {
        let others = |names: &BTreeSet<ServerName>| {
            names.iter().filter(|name| !wish.servers.contains(name)).count()
        };
        let down = others(&self.down).saturating_sub(self.mine);
        self.named.len() + others(&self.broken) + self.unnamed.max(down)
    }

    /// Who goes out, and who is out meanwhile: where it is not known, whoever carries most.
    pub(super) fn choose(
        &self,
        prepared: &Prepared,
        wish: &Wish,
    ) -> Result<(Vec<ServerName>, Vec<ServerName>), PermitError> {
        let fleet = &prepared.fleet;
        for name in &wish.servers {
            let known = fleet.servers.iter().find(|server| server.name == *name);
            let why = match known {
                None => "is not in the fleet",
                Some(server) if server.own => "is one that Presurge stands on (self)",
                Some(_) if self.named.contains(name) => "is out already",
                Some(_) => continue,
            };
            return Err(PermitError::Servers(format!("{name} {why}")));
        }
        let carries = |server: &FleetServer| server.capacity.values().sum::<f64>();
        let mut all: Vec<&FleetServer> = fleet.servers.iter().collect();
        all.retain(|s| !self.named.contains(&s.name) && !wish.servers.contains(&s.name));
        all.sort_by(|a, b| carries(b).total_cmp(&carries(a)).then(a.name.cmp(&b.name)));
        let broken: Vec<ServerName> =
            self.broken.iter().filter(|name| !wish.servers.contains(name)).cloned().collect();
        all.retain(|server| !self.broken.contains(&server.name));
        let (down, up): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|server| self.down.contains(&server.name));
        let mut down = down.into_iter().map(|server| server.name.clone());
        let mut free = up.into_iter().filter(|server| !server.own).map(|s| s.name.clone());

        let mut servers = wish.servers.clone();
        servers.extend(down.by_ref().take(self.mine));
        let missing = (wish.count as usize).saturating_sub(servers.len());
        servers.extend(free.by_ref().take(missing));
        if servers.len() < wish.count as usize {
            let text =
                format!("fleet {} has no {} servers that could go out", fleet.name, wish.count);
            return Err(PermitError::Servers(text));
        }
        let down: Vec<ServerName> = down.collect();
        let not_out_yet = self.unnamed.saturating_sub(down.len());
        let others = self.named.iter().cloned().chain(broken).chain(down);
        Ok((servers, others.chain(free.take(not_out_yet)).collect()))
    }

    /// Who gets no requests and is not known to be out, in words; empty where that is nobody.
    pub(super) fn down_said(&self) -> String {
        let names: Vec<&str> = self.broken.union(&self.down).map(ServerName::as_str).collect();
        if names.is_empty() {
            return String::new();
        }
        format!(" (the load balancer sends nothing to {})", names.join(", "))
    }
}

/// How many servers a permit is for beside those that it names.
fn without_name(permit: &Permit) -> usize {
    (permit.count as usize).saturating_sub(permit.servers.len())
}

/// Who is out of a fleet by our own open rollouts.
async fn out_by_rollouts(
    journal: &dyn Journal,
    fleet: &FleetName,
) -> Result<BTreeSet<ServerName>, PermitError> {
    let mut out = BTreeSet::new();
    for id in chain::rollouts(journal).await? {
        let Some((state, _)) = keyed::state(journal, &id).await? else { continue };
        if state.created.fleet == *fleet && state.outcome().is_none() {
            let servers = state.servers.values().filter(|server| server.is_out());
            out.extend(servers.map(|server| server.member.name.clone()));
        }
    }
    Ok(out)
}
