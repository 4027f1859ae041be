//! The contract of updaters, kept with real server processes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use adapters::clock::SystemClock;
use domain::contract::updater as contract;
use domain::ports::Clock;
use tokio::sync::watch;

use super::*;

/// The program next to the tests: a test binary is no server.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("presurge");
    assert!(program.is_file(), "run `cargo build -p presurge` first: no {}", program.display());
    program
}

/// An installation that a test holds up and lets fail.
struct Held {
    held: watch::Sender<bool>,
    failing: watch::Sender<bool>,
    begun: AtomicUsize,
}

#[async_trait]
impl Installer for Held {
    async fn install(&self, _: &UpdateOrder) -> Result<(), String> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let mut held = self.held.subscribe();
        held.wait_for(|held| !held).await.map_err(|error| error.to_string())?;
        if *self.failing.borrow() { Err("there is no such version".into()) } else { Ok(()) }
    }
}

struct World {
    restarts: Restarts,
    installer: Arc<Held>,
    target: Target,
}

impl World {
    async fn new() -> Self {
        let fleet = Arc::new(Fleet::new(program()));
        let targets = fleet.start(&Version::new("1").unwrap()).await.unwrap();
        let begun = AtomicUsize::new(0);
        let installer = Arc::new(Held {
            held: watch::channel(false).0,
            failing: watch::channel(false).0,
            begun,
        });
        let restarts = Restarts::new(fleet, installer.clone());
        Self { restarts, installer, target: targets[0].clone() }
    }
}

#[async_trait]
impl contract::World for World {
    fn updater(&self) -> Arc<dyn Updater> {
        Arc::new(self.restarts.clone())
    }
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
    fn target(&self) -> Target {
        self.target.clone()
    }
    fn observes(&self) -> bool {
        true
    }
    async fn version(&self) -> Version {
        self.restarts.ask(&self.target).await.unwrap().version.unwrap()
    }
    async fn begun(&self) -> usize {
        self.installer.begun.load(Ordering::SeqCst)
    }
    async fn hold(&self, held: bool) {
        self.installer.held.send_replace(held);
    }
    async fn fail(&self, failing: bool) {
        self.installer.failing.send_replace(failing);
    }
    async fn interrupt(&self) -> bool {
        // The servers do not outlive the process that updates them.
        false
    }
}

#[tokio::test]
async fn it_keeps_the_contract() {
    contract::run(World::new).await;
}

#[tokio::test]
async fn an_update_is_another_process_on_the_same_port() {
    let world = World::new().await;
    let before = world.restarts.ask(&world.target).await.unwrap();
    let order = UpdateOrder {
        key: Key::of(&["test"]),
        target: world.target.clone(),
        version: Version::new("2").unwrap(),
    };
    let after = loop {
        match world.restarts.ensure_version(&order).await.unwrap() {
            Progress::Done(state) => break state,
            Progress::Pending { poll_after } => {
                SystemClock.sleep_until(SystemClock.now() + poll_after).await;
            }
            Progress::Unknown { detail } => panic!("{detail}"),
        }
    };
    assert_eq!(after.version, Some(order.version));
    assert_ne!(after.boot_id, before.boot_id);
    world.restarts.fleet.stop().await;
    assert!(world.restarts.observe(&world.target).await.is_err(), "it is gone");
}
