//! `presurge rollout`: look at rollouts, and say what shall become of them.

mod happened;
mod outcome;
mod picture;
mod requests;
mod show;
mod watch;

use std::sync::Arc;

use clap::{Args, Subcommand};
use domain::event::Outcome;
use domain::freeze::Freeze;
use domain::ports::Journal;
use jiff::Timestamp;
use rollout::State;
use rollout::machine::FoldError;
use rollout::state::Phase;
use serde_json::{Value, json};
use store::Store;

use self::requests::{Approve, Ask, Request};
use self::show::Show;
pub(crate) use self::show::as_json;
use self::watch::Watch;
use super::daemon::{DaemonArgs, failed};
use super::output::{self, Format};
use super::store::StoreArgs;
use super::{Code, Failed};
use crate::apply::keyed::{self, LookError};
use crate::apply::{chain, freezes};
use crate::client::Client;

/// Looks at the rollouts of a store or of a running daemon, pauses, resumes, aborts them and rolls them back.
#[derive(Debug, Args)]
pub struct Rollout {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    daemon: DaemonArgs,
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
    Show(Show),
    /// Follow a rollout until it ends, line by line
    ///
    /// The story goes to standard error; with --output json each record goes to standard output as a line of
    /// JSON. Ends with 0 where it is done, 1 where a server has failed, 4 where it was aborted or rolled back,
    /// and 5 where it has not ended by --timeout. Ctrl-C ends the watching only.
    Watch(Watch),
    /// Open no further batch; the one that is out comes back
    Pause(Request),
    /// Go on; a failed server is tried once more
    Resume(Request),
    /// Put back what is out, give back the surge, and end
    Abort(Request),
    /// Bring every server back to the version that it ran before, give back the surge, and end
    Rollback(Request),
    /// Agree to the plan that waits for it, or reject it, which ends the rollout
    Approve(Approve),
}

impl Rollout {
    pub fn run(self) -> Result<Code, Failed> {
        super::runtime()?.block_on(self.answer())
    }

    async fn answer(self) -> Result<Code, Failed> {
        let place = match self.daemon.client()? {
            Some(client) => Place::Daemon(client),
            None => Place::Store(self.store.open()?),
        };
        match self.verb {
            Verb::List { output } => list(&place, output).await,
            Verb::Show(show) => show.answer(&place).await,
            Verb::Watch(watch) => watch.answer(place.journal()).await,
            Verb::Pause(request) => request.answer(&place, Ask::Pause).await,
            Verb::Resume(request) => request.answer(&place, Ask::Resume).await,
            Verb::Abort(request) => request.answer(&place, Ask::Abort).await,
            Verb::Rollback(request) => request.roll_back(&place).await,
            Verb::Approve(approve) => approve.answer(&place).await,
        }
    }
}

/// Where rollouts are looked at.
pub(crate) enum Place {
    /// In a store.
    Store(Arc<dyn Store>),
    /// In a running daemon.
    Daemon(Client),
}

impl Place {
    fn journal(&self) -> &dyn Journal {
        match self {
            Self::Store(store) => store.as_ref(),
            Self::Daemon(client) => client,
        }
    }

    fn store(&self) -> Option<&dyn Store> {
        match self {
            Self::Store(store) => Some(store.as_ref()),
            Self::Daemon(_) => None,
        }
    }

    /// What is frozen. What keeps it from being read is a warning.
    async fn frozen(&self, now: Timestamp) -> Vec<Freeze> {
        match self {
            Self::Store(store) => match freezes::read(store.as_ref()).await {
                Ok(frozen) => frozen.in_force(now).cloned().collect(),
                Err(error) => {
                    eprintln!("warning: no server goes out: {}", crate::causes::chain(&error));
                    Vec::new()
                }
            },
            Self::Daemon(client) => client.frozen().await.unwrap_or_else(|error| {
                eprintln!("warning: what is frozen is not known: {error}");
                Vec::new()
            }),
        }
    }
}

async fn list(place: &Place, format: Format) -> Result<Code, Failed> {
    let mut rows = match place {
        Place::Store(store) => rows(store.as_ref()).await?,
        Place::Daemon(client) => client.rows().await.map_err(failed)?,
    };
    // People need no fractions of a second.
    let moments = ["created", "changed"];
    for row in rows.iter_mut().filter(|_| format == Format::Table) {
        for name in moments {
            if let Some(at) = row[name].as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
                row[name] = json!(format!("{at:.0}"));
            }
        }
    }
    let columns =
        ["rollout", "fleet", "target", "state", "updated", "servers", "created", "changed"];
    output::rows(&mut std::io::stdout().lock(), format, &columns, &rows)?;
    Ok(Code::Done)
}

async fn rows(journal: &dyn Journal) -> Result<Vec<Value>, Failed> {
    let mut rows = Vec::new();
    for id in chain::rollouts(journal).await? {
        let (state, records) = match keyed::state(journal, &id).await {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            // Replicas of two releases share a store while they are upgraded.
            Err(LookError::Fold(id, FoldError::Newer { .. })) => {
                rows.push(json!({ "rollout": id, "state": "driven by a newer presurge" }));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let updated = state.servers.values().filter(|s| s.is_updated()).count();
        rows.push(json!({
            "rollout": id,
            "fleet": state.created.fleet,
            "target": state.created.target,
            "state": word(&state),
            "updated": updated,
            "servers": state.servers.len(),
            "created": records.first().map(|record| record.at),
            "changed": records.last().map(|record| record.at),
        }));
    }
    Ok(rows)
}

/// Where a rollout stands, in a word.
pub(crate) fn word(state: &State) -> String {
    match (&state.hold, state.outcome()) {
        (_, Some(Outcome::RolledBack)) => "rolled back".into(),
        (_, Some(outcome)) => format!("{outcome:?}").to_lowercase(),
        (Some(_), None) => "holding".into(),
        (None, None) if state.paused => "paused".into(),
        (None, None) if state.phase == Phase::RollingBack => "rolling back".into(),
        (None, None) => {
            let phase = format!("{:?}", state.phase);
            phase.split([' ', '{', '(']).next().unwrap_or_default().to_lowercase()
        }
    }
}
