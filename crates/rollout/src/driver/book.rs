//! The journal in the hands of a driver: the lease, the fold, and writing under both.

use domain::event::{Event, FORMAT, format_of};
use domain::journal::{Actor, Entry, Record};
use domain::name::RolloutId;
use domain::ports::{Append, AppendError, Authority, Lease};

use super::{DriveError, Driver};
use crate::machine;
use crate::state::State;

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It is durable, or there was nothing to write.
    Done,
    /// Somebody else wrote first; the state has moved on and nothing was written.
    Overtaken,
    /// The store does not answer; nothing may be done until it does.
    Troubled,
}

/// See the module.
pub(super) struct Book<'a> {
    driver: &'a Driver,
    lease: Lease,
    state: State,
}

impl<'a> Book<'a> {
    /// Takes the lease, waiting for its present owner if there is one, and folds the journal; `None` when
    /// the driver was asked to stop meanwhile. Leaves the
    /// lease alone where this build does not read the journal: somebody else may.
    pub(super) async fn open(
        driver: &'a Driver,
        id: &RolloutId,
    ) -> Result<Option<Self>, DriveError> {
        let unread = |error| DriveError::Fold(id.clone(), error);
        machine::readable(&driver.journal.read(id, 0).await?).map_err(unread)?;
        let Some(lease) = take_lease(driver, id).await? else { return Ok(None) };
        let (state, stated) = match folded(driver, id).await {
            Ok(folded) => folded,
            Err(error) => {
                give_up(driver, &lease).await;
                return Err(error);
            }
        };
        let mut book = Self { driver, lease, state };
        if book.state.outcome().is_none() {
            let event = Event::DriverStarted {
                owner: driver.owner.clone(),
                epoch: book.lease.epoch,
                build: driver.build.clone(),
                planning: driver.planner.planning(),
                format: (FORMAT > stated).then_some(FORMAT),
            };
            let cause = Some(book.state.head.seq);
            let reason = "it took the lease".into();
            let (at, actor) = (driver.world.clock.now(), Actor::decider());
            book.write(vec![Entry { at, actor, cause, reason, inputs: None, event }]).await?;
        }
        Ok(Some(book))
    }

    /// The state after everything that has been read and written.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Renews the lease when a third of it has passed.
    pub(super) async fn renew(&mut self) -> Result<(), DriveError> {
        let (now, length) = (self.driver.world.clock.now(), self.driver.pace.lease);
        if now < self.lease.until - length * 2 / 3 {
            return Ok(());
        }
        let journal = &self.driver.journal;
        match journal.lease(&self.lease.rollout, &self.lease.owner, now, length).await {
            Ok(Some(lease)) if lease.epoch == self.lease.epoch => {
                self.lease = lease;
                Ok(())
            }
            Ok(Some(lease)) => Err(DriveError::LeaseLost(lease.epoch)),
            Ok(None) => Err(DriveError::LeaseLost(self.lease.epoch + 1)),
            Err(error) => {
                self.driver.audience.troubled(&error.chain());
                Ok(())
            }
        }
    }

    /// Whether the lease outlasts calls that begin now: what this driver sends has arrived, or was given
    /// up, before anybody else drives.
    pub(super) fn outlasts_calls(&self) -> bool {
        let pace = self.driver.pace;
        // As much as there is left at least after a renewal.
        let needed = pace.call_timeout.min(pace.lease * 2 / 3);
        self.driver.world.clock.now() + needed <= self.lease.until
    }

    /// Gives the lease back.
    pub(super) async fn close(self) {
        give_up(self.driver, &self.lease).await;
    }

    /// Takes in what others wrote meanwhile.
    pub(super) async fn catch_up(&mut self) -> Result<Written, DriveError> {
        let journal = &self.driver.journal;
        match journal.read(&self.state.id, self.state.head.seq).await {
            Ok(records) => {
                for record in &records {
                    self.take(record)?;
                }
                Ok(Written::Done)
            }
            Err(error) => {
                self.driver.audience.troubled(&error.chain());
                Ok(Written::Troubled)
            }
        }
    }

    /// Writes entries, all or none, after checking that each is legal.
    pub(super) async fn write(&mut self, entries: Vec<Entry>) -> Result<Written, DriveError> {
        let entries = self.legal(entries);
        if entries.is_empty() {
            return Ok(Written::Done);
        }
        let append = Append {
            rollout: &self.lease.rollout,
            authority: Authority::Driver(&self.lease),
            after: &self.state.head,
            entries,
        };
        match self.driver.journal.append(append).await {
            Ok(records) => {
                for record in &records {
                    self.take(record)?;
                }
                Ok(Written::Done)
            }
            Err(AppendError::Conflict(_)) => match self.catch_up().await? {
                Written::Troubled => Ok(Written::Troubled),
                _ => Ok(Written::Overtaken),
            },
            Err(AppendError::Fenced { current, .. }) => Err(DriveError::LeaseLost(current)),
            Err(AppendError::Port(error)) => {
                self.driver.audience.troubled(&error.chain());
                Ok(Written::Troubled)
            }
        }
    }

    /// The entries up to the first that cannot follow: a world that answers nonsense must not
    /// make a journal that cannot be read.
    fn legal(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut trial = self.state.clone();
        let mut good = Vec::with_capacity(entries.len());
        for entry in entries {
            match machine::suppose(&mut trial, &entry) {
                Ok(()) => good.push(entry),
                Err(error) => self.driver.audience.troubled(&error.to_string()),
            }
        }
        good
    }

    fn take(&mut self, record: &Record) -> Result<(), DriveError> {
        record
            .continues(&self.state.head)
            .map_err(|broken| DriveError::Fold(self.state.id.clone(), broken.into()))?;
        machine::apply(&mut self.state, record)
            .map_err(|e| DriveError::Fold(self.state.id.clone(), e))?;
        self.driver.audience.recorded(&self.state, record);
        Ok(())
    }
}

/// The state of a rollout, and the format that its journal states.
async fn folded(driver: &Driver, id: &RolloutId) -> Result<(State, u32), DriveError> {
    let records = driver.journal.read(id, 0).await?;
    let state = machine::fold(&records).map_err(|e| DriveError::Fold(id.clone(), e))?;
    let state = state.ok_or_else(|| DriveError::NoSuchRollout(id.clone()))?;
    Ok((state, format_of(&records)))
}

/// Gives a lease back; a failure does no harm, since it ends by itself.
async fn give_up(driver: &Driver, lease: &Lease) {
    if let Err(error) = driver.journal.release(lease).await {
        driver.audience.troubled(&error.chain());
    }
}

async fn take_lease(driver: &Driver, id: &RolloutId) -> Result<Option<Lease>, DriveError> {
    let (clock, length) = (&driver.world.clock, driver.pace.lease);
    let mut told = false;
    loop {
        if driver.stop.is_asked() {
            return Ok(None);
        }
        let now = clock.now();
        let lease = driver.journal.lease(id, &driver.owner, now, length).await?;
        if lease.is_some() {
            return Ok(lease);
        }
        if !told {
            driver.audience.troubled(&format!(
                "another driver holds the lease on {id}; waiting until it gives up or its lease \
                 of {} s runs out",
                length.as_secs_f64()
            ));
            told = true;
        }
        clock.sleep_until(now + driver.pace.tick).await;
    }
}
