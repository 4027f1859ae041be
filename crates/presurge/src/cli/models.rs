//! `presurge models`: what plans are made with beside the configuration: who forecasts and how well,
//! and what finished rollouts have shown of a fleet.

mod live;

use std::io::Write;
use std::path::PathBuf;

use adapters::clock::SystemClock;
use clap::{Args, Subcommand};
use domain::event::Event;
use domain::learned::{Figure, Figures, Learned, Lessons, Quantity};
use domain::name::FleetName;
use domain::ports::Clock;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::freeze::reason;
use super::output::{self, Format};
use super::store::StoreArgs;
use super::{Code, Failed, clock, instant, runtime};
use crate::apply::control::Petition;
use crate::apply::lessons;
use crate::documents;
use crate::pipeline::Together;
use crate::serve::fresh::rows;

/// Shows what plans are made with beside the configuration. With configuration files: the models
/// that forecast each dimension, their weights, how well they and their intervals have done lately, and
/// whether load drifts. From the store: durations, losses and failures as finished rollouts have shown
/// them, and what people have fixed.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Models {
    #[command(subcommand)]
    act: Option<Act>,
    /// Configuration files, YAML or JSON
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Which rollout, when the files describe several
    #[arg(long, value_name = "NAME")]
    rollout: Option<String>,
    /// Look as if it were this moment; no later sample is used
    #[arg(long, value_name = "TIME", value_parser = instant)]
    now: Option<Timestamp>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t, global = true)]
    output: Format,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Make plans with this figure, whatever is learned
    Pin(Pin),
    /// Make plans with what is learned again
    Unpin(Unpin),
    /// How the forecasts that daemons keep fresh have done
    Scores,
}

#[derive(Debug, Args)]
struct Pin {
    /// Of which fleet
    #[arg(value_name = "FLEET")]
    fleet: FleetName,
    /// Of what: drain, update, verify, updateFailure, lead:OFFER, interruption:OFFER,
    /// fulfilment:OFFER, bootFailure:OFFER or capacity:DIMENSION; drain, update and lead:OFFER also in one
    /// hour of the day, UTC: update@03
    #[arg(value_name = "QUANTITY")]
    quantity: Quantity,
    /// A length of time such as 5m or 5m..9m (median and 95 % quantile), a probability such as 0.05,
    /// or an amount such as 850 or 800..850 (5 % quantile and median); or `configured`: the figure of
    /// the configuration; of an hour: the one of the whole day
    #[arg(value_name = "VALUE")]
    value: String,
    /// Why, for the journal
    #[arg(long, value_parser = reason)]
    reason: String,
}

#[derive(Debug, Args)]
struct Unpin {
    /// Of which fleet
    #[arg(value_name = "FLEET")]
    fleet: FleetName,
    /// Of what
    #[arg(value_name = "QUANTITY")]
    quantity: Quantity,
    /// Why, for the journal
    #[arg(long, value_parser = reason)]
    reason: String,
}

/// The value of a pin that stands for the figure of the configuration.
const CONFIGURED: &str = "configured";

impl Models {
    pub fn run(self) -> Result<Code, Failed> {
        runtime()?.block_on(self.answer())
    }

    async fn answer(self) -> Result<Code, Failed> {
        match &self.act {
            None => self.show().await,
            Some(Act::Scores) => self.scores().await,
            Some(Act::Pin(pin)) => {
                let read = |text: &str| {
                    let cannot = |bad| format!("{} cannot be {text}: {bad}", pin.quantity);
                    pin.quantity.read(text).map_err(|bad| Failed::usage(cannot(bad)))
                };
                let figure = match pin.value.as_str() {
                    CONFIGURED => None,
                    text => Some(read(text)?),
                };
                let (fleet, quantity) = (pin.fleet.clone(), pin.quantity.clone());
                let event = Event::PinRequested { fleet, quantity, figure };
                self.write(&pin.fleet, event, &pin.reason).await
            }
            Some(Act::Unpin(unpin)) => {
                let (fleet, quantity) = (unpin.fleet.clone(), unpin.quantity.clone());
                let journal = self.store.open()?;
                let known = lessons::read(journal.as_ref()).await?.of(&fleet);
                if !known.pinned.contains_key(&quantity) {
                    eprintln!("{quantity} of fleet {fleet} is not pinned; nothing was written");
                    return self.print(&[(fleet, known)]);
                }
                let event = Event::UnpinRequested { fleet, quantity };
                self.write(&unpin.fleet, event, &unpin.reason).await
            }
        }
    }

