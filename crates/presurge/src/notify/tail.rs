//! Reading on in the journal of a rollout, for what is to be told.

use std::collections::{BTreeSet, VecDeque};

use domain::event::Event;
use domain::journal::Record;
use domain::notice::Notice;
use rollout::State;
use rollout::machine;
use rollout::notices::Notices;

use super::{Desk, QUEUE};
use crate::causes;

/// The journal as far as it was read.
pub(super) struct Tail<'a> {
    desk: &'a Desk,
    state: Option<State>,
    notices: Notices,
    fresh: VecDeque<Notice>,
    settled: BTreeSet<(String, String)>,
    driven_here: bool,
}

impl<'a> Tail<'a> {
    pub(super) fn new(desk: &'a Desk) -> Self {
        Self {
            desk,
            state: None,
            notices: Notices::default(),
            fresh: VecDeque::new(),
            settled: BTreeSet::new(),
            driven_here: false,
        }
    }

    /// Takes in what was written since.
    pub(super) async fn read_on(&mut self) -> Result<(), String> {
        let seen = self.state.as_ref().map_or(0, |state| state.head.seq);
        let records = self.desk.journal.read(&self.desk.id, seen).await;
        for record in records.map_err(|error| error.chain())? {
            self.take(&record)?;
        }
        Ok(())
    }

    fn take(&mut self, record: &Record) -> Result<(), String> {
        let broken = |error: machine::FoldError| causes::chain(&error);
        match &mut self.state {
            None => self.state = machine::fold(std::slice::from_ref(record)).map_err(broken)?,
            Some(state) => machine::apply(state, record).map_err(broken)?,
        }
        let Some(state) = &self.state else { return Ok(()) };
        self.fresh.extend(self.notices.take(state, record));
        // Somebody else drives and tells; the newest are what matters if that changes.
        while self.fresh.len() > QUEUE {
            self.fresh.pop_front();
        }
        match record.event() {
            Ok(Event::DriverStarted { owner, .. }) => self.driven_here = owner == self.desk.owner,
            Ok(Event::Notified { notice, receiver })
            | Ok(Event::NotifyFailed { notice, receiver, .. }) => {
                self.settled.insert((notice, receiver));
            }
            _ => {}
        }
        Ok(())
    }

    /// What is to be told and was not handed out yet; nothing while somebody else drives.
    pub(super) fn fresh(&mut self) -> Vec<Notice> {
        if self.driven_here { self.fresh.drain(..).collect() } else { Vec::new() }
    }

    /// Whether a receiver was told, or was given up on.
    pub(super) fn is_settled(&self, notice: &Notice, receiver: &str) -> bool {
        self.settled.contains(&(notice.id(), receiver.to_owned()))
    }
}
