//! Two processes on one PostgreSQL store: the second one waits, and takes over when the first one is
//! gone or frozen. Leases last as long as they do in production.

mod lab;
#[path = "../../store/tests/postgres/server.rs"]
mod server;

use std::fs::File;
use std::process::{Child, Command, Output, Stdio};

use domain::journal::{Record, verify};
use lab::{Lab, configuration, has, until};
use server::Server;

struct Replicas {
    lab: Lab,
    server: Server,
}

impl Replicas {
    fn new() -> Option<Self> {
        if !has("haproxy") {
            return None;
        }
        let server = Server::start()?;
        Some(Self { lab: Lab::new(3, 20), server })
    }

    fn presurge(&self, args: &[&str]) -> Command {
        let mut command = self.lab.presurge(args);
        command.env("PRESURGE_STORE", self.server.address("presurge"));
        command.env("XDG_STATE_HOME", self.lab.path("state"));
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.presurge(args).output().unwrap()
    }

    /// A replica whose story is written into a file.
    fn apply(&self, file: &str, story: &str) -> Child {
        let story = File::create(self.lab.path(story)).unwrap();
        let mut command = self.presurge(&["apply", "--yes", "--tick", "200ms", file]);
        command.stdout(Stdio::null()).stderr(story).spawn().unwrap()
    }

    fn story(&self, name: &str) -> String {
        std::fs::read_to_string(self.lab.path(name)).unwrap()
    }

    fn records(&self, name: &str) -> Vec<Record> {
        let output = self.run(&["audit", "export", name]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn has_written(&self, name: &str, kind: &str, count: usize) -> bool {
        self.records(name).iter().filter(|record| record.kind == kind).count() >= count
    }
}

fn signal(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

#[test]
fn a_replica_that_is_killed_or_frozen_is_taken_over_and_does_no_harm() {
    let Some(replicas) = Replicas::new() else { return };
    let lab = &replicas.lab;
    let load = lab.write_history(24.0, 10, 1);
    let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
    for (version, stop) in [("2", "-KILL"), ("3", "-STOP")] {
        let name = format!("roll-{version}");
        let text = configuration(lab, &name, version, &load, "  risk: 0.01\n");
        let file = lab.write("web.yaml", &text).display().to_string();
        let mut first = replicas.apply(&file, "first");
        until("a server is out", || replicas.has_written(&name, "BatchOpened", 1));
        let mut second = replicas.apply(&file, "second");
        until("the second one waits", || replicas.story("second").contains("holds the lease"));
        signal(&first, stop);
        let stopped = lab::now();
        // A lease lasts six seconds; how busy this machine is nobody can say.
        until("the takeover", || replicas.has_written(&name, "DriverStarted", 2));
        eprintln!("{stop}: taken over after {} s", lab::now() - stopped);
        let status = second.wait().unwrap();
        assert!(status.success(), "{stop}: {status}\n{}", replicas.story("second"));
        if stop == "-STOP" {
            // What it does first when it comes back is to look whose rollout it is.
            signal(&first, "-CONT");
            let status = first.wait().unwrap();
            let story = replicas.story("first");
            assert!(!status.success() && story.contains("has taken over"), "{status}\n{story}");
        } else {
            first.wait().unwrap();
        }
        let records = replicas.records(&name);
        verify(&records).expect("one chain");
        let epochs: Vec<u64> = records
            .iter()
            .filter(|record| record.kind == "DriverStarted")
            .map(|record| record.payload["epoch"].as_u64().unwrap())
            .collect();
        assert!(epochs.is_sorted_by(|a, b| a < b) && epochs.len() == 2, "{epochs:?}");
        for backend in &lab.backends {
            assert_eq!(lab.version_of(backend), version, "{}", backend.name);
        }
        let updates = lab.updates(version);
        assert!(updates.iter().all(|(_, count)| *count == 1), "{stop}: {updates:?}");
        assert_eq!(lab.surge_processes(), [0; 0], "{stop}: orphans");
    }
}

#[test]
fn every_verb_takes_an_address_and_none_repeats_its_password() {
    let access = ["local all all trust", "host all all 127.0.0.1/32 scram-sha-256"];
    let Some(server) = Server::with(&[], &access) else { return };
    server.sql("postgres", "ALTER ROLE presurge PASSWORD 's3cr3t'");
    let folder = tempfile::tempdir().unwrap();
    let says = |code: i32, login: &str, args: &[&str]| {
        let at = format!("postgres://{login}@127.0.0.1:{}/presurge", server.port);
        let output = Command::new(lab::PRESURGE)
            .args(args)
            .env("PRESURGE_STORE", at)
            .env("HOME", folder.path())
            .env_remove("XDG_STATE_HOME")
            .env("PGPASSWORD", "s3cr3t")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(!said.contains("s3cr3t"), "{args:?}: {said}");
        said
    };
    assert_eq!(says(0, "presurge:s3cr3t", &["rollout", "list", "-o", "json"]).trim(), "[]");
    let said = says(0, "presurge", &["freeze", "--all", "--reason", "payments fail"]);
    assert!(said.contains("postgres://presurge@127.0.0.1"), "{said}");
    let said = says(0, "presurge", &["audit", "verify", "presurge#freezes"]);
    assert!(said.contains("1 records verify"), "{said}");
    let said = says(0, "presurge:s3cr3t", &["rollout", "list", "--help"]);
    assert!(said.contains("postgres://USER@HOST/DATABASE"), "{said}");
    let said = says(1, "presurge:not-s3cr3t", &["rollout", "list"]);
    assert!(said.contains("does not let this user in"), "{said}");
    let said = says(64, "presurge:s3cr3t@", &["rollout", "list"]);
    assert!(said.contains("perhaps the password"), "{said}");
    let said = says(64, "presurge:s3cr3t", &["rollout", "list", "--frob"]);
    assert!(said.contains("--frob"), "{said}");
    std::fs::write(folder.path().join("load.csv"), "unique_id,ds,y\n").unwrap();
    let fleet = "apiVersion: presurge/v1\nkind: Fleet\nmetadata: { name: web }\nspec:
  servers: { static: { prefix: web, count: 3 } }
  capacity: { requests: 10 }
  load: { requests: { csv: { path: load.csv } } }
  durations: { drain: 1s, update: 1s, warmup: 0s }\n";
    let file = folder.path().join("web.yaml");
    std::fs::write(&file, fleet).unwrap();
    let file = file.display().to_string();
    let doctor = |code, login| says(code, login, &["doctor", &file]);
    let said = doctor(1, "presurge");
    assert!(said.contains("PostgreSQL") && said.contains("its setting fsync is off"), "{said}");
    let said = doctor(1, "nobody");
    assert!(said.contains("FAILED") && said.contains("let this user in"), "{said}");
}
