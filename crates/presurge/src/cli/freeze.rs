//! `presurge freeze` and `presurge unfreeze`: the kill switch.

use std::collections::BTreeSet;

use adapters::clock::SystemClock;
use clap::Args;
use domain::config::{Instant, Span};
use domain::freeze::{Freeze as Declared, Freezes};
use domain::name::FleetName;
use domain::ports::Clock;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::apply::anchoring::Anchoring;
use super::daemon::{DaemonArgs, failed};
use super::output::{self, Format};
use super::store::StoreArgs;
use super::{Code, Failed};
use crate::apply::control::Petition;
use crate::apply::freezes;

/// Lets no more server go out: not of these fleets, or of none at all. What is out is updated and
/// comes back; surge that runs is kept. It holds for every rollout of the store, also for those
/// that begin later, within a second, until `presurge unfreeze`. Prints what is frozen then.
#[derive(Debug, Args)]
pub struct Freeze {
    #[command(flatten)]
    scope: Scope,
    /// Why, for the journal and for everybody who is stopped
    #[arg(long, value_parser = reason)]
    reason: String,
    /// It ends by itself at this time, or after this long
    #[arg(long, value_name = "TIME|SPAN", value_parser = until)]
    until: Option<Until>,
    /// How to print what is frozen
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    anchoring: Anchoring,
    #[command(flatten)]
    daemon: DaemonArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// Ends freezes: those of these fleets, or those of everything. A freeze of a single fleet outlasts
/// the end of one of everything. Prints what is still frozen.
#[derive(Debug, Args)]
pub struct Unfreeze {
    #[command(flatten)]
    scope: Scope,
    /// Why, for the journal
    #[arg(long, value_parser = reason)]
    reason: String,
    /// How to print what is still frozen
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    anchoring: Anchoring,
    #[command(flatten)]
    daemon: DaemonArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// What is frozen.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// This fleet; again for each further one
    #[arg(long, value_name = "NAME")]
    fleet: Vec<FleetName>,
    /// Every fleet, also those that are not known yet
    #[arg(long)]
    all: bool,
}

impl Scope {
    /// One scope for each freeze; `None` is everything.
    fn each(&self) -> Vec<Option<FleetName>> {
        match self.all {
            true => vec![None],
            false => self.fleet.iter().cloned().map(Some).collect(),
        }
    }

    /// The same for a daemon.
    fn as_body(&self, reason: &str) -> Value {
        json!({ "fleets": self.fleet, "all": self.all, "reason": reason })
    }
}

/// When a freeze ends.
#[derive(Debug, Clone, Copy)]
enum Until {
    At(Timestamp),
    After(Span),
}

fn until(text: &str) -> Result<Until, String> {
    if let Ok(span) = text.parse() {
        return Ok(Until::After(span));
    }
    let at = text.parse::<Instant>();
    at.map(|at| Until::At(at.0)).map_err(|error| format!("{error}; or a length such as 2h"))
}

pub(super) fn reason(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("say why; everybody who is stopped will read it"),
        reason => Ok(reason.to_owned()),
    }
}

impl Freeze {
    pub fn run(self) -> Result<Code, Failed> {
        super::runtime()?.block_on(self.answer())
    }

    async fn answer(self) -> Result<Code, Failed> {
        let now = SystemClock.now();
        let until = match self.until {
            None => None,
            Some(Until::At(at)) => Some(at),
            Some(Until::After(span)) => Some(now + span.duration()),
        };
        if until.is_some_and(|until| until <= now) {
            return Err(Failed::usage("--until has passed already; nothing was frozen"));
        }
        if let Some(client) = self.daemon.client()? {
            let mut body = self.scope.as_body(&self.reason);
            body["until"] = json!(until);
            let (frozen, warnings) = client.freeze(false, &body).await.map_err(failed)?;
            print(&frozen, self.output)?;
            tell(&warnings);
            not_anchored(&self.anchoring);
            eprintln!("the daemon lets no more server of that go out, within a second");
            return Ok(Code::Done);
        }
        let journal = self.store.open()?;
        let petition = Petition::here(&self.reason, now);
        let frozen =
            freezes::declare(journal.as_ref(), &self.scope.each(), until, &petition).await?;
        // The switch is pulled; nothing that follows may look as if it were not.
        anchor(&self.anchoring, &frozen);
        tell(&freezes::unknown(journal.as_ref(), &self.scope.fleet, []).await);
        print(&in_force(&frozen, now), self.output)?;
        eprintln!(
            "every `presurge apply` on {} lets no more server go out from its next look on, within \
             a second",
            journal.name()
        );
        Ok(Code::Done)
    }
}

