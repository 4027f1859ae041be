//! A fixed roll, as most updaters do it: so many servers at a time, as soon as it is asked for,
//! whatever the load. It uses the same load balancer, updater and processes as Presurge.

use std::sync::Arc;
use std::time::Duration;

use adapters::clock::ScaledClock;
use domain::name::{Key, ServerName, Version};
use domain::ports::{
    Admission, Clock, PortError, Progress, Provisioner, SurgeOrder, Target, Traffic, UpdateOrder,
    Updater, Wanted,
};

use super::board::{Board, Light};
use super::outlook::{offer_name, surge_cost};
use super::settings::{FIXED_BATCH, STABILISATION};

/// From one question to the next, in real time.
const POLL: Duration = Duration::from_millis(50);

/// What a fixed roll is done with.
pub struct FixedRoll {
    /// The load balancer.
    pub traffic: Arc<dyn Traffic>,
    /// How servers are updated.
    pub updater: Arc<dyn Updater>,
    /// Where surge comes from.
    pub provisioner: Arc<dyn Provisioner>,
    /// Time.
    pub clock: ScaledClock,
    /// Who watches.
    pub board: Board,
}

/// An outside call that failed, or whose outcome nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum FixedError {
    /// It failed.
    #[error("the fixed roll failed")]
    Port(#[from] PortError),
    /// Nobody knows.
    #[error("the fixed roll stopped: {0}")]
    Unknown(String),
}

impl FixedRoll {
    /// Updates all servers in batches of [`FIXED_BATCH`] with so much surge; returns what the
    /// surge cost.
    ///
    /// # Errors
    /// The first call that fails: a fixed roll knows no second try.
    pub async fn run(
        &self,
        servers: &[Target],
        version: &Version,
        surge: usize,
    ) -> Result<f64, FixedError> {
        let ordered = self.clock.now();
        let bought = self.buy(surge).await?;
        for (batch, index) in servers.chunks(FIXED_BATCH).zip(1..) {
            self.batch(batch, index, version).await?;
        }
        if bought.is_empty() {
            self.say("fixed roll done");
            return Ok(0.0);
        }
        self.clock.sleep_until(self.clock.now() + STABILISATION).await;
        for target in &bought {
            self.board.light(&target.server, Light::Draining);
            self.admit(target, Wanted::Drain).await?;
            self.admit(target, Wanted::Remove).await?;
            self.board.gone(&target.server);
        }
        self.order(Vec::new()).await?;
        self.say("fixed roll done, surge is gone");
        Ok(surge_cost(bought.len(), ordered, self.clock.now()))
    }

    fn say(&self, text: &str) {
        self.board.event(self.clock.now(), text);
    }

    async fn buy(&self, count: usize) -> Result<Vec<Target>, FixedError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let name = |n| ServerName::new(format!("surge-{n}")).expect("a word and a number");
        let names: Vec<ServerName> = (1..=count).map(name).collect();
        for name in &names {
            self.board.light(name, Light::Updating);
        }
        let targets = self.order(names).await?;
        for target in &targets {
            self.admit(target, Wanted::Admit(100)).await?;
            self.board.light(&target.server, Light::Old);
        }
        self.say(&format!("{count} surge in service"));
        Ok(targets)
    }

    async fn order(&self, names: Vec<ServerName>) -> Result<Vec<Target>, FixedError> {
        let key = Key::of(&["fixed", "surge"]);
        let order = SurgeOrder { key, offer: offer_name(), names, version: None };
        let ask = || self.provisioner.ensure_surge(&order);
        let instances = self.until_done(ask).await?;
        Ok(instances.into_iter().map(|i| Target { server: i.name, address: i.address }).collect())
    }

    async fn batch(
        &self,
        batch: &[Target],
        index: usize,
        version: &Version,
    ) -> Result<(), FixedError> {
        let names: Vec<&str> = batch.iter().map(|t| t.server.as_str()).collect();
        self.say(&format!("batch {index} out: {}", names.join(", ")));
        let all = batch.iter().map(|target| self.server(target, version));
        futures_util::future::try_join_all(all).await?;
        self.say(&format!("batch {index} back"));
        Ok(())
    }

    async fn server(&self, target: &Target, version: &Version) -> Result<(), FixedError> {
        self.board.light(&target.server, Light::Draining);
        self.admit(target, Wanted::Drain).await?;
        self.board.light(&target.server, Light::Updating);
        let order = UpdateOrder {
            key: Key::of(&["fixed", target.server.as_str(), "update"]),
            target: target.clone(),
            version: version.clone(),
        };
        self.until_done(|| self.updater.ensure_version(&order)).await?;
        self.board.light(&target.server, Light::Checking);
        self.admit(target, Wanted::Admit(100)).await?;
        self.board.light(&target.server, Light::New);
        Ok(())
    }

    async fn admit(&self, target: &Target, wanted: Wanted) -> Result<(), FixedError> {
        let key = Key::of(&["fixed", target.server.as_str(), "traffic"]);
        let admission = Admission { key, target: target.clone(), wanted };
        self.until_done(|| self.traffic.ensure_admission(&admission)).await?;
        Ok(())
    }

    async fn until_done<T, F>(&self, ask: impl Fn() -> F) -> Result<T, FixedError>
    where
        F: Future<Output = Result<Progress<T>, PortError>>,
    {
        loop {
            match ask().await? {
                Progress::Done(value) => return Ok(value),
                Progress::Pending { .. } => pause().await,
                Progress::Unknown { detail } => return Err(FixedError::Unknown(detail)),
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "real processes are waited for in real time")]
async fn pause() {
    tokio::time::sleep(POLL).await;
}
