//! `presurge replay`: what a rollout would have come to at many past instants.

pub mod document;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::forecast::hygiene::HygieneError;
use clap::{Args, ValueEnum};
use domain::config::{DeadlineSpec, PositiveSpan};
use jiff::Timestamp;

use super::output::{self, Format};
use super::progress::Progress;
use super::render::plot;
use super::{Code, Failed, clock, instant, plan_failed, runtime, write_file};
use crate::documents;
use crate::pipeline::{PlanError, Prepared};
use crate::replay::{
    AFTER_DEADLINE, HISTORY_AT_LEAST, MOST_INSTANTS, Question, Recorded, Row, Strategy, replay,
    summaries,
};
use document::Document;

/// A thread that plans may be asked for another instant while it waits for the rest of its own.
const STACK_BYTES: usize = 64 << 20;

/// Starts a rollout at many past instants on the load that really came, each time with what was
/// known then, and sets it against other ways to do it.
#[derive(Debug, Args)]
pub struct Replay {
    /// Configuration files, YAML or JSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The first instant
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Timestamp,
    /// No instant is after this
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Timestamp,
    /// From one instant to the next
    #[arg(long, value_name = "DURATION")]
    every: PositiveSpan,
    /// Which rollout, when the files describe several
    #[arg(long, value_name = "NAME")]
    rollout: Option<String>,
    /// Read the load of a dimension from this file instead
    #[arg(long, value_name = "FLEET/DIMENSION=FILE", value_parser = super::plan::replacement)]
    load: Vec<(String, PathBuf)>,
    /// Which strategies, for instance presurge,fixed-25,clairvoyant; all unless given
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    strategies: Vec<Strategy>,
    /// The seed of every draw
    #[arg(long, default_value_t = 1, value_parser = super::seeds())]
    seed: u64,
    /// How many instants at once; as many as there are processors unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// How to print the table
    #[arg(short, long, value_enum, default_value_t)]
    output: Shape,
    /// Write a page with the table and its pictures
    #[arg(long, value_name = "FILE.html")]
    plot: Option<PathBuf>,
}

/// How a replay is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// For people
    #[default]
    Table,
    /// JSON, with a row per instant and strategy
    Json,
    /// The table as comma-separated values
    Csv,
}

impl Replay {
    pub fn run(self) -> Result<Code, Failed> {
        self.check_plot()?;
        let instants = self.instants()?;
        let clock = clock(None)?;
        let documents = documents::load(&self.files, &clock).map_err(Failed::data)?;
        let prepared = Prepared::new(&documents, self.rollout.as_deref(), &clock, &self.load)?
            .with_calendar_files()
            .map_err(plan_failed)?;
        if let Some(dimension) = prepared.fleet.objectives.keys().next() {
            let text = format!(
                "replay needs to know what a server carries: give spec.capacity.{dimension} as a \
                 number; `presurge plan` says what is learned"
            );
            return Err(Failed::data(text));
        }
        let deadline = deadline(&prepared)?;
        let runtime = runtime()?;
        let (first, last) = (instants[0], instants[instants.len() - 1]);
        let until = last + deadline + AFTER_DEADLINE;
        let recorded = runtime.block_on(Recorded::read(&prepared, first, until));
        let recorded = recorded.map_err(|error| unreadable(error, first, until))?;
        history_suffices(&recorded, first, last, deadline)?;
        let work = Work { replay: self, prepared, recorded, instants };
        let (work, stop) = (Arc::new(work), Arc::new(AtomicBool::new(false)));
        let (own, told) = (work.clone(), stop.clone());
        let rows = runtime.block_on(async {
            tokio::select! {
                rows = tokio::task::spawn_blocking(move || own.rows(&told)) => rows?,
                signal = tokio::signal::ctrl_c() => {
                    stop.store(true, Ordering::Relaxed);
                    signal?;
                    Ok(None)
                }
            }
        });
        // What still computes after Ctrl-C is not waited for; it has written nothing.
        runtime.shutdown_background();
        match rows? {
            Some(rows) => work.answer(rows),
            None => {
                eprintln!("\ninterrupted; nothing was written");
                Ok(Code::Interrupted)
            }
        }
    }

    fn check_plot(&self) -> Result<(), Failed> {
        match plot::Kind::asked(self.plot.as_deref())? {
            Some((path, plot::Kind::Svg)) => Err(Failed::usage(format!(
                "--plot {}: the report of a replay is a page; end the name with .html",
                path.display()
            ))),
            _ => Ok(()),
        }
    }

