//! `presurge audit`: the journal, for people and for auditors.

mod export;
mod key;
mod replay;
mod show;
mod verify;

use clap::{Args, Subcommand};

use super::store::StoreArgs;
use super::{Code, Failed};

/// Shows, verifies and exports the journal of a rollout.
#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The journal, one event per line
    Show(show::Show),
    /// Check every record, and hold the chain against heads that were kept elsewhere
    Verify(verify::Verify),
    /// The journal as JSON lines
    Export(export::Export),
    /// Compute a past plan again from the archive, and compare
    Replay(replay::Replay),
    /// Make a key that signs the heads of journals (`apply --anchors`)
    Key(key::MakeKey),
}

impl Audit {
    pub fn run(self) -> Result<Code, Failed> {
        let store = &self.store;
        match self.verb {
            Verb::Key(verb) => verb.run(),
            Verb::Show(verb) => super::runtime()?.block_on(verb.answer(store)),
            Verb::Verify(verb) => super::runtime()?.block_on(verb.answer(store)),
            Verb::Replay(verb) => super::runtime()?.block_on(verb.answer(store)),
            Verb::Export(verb) => super::runtime()?.block_on(verb.answer(store)),
        }
    }
}
