//! How a demo server comes to run another version: the new version is installed (which takes a
//! while), its process is ended, and a new process takes its port.
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

/// Ask again after this long while an update is under way.
const POLL: Duration = Duration::from_millis(50);

/// The most that is read of a server's answer, in bytes.
const MOST_SAID: usize = 1_024;

/// What puts a new version on a server, before it is started again.
#[async_trait]
pub trait Installer: Send + Sync {
    /// Returns when it is there, or with the reason why it cannot be.
    async fn install(&self, order: &UpdateOrder) -> Result<(), String>;
}

/// Every version is there already; installing takes so long in real time.
#[derive(Debug, Clone, Copy)]
pub struct Wait(pub Duration);

#[async_trait]
impl Installer for Wait {
    #[expect(clippy::disallowed_methods, reason = "the installation takes real time")]
    async fn install(&self, _: &UpdateOrder) -> Result<(), String> {
        tokio::time::sleep(self.0).await;
        Ok(())
    }
}

/// How far the update under one key has come.
#[derive(Debug, Clone)]
enum Stage {
    UnderWay,
    Done,
    Failed(String),
}

type Orders = Arc<Mutex<BTreeMap<Key, (ServerName, Stage)>>>;

/// See the module. Copies share what they have begun.
#[derive(Clone)]
pub struct Restarts {
    fleet: Arc<Fleet>,
    installer: Arc<dyn Installer>,
    orders: Orders,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Restarts {
    /// An updater of these processes.
    pub fn new(fleet: Arc<Fleet>, installer: Arc<dyn Installer>) -> Self {
        // A kept connection would show the process that was, not the one that is.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { fleet, installer, orders: Arc::default(), client }
    }

    fn orders(&self) -> MutexGuard<'_, BTreeMap<Key, (ServerName, Stage)>> {
        self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn is_under_way(&self, server: &ServerName) -> bool {
        self.orders().values().any(|(of, stage)| of == server && stage.is_under_way())
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

    /// Takes the server for this order, unless it is taken. How far the order has come.
    fn take(&self, order: &UpdateOrder) -> Option<Stage> {
        let mut orders = self.orders();
        if let Some((_, stage)) = orders.get(&order.key) {
            return Some(stage.clone());
        }
        let name = &order.target.server;
        let taken = |(of, stage): &(ServerName, Stage)| of == name && stage.is_under_way();
        if orders.values().any(taken) {
            return Some(Stage::UnderWay);
        }
        orders.insert(order.key.clone(), (name.clone(), Stage::UnderWay));
        None
    }

    /// Does the whole update, and says how it ended. It goes on when its caller has gone.
    fn begin(&self, order: UpdateOrder) {
        let this = self.clone();
        tokio::spawn(async move {
            let stage = match this.update(&order).await {
                Ok(()) => Stage::Done,
                Err(why) => Stage::Failed(why),
            };
            this.orders().insert(order.key, (order.target.server, stage));
        });
    }

    async fn update(&self, order: &UpdateOrder) -> Result<(), String> {
        let Target { server, address } = &order.target;
        // A server that does not answer is to be started anew as well.
        if self
            .ask(&order.target)
            .await
            .is_ok_and(|seen| seen.version.as_ref() == Some(&order.version))
        {
            return Ok(());
        }
        self.installer.install(order).await?;
        // A server whose process has ended by itself still has the port of its address.
        let known = address.as_deref().and_then(|a| a.rsplit_once(':')?.1.parse().ok());
        let port = self.fleet.end(server).await.or(known).ok_or("its port is not known")?;
        let again = self.fleet.again(server, port, &order.version).await;
        again.map_err(|error| error.to_string())
    }
}

impl Stage {
    fn is_under_way(&self) -> bool {
        matches!(self, Self::UnderWay)
    }
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
        match self.take(order) {
            Some(Stage::Failed(why)) => {
                Err(PortError::new("demo servers", format!("update {server}"), Retry::Never, why))
            }
            Some(Stage::Done) => Ok(Progress::Done(self.observe(&order.target).await?)),
            Some(Stage::UnderWay) => Ok(Progress::Pending { poll_after: POLL }),
            None => {
                self.begin(order.clone());
                Ok(Progress::Pending { poll_after: POLL })
            }
        }
    }
}

#[cfg(test)]
mod tests;
