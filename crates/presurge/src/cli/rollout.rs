//! `presurge rollout`: look at rollouts, and say what shall become of them.

use std::io::Write;

use adapters::clock::SystemClock;
use clap::{Args, Subcommand};
use domain::event::Event;
use domain::journal::Record;
use domain::ports::{Clock, Journal};
use rollout::State;
use rollout::observe::Seen;
use rollout::state::{OrderStage, Stage};
use serde_json::json;

use super::output::{self, Format};
use super::render::time::percent;
use super::store::StoreArgs;
use super::{Code, Failed};
use crate::apply::audience::summary;
use crate::apply::{control, keyed};

/// Looks at the rollouts of a store, pauses, resumes and aborts them.
#[derive(Debug, Args)]
pub struct Rollout {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Every rollout, newest last
    List {
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Where one rollout stands
    Show {
        /// Its name, or its id with the number of the attempt
        name: String,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Open no further batch; the one that is out comes back
    Pause(Request),
    /// Go on; a failed server is tried once more
    Resume(Request),
    /// Put back what is out, give back the surge, and end
    Abort(Request),
}

/// A request of a person.
#[derive(Debug, Args)]
struct Request {
    /// The rollout
    name: String,
    /// Why, for the journal
    #[arg(long, default_value = "")]
    reason: String,
}

impl Rollout {
    pub fn run(self) -> Result<Code, Failed> {
        super::runtime()?.block_on(self.answer())
    }

    async fn answer(self) -> Result<Code, Failed> {
        let journal = self.store.open()?;
        match self.verb {
            Verb::List { output } => list(&journal, output).await,
            Verb::Show { name, output } => show(&journal, &name, output).await,
            Verb::Pause(ask) => request(&journal, "pause", Event::PauseRequested {}, ask).await,
            Verb::Resume(ask) => request(&journal, "resume", Event::ResumeRequested {}, ask).await,
            Verb::Abort(ask) => request(&journal, "abort", Event::AbortRequested {}, ask).await,
        }
    }
}

async fn request(
    journal: &dyn Journal,
    verb: &'static str,
    event: Event,
    ask: Request,
) -> Result<Code, Failed> {
    let now = SystemClock.now();
    let id = control::request(journal, &ask.name, verb, event, &ask.reason, now).await?;
    eprintln!("{verb} of {id} is written; a running `presurge apply` does it within a second");
    eprintln!("if none is running, start the same `presurge apply` again");
    Ok(Code::Done)
}

async fn list(journal: &dyn Journal, format: Format) -> Result<Code, Failed> {
    // People need no fractions of a second.
    let moment = |record: Option<&Record>| match (format, record) {
        (Format::Table, Some(record)) => json!(format!("{:.0}", record.at)),
        (_, record) => json!(record.map(|record| record.at)),
    };
    let mut rows = Vec::new();
    for id in journal.rollouts().await? {
        let Some((state, records)) = keyed::state(journal, &id).await? else { continue };
        let updated = state.servers.values().filter(|s| s.updated).count();
        rows.push(json!({
            "rollout": id,
            "fleet": state.created.fleet,
            "target": state.created.target,
            "state": word(&state),
            "updated": updated,
            "servers": state.servers.len(),
            "created": moment(records.first()),
            "changed": moment(records.last()),
        }));
    }
    let columns =
        ["rollout", "fleet", "target", "state", "updated", "servers", "created", "changed"];
    output::rows(&mut std::io::stdout().lock(), format, &columns, &rows)?;
    Ok(Code::Done)
}

fn word(state: &State) -> String {
    match (&state.hold, state.outcome()) {
        (_, Some(outcome)) => format!("{outcome:?}").to_lowercase(),
        (Some(_), None) => "holding".into(),
        (None, None) if state.paused => "paused".into(),
        (None, None) => {
            let phase = format!("{:?}", state.phase);
            phase.split([' ', '{', '(']).next().unwrap_or_default().to_lowercase()
        }
    }
}

async fn show(journal: &dyn Journal, name: &str, format: Format) -> Result<Code, Failed> {
    let id = keyed::existing(journal, name).await?;
    let Some((state, records)) = keyed::state(journal, &id).await? else {
        return Err(keyed::LookError::NoSuch(name.into()).into());
    };
    let mut out = std::io::stdout().lock();
    if format != Format::Table {
        output::value(&mut out, format, &as_json(&state, records.len()))?;
        return Ok(Code::Done);
    }
    writeln!(out, "{id}: {} to {}", state.created.fleet, state.created.target)?;
    writeln!(out, "{}", summary(&state, &Seen::default(), SystemClock.now()))?;
    if let Some(hold) = &state.hold {
        writeln!(out, "holds since {:.0} (record {}): {}", hold.since, hold.seq, hold.detail)?;
    }
    let account = &state.account;
    writeln!(
        out,
        "risk: {} of {} is spent by {} batches, {} is left",
        percent(account.spent()),
        percent(account.stated()),
        account.entries().len(),
        percent(account.left()),
    )?;
    for server in state.servers.values() {
        writeln!(out, "  {:<20} {}", server.member.name, stage(&server.stage))?;
    }
    for (key, order) in state.orders.iter().filter(|(_, o)| o.stage != OrderStage::Released) {
        writeln!(out, "  surge {key}: {} × {}, {:?}", order.names.len(), order.offer, order.stage)?;
    }
    writeln!(out, "{} records, head {}", records.len(), state.head.hash)?;
    Ok(Code::Done)
}

fn stage(stage: &Stage) -> String {
    match stage {
        Stage::Waiting => "in service, to be updated".into(),
        Stage::Back => "in service, updated".into(),
        Stage::Failed(detail) => format!("FAILED: {detail}"),
        Stage::Warming(until) => format!("in service, warming up until {until}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn as_json(state: &State, records: usize) -> serde_json::Value {
    let servers = state.servers.values().map(|s| {
        json!({
            "name": s.member.name, "stage": stage(&s.stage), "updated": s.updated,
            "attempts": s.attempts, "since": s.since,
        })
    });
    let surge = state.orders.iter().map(|(key, order)| {
        json!({
            "key": key, "offer": order.offer, "instances": order.names,
            "stage": format!("{:?}", order.stage).to_lowercase(),
        })
    });
    json!({
        "rollout": state.id,
        "fleet": state.created.fleet,
        "target": state.created.target,
        "state": word(state),
        "hold": state.hold.as_ref().map(|h| json!({
            "reason": h.reason, "detail": h.detail, "since": h.since, "seq": h.seq,
        })),
        "paused": state.paused,
        "risk": {
            "stated": state.account.stated(),
            "spent": state.account.spent(),
            "left": state.account.left(),
            "batches": state.account.entries().iter().map(|entry| json!({
                "revision": entry.revision, "batch": entry.batch, "risk": entry.risk,
            })).collect::<Vec<_>>(),
        },
        "plan": state.plan,
        "servers": servers.collect::<Vec<_>>(),
        "surge": surge.collect::<Vec<_>>(),
        "records": records,
        "head": state.head,
    })
}
