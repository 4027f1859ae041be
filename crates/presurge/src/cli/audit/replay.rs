//! `presurge audit replay`: a past decision, computed again from the journal as it was then and the
//! load that the archive keeps.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use domain::event::{Event, Look, RiskSpent, Weighing};
use domain::journal::{Record, verify};
use domain::name::RolloutId;
use domain::plan::Plan;
use domain::ports::Clock;

use super::verify::Bad;
use crate::apply::again::{Again, NotAgain, Past, begun};
use crate::apply::{self, keyed};
use crate::cli::explain::{Recomputed, compared, of_values};
use crate::cli::store::StoreArgs;
use crate::cli::{Code, Failed, clock, plan_failed, render};
use crate::documents;
use crate::pipeline::Together;

/// Computes a past decision of a rollout again, a plan or what was foreseen when a batch was opened,
/// from the journal up to then and the load that the archive keeps, and says whether it comes out
/// the same, to the last digit, or where not. Ends with 1 where it does not.
#[derive(Debug, Args)]
pub struct Replay {
    /// The rollout, by its name or by its id with the number of the attempt
    name: String,
    /// The number of a record that adopts a plan or opens a batch (`audit show` tells them)
    seq: u64,
    /// The configuration that the rollout was begun with
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    config: Vec<PathBuf>,
}

/// What can be computed again.
enum Decision<'a> {
    First(&'a Plan),
    Revision(&'a Plan),
    Weighing((&'a Look, Option<RiskSpent>), &'a Weighing),
}

impl Replay {
    pub async fn answer(self, store: &StoreArgs) -> Result<Code, Failed> {
        let store = store.open()?;
        let ids = keyed::existing_all(store.as_ref(), &self.name).await?;
        let [id] = ids.as_slice() else {
            let names: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
            let text = format!("{} is several chains; say which: {}", self.name, names.join(", "));
            return Err(Failed::usage(text));
        };
        let records = store.read(id, 0).await?;
        verify(&records).map_err(|broken| Failed::data(Bad(id.to_string(), broken)))?;
        let record = records.iter().find(|record| record.seq == self.seq);
        let event = record.map(Record::event).transpose().map_err(Failed::data)?;
        let (Some(record), Some(event)) = (record, &event) else {
            return Err(self.nothing(&records, "is not there"));
        };
        let decision = self.decision(&records, event)?;
        let all = self.configured(id, &records)?;
        let reads = all.parts.iter().any(|part| !part.rollout.freeze_files.is_empty());
        let named = match &decision {
            Decision::First(plan) | Decision::Revision(plan) => !plan.inputs.calendars.is_empty(),
            Decision::Weighing(..) => true,
        };
        let left_open = reads && !named;
        let past = Past { store: &store, id, records: &records, all };
        let (what, recomputed) = recomputed(&past, record, &decision).await?;
        println!("{id}: record {} {}", self.seq, told(&decision, event));
        render::explain::again(&mut std::io::stdout().lock(), what, &recomputed)?;
        if let Some(text) = made_elsewhere(&records, self.seq) {
            println!("{text}");
        }
        if let Some(text) = past.guessed(self.seq)
            && !recomputed.same
            && !matches!(decision, Decision::First(_))
        {
            println!("{text}");
        }
        if left_open && !recomputed.same {
            println!(
                "its calendar files were read as they are now; the release that made it kept none"
            );
        }
        Ok(if recomputed.same { Code::Done } else { Code::Error })
    }

    /// What the event decides, where that can be computed again.
    fn decision<'a>(&self, records: &[Record], event: &'a Event) -> Result<Decision<'a>, Failed> {
        let seq = self.seq;
        match event {
            Event::PlanAdopted { plan } if plan.computed_digest() != plan.digest => {
                Err(Failed::data(format!(
                    "the plan of record {seq} is not the one that was made: it says {}, its content \
                     is {}",
                    plan.digest,
                    plan.computed_digest()
                )))
            }
            Event::PlanAdopted { plan } if plan.revision > 1 => Ok(Decision::Revision(plan)),
            Event::PlanAdopted { plan } => Ok(Decision::First(plan)),
            Event::BatchOpened { look, risk, .. } => match (&look.weighed, look.foreseen) {
                (Some(weighing), _) => Ok(Decision::Weighing((look, *risk), weighing)),
                (None, Some(_)) => Err(Failed::data(format!(
                    "record {seq} was written by a release that did not say at which moment it had \
                     weighed the batch; that cannot be computed again"
                ))),
                (None, None) => {
                    let text = "opens a batch by its plan, which was too young to be weighed again";
                    Err(self.nothing(records, text))
                }
            },
            _ => Err(self.nothing(records, "adopts no plan and opens no batch")),
        }
    }

    /// A record that decides nothing, with those that do.
    fn nothing(&self, records: &[Record], what: &str) -> Failed {
        let computed = |record: &&Record| match record.event() {
            Ok(Event::PlanAdopted { .. }) => true,
            Ok(Event::BatchOpened { look, .. }) => look.weighed.is_some(),
            _ => false,
        };
        let list = records.iter().filter(computed).map(|record| record.seq.to_string());
        let list: Vec<String> = list.collect();
        let (seq, list) = (self.seq, list.join(", "));
        Failed::usage(format!("record {seq} {what}; these can be computed again: {list}"))
    }

    /// The rollout as it was configured when it was begun.
    fn configured(&self, id: &RolloutId, records: &[Record]) -> Result<Together, Failed> {
        let (created, first) = begun(id, records).map_err(Failed::data)?;
        let clock: Arc<dyn Clock> = clock(Some(first.created_at))?;
        let documents = documents::load(&self.config, &clock).map_err(Failed::data)?;
        let all = Together::new(&documents, Some(&created.name), &clock, &[])?;
        let config = &all.first().config;
        if *config != created.spec {
            return Err(Failed::data(format!(
                "the configuration is not the one that the plan was made from: its digest is \
                 {config}, the journal says {}; the archive keeps load, not configurations",
                created.spec
            )));
        }
        Ok(all)
    }
}

