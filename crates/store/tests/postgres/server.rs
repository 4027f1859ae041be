//! A PostgreSQL server of our own on loopback, in a folder of its own, stopped by process id.
#![allow(dead_code, reason = "each user of the server uses a part of it")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub use self::free_port::free_port;

#[allow(clippy::duplicate_mod, reason = "tests of the program take this file beside their own")]
#[path = "../../../adapters/src/free_port.rs"]
mod free_port;

/// The user of the tests; whoever reaches the server is let in, unless `access` says otherwise.
pub const USER: &str = "presurge";

/// Where the programs of PostgreSQL are, or `None` with a word to say why a test is skipped.
pub fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Debian keeps them apart by version; the newest comes first.
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    versions.reverse();
    folders.splice(0..0, versions);
    let found = folders
        .into_iter()
        .find(|folder| ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file()));
    if found.is_none() {
        eprintln!("skipped: initdb is not on the PATH; `scripts/test` installs postgresql");
    }
    found
}

/// See the module.
pub struct Server {
    programs: PathBuf,
    folder: tempfile::TempDir,
    pub port: u16,
    process: Option<Child>,
    settings: Vec<String>,
}

impl Server {
    /// A fresh server with one empty database, `presurge`; `None` where PostgreSQL is not there.
    pub fn start() -> Option<Self> {
        Self::with(&[], &[])
    }

    /// The same with settings, and with lines of `pg_hba.conf` in place of those that trust.
    pub fn with(settings: &[&str], access: &[&str]) -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("presurge-pg-").tempdir().unwrap();
        let mut server = Self {
            programs,
            folder,
            port: free_port(),
            process: None,
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
        };
        server.give_to_its_user();
        let data = server.path("data");
        let made = server
            .command("initdb")
            .args(["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N", "-U", USER, "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        if !access.is_empty() {
            fs::write(data.join("pg_hba.conf"), access.join("\n") + "\n").unwrap();
        }
        server.resume();
        server.sql("postgres", &format!("CREATE DATABASE {USER}"));
        Some(server)
    }

    /// A path in the folder of the server.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file that the server may read, for it alone.
    pub fn own(&self, path: &Path) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        self.chown(path);
    }

    /// The address of a database.
    pub fn address(&self, database: &str) -> String {
        self.address_by(self.port, database)
    }

    /// The same by way of another port.
    pub fn address_by(&self, port: u16, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{port}/{database}")
    }

    /// Executes statements by psql; returns what it printed.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let output = self
            .command("psql")
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h"])
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string(), "-U", USER, "-d", database, "-c", statements])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Stops it at once, as a crash does: nothing is written down any more.
    pub fn crash(&mut self) {
        self.stop("QUIT");
    }

    /// Starts it again.
    pub fn resume(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.path("data")).args(["-p", &self.port.to_string()]);
        command.arg("-k").arg(self.folder.path());
        // What a call has reported must survive a crash of the processes, not of the machine.
        for setting in ["listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=16MB"] {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
        for _ in 0..600 {
            let ready = self
                .command("pg_isready")
                .args(["-q", "-h"])
                .arg(self.folder.path())
                .args(["-p", &self.port.to_string()])
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        panic!("the server did not start:\n{log}");
    }

    fn stop(&mut self, signal: &str) {
        let Some(mut child) = self.process.take() else { return };
        let pid = child.id().to_string();
        let _ = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        let _ = child.wait();
    }

    /// A program of PostgreSQL, as a user that the server accepts: it refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path()).env("HOME", self.folder.path());
        command.env("LC_ALL", "C.UTF-8");
        command
    }

    fn give_to_its_user(&self) {
        self.chown(self.folder.path());
    }

    fn chown(&self, path: &Path) {
        if is_root() {
            let status = Command::new("chown").arg("65534:65534").arg(path).status().unwrap();
            assert!(status.success());
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("--- the server's log, newest first\n{}", tail.join("\n"));
        }
        self.stop("QUIT");
    }
}
