use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use domain::contract::updater as contract;
use domain::name::ServerName;
use domain::ports::Clock;

use super::*;
use crate::clock::SystemClock;
use crate::command::testing::{Scratch, eventually, kill_group};

/// A "server" is a file with a version. The command says that it has begun, waits while there is
/// a file `hold`, and fails while there is a file `fail`.
const UPDATE: &str = "#!/bin/sh
echo begun >>begun
while [ -e hold ]; do sleep 0.02; done
if [ -e fail ]; then echo \"no such package $2\" >&2; exit 3; fi
echo \"$2\" >version.new && mv version.new version
";

struct Server {
    scratch: Scratch,
    observes: bool,
    idempotent: bool,
}

impl Server {
    fn new(observes: bool, idempotent: bool) -> Self {
        let scratch = Scratch::new();
        let script = scratch.write("update.sh", UPDATE);
        fs::set_permissions(script, fs::Permissions::from_mode(0o700)).unwrap();
        scratch.write("version", "1\n");
        Self { scratch, observes, idempotent }
    }

    fn config(&self) -> ExecConfig {
        let observe = self.observes.then_some(r#""observe": ["cat", "version"],"#);
        let (observe, idempotent) = (observe.unwrap_or_default(), self.idempotent);
        let json = format!(
            r#"{{ "command": ["./update.sh", "{{server}}", "{{version}}"], {observe}
                 "idempotent": {idempotent} }}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn exec(&self) -> Exec {
        self.exec_with(self.config()).unwrap()
    }

    fn exec_with(&self, config: ExecConfig) -> Result<Exec, PortError> {
        Exec::new(config, self.scratch.path(), &self.scratch.path().join("state"))
    }

    fn set(&self, name: &str, there: bool) {
        let path = self.scratch.path().join(name);
        if there {
            fs::write(path, "").unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
}

#[async_trait]
impl contract::World for Server {
    fn updater(&self) -> Arc<dyn Updater> {
        Arc::new(self.exec())
    }
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
    fn target(&self) -> Target {
        target()
    }
    fn observes(&self) -> bool {
        self.observes
    }
    async fn version(&self) -> Version {
        let text = fs::read_to_string(self.scratch.path().join("version")).unwrap();
        Version::new(text.trim()).unwrap()
    }
    async fn begun(&self) -> usize {
        self.scratch.lines("begun")
    }
    async fn hold(&self, held: bool) {
        self.set("hold", held);
    }
    async fn fail(&self, failing: bool) {
        self.set("fail", failing);
    }
    async fn interrupt(&self) -> bool {
        let folder = self.scratch.path().join("state/commands");
        for entry in fs::read_dir(folder).unwrap() {
            kill_group(&self.scratch, &entry.unwrap().path().join("started"));
        }
        true
    }
}

fn target() -> Target {
    let server = ServerName::new("web-1").unwrap();
    Target { server, address: Some("127.0.0.1:80".into()) }
}

fn order(key: &str, version: &str) -> UpdateOrder {
    let (key, version) = (Key::new(key).unwrap(), Version::new(version).unwrap());
    UpdateOrder { key, target: target(), version }
}

async fn settle(exec: &Exec, order: &UpdateOrder) -> Result<Progress<UpdateState>, PortError> {
    loop {
        match exec.ensure_version(order).await {
            Ok(Progress::Pending { poll_after }) => {
                SystemClock.sleep_until(SystemClock.now() + poll_after).await;
            }
            answer => return answer,
        }
    }
}

#[tokio::test]
async fn it_keeps_the_contract_when_it_observes() {
    contract::run(async || Server::new(true, false)).await;
}

#[tokio::test]
async fn it_keeps_the_contract_when_it_observes_and_may_repeat() {
    contract::run(async || Server::new(true, true)).await;
}

#[tokio::test]
async fn it_keeps_the_contract_when_it_is_blind() {
    contract::run(async || Server::new(false, true)).await;
}

#[tokio::test]
async fn an_interrupted_command_runs_again_only_where_it_may() {
    use contract::World as _;
    for (observes, idempotent) in [(true, false), (true, true), (false, true)] {
        let server = Server::new(observes, idempotent);
        server.set("hold", true);
        let order = order("cut", "2");
        server.exec().ensure_version(&order).await.unwrap();
        eventually("it has begun", || server.scratch.lines("begun") == 1);
        server.interrupt().await;
        server.set("hold", false);
        let answer = settle(&server.exec(), &order).await.unwrap();
        if idempotent {
            assert!(matches!(answer, Progress::Done(_)), "{answer:?}");
            assert_eq!(server.scratch.lines("begun"), 2);
            continue;
        }
        let Progress::Unknown { detail } = answer else { panic!("{answer:?}") };
        assert!(detail.contains("interrupted") && detail.contains("runs 1"), "{detail}");
        assert_eq!(server.scratch.lines("begun"), 1);
        server.scratch.write("version", "2\n");
        let answer = settle(&server.exec(), &order).await.unwrap();
        assert!(matches!(answer, Progress::Done(_)), "a person has seen to it: {answer:?}");
    }
}

#[tokio::test]
async fn a_failure_says_code_and_reason() {
    let server = Server::new(true, false);
    server.set("fail", true);
    let error = settle(&server.exec(), &order("fails", "2")).await.unwrap_err();
    let text = error.chain();
    assert!(text.contains("exec: update web-1: "), "{text}");
    assert!(text.contains("update.sh ended with exit code 3: no such package 2"), "{text}");
    let mut config = server.config();
    config.command = ["sh", "-c", "yes 'long \u{1b}[31m line' | head -c 500000; exit 9"]
        .map(str::to_owned)
        .to_vec();
    let exec = server.exec_with(config.clone()).unwrap();
    let text = settle(&exec, &order("floods", "2")).await.unwrap_err().chain();
    assert!(text.contains("exit code 9") && text.len() < 1_000, "{} bytes", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
    config.command = ["sh", "-c", "echo working; sleep 600"].map(str::to_owned).to_vec();
    config.timeout = "1s".parse().unwrap();
    let exec = server.exec_with(config.clone()).unwrap();
    let text = settle(&exec, &order("hangs", "2")).await.unwrap_err().chain();
    assert!(text.contains("did not end within 1s and was killed: working"), "{text}");
    config.command = vec!["true".into()];
    let exec = server.exec_with(config).unwrap();
    let error = settle(&exec, &order("lies", "2")).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(error.chain().contains("the server runs 1 instead of 2"), "{}", error.chain());
}

#[tokio::test]
async fn two_updates_of_one_server_do_not_run_side_by_side() {
    let server = Server::new(true, false);
    server.set("hold", true);
    server.exec().ensure_version(&order("one", "2")).await.unwrap();
    eventually("it has begun", || server.scratch.lines("begun") == 1);
    for _ in 0..3 {
        let answer = server.exec().ensure_version(&order("two", "3")).await.unwrap();
        assert!(matches!(answer, Progress::Pending { .. }), "{answer:?}");
    }
    assert_eq!(server.scratch.lines("begun"), 1, "the second waits for the first");
    server.set("hold", false);
    let answer = settle(&server.exec(), &order("two", "3")).await.unwrap();
    assert!(matches!(answer, Progress::Done(_)), "{answer:?}");
    assert_eq!(server.scratch.lines("begun"), 2);
}

#[tokio::test]
async fn an_observation_is_checked() {
    let server = Server::new(true, false);
    let observe = async |script: &str| {
        let mut config = server.config();
        config.observe = Some(["sh", "-c", script].map(str::to_owned).to_vec());
        config.observe_timeout = "1s".parse().unwrap();
        server.exec_with(config).unwrap().observe(&target()).await
    };
    let state = observe("echo ' 6.12 '; echo boot-7; echo more").await.unwrap();
    assert_eq!(state.version, Some(Version::new("6.12").unwrap()));
    assert_eq!(state.boot_id.as_deref(), Some("boot-7"));
    for (script, why) in [
        ("true", "should print a version on its first line"),
        ("echo 'not a version'", "should print a version on its first line"),
        ("echo no route >&2; exit 255", "ended with exit code 255: no route"),
        ("sleep 600", "did not end within 1s"),
    ] {
        let error = observe(script).await.unwrap_err();
        assert_eq!(error.retry, Retry::Backoff, "{script}");
        assert!(error.chain().contains(why), "{script}: {}", error.chain());
    }
    let mut config = server.config();
    config.observe = Some(vec!["./no-such".into()]);
    let error = server.exec_with(config).unwrap().observe(&target()).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(error.chain().contains("is it there and executable?"), "{}", error.chain());
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let server = Server::new(false, false);
    let refused = |config: ExecConfig| server.exec_with(config).unwrap_err().chain();
    assert!(refused(server.config()).contains("write `idempotent: true`"));
    let good = Server::new(true, false).config();
    let with = |words: &[&str]| ExecConfig {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        ..good.clone()
    };
    assert!(refused(with(&[])).contains("command: name a program"));
    assert!(refused(with(&["x", "{host}"])).contains("command: {host} is not known"));
    let observe = Some(vec!["x".into(), "{version}".into()]);
    assert!(refused(ExecConfig { observe, ..good.clone() }).contains("observe: {version}"));
    let env = BTreeMap::from([("A B".to_owned(), String::new())]);
    assert!(refused(ExecConfig { env, ..good }).contains("no name of an environment variable"));
    let unknown = r#"{ "command": ["x"], "comand": [] }"#;
    assert!(serde_json::from_str::<ExecConfig>(unknown).is_err());
}

#[tokio::test]
async fn values_are_passed_in_words_and_environment() {
    let server = Server::new(false, true);
    let mut config = server.config();
    let script = "echo \"$@\" $PRESURGE_SERVER $PRESURGE_ADDRESS $PRESURGE_VERSION $PRESURGE_KEY \
                  $EXTRA >seen; pwd >>seen";
    config.command = ["sh", "-c", script, "sh", "{server}", "{address}", "{version}", "{key}"]
        .map(str::to_owned)
        .to_vec();
    config.env.insert("EXTRA".into(), "more".into());
    config.working_directory = Some("work".into());
    fs::create_dir(server.scratch.path().join("work")).unwrap();
    let exec = server.exec_with(config.clone()).unwrap();
    settle(&exec, &order("r#1/web-1", "2")).await.unwrap();
    let seen = fs::read_to_string(server.scratch.path().join("work/seen")).unwrap();
    let values = "web-1 127.0.0.1:80 2 r#1/web-1";
    let work = server.scratch.path().join("work");
    assert_eq!(seen, format!("{values} {values} more\n{}\n", work.display()));
    let nowhere =
        UpdateOrder { target: Target { address: None, ..target() }, ..order("nowhere", "2") };
    let error = exec.ensure_version(&nowhere).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(error.chain().contains("{address} has no value for web-1"), "{}", error.chain());
}
