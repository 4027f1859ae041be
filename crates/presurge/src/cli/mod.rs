//! The command line: one verb per file. Data goes to standard output, words for people to
//! standard error.

mod advice;
mod apply;
mod audit;
mod backtest;
mod completion;
mod daemon;
mod doctor;
mod exit;
mod explain;
mod forecast;
mod freeze;
pub(crate) mod models;
pub mod orphans;
pub(crate) mod output;
mod permit;
mod plan;
mod progress;
pub(crate) mod render;
pub(crate) mod replay;
pub(crate) mod rollout;
mod schema;
mod series;
mod serve;
mod signals;
mod store;
mod train;
mod validate;
mod version;

use std::path::Path;
use std::sync::Arc;

use ::forecast::hygiene::HygieneError;
use adapters::clock::{ScaledClock, SystemClock};
use clap::{Parser, Subcommand};
use domain::ports::{Clock, Retry};
use jiff::Timestamp;

pub use exit::{Code, Failed};
pub(crate) use progress::Progress;
pub(crate) use store::StoreArgs;

use crate::pipeline::PlanError;

/// Rolling updates that see the load coming: forecasts the load, buys the cheapest extra
/// capacity that keeps the risk of overload under a stated bound, and drives the rollout.
#[derive(Debug, Parser)]
#[command(name = "presurge", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The whole story on this machine in two minutes: real servers, real load, four ways to roll
    Demo(crate::demo::Args),
    /// A server of the demo
    #[command(hide = true)]
    DemoServer(crate::demo::server::Args),
    /// Forecast the series of a file
    Forecast(forecast::Forecast),
    /// Compare models on the past of the series of a file
    Backtest(backtest::Backtest),
    /// Train the network of the model lstm on all series of a file together
    Train(train::Train),
    /// Check a configuration
    Validate(validate::Validate),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Say what a rollout will do, when, what it costs, and how sure that is
    Plan(plan::Plan),
    /// Say where each number of a plan comes from
    Explain(explain::Explain),
    /// Say what a rollout would have come to at many past instants, beside other ways to do it
    Replay(replay::Replay),
    /// Perform a rollout
    Apply(apply::Apply),
    /// Show what was advised, and what following it would have saved
    Advice(advice::Advice),
    /// Look at rollouts; pause, resume, abort them and roll them back
    Rollout(rollout::Rollout),
    /// The kill switch: no more server goes out, of some fleets or of any
    Freeze(freeze::Freeze),
    /// End a freeze
    Unfreeze(freeze::Unfreeze),
    /// Show who forecasts and how well, and what finished rollouts have taught; fix figures
    Models(models::Models),
    /// Ask whether somebody else's updater may take servers out now
    Permit(permit::Permit),
    /// Run the daemon: drive rollouts, and answer over HTTP
    Serve(serve::Serve),
    /// Make a token for the daemon
    Token(serve::MakeToken),
    /// Show, verify and export the journal of a rollout
    Audit(audit::Audit),
    /// List surge that no open rollout answers for, and end it
    Orphans(orphans::Orphans),
    /// Ask every configured endpoint whether it answers
    Doctor(doctor::Doctor),
    /// Print the completion script of a shell
    Completion(completion::Completion),
    /// A server to try things on
    #[command(hide = true)]
    LabServer(crate::lab::server::LabServer),
    /// Steady requests to try things under
    #[command(hide = true)]
    LabLoad(crate::lab::load::LabLoad),
    /// Print the version of this build
    Version(version::Version),
}

impl Cli {
    /// Does what was asked for.
    pub fn run(self) -> Result<Code, Failed> {
        match self.verb {
            Verb::Demo(args) => Ok(crate::demo::run(args)?),
            Verb::DemoServer(args) => Ok(crate::demo::server::run(args)?),
            Verb::Forecast(verb) => verb.run(),
            Verb::Backtest(verb) => verb.run(),
            Verb::Train(verb) => verb.run(),
            Verb::Validate(verb) => verb.run(),
            Verb::Schema => schema::run(),
            Verb::Plan(verb) => verb.run(),
            Verb::Explain(verb) => verb.run(),
            Verb::Replay(verb) => verb.run(),
            Verb::Apply(verb) => verb.run(),
            Verb::Advice(verb) => verb.run(),
            Verb::Rollout(verb) => verb.run(),
            Verb::Freeze(verb) => verb.run(),
            Verb::Unfreeze(verb) => verb.run(),
            Verb::Models(verb) => verb.run(),
            Verb::Permit(verb) => verb.run(),
            Verb::Serve(verb) => verb.run(),
            Verb::Token(verb) => verb.run(),
            Verb::Audit(verb) => verb.run(),
            Verb::Orphans(verb) => verb.run(),
            Verb::Doctor(verb) => verb.run(),
            Verb::Completion(verb) => verb.run(),
            Verb::LabServer(verb) => verb.run(),
            Verb::LabLoad(verb) => verb.run(),
            Verb::Version(verb) => verb.run(),
        }
    }
}

/// What runs everything that waits.
fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// The seeds that a digest tells apart.
fn seeds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(..crate::pipeline::SEEDS)
}

/// The wall clock, or one that begins at a chosen moment.
fn clock(now: Option<Timestamp>) -> Result<Arc<dyn Clock>, Failed> {
    Ok(match now {
        Some(now) => Arc::new(ScaledClock::new(now, 1.0)?),
        None => Arc::new(SystemClock),
    })
}

/// Why there is no plan, with the exit code that it means.
fn plan_failed(error: PlanError) -> Failed {
    let cause = match &error {
        PlanError::Fleet { source, .. } => source,
        alone => alone,
    };
    if let PlanError::History { source: HygieneError::Empty, .. } = cause {
        eprintln!(
            "hint: a plan is made from the six weeks of load before now; if the history ends \
             earlier, `presurge plan --now TIME` says what a plan would have been"
        );
    }
    let code = match cause {
        PlanError::Refused(_) => Code::Refused,
        // A call that can never work was given something wrong.
        PlanError::Port(error) if error.retry == Retry::Never => Code::BadData,
        PlanError::Port(_) | PlanError::Defect(_) => Code::Error,
        _ => Code::BadData,
    };
    Failed::new(code, error)
}

/// Writes a file as a whole or not at all.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    use std::io::Write;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).and_then(|mut file| {
            file.write_all(bytes)?;
            readable(file.as_file())?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)
        });
    written.map(|_| ()).map_err(|error| {
        Failed::new(Code::Error, format!("{} cannot be written: {error}", path.display()))
    })
}

/// Temporary files are private; what the user asked for is as other files of theirs.
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

/// Reads an instant of the command line.
fn instant(text: &str) -> Result<Timestamp, domain::config::BadInstant> {
    text.parse::<domain::config::Instant>().map(|instant| instant.0)
}
