//! `presurge doctor`: does everything that is configured answer?

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use domain::config::{AdapterRef, Rollout};
use domain::ports::{Journal, PortError, Target, Verdict};
use domain::signal::Signal;
use serde_json::{Value, json};
use store::Store;

use super::output::{self, Format};
use super::store::StoreArgs;
use super::{Code, Failed, clock, runtime};
use crate::apply::orphans;
use crate::documents::{self, FleetFile};
use crate::registry::{self, BadAdapter, Here};

/// How far back load is asked for.
const REACH: Duration = Duration::from_secs(86_400);

/// As far back, and ahead, signals are asked for: as plans do.
const SIGNALS: Duration = crate::pipeline::REACH;

/// An answer takes at most this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the store, and every source of load or signals, load balancer, provisioner, updater, gate and receiver of notices of a
/// configuration whether it answers. Nothing is changed, and nobody is told anything.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Configuration files, YAML or JSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to print the findings
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    store: StoreArgs,
}

/// What became of one question.
struct Answer {
    what: String,
    result: Result<String, String>,
}

impl Doctor {
    pub fn run(self) -> Result<Code, Failed> {
        let clock = clock(None)?;
        let documents = documents::load(&self.files, &clock).map_err(Failed::data)?;
        let here = |folder: &PathBuf, fleet: &FleetFile| -> Result<Here, Failed> {
            let state = Some(self.store.state(&fleet.fleet.name)?);
            Ok(Here { folder: folder.clone(), clock: clock.clone(), state })
        };
        let journal = self.store.existing()?;
        let store = (self.files.as_slice(), journal.as_deref());
        let answers = runtime()?.block_on(async {
            let mut answers = Vec::new();
            if let Some(store) = journal.as_deref() {
                answers.push(of_store(store).await);
            }
            for file in documents.fleets.values() {
                fleet(file, &here(&file.folder, file)?, store, &mut answers).await;
            }
            for file in &documents.rollouts {
                let fleet = documents.fleet(file.rollout());
                told(file.rollout(), &here(&file.folder, fleet)?, &mut answers).await;
                for part in &file.parts {
                    let fleet = documents.fleet(part);
                    gates(part, fleet, &here(&file.folder, fleet)?, &mut answers).await;
                }
            }
            Ok::<_, Failed>(answers)
        })?;
        let rows: Vec<Value> = answers.iter().map(row).collect();
        let mut out = std::io::stdout().lock();
        output::rows(&mut out, self.output, &["what", "state", "detail"], &rows)?;
        out.flush()?;
        let bad = answers.iter().filter(|answer| answer.result.is_err()).count();
        if bad == 0 {
            return Ok(Code::Done);
        }
        let total = answers.len();
        Err(Failed::new(Code::Error, format!("{bad} of {total} do not answer as they should")))
    }
}

fn row(answer: &Answer) -> Value {
    let (state, detail) = match &answer.result {
        Ok(detail) => ("ok", detail),
        Err(detail) => ("FAILED", detail),
    };
    json!({ "what": answer.what, "state": state, "detail": detail })
}

/// Waits for an answer, but not for ever.
async fn ask<T>(
    made: Result<T, BadAdapter>,
    question: impl AsyncFnOnce(T) -> Result<String, PortError>,
) -> Result<String, String> {
    let adapter = made.map_err(|error| crate::causes::chain(&error))?;
    match tokio::time::timeout(PATIENCE, question(adapter)).await {
        Ok(answer) => answer.map_err(|error| error.chain()),
        Err(_) => Err(format!("no answer within {} seconds", PATIENCE.as_secs())),
    }
}

/// Whether the store answers, and what it is.
async fn of_store(store: &dyn Store) -> Answer {
    let result = match tokio::time::timeout(PATIENCE, store.check()).await {
        Ok(answer) => answer.map_err(|error| error.chain()),
        Err(_) => Err(format!("no answer within {} seconds", PATIENCE.as_secs())),
    };
    Answer { what: format!("store {}", store.name()), result }
}

