use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::contract::traffic as contract;
use domain::name::{Key, ServerName};
use domain::ports::{BackendState, Clock};
use tokio::sync::{Mutex, mpsc};

use super::*;
use crate::clock::SystemClock;
use crate::traffic::testing::{Arrival, Server, get, hold, pause, requests};

struct World {
    servers: Vec<Server>,
    spare: Server,
    proxy: Embedded,
    arrivals: Mutex<mpsc::UnboundedReceiver<Arrival>>,
}

impl World {
    async fn start() -> Self {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let mut servers = Vec::new();
        for name in ["web-1", "web-2", "web-3"] {
            servers.push(Server::start(name, sender.clone()).await);
        }
        let spare = Server::start("surge-1", sender).await;
        let targets: Vec<_> = servers.iter().map(Server::target).collect();
        let config = EmbeddedConfig { every_millis: 20, ..EmbeddedConfig::default() };
        let proxy = Embedded::start(config, &targets).await.unwrap();
        let world = Self { servers, spare, proxy, arrivals: Mutex::new(arrivals) };
        for _ in 0..500 {
            let seen = world.proxy.observe().await.unwrap();
            if seen.iter().all(|b| b.state == BackendState::InService) {
                return world;
            }
            pause(Duration::from_millis(10)).await;
        }
        panic!("the servers do not come into service");
    }

    fn port(&self) -> u16 {
        self.proxy.address().port()
    }
}

#[async_trait]
impl contract::World for World {
    fn traffic(&self) -> Arc<dyn Traffic> {
        Arc::new(self.proxy.clone())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    fn members(&self) -> Vec<Target> {
        self.servers.iter().map(Server::target).collect()
    }

    fn spare(&self) -> Target {
        self.spare.target()
    }

    async fn requests(&self, count: usize) -> Result<BTreeMap<ServerName, usize>, String> {
        requests(self.port(), count).await
    }

    async fn hold(&self, server: &ServerName) -> Result<Box<dyn contract::Held>, String> {
        hold(self.port(), &self.arrivals, server).await
    }

    async fn set_healthy(&self, server: &ServerName, healthy: bool) -> bool {
        let real = self.servers.iter().find(|real| real.name == *server).unwrap();
        real.set_healthy(healthy);
        pause(Duration::from_millis(300)).await;
        true
    }

    async fn lose_settings(&self) -> bool {
        false
    }

    async fn fail_next(&self, _: contract::Fault) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract() {
    contract::run(async || World::start().await).await;
}

fn wish(server: &Server, wanted: Wanted) -> Admission {
    let target = server.target();
    Admission { key: Key::of(&["test", target.server.as_str()]), target, wanted }
}

async fn done(world: &World, admission: &Admission) {
    for _ in 0..1000 {
        match world.proxy.ensure_admission(admission).await.unwrap() {
            Progress::Done(_) => return,
            Progress::Pending { poll_after } => pause(poll_after).await,
            Progress::Unknown { detail } => panic!("{detail}"),
        }
    }
    panic!("{admission:?} is still not done");
}

/// Nine requests of three seconds, all of them at a server.
async fn slow(world: &World) -> Vec<crate::traffic::testing::Answer> {
    let all: Vec<_> = (0..9).map(|_| tokio::spawn(get(world.port(), "/slow"))).collect();
    for _ in 0..9 {
        world.arrivals.lock().await.recv().await.unwrap();
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_three_seconds_survive_a_drain_and_not_a_kill() {
    let mut world = World::start().await;
    let under_way = slow(&world).await;
    done(&world, &wish(&world.servers[0], Wanted::Drain)).await;
    world.servers[0].kill().await;
    for answer in under_way {
        assert_eq!(answer.await.unwrap().as_deref(), Ok("slow"));
    }
    let under_way = slow(&world).await;
    world.servers[1].kill().await;
    let mut lost = 0;
    for answer in under_way {
        lost += usize::from(answer.await.unwrap().is_err());
    }
    assert!(lost > 0, "without a drain requests are lost, or this test proves nothing");
    assert_eq!(world.proxy.counts().broken as usize, lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_it_says_so() {
    let world = World::start().await;
    for server in &world.servers {
        done(&world, &wish(server, Wanted::Drain)).await;
    }
    let error = get(world.port(), "/").await.unwrap_err();
    assert!(error.contains("503"), "{error}");
    assert_eq!(world.proxy.counts().refused, 1);
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let config = EmbeddedConfig { listen, ..EmbeddedConfig::default() };
    let error = Embedded::start(config, &[]).await.err().expect("the port is taken").chain();
    assert!(error.contains(&listen.to_string()), "{error}");
}
