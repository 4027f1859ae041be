//! Surge that nobody answers for: instances that carry Presurge's tag and belong to no order that an
//! open rollout of the store still holds. They cost money until somebody ends them.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::name::{Key, OfferName};
use domain::ports::{
    Admission, Clock, Instance, InstanceState, Journal, PortError, Progress, Provisioner,
    SurgeOrder, Target, Traffic, Wanted,
};
use rollout::state::OrderStage;

use super::chain;
use super::keyed::{self, LookError};

/// An end that has not come by then is left to the next call, which goes on with it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why surge could not be looked at or ended.
#[derive(Debug, thiserror::Error)]
pub enum OrphanError {
    /// An outside system does not answer.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A journal cannot be read: what it answers for cannot be told.
    #[error(transparent)]
    Journal(#[from] LookError),
    /// It has not ended yet.
    #[error("{what} within {} seconds; the same command goes on with it", PATIENCE.as_secs())]
    Late {
        /// What has not happened.
        what: String,
    },
    /// Nobody can say what became of it.
    #[error(
        "it is not known whether {what}: {detail}; have a look, then call the same command again"
    )]
    Unknown {
        /// What was asked for.
        what: String,
        /// What is known.
        detail: String,
    },
}

/// An instance that is suspected to be an orphan.
#[derive(Debug, Clone, PartialEq)]
pub struct Orphan {
    /// What the provisioner says of it.
    pub instance: Instance,
    /// From which offer it was bought, where a journal says so.
    pub offer: Option<OfferName>,
    /// Why it is suspected, in words.
    pub why: String,
}

/// Every instance that runs, or is about to, and that no open rollout holds.
pub async fn suspects(
    provisioner: &dyn Provisioner,
    journal: Option<&dyn Journal>,
) -> Result<Vec<Orphan>, OrphanError> {
    // Before the journals: whatever is seen here was written down there before it was ordered.
    let mut instances = provisioner.observe().await?;
    instances.retain(|instance| instance.state != InstanceState::Lost);
    let mut known: BTreeMap<Key, (OfferName, Option<String>)> = BTreeMap::new();
    let rollouts = match journal {
        Some(journal) if !instances.is_empty() => chain::rollouts(journal).await?,
        _ => Vec::new(),
    };
    for (id, journal) in rollouts.iter().zip(journal.into_iter().cycle()) {
        let Some((state, _)) = keyed::state(journal, id).await? else { continue };
        for (key, order) in &state.orders {
            let why = match (state.outcome(), order.stage) {
                (Some(_), _) => Some(format!("{id}, which ordered it, has ended")),
                (None, OrderStage::Released) => Some(format!("{id} had given it back")),
                (None, _) => None,
            };
            known.insert(key.clone(), (order.offer.clone(), why));
        }
    }
    let orphan = |instance: Instance| match known.get(&instance.key) {
        Some((_, None)) => None,
        Some((offer, Some(why))) => {
            Some(Orphan { instance, offer: Some(offer.clone()), why: why.clone() })
        }
        None => {
            let why = "no rollout of this store ordered it; perhaps one of another store did";
            Some(Orphan { instance, offer: None, why: why.into() })
        }
    };
    Ok(instances.into_iter().filter_map(orphan).collect())
}

/// Ends the instances of one order: they leave the load balancer, if there is one, once no request is
/// under way, and are given back then.
pub async fn end(
    key: &Key,
    orphans: &[Orphan],
    (provisioner, traffic): (&dyn Provisioner, Option<&dyn Traffic>),
    (clock, fallback): (&dyn Clock, &OfferName),
) -> Result<(), OrphanError> {
    let of_key: Vec<&Orphan> = orphans.iter().filter(|o| o.instance.key == *key).collect();
    for orphan in &of_key {
        let Some(traffic) = traffic else { break };
        let (name, address) = (&orphan.instance.name, orphan.instance.address.clone());
        for wanted in [Wanted::Drain, Wanted::Remove] {
            let (second, wish) = (clock.now().as_second().to_string(), format!("{wanted:?}"));
            let key = Key::of(&["orphan", name.as_str(), &wish, &second]);
            let target = Target { server: name.clone(), address: address.clone() };
            let admission = Admission { key, target, wanted };
            let what = format!("{name} has left the load balancer");
            done(clock, &what, async || traffic.ensure_admission(&admission).await).await?;
        }
    }
    let offer = of_key.iter().find_map(|orphan| orphan.offer.clone());
    let offer = offer.unwrap_or_else(|| fallback.clone());
    let order = SurgeOrder { key: key.clone(), offer, names: Vec::new(), version: None };
    let what = format!("{key} was given back");
    done(clock, &what, async || provisioner.ensure_surge(&order).await).await
}

/// Asks until it is so.
async fn done<T>(
    clock: &dyn Clock,
    what: &str,
    ask: impl AsyncFn() -> Result<Progress<T>, PortError>,
) -> Result<(), OrphanError> {
    let until = clock.now() + PATIENCE;
    loop {
        match ask().await? {
            Progress::Done(_) => return Ok(()),
            Progress::Unknown { detail } => {
                return Err(OrphanError::Unknown { what: what.into(), detail });
            }
            Progress::Pending { .. } if clock.now() >= until => {
                return Err(OrphanError::Late { what: format!("it is not so that {what}") });
            }
            Progress::Pending { poll_after } => clock.sleep_until(clock.now() + poll_after).await,
        }
    }
}