async fn fleet(
    file: &FleetFile,
    here: &Here,
    store: (&[PathBuf], Option<&dyn Store>),
    answers: &mut Vec<Answer>,
) {
    let fleet = &file.fleet;
    let now = here.clock.now();
    let told = fleet.load.iter().filter_map(|(dimension, input)| {
        let source = &input.saturation.as_ref()?.source;
        Some((format!("saturation of {dimension}"), source))
    });
    let loads =
        fleet.load.iter().map(|(dimension, input)| (format!("load {dimension}"), &input.source));
    for (name, source) in loads.chain(told) {
        let result = ask(registry::load(source, here), async |source| {
            let samples = source.samples(now - REACH, now).await?;
            Ok(match samples.last() {
                Some(last) => {
                    format!("{} samples of the last day, newest {}", samples.len(), last.at)
                }
                None => "answers, but has no sample of the last day".to_owned(),
            })
        });
        let what = format!("{}: {name} by {}", fleet.name, source.adapter);
        answers.push(Answer { what, result: result.await });
    }
    for (index, entry) in fleet.signals.iter().enumerate() {
        let result = ask(registry::signal(entry, here), async |source| {
            let signals = source.signals(now - SIGNALS, now, now + SIGNALS).await?;
            Ok(match signals.iter().map(signal).collect::<Vec<_>>().join("; ") {
                nothing if nothing.is_empty() => "answers, but tells of nothing".to_owned(),
                told => told,
            })
        });
        let what = format!("{}: signal {index} by {}", fleet.name, entry.adapter);
        answers.push(Answer { what, result: result.await });
    }
    if let Some(entry) = &fleet.traffic {
        let result = ask(registry::traffic(entry, here), async |traffic| {
            let known = traffic.observe().await?;
            let listed = |name| known.iter().any(|backend| backend.server == name);
            let missing =
                fleet.servers.iter().filter(|server| !listed(server.name.clone())).count();
            let servers = known.len();
            Ok(match missing {
                0 => format!("{servers} servers"),
                _ => format!("{servers} servers; {missing} of the fleet are not among them"),
            })
        });
        let what = format!("{}: traffic by {}", fleet.name, entry.adapter);
        answers.push(Answer { what, result: result.await });
    }
    if let Some(entry) = &fleet.provisioner {
        let result = ask(registry::provisioner(entry, here), async |provisioner| {
            Ok(format!("{} instances of surge", provisioner.observe().await?.len()))
        });
        let what = format!("{}: surge by {}", fleet.name, entry.adapter);
        let result = result.await;
        let answers_at_all = result.is_ok();
        answers.push(Answer { what, result });
        if answers_at_all {
            let what = format!("{}: orphans of surge", fleet.name);
            answers.push(Answer { what, result: orphaned(entry, here, store).await });
        }
    }
    if let Some(scaler) = &fleet.size {
        let result = ask(registry::size(&scaler.adapter, here), async |size| {
            Ok(size.observe().await?.to_string())
        });
        let what = format!("{}: size by {}", fleet.name, scaler.adapter.adapter);
        answers.push(Answer { what, result: result.await });
    }
    if let (Some(entry), Some(target)) = (&fleet.update, first(file)) {
        let result = ask(registry::updater(entry, here), async |updater| {
            let state = updater.observe(&target).await?;
            let version = state.version.map_or("unknown".to_owned(), |version| version.to_string());
            Ok(format!("{} runs {version}", target.server))
        });
        let what = format!("{}: update by {}", fleet.name, entry.adapter);
        answers.push(Answer { what, result: result.await });
    }
}

/// What a signal says of itself.
fn signal(signal: &Signal) -> String {
    let name = signal.name();
    match signal {
        Signal::Events { times, .. } => {
            format!("{name}: {} events within six weeks of now", times.len())
        }
        Signal::Series { samples, .. } => match samples.last() {
            Some(last) => format!("{name}: newest value of {}", last.at),
            None => format!("{name}: no value within six weeks of now"),
        },
    }
}

async fn gates(rollout: &Rollout, fleet: &FleetFile, here: &Here, answers: &mut Vec<Answer>) {
    let Some(target) = first(fleet) else { return };
    for (index, gate) in rollout.gates.iter().enumerate() {
        let result = ask(registry::health(&gate.adapter, here), async |health| {
            Ok(match health.check(&target).await? {
                Verdict::Pass(saw) => format!("{} passes: {saw}", target.server),
                Verdict::Fail(why) => format!("{} fails: {why}", target.server),
                Verdict::Inconclusive(why) => format!("{}: cannot tell: {why}", target.server),
            })
        });
        let name = &rollout.name;
        let what = format!("{name}: gate {index} by {}", gate.adapter.adapter);
        answers.push(Answer { what, result: result.await });
    }
}

/// Receivers of notices are asked for something harmless; nobody is told anything.
async fn told(rollout: &Rollout, here: &Here, answers: &mut Vec<Answer>) {
    for (index, entry) in rollout.notify.iter().enumerate() {
        let result = ask(registry::notify(entry, here), async |receiver| {
            receiver.reach().await?;
            Ok("can be reached".to_owned())
        });
        let what = format!("{}: notice {index} by {}", rollout.name, entry.adapter);
        answers.push(Answer { what, result: result.await });
    }
}

/// Surge that no open rollout answers for, with the command that ends it.
async fn orphaned(
    entry: &AdapterRef,
    here: &Here,
    (files, journal): (&[PathBuf], Option<&dyn Store>),
) -> Result<String, String> {
    let provisioner = registry::provisioner(entry, here).map_err(|e| crate::causes::chain(&e))?;
    let journal = journal.map(|journal| journal as &dyn Journal);
    let look = orphans::suspects(provisioner.as_ref(), journal);
    let found = match tokio::time::timeout(PATIENCE, look).await {
        Ok(found) => found.map_err(|error| crate::causes::chain(&error))?,
        Err(_) => return Err(format!("no answer within {} seconds", PATIENCE.as_secs())),
    };
    let told = found.iter().map(|orphan| {
        let (name, end) = (&orphan.instance.name, super::orphans::command(orphan, files));
        format!("{name}: {}; `{end}` ends it", orphan.why)
    });
    match told.collect::<Vec<_>>().as_slice() {
        [] => Ok("none".into()),
        told => Err(told.join("; ")),
    }
}

/// The first server of a fleet.
fn first(file: &FleetFile) -> Option<Target> {
    let server = file.fleet.servers.first()?;
    Some(Target { server: server.name.clone(), address: server.address.clone() })
}
