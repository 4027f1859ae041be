//! `presurge audit`: the journal, for people and for auditors.

use std::io::Write;

use clap::{Args, Subcommand};
use domain::journal::{Record, verify};
use domain::name::RolloutId;
use domain::ports::Journal;

use super::output::Format;
use super::store::StoreArgs;
use super::{Code, Failed, output};
use crate::apply::keyed;

/// Shows, verifies and exports the journal of a rollout.
#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The journal, one event per line
    Show {
        /// The rollout, by its name or by its id with the number of the attempt
        name: String,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Check every record: numbers without gaps, hashes right, each after the one before
    Verify {
        /// The rollout
        name: String,
        /// A file of records that `export` wrote, instead of the store
        #[arg(long, value_name = "FILE")]
        file: Option<std::path::PathBuf>,
    },
    /// The journal as JSON lines
    Export {
        /// The rollout
        name: String,
    },
}

/// A chain that does not hold.
#[derive(Debug, thiserror::Error)]
#[error("the journal of {0} does not verify")]
struct Bad(String, #[source] domain::journal::Broken);

impl Audit {
    pub fn run(self) -> Result<Code, Failed> {
        super::runtime()?.block_on(self.answer())
    }

    async fn answer(self) -> Result<Code, Failed> {
        if let Verb::Verify { name, file: Some(file) } = &self.verb {
            return verified(name, &from_file(file)?);
        }
        let journal = self.store.open()?;
        let name = match &self.verb {
            Verb::Show { name, .. } | Verb::Verify { name, .. } | Verb::Export { name } => name,
        };
        let ids = keyed::existing_all(&journal, name).await?;
        let several = ids.len() > 1;
        let mut all = Vec::new();
        for id in ids {
            let records = journal.read(&id, 0).await?;
            match &self.verb {
                Verb::Verify { .. } => {
                    verified(id.as_str(), &records)?;
                }
                Verb::Export { .. } => export(&records)?,
                Verb::Show { output: Format::Table, .. } => show(&id, &records, several)?,
                Verb::Show { .. } => all.extend(records),
            }
        }
        if let Verb::Show { output: format @ (Format::Json | Format::Yaml | Format::Csv), .. } =
            self.verb
        {
            output::value(&mut std::io::stdout().lock(), format, &all)?;
        }
        Ok(Code::Done)
    }
}

fn export(records: &[Record]) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    for record in records {
        serde_json::to_writer(&mut out, record)?;
        writeln!(out)?;
    }
    Ok(())
}

/// The journal of one attempt; where a rollout is over several fleets, below its id.
fn show(id: &RolloutId, records: &[Record], several: bool) -> std::io::Result<()> {
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

fn verified(name: &str, records: &[Record]) -> Result<Code, Failed> {
    let head = verify(records).map_err(|broken| Failed::data(Bad(name.to_owned(), broken)))?;
    println!("{name}: {} records verify; head {}", head.seq, head.hash);
    println!(
        "tail not proven: a cut tail, or a chain computed anew, is seen only against a head that \
         was kept elsewhere"
    );
    Ok(Code::Done)
}

fn from_file(path: &std::path::Path) -> Result<Vec<Record>, Failed> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failed::data(format!("{}: {e}", path.display())))?;
    let record = |(index, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|e| Failed::data(format!("{}:{}: {e}", path.display(), index + 1)))
    };
    text.lines().enumerate().map(record).collect()
}
