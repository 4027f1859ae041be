//! The parts of the program `presurge`; `main.rs` starts them.

mod anchors;
mod apply;
mod causes;
mod cli;
mod client;
mod demo;
mod documents;
mod lab;
mod notify;
mod pipeline;
mod registry;
mod replay;
mod serve;
mod yaml;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

pub use replay::regimes;

/// Does what the command line asks for.
pub fn run() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed terminal must not hide the exit code.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => cli::Code::Done.into(),
                _ => cli::Code::Usage.into(),
            };
        }
    };
    match cli.run() {
        Ok(code) => code.into(),
        // Nobody reads any more, for instance `presurge schema | head`.
        Err(failed) if failed.is_closed_pipe() => cli::Code::Done.into(),
        Err(failed) => {
            eprintln!("{failed}");
            failed.code().into()
        }
    }
}
