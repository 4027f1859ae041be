//! `presurge permit`: may other people's updaters take servers out.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use adapters::clock::SystemClock;
use clap::{Args, Subcommand};
use domain::config::PositiveSpan;
use domain::name::{FleetName, Key, ServerName};
use domain::permit::{Permit as Granted, Permits};
use domain::ports::{Clock, Journal};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::daemon::{self, DaemonArgs};
use super::freeze::reason;
use super::output::{self, Format};
use super::store::StoreArgs;
use super::{Code, Failed, runtime};
use crate::apply::chain;
use crate::apply::control::Petition;
use crate::apply::permits::{self, Answer, LONGEST, PermitError, Wish};
use crate::client::{Client, ClientError, because};
use crate::documents;
use crate::pipeline::{Prepared, Together};

/// Asks whether so many servers of a fleet may be out now, for so long. What is granted is a lease: it ends
/// by itself, and what it risks counts against the risk of the rollout in the configuration, over its
/// deadline. Ends with 0 where it is granted, and with 3 where it is not.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Permit {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    ask: Ask,
    /// How to print
    #[arg(short, long, value_enum, default_value_t, global = true)]
    output: Format,
    #[command(flatten)]
    daemon: DaemonArgs,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
struct Ask {
    #[command(flatten)]
    of: Of,
    /// How many servers
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Which; again for each further one
    #[arg(long, value_name = "NAME")]
    server: Vec<ServerName>,
    /// For how long they are out, at most a day
    #[arg(long = "for", value_name = "SPAN", required = true)]
    length: Option<PositiveSpan>,
    /// What for, for the journal
    #[arg(long, value_parser = reason, required = true)]
    reason: Option<String>,
    /// The seed of the sampled paths
    #[arg(long, default_value_t = 1, value_parser = super::seeds())]
    seed: u64,
}

/// Whose account.
#[derive(Debug, Args)]
struct Of {
    /// Configuration files, YAML or JSON; a daemon has its own
    #[arg(value_name = "FILE", required_unless_present = "daemon")]
    files: Vec<PathBuf>,
    /// Which rollout, when the files describe several
    #[arg(long, value_name = "NAME")]
    rollout: Option<String>,
    /// Which fleet, when the rollout has several, and for a daemon
    #[arg(long, value_name = "NAME")]
    fleet: Option<FleetName>,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Every permit in force
    List,
    /// Let a permit last longer, from now on
    Renew(Renew),
    /// Give a permit back: its servers are in service again
    Release(Release),
}

#[derive(Debug, Args)]
struct Renew {
    /// The lease that was granted
    #[arg(value_name = "LEASE")]
    lease: Key,
    #[command(flatten)]
    of: Of,
    /// For how long from now, at most a day
    #[arg(long = "for", value_name = "SPAN")]
    length: PositiveSpan,
}

#[derive(Debug, Args)]
struct Release {
    /// The lease that was granted
    #[arg(value_name = "LEASE")]
    lease: Key,
    /// Why, for the journal
    #[arg(long, value_parser = reason, default_value = "it is done")]
    reason: String,
}

impl Permit {
    pub fn run(self) -> Result<Code, Failed> {
        runtime()?.block_on(self.answer())
    }

