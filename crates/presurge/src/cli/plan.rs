//! `presurge plan`: what a rollout will do.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use domain::name::Dimension;
use domain::plan::{Plan as Revision, Refused};
use jiff::Timestamp;
use serde_json::json;

use super::output::{self, Format};
use super::render::plot;
use super::render::time::percent;
use super::store::StoreArgs;
use super::{Code, Failed, clock, instant, plan_failed, render, runtime, series, write_file};
use crate::documents::{self, BadDocuments, Documents};
use crate::pipeline::{PlanError, Prepared, Together};

/// Plans a rollout: start, batches, surge, cost, and the probability of overload.
#[derive(Debug, Args)]
pub struct Plan {
    /// Configuration files, YAML or JSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Which rollout, when the files describe several
    #[arg(long, value_name = "NAME")]
    rollout: Option<String>,
    /// Plan as if it were this moment; no later sample is used
    #[arg(long, value_name = "TIME", value_parser = instant)]
    now: Option<Timestamp>,
    /// Read the load of a dimension from this file instead
    #[arg(long, value_name = "FLEET/DIMENSION=FILE", value_parser = replacement)]
    load: Vec<(String, PathBuf)>,
    /// The seed of the sampled paths
    #[arg(long, default_value_t = 1, value_parser = super::seeds())]
    seed: u64,
    /// How to print the plan
    #[arg(short, long, value_enum, default_value_t)]
    output: Shape,
    /// Write the plan as JSON to a file that `apply` can perform
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw load, capacity, batches, surge and risk
    #[arg(long, value_name = "FILE.html|FILE.svg")]
    plot: Option<PathBuf>,
    /// Return 2 when the plan changes something
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// How a plan is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// For people
    #[default]
    Table,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

impl Shape {
    fn data(self) -> Option<Format> {
        match self {
            Self::Table => None,
            Self::Json => Some(Format::Json),
            Self::Yaml => Some(Format::Yaml),
        }
    }
}

/// `fleet/dimension=file`.
pub fn replacement(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((which, file)) if which.contains('/') && !file.is_empty() => {
            Ok((which.to_owned(), PathBuf::from(file)))
        }
        _ => Err("expected FLEET/DIMENSION=FILE, for instance web-eu/requests=load.csv".to_owned()),
    }
}

impl Plan {
    pub fn run(self) -> Result<Code, Failed> {
        let clock = clock(self.now)?;
        plot::Kind::asked(self.plot.as_deref())?;
        let documents = documents::load(&self.files, &clock).map_err(Failed::data)?;
        let now = self.now.unwrap_or_else(|| clock.now());
        deadline_ahead(&documents, self.rollout.as_deref(), now)?;
        let all = Together::new(&documents, self.rollout.as_deref(), &clock, &self.load)?;
        let runtime = runtime()?;
        let all = runtime.block_on(super::models::learned(&self.store, all));
        let fleets = all.parts.iter().map(|part| &part.fleet.name);
        runtime.block_on(super::freeze::notes(&self.store, fleets));
        match runtime.block_on(all.make_plan(now, self.seed)) {
            Ok(made) => {
                let alone: Vec<String> = all.parts.iter().flat_map(Prepared::left_alone).collect();
                series::warn(&alone);
                series::warn(&made.warnings());
                self.answer(&all.parts, &made.plan, now)
            }
            Err(PlanError::Refused(refused)) => self.refusal(&refused),
            Err(error) => Err(plan_failed(error)),
        }
    }

    fn answer(&self, all: &[Prepared], plan: &Revision, now: Timestamp) -> Result<Code, Failed> {
        let mut out = std::io::stdout().lock();
        match self.output.data() {
            Some(format) => output::value(&mut out, format, plan)?,
            None => render::plan::text(&mut out, all, plan, now)?,
        }
        if let Some(path) = &self.out {
            let mut bytes = serde_json::to_vec_pretty(plan)?;
            bytes.push(b'\n');
            write_file(path, &bytes)?;
            let files: Vec<String> =
                self.files.iter().map(|file| format!("--config {}", file.display())).collect();
            eprintln!("perform it with: presurge apply {} {}", path.display(), files.join(" "));
        }
        if let Some((path, kind)) = plot::Kind::asked(self.plot.as_deref())? {
            let parts = plan.parts();
            let units: Vec<_> = all.iter().map(units).collect();
            let drawn: Vec<_> = parts
                .iter()
                .zip(&units)
                .flat_map(|(part, units)| plot::rollout(part, units))
                .collect();
            let pictures: Vec<&dyn plot::Drawing> = drawn.iter().map(AsRef::as_ref).collect();
            let head = format!("Rollout {}, plan {}", plan.rollout, plan.revision);
            write_file(path, plot::file(kind, &head, &figures(plan), &pictures).as_bytes())?;
        }
        let changes = !plan.batches.is_empty();
        Ok(if self.detailed_exitcode && changes { Code::Pending } else { Code::Done })
    }

    /// No plan fits: the reason as data, and in words.
    fn refusal(&self, refused: &Refused) -> Result<Code, Failed> {
        let mut out = std::io::stdout().lock();
        match self.output.data() {
            Some(format) => output::value(&mut out, format, &json!({ "refused": refused }))?,
            None => {
                out.flush()?;
                render::plan::refused(&mut std::io::stderr().lock(), refused)?;
            }
        }
        Ok(Code::Refused)
    }
}

/// The dimensions of a fleet with their units.
fn units(prepared: &Prepared) -> Vec<(Dimension, String)> {
    let load = prepared.fleet.load.iter();
    load.map(|(dimension, input)| {
        (dimension.clone(), input.unit.clone().unwrap_or_else(|| "its unit".into()))
    })
    .collect()
}

/// The plan in a few figures, for the table above its pictures.
fn figures(plan: &Revision) -> Vec<Vec<String>> {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let surge: u32 = plan.surge.iter().map(|order| order.count).sum();
    vec![
        row("", String::new()),
        row("start", format!("{:.0}", plan.start_at)),
        row("last server back", format!("{:.0}", plan.finish_at)),
        row("done", format!("{:.0}", plan.done_at)),
        row("batches", plan.batches.len().to_string()),
        row("surge instances", surge.to_string()),
        row("cost of surge", format!("{:.2} {}", plan.cost.surge, plan.cost.currency)),
        row("risk, allowed", percent(plan.risk.target)),
        row("risk, planned", percent(plan.risk.planned)),
        row("risk, upper 95 %", percent(plan.risk.upper95)),
    ]
}

/// A deadline that has passed is told with its place in the file.
fn deadline_ahead(documents: &Documents, name: Option<&str>, now: Timestamp) -> Result<(), Failed> {
    let file = documents.rollout(name).map_err(Failed::data)?;
    match file.rollout().deadline(now) {
        Ok(_) => Ok(()),
        Err(finding) => Err(Failed::data(BadDocuments::from(file.complain(finding)))),
    }
}
