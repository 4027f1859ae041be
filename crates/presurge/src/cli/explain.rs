//! `presurge explain`: where each number of a plan comes from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use domain::plan::{API_VERSION, Plan, Refused};
use domain::ports::Clock;
use serde::Serialize;
use serde_json::Value;

use super::output::{self, Format};
use super::{Code, Failed, clock, render, runtime, series};
use crate::documents;
use crate::pipeline::{PlanError, Together};

/// At most so many differences between a plan and its recomputation are listed.
const DIFFERENCES_AT_MOST: usize = 20;

/// A plan is no larger than this many bytes; a larger file is something else.
const PLAN_AT_MOST: u64 = 256 * 1024 * 1024;

/// Traces every number of a plan: load, capacity line by line, the moment that binds, cost, risk,
/// and what was rejected. With the configuration, the plan is computed again and compared.
#[derive(Debug, Args)]
pub struct Explain {
    /// A plan that `presurge plan --out` wrote; `-` is standard input
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// The configuration that it was made from: recompute the plan and say where it differs
    #[arg(long, value_name = "FILE", num_args = 1..)]
    config: Vec<PathBuf>,
    /// Read the load of a dimension from this file instead, as when the plan was made
    #[arg(long, value_name = "FLEET/DIMENSION=FILE", value_parser = super::plan::replacement,
          requires = "config")]
    load: Vec<(String, PathBuf)>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Shape,
}

/// How an explanation is printed.
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

/// What came of computing a plan again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recomputed {
    /// Whether the plan came out again, to the last digit.
    pub same: bool,
    /// Loads whose history is another than the one that the plan was made from.
    pub other_loads: Vec<String>,
    /// Why there is no plan now, where there is none.
    pub refused: Option<String>,
    /// Where the plans differ, the first of them.
    pub differences: Vec<Changed>,
    /// How many differences there are in all.
    pub count: usize,
}

impl Recomputed {
    /// There is no plan now.
    pub fn refused(refused: &Refused) -> Self {
        Self {
            same: false,
            other_loads: Vec::new(),
            refused: Some(refused.to_string()),
            differences: Vec::new(),
            count: 1,
        }
    }
}

/// A value that came out otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// Which, as a JSON pointer into the plan.
    pub at: String,
    /// What the plan says.
    pub stated: Value,
    /// What comes out now.
    pub recomputed: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    explanation: &'a plan::Explanation,
    recomputed: Option<&'a Recomputed>,
}

impl Explain {
    pub fn run(self) -> Result<Code, Failed> {
        let plan = read(&self.plan)?;
        let explanation = plan::explain(&plan);
        let recomputed = if self.config.is_empty() { None } else { Some(self.again(&plan)?) };
        let mut out = std::io::stdout().lock();
        let answer = Answer { explanation: &explanation, recomputed: recomputed.as_ref() };
        match self.output {
            Shape::Json => output::value(&mut out, Format::Json, &answer)?,
            Shape::Yaml => output::value(&mut out, Format::Yaml, &answer)?,
            Shape::Table => {
                render::explain::text(&mut out, &plan, &explanation, recomputed.as_ref())?;
            }
        }
        Ok(Code::Done)
    }

    /// Computes the plan again from the configuration, at the moment at which it was made.
    fn again(&self, stated: &Plan) -> Result<Recomputed, Failed> {
        if stated.revision > 1 {
            let text = format!(
                "this is revision {}: it depends on what had been done by then, which only the \
                 journal knows (`presurge audit replay` computes it again); explain it without --config",
                stated.revision
            );
            return Err(Failed::data(text));
        }
        if !stated.inputs.models.is_empty() {
            let text = "it was made with forecasters that a daemon keeps, which only the archive of its \
                        store has (`presurge audit replay` computes it again); explain it without --config";
            return Err(Failed::data(text));
        }
        let made_at = stated.created_at;
        let clock: Arc<dyn Clock> = clock(Some(made_at))?;
        let documents = documents::load(&self.config, &clock).map_err(Failed::data)?;
        let all = Together::new(&documents, Some(&stated.rollout), &clock, &self.load)?;
        let config = &all.first().config;
        if *config != stated.inputs.config {
            let text = format!(
                "the configuration is not the one that the plan was made from (its digest is \
                 {config}, the plan says {}); give that one, with the same --load, or explain the \
                 plan without --config",
                stated.inputs.config
            );
            return Err(Failed::data(text));
        }
        let all = all.with_learned_of(&stated.inputs);
        match runtime()?.block_on(all.make_plan(made_at, stated.seed)) {
            Ok(made) => {
                series::warn(&made.warnings());
                Ok(compared(stated, &made.plan))
            }
            Err(PlanError::Refused(refused)) => Ok(Recomputed::refused(&refused)),
            Err(error) => Err(super::plan_failed(error)),
        }
    }
}

