//! The store on a real PostgreSQL that the tests start themselves.

#![allow(clippy::disallowed_methods, reason = "a test of real parts runs in real time")]

mod contracts;
mod cut;
mod frozen;
mod many;
mod relay;
mod server;
mod tls;
mod troubles;

use domain::event::Event;
use domain::journal::{Actor, Entry, Head};
use domain::name::RolloutId;
use domain::ports::{Append, AppendError, Authority, Journal, Lease};
use jiff::Timestamp;
use store::Postgres;
use store::postgres::Address;

/// A store at an address, without an environment.
fn open(address: &str) -> Postgres {
    Postgres::new(Address::parse(address, |_| None).unwrap())
}

fn id() -> RolloutId {
    RolloutId::new("kernel#1").unwrap()
}

fn entry(reason: &str) -> Entry {
    Entry {
        at: Timestamp::UNIX_EPOCH,
        actor: Actor(format!("process {}", std::process::id())),
        cause: None,
        reason: reason.into(),
        inputs: None,
        event: Event::PauseRequested {},
    }
}

/// Appends two records; the head behind them.
async fn pair(
    journal: &dyn Journal,
    lease: Option<&Lease>,
    after: &Head,
    reason: &str,
) -> Result<Head, AppendError> {
    let entries = vec![entry(reason), entry(reason)];
    let authority = lease.map_or(Authority::Operator, Authority::Driver);
    let append = Append { rollout: &id(), authority, after, entries };
    Ok(journal.append(append).await?[1].head())
}

/// The clock of the driver; the store judges by that of the database.
fn now() -> Timestamp {
    Timestamp::now()
}
