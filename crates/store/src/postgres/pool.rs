//! The connections of one process: a few, made when they are needed, and made anew when they broke.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::address::Address;
use super::error::PostgresError;
use super::session::Session;
use super::settings::{CALL, CONNECTIONS, PAUSE_FIRST, PAUSE_LONGEST, STATEMENT};

/// The parameters of a statement, with their types: so that it need not be prepared first.
pub(super) type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

#[derive(Debug)]
pub(super) struct Pool {
    address: Address,
    store: String,
    permits: Semaphore,
    idle: Mutex<Vec<Session>>,
    rest: Mutex<Rest>,
}

/// When to try to connect again, after tries that failed.
#[derive(Debug, Default)]
struct Rest {
    failures: u32,
    until: Option<Instant>,
}

impl Pool {
    pub(super) fn new(address: Address) -> Self {
        let store = address.to_string();
        let (idle, rest) = (Mutex::default(), Mutex::default());
        Self { address, store, permits: Semaphore::new(CONNECTIONS), idle, rest }
    }

    /// How messages name the database.
    pub(super) fn store(&self) -> &str {
        &self.store
    }

    /// A stored row that makes no sense.
    pub(super) fn damaged(&self, what: String) -> PostgresError {
        PostgresError::Damaged { store: self.store.clone(), what }
    }

    /// Executes one statement, which is a transaction, within [`CALL`].
    ///
    /// # Errors
    /// Where the answer did not come, it may have been executed all the same.
    pub(super) async fn query(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, PostgresError> {
        self.query_within(CALL, sql, parameters).await
    }

    /// The same within a limit of its own.
    pub(super) async fn query_within(
        &self,
        limit: Duration,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, PostgresError> {
        let deadline = Instant::now() + limit;
        let asked = async {
            let mut lent = self.lend().await?;
            if limit > CALL {
                lent.patience(limit).await?;
            }
            let rows = lent.query(sql, parameters).await?;
            if limit > CALL {
                lent.patience(STATEMENT).await?;
            }
            Ok(rows)
        };
        let slow = |_| PostgresError::Slow { store: self.store.clone(), limit };
        timeout_at(deadline, asked).await.map_err(slow)?
    }

    /// A connection, an idle one if there is any.
    async fn lend(&self) -> Result<Lent<'_>, PostgresError> {
        let permit = self.permits.acquire().await.expect("it is never closed");
        loop {
            let idle = self.idle.lock().expect("nobody panics with it").pop();
            match idle {
                Some(session) if session.client.is_closed() => {}
                Some(session) => return Ok(Lent::new(self, session, permit)),
                None => break,
            }
        }
        let until = self.rest.lock().expect("nobody panics with it").until;
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
        let opened = Session::open(&self.address).await;
        let mut rest = self.rest.lock().expect("nobody panics with it");
        match opened {
            Ok(session) => {
                *rest = Rest::default();
                drop(rest);
                Ok(Lent::new(self, session, permit))
            }
            Err(error) => {
                let pause = PAUSE_FIRST * 2_u32.pow(rest.failures.min(10));
                rest.failures += 1;
                rest.until = Some(Instant::now() + pause.min(PAUSE_LONGEST));
                Err(error)
            }
        }
    }
}

/// A connection that is in use. Whatever is under way on it when it is dropped is given up together
/// with it, so that the next call never waits for the answer of another one.
struct Lent<'a> {
    pool: &'a Pool,
    session: Option<Session>,
    busy: bool,
    _permit: SemaphorePermit<'a>,
}

impl<'a> Lent<'a> {
    fn new(pool: &'a Pool, session: Session, permit: SemaphorePermit<'a>) -> Self {
        Self { pool, session: Some(session), busy: false, _permit: permit }
    }

    fn session(&self) -> &Session {
        self.session.as_ref().expect("it is there until the drop")
    }

    async fn query(
        &mut self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, PostgresError> {
        self.busy = true;
        let answer = self.session().client.query_typed(sql, parameters).await;
        let answer = answer.map_err(|error| PostgresError::of(&self.pool.store, &error));
        // A server that takes no writes any more is not the right one to come back to.
        self.busy = matches!(answer, Err(PostgresError::ReadOnly { .. }));
        answer
    }

    /// Lets the server work so long on a statement.
    async fn patience(&mut self, limit: Duration) -> Result<(), PostgresError> {
        self.busy = true;
        let sql = format!("SET statement_timeout = {}", limit.as_millis());
        let answer = self.session().client.batch_execute(&sql).await;
        self.busy = answer.is_err();
        answer.map_err(|error| PostgresError::of(&self.pool.store, &error))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if !self.busy && !session.client.is_closed() {
            self.pool.idle.lock().expect("nobody panics with it").push(session);
        }
    }
}
