//! `presurge advice`: what was advised, what came of it, and what following it would have saved.

use std::io::Write;
use std::sync::Arc;

use adapters::clock::SystemClock;
use clap::Args;
use domain::advice::Piece;
use domain::name::FleetName;
use domain::ports::Clock;
use serde_json::{Value, json};

use super::output::{self, Format};
use super::store::StoreArgs;
use super::{Code, Failed, runtime};
use crate::apply::advice::rows::{Line, Row, Shown};
use crate::apply::advice;

/// Shows every plan that was told as advice, what would have come of it under the load that came, beside
/// batches of a fixed size from the same moment on, and the sums: the account. What is due is settled first.
#[derive(Debug, Args)]
pub struct Advice {
    /// Only of this fleet
    #[arg(value_name = "FLEET")]
    fleet: Option<FleetName>,
    /// Compute every figure again from the archive, and say where it comes out otherwise
    #[arg(long)]
    check: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    store: StoreArgs,
}

impl Advice {
    pub fn run(self) -> Result<Code, Failed> {
        runtime()?.block_on(self.answer())
    }

    async fn answer(self) -> Result<Code, Failed> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = self.store.open()?;
        let account = advice::settle(store.as_ref(), &clock, clock.now()).await?;
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
                writeln!(out, "\nFollowing the advice would have saved:")?;
                let lines: Vec<Value> = shown.account.iter().map(line).collect();
                output::rows(&mut out, Format::Table, &SUMS, &lines)?;
            }
        }
        Ok(())
    }
}

/// Whether what is written of a piece of advice comes out again.
async fn comes_out(store: &dyn store::Store, piece: &Piece, clock: &Arc<dyn Clock>) -> bool {
    let (seq, settled) = (piece.seq, piece.judged());
    match (advice::again(store, piece, clock).await, settled) {
        (Ok(None), _) => println!("advice {seq}: not judged"),
        (Ok(Some(again)), Some(settled)) if again == *settled => {
            println!("advice {seq}: every figure comes out again");
        }
        (Ok(Some(again)), _) => {
            let (now, then) = (text(&again), text(&settled));
            println!("advice {seq}: DIFFERS: it comes to {now}, and {then} is written");
            return false;
        }
        (Err(error), _) => {
            println!("advice {seq}: cannot be computed again: {}", crate::causes::chain(&error));
            return false;
        }
    }
    true
}

fn text(judged: &impl serde::Serialize) -> String {
    serde_json::to_string(judged).unwrap_or_default()
}

const COLUMNS: [&str; 11] = [
    "advice", "fleet", "rollout", "asked", "state", "way", "waited", "finished", "cost", "overload",
    "late",
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
