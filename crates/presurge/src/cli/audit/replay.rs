//! `presurge audit replay`: a past decision, computed again from the inputs that the archive keeps.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use domain::event::Event;
use domain::journal::{Record, verify};
use domain::plan::Plan;
use domain::ports::{Archive, Clock, Journal};
use store::Sqlite;

use super::verify::Bad;
use crate::apply::{self, keyed};
use crate::cli::explain::{Recomputed, compared};
use crate::cli::store::StoreArgs;
use crate::cli::{Code, Failed, clock, plan_failed, render};
use crate::documents;
use crate::pipeline::{PlanError, Prepared};

/// Computes the first plan of a rollout again, from the load that the archive keeps, and says
/// whether it is the same, to the last digit. Ends with 1 where it is not.
#[derive(Debug, Args)]
pub struct Replay {
    /// The rollout, by its name or by its id with the number of the attempt
    name: String,
    /// The number of a record that adopts a plan (`audit show` tells them)
    seq: u64,
    /// The configuration that the plan was made from
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    config: Vec<PathBuf>,
}

impl Replay {
    pub async fn answer(self, store: &StoreArgs) -> Result<Code, Failed> {
        let store = store.open()?;
        let ids = keyed::existing_all(&store, &self.name).await?;
        let [id] = ids.as_slice() else {
            let names: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
            let text = format!("{} is several chains: {}", self.name, names.join(", "));
            return Err(Failed::usage(text));
        };
        let records = store.read(id, 0).await?;
        verify(&records).map_err(|broken| Failed::data(Bad(id.to_string(), broken)))?;
        let plan = self.plan(&records)?;
        let (then, here) = (build(&records, self.seq), apply::build());
        let prepared = self.prepared(&plan, &store).await?;
        let ask = prepared.first(plan.created_at, plan.seed).map_err(plan_failed)?;
        let recomputed = match prepared.make_plan(ask).await {
            Ok(made) => compared(&plan, &made.plan),
            Err(PlanError::Refused(refused)) => Recomputed::refused(&refused),
            Err(error) => return Err(plan_failed(error)),
        };
        println!("{id}: record {} adopts plan {}, {}", self.seq, plan.revision, plan.digest);
        render::explain::again(&mut std::io::stdout().lock(), &recomputed)?;
        if then.as_ref() != Some(&here) {
            let then = then.as_deref().unwrap_or("a build that the journal does not name");
            println!("it was made by {then}, and this is {here}: only the same build has to agree");
        }
        Ok(if recomputed.same { Code::Done } else { Code::Error })
    }

    /// The plan that the record adopts.
    fn plan(&self, records: &[Record]) -> Result<Plan, Failed> {
        let plans = records.iter().filter(|record| record.kind == "PlanAdopted");
        let plans: Vec<String> = plans.map(|record| record.seq.to_string()).collect();
        let record = records.iter().find(|record| record.seq == self.seq);
        let event = record.map(Record::event).transpose().map_err(Failed::data)?;
        let Some(Event::PlanAdopted { plan }) = event else {
            let (seq, plans) = (self.seq, plans.join(", "));
            return Err(Failed::usage(format!("record {seq} adopts no plan; these do: {plans}")));
        };
        if plan.computed_digest() != plan.digest {
            return Err(Failed::data(format!(
                "the plan of record {} is not the one that was made: it says {}, its content is {}",
                self.seq,
                plan.digest,
                plan.computed_digest()
            )));
        }
        if plan.revision > 1 {
            return Err(Failed::data(format!(
                "record {} adopts revision {}; only first plans can be computed again yet",
                self.seq, plan.revision
            )));
        }
        Ok(*plan)
    }

    /// The rollout as it was configured, with the load as it was archived.
    async fn prepared(&self, plan: &Plan, archive: &Sqlite) -> Result<Prepared, Failed> {
        let clock: Arc<dyn Clock> = clock(Some(plan.created_at))?;
        let documents = documents::load(&self.config, &clock).map_err(Failed::data)?;
        let mut prepared = Prepared::new(&documents, Some(&plan.rollout), &clock, &[])?;
        if prepared.config != plan.inputs.config {
            return Err(Failed::data(format!(
                "the configuration is not the one that the plan was made from: its digest is {}, \
                 the plan says {}; the archive keeps load, not configurations",
                prepared.config, plan.inputs.config
            )));
        }
        for feed in &mut prepared.feeds {
            let which = format!("{}/{}", prepared.fleet.name, feed.dimension);
            let digest = plan.inputs.load.get(&which).ok_or_else(|| {
                Failed::data(format!("the plan does not say from which load of {which} it is made"))
            })?;
            let bytes = archive.get(digest).await?.ok_or_else(|| {
                Failed::data(format!(
                    "the load of {which}, {digest}, is not in the archive: it was made from a plan \
                     file, or the archive was cut"
                ))
            })?;
            *feed = feed
                .archived(&bytes)
                .map_err(|error| Failed::data(format!("the load of {which}: {error}")))?;
        }
        Ok(prepared)
    }
}

/// The build that made the plan of a record: of the driver before it, or of the first one, which
/// was started by the same `apply`.
fn build(records: &[Record], seq: u64) -> Option<String> {
    let started = |record: &Record| match record.event() {
        Ok(Event::DriverStarted { build, .. }) => Some((record.seq, build)),
        _ => None,
    };
    let all: Vec<(u64, String)> = records.iter().filter_map(started).collect();
    let before = all.iter().rev().find(|(at, _)| *at < seq);
    before.or(all.first()).map(|(_, build)| build.clone())
}
