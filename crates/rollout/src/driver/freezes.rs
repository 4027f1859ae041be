//! Whether people have frozen the fleet: read on in the chain of freezes, which every driver of a
//! store shares.

use domain::freeze::{BadFreezes, Freezes};
use domain::ports::{PortError, Retry};

use super::Driver;
use super::memory::Memory;
use super::sight::note;
use crate::observe::Stop;
use crate::state::State;

impl Driver {
    /// What the chain of freezes says now.
    pub(super) async fn look_at_freezes(&self, state: &State, memory: &mut Memory) -> Stop {
        let chain = Freezes::chain();
        let after = memory.freezes.head().seq;
        let read = self.bounded("journal of freezes", self.journal.read(&chain, after)).await;
        let taken = read.and_then(|records| {
            let damaged = |error: BadFreezes| {
                PortError::new("journal of freezes", "reading on", Retry::Never, error)
            };
            let taken = records.iter().try_for_each(|record| memory.freezes.take(record));
            let head = memory.freezes.head();
            if head.seq > after {
                self.audience.read_freezes(head);
            }
            taken.map_err(damaged)
        });
        let now = self.world.clock.now();
        if note(memory, "freezes.read", now, taken).is_none() {
            return Stop::Unknown;
        }
        match memory.freezes.on(&state.created.fleet, now) {
            Some(freeze) => Stop::Frozen(freeze.to_string()),
            None => Stop::No,
        }
    }
}
