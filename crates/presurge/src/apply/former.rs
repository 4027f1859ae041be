//! What servers run before a rollout begins: what a roll-back brings back. It is asked once, and frozen
//! in the first event of the journal, since nobody can tell afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::event::{AfterHold, OnFailure};
use domain::name::{ServerName, Version};
use domain::ports::{Target, Updater};
use futures_util::future::join_all;

use crate::cli::{Code, Failed};
use crate::pipeline::Prepared;

/// The version of each server, where it could be told.
pub type Former = BTreeMap<ServerName, Version>;

/// So many servers are asked at once.
const AT_ONCE: usize = 16;

/// No longer than this is waited for all of them.
const PATIENCE: Duration = Duration::from_secs(120);

/// What could be told, and why the rest could not.
#[derive(Debug, Default)]
struct Told {
    former: Former,
    silent: Vec<(ServerName, String)>,
}

/// What every server runs now. Where it cannot be told there is a warning, or an error where the
/// configuration asks for roll-backs.
pub async fn known(prepared: &Prepared, updater: &dyn Updater) -> Result<Former, Failed> {
    let rollout = &prepared.rollout;
    if !rollout.reversible {
        return Ok(Former::new());
    }
    let servers = prepared.fleet.servers.iter().filter(|server| !server.own);
    let targets: Vec<Target> =
        servers.map(|s| Target { server: s.name.clone(), address: s.address.clone() }).collect();
    let told = ask(updater, &targets).await;
    let Some((first, why)) = told.silent.first() else { return Ok(told.former) };
    let others = match told.silent.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} others"),
    };
    let text = format!("what {first}{others} of fleet {} run now: {why}", prepared.fleet.name);
    let asked = match (rollout.on_failure, rollout.hold.then) {
        (OnFailure::Rollback, _) => "spec.onFailure: rollback",
        (_, AfterHold::Rollback) => "spec.hold.then: rollback",
        _ => {
            eprintln!("warning: nobody can tell {text}; this rollout cannot be rolled back");
            return Ok(told.former);
        }
    };
    let refused = format!("{asked} needs to know {text}; nothing was done");
    Err(Failed::new(Code::Refused, refused))
}

async fn ask(updater: &dyn Updater, targets: &[Target]) -> Told {
    let mut told = Told::default();
    let asking = async {
        for some in targets.chunks(AT_ONCE) {
            let answers = join_all(some.iter().map(|target| updater.observe(target))).await;
            for (target, answer) in some.iter().zip(answers) {
                let name = target.server.clone();
                match answer {
                    Ok(state) if state.in_progress => {
                        told.silent.push((name, "an update is under way".into()));
                    }
                    Ok(state) => match state.version {
                        Some(version) => drop(told.former.insert(name, version)),
                        None => {
                            let why = "the updater cannot observe it; give it an `observe` command";
                            told.silent.push((name, why.into()));
                        }
                    },
                    Err(error) => told.silent.push((name, error.chain())),
                }
            }
        }
    };
    if tokio::time::timeout(PATIENCE, asking).await.is_err() {
        let asked = told.former.len() + told.silent.len();
        let why = format!("no answer within {} s", PATIENCE.as_secs());
        let rest = targets.iter().skip(asked).map(|target| (target.server.clone(), why.clone()));
        told.silent.extend(rest);
    }
    told
}
