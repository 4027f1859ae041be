//! `presurge rollout`: look at rollouts, and say what shall become of them.

mod happened;
mod outcome;
mod picture;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapters::clock::SystemClock;
use clap::{Args, Subcommand};
use domain::event::{Event, Outcome};
use domain::freeze::{Freeze, Freezes};
use domain::journal::Record;
use domain::name::RolloutId;
use domain::ports::{Clock, Journal};
use jiff::Timestamp;
use rollout::State;
use rollout::compared::{Compared, compared};
use rollout::machine::FoldError;
use rollout::observe::Seen;
use rollout::state::{OrderStage, Phase, Server, Stage, Way};
use rollout::terms::Terms;
use serde_json::json;
use store::Store;

use super::output::{self, Format};
use super::render::plot;
use super::render::time::percent;
use super::store::StoreArgs;
use super::{Code, Failed, write_file};
use crate::apply::audience::summary;
use crate::apply::control::{self, ControlError, DigestStart, Judgement, Petition};
use crate::apply::keyed::{self, LookError};
use crate::apply::{chain, freezes};

/// Looks at the rollouts of a store, pauses, resumes, aborts them and rolls them back.
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
    Show(Show),
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

#[derive(Debug, Args)]
struct Show {
    /// Its name, or its id with the number of the attempt
    name: String,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Draw the load that came and the capacity over what the first plan said: here, or into a file of
    /// pictures or a page
    #[arg(long, value_name = "FILE.svg|FILE.html", num_args = 0..=1)]
    plot: Option<Option<PathBuf>>,
    /// The configuration, to read the load that came from its source; without it the picture has what the
    /// journal knows, the load at each batch, unless the documents are kept with the rollout
    #[arg(long, value_name = "FILE", requires = "plot")]
    config: Vec<PathBuf>,
}

/// What a person says of a plan.
#[derive(Debug, Args)]
struct Approve {
    /// The rollout; with the fleet and the number of the attempt where there are several
    name: String,
    /// The digest of the plan, or its first twelve digits or more
    #[arg(long, value_name = "DIGEST")]
    digest: DigestStart,
    /// Reject it: what is out comes back, the surge is given back, and the rollout ends
    #[arg(long)]
    reject: bool,
    /// Why, for the journal
    #[arg(long, default_value = "")]
    reason: String,
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
        let store = self.store.open()?;
        let journal: &dyn Journal = store.as_ref();
        match self.verb {
            Verb::List { output } => list(journal, output).await,
            Verb::Show(show) => show.answer(store.as_ref()).await,
            Verb::Pause(ask) => request(journal, "pause", Event::PauseRequested {}, ask).await,
            Verb::Resume(ask) => request(journal, "resume", Event::ResumeRequested {}, ask).await,
            Verb::Abort(ask) => request(journal, "abort", Event::AbortRequested {}, ask).await,
            Verb::Rollback(ask) => roll_back(journal, ask).await,
            Verb::Approve(ask) => approve(journal, ask).await,
        }
    }
}

