//! `presurge audit export`: the journal as lines that leave the machine.

use std::io::Write;

use clap::{Args, ValueEnum};
use domain::journal::CloudEvent;

use crate::apply::keyed;
use crate::cli::store::StoreArgs;
use crate::cli::{Code, Failed};

/// Prints the journal, one record per line. `audit verify --file` reads either form.
#[derive(Debug, Args)]
pub struct Export {
    /// The rollout, by its name or by its id with the number of the attempt
    name: String,
    /// The form of a line
    #[arg(long, value_enum, default_value_t = Form::Jsonl)]
    format: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The record as the journal keeps it
    Jsonl,
    /// A CloudEvent (version 1.0, JSON)
    Cloudevents,
}

impl Export {
    pub async fn answer(self, store: &StoreArgs) -> Result<Code, Failed> {
        let journal = store.open()?;
        for id in keyed::existing_all(journal.as_ref(), &self.name).await? {
            let records = journal.read(&id, 0).await?;
            let mut out = std::io::stdout().lock();
            for record in &records {
                match self.format {
                    Form::Jsonl => serde_json::to_writer(&mut out, record)?,
                    Form::Cloudevents => {
                        serde_json::to_writer(&mut out, &CloudEvent::from(record))?
                    }
                }
                writeln!(out)?;
            }
        }
        Ok(Code::Done)
    }
}
