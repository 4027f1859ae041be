//! Looking at what updated servers run: somebody may put another machine in the place of one.

use std::time::Duration;

use domain::journal::Entry;
use domain::ports::Target;
use futures_util::future::join_all;
use jiff::Timestamp;

use super::Driver;
use super::memory::Memory;
use super::sight::{note, world_entry};
use crate::observe::{Runs, Seen};
use crate::outcome;
use crate::settings::{VERSION_LOOK_SECONDS, VERSION_LOOKS};
use crate::state::{Phase, Server, State};

/// The names of the calls begin so.
const CALL: &str = "updater.observe ";

impl Driver {
    /// Asks some of the updated servers what they run, those first that were asked longest ago, each
    /// about once a minute.
    pub(super) async fn look_at_versions(
        &self,
        state: &State,
        memory: &mut Memory,
        now: Timestamp,
    ) {
        use Phase::{Provisioning, Rolling, RollingBack, Stabilising};
        let watched =
            matches!(state.phase, Provisioning | Rolling | RollingBack | Stabilising { .. });
        let back = |s: &&Server| watched && state.has_arrived(s);
        let back: Vec<Target> = state.servers.values().filter(back).map(Server::target).collect();
        memory.runs.retain(|name, _| back.iter().any(|target| target.server == *name));
        let is_asked = |call: &str| {
            call.strip_prefix(CALL)
                .is_none_or(|name| back.iter().any(|t| t.server.as_str() == name))
        };
        memory.keep(is_asked);
        let every = Duration::from_secs(VERSION_LOOK_SECONDS);
        let asked_at = |target: &Target| memory.runs.get(&target.server).map(|runs| runs.at);
        let due = |target: &Target| {
            let at = asked_at(target);
            let lately = at.is_some_and(|at| now < at + every && now >= at);
            (!lately && memory.is_due(&call(target), now)).then_some(at)
        };
        let mut due: Vec<_> =
            back.iter().filter_map(|target| Some((due(target)?, target))).collect();
        due.sort_by_key(|(at, _)| *at);
        let share = back.len().div_ceil(60);
        due.truncate(share.clamp(*VERSION_LOOKS.start(), *VERSION_LOOKS.end()));
        let ask = due
            .iter()
            .map(|(_, target)| self.bounded("updater", self.world.updater.observe(target)));
        let answers = join_all(ask).await;
        for ((_, target), answer) in due.into_iter().zip(answers) {
            if let Some(seen) = note(memory, &call(target), now, answer) {
                let version = seen.version.filter(|_| !seen.in_progress);
                memory.runs.insert(target.server.clone(), Runs { at: now, version });
            }
        }
    }

    /// Updated servers that do not run the target any more.
    pub(super) fn reversions(&self, state: &State, seen: &Seen) -> Vec<Entry> {
        let now = self.world.clock.now();
        outcome::reverted(state, &seen.runs).into_iter().map(|o| world_entry(o, now)).collect()
    }
}

fn call(target: &Target) -> String {
    format!("{CALL}{}", target.server)
}
