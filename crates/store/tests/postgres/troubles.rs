//! What goes wrong with servers, databases and users, in words that help.

use std::time::Duration;

use domain::journal::{Digest, Head, verify};
use domain::ports::{AppendError, Archive, Journal, PortError, Retry};
use store::Store;
use store::postgres::VERSION;

use crate::server::{Server, free_port};
use crate::{id, now, open, pair};

/// No error says this word, whatever it is about.
const SECRET: &str = "s3cr3t-w0rd";

fn checked(error: &PortError, retry: Retry, text: &str) {
    let said = error.chain();
    assert!(said.contains(text), "{said}");
    assert_eq!(error.retry, retry, "{said}");
    assert!(!format!("{error:?} {said}").contains(SECRET), "{said} {error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_address_is_said_without_its_password() {
    let access = ["local all all trust", "host all all 127.0.0.1/32 scram-sha-256"];
    let Some(server) = Server::with(&[], &access) else { return };
    server.sql("postgres", &format!("ALTER ROLE presurge PASSWORD '{SECRET}'"));
    let at = |user: &str, port: u16, database: &str| {
        let address = format!("postgres://{user}@127.0.0.1:{port}/{database}");
        let store = open(&address);
        assert!(!format!("{store:?} {}", store.name()).contains(SECRET), "{store:?}");
        store
    };
    let mine = format!("presurge:{SECRET}");
    let store = at(&mine, server.port, "presurge");
    assert!(store.check().await.expect("it lets us in").contains("PostgreSQL"));
    let wrong = at(&format!("presurge:not-{SECRET}"), server.port, "presurge");
    let error = wrong.rollouts().await.unwrap_err();
    checked(&error, Retry::Never, "does not let this user in");
    let error = at("presurge", server.port, "presurge").rollouts().await.unwrap_err();
    checked(&error, Retry::Never, "PGPASSWORD");
    let error = at(&mine, server.port, "elsewhere").rollouts().await.unwrap_err();
    checked(&error, Retry::Never, "no such database");
    let error = at(&mine, free_port(), "presurge").rollouts().await.unwrap_err();
    checked(&error, Retry::Backoff, "cannot be reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_ours_is_left_alone() {
    let Some(server) = Server::start() else { return };
    let store = open(&server.address("presurge"));
    pair(&store, None, &Head::empty(), "one").await.unwrap();
    let newer = format!("UPDATE presurge.version SET version = {}", VERSION + 1);
    server.sql("presurge", &newer);
    let error = open(&server.address("presurge")).rollouts().await.unwrap_err();
    let text = format!("store version {}, this build reads up to {VERSION}", VERSION + 1);
    checked(&error, Retry::Never, &text);
    server.sql("postgres", "CREATE DATABASE foreign_one");
    server.sql("foreign_one", "CREATE SCHEMA presurge; CREATE TABLE presurge.record (x int)");
    let error = open(&server.address("foreign_one")).rollouts().await.unwrap_err();
    checked(&error, Retry::Never, "belongs to another program");
    let latin = "CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0";
    server.sql("postgres", latin);
    let error = open(&server.address("latin")).rollouts().await.unwrap_err();
    checked(&error, Retry::Never, "its encoding is LATIN1");
    let read_only = "ALTER DATABASE presurge SET default_transaction_read_only = on";
    server
        .sql("presurge", &format!("UPDATE presurge.version SET version = {VERSION}; {read_only}"));
    let store = open(&server.address("presurge"));
    assert_eq!(store.read(&id(), 0).await.expect("it can be read").len(), 2);
    let error = pair(&store, None, &Head::empty(), "two").await.unwrap_err();
    let AppendError::Port(error) = error else { panic!("{error}") };
    checked(&error, Retry::Backoff, "takes no writes");
}

/// Tables of the former release are brought forward, with what is in them.
#[tokio::test(flavor = "multi_thread")]
async fn tables_of_the_former_release_are_brought_forward() {
    let Some(server) = Server::start() else { return };
    let former = open(&server.address("presurge"));
    pair(&former, None, &Head::empty(), "one").await.unwrap();
    server.sql("presurge", "DROP TABLE presurge.kept; UPDATE presurge.version SET version = 1");
    let store = open(&server.address("presurge"));
    assert_eq!(store.kept("web/requests").await.unwrap(), None);
    let more = ["b", "a", "c"].map(|name| (name.to_owned(), name.as_bytes().to_vec()));
    store.keep(more.to_vec()).await.unwrap();
    store.keep(vec![("b".into(), vec![0; 100_000]), ("d".into(), Vec::new())]).await.unwrap();
    assert_eq!(store.names_kept().await.unwrap(), ["a", "b", "c", "d"]);
    assert_eq!(store.kept("b").await.unwrap().unwrap().len(), 100_000);
    assert_eq!(store.read(&id(), 0).await.unwrap().len(), 2);
    // A process of the former release goes on with its connections.
    assert_eq!(former.read(&id(), 0).await.unwrap().len(), 2);
}

/// What docs/postgresql.md grants is enough, and what it withholds is withheld.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_the_least_rights_can_do_everything_but_change_what_is_written() {
    let Some(server) = Server::start() else { return };
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/postgresql.md");
    let page = std::fs::read_to_string(page).unwrap();
    let grants = page.split("```sql").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    server.sql("postgres", "CREATE ROLE presurge_app LOGIN");
    let address = server.address("presurge").replace("presurge@", "presurge_app@");
    let error = open(&address).rollouts().await.unwrap_err();
    checked(&error, Retry::Never, "docs/postgresql.md");
    open(&server.address("presurge")).rollouts().await.expect("the owner makes the tables");
    let error = open(&address).rollouts().await.unwrap_err();
    checked(&error, Retry::Never, "permission denied for schema presurge");
    server.sql("presurge", grants);
    let store = open(&address);
    let lease = store.lease(&id(), "one", now(), Duration::from_secs(9)).await.unwrap().unwrap();
    let head = pair(&store, None, &Head::empty(), "one").await.expect("a chain is begun");
    pair(&store, Some(&lease), &head, "two").await.expect("and goes on");
    store.release(&lease).await.unwrap();
    let digest = store.put(b"load").await.unwrap();
    assert_eq!(store.get(&digest).await.unwrap().as_deref(), Some(b"load".as_slice()));
    assert_eq!(store.lines(&id()).await.unwrap().len(), 4);
    store.keep(vec![("web/requests".into(), b"one".to_vec())]).await.unwrap();
    store.keep(vec![("web/requests".into(), b"two".to_vec())]).await.unwrap();
    assert_eq!(store.kept("web/requests").await.unwrap().as_deref(), Some(b"two".as_slice()));
    store.check().await.unwrap();
    let (client, connection) =
        tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    for slip in [
        "UPDATE presurge.record SET line = ''",
        "DELETE FROM presurge.record",
        "TRUNCATE presurge.record",
        "DROP TABLE presurge.record",
        "UPDATE presurge.archive SET bytes = ''",
        "UPDATE presurge.version SET version = 9",
    ] {
        let error = client.execute(slip, &[]).await.expect_err(slip);
        let code = error.as_db_error().unwrap().code().code().to_owned();
        assert_eq!(code, "42501", "{slip}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashed_and_came_back_has_what_it_reported() {
    let Some(mut server) = Server::start() else { return };
    let store = open(&server.address("presurge"));
    let mut head = Head::empty();
    for round in 0..3 {
        for _ in 0..3 {
            head = pair(&store, None, &head, "some").await.expect("it is there");
        }
        server.crash();
        let error = store.read(&id(), 0).await.expect_err("it is away");
        assert_eq!(error.retry, Retry::Backoff, "{}", error.chain());
        server.resume();
        let records = store.read(&id(), 0).await;
        let records = records.unwrap_or_else(|error| panic!("{round}: {}", error.chain()));
        assert_eq!(verify(&records), Ok(head.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_free_connection_says_so_until_there_is_one() {
    let Some(server) = Server::start() else { return };
    open(&server.address("presurge")).rollouts().await.unwrap();
    server.sql("postgres", "CREATE ROLE few LOGIN SUPERUSER; ALTER ROLE few NOSUPERUSER");
    server.sql("presurge", "ALTER ROLE few CONNECTION LIMIT 1; GRANT presurge TO few");
    let address = server.address("presurge").replace("presurge@", "few@");
    let (other, connection) =
        tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
    let other_task = tokio::spawn(connection);
    let store = open(&address);
    let error = store.rollouts().await.expect_err("the place is taken");
    checked(&error, Retry::Backoff, "no connection left");
    drop(other);
    other_task.await.unwrap().unwrap();
    let mut tries = 0;
    while let Err(error) = store.rollouts().await {
        tries += 1;
        assert!(tries < 20, "{}", error.chain());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_keeps_locked_is_an_error_in_time() {
    let Some(server) = Server::start() else { return };
    let store = open(&server.address("presurge"));
    let head = pair(&store, None, &Head::empty(), "one").await.unwrap();
    let (mut other, connection) =
        tokio_postgres::connect(&server.address("presurge"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let lock = other.transaction().await.unwrap();
    lock.batch_execute("SELECT FROM presurge.rollout FOR UPDATE").await.unwrap();
    assert_eq!(store.read(&id(), 0).await.expect("reading waits for nobody").len(), 2);
    // It is given up; how fast, on a busy machine, nobody can say.
    let written = pair(&store, None, &head, "two");
    let written = tokio::time::timeout(Duration::from_secs(60), written).await.expect("no end");
    let error = written.expect_err("locked");
    let AppendError::Port(error) = error else { panic!("{error}") };
    checked(&error, Retry::Backoff, "keeps a row locked");
    lock.rollback().await.unwrap();
    pair(&store, None, &head, "two").await.expect("free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_tampered_with_is_found() {
    let Some(server) = Server::start() else { return };
    let store = open(&server.address("presurge"));
    let mut head = Head::empty();
    for reason in ["one", "two"] {
        head = pair(&store, None, &head, reason).await.unwrap();
    }
    let digest = store.put(b"load").await.unwrap();
    let (client, connection) =
        tokio_postgres::connect(&server.address("presurge"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let edit = "UPDATE presurge.record SET line = replace (line, '\"one\"', '\"eno\"')";
    for slip in [edit, "DELETE FROM presurge.record", "TRUNCATE presurge.record"] {
        let error = client.execute(slip, &[]).await.expect_err("records are kept");
        let said = error.as_db_error().unwrap().message().to_owned();
        assert!(said.contains("appended to, never"), "{said}");
    }
    let off = "ALTER TABLE presurge.record DISABLE TRIGGER kept";
    server.sql("presurge", &format!("{off}; {edit} WHERE seq = 2"));
    let broken = verify(&store.read(&id(), 0).await.unwrap()).unwrap_err();
    assert_eq!(broken.seq, 2, "{broken}");
    let port = |error: AppendError| match error {
        AppendError::Port(error) => error,
        other => panic!("{other}"),
    };
    server.sql("presurge", "DELETE FROM presurge.record WHERE seq = 4");
    let error = port(pair(&store, None, &Head::empty(), "three").await.unwrap_err());
    checked(&error, Retry::Never, "the head of kernel#1 is not its last record, 3");
    server.sql("presurge", "UPDATE presurge.rollout SET seq = 2");
    let seen = Head { seq: 2, ..head.clone() };
    let error = port(pair(&store, None, &seen, "three").await.unwrap_err());
    checked(&error, Retry::Never, "a record is there that its head does not know");
    server.sql("presurge", "UPDATE presurge.record SET line = '{}' WHERE seq = 3");
    checked(&store.read(&id(), 0).await.unwrap_err(), Retry::Never, "record 3 of kernel#1");
    assert_eq!(store.lines(&id()).await.unwrap()[2], (3, "{}".to_owned()));
    server.sql("presurge", "UPDATE presurge.archive SET bytes = '\\x00'");
    checked(&store.get(&digest).await.unwrap_err(), Retry::Never, "were changed");
    assert_eq!(store.get(&Digest::of_bytes(b"x")).await.unwrap(), None);
}
