//! Surge of the demo: more server processes of the same kind, as long as they are wanted.
//!
//! *Keyed*: the names of an order decide which processes run, so that the same order twice starts
//! nothing twice. They end with the demo, as the servers of the fleet do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use domain::name::{Key, ServerName, Version};
use domain::ports::{Instance, InstanceState, PortError, Progress, Provisioner, Retry, SurgeOrder};

use super::fleet::Fleet;
use super::settings::MAX_SURGE;

/// See the module.
pub struct Surge {
    fleet: Arc<Fleet>,
    /// What instances run when an order does not say it.
    version: Version,
    orders: Mutex<BTreeMap<ServerName, Key>>,
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the offer has {MAX_SURGE} instances, and {0} are wanted")]
    SoldOut(usize),
}

impl Surge {
    /// Surge that runs `version` unless an order says otherwise.
    pub fn new(fleet: Arc<Fleet>, version: Version) -> Self {
        Self { fleet, version, orders: Mutex::default() }
    }

    fn orders(&self) -> MutexGuard<'_, BTreeMap<ServerName, Key>> {
        self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn instance(&self, name: &ServerName, key: &Key) -> Instance {
        let port = self.fleet.port_of(name);
        Instance {
            name: name.clone(),
            key: key.clone(),
            address: port.map(|port| format!("127.0.0.1:{port}")),
            state: if port.is_some() { InstanceState::Running } else { InstanceState::Lost },
        }
    }

    /// The names of the instances under a key, or of all others.
    fn names(&self, of: impl Fn(&Key) -> bool) -> Vec<ServerName> {
        self.orders().iter().filter(|(_, key)| of(key)).map(|(name, _)| name.clone()).collect()
    }
}

#[async_trait]
impl Provisioner for Surge {
    async fn observe(&self) -> Result<Vec<Instance>, PortError> {
        let orders = self.orders().clone();
        Ok(orders.iter().map(|(name, key)| self.instance(name, key)).collect())
    }

    async fn ensure_surge(&self, order: &SurgeOrder) -> Result<Progress<Vec<Instance>>, PortError> {
        let others = self.names(|key| *key != order.key).len();
        if others + order.names.len() > MAX_SURGE as usize {
            let trouble = Trouble::SoldOut(others + order.names.len());
            return Err(PortError::new("demo surge", "start servers", Retry::Backoff, trouble));
        }
        let there = self.names(|key| *key == order.key);
        for name in there.iter().filter(|name| !order.names.contains(name)) {
            self.fleet.end(name).await;
            self.orders().remove(name);
        }
        let version = order.version.as_ref().unwrap_or(&self.version);
        for name in order.names.iter().filter(|name| !there.contains(name)) {
            self.fleet.more(name, version).await.map_err(|error| {
                PortError::new("demo surge", format!("start {name}"), Retry::Backoff, error)
            })?;
            self.orders().insert(name.clone(), order.key.clone());
        }
        let running = order.names.iter().map(|name| self.instance(name, &order.key));
        Ok(Progress::Done(running.collect()))
    }
}
