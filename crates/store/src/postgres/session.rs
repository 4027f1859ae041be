//! One connection, brought into shape and checked.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, NoTls, Socket};

use super::address::Address;
use super::error::PostgresError;
use super::schema;
use super::settings::{
    CLIENT_CHECK, CONNECT, IDLE_IN_TRANSACTION, LOCK, SILENT, SILENT_PROBES, STATEMENT,
};

/// A connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    /// Moves the bytes. Stopped with the session: a peer that is silent would keep it for long.
    mover: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.mover.abort();
    }
}

impl Session {
    /// Connects, sets the bounds of the session, and sees that the tables are those of this build.
    pub(super) async fn open(address: &Address) -> Result<Self, PostgresError> {
        let store = address.to_string();
        let mut session = match &address.tls {
            Some(tls) => Self::connect(address, tls.clone(), &store).await?,
            None => Self::connect(address, NoTls, &store).await?,
        };
        let bounded = session.client.batch_execute(&bounds()).await;
        bounded.map_err(|error| PostgresError::of(&store, &error))?;
        schema::prepare(&mut session.client, &store).await?;
        Ok(session)
    }

    async fn connect<T>(address: &Address, tls: T, store: &str) -> Result<Self, PostgresError>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
    {
        // The library bounds each step; names, encryption and login together are bounded here.
        let connected = tokio::time::timeout(CONNECT, address.config.connect(tls)).await;
        let connected = connected.map_err(|_| PostgresError::silent(store))?;
        let (client, connection) =
            connected.map_err(|error| PostgresError::connecting(store, &error))?;
        let mover = tokio::spawn(async move {
            // What breaks the connection is told to whoever waits for an answer on it.
            let _ = connection.await;
        });
        Ok(Self { client, mover })
    }
}

/// What a session is told first. The last statements bound what the server does about a client that
/// has gone: not every platform can do it all, and it does no harm where one cannot.
fn bounds() -> String {
    let ms = Duration::as_millis;
    format!(
        "SET search_path = pg_catalog;
         SET statement_timeout = {};
         SET lock_timeout = {};
         SET idle_in_transaction_session_timeout = {};
         SET default_transaction_isolation = 'read committed';
         SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') = 'off';
         DO $$ BEGIN
             PERFORM set_config('tcp_keepalives_idle', '{idle}', false);
             PERFORM set_config('tcp_keepalives_interval', '1', false);
             PERFORM set_config('tcp_keepalives_count', '{SILENT_PROBES}', false);
             PERFORM set_config('client_connection_check_interval', '{}', false);
         EXCEPTION WHEN others THEN NULL; END $$",
        ms(&STATEMENT),
        ms(&LOCK),
        ms(&IDLE_IN_TRANSACTION),
        ms(&CLIENT_CHECK),
        idle = SILENT.as_secs(),
    )
}
