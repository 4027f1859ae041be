//! `presurge rollout watch`: a rollout that somebody else drives, told as `apply` tells its own.

use std::io::Write;
use std::time::Duration;

use adapters::clock::SystemClock;
use clap::Args;
use domain::config::PositiveSpan;
use domain::event::Outcome;
use domain::name::RolloutId;
use domain::ports::{Clock, Journal, Retry};
use rollout::State;
use rollout::driver::Audience;
use rollout::machine;
use rollout::observe::Seen;

use crate::apply::audience::Storyteller;
use crate::apply::keyed::{self, LookError};
use crate::cli::{Code, Failed};

/// From one look into the journal to the next.
const LOOK: Duration = Duration::from_secs(1);

/// What people are told of the end stands behind it: so many more looks.
const AFTER_THE_END: u32 = 2;

/// Which rollout is followed, and how it is told.
#[derive(Debug, Args)]
pub struct Watch {
    /// Its name, or its id with the number of the attempt
    name: String,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Lines,
    /// Only what comes from now on, and not what has happened so far
    #[arg(long)]
    new: bool,
    /// Watch for no longer than this
    #[arg(long, value_name = "SPAN")]
    timeout: Option<PositiveSpan>,
}

/// What is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Lines {
    /// For people
    #[default]
    Text,
    /// A line of JSON for each record
    Json,
}

/// One fleet that is followed.
struct Followed {
    id: RolloutId,
    teller: Storyteller,
    state: Option<State>,
    /// The number of the last record that was read.
    after: u64,
}

impl Watch {
    /// Follows it until every fleet of it has ended.
    pub async fn answer(self, journal: &dyn Journal) -> Result<Code, Failed> {
        let ids = keyed::existing_all(journal, &self.name).await?;
        let several = ids.len() > 1;
        let mut all: Vec<Followed> = Vec::new();
        for id in ids {
            let records = journal.read(&id, 0).await?;
            let state = machine::fold(&records);
            let state = state.map_err(|error| LookError::Fold(id.clone(), error))?;
            let Some(state) = state else {
                return Err(Failed::data(format!("{id} is no rollout")));
            };
            let teller = match several {
                true => Storyteller::of(state.created.fleet.as_str()),
                false => Storyteller::new(),
            };
            let (state, after) =
                if self.new { (Some(state), records.len() as u64) } else { (None, 0) };
            all.push(Followed { id, teller, state, after });
        }
        tokio::select! {
            code = self.follow(journal, &mut all) => code,
            signal = tokio::signal::ctrl_c() => {
                signal?;
                eprintln!("\nnobody watches any more; the rollout goes on");
                Ok(Code::Interrupted)
            }
        }
    }

    async fn follow(&self, journal: &dyn Journal, all: &mut [Followed]) -> Result<Code, Failed> {
        let until = self.timeout.map(|length| SystemClock.now() + length.duration());
        let mut looks_left = AFTER_THE_END;
        loop {
            for one in all.iter_mut() {
                self.look(journal, one).await?;
            }
            let ends: Option<Vec<Outcome>> =
                all.iter().map(|one| one.state.as_ref().and_then(State::outcome)).collect();
            if let Some(ends) = ends {
                if looks_left == 0 {
                    return Ok(code(&ends));
                }
                looks_left -= 1;
            } else if until.is_some_and(|until| SystemClock.now() >= until) {
                eprintln!(
                    "it has not ended yet, and goes on; `presurge rollout show` says where it stands"
                );
                return Ok(Code::Waiting);
            }
            SystemClock.sleep_until(SystemClock.now() + LOOK).await;
        }
    }

    /// Tells what has come since the last look. A store or daemon that does not answer now may do so later.
    async fn look(&self, journal: &dyn Journal, one: &mut Followed) -> Result<(), Failed> {
        let records = match journal.read(&one.id, one.after).await {
            Ok(records) => records,
            Err(error) if error.retry == Retry::Never => return Err(error.into()),
            Err(error) => {
                one.teller.troubled(&error.chain());
                return Ok(());
            }
        };
        for record in records {
            let taken = match &mut one.state {
                None => machine::fold(std::slice::from_ref(&record)).map(|state| one.state = state),
                Some(state) => machine::apply(state, &record),
            };
            taken.map_err(|error| LookError::Fold(one.id.clone(), error))?;
            one.after = record.seq;
            match (self.output, &one.state) {
                (Lines::Json, _) => {
                    let mut out = std::io::stdout().lock();
                    serde_json::to_writer(&mut out, &record)?;
                    writeln!(out)?;
                    out.flush()?;
                }
                (Lines::Text, Some(state)) => one.teller.recorded(state, &record),
                (Lines::Text, None) => {}
            }
        }
        if let (Lines::Text, Some(state)) = (self.output, &one.state) {
            one.teller.looked(state, &Seen::default(), SystemClock.now());
        }
        Ok(())
    }
}

/// The worst of the ends.
fn code(ends: &[Outcome]) -> Code {
    if ends.iter().any(|end| matches!(end, Outcome::Aborted | Outcome::RolledBack)) {
        Code::Aborted
    } else if ends.contains(&Outcome::Incomplete) {
        Code::Error
    } else {
        Code::Done
    }
}
