//! `presurge demo`: the whole story on this machine. Real server processes behind a real load
//! balancer under real HTTP load that follows a measured week; a rolling update by Presurge, then
//! the same load with no rollout, with a fixed roll, and with a fixed roll with surge.
//!
//! ```text
//!  profile ──► load ──HTTP──► balancer ──► fleet (processes)
//!     │          │               ▲            ▲
//!     └─history  └─measured      │ drain      │ restart
//!          ▼          ▼          │            │
//!        outlook ──► plan ──► driver, or fixed roll ──► board ──► view
//! ```

mod balancer;
mod board;
mod fixed;
mod fleet;
mod load;
mod measured;
mod outlook;
mod plan_words;
mod profile;
mod report;
pub mod server;
mod settings;
mod stage;
mod stop;
mod surge;
mod tally;
mod teller;
mod updater;
mod view;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::config::PositiveSpan;
use domain::plan::Refused;
use forecast::ForecastError;
use jiff::Timestamp;

use balancer::Kind;
use board::{Board, Run};
use fleet::Fleet;
use load::Measured;
use outlook::{Outlook, OutlookError};
use profile::Curve;
use report::Report;
use settings::{ASKED_AT, HISTORY_WEEKS, LOAD_STEP_SECONDS, RUN};
use stage::{Common, StageError};
use stop::Stop;
use tally::Tally;
use view::View;

use crate::cli::{Code, Failed};

/// What the load does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// It goes on as its history lets expect
    Usual,
    /// After some hours a quarter more load comes than any forecast could know
    Incident,
}

/// How the figures are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table for people
    Table,
    /// One JSON object
    Json,
}

/// See it work on this machine, in about two minutes: four runs on the same load
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Fixes the load and every other draw
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The load balancer in front of the fleet
    #[arg(long, value_enum, default_value_t = Kind::Embedded)]
    balancer: Kind,
    /// What the load does
    #[arg(long, value_enum, default_value_t = Scenario::Usual)]
    scenario: Scenario,
    /// The last server is back this long after the start, in the time of the story [default: 13h]
    #[arg(long)]
    deadline: Option<PositiveSpan>,
    /// Besides the run by Presurge only this one; all four unless given
    #[arg(long, value_enum, hide = true)]
    against: Option<Against>,
    /// Show lines instead of a live view
    #[arg(long)]
    headless: bool,
    /// How the figures are printed to standard output
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Keep the journal of the rollout in this new file
    #[arg(long)]
    journal: Option<PathBuf>,
}

/// For tests that have no time for all four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Against {
    Nothing,
    Fixed,
}

