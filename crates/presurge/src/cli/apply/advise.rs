//! `apply --mode advise`: the plan is made, told, and written down as advice. Nothing is done to the world.

use std::sync::Arc;

use domain::plan::Plan;
use domain::ports::{Clock, Journal};
use jiff::Timestamp;
use store::Store;

use super::together::take_given;
use super::{Apply, not_performed};
use crate::apply::advice::{self, Told};
use crate::apply::control::Petition;
use crate::apply::given::{self, still_good};
use crate::apply::keyed::{self, Found};
use crate::apply::{bundle, freezes, lessons};
use crate::cli::{Code, Failed, plan_failed, render};
use crate::documents::Documents;
use crate::pipeline::{MadeTogether, Prepared, Together};

impl Apply {
    /// Plans, says, and writes the advice down.
    pub(super) async fn advise(
        &self,
        all: Together,
        documents: &Documents,
        given: Option<Plan>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Code, Failed> {
        let store = self.store.open()?;
        if let Some(text) = under_way(store.as_ref(), &all).await? {
            eprintln!("{text}");
            return Ok(Code::Done);
        }
        let all = lessons::known(store.as_ref(), all).await;
        let now = clock.now();
        for part in &all.parts {
            let fleet = &part.fleet.name;
            if let Err(frozen) = freezes::none_on(store.as_ref(), fleet, now).await? {
                eprintln!("FROZEN: {frozen}");
            }
        }
        let made = self.advised(&all, given, now).await?;
        let alone = all.parts.iter().flat_map(Prepared::left_alone);
        for warning in alone.chain(made.warnings()) {
            eprintln!("warning: {warning}");
        }
        render::plan::text(&mut std::io::stderr().lock(), &all.parts, &made.plan, now)?;
        let file = documents.rollout(Some(made.plan.rollout.as_str())).map_err(Failed::data)?;
        let kept = bundle::keep(store.as_ref(), &bundle::of(documents, file)).await?;
        let told = all.parts.iter().zip(&made.parts);
        let told: Vec<Told<'_>> = told.map(|(prepared, made)| Told { prepared, made }).collect();
        let petition = Petition::here("apply was called with --mode advise", now);
        let pieces = advice::give(store.as_ref(), &told, &kept, &petition).await?;
        let numbers: Vec<String> = pieces.iter().map(|piece| piece.seq.to_string()).collect();
        eprintln!(
            "\nadvice {} is written down, and nothing was done; after {:.0} `presurge advice` says what \
             following it would have come to",
            numbers.join(", "),
            made.plan.done_at
        );
        Ok(Code::Done)
    }

    /// The plan that is told: a new one, or the one that was given.
    async fn advised(
        &self,
        all: &Together,
        given: Option<Plan>,
        now: Timestamp,
    ) -> Result<MadeTogether, Failed> {
        let Some(plan) = given else {
            return all.make_plan(now, self.seed).await.map_err(plan_failed);
        };
        if let [only] = all.parts.as_slice() {
            let made = given::taken(plan.clone(), only, now).await.map_err(not_performed)?;
            return Ok(MadeTogether { plan, parts: vec![made] });
        }
        still_good(&plan, all.first(), now).map_err(|why| Failed::new(Code::Refused, why))?;
        let mut made = all.make_plan(now, self.seed).await.map_err(plan_failed)?;
        take_given(&mut made, plan)?;
        Ok(made)
    }
}

/// What is under way, or done with the same configuration, needs no advice.
async fn under_way(store: &dyn Store, all: &Together) -> Result<Option<String>, Failed> {
    let several = all.parts.len() > 1;
    let mut done = 0;
    for part in &all.parts {
        let name = part.rollout.name.as_str();
        let chain = if several { keyed::of_fleet(name, &part.fleet.name) } else { name.into() };
        match keyed::find(store as &dyn Journal, &chain, &part.config).await? {
            Found::Open(id) | Found::OtherOpen(id) => {
                return Ok(Some(format!(
                    "{id} is under way, and nothing was advised; `presurge rollout show {name}` says where it \
                     stands"
                )));
            }
            Found::Done(_) => done += 1,
            Found::New(_) => {}
        }
    }
    let name = &all.first().rollout.name;
    let text =
        || format!("{name} is done already with this configuration; nothing is to be advised");
    Ok((done == all.parts.len()).then(text))
}
