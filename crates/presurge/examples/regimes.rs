//! Replays three regimes over traces of server load and prints what Presurge came to beside fixed
//! batches and a clairvoyant.
//!
//! ```sh
//! cargo run --release -p presurge --example regimes -- --data ../shared/data
//! cargo run --release -p presurge --example regimes -- --data ../shared/data --quick
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use presurge::regimes::{Options, measure};

/// Three regimes over many traces.
#[derive(Debug, Parser)]
struct Args {
    /// The folder with the traces
    #[arg(long, default_value = "../shared/data", env = "PRESURGE_DATA")]
    data: PathBuf,
    /// At most so many instants per trace and regime
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    instants: u32,
    /// At most so many traces
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    traces: u32,
    /// A minute's worth: six traces, two instants each
    #[arg(long)]
    quick: bool,
    /// The seed of every draw
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write every rollout of every strategy to this file, one JSON object a line
    #[arg(long)]
    rows: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let (instants, traces) = if args.quick { (2, 6) } else { (args.instants, args.traces) };
    let options = Options {
        folder: args.data,
        instants: instants as usize,
        traces: traces as usize,
        seed: args.seed,
        rows: args.rows,
    };
    match measure(&options, &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(65)
        }
    }
}
