//! `presurge schema`: the JSON Schema of the configuration.

use std::io::Write;

use super::{Code, Failed};
use crate::registry;

/// Prints the schema.
pub fn run() -> Result<Code, Failed> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &registry::published())?;
    writeln!(out)?;
    Ok(Code::Done)
}