    async fn answer(self) -> Result<Code, Failed> {
        if let Some(client) = self.daemon.client()? {
            return self.of_daemon(&client).await;
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let journal = self.store.open()?;
        let now = clock.now();
        match &self.act {
            Some(Act::List) => {
                let permits: Permits = chain::read(journal.as_ref()).await?;
                let open = permits.all().into_iter().filter(|permit| permit.in_force(now));
                self.print(open.map(row).collect())
            }
            Some(Act::Release(release)) => {
                let petition = Petition::here(&release.reason, now);
                let given = permits::release(journal.as_ref(), &release.lease, &petition).await;
                let given = given.map_err(failed)?;
                eprintln!("{} is given back; what it risked stays spent", given.lease);
                self.print(vec![row(&given)])
            }
            Some(Act::Renew(renew)) => {
                let prepared = prepared(&renew.of, &clock, journal.as_ref()).await?;
                let length = at_most_a_day(renew.length)?;
                let petition = Petition::here("it lasts longer", now);
                let lease = &renew.lease;
                let answer =
                    permits::renew(journal.as_ref(), &prepared, lease, length, &petition).await;
                self.say(&answer.map_err(failed)?)
            }
            None => {
                let (length, reason) = self.ask.checked()?;
                let prepared = prepared(&self.ask.of, &clock, journal.as_ref()).await?;
                let wish = Wish {
                    count: self.ask.count,
                    servers: self.ask.server.clone(),
                    length: at_most_a_day(length)?,
                    seed: self.ask.seed,
                };
                let answer =
                    permits::ask(journal.as_ref(), &prepared, &wish, &Petition::here(reason, now))
                        .await;
                self.say(&answer.map_err(failed)?)
            }
        }
    }

    /// The same of a daemon, by its files and with its store.
    async fn of_daemon(&self, client: &Client) -> Result<Code, Failed> {
        let number = |lease: &Key| lease.as_str().trim_start_matches("permit/").to_owned();
        match &self.act {
            Some(Act::List) => {
                let mut listed: Value =
                    client.get(&["permits"], &[]).await.map_err(daemon::failed)?;
                let rows = listed["permits"].as_array_mut().map(std::mem::take).unwrap_or_default();
                self.print(rows)
            }
            Some(Act::Release(release)) => {
                let path = ["permits", &number(&release.lease), "release"];
                let given = client.post(&path, &because(&release.reason)).await;
                let given: Value = given.map_err(daemon::failed)?;
                eprintln!("{} is given back; what it risked stays spent", release.lease);
                self.print(vec![given])
            }
            Some(Act::Renew(renew)) => {
                at_most_a_day(renew.length)?;
                let body = json!({ "for": renew.length });
                let path = ["permits", &number(&renew.lease), "renew"];
                self.say(&decided(client.post(&path, &body).await)?)
            }
            None => {
                let (ask, (length, reason)) = (&self.ask, self.ask.checked()?);
                let Some(fleet) = &ask.of.fleet else {
                    return Err(Failed::usage("say --fleet: a daemon has the files of several"));
                };
                at_most_a_day(length)?;
                let body = json!({
                    "fleet": fleet, "rollout": ask.of.rollout, "count": ask.count,
                    "servers": ask.server, "for": length,
                    "reason": reason, "seed": ask.seed,
                });
                self.say(&decided(client.post(&["permits"], &body).await)?)
            }
        }
    }

    fn say(&self, answer: &Answer) -> Result<Code, Failed> {
        let mut out = std::io::stdout().lock();
        if self.output == Format::Table {
            match (&answer.lease, answer.until) {
                (Some(lease), Some(until)) if answer.granted => {
                    writeln!(out, "granted: {} until {until:.0}, lease {lease}", answer.count)?;
                }
                _ => writeln!(out, "refused: {}", answer.reason)?,
            }
            if let Some(risk) = answer.risk {
                writeln!(out, "risk {risk:.4}, {:.4} of the account is left", answer.risk_left)?;
            }
            if let Some(at) = answer.retry_after {
                writeln!(out, "ask again at {at:.0}")?;
            }
        } else {
            output::value(&mut out, self.output, answer)?;
        }
        Ok(if answer.granted { Code::Done } else { Code::Refused })
    }

    fn print(&self, mut rows: Vec<Value>) -> Result<Code, Failed> {
        for row in &mut rows {
            let servers = row["servers"].as_array().map(|all| all.iter().filter_map(Value::as_str));
            row["servers"] = json!(servers.map(|all| all.collect::<Vec<_>>().join(" ")));
            for name in ["since", "until", "released"] {
                let at = row[name].as_str().and_then(|text| text.parse::<Timestamp>().ok());
                row[name] = json!(at.map(|at| format!("{at:.0}")));
            }
        }
        let columns = [
            "lease", "fleet", "rollout", "count", "servers", "since", "until", "risk", "actor",
            "reason",
        ];
        output::rows(&mut std::io::stdout().lock(), self.output, &columns, &rows)?;
        Ok(Code::Done)
    }
}

impl Ask {
    /// What has to be said, and agrees.
    fn checked(&self) -> Result<(PositiveSpan, &str), Failed> {
        let (Some(length), Some(reason)) = (self.length, &self.reason) else {
            return Err(Failed::usage("say --for and --reason"));
        };
        let named = self.server.len();
        if named > self.count as usize {
            let text = format!("{named} servers are named, and --count is {}", self.count);
            return Err(Failed::usage(text));
        }
        Ok((length, reason))
    }
}

/// A permit, as a daemon tells it as well.
fn row(permit: &Granted) -> Value {
    json!({
        "lease": permit.lease, "fleet": permit.fleet, "rollout": permit.rollout,
        "count": permit.count, "servers": permit.servers,
        "since": permit.since, "until": permit.until, "released": permit.released,
        "risk": permit.risks.iter().map(|(_, risk)| risk).sum::<f64>(),
        "actor": permit.actor, "reason": permit.reason,
    })
}

/// A refusal is an answer.
fn decided(answer: Result<Value, ClientError>) -> Result<Answer, Failed> {
    let told = match answer {
        Ok(granted) => granted,
        Err(ClientError::Refused { mut problem, detail, .. }) if problem["granted"] == false => {
            problem["reason"] = json!(detail);
            problem
        }
        Err(error) => return Err(daemon::failed(error)),
    };
    serde_json::from_value(told)
        .map_err(|error| Failed::new(Code::Error, format!("the daemon's answer: {error}")))
}

fn at_most_a_day(length: PositiveSpan) -> Result<std::time::Duration, Failed> {
    let length = length.duration();
    if length > LONGEST {
        return Err(Failed::usage("a permit lasts a day at most; renew it"));
    }
    Ok(length)
}

/// What was named wrongly is bad input; the rest keeps its meaning.
fn failed(error: PermitError) -> Failed {
    match error {
        PermitError::Plan(error) => super::plan_failed(error),
        PermitError::Servers(_) | PermitError::NoSuch(_) => Failed::data(error),
        error => error.into(),
    }
}

/// The one fleet that is meant, by what was learned of it.
async fn prepared(
    of: &Of,
    clock: &Arc<dyn Clock>,
    journal: &dyn Journal,
) -> Result<Prepared, Failed> {
    let documents = documents::load(&of.files, clock).map_err(Failed::data)?;
    let all = Together::new(&documents, of.rollout.as_deref(), clock, &[])?;
    let all = crate::apply::lessons::known(journal, all).await;
    let names: Vec<String> = all.parts.iter().map(|part| part.fleet.name.to_string()).collect();
    let is_meant = |part: &Prepared| match &of.fleet {
        Some(fleet) => part.fleet.name == *fleet,
        None => names.len() == 1,
    };
    let text = format!("say --fleet: the rollout is over {}", names.join(", "));
    all.parts.into_iter().find(is_meant).ok_or_else(|| Failed::usage(text))
}
