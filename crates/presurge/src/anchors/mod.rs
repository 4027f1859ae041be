//! Anchors: the driver's process signs heads of its journals and sends them where the journal is
//! not, so that a cut tail and a chain that was computed anew are found.
//!
//! Nothing here can hold a rollout up: heads are signed and handed on by threads of their own, and
//! what these cannot write is a warning, told once. The chain of freezes, which every driver of a store
//! reads, is anchored with the others.

mod key;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;

use domain::freeze::Freezes;
use domain::journal::{Head, Record};
use jiff::Timestamp;
use rollout::driver::Audience;
use rollout::observe::Seen;
use rollout::state::State;

pub use key::{PublicKey, SigningKey, make};
pub use reader::{Trusted, read};
pub use writer::{Destination, Writer};

/// Shows every new head to the writer of anchors, and tells its troubles.
pub struct Watched {
    audience: Arc<dyn Audience>,
    writer: Arc<Writer>,
}

impl Watched {
    /// An audience, with its heads anchored.
    pub fn new(audience: Arc<dyn Audience>, writer: Arc<Writer>) -> Self {
        Self { audience, writer }
    }
}

impl Audience for Watched {
    fn recorded(&self, state: &State, record: &Record) {
        self.writer.saw(&record.rollout, record.head());
        self.audience.recorded(state, record);
    }

    fn read_freezes(&self, head: &Head) {
        self.writer.saw(&Freezes::chain(), head.clone());
        self.audience.read_freezes(head);
    }

    fn looked(&self, state: &State, seen: &Seen, now: Timestamp) {
        if let Some(text) = self.writer.trouble() {
            self.audience.troubled(&text);
        }
        self.audience.looked(state, seen, now);
    }

    fn troubled(&self, text: &str) {
        self.audience.troubled(text);
    }
}
