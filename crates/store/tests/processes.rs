//! Several processes on one file, and processes that are killed while they write.
//!
//! The writers are this test binary itself, started again for the one test named [`WRITER`].

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use domain::event::Event;
use domain::journal::{Actor, Entry, Head, verify};
use domain::name::RolloutId;
use domain::ports::{Append, AppendError, Authority, Journal};
use jiff::Timestamp;
use store::Sqlite;
use tempfile::TempDir;

const WRITER: &str = "writes_until_killed";
const FILE: &str = "STORE_TEST_FILE";
const MARK: &str = "written ";

fn id() -> RolloutId {
    RolloutId::new("kernel#1").unwrap()
}

fn entry() -> Entry {
    Entry {
        at: Timestamp::UNIX_EPOCH,
        actor: Actor(format!("process {}", std::process::id())),
        cause: None,
        reason: String::new(),
        inputs: None,
        event: Event::PauseRequested {},
    }
}

/// Appends pairs, reading on after each conflict, and prints the head after each.
#[tokio::test]
#[ignore = "a writer that the other tests start and kill"]
async fn writes_until_killed() {
    let Ok(file) = std::env::var(FILE) else { return };
    let store = Sqlite::open(file).unwrap();
    let mut head = Head::empty();
    loop {
        let (rollout, entries) = (&id(), vec![entry(), entry()]);
        let append = Append { rollout, authority: Authority::Operator, after: &head, entries };
        match store.append(append).await {
            Ok(records) => {
                head = records[1].head();
                println!("\n{MARK}{} {}", head.seq, head.hash);
            }
            Err(AppendError::Conflict(seen)) => head = seen,
            Err(error) => panic!("{error}"),
        }
    }
}

struct Writer {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Writer {
    fn start(file: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", WRITER, "--ignored", "--nocapture"])
            .env(FILE, file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next head that it printed; `None` at the end of its output.
    fn next(&mut self) -> Option<(u64, String)> {
        loop {
            let line = self.lines.next()?.unwrap();
            if let Some(head) = line.strip_prefix(MARK) {
                let (seq, hash) = head.split_once(' ')?;
                return Some((seq.parse().unwrap(), hash.to_owned()));
            }
        }
    }

    /// Kills it with SIGKILL once it has printed so many heads, and returns all that it printed.
    fn kill_after(mut self, count: usize) -> Vec<(u64, String)> {
        let mut heads: Vec<_> = (0..count).map(|_| self.next().expect("it writes on")).collect();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        heads.extend(std::iter::from_fn(|| self.next()));
        heads
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn what_a_killed_writer_reported_is_there() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("presurge.db");
    let mut heads = Vec::new();
    for count in [1, 2, 3, 5, 8, 13] {
        heads.extend(Writer::start(&file).kill_after(count));
        check(&file, &heads).await;
    }
}

#[tokio::test]
async fn two_processes_write_one_chain() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("presurge.db");
    let (one, two) = (Writer::start(&file), Writer::start(&file));
    let mut heads = one.kill_after(10);
    heads.extend(two.kill_after(10));
    heads.sort();
    check(&file, &heads).await;
}

#[tokio::test]
async fn a_new_file_that_many_open_at_once_serves_them_all() {
    let folder = TempDir::new().unwrap();
    for round in 0..40 {
        let file = folder.path().join(format!("{round}.db"));
        let start = std::sync::Barrier::new(6);
        std::thread::scope(|scope| {
            let open = || {
                start.wait();
                Sqlite::open(&file).map(drop)
            };
            let openers: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
            for opener in openers {
                opener.join().unwrap().expect("whoever comes first makes the tables");
            }
        });
    }
}

/// Every head that was reported is in the chain, once, and the chain holds.
async fn check(file: &Path, heads: &[(u64, String)]) {
    let records = Sqlite::open(file).unwrap().read(&id(), 0).await.unwrap();
    verify(&records).expect("the chain is whole");
    assert_eq!(records.len() % 2, 0, "pairs are written whole");
    for (at, (seq, hash)) in heads.iter().enumerate() {
        let record = &records[usize::try_from(*seq).unwrap() - 1];
        assert_eq!(record.hash.to_string(), *hash, "record {seq} is the one that was reported");
        assert!(heads[..at].iter().all(|(other, _)| other < seq), "record {seq} was written once");
    }
}
