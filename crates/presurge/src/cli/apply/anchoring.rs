//! What the command line says about anchors.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use adapters::clock::SystemClock;
use clap::Args;
use domain::name::RolloutId;
use domain::ports::Journal;

use crate::anchors::{Destination, SigningKey, Writer};
use crate::cli::Failed;

/// Signed heads of the journal.
#[derive(Debug, Clone, Args)]
pub struct Anchoring {
    /// Append signed heads of the journal to this file; `-` is standard output
    #[arg(long, value_name = "FILE|-", requires = "anchor_key")]
    anchors: Option<PathBuf>,
    /// The key that signs them (`presurge audit key` makes one)
    #[arg(long, value_name = "FILE", requires = "anchors")]
    anchor_key: Option<PathBuf>,
    /// Sign after so many events; and at the start and the end
    #[arg(long, value_name = "N", default_value = "20")]
    anchor_every: NonZeroU64,
}

impl Anchoring {
    /// What writes anchors; idle where none were asked for. A key that cannot be used is an error
    /// before anything is done.
    pub fn start(&self) -> Result<Writer, Failed> {
        let (Some(to), Some(key)) = (&self.anchors, &self.anchor_key) else {
            return Ok(Writer::idle());
        };
        let (key, warning) = SigningKey::read(key).map_err(Failed::data)?;
        if let Some(warning) = warning {
            eprintln!("warning: {warning}");
        }
        let to = match to.to_str() {
            Some("-") => Destination::Stdout,
            _ => Destination::File(to.clone()),
        };
        Ok(Writer::start(key, to, self.anchor_every, Arc::new(SystemClock))?)
    }
}

/// Has the end of a rollout signed that is over: its driver may have been killed just before.
pub async fn sign_end(
    journal: &dyn Journal,
    id: &RolloutId,
    anchors: &Writer,
) -> Result<(), Failed> {
    if let Some(last) = journal.read(id, 0).await?.last() {
        anchors.saw(id, last.head());
    }
    Ok(())
}
