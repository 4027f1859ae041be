//! What people say shall become of a rollout: into its journal in a store, or by a daemon.

use adapters::clock::SystemClock;
use clap::Args;
use domain::event::Event;
use domain::name::RolloutId;
use domain::ports::{Clock, Journal};
use serde_json::json;

use super::Place;
use crate::apply::control::{self, ControlError, DigestStart, Judgement, Petition};
use crate::apply::keyed;
use crate::cli::daemon::failed;
use crate::cli::{Code, Failed};
use crate::client::{Client, because};

/// What a person says of a plan.
#[derive(Debug, Args)]
pub struct Approve {
    /// The rollout; with the fleet and the number of the attempt where there are several
    name: String,
    /// The digest of the plan, or its first twelve digits or more
    #[arg(long, value_name = "DIGEST")]
    digest: DigestStart,
    /// Reject it: what is out comes back, the surge is given back, and the rollout ends
    #[arg(long)]
    reject: bool,
    /// Why, for the journal
    #[arg(long, default_value = "")]
    reason: String,
}

/// A request of a person.
#[derive(Debug, Args)]
pub struct Request {
    /// The rollout
    name: String,
    /// Why, for the journal
    #[arg(long, default_value = "")]
    reason: String,
}

/// What can be asked of any rollout that is open.
#[derive(Debug, Clone, Copy)]
pub enum Ask {
    /// Open no further batch.
    Pause,
    /// Go on.
    Resume,
    /// End.
    Abort,
}

impl Ask {
    fn verb(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
        }
    }

    fn event(self) -> Event {
        match self {
            Self::Pause => Event::PauseRequested {},
            Self::Resume => Event::ResumeRequested {},
            Self::Abort => Event::AbortRequested {},
        }
    }
}

impl Request {
    /// Pauses, resumes or aborts every fleet of it that is open.
    pub async fn answer(self, place: &Place, ask: Ask) -> Result<Code, Failed> {
        let verb = ask.verb();
        let journal = match place {
            Place::Store(store) => store.as_ref(),
            Place::Daemon(client) => return self.of_daemon(client, verb, verb).await,
        };
        let petition = Petition::here(&self.reason, SystemClock.now());
        let (mut written, mut ended) = (0, None);
        for id in keyed::existing_all(journal, &self.name).await? {
            match control::request(journal, id.as_str(), verb, ask.event(), &petition).await {
                Ok(id) => {
                    written += 1;
                    say(verb, &id);
                }
                Err(error @ ControlError::Ended { .. }) => ended = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        if let (0, Some(error)) = (written, ended) {
            return Err(error.into());
        }
        eprintln!("{NONE_RUNS}");
        Ok(Code::Done)
    }

    /// Each fleet that can be rolled back is; the others say why not.
    pub async fn roll_back(self, place: &Place) -> Result<Code, Failed> {
        let journal = match place {
            Place::Store(store) => store.as_ref(),
            Place::Daemon(client) => return self.of_daemon(client, "rollback", "roll-back").await,
        };
        let petition = Petition::here(&self.reason, SystemClock.now());
        let (mut written, mut refused) = (0, Vec::new());
        for id in keyed::existing_all(journal, &self.name).await? {
            match control::roll_back(journal, id, &petition).await {
                Ok(id) => {
                    written += 1;
                    say("roll-back", &id);
                }
                Err(error @ (ControlError::Refused { .. } | ControlError::Ended { .. })) => {
                    refused.push(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if written == 0 && refused.len() == 1 {
            return Err(Failed::new(Code::Refused, refused.remove(0)));
        }
        for error in &refused {
            eprintln!("not rolled back: {}", crate::causes::chain(error));
        }
        if written == 0 {
            return Err(Failed::new(Code::Refused, "none of its fleets can be rolled back"));
        }
        eprintln!("{NONE_RUNS}");
        Ok(if refused.is_empty() { Code::Done } else { Code::Refused })
    }

    /// Has a daemon write it; it says what of which fleet.
    async fn of_daemon(&self, client: &Client, verb: &str, word: &str) -> Result<Code, Failed> {
        let asked = client.request(&self.name, verb, &because(&self.reason)).await;
        let asked = asked.map_err(failed)?;
        for id in &asked.written {
            eprintln!("{word} of {id} is written; the daemon does it within a second");
        }
        for not in &asked.refused {
            eprintln!("not written: {}", not.reason);
        }
        // A fleet that has ended has nothing to pause; one that cannot be rolled back is a refusal.
        let whole = asked.refused.is_empty() || verb != "rollback";
        Ok(if whole { Code::Done } else { Code::Refused })
    }
}

const NONE_RUNS: &str = "if none is running, start the same `presurge apply` again";

fn say(verb: &str, id: &RolloutId) {
    eprintln!("{verb} of {id} is written; a running `presurge apply` does it within a second");
}

impl Approve {
    /// Of several fleets each has a plan of its own: the digest says which is meant.
    pub async fn answer(self, place: &Place) -> Result<Code, Failed> {
        let what = if self.reject { "rejected" } else { "approved" };
        let journal: &dyn Journal = match place {
            Place::Store(store) => store.as_ref(),
            Place::Daemon(client) => {
                let body = json!({
                    "digest": self.digest, "reject": self.reject, "reason": self.reason,
                });
                let asked = client.request(&self.name, "approve", &body).await.map_err(failed)?;
                for id in &asked.written {
                    eprintln!("the plan of {id} is {what}; the daemon goes on within a second");
                }
                return Ok(Code::Done);
            }
        };
        let petition = Petition::here(&self.reason, SystemClock.now());
        let judgement = if self.reject { Judgement::Reject } else { Judgement::Approve };
        let mut refused = None;
        for id in keyed::existing_all(journal, &self.name).await? {
            match control::judge_plan(journal, id, &self.digest, judgement, &petition).await {
                Ok(id) => {
                    eprintln!(
                        "the plan of {id} is {what}; a running `presurge apply` goes on within a second, \
                         and if none is running, start the same one again"
                    );
                    return Ok(Code::Done);
                }
                Err(error @ (ControlError::Refused { .. } | ControlError::Ended { .. })) => {
                    refused = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(refused
            .map_or_else(|| Failed::usage("there is no plan"), |e| Failed::new(Code::Refused, e)))
    }
}