    async fn write(&self, fleet: &FleetName, event: Event, reason: &str) -> Result<Code, Failed> {
        let journal = self.store.open()?;
        let known =
            lessons::pin(journal.as_ref(), event, &Petition::here(reason, SystemClock.now()))
                .await?;
        eprintln!("it counts for plans that are made from now on; rollouts under way keep theirs");
        self.print(&[(fleet.clone(), known.of(fleet))])
    }

    async fn show(&self) -> Result<Code, Failed> {
        let known = match self.store.existing()? {
            Some(journal) => lessons::read(journal.as_ref()).await?,
            None => Learned::default(),
        };
        if self.files.is_empty() {
            let all: Vec<_> = known.fleets().map(|(f, l)| (f.clone(), l.clone())).collect();
            if all.is_empty() {
                eprintln!(
                    "nothing was learned yet: rollouts that `presurge apply` ends teach; name a \
                     configuration to see who forecasts its load"
                );
            }
            return self.print(&all);
        }
        let clock = clock(self.now)?;
        let documents = documents::load(&self.files, &clock).map_err(Failed::data)?;
        let now = self.now.unwrap_or_else(|| clock.now());
        let all = Together::new(&documents, self.rollout.as_deref(), &clock, &[])?;
        let mut fleets = Vec::new();
        for part in &all.parts {
            let mut dimensions = Vec::new();
            for (dimension, history) in part.histories(now).await.map_err(super::plan_failed)? {
                let looked = tokio::task::spawn_blocking(move || live::look(&history.series));
                dimensions.push((dimension, looked.await.map_err(Failed::data)?));
            }
            let name = part.fleet.name.clone();
            fleets.push((name.clone(), dimensions, known.of(&name), part.configured.clone()));
        }
        let mut out = std::io::stdout().lock();
        if self.output != Format::Table {
            let fleets = fleets.iter().map(|(name, dimensions, lessons, configured)| {
                let looked = dimensions
                    .iter()
                    .map(|(dimension, looked)| (dimension.to_string(), live::as_json(looked)));
                json!({
                    "fleet": name,
                    "forecast": looked.collect::<serde_json::Map<_, _>>(),
                    "figures": rows(name, lessons, Some(configured)),
                })
            });
            output::value(&mut out, self.output, &fleets.collect::<Vec<_>>())?;
            return Ok(Code::Done);
        }
        for (name, dimensions, lessons, configured) in &fleets {
            writeln!(out, "Fleet {name}")?;
            for (dimension, looked) in dimensions {
                writeln!(out)?;
                live::tell(&mut out, dimension, looked)?;
            }
            writeln!(out)?;
            let rows = rows(name, lessons, Some(configured));
            output::rows(&mut out, Format::Table, &COLUMNS[1..], &rows)?;
        }
        Ok(Code::Done)
    }

    async fn scores(&self) -> Result<Code, Failed> {
        let mut all = Vec::new();
        if let Some(store) = self.store.existing()? {
            let names = store.names_kept().await?;
            for name in names.iter().filter(|name| rows::is_row(name)) {
                let Some(bytes) = store.kept(name).await? else { continue };
                match rows::Row::read(&bytes) {
                    Ok(row) => all.extend(scored(&row)),
                    Err(error) => eprintln!("warning: {name}: {error}"),
                }
            }
        }
        if all.is_empty() {
            eprintln!("no daemon has kept a forecaster in this store yet: `presurge serve` does");
        }
        output::rows(&mut std::io::stdout().lock(), self.output, &SCORED, &all)?;
        Ok(Code::Done)
    }

