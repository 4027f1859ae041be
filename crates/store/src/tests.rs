use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::contract::{archive, freezes, journal};
use domain::event::Event;
use domain::journal::{Actor, Digest, Entry, Head, verify};
use domain::name::RolloutId;
use domain::ports::{Append, AppendError, Archive, Authority, Journal, PortError, Retry};
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use crate::file::File;
use crate::{Sqlite, Store, StoreError};

struct OnDisk(TempDir);

impl OnDisk {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn open(&self) -> Sqlite {
        Sqlite::open(self.0.path().join("presurge.db")).unwrap()
    }
}

impl journal::World for OnDisk {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::new(self.open())
    }
}

impl archive::World for OnDisk {
    fn archive(&self) -> Arc<dyn Archive> {
        Arc::new(self.open())
    }
}

struct InMemory(Sqlite);

impl journal::World for InMemory {
    fn journal(&self) -> Arc<dyn Journal> {
        Arc::new(self.0.clone())
    }
}

impl archive::World for InMemory {
    fn archive(&self) -> Arc<dyn Archive> {
        Arc::new(self.0.clone())
    }
}

#[tokio::test]
async fn a_file_keeps_the_contract_of_journals() {
    journal::run(async || OnDisk::new()).await;
}

#[tokio::test]
async fn memory_keeps_the_contract_of_journals() {
    journal::run(async || InMemory(Sqlite::in_memory().unwrap())).await;
}

#[tokio::test]
async fn both_keep_the_contract_of_freezes() {
    freezes::run(async || OnDisk::new()).await;
    freezes::run(async || InMemory(Sqlite::in_memory().unwrap())).await;
}

#[tokio::test]
async fn a_file_keeps_the_contract_of_archives() {
    archive::run(async || OnDisk::new()).await;
}

#[tokio::test]
async fn memory_keeps_the_contract_of_archives() {
    archive::run(async || InMemory(Sqlite::in_memory().unwrap())).await;
}

fn id() -> RolloutId {
    RolloutId::new("kernel#1").unwrap()
}

fn entry(reason: &str) -> Entry {
    Entry {
        at: Timestamp::UNIX_EPOCH,
        actor: Actor::decider(),
        cause: None,
        reason: reason.into(),
        inputs: None,
        event: Event::PauseRequested {},
    }
}

async fn append(store: &Sqlite, after: &Head, reason: &str) -> Result<Head, PortError> {
    let (rollout, entries) = (&id(), vec![entry(reason)]);
    let append = Append { rollout, authority: Authority::Operator, after, entries };
    match store.append(append).await {
        Ok(records) => Ok(records[0].head()),
        Err(AppendError::Port(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

fn refused(path: &Path) -> String {
    let error = Sqlite::open(path).expect_err("this cannot be opened").to_string();
    assert!(error.starts_with(&path.display().to_string()), "it names the file: {error}");
    error
}

#[test]
fn what_cannot_be_a_store_is_refused_with_its_name() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(refused(&at("missing/presurge.db")).contains("the folder is not there"));
    assert!(refused(folder.path()).contains("cannot be opened"));
    std::fs::write(at("garbage"), "ds,y\n".repeat(1_000)).unwrap();
    assert!(refused(&at("garbage")).contains("not a database"));
    assert_eq!(std::fs::read_to_string(at("garbage")).unwrap(), "ds,y\n".repeat(1_000));
    let other = Connection::open(at("other")).unwrap();
    other.execute_batch("CREATE TABLE song (name TEXT)").unwrap();
    assert!(refused(&at("other")).contains("another program"));
    drop(Sqlite::open(at("newer")).unwrap());
    Connection::open(at("newer")).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let error = refused(&at("newer"));
    assert!(
        error.contains("newer presurge (store version 7, this build reads up to 2)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_of_the_former_release_is_brought_forward_and_keeps_what_may_be_replaced() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("presurge.db");
    let store = Sqlite::open(&path).unwrap();
    append(&store, &Head::empty(), "one").await.unwrap();
    drop(store);
    let former = Connection::open(&path).unwrap();
    former.execute_batch("DROP TABLE kept; PRAGMA user_version = 1").unwrap();
    drop(former);
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&path).unwrap());
    assert_eq!(store.kept("web/requests").await.unwrap(), None);
    let more = ["b", "a", "c"].map(|name| (name.to_owned(), name.as_bytes().to_vec()));
    store.keep(more.to_vec()).await.unwrap();
    store.keep(vec![("b".into(), vec![0; 100_000]), ("d".into(), Vec::new())]).await.unwrap();
    drop(store);
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&path).unwrap());
    assert_eq!(store.names_kept().await.unwrap(), ["a", "b", "c", "d"]);
    assert_eq!(store.kept("b").await.unwrap().unwrap().len(), 100_000);
    assert_eq!(store.read(&id(), 0).await.unwrap().len(), 1);
}

#[test]
fn an_empty_file_becomes_a_store() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("presurge db?mode=ro#ü");
    std::fs::write(&path, "").unwrap();
    let store = Sqlite::open(&path).unwrap();
    assert_eq!(store.file(), path.display().to_string());
    drop(store);
    Sqlite::open(&path).unwrap();
}