/// A decision of a record, in words.
fn told(decision: &Decision<'_>, event: &Event) -> String {
    match (decision, event) {
        (Decision::First(plan) | Decision::Revision(plan), _) => {
            format!("adopts plan {}, {}", plan.revision, plan.digest)
        }
        (Decision::Weighing(..), Event::BatchOpened { index, .. }) => {
            format!("opens batch {index}, and says what is foreseen of what is left")
        }
        _ => String::new(),
    }
}

/// What the decision was about, and what came of computing it again.
async fn recomputed(
    past: &Past<'_>,
    record: &Record,
    decision: &Decision<'_>,
) -> Result<(&'static str, Recomputed), Failed> {
    let (what, stated, again) = match *decision {
        Decision::First(plan) => ("plan", Some(plan), past.first(plan).await),
        Decision::Revision(plan) => ("plan", Some(plan), past.revision(record, plan).await),
        Decision::Weighing(stated, by) => {
            ("figures", None, past.weighing(record, stated, by).await)
        }
    };
    let again = again.map_err(|error| match error {
        NotAgain::Plan(error) => plan_failed(error),
        other => Failed::data(other),
    })?;
    let recomputed = match (stated, again) {
        (_, Again::Refused(refused)) => Recomputed::refused(&refused),
        (Some(stated), Again::Plan(plan)) => compared(stated, &plan),
        (None, Again::Plan(_)) | (Some(_), Again::Figures { .. }) => {
            return Err(Failed::data("a plan is no figure of a batch; this is a defect"));
        }
        (None, Again::Figures { stated, again, other_loads }) => {
            of_values(&stated, &again, other_loads)
        }
    };
    Ok((what, recomputed))
}

/// What is to be said where another build made the decision, or one for another processor.
fn made_elsewhere(records: &[Record], seq: u64) -> Option<String> {
    let here = apply::build();
    let Some(then) = build(records, seq) else {
        return Some(format!(
            "the journal does not name the build that made it, and this is {here}: only the same \
             build has to agree"
        ));
    };
    let parts = |text: &str| text.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
    let what = match (parts(&then), parts(&here)) {
        _ if then == here => return None,
        (Some((_, then)), Some((_, here))) if then != here => "processor and build",
        _ => "build",
    };
    Some(format!("it was made by {then}, and this is {here}: only the same {what} has to agree"))
}

/// The build that made the decision of a record: of the driver before it, or of the first one,
/// which was started by the same `apply`.
fn build(records: &[Record], seq: u64) -> Option<String> {
    let started = |record: &Record| match record.event() {
        Ok(Event::DriverStarted { build, .. }) => Some((record.seq, build)),
        _ => None,
    };
    let all: Vec<(u64, String)> = records.iter().filter_map(started).collect();
    let before = all.iter().rev().find(|(at, _)| *at < seq);
    before.or(all.first()).map(|(_, build)| build.clone())
}
