//! Servers that fail: how often each is tried, and how many of them a rollout bears.

use domain::name::ServerName;

use crate::state::{Phase, Server, Stage, State, Way};

impl Server {
    /// What failed, while it is out because of that.
    pub fn failure(&self) -> Option<&str> {
        match &self.stage {
            Stage::Failed(detail) => Some(detail),
            _ => None,
        }
    }
}

impl State {
    /// Whether a failed server is tried again without a person. One that failed on its way to the
    /// target is turned round in a roll-back.
    pub(crate) fn tries_again(&self, server: &Server) -> bool {
        let left = match (self.way(), server.way) {
            (Way::Forth, _) => server.attempts.max(1) <= self.created.policy.retries,
            (Way::Back, Way::Forth) => self.turns_round(server),
            (Way::Back, Way::Back) => server.attempts <= self.created.policy.retries,
        };
        server.failure().is_some() && left && self.phase != Phase::Aborting
    }

    /// Servers that failed and are not tried again by themselves.
    pub fn given_up(&self) -> Vec<&Server> {
        self.failed().into_iter().filter(|server| !self.tries_again(server)).collect()
    }

    /// Why the rollout does not bear what failed, if so. Within the failure budget it does, unless
    /// nothing has shown yet that the target works: a canary that failed as a whole is no accident.
    pub fn unborne(&self) -> Option<String> {
        let (failed, budget) = (self.given_up(), self.created.policy.failure_budget as usize);
        let told: Vec<String> = failed
            .iter()
            .map(|s| format!("{}: {}", s.member.name, s.failure().unwrap_or_default()))
            .collect();
        let told = told.join("; ");
        let lost = |name: &ServerName| failed.iter().any(|server| server.member.name == *name);
        let batch_is_lost = self.open.as_ref().is_some_and(|o| o.batch.servers.iter().all(lost));
        if failed.len() > budget {
            return Some(match budget {
                0 => told,
                _ => format!("{} servers failed, the budget is {budget}: {told}", failed.len()),
            });
        }
        let unproven = batch_is_lost
            && self.way() == Way::Forth
            && self.servers.values().all(|server| !server.is_updated());
        let target = &self.created.target;
        unproven.then(|| format!("no server of the first batch runs {target}: {told}"))
    }

    /// Whether a server is on its way out or back.
    pub(crate) fn is_under_way(&self) -> bool {
        self.servers.values().any(|server| server.is_out() && server.failure().is_none())
    }
}
