//! What the tests of detached processes need: other processes that ask and are killed, a look at
//! what really runs, and a broom.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A process that runs and has an environment.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) pid: i32,
    pub(crate) leads: bool,
    environ: Vec<u8>,
}

impl Found {
    pub(crate) fn env(&self, name: &str) -> Option<String> {
        let mut entries = self.environ.split(|byte| *byte == 0);
        let entry =
            entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        entry.map(|value| String::from_utf8_lossy(value).into_owned())
    }

    pub(crate) fn kill(&self) {
        let _ = kill_process(Pid::from_raw(self.pid).unwrap(), Signal::KILL);
    }
}

/// The processes whose variable `tag` names something in `folder`.
pub(crate) fn tagged(tag: &str, folder: &Path) -> Vec<Found> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let found = pids.filter_map(|pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let leads = fields[2] == pid.to_string();
        (fields[0] != "Z").then_some(Found { pid, leads, environ })
    });
    found
        .filter(|one| one.env(tag).is_some_and(|value| Path::new(&value).starts_with(folder)))
        .collect()
}

/// A folder for one test; every process that carries its name is ended with it.
pub(crate) struct Scratch {
    pub(crate) folder: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The processes that run and carry the name of this folder.
    pub(crate) fn running(&self) -> Vec<Found> {
        ["PRESURGE_COMMAND", "PRESURGE_HOME"]
            .into_iter()
            .flat_map(|tag| tagged(tag, self.path()))
            .collect()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// How many lines a file has; none when it is not there.
    pub(crate) fn lines(&self, name: &str) -> usize {
        fs::read_to_string(self.path().join(name)).map_or(0, |text| text.lines().count())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Again, for what was being started while the first were killed.
        for _ in 0..100 {
            let running = self.running();
            if running.is_empty() {
                return;
            }
            running.iter().for_each(Found::kill);
        }
    }
}

/// Kills a group by the record of its leader, and returns when nobody of it runs any more.
pub(crate) fn kill_group(scratch: &Scratch, started: &Path) {
    let stat = fs::read_to_string(started).unwrap();
    let pid: i32 = stat.split(' ').next().unwrap().parse().unwrap();
    let _ = kill_process_group(Pid::from_raw(pid).unwrap(), Signal::KILL);
    eventually("the group is gone", || {
        let group = format!(" {pid} ");
        scratch.running().iter().all(|one| {
            let stat = fs::read_to_string(format!("/proc/{}/stat", one.pid)).unwrap_or_default();
            !stat.rsplit(')').next().unwrap_or_default().contains(&group)
        })
    });
}

/// Waits until something is so, for a long time at most.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("never came true: {what}");
}

/// This test binary once more, for one ignored test that prints lines until it is killed.
pub(crate) struct Other {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What the ignored tests begin their lines with.
pub(crate) const MARK: &str = "\nsays ";

/// The variable that tells an ignored test where to work.
pub(crate) const WHERE: &str = "ADAPTERS_TEST_FOLDER";

impl Other {
    pub(crate) fn start(test: &str, folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(WHERE, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for so many lines of it.
    pub(crate) fn hear(&mut self, count: usize) {
        for _ in 0..count {
            self.lines
                .find(|line| line.as_ref().unwrap().starts_with(MARK.trim_start()))
                .expect("it goes on until it is killed")
                .unwrap();
        }
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.kill();
    }
}
