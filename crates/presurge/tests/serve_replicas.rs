//! Three daemons on one PostgreSQL share the rollouts of three fleets, while again and again one of them is
//! killed, frozen, or cut off from the store. Leases last as long as they do in production.

mod lab;
#[path = "../../store/tests/postgres/relay.rs"]
#[allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "this test uses a part of it, in real time"
)]
mod relay;
#[path = "../../store/tests/postgres/server.rs"]
mod server;

use std::process::Command;
use std::time::Duration;

use domain::journal::{Record, verify};
use lab::daemon::Daemon;
use lab::{Lab, configuration, has, until};
use relay::Relay;
use serde_json::{Value, json};
use server::Server;

/// So long a replica is left alone before it is hit …
const CALM: Duration = Duration::from_secs(3);

/// … and so long it is down: a lease lasts six seconds.
const DOWN: Duration = Duration::from_secs(8);

/// Each replica is hit twice, and each kind of blow comes twice.
const BLOWS: usize = 6;

struct Replicas {
    labs: Vec<Lab>,
    server: Server,
    runtime: tokio::runtime::Runtime,
    relays: Vec<Relay>,
    files: Vec<String>,
}

impl Replicas {
    fn new() -> Option<Self> {
        if !has("haproxy") {
            return None;
        }
        let server = Server::start()?;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let relay = |_| runtime.block_on(Relay::start(server.port));
        let relays = (0..3).map(relay).collect();
        let labs: Vec<Lab> = (0..3).map(|_| Lab::new(6, 20)).collect();
        let file = |(index, lab): (usize, &Lab)| {
            let load = lab.write_history(12.0, 10, 1);
            let load = format!("csv: {{ path: \"{}\", series: web }}", load.display());
            let rules = "  risk: 0.01\n  batch: { maxUnavailable: 1 }\n";
            let text = configuration(lab, &format!("roll-{index}"), "2", &load, rules);
            let text = text.replace("name: web }", &format!("name: web-{index} }}"));
            let text = text.replace("fleets: [web]", &format!("fleets: [web-{index}]"));
            lab.write("web.yaml", &text).display().to_string()
        };
        let files = labs.iter().enumerate().map(file).collect();
        Some(Self { labs, server, runtime, relays, files })
    }

    fn presurge(&self, words: &[&str], port: u16) -> Command {
        let mut command = Command::new(lab::PRESURGE);
        command.args(words).env("PRESURGE_STORE", self.server.address_by(port, "presurge"));
        command.env("XDG_STATE_HOME", self.labs[0].path("state")).env("NO_COLOR", "1");
        command
    }

    /// A replica; each has its own way to the store.
    fn start(&self, nth: usize) -> Daemon {
        let files = self.files.iter().map(String::as_str);
        let mut words =
            vec!["serve", "--mode", "act", "--listen", "127.0.0.1:0", "--tick", "200ms"];
        words.extend(files);
        let command = self.presurge(&words, self.relays[nth].port);
        Daemon::start(command, self.labs[0].path(&format!("daemon-{nth}.log")))
    }

    fn records(&self, name: &str) -> Vec<Record> {
        let output = self.presurge(&["audit", "export", name], self.server.port).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn is_over(&self, name: &str) -> bool {
        self.records(name).iter().any(|record| record.kind == "Finished")
    }
}

#[test]
fn replicas_that_are_killed_frozen_or_cut_off_are_taken_over_and_do_no_harm() {
    let Some(all) = Replicas::new() else { return };
    let mut replicas: Vec<Daemon> = (0..3).map(|nth| all.start(nth)).collect();
    for (index, replica) in replicas.iter().enumerate() {
        let begun = replica.post("/v1/rollouts", &json!({ "rollout": format!("roll-{index}") }));
        assert_eq!(begun.status, 201, "{begun:?}");
    }
    let mut blows = Vec::new();
    for blow in 0..BLOWS {
        std::thread::sleep(CALM);
        blows.push(lab::now());
        let nth = (blow + blow / 3) % 3;
        eprintln!("blow {blow}: {} of replica {nth}", ["SIGKILL", "SIGSTOP", "the cut"][blow % 3]);
        match blow % 3 {
            0 => {
                replicas[nth].signal("-KILL");
                replicas[nth].child.wait().unwrap();
            }
            1 => replicas[nth].signal("-STOP"),
            _ => all.relays[nth].keep_still(),
        }
        std::thread::sleep(DOWN);
        match blow % 3 {
            0 => replicas[nth] = all.start(nth),
            1 => replicas[nth].signal("-CONT"),
            _ => all.relays[nth].mend(),
        }
    }
    let mut takeovers = 0;
    for (index, lab) in all.labs.iter().enumerate() {
        let name = format!("roll-{index}");
        until("every update was begun", || lab.updates("2").iter().all(|(_, count)| *count > 0));
        // The watch after the last batch takes a minute by itself.
        std::thread::sleep(DOWN * 2);
        until("the rollout is over", || all.is_over(&name));
        let records = all.records(&name);
        verify(&records).expect("one chain");
        let end = records.iter().find(|record| record.kind == "Finished").unwrap();
        assert_eq!(end.payload["outcome"], "done", "{name}");
        let started = records.iter().filter(|record| record.kind == "DriverStarted");
        let epochs: Vec<u64> =
            started.map(|record| record.payload["epoch"].as_u64().unwrap()).collect();
        assert!(epochs.is_sorted_by(|a, b| a < b), "{name}: {epochs:?}");
        takeovers += epochs.len() - 1;
        let started = records.iter().filter(|record| record.kind == "DriverStarted");
        for taken in started.skip(1).map(|record| record.at.as_second().unsigned_abs()) {
            let hit = blows.iter().rev().find(|blow| **blow <= taken);
            eprintln!("{name}: taken over {:?} s after a blow", hit.map(|blow| taken - blow));
        }
        let updates = lab.updates("2");
        assert!(updates.iter().all(|(_, count)| *count == 1), "{name}: {updates:?}");
        for backend in &lab.backends {
            assert_eq!(lab.version_of(backend), "2", "{}", backend.name);
        }
        assert_eq!(lab.surge_processes(), [0; 0], "orphans");
    }
    eprintln!("{takeovers} takeovers");
    assert!(
        takeovers >= 3,
        "replicas were hit while they drove, and there were {takeovers} takeovers"
    );
    // All are well again, and see the same.
    let seen: Vec<Value> =
        replicas.iter().map(|replica| replica.get("/v1/rollouts").json()).collect();
    assert!(seen[0]["rollouts"].as_array().unwrap().len() == 3, "{seen:?}");
    assert!(seen.iter().all(|list| *list == seen[0]), "{seen:?}");
    // Page by page, the newest first.
    let newest = replicas[0].get("/v1/rollouts?limit=2").json();
    assert_eq!(
        newest["rollouts"].as_array().unwrap()[..],
        seen[0]["rollouts"].as_array().unwrap()[1..]
    );
    let oldest =
        replicas[1].get(&format!("/v1/rollouts?limit=2&before={}", newest["before"])).json();
    assert_eq!(oldest["rollouts"][0], seen[0]["rollouts"][0]);
    assert_eq!(
        (oldest["rollouts"].as_array().unwrap().len(), &oldest["before"]),
        (1, &Value::Null)
    );
    drop(replicas);
    all.runtime.shutdown_background();
}