/// Why a demo ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The machine does not give what the demo needs.
    #[error("{what}")]
    Machine {
        /// What was asked of it.
        what: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The load cannot be forecast.
    #[error("the load cannot be forecast")]
    Forecast(#[from] ForecastError),
    /// A file is there already.
    #[error("{0} is there already; name a new file for the journal")]
    JournalExists(PathBuf),
    /// A run ended early.
    #[error("the run \"{}\" ended early", .run.title())]
    Stage {
        /// Which.
        run: Run,
        /// Why.
        #[source]
        source: Box<StageError>,
    },
}

fn machine(what: &'static str) -> impl Fn(std::io::Error) -> DemoError {
    move |source| DemoError::Machine { what, source }
}

/// Plays the demo and prints its figures. Interrupted, it takes everything down and returns 130;
/// when no plan fits, it says why and returns 3; when the rollout still holds at the end, 4.
///
/// # Errors
/// What did not work, with what to do about it. Nothing is left running in any case.
pub fn run(args: Args) -> Result<Code, Failed> {
    let threads =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    Ok(threads.map_err(machine("no threads for the demo"))?.block_on(play(args))?)
}

/// What the demo stands on.
struct Ground {
    fleet: Arc<Fleet>,
    folder: tempfile::TempDir,
    journal: PathBuf,
    stop: Stop,
}

impl Ground {
    fn new(args: &Args) -> Result<Self, DemoError> {
        let program = std::env::current_exe();
        let program = program.map_err(machine("this program cannot find itself"))?;
        let folder = tempfile::Builder::new().prefix("presurge-demo-").tempdir();
        let folder = folder.map_err(machine("no temporary folder for the demo"))?;
        let journal = match &args.journal {
            Some(path) if path.exists() => return Err(DemoError::JournalExists(path.clone())),
            Some(path) => path.clone(),
            None => folder.path().join("journal.db"),
        };
        let stop = Stop::on_signals().map_err(machine("signals cannot be watched"))?;
        Ok(Self { fleet: Arc::new(Fleet::new(program)), folder, journal, stop })
    }
}

async fn play(args: Args) -> Result<Code, DemoError> {
    let ground = Ground::new(&args)?;
    let live = !args.headless && std::io::stderr().is_terminal();
    let view = View::start(live, heading(&args)).map_err(machine("the terminal cannot be used"))?;
    let ended = story(&args, &view.board, &ground).await;
    // Whatever happened: nothing is left running, and the terminal is as it was.
    ground.fleet.stop().await;
    view.stop().await;
    Ok(match ended? {
        Ended::Played(report) => {
            report.print(args.output);
            if report.was_aborted() { Code::Aborted } else { Code::Done }
        }
        Ended::Refused(refused) => {
            report::print_refusal(&refused, args.output);
            Code::Refused
        }
        Ended::Interrupted => {
            let _ = writeln!(std::io::stderr(), "interrupted; nothing is left running");
            Code::Interrupted
        }
    })
}

enum Ended {
    Played(Report),
    Refused(Refused),
    Interrupted,
}

fn heading(args: &Args) -> String {
    let balancer = match args.balancer {
        Kind::Embedded => "embedded",
        Kind::Haproxy => "haproxy",
    };
    let scenario = match args.scenario {
        Scenario::Usual => "",
        Scenario::Incident => ", with an incident",
    };
    format!("seed {}, {balancer}{scenario}; 1 s = 30 min", args.seed)
}

async fn story(args: &Args, board: &Board, ground: &Ground) -> Result<Ended, DemoError> {
    let origin: Timestamp = ASKED_AT.parse().expect("the moment is written as one");
    let weeks = Duration::from_secs(HISTORY_WEEKS.unsigned_abs() * 7 * 86_400);
    let begin = origin - weeks;
    let whole = (weeks + RUN).as_secs() / LOAD_STEP_SECONDS.unsigned_abs() + 2;
    let mut curve = Curve::generate(args.seed, begin, usize::try_from(whole).unwrap_or(1));
    if args.scenario == Scenario::Incident {
        curve = curve.with_incident(origin);
    }
    let deadline = outlook::deadline(origin, args.deadline.map(|span| span.duration()));
    let history = curve.samples(origin);
    let measured = || {
        let (history, tally) = (history.clone(), Arc::<Tally>::default());
        Arc::new(Measured { history, origin, tally })
    };
    board.event(origin, "learning from four weeks of load");
    let load = measured();
    let learning = {
        let (load, seed) = (Arc::clone(&load), args.seed);
        tokio::task::spawn_blocking(move || Outlook::learn(load, seed, deadline))
    };
    let learned = tokio::select! {
        learned = learning => learned,
        () = ground.stop.wanted() => return Ok(Ended::Interrupted),
    };
    let cut = |e| machine("the forecast was cut short")(std::io::Error::other(e));
    let outlook = Arc::new(learned.map_err(cut)??);
    let (model, bands) = outlook.bands()?;
    board.event(origin, &format!("forecast by {model}"));
    board.forecast(bands);
    let common = Common {
        balancer: args.balancer,
        arrivals: load::arrivals(&curve, origin, RUN, args.seed),
        origin,
        deadline,
        outlook,
        fleet: Arc::clone(&ground.fleet),
        folder: ground.folder.path().to_path_buf(),
        journal: ground.journal.clone(),
        stop: ground.stop.clone(),
        board: board.clone(),
    };
    let runs = match args.against {
        None => Run::ALL.to_vec(),
        Some(Against::Nothing) => vec![Run::Presurge],
        Some(Against::Fixed) => vec![Run::Presurge, Run::Fixed],
    };
    let mut figures = Vec::new();
    for run in runs {
        let load = if run == Run::Presurge { Arc::clone(&load) } else { measured() };
        match stage::perform(&common, run, load).await {
            Ok(found) => figures.push((run, found)),
            Err(StageError::Interrupted) => return Ok(Ended::Interrupted),
            Err(StageError::Outlook(OutlookError::Refused(refused))) => {
                return Ok(Ended::Refused(refused));
            }
            Err(source) => return Err(DemoError::Stage { run, source: Box::new(source) }),
        }
    }
    Ok(Ended::Played(Report { seed: args.seed, figures, journal: args.journal.clone() }))
}
