//! A journal in memory, with the rules of a real one.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use domain::journal::{Head, Record};
use domain::name::RolloutId;
use domain::ports::{Append, AppendError, Authority, Journal, Lease, PortError};
use jiff::Timestamp;

#[derive(Debug, Default)]
struct Chain {
    records: Vec<Record>,
    lease: Option<Lease>,
}

impl Chain {
    fn head(&self) -> Head {
        self.records.last().map_or_else(Head::empty, Record::head)
    }
}

/// Journals of any number of rollouts. It survives its drivers, not its process.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    chains: Mutex<(Vec<RolloutId>, BTreeMap<RolloutId, Chain>)>,
}

impl MemoryJournal {
    /// A journal without records.
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, rollout: &RolloutId, f: impl FnOnce(&mut Chain) -> T) -> T {
        let mut chains = self.chains.lock().expect("no panic under the lock");
        f(chains.1.entry(rollout.clone()).or_default())
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn lease(
        &self,
        rollout: &RolloutId,
        owner: &str,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<Lease>, PortError> {
        Ok(self.with(rollout, |chain| {
            let until = now + length;
            let epoch = match &chain.lease {
                Some(held) if held.owner == owner => held.epoch,
                Some(held) if held.until > now => return None,
                Some(held) => held.epoch + 1,
                None => 1,
            };
            let (rollout, owner) = (rollout.clone(), owner.to_owned());
            chain.lease = Some(Lease { rollout, owner, epoch, until });
            chain.lease.clone()
        }))
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.with(&lease.rollout, |chain| {
            if let Some(held) = chain.lease.as_mut().filter(|h| h.epoch == lease.epoch) {
                held.until = Timestamp::UNIX_EPOCH;
                held.owner = String::new();
            }
        });
        Ok(())
    }

    async fn read(&self, rollout: &RolloutId, after: u64) -> Result<Vec<Record>, PortError> {
        Ok(self.with(rollout, |chain| {
            chain
                .records
                .iter()
                .skip(usize::try_from(after).unwrap_or(usize::MAX))
                .cloned()
                .collect()
        }))
    }

    async fn append(&self, append: Append<'_>) -> Result<Vec<Record>, AppendError> {
        let appended = self.with(append.rollout, |chain| {
            if let Authority::Driver(lease) = append.authority {
                let held = chain.lease.as_ref();
                let current = held.map_or(0, |held| held.epoch);
                let owns = held.is_some_and(|held| held.owner == lease.owner);
                if !owns || current != lease.epoch || lease.rollout != *append.rollout {
                    return Err(AppendError::Fenced { held: lease.epoch, current });
                }
            }
            let mut head = chain.head();
            if head != *append.after {
                return Err(AppendError::Conflict(head));
            }
            let mut written = Vec::new();
            for entry in append.entries {
                let record = Record::chain(append.rollout, &head, entry);
                head = record.head();
                written.push(record);
            }
            chain.records.extend(written.iter().cloned());
            Ok(written)
        })?;
        let mut chains = self.chains.lock().expect("no panic under the lock");
        if !appended.is_empty() && !chains.0.contains(append.rollout) {
            chains.0.push(append.rollout.clone());
        }
        Ok(appended)
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, PortError> {
        Ok(self.chains.lock().expect("no panic under the lock").0.clone())
    }
}
