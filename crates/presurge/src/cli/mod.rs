//! The command line: one verb per file. Data goes to standard output, words for people to
//! standard error.

mod exit;
mod schema;
mod validate;

use clap::{Parser, Subcommand};

pub use exit::{Code, Failed};

/// Rolling updates that see the load coming.
#[derive(Debug, Parser)]
#[command(name = "presurge", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check a configuration
    Validate(validate::Validate),
    /// Print the JSON Schema of the configuration
    Schema,
}

impl Cli {
    /// Does what was asked for.
    pub fn run(self) -> Result<Code, Failed> {
        match self.verb {
            Verb::Validate(verb) => verb.run(),
            Verb::Schema => schema::run(),
        }
    }
}