impl Unfreeze {
    pub fn run(self) -> Result<Code, Failed> {
        super::runtime()?.block_on(self.answer())
    }

    async fn answer(self) -> Result<Code, Failed> {
        let now = SystemClock.now();
        if let Some(client) = self.daemon.client()? {
            let body = self.scope.as_body(&self.reason);
            let (left, _) = client.freeze(true, &body).await.map_err(failed)?;
            for freeze in &left {
                eprintln!("still: {freeze}");
            }
            print(&left, self.output)?;
            not_anchored(&self.anchoring);
            return Ok(Code::Done);
        }
        let journal = self.store.open()?;
        let before = freezes::read(journal.as_ref()).await?;
        let petition = Petition::here(&self.reason, now);
        let left = freezes::lift(journal.as_ref(), &self.scope.each(), &petition).await?;
        if left.head() == before.head() {
            eprintln!("no freeze of that is in force; nothing was written");
            print(&in_force(&left, now), self.output)?;
            return Ok(Code::Done);
        }
        anchor(&self.anchoring, &left);
        for freeze in left.in_force(now) {
            eprintln!("still: {freeze}");
        }
        print(&in_force(&left, now), self.output)?;
        Ok(Code::Done)
    }
}

fn tell(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

/// The switch is pulled by then: what cannot be done besides is a warning.
fn not_anchored(anchoring: &Anchoring) {
    if anchoring.is_asked_for() {
        eprintln!(
            "warning: --anchors is not used: the journal is the daemon's, which signs it itself"
        );
    }
}

/// Has the end of the chain of freezes signed, where that is asked for. What keeps it from that is a
/// warning: the next driver that reads the chain, and has anchors, signs it as well.
fn anchor(anchoring: &Anchoring, freezes: &Freezes) {
    let receivers = || Err(Failed::usage("--anchors notify is for `apply`; give a file or -"));
    let writer = match anchoring.key().and_then(|key| anchoring.start(key, receivers)) {
        Ok(writer) => writer,
        Err(error) => return eprintln!("warning: the freezes are not anchored: {error}"),
    };
    writer.saw(&Freezes::chain(), freezes.head().clone());
    if let Some(text) = writer.close() {
        eprintln!("warning: {text}");
    }
}

fn in_force(freezes: &Freezes, now: Timestamp) -> Vec<Declared> {
    freezes.in_force(now).cloned().collect()
}

fn print(freezes: &[Declared], format: Format) -> Result<(), Failed> {
    let rows: Vec<Value> = freezes.iter().map(as_json).collect();
    let columns = ["scope", "since", "until", "actor", "reason", "seq"];
    output::rows(&mut std::io::stdout().lock(), format, &columns, &rows)?;
    Ok(())
}

/// A freeze, as data.
fn as_json(freeze: &Declared) -> Value {
    json!({
        "scope": freeze.scope(), "fleet": freeze.fleet, "since": freeze.since,
        "until": freeze.until, "actor": freeze.actor, "reason": freeze.reason,
        "seq": freeze.seq,
    })
}

/// What `plan` says of the freezes of a store, where there is one.
pub async fn notes<'a>(store: &StoreArgs, fleets: impl Iterator<Item = &'a FleetName>) {
    let now = SystemClock.now();
    let frozen = match store.existing() {
        Ok(None) => return,
        Ok(Some(journal)) => freezes::read(journal.as_ref()).await.map_err(Failed::from),
        Err(error) => Err(error),
    };
    match frozen {
        Ok(frozen) => {
            let found: BTreeSet<u64> =
                fleets.filter_map(|fleet| Some(frozen.on(fleet, now)?.seq)).collect();
            for freeze in frozen.in_force(now).filter(|freeze| found.contains(&freeze.seq)) {
                eprintln!("FROZEN: {freeze}; `apply` begins nothing until it is over");
            }
        }
        Err(error) => eprintln!("warning: whether something is frozen cannot be read: {error}"),
    }
}
