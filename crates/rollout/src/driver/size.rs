//! Looking at the auto-scaler, every now and then.

use domain::size::SizeSettings;
use jiff::Timestamp;
use std::time::Duration;

use super::Driver;
use super::memory::Memory;
use super::sight::note;
use crate::settings::SIZE_LOOK_SECONDS;
use crate::size::SizeStage;
use crate::state::State;

/// The name of the call.
const CALL: &str = "size.observe";

impl Driver {
    /// The settings as they were seen last, and since when they give it more freedom than it was
    /// given. While a command is under way nobody looks, since what is seen may be of before.
    pub(super) async fn look_at_size(
        &self,
        state: &State,
        memory: &mut Memory,
        now: Timestamp,
    ) -> Option<SizeSettings> {
        let Some(size) = self.world.size.as_ref().filter(|_| is_looked_at(state)) else {
            memory.size = None;
            memory.keep(|call| call != CALL);
            return None;
        };
        // What was seen before the newest command is of no use any more.
        let after = state.size.as_ref().map(|taken| taken.seq);
        memory.size.take_if(|(_, _, seen_after)| *seen_after != after);
        let every = Duration::from_secs(SIZE_LOOK_SECONDS);
        let looked = memory.size.as_ref().map(|(at, ..)| *at);
        // A clock that was set back must not make it wait for longer.
        let due = looked.is_none_or(|at| now >= at + every || now < at);
        if due && memory.is_due(CALL, now) {
            let answer = self.bounded("auto-scaler", size.observe()).await;
            memory.size = note(memory, CALL, now, answer).map(|settings| (now, settings, after));
        }
        let settings = memory.size.as_ref().map(|(_, settings, _)| settings.clone());
        let set = state.size.as_ref().filter(|taken| taken.stage == SizeStage::Set);
        let loose = set
            .zip(settings.as_ref())
            .map(|(taken, settings)| !settings.weaker_than(&taken.lent.during).is_empty());
        match loose {
            Some(true) => drop(memory.size_loose_since.get_or_insert(now)),
            Some(false) => memory.size_loose_since = None,
            None => memory.size_loose_since = None,
        }
        settings
    }
}

fn is_looked_at(state: &State) -> bool {
    let stage = state.size.as_ref().map(|taken| &taken.stage);
    state.created.policy.size.is_some() && matches!(stage, None | Some(SizeStage::Set))
}
