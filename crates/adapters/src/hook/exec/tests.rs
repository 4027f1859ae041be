use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use domain::contract::hook as contract;
use domain::event::HookPoint;
use domain::name::{FleetName, Key, RolloutId, Version};
use domain::ports::Clock;

use super::*;
use crate::clock::SystemClock;
use crate::command::testing::Scratch;

/// Says that it has begun and what it was told, waits while there is a file `hold`, and fails while
/// there is a file `fail`.
const HOOK: &str = "#!/bin/sh
echo \"$1\" >>begun
env | grep ^PRESURGE_ | sort >told
while [ -e hold ]; do sleep 0.02; done
if [ -e fail ]; then echo no pager >&2; exit 3; fi
echo all well
";

struct Place(Scratch);

impl Place {
    fn new() -> Self {
        let scratch = Scratch::new();
        let script = scratch.write("hook.sh", HOOK);
        fs::set_permissions(script, fs::Permissions::from_mode(0o700)).unwrap();
        Self(scratch)
    }

    fn exec(&self, command: &[&str]) -> ExecHook {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let env = BTreeMap::from([("ROOM".to_owned(), "42".to_owned())]);
        let config = ExecHookConfig { command, env, working_directory: None };
        ExecHook::new(config, self.0.path(), &self.0.path().join("state")).unwrap()
    }

    fn set(&self, name: &str, there: bool) {
        let path = self.0.path().join(name);
        if there {
            fs::write(path, "").unwrap();
        } else {
            let _ = fs::remove_file(path);
        }
    }
}

#[async_trait]
impl contract::World for Place {
    fn hook(&self) -> Arc<dyn Hook> {
        Arc::new(self.exec(&["./hook.sh", "{hook}"]))
    }
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
    async fn begun(&self) -> usize {
        self.0.lines("begun")
    }
    async fn hold(&self, held: bool) {
        self.set("hold", held);
    }
    async fn fail(&self, failing: bool) {
        self.set("fail", failing);
    }
    async fn interrupt(&self) -> bool {
        // The wrapper and what it runs, as a loss of power ends them.
        self.0.running().iter().for_each(crate::command::testing::Found::kill);
        true
    }
}

#[tokio::test]
async fn it_keeps_the_contract() {
    contract::run(async || Place::new()).await;
}

fn order(key: &str, batch: Option<u32>) -> HookOrder {
    HookOrder {
        key: Key::new(key).unwrap(),
        hook: HookPoint::AfterBatch,
        rollout: RolloutId::new("kernel#1").unwrap(),
        fleet: FleetName::new("web").unwrap(),
        version: Version::new("6.12").unwrap(),
        revision: 3,
        batch,
        servers: ["web-1", "web-2"].map(|name| ServerName::new(name).unwrap()).into(),
        timeout: Duration::from_secs(20),
    }
}

async fn end(hook: &ExecHook, order: &HookOrder) -> HookEnd {
    for _ in 0..500 {
        match hook.ensure_run(order).await.unwrap() {
            Progress::Done(end) => return end,
            Progress::Pending { .. } => {
                SystemClock.sleep_until(SystemClock.now() + Duration::from_millis(20)).await;
            }
            Progress::Unknown { detail } => panic!("{detail}"),
        }
    }
    panic!("{} does not end", order.key);
}

#[tokio::test]
async fn a_command_is_told_what_it_is_about() {
    let place = Place::new();
    let hook = place.exec(&["./hook.sh", "{rollout} {fleet} {version} r{revision} b{batch}"]);
    assert_eq!(end(&hook, &order("k/1", Some(2))).await, HookEnd::Well("all well".into()));
    let read = |name: &str| fs::read_to_string(place.0.path().join(name)).unwrap();
    assert_eq!(read("begun"), "kernel#1 web 6.12 r3 b2\n");
    let told = read("told");
    for line in [
        "PRESURGE_BATCH=2",
        "PRESURGE_FLEET=web",
        "PRESURGE_HOOK=afterBatch",
        "PRESURGE_KEY=k/1",
        "PRESURGE_REVISION=3",
        "PRESURGE_ROLLOUT=kernel#1",
        "PRESURGE_SERVERS=web-1 web-2",
        "PRESURGE_SERVER_COUNT=2",
        "PRESURGE_VERSION=6.12",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} is not in {told}");
    }
    end(&hook, &order("k/2", None)).await;
    assert!(read("told").lines().any(|told| told == "PRESURGE_BATCH="), "{}", read("told"));
}

#[tokio::test]
async fn a_failure_says_what_the_command_said_last() {
    let place = Place::new();
    place.set("fail", true);
    let end = end(&place.exec(&["./hook.sh", "x"]), &order("k", None)).await;
    let HookEnd::Badly(why) = end else { panic!("it fails") };
    assert!(why.ends_with("hook.sh ended with exit code 3: no pager"), "{why}");
}

#[test]
fn what_can_never_work_is_refused_and_names_are_cut_whole() {
    let new = |command: &[&str]| {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let config = ExecHookConfig { command, env: BTreeMap::new(), working_directory: None };
        ExecHook::new(config, Path::new("/"), Path::new("/"))
    };
    assert!(new(&[]).is_err());
    let error = new(&["x", "{server}"]).unwrap_err().chain();
    assert!(error.contains("{server} is not known; there are {hook}, {rollout}"), "{error}");
    let many: Vec<_> =
        (0..20_000).map(|n| ServerName::new(format!("server-{n:05}")).unwrap()).collect();
    let text = names(&many);
    assert!(text.len() <= MAX_NAMES && text.len() > MAX_NAMES - 20);
    assert!(text.ends_with(|c: char| c.is_ascii_digit()) && text.split(' ').all(|n| n.len() == 12));
}