/// Reads a plan and checks that it is one, of this version, and unchanged.
fn read(path: &Path) -> Result<Plan, Failed> {
    let name = path.display();
    let bad = |what: String| Failed::data(format!("{name}: {what}"));
    let bytes = bytes(path).map_err(|error| bad(error.to_string()))?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| bad(format!("this is no JSON: {error}")))?;
    if value.get("refused").is_some() {
        return Err(bad("this is a refusal, not a plan: it says itself what binds".into()));
    }
    if value["kind"] != "Plan" {
        let kind = output::cell(&value["kind"]);
        let found = if kind.is_empty() { "no kind".into() } else { format!("kind {kind}") };
        let text = format!("this is no plan: it has {found}; write one with `presurge plan --out`");
        return Err(bad(text));
    }
    if value["apiVersion"] != API_VERSION {
        let version = output::cell(&value["apiVersion"]);
        let text = format!("it is a plan of version {version:?}, this build reads {API_VERSION}");
        return Err(bad(text));
    }
    let plan: Plan = serde_json::from_value(value)
        .map_err(|error| bad(format!("this is no plan of {API_VERSION}: {error}")))?;
    let computed = plan.computed_digest();
    if computed != plan.digest {
        let text = format!(
            "the plan was changed after it was made: it says {}, its content is {computed}",
            plan.digest
        );
        return Err(bad(text));
    }
    Ok(plan)
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let source: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(path)?),
    };
    source.take(PLAN_AT_MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > PLAN_AT_MOST {
        let text = format!("it is larger than {PLAN_AT_MOST} bytes, which no plan is");
        return Err(std::io::Error::other(text));
    }
    Ok(bytes)
}

/// What came out of computing a plan again, beside what was stated.
pub(super) fn compared(stated: &Plan, again: &Plan) -> Recomputed {
    let other =
        stated.inputs.load.iter().filter(|(which, d)| again.inputs.load.get(*which) != Some(d));
    let other_loads = other.map(|(which, _)| which.clone()).collect();
    let value = |plan: &Plan| {
        let mut value = serde_json::to_value(plan).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("createdAt");
        }
        value
    };
    let same = stated.digest == again.digest;
    Recomputed { same, ..of_values(&value(stated), &value(again), other_loads) }
}

/// What came out of computing some values again, beside what was stated.
pub(super) fn of_values(stated: &Value, again: &Value, other_loads: Vec<String>) -> Recomputed {
    let mut all = Vec::new();
    differences(stated, again, String::new(), &mut all);
    let count = all.len();
    all.truncate(DIFFERENCES_AT_MOST);
    Recomputed { same: count == 0, other_loads, refused: None, differences: all, count }
}

fn differences(stated: &Value, again: &Value, at: String, list: &mut Vec<Changed>) {
    match (stated, again) {
        (Value::Object(a), Value::Object(b)) => {
            let more = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(more) {
                let of = |map: &serde_json::Map<String, Value>| {
                    map.get(key).cloned().unwrap_or(Value::Null)
                };
                let name = key.replace('~', "~0").replace('/', "~1");
                differences(&of(a), &of(b), format!("{at}/{name}"), list);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, format!("{at}/{index}"), list);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            let count = |list: &[Value]| Value::String(format!("{} entries", list.len()));
            list.push(Changed { at, stated: count(a), recomputed: count(b) });
        }
        _ if stated == again => {}
        _ => list.push(Changed { at, stated: stated.clone(), recomputed: again.clone() }),
    }
}