    fn instants(&self) -> Result<Vec<Timestamp>, Failed> {
        if self.from > self.to {
            let (from, to) = (self.from, self.to);
            return Err(Failed::usage(format!(
                "--from {from} is after --to {to}; give the earlier one first"
            )));
        }
        let mut instants = Vec::new();
        let mut at = self.from;
        while at <= self.to {
            if instants.len() == MOST_INSTANTS {
                let text = format!("more than {MOST_INSTANTS} instants; give a longer --every");
                return Err(Failed::usage(text));
            }
            instants.push(at);
            match at.checked_add(self.every.duration()) {
                Ok(next) => at = next,
                Err(_) => break,
            }
        }
        Ok(instants)
    }

    fn strategies(&self) -> Vec<Strategy> {
        if self.strategies.is_empty() { Strategy::all() } else { self.strategies.clone() }
    }
}

/// The length of the deadline: an instant would lie before or long after most instants.
fn deadline(prepared: &Prepared) -> Result<Duration, Failed> {
    let rollout = &prepared.rollout;
    let name = &rollout.name;
    if let Some(at) = rollout.schedule.start_at {
        return Err(Failed::data(format!(
            "rollout {name}: spec.schedule.startAt is {at}, and a replay starts at many instants; \
             leave it out"
        )));
    }
    match rollout.deadline {
        DeadlineSpec::After(span) => Ok(span.duration()),
        DeadlineSpec::At(at) => Err(Failed::data(format!(
            "rollout {name}: spec.deadline is {at}, and a replay starts at many instants; write a \
             length of time, for instance 24h"
        ))),
    }
}

fn unreadable(error: PlanError, from: Timestamp, to: Timestamp) -> Failed {
    let PlanError::History { dimension, source: HygieneError::Empty } = &error else {
        return plan_failed(error);
    };
    Failed::data(format!(
        "there is no sample of {dimension} from the six weeks before {from} to {to}; give --from \
         and --to within its history"
    ))
}

fn history_suffices(
    recorded: &Recorded,
    first: Timestamp,
    last: Timestamp,
    deadline: Duration,
) -> Result<(), Failed> {
    let (start, end) = (recorded.truth.start(), recorded.truth.end());
    if first < start + HISTORY_AT_LEAST {
        return Err(Failed::data(format!(
            "the load is known from {start} on, and a forecast needs {} days of it before --from; \
             give --from {} or later, or a longer history",
            HISTORY_AT_LEAST.as_secs() / 86_400,
            start + HISTORY_AT_LEAST
        )));
    }
    if last + deadline > end {
        return Err(Failed::data(format!(
            "the load is known until {end}, and the rollout of {last} ends by its deadline at {}; \
             give --to {} or earlier, or a longer history",
            last + deadline,
            end.checked_sub(deadline).unwrap_or(start)
        )));
    }
    Ok(())
}

/// All that a replay is made from.
struct Work {
    replay: Replay,
    prepared: Prepared,
    recorded: Recorded,
    instants: Vec<Timestamp>,
}

impl Work {
    fn rows(&self, stop: &AtomicBool) -> Result<Option<Vec<Row>>, Failed> {
        let strategies = self.replay.strategies();
        let question = Question {
            instants: &self.instants,
            strategies: &strategies,
            seed: self.replay.seed,
            trace: "",
            stop,
        };
        let jobs = usize::from(self.replay.jobs.unwrap_or(0));
        let threads = rayon::ThreadPoolBuilder::new().num_threads(jobs).stack_size(STACK_BYTES);
        let progress = Progress::new("replay", self.instants.len());
        let done = || progress.step();
        let rows =
            threads.build()?.install(|| replay(&self.prepared, &self.recorded, &question, done));
        Ok(rows?)
    }

    fn answer(&self, rows: Vec<Row>) -> Result<Code, Failed> {
        let summaries = summaries(&rows, self.replay.seed);
        let (every, seed) = (self.replay.every.duration(), self.replay.seed);
        let span = (self.instants[0], self.instants[self.instants.len() - 1]);
        let document =
            Document::new(&self.prepared, (span.0, span.1, every), seed, &summaries, &rows);
        let mut out = std::io::stdout().lock();
        match self.replay.output {
            Shape::Json => output::value(&mut out, Format::Json, &document)?,
            Shape::Csv => {
                let columns = document::COLUMNS;
                output::rows(&mut out, Format::Csv, &columns, &document::cells(&summaries)?)?;
            }
            Shape::Table => document.print(&mut out)?,
        }
        if let Some(path) = &self.replay.plot {
            let page = plot::replayed(&self.prepared, &self.recorded.truth, &document, &rows);
            write_file(path, page.as_bytes())?;
        }
        Ok(Code::Done)
    }
}
