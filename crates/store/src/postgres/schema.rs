//! The tables and their version.
//!
//! Replicas of the former release go on with their connections while a newer one brings the tables
//! to its version; a step may therefore only add what these can do without.

use tokio_postgres::Client;

use super::error::PostgresError;

/// The version of the tables that this build writes, in `presurge.version`.
pub const VERSION: i32 = 2;

/// Only who changes the tables takes this lock, and gives it back with the transaction: "PSRG".
const MIGRATION: i64 = 0x5053_5247;

/// From each version to the next; the first makes the tables.
///
/// A record is stored as its line of JSON, exactly as it is exported. The head stands in the
/// rollout's row as well, so that one statement can compare it and move it; where it is not that
/// of the last record, nothing is appended. The triggers stop slips, not attackers; against those
/// stands the chain of hashes. What is kept may be replaced: nothing is decided by it alone.
///
/// `epoch` is that of the owner, or, while there is none, the one that the next owner gets.
const STEPS: [&str; VERSION as usize] = [
    "
CREATE TABLE presurge.version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version integer NOT NULL
);
INSERT INTO presurge.version (version) VALUES (0);
CREATE SEQUENCE presurge.creation;
CREATE TABLE presurge.rollout (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name text COLLATE \"C\" NOT NULL UNIQUE,
    created bigint,
    seq bigint NOT NULL DEFAULT 0 CHECK (seq >= 0),
    hash text NOT NULL DEFAULT 'sha256:' || repeat('0', 64),
    epoch bigint NOT NULL DEFAULT 1 CHECK (epoch >= 1),
    owner text,
    until timestamptz,
    CHECK ((owner IS NULL) = (until IS NULL)),
    CHECK ((created IS NULL) = (seq = 0))
) WITH (fillfactor = 50);
CREATE TABLE presurge.record (
    rollout bigint NOT NULL REFERENCES presurge.rollout (id),
    seq bigint NOT NULL CHECK (seq >= 1),
    line text NOT NULL,
    PRIMARY KEY (rollout, seq)
);
CREATE TABLE presurge.archive (digest text COLLATE \"C\" PRIMARY KEY, bytes bytea NOT NULL);
CREATE FUNCTION presurge.kept() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'a journal is appended to, never changed or cut'; END $$;
CREATE TRIGGER kept BEFORE UPDATE OR DELETE OR TRUNCATE ON presurge.record
    FOR EACH STATEMENT EXECUTE FUNCTION presurge.kept();
CREATE FUNCTION presurge.now() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    $$ SELECT pg_catalog.clock_timestamp() $$;
COMMENT ON FUNCTION presurge.now() IS 'the only clock by which leases end';
",
    "
CREATE TABLE presurge.kept (name text COLLATE \"C\" PRIMARY KEY, bytes bytea NOT NULL);
",
];

/// Sees that the tables are those of this build: makes them where there are none, brings older ones
/// forward.
pub(super) async fn prepare(client: &mut Client, store: &str) -> Result<(), PostgresError> {
    let failed = |error: tokio_postgres::Error| PostgresError::of(store, &error);
    let sql = "SELECT current_setting('server_encoding'), pg_is_in_recovery()";
    let row = client.query_typed_one(sql, &[]).await.map_err(failed)?;
    let encoding: String = row.get(0);
    if encoding != "UTF8" {
        return Err(PostgresError::Encoding { store: store.to_owned(), found: encoding });
    }
    if row.get(1) {
        return Err(PostgresError::ReadOnly { store: store.to_owned() });
    }
    if version(client, store).await? == VERSION {
        return Ok(());
    }
    let transaction = client.transaction().await.map_err(failed)?;
    let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION})");
    transaction.batch_execute(&lock).await.map_err(failed)?;
    // Another process may have been faster.
    let found = version(&transaction, store).await?;
    let steps = usize::try_from(found).ok().and_then(|found| STEPS.get(found..)).unwrap_or(&[]);
    if steps.is_empty() {
        return Ok(());
    }
    // Who may not make schemas may have been given an empty one.
    let sql = "SELECT to_regnamespace('presurge') IS NULL";
    if transaction.query_typed_one(sql, &[]).await.map_err(failed)?.get(0) {
        transaction.batch_execute("CREATE SCHEMA presurge").await.map_err(failed)?;
    }
    for step in steps {
        transaction.batch_execute(step).await.map_err(failed)?;
    }
    let set = format!("UPDATE presurge.version SET version = {VERSION}");
    transaction.batch_execute(&set).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// The version of the tables: 0 when there are none. Refuses what this build must not touch.
async fn version(
    client: &impl tokio_postgres::GenericClient,
    store: &str,
) -> Result<i32, PostgresError> {
    let failed = |error: tokio_postgres::Error| PostgresError::of(store, &error);
    let sql = "SELECT to_regclass('presurge.version') IS NOT NULL,
                   (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('presurge'))";
    let row = client.query_typed(sql, &[]).await.map_err(failed)?;
    let (ours, tables): (bool, i64) = (row[0].get(0), row[0].get(1));
    if !ours && tables > 0 {
        return Err(PostgresError::Foreign { store: store.to_owned() });
    }
    if !ours {
        return Ok(0);
    }
    let rows = client.query_typed("SELECT version FROM presurge.version", &[]).await;
    let rows = rows.map_err(failed)?;
    let found: i32 = rows.first().map_or(0, |row| row.get(0));
    match found {
        1..=VERSION => Ok(found),
        found if found > VERSION => {
            let store = store.to_owned();
            Err(PostgresError::Newer { store, found, known: VERSION })
        }
        _ => Err(PostgresError::Foreign { store: store.to_owned() }),
    }
}