async fn request(
    journal: &dyn Journal,
    verb: &'static str,
    event: Event,
    ask: Request,
) -> Result<Code, Failed> {
    let petition = Petition::here(&ask.reason, SystemClock.now());
    let (mut written, mut ended) = (0, None);
    for id in keyed::existing_all(journal, &ask.name).await? {
        let event = event.clone();
        match control::request(journal, id.as_str(), verb, event, &petition).await {
            Ok(id) => {
                written += 1;
                eprintln!(
                    "{verb} of {id} is written; a running `presurge apply` does it within a second"
                );
            }
            Err(error @ ControlError::Ended { .. }) => ended = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    if let (0, Some(error)) = (written, ended) {
        return Err(error.into());
    }
    eprintln!("if none is running, start the same `presurge apply` again");
    Ok(Code::Done)
}

/// Each fleet that can be rolled back is; the others say why not.
async fn roll_back(journal: &dyn Journal, ask: Request) -> Result<Code, Failed> {
    let petition = Petition::here(&ask.reason, SystemClock.now());
    let (mut written, mut refused) = (0, Vec::new());
    for id in keyed::existing_all(journal, &ask.name).await? {
        match control::roll_back(journal, id, &petition).await {
            Ok(id) => {
                written += 1;
                eprintln!(
                    "roll-back of {id} is written; a running `presurge apply` does it within a second"
                );
            }
            Err(error @ (ControlError::Refused { .. } | ControlError::Ended { .. })) => {
                refused.push(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if written == 0 && refused.len() == 1 {
        return Err(Failed::new(Code::Refused, refused.remove(0)));
    }
    for error in &refused {
        eprintln!("not rolled back: {}", crate::causes::chain(error));
    }
    if written == 0 {
        return Err(Failed::new(Code::Refused, "none of its fleets can be rolled back"));
    }
    eprintln!("if none is running, start the same `presurge apply` again");
    Ok(if refused.is_empty() { Code::Done } else { Code::Refused })
}

/// Of several fleets each has a plan of its own: the digest says which is meant.
async fn approve(journal: &dyn Journal, ask: Approve) -> Result<Code, Failed> {
    let (petition, start) = (Petition::here(&ask.reason, SystemClock.now()), &ask.digest);
    let judgement = if ask.reject { Judgement::Reject } else { Judgement::Approve };
    let mut refused = None;
    for id in keyed::existing_all(journal, &ask.name).await? {
        match control::judge_plan(journal, id, start, judgement, &petition).await {
            Ok(id) => {
                let what = if ask.reject { "rejected" } else { "approved" };
                eprintln!(
                    "the plan of {id} is {what}; a running `presurge apply` goes on within a second, \
                     and if none is running, start the same one again"
                );
                return Ok(Code::Done);
            }
            Err(error @ (ControlError::Refused { .. } | ControlError::Ended { .. })) => {
                refused = Some(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(refused
        .map_or_else(|| Failed::usage("there is no plan"), |e| Failed::new(Code::Refused, e)))
}

async fn list(journal: &dyn Journal, format: Format) -> Result<Code, Failed> {
    // People need no fractions of a second.
    let moment = |record: Option<&Record>| match (format, record) {
        (Format::Table, Some(record)) => json!(format!("{:.0}", record.at)),
        (_, record) => json!(record.map(|record| record.at)),
    };
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
            "created": moment(records.first()),
            "changed": moment(records.last()),
        }));
    }
    let columns =
        ["rollout", "fleet", "target", "state", "updated", "servers", "created", "changed"];
    output::rows(&mut std::io::stdout().lock(), format, &columns, &rows)?;
    Ok(Code::Done)
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

/// One fleet of a rollout that is shown.
struct Shown {
    id: RolloutId,
    state: State,
    records: Vec<Record>,
    /// What came beside what was planned, once it has ended.
    compared: Option<Compared>,
}

impl Show {
    async fn answer(self, store: &dyn Store) -> Result<Code, Failed> {
        let journal: &dyn Journal = store;
        let file = self.plot.as_ref().and_then(Option::as_deref);
        let file = plot::Kind::asked(file)?;
        if self.output != Format::Table && self.plot == Some(None) {
            let text =
                "a picture of characters goes with a table; give --plot a file, or no --output";
            return Err(Failed::usage(text));
        }
        let mut all = Vec::new();
        for id in keyed::existing_all(journal, &self.name).await? {
            let state = keyed::state(journal, &id).await?;
            let (state, records) =
                state.ok_or_else(|| keyed::LookError::NoSuch(self.name.clone()))?;
            let ended = state.outcome().is_some();
            let compared = if ended { compared(&records)? } else { None };
            all.push(Shown { id, state, records, compared });
        }
        let now = SystemClock.now();
        let frozen = freezes::read(journal).await.unwrap_or_else(|error| {
            eprintln!("warning: no server goes out: {}", crate::causes::chain(&error));
            Freezes::default()
        });
        self.print(&all, &frozen, now)?;
        if self.plot.is_some() {
            self.draw(store, &all, file).await?;
        }
        Ok(Code::Done)
    }

    fn print(&self, all: &[Shown], frozen: &Freezes, now: Timestamp) -> Result<(), Failed> {
        let freeze = |state: &State| match state.outcome() {
            None => frozen.on(&state.created.fleet, now),
            Some(_) => None,
        };
        let mut out = std::io::stdout().lock();
        if self.output != Format::Table {
            let value = |shown: &Shown| {
                let Shown { state, records, compared, .. } = shown;
                as_json(state, records.len(), freeze(state), compared.as_ref(), now)
            };
            let values: Vec<_> = all.iter().map(value).collect();
            match values.as_slice() {
                [one] => output::value(&mut out, self.output, one)?,
                several => output::value(&mut out, self.output, &several)?,
            }
            return Ok(());
        }
        for (index, Shown { id, state, records, compared }) in all.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            if let Some(freeze) = freeze(state) {
                writeln!(out, "FROZEN: {freeze}")?;
            }
            table(&mut out, id, state, records.len())?;
            if let Some(compared) = compared {
                outcome::table(&mut out, compared)?;
            }
        }
        Ok(())
    }

    /// The pictures of every fleet, here or into a file.
    async fn draw(
        &self,
        store: &dyn Store,
        all: &[Shown],
        file: Option<(&Path, plot::Kind)>,
    ) -> Result<(), Failed> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut pictures = Vec::new();
        for Shown { id, state, records, compared } in all {
            let Some(compared) = compared else {
                eprintln!("{id} has not ended; what it came to is drawn then");
                continue;
            };
            let documents = picture::documents(store, &self.config, records, &clock).await?;
            let own = picture::pictures(state, records, compared, documents.as_ref(), &clock);
            pictures.extend(own.await?);
        }
        match file {
            Some((path, kind)) => {
                let drawings: Vec<&dyn plot::Drawing> =
                    pictures.iter().map(|one| one as _).collect();
                let head = format!("Rollout {}", self.name);
                write_file(path, plot::file(kind, &head, &[], &drawings).as_bytes())
            }
            None => {
                let mut out = std::io::stdout().lock();
                for picture in &pictures {
                    writeln!(out)?;
                    picture.draw(&mut out)?;
                }
                Ok(())
            }
        }
    }
}

fn table(
    out: &mut impl Write,
    id: &RolloutId,
    state: &State,
    records: usize,
) -> std::io::Result<()> {
    writeln!(out, "{id}: {} to {}", state.created.fleet, state.created.target)?;
    writeln!(out, "{}", summary(state, &Seen::default(), SystemClock.now()))?;
    if let Some(pressure) = state.pressure(SystemClock.now()) {
        writeln!(out, "deadline: {:.0}; {pressure}", state.deadline())?;
    }
    if let Some(hold) = &state.hold {
        writeln!(out, "holds since {:.0} (record {}): {}", hold.since, hold.seq, hold.detail)?;
        let overdue = hold.overdue.map(|seq| format!("; overdue, see record {seq}"));
        writeln!(out, "  {}{}", state.terms(hold.since), overdue.unwrap_or_default())?;
    }
    if let Some(back) = &state.rollback {
        let (since, seq) = (back.since, back.seq);
        writeln!(out, "rolled back since {since:.0} (record {seq}), by {:.0}", back.deadline)?;
    }
    if let Some(plan) = &state.plan {
        writeln!(out, "plan: revision {}, {}", plan.revision, plan.digest)?;
    }
    if let Some(approved) = &state.approved {
        let (digest, actor, seq) = (approved.digest.short(), &approved.actor, approved.seq);
        writeln!(out, "approved: plan {digest} by {actor} (record {seq})")?;
    }
    if let Some(run) = state.hook_under_way() {
        let hook = run.step.hook;
        writeln!(out, "hook {hook}: runs since {:.0} (record {})", run.since, run.seq)?;
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
        writeln!(out, "  {:<20} {}", server.member.name, stage(state, server))?;
    }
    for (key, order) in state.orders.iter().filter(|(_, o)| o.stage != OrderStage::Released) {
        writeln!(out, "  surge {key}: {} × {}, {:?}", order.names.len(), order.offer, order.stage)?;
    }
    writeln!(out, "{records} records, head {}", state.head.hash)
}

fn stage(state: &State, server: &Server) -> String {
    match (&server.stage, state.way()) {
        (Stage::Waiting | Stage::Back, Way::Back) if state.goes_back(server) => {
            "in service, to be rolled back".into()
        }
        (Stage::Waiting, Way::Forth) => "in service, to be updated".into(),
        (Stage::Waiting, Way::Back) => "in service, as it was before".into(),
        (Stage::Back, _) => "in service, updated".into(),
        (Stage::Failed(detail), _) => format!("FAILED: {detail}"),
        (Stage::Warming(until), _) => format!("in service, warming up until {until}"),
        (other, _) => format!("{other:?}").to_lowercase(),
    }
}

fn terms(terms: &Terms) -> serde_json::Value {
    json!({
        "pricePerHour": terms.price_per_hour, "currency": terms.currency,
        "until": terms.until, "then": terms.then,
    })
}

/// Where a rollout stands, for programs.
pub(crate) fn as_json(
    state: &State,
    records: usize,
    freeze: Option<&Freeze>,
    compared: Option<&Compared>,
    now: Timestamp,
) -> serde_json::Value {
    let servers = state.servers.values().map(|s| {
        json!({
            "name": s.member.name, "stage": stage(state, s), "updated": s.is_updated(),
            "before": state.created.before.get(&s.member.name),
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
        "deadline": state.deadline(),
        "pressure": state.pressure(now).map(|pressure| json!({
            "needsSeconds": pressure.needs.as_secs(), "leftSeconds": pressure.left.as_secs(),
            "slackSeconds": pressure.slack().as_secs(),
        })),
        "hold": state.hold.as_ref().map(|h| json!({
            "reason": h.reason, "detail": h.detail, "since": h.since, "seq": h.seq,
            "terms": terms(&state.terms(h.since)), "overdue": h.overdue,
        })),
        "freeze": freeze.map(|f| json!({
            "fleet": f.fleet, "since": f.since, "until": f.until, "actor": f.actor,
            "reason": f.reason, "seq": f.seq,
        })),
        "paused": state.paused,
        "rollback": state.rollback.as_ref().map(|back| json!({
            "since": back.since, "seq": back.seq, "deadline": back.deadline,
        })),
        "approval": state.created.policy.approval.as_ref().map(|rule| json!({
            "by": rule.by,
            "needed": state.approval_needed().map(|(digest, why)| json!({
                "digest": digest, "why": why,
            })),
            "approved": state.approved.as_ref().map(|approved| json!({
                "digest": approved.digest, "actor": approved.actor, "seq": approved.seq,
            })),
        })),
        "risk": {
            "stated": state.account.stated(),
            "spent": state.account.spent(),
            "left": state.account.left(),
            "batches": state.account.entries().iter().map(|entry| json!({
                "revision": entry.revision, "batch": entry.batch, "risk": entry.risk,
            })).collect::<Vec<_>>(),
        },
        "plan": state.plan.as_deref(),
        "servers": servers.collect::<Vec<_>>(),
        "surge": surge.collect::<Vec<_>>(),
        "outcome": compared.map(outcome::as_json),
        "records": records,
        "head": state.head,
    })
}
