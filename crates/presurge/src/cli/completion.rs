//! `presurge completion`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Code, Failed};

/// Prints a completion script: for bash, for instance, put it in
/// `~/.local/share/bash-completion/completions/presurge`.
#[derive(Debug, Args)]
pub struct Completion {
    /// Of which shell
    shell: Shell,
}

impl Completion {
    pub fn run(self) -> Result<Code, Failed> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "presurge", &mut script);
        std::io::Write::write_all(&mut std::io::stdout().lock(), &script)?;
        Ok(Code::Done)
    }
}
