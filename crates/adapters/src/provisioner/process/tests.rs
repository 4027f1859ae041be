use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use domain::contract::provisioner as contract;
use domain::name::{Key, OfferName, Version};
use domain::ports::Clock;

use super::*;
use crate::clock::SystemClock;
use crate::command::testing::{MARK, Other, Scratch, WHERE, eventually, kill_group};
use crate::free_port::port_range;

const SERVER: &str = "provisioner::process::tests::serves";
const BUYER: &str = "provisioner::process::tests::buys_until_killed";

/// A server: it answers every connection, until it is killed.
#[test]
#[ignore = "a server that other tests start"]
fn serves() {
    let Ok(address) = std::env::var("PRESURGE_ADDRESS") else { return };
    let listener = TcpListener::bind(address).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ =
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
}

fn config(ready: &str) -> ProcessConfig {
    let program = std::env::current_exe().unwrap();
    let json = serde_json::json!({
        "command": [program, "--exact", SERVER, "--ignored", "--nocapture"],
        "ports": port_range(8),
        "ready": serde_json::from_str::<serde_json::Value>(ready).unwrap(),
    });
    serde_json::from_str(&json.to_string()).unwrap()
}

fn shell(script: &str) -> ProcessConfig {
    let command = ["sh", "-c", script, "sh", "{port}", "{version}"].map(str::to_owned).to_vec();
    ProcessConfig { command, ..config("{}") }
}

struct Place {
    scratch: Scratch,
    config: ProcessConfig,
}

impl Place {
    fn new(config: ProcessConfig) -> Self {
        Self { scratch: Scratch::new(), config }
    }

    fn processes(&self) -> Processes {
        let state = self.scratch.path().join("state");
        Processes::new(self.config.clone(), self.scratch.path(), &state).unwrap()
    }

    fn home(&self, name: &str) -> PathBuf {
        self.scratch.path().join("state/instances").join(name)
    }

    fn real(&self) -> Vec<String> {
        let running = self.scratch.running();
        let leaders = running.iter().filter(|one| one.leads);
        let mut names: Vec<_> = leaders.map(|one| one.env("PRESURGE_INSTANCE").unwrap()).collect();
        names.sort_unstable();
        names
    }

    async fn settle(&self, names: &[&str]) -> Result<Vec<Instance>, PortError> {
        settle(&self.processes(), &order(names)).await
    }
}

#[async_trait]
impl contract::World for Place {
    fn provisioner(&self) -> Arc<dyn Provisioner> {
        Arc::new(self.processes())
    }
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
    fn offer(&self) -> OfferName {
        OfferName::new("local").unwrap()
    }
    async fn real(&self) -> Vec<ServerName> {
        Self::real(self).into_iter().map(|name| ServerName::new(name).unwrap()).collect()
    }
    async fn lose(&self, name: &ServerName) {
        kill_group(&self.scratch, &self.home(name.as_str()).join("started"));
    }
}

fn order(names: &[&str]) -> SurgeOrder {
    SurgeOrder {
        key: Key::new("kernel#1/surge/1/0").unwrap(),
        offer: OfferName::new("local").unwrap(),
        names: names.iter().map(|name| ServerName::new(*name).unwrap()).collect(),
        version: Some(Version::new("1").unwrap()),
    }
}

async fn settle(processes: &Processes, order: &SurgeOrder) -> Result<Vec<Instance>, PortError> {
    loop {
        match processes.ensure_surge(order).await? {
            Progress::Done(instances) => return Ok(instances),
            Progress::Pending { poll_after } => {
                SystemClock.sleep_until(SystemClock.now() + poll_after).await;
            }
            Progress::Unknown { detail } => panic!("{detail}"),
        }
    }
}

#[tokio::test]
async fn it_keeps_the_contract() {
    contract::run(async || Place::new(config("{}"))).await;
}

