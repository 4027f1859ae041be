//! Telling people what happens to a rollout, beside its driver.
//!
//! Notices are made from the journal alone, as it grows. What a receiver took, or could not be told,
//! is written there, so that after a restart each receiver is told what it has not been told yet.
//! A process that ends between the two tells again, under the same id: at least once, not exactly
//! once. Nothing here can hold the driver up or make the rollout fail.

mod deliver;
mod tail;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use domain::config::AdapterRef;
use domain::name::RolloutId;
use domain::notice::Notice;
use domain::ports::{Clock, Journal, Notify};
use rollout::driver::Audience;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::deliver::Delivery;
use self::tail::Tail;
use crate::registry::{self, BadAdapter, Here};

/// So many notices may wait for one receiver; what comes on top is given up, and said so.
const QUEUE: usize = 256;

/// From one look into the journal to the next.
const LOOK: Duration = Duration::from_millis(500);

/// The end of the program waits so long for what is still to be told, no longer.
const LAST_WAIT: Duration = Duration::from_secs(8);

/// Somebody to tell.
#[derive(Clone)]
pub struct Receiver {
    /// Its name in the journal: the adapter, and the place in the list.
    pub name: String,
    /// How it is told.
    pub notify: Arc<dyn Notify>,
}

/// The receivers of a rollout.
pub fn receivers(entries: &[AdapterRef], here: &Here) -> Result<Vec<Receiver>, BadAdapter> {
    let receiver = |(index, entry): (usize, &AdapterRef)| {
        let name = format!("{}/{index}", entry.adapter);
        Ok(Receiver { name, notify: registry::notify(entry, here)? })
    };
    entries.iter().enumerate().map(receiver).collect()
}

/// What a notifier works with.
#[derive(Clone)]
pub struct Desk {
    /// The rollout.
    pub id: RolloutId,
    /// Its journal.
    pub journal: Arc<dyn Journal>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who hears of what could not be told.
    pub audience: Arc<dyn Audience>,
    /// The driver beside which it tells: two processes that wait for the same lease tell once.
    pub owner: String,
}

/// Tells receivers what happens until it is closed.
pub struct Notifier {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Notifier {
    /// Starts telling.
    pub fn start(desk: Desk, receivers: Vec<Receiver>) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, task: tokio::spawn(tell(desk, receivers, stopped)) }
    }

    /// Tells what is left, as far as that takes no longer than a few seconds. What is not told by
    /// then is told by the next `apply` of a rollout that is still open.
    pub async fn close(mut self) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(LAST_WAIT, &mut self.task).await.is_err() {
            self.task.abort();
            eprintln!("warning: not everybody could be told everything before the program ended");
        }
    }
}

async fn tell(desk: Desk, receivers: Vec<Receiver>, mut stopped: watch::Receiver<bool>) {
    if receivers.is_empty() {
        return;
    }
    let mut tail = Tail::new(&desk);
    let mut workers = tokio::task::JoinSet::new();
    let mut queues: Vec<(String, mpsc::Sender<Notice>)> = Vec::new();
    for receiver in receivers {
        let (queue, waiting) = mpsc::channel(QUEUE);
        queues.push((receiver.name.clone(), queue));
        workers.spawn(Delivery::new(desk.clone(), receiver).work(waiting));
    }
    loop {
        let last = *stopped.borrow();
        if let Err(error) = tail.read_on().await {
            desk.audience.troubled(&format!("nobody is told anything: {error}"));
        }
        for notice in tail.fresh() {
            for (receiver, queue) in &queues {
                if !tail.is_settled(&notice, receiver) && queue.try_send(notice.clone()).is_err() {
                    let text =
                        format!("{receiver}: too much waits; it is not told {}", notice.id());
                    desk.audience.troubled(&text);
                }
            }
        }
        if last {
            break;
        }
        let next = desk.clock.now() + LOOK;
        tokio::select! {
            () = desk.clock.sleep_until(next) => {}
            _ = stopped.changed() => {}
        }
    }
    drop(queues);
    while workers.join_next().await.is_some() {}
}
