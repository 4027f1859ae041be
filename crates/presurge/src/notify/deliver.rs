//! Telling one receiver, again if need be, and writing down what came of it.

use std::time::Duration;

use domain::event::Event;
use domain::journal::{Actor, Entry, Head};
use domain::notice::Notice;
use domain::ports::{Append, AppendError, Authority, PortError, Retry};
use tokio::sync::mpsc;

use super::{Desk, Receiver};

/// A notice is told so often before it is given up, over about a minute.
const TRIES: u32 = 6;

/// The pause after the first failure, in seconds; it doubles with each.
const FIRST_PAUSE_SECONDS: u64 = 1;

/// The driver writes into the same journal; so many conflicts in a row are a defect.
const CONFLICTS: u32 = 50;

/// One receiver, and where it is written down what it was told.
pub(super) struct Delivery {
    desk: Desk,
    receiver: Receiver,
    head: Head,
}

impl Delivery {
    pub(super) fn new(desk: Desk, receiver: Receiver) -> Self {
        Self { desk, receiver, head: Head::empty() }
    }

    /// Tells what is handed in, in its order, until nothing is any more.
    pub(super) async fn work(mut self, mut queue: mpsc::Receiver<Notice>) {
        // Better said now than when something has to be told.
        if let Err(error) = self.receiver.notify.reach().await {
            self.trouble(&format!("cannot be reached: {}", error.chain()));
        }
        while let Some(notice) = queue.recv().await {
            let (id, receiver) = (notice.id(), self.receiver.name.clone());
            let (event, reason) = match self.tell(&notice).await {
                Ok(()) => (Event::Notified { notice: id, receiver }, "the receiver took it"),
                Err(error) => {
                    let error = error.chain();
                    self.trouble(&format!("could not be told {:?}: {error}", notice.title));
                    (Event::NotifyFailed { notice: id, receiver, error }, "it is given up")
                }
            };
            self.write(event, reason, notice.seq).await;
        }
    }

    async fn tell(&self, notice: &Notice) -> Result<(), PortError> {
        let mut pause = Duration::from_secs(FIRST_PAUSE_SECONDS);
        let mut tries = 1;
        loop {
            let error = match self.receiver.notify.tell(notice).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let wait = match error.retry {
                Retry::Never => return Err(error),
                _ if tries == TRIES => return Err(error),
                Retry::Backoff => pause,
                Retry::After(asked) => asked.max(pause),
            };
            let clock = &self.desk.clock;
            clock.sleep_until(clock.now() + wait).await;
            pause *= 2;
            tries += 1;
        }
    }

    async fn write(&mut self, event: Event, reason: &str, cause: u64) {
        let entry = Entry {
            at: self.desk.clock.now(),
            actor: Actor("notifier".into()),
            cause: Some(cause),
            reason: reason.into(),
            inputs: None,
            event,
        };
        for _ in 0..CONFLICTS {
            let append = Append {
                rollout: &self.desk.id,
                authority: Authority::Operator,
                after: &self.head,
                entries: vec![entry.clone()],
            };
            match self.desk.journal.append(append).await {
                Ok(_) => return,
                Err(AppendError::Conflict(head)) => self.head = head,
                Err(error) => return self.trouble(&format!("what it was told: {error}")),
            }
        }
        self.trouble("what it was told could not be written down");
    }

    fn trouble(&self, text: &str) {
        self.desk.audience.troubled(&format!("{}: {text}", self.receiver.name));
    }
}
