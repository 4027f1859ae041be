//! `presurge audit key`: a pair of keys for anchors.

use std::path::PathBuf;

use clap::Args;

use crate::anchors;
use crate::cli::{Code, Failed};

/// Makes an Ed25519 key in FILE, readable by its owner alone, and its public key in FILE.pub.
#[derive(Debug, Args)]
pub struct MakeKey {
    /// The new file of the private key
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl MakeKey {
    pub fn run(self) -> Result<Code, Failed> {
        let (public, beside) = anchors::make(&self.file)?;
        println!("{}", public.id());
        eprintln!(
            "{} signs; keep it where the drivers run. {} checks; keep it, and the anchors, where \
             who writes the journal cannot write",
            self.file.display(),
            beside.display()
        );
        Ok(Code::Done)
    }
}
