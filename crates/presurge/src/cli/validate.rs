//! `presurge validate`: check a configuration without touching anything outside.

use std::path::PathBuf;
use std::sync::Arc;

use adapters::clock::SystemClock;
use clap::Args;
use domain::ports::Clock;

use super::{Code, Failed};
use crate::documents::{self, BadDocuments};

/// Checks files: syntax, names, units, ranges, adapters, and whether the deadline lies ahead.
/// Nothing outside the files is asked; that is what `doctor` does.
#[derive(Debug, Args)]
pub struct Validate {
    /// Configuration files, YAML or JSON; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Validate {
    pub fn run(self) -> Result<Code, Failed> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let documents = documents::load(&self.files, &clock).map_err(Failed::data)?;
        for file in &documents.rollouts {
            file.rollout()
                .deadline(clock.now())
                .map_err(|finding| Failed::data(BadDocuments::from(file.complain(finding))))?;
        }
        for fleet in documents.fleets.values() {
            let (name, servers) = (&fleet.fleet.name, fleet.fleet.servers.len());
            eprintln!("ok: fleet {name}: {servers} servers, {} offers", fleet.fleet.offers.len());
        }
        for file in &documents.rollouts {
            let rollout = file.rollout();
            let fleets: Vec<&str> = file.parts.iter().map(|part| part.fleet.as_str()).collect();
            let word = if fleets.len() == 1 { "fleet" } else { "fleets" };
            let (name, target, risk) = (&rollout.name, &rollout.target, rollout.risk.get());
            eprintln!("ok: rollout {name}: {word} {} to {target}, risk {risk}", fleets.join(", "));
        }
        Ok(Code::Done)
    }
}
