//! Presurge on the command line.

mod cli;
mod documents;
mod registry;
mod yaml;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

fn main() -> ExitCode {
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
        Err(failed) => {
            eprintln!("{failed}");
            failed.code().into()
        }
    }
}
