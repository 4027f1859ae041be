//! `presurge advice`: what was advised, what came of it, and what following it would have saved.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use adapters::clock::SystemClock;
use clap::{Args, Subcommand};
use domain::advice::Piece;
use domain::name::FleetName;
use domain::ports::Clock;
use serde_json::{Value, json};

use super::freeze::reason;
use super::output::{self, Format};
use super::store::StoreArgs;
use super::{Code, Failed, runtime};
use crate::apply::advice::did::{self, NotTaken};
use crate::apply::advice::rows::{Line, Row, Shown};
use crate::apply::advice::{self, Account, Unsettled};
use crate::apply::chain;
use crate::apply::control::Petition;

/// Shows every plan that was told as advice, what would have come of it under the load that came, beside
/// batches of a fixed size from the same moment on, and the sums: the account. What is due is settled first.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Advice {
    #[command(subcommand)]
    act: Option<Act>,
    /// Only of this fleet
    #[arg(value_name = "FLEET")]
    fleet: Option<FleetName>,
    /// Compute every figure again from the archive, and say where it comes out otherwise
    #[arg(long)]
    check: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t, global = true)]
    output: Format,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Say what was done instead, so that it stands beside the advice
    Did(WasDone),
}

#[derive(Debug, Args)]
struct WasDone {
    /// The number of the advice
    #[arg(value_name = "ADVICE")]
    advice: u64,
    /// What was done: batches and surge with their times, in the words of a plan (docs/advice.md)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where it is known from, for the journal
    #[arg(long, value_parser = reason)]
    reason: String,
}

impl Advice {
    pub fn run(self) -> Result<Code, Failed> {
        runtime()?.block_on(self.answer())
    }

    async fn answer(self) -> Result<Code, Failed> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let Some(store) = self.store.existing()? else {
            return match &self.act {
                Some(Act::Did(done)) => Err(not_taken(NotTaken::NotJudged(done.advice))),
                None => self.print(&Account::default().shown(|_| true)).map(|()| Code::Done),
            };
        };
        let mut account = advice::settle(store.as_ref(), &clock, clock.now()).await?;
        if let Some(Act::Did(done)) = &self.act {
            let file = done.file.display().to_string();
            let text = std::fs::read_to_string(&done.file);
            let text = text.map_err(|error| Failed::data(format!("{file}: {error}")))?;
            let petition = Petition::here(&done.reason, clock.now());
            let told = (file.as_str(), text.as_str());
            let taken = did::answer(store.as_ref(), done.advice, told, &clock, &petition).await;
            taken.map_err(not_taken)?;
            account.advice = chain::read(store.as_ref()).await?;
        }
        let mine = |piece: &Piece| self.fleet.as_ref().is_none_or(|f| *f == piece.advised.fleet);
        if self.check {
            let pieces = account.advice.pieces().filter(|piece| mine(piece));
            let mut code = Code::Done;
            for piece in pieces {
                if !comes_out(store.as_ref(), piece, &clock).await {
                    code = Code::Error;
                }
            }
            return Ok(code);
        }
        self.print(&account.shown(mine))?;
        Ok(Code::Done)
    }

    fn print(&self, shown: &Shown) -> Result<(), Failed> {
        let mut out = std::io::stdout().lock();
        match self.output {
            Format::Json | Format::Yaml => output::value(&mut out, self.output, shown)?,
            Format::Csv => output::rows(&mut out, Format::Csv, &COLUMNS, &rows(shown))?,
            Format::Table => {
                if shown.advice.is_empty() {
                    eprintln!("nothing was advised yet: `presurge apply FILE --mode advise`");
                }
                output::rows(&mut out, Format::Table, &COLUMNS, &rows(shown))?;
                for row in shown.advice.iter().filter(|row| row.why.is_some()) {
                    let why = row.why.as_deref().unwrap_or_default();
                    writeln!(out, "advice {}: {}", row.advice, why)?;
                }
                if !shown.account.is_empty() {
                    writeln!(out, "\nFollowing the advice would have saved:")?;
                    let lines: Vec<Value> = shown.account.iter().map(line).collect();
                    output::rows(&mut out, Format::Table, &SUMS, &lines)?;
                }
            }
        }
        Ok(())
    }
}