    fn print(&self, fleets: &[(FleetName, Lessons)]) -> Result<Code, Failed> {
        let all: Vec<Value> =
            fleets.iter().flat_map(|(name, lessons)| rows(name, lessons, None)).collect();
        output::rows(&mut std::io::stdout().lock(), self.output, &COLUMNS, &all)?;
        Ok(Code::Done)
    }
}

const COLUMNS: [&str; 8] =
    ["fleet", "quantity", "inForce", "configured", "learned", "from", "since", "pinned"];

const SCORED: [&str; 9] = [
    "fleet",
    "dimension",
    "band",
    "forecasts",
    "inside80",
    "inside95",
    "pinball95RelativeToSeasonBefore",
    "leader",
    "knownUntil",
];

/// One row for each band of a forecaster.
fn scored(row: &rows::Row) -> Vec<Value> {
    let ((fleet, dimension), forecaster) = (&row.key, &row.known.forecaster);
    let (leader, until) = (forecaster.report().chosen, format!("{:.0}", forecaster.end()));
    let short = |share: Option<f64>| share.map(|share| (1e4 * share).round() / 1e4);
    let one = |band: forecast::Scored| {
        json!({
            "fleet": fleet,
            "dimension": dimension,
            "band": band.band,
            "forecasts": band.forecasts,
            "inside80": short(band.inside80),
            "inside95": short(band.inside95),
            "pinball95RelativeToSeasonBefore": short(band.relative_loss),
            "leader": leader,
            "knownUntil": until,
        })
    };
    row.known.scores.table().into_iter().map(one).collect()
}

/// One row for each figure: what is in force, and where it comes from.
pub(crate) fn rows(
    fleet: &FleetName,
    lessons: &Lessons,
    configured: Option<&Figures>,
) -> Vec<Value> {
    let in_force = lessons.figures();
    let given = configured.into_iter().flatten().map(|(what, _)| what);
    let all = lessons.learned.keys().chain(lessons.pinned.keys()).chain(given);
    let all: std::collections::BTreeSet<&Quantity> = all.collect();
    let text = |figure: Option<&Figure>| figure.map(ToString::to_string);
    let row = |what: &Quantity| {
        let (lesson, pin) = (lessons.learned.get(what), lessons.pinned.get(what));
        // An hour goes by the whole day where it has no figure of its own.
        let day = what.of_day();
        let day = day.as_ref().unwrap_or(what);
        let known = configured.and_then(|all| all.get(day));
        let from = lesson.map(|lesson| {
            let of = &lesson.evidence;
            format!("{:.0}+{:.0} in {} rollouts", of.seen, of.of_which, of.rollouts)
        });
        let since = pin.map(|pin| pin.at).or(lesson.map(|lesson| lesson.at));
        let pinned = pin.map(|pin| format!("{}: {}", pin.actor.0, pin.reason));
        json!({
            "fleet": fleet,
            "quantity": what,
            "inForce": text(in_force.get(what).or(in_force.get(day)).or(known)).unwrap_or("as configured".into()),
            "configured": text(known),
            "learned": text(lesson.map(|lesson| &lesson.figure)),
            "from": from,
            "since": since.map(|at| format!("{at:.0}")),
            "pinned": pinned,
        })
    };
    all.into_iter().map(row).collect()
}

/// A rollout as it would be planned now, by what the store has learned, where there is a store. What
/// keeps it from that is a warning.
pub async fn learned(store: &StoreArgs, all: Together) -> Together {
    let journal = match store.existing() {
        Ok(None) => return all,
        Ok(Some(journal)) => journal,
        Err(error) => {
            eprintln!("warning: what was learned cannot be read: {error}");
            return all;
        }
    };
    lessons::known(journal.as_ref(), all).await
}
