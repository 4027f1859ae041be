//! `presurge rollout show`: where a rollout stands, and what it came to.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adapters::clock::SystemClock;
use clap::Args;
use domain::freeze::Freeze;
use domain::journal::Record;
use domain::name::RolloutId;
use domain::ports::Clock;
use jiff::Timestamp;
use rollout::State;
use rollout::compared::{Compared, compared};
use rollout::observe::Seen;
use rollout::state::{OrderStage, Server, Stage, Way};
use rollout::terms::Terms;
use serde_json::json;

use super::{Place, outcome, picture, word};
use crate::apply::audience::summary;
use crate::apply::keyed;
use crate::cli::output::{self, Format};
use crate::cli::render::plot;
use crate::cli::render::time::percent;
use crate::cli::{Code, Failed, write_file};

/// Where one rollout stands.
#[derive(Debug, Args)]
pub struct Show {
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

/// One fleet of a rollout that is shown.
struct Shown {
    id: RolloutId,
    state: State,
    records: Vec<Record>,
    /// What came beside what was planned, once it has ended.
    compared: Option<Compared>,
}

impl Show {
    /// Prints and draws it.
    pub async fn answer(self, place: &Place) -> Result<Code, Failed> {
        let journal = place.journal();
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
        let frozen = place.frozen(now).await;
        self.print(&all, &frozen, now)?;
        if self.plot.is_some() {
            self.draw(place, &all, file).await?;
        }
        Ok(Code::Done)
    }

    fn print(&self, all: &[Shown], frozen: &[Freeze], now: Timestamp) -> Result<(), Failed> {
        let freeze = |state: &State| match state.outcome() {
            None => frozen.iter().find(|freeze| freeze.stops(&state.created.fleet, now)),
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
        place: &Place,
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
            let documents =
                picture::documents(place.store(), &self.config, records, &clock).await?;
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
