//! `presurge train`: a network for the model `lstm`, of the load of a fleet.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use domain::config::PositiveSpan;

use super::series::HistoryArgs;
use super::{Code, Failed};

#[cfg(feature = "train")]
mod work;

/// Trains the network of the model lstm on all series of a file together, each on its own scale,
/// and judges it by the newest part of every series, which it does not learn from. The file is
/// written where the network is better there than the one that is part of the program.
#[derive(Debug, Args)]
#[cfg_attr(not(feature = "train"), allow(dead_code, reason = "only the feature reads them"))]
pub struct Train {
    #[command(flatten)]
    history: HistoryArgs,
    /// Where the weights go, for --lstm of forecast and backtest
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What the first weights are drawn from: the same seed gives the same weights
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How often all is learned from, at most; training ends earlier where the held-out loss has
    /// stopped to fall
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    epochs: u32,
    /// No epoch begins after this time, for instance 10m; the weights then depend on the speed of
    /// the machine
    #[arg(long, value_name = "DURATION")]
    time_limit: Option<PositiveSpan>,
    /// The share of the newest values of every series that is held out, 0.01 to 0.5
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    held_out: f64,
    /// Whether the network sees the time of day and the day of the week (UTC); not where the
    /// timestamps mean nothing
    #[arg(long, value_enum, default_value_t)]
    calendar: Calendar,
    /// Draw the losses over the epochs into a file
    #[arg(long, value_name = "FILE.svg|FILE.html")]
    plot: Option<PathBuf>,
}

/// Whether timestamps mean something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Calendar {
    /// The network sees the calendar
    #[default]
    Used,
    /// It goes by the seasons of each series alone
    Unused,
}

impl Train {
    #[cfg(feature = "train")]
    pub fn run(self) -> Result<Code, Failed> {
        work::run(&self)
    }

    #[cfg(not(feature = "train"))]
    pub fn run(self) -> Result<Code, Failed> {
        Err(Failed::usage(
            "this build forecasts with networks but cannot train any; for one that can, \
             `cargo build --release -p presurge --features train`",
        ))
    }
}
