//! How a demo server comes to run another version: its process is ended, the new version is
//! installed (which takes a while), and a new process takes its port.
//!
//! *Observed*: a server says itself which version it runs and which process it is. What was begun
//! under a key is kept in memory, since the servers do not outlive the demo.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use domain::name::{Key, ServerName, Version};
use domain::ports::{PortError, Progress, Retry, Target, UpdateOrder, UpdateState, Updater};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::fleet::{Fleet, LOOK_TIMEOUT};
use super::settings::INSTALL;

/// Ask again after this long while an update is under way.
const POLL: Duration = Duration::from_millis(50);

/// The most that is read of a server's answer, in bytes.
const MOST_SAID: usize = 1_024;

/// How far the update under one key has come.
#[derive(Debug, Clone)]
enum Stage {
    UnderWay,
    Done,
    Failed(String),
}

/// See the module.
pub struct Restarts {
    fleet: Arc<Fleet>,
    orders: Arc<Mutex<BTreeMap<Key, (ServerName, Stage)>>>,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Restarts {
    /// An updater of these processes.
    pub fn new(fleet: Arc<Fleet>) -> Self {
        // A kept connection would show the process that was, not the one that is.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { fleet, orders: Arc::default(), client }
    }

    fn orders(&self) -> MutexGuard<'_, BTreeMap<Key, (ServerName, Stage)>> {
        lock(&self.orders)
    }

    fn is_under_way(&self, server: &ServerName) -> bool {
        let at_work = |(name, stage): &(ServerName, Stage)| {
            name == server && matches!(stage, Stage::UnderWay)
        };
        self.orders().values().any(at_work)
    }

    async fn ask(&self, target: &Target) -> Result<UpdateState, String> {
        let address = target.address.as_deref().ok_or("its address is not known")?;
        let uri = format!("http://{address}/version").parse::<hyper::Uri>();
        let uri = uri.map_err(|e| format!("{address:?} is no address: {e}"))?;
        let answer = async {
            let answer = self.client.get(uri).await.map_err(|e| e.to_string())?;
            let body = Limited::new(answer.into_body(), MOST_SAID).collect().await;
            body.map(|b| b.to_bytes()).map_err(|e| e.to_string())
        };
        let answer = tokio::time::timeout(LOOK_TIMEOUT, answer).await;
        let said = answer.map_err(|_| format!("no answer within {LOOK_TIMEOUT:?}"))??;
        let said = String::from_utf8_lossy(&said);
        let mut lines = said.lines();
        let version = lines.next().and_then(|line| Version::new(line).ok());
        let version = version.ok_or("it says no version")?;
        let boot_id = lines.next().map(str::to_owned);
        Ok(UpdateState { version: Some(version), boot_id, in_progress: false })
    }

    fn begin(&self, order: &UpdateOrder) {
        let name = order.target.server.clone();
        self.orders().insert(order.key.clone(), (name.clone(), Stage::UnderWay));
        let (fleet, orders, order) =
            (Arc::clone(&self.fleet), Arc::clone(&self.orders), order.clone());
        tokio::spawn(async move {
            let stage = match replace(&fleet, &order).await {
                Ok(()) => Stage::Done,
                Err(why) => Stage::Failed(why),
            };
            lock(&orders).insert(order.key, (name, stage));
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn replace(fleet: &Fleet, order: &UpdateOrder) -> Result<(), String> {
    let name = &order.target.server;
    // A server whose process has ended by itself still has the port of its address.
    let known = order.target.address.as_deref().and_then(|a| a.rsplit_once(':'));
    let known = known.and_then(|(_, port)| port.parse().ok());
    let port = fleet.end(name).await.or(known).ok_or("its port is not known")?;
    install().await;
    fleet.again(name, port, &order.version).await.map_err(|error| error.to_string())
}

#[expect(clippy::disallowed_methods, reason = "the installation takes real time")]
async fn install() {
    tokio::time::sleep(INSTALL).await;
}

#[async_trait]
impl Updater for Restarts {
    async fn observe(&self, target: &Target) -> Result<UpdateState, PortError> {
        if self.is_under_way(&target.server) {
            return Ok(UpdateState { version: None, boot_id: None, in_progress: true });
        }
        let failed = |why: String| {
            PortError::new("demo servers", format!("ask {}", target.server), Retry::Backoff, why)
        };
        self.ask(target).await.map_err(failed)
    }

    async fn ensure_version(
        &self,
        order: &UpdateOrder,
    ) -> Result<Progress<UpdateState>, PortError> {
        let server = &order.target.server;
        let known = self.orders().get(&order.key).map(|(_, stage)| stage.clone());
        match known {
            Some(Stage::Failed(why)) => {
                Err(PortError::new("demo servers", format!("update {server}"), Retry::Never, why))
            }
            Some(Stage::Done) => Ok(Progress::Done(self.observe(&order.target).await?)),
            Some(Stage::UnderWay) => Ok(Progress::Pending { poll_after: POLL }),
            None if self.is_under_way(server) => Ok(Progress::Pending { poll_after: POLL }),
            None => {
                // A server that does not answer is to be started anew as well.
                let seen = self.ask(&order.target).await;
                match seen {
                    Ok(seen) if seen.version.as_ref() == Some(&order.version) => {
                        Ok(Progress::Done(seen))
                    }
                    _ => {
                        self.begin(order);
                        Ok(Progress::Pending { poll_after: POLL })
                    }
                }
            }
        }
    }
}
