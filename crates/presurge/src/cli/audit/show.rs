//! `presurge audit show`: the journal for people.

use std::io::Write;

use clap::Args;
use domain::journal::Record;
use domain::name::RolloutId;

use crate::apply::keyed;
use crate::cli::output::{self, Format};
use crate::cli::store::StoreArgs;
use crate::cli::{Code, Failed};

/// Prints the journal of a rollout.
#[derive(Debug, Args)]
pub struct Show {
    /// The rollout, by its name or by its id with the number of the attempt
    name: String,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl Show {
    pub async fn answer(self, store: &StoreArgs) -> Result<Code, Failed> {
        let journal = store.open()?;
        let ids = keyed::existing_all(journal.as_ref(), &self.name).await?;
        let several = ids.len() > 1;
        let mut all = Vec::new();
        for id in ids {
            let records = journal.read(&id, 0).await?;
            match self.output {
                Format::Table => table(&id, &records, several)?,
                _ => all.extend(records),
            }
        }
        if self.output != Format::Table {
            output::value(&mut std::io::stdout().lock(), self.output, &all)?;
        }
        Ok(Code::Done)
    }
}

/// The journal of one attempt; where a rollout is over several fleets, below its id.
fn table(id: &RolloutId, records: &[Record], several: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if several {
        writeln!(out, "{id}")?;
    }
    records.iter().try_for_each(|record| line(&mut out, record))
}

fn line(out: &mut impl Write, record: &Record) -> std::io::Result<()> {
    let cause = record.cause.map_or_else(|| "-".into(), |seq| seq.to_string());
    let mut payload = match record.kind.as_str() {
        "RolloutCreated" | "PlanAdopted" => String::new(),
        _ => record.payload.to_string(),
    };
    if payload == "{}" || payload == "null" {
        payload.clear();
    }
    let (seq, at, actor) = (record.seq, record.at.strftime("%Y-%m-%d %H:%M:%SZ"), &record.actor.0);
    let (kind, reason) = (&record.kind, &record.reason);
    writeln!(out, "{seq:>5}  {at}  {actor:<14} {kind:<20} ← {cause:<5} {reason}  {payload}")
}
