//! Rolling back: every server runs again what it ran before. What is out turns round first; what came
//! back at the target goes out once more, in batches of a plan of its own that spend the same account.

use domain::name::{ServerName, Version};
use jiff::Timestamp;

use crate::state::{Phase, Runs, Server, Stage, State, Way};

/// A roll-back that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// When.
    pub since: Timestamp,
    /// The number of the event.
    pub seq: u64,
    /// The last server is back by then. It has as long as the whole rollout was given, from its request
    /// on: a roll-back takes out at most as many servers, and one that is asked for when the time is
    /// over must not be refused for that.
    pub deadline: Timestamp,
}

impl State {
    /// Which way servers that go out are updated.
    pub fn way(&self) -> Way {
        if self.rollback.is_some() { Way::Back } else { Way::Forth }
    }

    /// What the update of a server that is under way is to bring.
    pub fn wants(&self, server: &Server) -> &Version {
        let before = self.created.before.get(&server.member.name);
        match server.way {
            Way::Back => before.unwrap_or(&self.created.target),
            Way::Forth => &self.created.target,
        }
    }

    /// Whether a server is back with what the rollout brings it, the way that it goes now.
    pub fn has_arrived(&self, server: &Server) -> bool {
        server.stage == Stage::Back && server.way == self.way()
    }

    /// The last server is back by then.
    pub fn deadline(&self) -> Timestamp {
        self.rollback.as_ref().map_or(self.created.deadline, |back| back.deadline)
    }

    /// Whether a rollout that goes back has to update a server for it: it may run something else than
    /// before.
    pub fn goes_back(&self, server: &Server) -> bool {
        let before = self.created.before.get(&server.member.name);
        self.rollback.is_some()
            && server.runs != Runs::Before
            && before != Some(&self.created.target)
    }

    /// Whether a server that was on its way to the target when the roll-back was asked for is to be
    /// turned round where it is.
    pub(crate) fn turns_round(&self, server: &Server) -> bool {
        self.phase != Phase::Aborting && server.way == Way::Forth && self.goes_back(server)
    }

    /// Whether the plan in force was made before the roll-back was asked for, so that nothing of it
    /// begins any more.
    pub(crate) fn is_outlived(&self) -> bool {
        self.rollback.as_ref().is_some_and(|back| self.plan_seq < back.seq)
    }

    /// Whether the rollout may be rolled back as it stands.
    ///
    /// # Errors
    /// Why not, and what to do instead.
    pub fn may_roll_back(&self) -> Result<(), String> {
        if !self.created.policy.reversible {
            return Err(
                "its configuration says `reversible: false`: what cannot be undone is never \
                        rolled back; abort it, or resume it with more capacity"
                    .into(),
            );
        }
        if self.rollback.is_some() {
            return Err("it is being rolled back already".into());
        }
        match self.phase {
            Phase::New => return Err("it has no plan yet; nothing of it is to be undone".into()),
            Phase::Aborting => {
                return Err(
                    "it is being aborted; when that is over, apply the former version".into()
                );
            }
            _ if self.size_is_leaving() => {
                return Err(
                    "it is all but over: its auto-scaler is being put back; apply the former version"
                        .into(),
                );
            }
            Phase::Finished(_) => return Err("it has ended; apply the former version".into()),
            _ => {}
        }
        let touched = |s: &&Server| s.runs != Runs::Before;
        let unknown = |s: &&Server| !self.created.before.contains_key(&s.member.name);
        let lost: Vec<&ServerName> =
            self.servers.values().filter(touched).filter(unknown).map(|s| &s.member.name).collect();
        let Some(first) = lost.first() else { return Ok(()) };
        Err(format!(
            "nobody knows what {first}{} ran before: a roll-back needs an updater that can observe \
             (`observe` of exec), asked when the rollout began; abort it, then apply the former version",
            if lost.len() > 1 { format!(" and {} others", lost.len() - 1) } else { String::new() }
        ))
    }
}