/// What cannot be so is bad data; a store or a load that does not answer is an error.
fn not_taken(why: NotTaken) -> Failed {
    match why {
        NotTaken::NotJudged(_) | NotTaken::Told(_) => Failed::data(why),
        NotTaken::Unsettled(Unsettled::Judge(_) | Unsettled::Early(_)) => Failed::data(why),
        NotTaken::Unsettled(_) | NotTaken::Advice(_) => Failed::new(Code::Error, why),
    }
}

/// Whether what is written of a piece of advice comes out again.
async fn comes_out(store: &dyn store::Store, piece: &Piece, clock: &Arc<dyn Clock>) -> bool {
    let again = advice::again(store, piece, clock).await;
    let mut good = tell(piece.seq, "it", again, piece.judged());
    if let Some((_, did)) = &piece.did {
        let again = did::again(store, piece, clock).await;
        good &= tell(piece.seq, "what was done", again, Some(&did.came));
    }
    good
}

fn tell<T: PartialEq + serde::Serialize>(
    seq: u64,
    what: &str,
    again: Result<Option<T>, Unsettled>,
    written: Option<&T>,
) -> bool {
    match (again, written) {
        (Ok(None), _) => println!("advice {seq}: {what} is not judged"),
        (Ok(Some(again)), Some(written)) if again == *written => {
            println!("advice {seq}: every figure of {what} comes out again");
        }
        (Ok(Some(again)), _) => {
            let (now, then) = (text(&again), text(&written));
            println!("advice {seq}: {what} DIFFERS: it comes to {now}, and {then} is written");
            return false;
        }
        (Err(error), _) => {
            let why = crate::causes::chain(&error);
            println!("advice {seq}: {what} cannot be computed again: {why}");
            return false;
        }
    }
    true
}

fn text(judged: &impl serde::Serialize) -> String {
    serde_json::to_string(judged).unwrap_or_default()
}

const COLUMNS: [&str; 11] = [
    "advice", "fleet", "rollout", "asked", "state", "way", "waited", "finished", "cost",
    "overload", "late",
];

const SUMS: [&str; 7] =
    ["fleet", "against", "pieces", "saved", "overload avoided", "later", "worse in"];

/// One row for each way of each piece; the plan as it was told, where nothing is known yet.
fn rows(shown: &Shown) -> Vec<Value> {
    shown.advice.iter().flat_map(of_piece).collect()
}

fn of_piece(row: &Row) -> Vec<Value> {
    let since = |at: jiff::Timestamp| at.duration_since(row.asked_at).as_secs_f64().max(0.0) / 60.0;
    let one = |way: &str, waited, finished, cost, overload: Option<f64>, late| {
        json!({
            "advice": row.advice, "fleet": row.fleet, "rollout": row.rollout,
            "asked": format!("{:.0}", row.asked_at), "state": row.state, "way": way,
            "waited": minutes(waited), "finished": minutes(finished),
            "cost": format!("{:.2} {}", cost, row.currency),
            "overload": overload.map(minutes), "late": late,
        })
    };
    if row.came.is_empty() {
        let (waited, finished) = (since(row.start_at), since(row.finish_at));
        return vec![one("advice, as planned", waited, finished, row.cost, None, Value::Null)];
    }
    let came = row.came.iter().map(|(way, came)| {
        let overload = Some(came.attributable_minutes);
        one(way, came.waited_minutes, came.finished_minutes, came.cost, overload, came.late.into())
    });
    came.collect()
}

fn minutes(minutes: f64) -> String {
    format!("{minutes:.1} min")
}

fn line(line: &Line) -> Value {
    json!({
        "fleet": line.fleet, "against": line.against, "pieces": line.pieces,
        "saved": format!("{:.2} {}", line.saved, line.currency),
        "overload avoided": minutes(line.avoided_minutes),
        "later": minutes(line.later_minutes), "worse in": line.worse,
    })
}
