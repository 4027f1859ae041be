//! `presurge version`.

use std::io::Write;

use clap::Args;
use serde_json::json;

use super::output::{self, Format};
use super::{Code, Failed};

/// Prints what this build is.
#[derive(Debug, Args)]
pub struct Version {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl Version {
    pub fn run(self) -> Result<Code, Failed> {
        let (version, machine) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
        let mut out = std::io::stdout().lock();
        if self.output == Format::Table {
            writeln!(out, "presurge {version} ({}, {machine})", std::env::consts::OS)?;
            return Ok(Code::Done);
        }
        let about = json!({
            "version": version,
            "os": std::env::consts::OS,
            "architecture": machine,
            "apiVersion": domain::plan::API_VERSION,
            "journalFormat": domain::event::FORMAT,
        });
        output::value(&mut out, self.output, &about)?;
        Ok(Code::Done)
    }
}