#[tokio::test]
async fn writes_are_durable_when_they_return() {
    let world = OnDisk::new();
    drop(world.open());
    let connection = Connection::open(world.0.path().join("presurge.db")).unwrap();
    let mode: String =
        connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let mut ours = Connection::open(world.0.path().join("presurge.db")).unwrap();
    crate::schema::prepare(&mut ours, "x").unwrap();
    let full: i64 = ours.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    assert_eq!(full, 2, "FULL");
}

#[tokio::test]
async fn a_lock_that_stays_is_an_error_and_nothing_is_lost() {
    let world = OnDisk::new();
    let store = world.open();
    let head = append(&store, &Head::empty(), "one").await.unwrap();
    let other = Connection::open(world.0.path().join("presurge.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(store.read(&id(), 0).await.unwrap().len(), 1, "a writer does not stop readers");
    let error = append(&store, &head, "two").await.expect_err("locked");
    assert_eq!(error.retry, Retry::Backoff);
    assert!(error.chain().contains("another process keeps the file locked"), "{}", error.chain());
    other.execute_batch("ROLLBACK").unwrap();
    let head = append(&store, &head, "two").await.expect("free again");
    assert_eq!(verify(&store.read(&id(), 0).await.unwrap()), Ok(head));
}

#[tokio::test]
async fn a_file_that_vanished_is_an_error() {
    for replaced in [false, true] {
        let world = OnDisk::new();
        let path = world.0.path().join("presurge.db");
        let store = world.open();
        let head = append(&store, &Head::empty(), "one").await.unwrap();
        let aside = world.0.path().join("aside.db");
        std::fs::rename(&path, &aside).unwrap();
        if replaced {
            std::fs::write(&path, "").unwrap();
        }
        for error in [
            append(&store, &head, "two").await.expect_err("it is not there"),
            store.put(b"inputs").await.expect_err("it is not there"),
            store.read(&id(), 0).await.expect_err("it is not there"),
        ] {
            assert_eq!(error.retry, Retry::Never);
            assert!(error.chain().contains("moved, deleted or replaced"), "{}", error.chain());
        }
        std::fs::rename(&aside, &path).unwrap();
        append(&store, &head, "two").await.expect("it is back");
        assert_eq!(world.open().read(&id(), 0).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_folder_that_vanished_is_an_error() {
    let world = OnDisk::new();
    let store = world.open();
    let head = append(&store, &Head::empty(), "one").await.unwrap();
    std::fs::remove_dir_all(world.0.path()).unwrap();
    let error = append(&store, &head, "two").await.expect_err("it is not there");
    assert!(error.chain().contains("presurge.db"), "{}", error.chain());
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_nothing_is_lost() {
    let world = OnDisk::new();
    let head = append(&world.open(), &Head::empty(), "one").await.unwrap();
    let path = world.0.path().join("presurge.db");
    let connection = Connection::open(&path).unwrap();
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    connection.pragma_update(None, "max_page_count", pages).unwrap();
    let store = Sqlite::on(connection, File::opened(&path).unwrap()).unwrap();
    for error in [
        append(&store, &head, &"long ".repeat(10_000)).await.expect_err("full"),
        store.put(&[1; 100_000]).await.expect_err("full"),
    ] {
        assert_eq!(error.retry, Retry::Backoff, "{}", error.chain());
        assert!(error.chain().contains("the disk is full"), "{}", error.chain());
    }
    assert_eq!(verify(&store.read(&id(), 0).await.unwrap()), Ok(head.clone()));
    let roomy = world.open();
    append(&roomy, &head, &"long ".repeat(10_000)).await.expect("there is room again");
}

#[tokio::test]
async fn a_read_only_file_can_be_read() {
    let world = OnDisk::new();
    let path = world.0.path().join("presurge.db");
    let head = append(&world.open(), &Head::empty(), "one").await.unwrap();
    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let store = Sqlite::on(connection, File::opened(&path).unwrap()).unwrap();
    assert_eq!(store.read(&id(), 0).await.unwrap().len(), 1);
    let id = id();
    let lease = store.lease(&id, "one", Timestamp::UNIX_EPOCH, Duration::from_secs(1));
    for error in [
        append(&store, &head, "two").await.expect_err("read-only"),
        lease.await.expect_err("read-only"),
    ] {
        assert_eq!(error.retry, Retry::Never);
        assert!(error.chain().contains("the file is read-only"), "{}", error.chain());
    }
    let empty = world.0.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    let connection = Connection::open_with_flags(&empty, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let error = Sqlite::on(connection, File::opened(&empty).unwrap()).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
}

#[tokio::test]
async fn what_was_tampered_with_is_read_and_found_by_the_chain() {
    let world = OnDisk::new();
    let store = world.open();
    let mut head = Head::empty();
    for reason in ["one", "two", "three"] {
        head = append(&store, &head, reason).await.unwrap();
    }
    let other = Connection::open(world.0.path().join("presurge.db")).unwrap();
    let edit = "UPDATE record SET line = replace (line, 'two', 'too') WHERE seq = 2";
    for slip in [edit, "DELETE FROM record WHERE seq = 2"] {
        let error = other.execute(slip, []).expect_err("records are kept").to_string();
        assert!(error.contains("appended to, never"), "{error}");
    }
    other.execute_batch("DROP TRIGGER record_unchanged").unwrap();
    other.execute(edit, []).unwrap();
    let broken = verify(&store.read(&id(), 0).await.unwrap()).unwrap_err();
    assert_eq!(broken.seq, 2, "{broken}");
    other.execute("UPDATE record SET line = '{}' WHERE seq = 3", []).unwrap();
    for error in [
        store.read(&id(), 0).await.expect_err("no record"),
        append(&store, &head, "four").await.expect_err("no head"),
    ] {
        assert_eq!(error.retry, Retry::Never);
        assert!(error.chain().contains("record 3 of kernel#1"), "{}", error.chain());
    }
}

#[tokio::test]
async fn changed_inputs_are_not_handed_out() {
    let world = OnDisk::new();
    let store = world.open();
    let digest = store.put(b"load").await.unwrap();
    let other = Connection::open(world.0.path().join("presurge.db")).unwrap();
    other.execute("UPDATE archive SET bytes = x'00'", []).unwrap();
    let error = store.get(&digest).await.expect_err("changed");
    assert!(error.chain().contains("were changed"), "{}", error.chain());
    assert_eq!(store.get(&Digest::of_bytes(b"x")).await.unwrap(), None);
}

#[tokio::test]
async fn calls_that_come_together_are_kept_together_and_each_by_itself() {
    let disk = OnDisk::new();
    let store = disk.open();
    let head = append(&store, &Head::empty(), "first").await.unwrap();
    // One of many wins the same place, and the others are told; what else was asked meanwhile is done.
    let many = (0..100).map(|k| {
        let (store, head) = (store.clone(), head.clone());
        async move {
            let (rollout, entries) = (&id(), vec![entry(&format!("writer {k}"))]);
            let append = Append { rollout, authority: Authority::Operator, after: &head, entries };
            let won = store.append(append).await.is_ok();
            let other = RolloutId::new(format!("other-{k}#1")).unwrap();
            let length = Duration::from_secs(6);
            let lease = store.lease(&other, "me", Timestamp::UNIX_EPOCH, length).await.unwrap();
            let digest = store.put(format!("input {k}").as_bytes()).await.unwrap();
            (won, lease.is_some() && store.get(&digest).await.unwrap().is_some())
        }
    });
    let done = futures_util::future::join_all(many).await;
    assert_eq!(done.iter().filter(|(won, _)| *won).count(), 1);
    assert!(done.iter().all(|(_, rest)| *rest));
    // All of it is there for whoever opens the file.
    let records = disk.open().read(&id(), 0).await.unwrap();
    assert_eq!((records.len(), verify(&records).is_ok()), (2, true));
}

#[tokio::test]
async fn a_disk_that_is_full_loses_nothing_that_was_answered() {
    let disk = OnDisk::new();
    let store = disk.open();
    let fill = |c: &Connection| {
        let pages: i64 = c.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        c.query_row(&format!("PRAGMA max_page_count = {}", pages + 30), [], |_| Ok(()))
    };
    store.run(move |session| session.read(fill)).await.unwrap();
    let put = |k: u32| {
        let store = store.clone();
        async move {
            let bytes = k.to_string().repeat(2_000);
            store.put(bytes.as_bytes()).await.map(|digest| (digest, bytes))
        }
    };
    let done = futures_util::future::join_all((0..200).map(put)).await;
    let (kept, lost): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
    assert!(!kept.is_empty() && !lost.is_empty(), "{} {}", kept.len(), lost.len());
    assert!(lost.iter().all(|lost| lost.as_ref().unwrap_err().retry == Retry::Backoff), "{lost:?}");
    let fresh = disk.open();
    for (digest, bytes) in kept.into_iter().flatten() {
        assert_eq!(fresh.get(&digest).await.unwrap(), Some(bytes.into_bytes()));
    }
}
