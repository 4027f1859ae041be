//! The closing side-by-side of the runs.

use std::io::Write;
use std::path::PathBuf;

use domain::plan::Refused;
use serde_json::{Map, Value, json};

use super::Format;
use super::board::{End, Figures, Run};
use super::settings::WAIT_LIMIT;

/// What the demo found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The seed of everything.
    pub seed: u64,
    /// The runs in the order in which they were performed.
    pub figures: Vec<(Run, Figures)>,
    /// Where the journal was kept, if it was.
    pub journal: Option<PathBuf>,
}

impl Report {
    /// Prints it to standard output.
    pub fn print(&self, format: Format) {
        let text = match format {
            Format::Table => self.table(),
            Format::Json => format!("{}\n", self.json()),
        };
        // Whoever closed the pipe does not want to read it.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }

    /// Whether a rollout was not finished.
    pub fn was_aborted(&self) -> bool {
        self.figures.iter().any(|(_, figures)| figures.end == End::Aborted)
    }

    /// One object with one key for each run.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        for (run, figures) in &self.figures {
            object.insert(key(*run).into(), of_run(figures));
        }
        Value::Object(object)
    }

    /// A row for each run.
    pub fn table(&self) -> String {
        let mut text = format!(
            "\nThe same load, the same servers, seed {}. Overloaded: a real second in which a request \
             was\nrefused or waited over {} ms for a worker.\n\n{:<24}{:>9}{:>8}{:>9}{:>9}{:>12}{:>12}{:>11}{:>9}\n",
            self.seed,
            WAIT_LIMIT.as_millis(),
            "",
            "requests",
            "failed",
            "p50",
            "p99",
            "overloaded",
            "surge cost",
            "duration",
            "journal"
        );
        for (run, figures) in &self.figures {
            let Figures { totals, surge_cost, duration_seconds, journal_events, .. } = figures;
            text += &format!(
                "{:<24}{:>9}{:>8}{:>6.0} ms{:>6.0} ms{:>10} s{:>8.2} USD{:>9.1} s{:>9}\n",
                run.title(),
                totals.requests,
                totals.failed,
                totals.p50_ms,
                totals.p99_ms,
                totals.overloaded_seconds,
                surge_cost,
                duration_seconds,
                journal_events
            );
        }
        if self.was_aborted() {
            text += "\nPresurge held, and was aborted when the load of the demo ended: what was updated \
                     stays so,\nthe rest runs the old version, all of it in service, the surge given \
                     back.\n";
        }
        if let Some(file) = &self.journal {
            let file = file.display();
            text += &format!("\nThe journal: presurge audit show security-fix --store {file}\n");
        }
        text
    }
}

fn key(run: Run) -> &'static str {
    match run {
        Run::Presurge => "presurge",
        Run::NoRollout => "noRollout",
        Run::Fixed => "fixed",
        Run::FixedSurge => "fixedSurge",
    }
}

fn of_run(figures: &Figures) -> Value {
    let hundredths = |value: f64| (value * 100.0).round() / 100.0;
    let outcome = match figures.end {
        End::NoRollout => Value::Null,
        End::Done => "done".into(),
        End::Aborted => "aborted".into(),
    };
    json!({
        "outcome": outcome,
        "requests": figures.totals.requests,
        "failed": figures.totals.failed,
        "p50Ms": figures.totals.p50_ms,
        "p99Ms": figures.totals.p99_ms,
        "longestWaitMs": figures.totals.longest_wait_ms,
        "overloadedSeconds": figures.totals.overloaded_seconds,
        "surgeCost": hundredths(figures.surge_cost),
        "durationSeconds": hundredths(figures.duration_seconds),
        "journalEvents": figures.journal_events,
    })
}

/// Why there is no plan: the object to standard output, the words to standard error.
pub fn print_refusal(refused: &Refused, format: Format) {
    let mut text = format!("refused: {}: {}\n", refused.binding, refused.detail);
    for would in &refused.would_fit {
        let (change, end, cost) = (&would.change, would.finish_at, would.cost);
        text += &format!("  would fit with {change}: done by {end}, for {cost:.2} USD\n");
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
    if format == Format::Json {
        let _ = writeln!(std::io::stdout(), "{}", json!({ "refused": refused }));
    }
}
