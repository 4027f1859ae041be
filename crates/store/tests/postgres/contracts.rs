//! The contract suites. They pass the time in, and the store judges leases by the clock of the
//! database: so the clock of the database is set to the time of each call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::contract::{archive, freezes, journal};
use domain::journal::Record;
use domain::name::RolloutId;
use domain::ports::{Append, AppendError, Archive, Journal, Lease, PortError};
use jiff::Timestamp;
use store::Postgres;

use crate::open;
use crate::server::Server;

/// A database of its own on the server of the test.
struct World {
    server: Arc<Server>,
    database: String,
}

impl World {
    async fn new(server: &Arc<Server>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let database = format!("world_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        server.sql("postgres", &format!("CREATE DATABASE {database}"));
        let world = Self { server: server.clone(), database };
        world.open().rollouts().await.expect("the tables are made");
        server.sql(
            &world.database,
            "CREATE TABLE presurge.test_clock (at timestamptz);
             INSERT INTO presurge.test_clock VALUES (NULL);
             CREATE OR REPLACE FUNCTION presurge.now() RETURNS timestamptz LANGUAGE sql VOLATILE
                 AS 'SELECT at FROM presurge.test_clock'",
        );
        world
    }

    fn open(&self) -> Postgres {
        open(&self.server.address(&self.database))
    }
}

/// A journal whose database has the time of the caller.
struct AtTheTime {
    journal: Postgres,
    server: Arc<Server>,
    database: String,
}

#[async_trait]
impl Journal for AtTheTime {
    async fn lease(
        &self,
        rollout: &RolloutId,
        owner: &str,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<Lease>, PortError> {
        let set = format!("UPDATE presurge.test_clock SET at = '{now}'");
        self.server.sql(&self.database, &set);
        self.journal.lease(rollout, owner, now, length).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.journal.release(lease).await
    }

    async fn read(&self, rollout: &RolloutId, after: u64) -> Result<Vec<Record>, PortError> {
        self.journal.read(rollout, after).await
    }

    async fn append(&self, append: Append<'_>) -> Result<Vec<Record>, AppendError> {
        self.journal.append(append).await
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, PortError> {
        self.journal.rollouts().await
    }
}

impl journal::World for World {
    fn journal(&self) -> Arc<dyn Journal> {
        let (journal, server, database) = (self.open(), self.server.clone(), self.database.clone());
        Arc::new(AtTheTime { journal, server, database })
    }
}

impl archive::World for World {
    fn archive(&self) -> Arc<dyn Archive> {
        Arc::new(self.open())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_keeps_the_contract_of_journals() {
    let Some(server) = Server::start().map(Arc::new) else { return };
    journal::run(async || World::new(&server).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_keeps_the_contract_of_freezes() {
    let Some(server) = Server::start().map(Arc::new) else { return };
    freezes::run(async || World::new(&server).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_keeps_the_contract_of_archives() {
    let Some(server) = Server::start().map(Arc::new) else { return };
    archive::run(async || World::new(&server).await).await;
}
