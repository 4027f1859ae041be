//! Three regimes over many traces: a security fix just before the peak, a short deadline at any
//! hour, and a day's time. The whole scenario stands here.

mod scenario;
mod table;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use adapters::clock::SystemClock;
use adapters::load::file::read_series;
use domain::ports::Clock;
use domain::series::{Sample, Series};
use forecast::hygiene::{Hygiene, clean};
use jiff::Timestamp;

use super::{AFTER_DEADLINE, Question, Recorded, Row, Strategy, replay};
use crate::cli::Progress;
use crate::cli::replay::document::Line;
use crate::documents;
use crate::pipeline::Prepared;
use scenario::{FILES, REGIMES, RISKS, Regime};

/// What is measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of the traces.
    pub folder: PathBuf,
    /// At most so many instants per trace and regime.
    pub instants: usize,
    /// At most so many traces.
    pub traces: usize,
    /// The seed of every draw.
    pub seed: u64,
    /// Where every row is written to, as a line of JSON.
    pub rows: Option<PathBuf>,
}

/// One trace, cut where the instants begin.
struct Trace {
    name: String,
    samples: Vec<Sample>,
    series: Series,
    middle: Timestamp,
}

/// The strategies that are set beside each other.
const STRATEGIES: [Strategy; 6] = [
    Strategy::Presurge,
    Strategy::None,
    Strategy::Fixed(0),
    Strategy::Fixed(25),
    Strategy::FixedAny(25),
    Strategy::Clairvoyant,
];

/// Everything that was replayed for one regime at one risk.
struct Part {
    regime: &'static str,
    risk: f64,
    rows: Vec<Row>,
}

/// Replays the regimes and prints what came of it.
///
/// # Errors
/// A folder without traces, or a rollout that cannot be replayed.
pub fn measure(options: &Options, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let traces = traces(options)?;
    let progress = Progress::new("traces", traces.len());
    let mut parts: Vec<Part> = Vec::new();
    for regime in &REGIMES {
        for risk in RISKS {
            parts.push(Part { regime: regime.name, risk, rows: Vec::new() });
        }
    }
    for trace in &traces {
        let mut own = parts.iter_mut();
        for regime in &REGIMES {
            for risk in RISKS {
                let rows = rows(options, trace, regime, risk)?;
                if let Some(part) = own.next() {
                    part.rows.extend(rows);
                }
            }
        }
        progress.step();
    }
    drop(progress);
    if let Some(path) = &options.rows {
        write_rows(path, &parts)?;
    }
    table::print(&parts, &traces.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), options, out)
}

/// A line for each row: its regime, its risk, its trace and day, and what a replay's document says.
fn write_rows(path: &Path, parts: &[Part]) -> Result<(), Box<dyn Error>> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for part in parts {
        for row in &part.rows {
            let line = (part.regime, part.risk, &row.block, Line::new(row));
            serde_json::to_writer(&mut file, &line)?;
            writeln!(file)?;
        }
    }
    Ok(file.flush()?)
}

fn rows(
    options: &Options,
    trace: &Trace,
    regime: &Regime,
    risk: f64,
) -> Result<Vec<Row>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("load.csv"), scenario::load(&trace.samples))?;
    let file = folder.path().join("scenario.yaml");
    let known = trace.series.values().iter().enumerate();
    let known = known.filter(|(index, _)| trace.series.at(*index) < trace.middle);
    let peak = known.map(|(_, value)| *value).filter(|v| v.is_finite()).fold(0.0, f64::max);
    std::fs::write(&file, scenario::documents(regime, risk, peak))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let documents = documents::load(&[file], &clock)?;
    let prepared = Prepared::new(&documents, None, &clock, &[]).map_err(|e| e.to_string())?;
    let instants = regime.instants(&trace.series, trace.middle, options.instants);
    let (Some(first), Some(last)) = (instants.first(), instants.last()) else {
        return Ok(Vec::new());
    };
    let until = *last + regime.deadline() + AFTER_DEADLINE;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let recorded = runtime.block_on(Recorded::read(&prepared, *first, until))?;
    let question = Question {
        instants: &instants,
        strategies: &STRATEGIES,
        seed: options.seed,
        trace: &format!("{} ", trace.name),
        stop: &AtomicBool::new(false),
    };
    let rows = replay(&prepared, &recorded, &question, || {})?;
    Ok(rows.unwrap_or_default())
}

/// The traces of the folder that show a load at all.
fn traces(options: &Options) -> Result<Vec<Trace>, Box<dyn Error>> {
    let mut traces = Vec::new();
    for file in FILES {
        let path = options.folder.join(file);
        if !path.is_file() {
            continue;
        }
        for (name, samples) in read_series(&path)? {
            let series = clean(&samples, &Hygiene::default())?.series;
            let half = series.at(series.values().len() / 2);
            let middle = domain::series::Step::from_seconds(60)?.ceil(half);
            traces.push(Trace { name, samples, series, middle });
        }
    }
    if traces.is_empty() {
        let folder = options.folder.display();
        return Err(format!("{folder}: there is none of {}", FILES.join(", ")).into());
    }
    // Fewer traces are taken from all over the list.
    let every = traces.len().div_ceil(options.traces.max(1));
    Ok(traces.into_iter().step_by(every).collect())
}
