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
use crate::notify::Receiver;

/// Signed heads of the journal.
#[derive(Debug, Clone, Args)]
pub struct Anchoring {
    /// Append signed heads of the journal, and of that of freezes, to this file; `-` is standard output;
    /// `notify` the receivers of `spec.notify` that keep them; again for each further one
    #[arg(long, value_name = "FILE|-|notify", requires = "anchor_key")]
    anchors: Vec<PathBuf>,
    /// The key that signs them (`presurge audit key` makes one)
    #[arg(long, value_name = "FILE", requires = "anchors")]
    anchor_key: Option<PathBuf>,
    /// Sign after so many events; and at the start and the end
    #[arg(long, value_name = "N", default_value = "20")]
    anchor_every: NonZeroU64,
}

impl Anchoring {
    /// Whether anchors were asked for.
    pub fn is_asked_for(&self) -> bool {
        self.anchor_key.is_some()
    }

    /// The key, if anchors were asked for. One that cannot be used is an error before anything is done.
    pub fn key(&self) -> Result<Option<SigningKey>, Failed> {
        let Some(key) = &self.anchor_key else { return Ok(None) };
        let (key, warning) = SigningKey::read(key).map_err(Failed::data)?;
        if let Some(warning) = warning {
            eprintln!("warning: {warning}");
        }
        Ok(Some(key))
    }

    /// What writes anchors; idle where none were asked for.
    pub fn start(
        &self,
        key: Option<SigningKey>,
        receivers: impl FnOnce() -> Result<Vec<Receiver>, Failed>,
    ) -> Result<Writer, Failed> {
        let Some(key) = key else { return Ok(Writer::idle()) };
        let notifies = |to: &&PathBuf| to.to_str() == Some("notify");
        let mut to = Vec::new();
        if self.anchors.iter().any(|to| notifies(&to)) {
            let keep = receivers()?.into_iter().filter(|receiver| receiver.notify.keeps_anchors());
            to.extend(keep.map(Destination::Receiver));
            if to.is_empty() {
                return Err(Failed::usage(NOBODY_KEEPS));
            }
        }
        let files = self.anchors.iter().filter(|to| !notifies(to));
        to.extend(files.map(|to| match to.to_str() {
            Some("-") => Destination::Stdout,
            _ => Destination::File(to.clone()),
        }));
        Ok(Writer::start(key, to, self.anchor_every, Arc::new(SystemClock))?)
    }
}

const NOBODY_KEEPS: &str = "--anchors notify: `spec.notify` of the rollout has no receiver that keeps \
                            anchors; add one, for instance { webhook: { url: \"${ANCHORS}\" } }, or give \
                            a file (./notify, if it is called so)";

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