#[tokio::test]
async fn it_keeps_the_contract_when_http_says_that_it_is_ready() {
    contract::run(async || Place::new(config(r#"{ "http": "/health" }"#))).await;
}

#[tokio::test]
async fn what_is_not_ready_is_booting() {
    let place = Place::new(shell("sleep 600"));
    let order = order(&["s-1"]);
    for _ in 0..3 {
        let answer = place.processes().ensure_surge(&order).await.unwrap();
        assert!(matches!(answer, Progress::Pending { .. }), "{answer:?}");
    }
    eventually("it runs", || place.real() == ["s-1"]);
    let seen = place.processes().observe().await.unwrap();
    assert_eq!(seen[0].state, InstanceState::Booting);
    assert!(seen[0].address.as_deref().is_some_and(|address| address.starts_with("127.0.0.1:")));
    assert!(place.settle(&[]).await.unwrap().is_empty());
    assert!(place.real().is_empty());
}

#[tokio::test]
async fn what_defies_the_request_to_end_is_killed_with_its_children() {
    let mut place = Place::new(shell("trap '' TERM; echo ready; sleep 600 & sleep 600; sleep 600"));
    place.config.stop_timeout = "1s".parse().unwrap();
    place.processes().ensure_surge(&order(&["s-1"])).await.unwrap();
    let log = place.home("s-1").join("log.new");
    eventually("it has set its trap", || {
        fs::read_to_string(&log).is_ok_and(|text| text.contains("ready"))
    });
    assert!(place.settle(&[]).await.unwrap().is_empty());
    eventually("nothing is left", || place.scratch.running().is_empty());
}

#[tokio::test]
async fn a_process_that_ends_at_once_is_lost_and_its_last_words_are_kept() {
    let place = Place::new(shell("yes flood | head -c 3000000; echo cannot read $2 >&2; exit 1"));
    let seen = place.settle(&["s-1"]).await.unwrap();
    assert_eq!(seen[0].state, InstanceState::Lost);
    let home = place.home("s-1");
    eventually("the last words are there", || {
        let logs = ["log", "log.new"].map(|log| fs::read_to_string(home.join(log)));
        logs.iter().flatten().any(|log| log.ends_with("cannot read 1\n"))
    });
    let entries = fs::read_dir(&home).unwrap();
    let kept: u64 = entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(kept < 200_000, "{kept} bytes are kept");
    assert!(place.settle(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn another_process_with_the_same_number_is_left_alone() {
    let place = Place::new(config("{}"));
    place.settle(&["s-1"]).await.unwrap();
    // As if our process were gone, and its number now that of a stranger.
    let started = place.home("s-1").join("started");
    let stranger = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
    let mut stranger = Stranger(stranger);
    let stat = fs::read_to_string(format!("/proc/{}/stat", stranger.0.id())).unwrap();
    let (head, tail) = stat.rsplit_once(')').unwrap();
    let mut fields: Vec<&str> = tail.split(' ').collect();
    fields[20] = "1";
    kill_group(&place.scratch, &started);
    fs::write(&started, format!("{head}){}", fields.join(" "))).unwrap();
    let seen = place.settle(&["s-1"]).await.unwrap();
    assert_eq!(seen[0].state, InstanceState::Lost, "the stranger is not ours");
    assert!(place.settle(&[]).await.unwrap().is_empty());
    assert!(stranger.0.try_wait().unwrap().is_none(), "the stranger lives");
}

struct Stranger(std::process::Child);

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn trouble_has_a_name() {
    let place = Place::new(config("{}"));
    let mut config = place.config.clone();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        config.ports = format!("{port}-{port}").parse().unwrap();
        let taken = Place { scratch: Scratch::new(), config: config.clone() };
        let error = taken.settle(&["s-1"]).await.unwrap_err();
        assert_eq!(error.retry, Retry::Backoff);
        assert!(error.chain().contains("all ports"), "{}", error.chain());
        assert!(taken.real().is_empty());
        port
    };
    assert!(port > 0);
    config = place.config.clone();
    config.command = vec!["./no-such-server".into()];
    let missing = Place { scratch: Scratch::new(), config: config.clone() };
    let error = missing.settle(&["s-1"]).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(error.chain().contains("there is no program"), "{}", error.chain());
    config.command = vec!["sleep".into(), "{version}".into()];
    let versioned = Place { scratch: Scratch::new(), config: config.clone() };
    let order = SurgeOrder { version: None, ..order(&["s-1"]) };
    let error = settle(&versioned.processes(), &order).await.unwrap_err();
    assert!(error.chain().contains("{version} has no value for s-1"), "{}", error.chain());
    config.command = vec!["sleep".into(), "{prot}".into()];
    let error = Processes::new(config, place.scratch.path(), place.scratch.path()).unwrap_err();
    assert!(error.chain().contains("command: {prot} is not known"), "{}", error.chain());
    fs::create_dir_all(place.home("s-9")).unwrap();
    fs::write(place.home("s-9").join("order.json"), "{}").unwrap();
    let error = place.processes().observe().await.unwrap_err();
    assert!(error.chain().contains("s-9/order.json"), "{}", error.chain());
}

/// Buys and gives back, over and over, saying each call.
#[tokio::test]
#[ignore = "a process that other tests start and kill"]
async fn buys_until_killed() {
    let Some(folder) = std::env::var_os(WHERE) else { return };
    let folder = PathBuf::from(folder);
    let text = fs::read_to_string(folder.join("ports")).unwrap();
    let config = ProcessConfig { ports: text.parse().unwrap(), ..config("{}") };
    let processes = Processes::new(config, &folder, &folder.join("state")).unwrap();
    for names in [["s-1", "s-2"].as_slice(), &["s-2"], &[]].iter().cycle() {
        for _ in 0..2 {
            let _ = processes.ensure_surge(&order(names)).await.unwrap();
            println!("{MARK}{names:?}");
        }
    }
}

#[tokio::test]
async fn buyers_that_are_killed_leave_each_process_once() {
    let place = Place::new(config("{}"));
    place.scratch.write("ports", &place.config.ports.to_string());
    for round in 0..16 {
        let mut buyers =
            [Other::start(BUYER, place.scratch.path()), Other::start(BUYER, place.scratch.path())];
        for buyer in &mut buyers {
            buyer.hear(1 + round % 7);
            std::thread::sleep(Duration::from_micros(700 * round as u64));
            buyer.kill();
        }
        let seen = place.settle(&["s-1", "s-2"]).await.unwrap();
        let alive = seen.iter().filter(|one| one.state == InstanceState::Running).count();
        assert_eq!(place.real(), ["s-1", "s-2"], "round {round}: {seen:?}");
        assert_eq!(alive, 2, "round {round}: {seen:?}");
        assert!(place.settle(&[]).await.unwrap().is_empty());
        eventually("nothing is left", || place.scratch.running().is_empty());
    }
}
