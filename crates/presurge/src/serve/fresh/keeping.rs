//! The loop that keeps forecasters fresh: new samples go before fits, and both go on beside each other.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use forecast::ForecastError;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use super::super::settings::{
    FITS_AT_ONCE, FRESH, FRESH_ANEW, FRESH_REACH, FRESH_REST, READS_AT_ONCE,
};
use super::super::{Server, told};
use super::{Fresh, Kept, Key, Known, Wish};
use crate::pipeline::{self, Feed};

type Feeds = BTreeMap<Key, Arc<Feed>>;

/// What there is to do, what is needed most first.
#[derive(Debug, Default)]
struct Queue {
    updates: VecDeque<Key>,
    fits: VecDeque<Key>,
}

impl Queue {
    /// The next one, and whether it is fitted.
    fn next(&mut self, may_fit: bool) -> Option<(Key, bool)> {
        match self.updates.pop_front() {
            Some(key) => Some((key, false)),
            None if may_fit => Some((self.fits.pop_front()?, true)),
            None => None,
        }
    }
}

/// Keeps every forecast fresh until it is told to stop.
pub async fn keep(server: Arc<Server>, mut stop: watch::Receiver<bool>) {
    let feeds: Feeds = match pipeline::feeds_of(&server.documents, &server.clock) {
        Ok(feeds) => feeds
            .into_iter()
            .map(|(fleet, feed)| ((fleet, feed.dimension.clone()), Arc::new(feed.load_alone())))
            .collect(),
        Err(error) => return server.trouble("forecasts are not kept fresh", &error),
    };
    let mut under_way: HashMap<Id, (Key, bool)> = HashMap::new();
    let mut work: JoinSet<Kept> = JoinSet::new();
    loop {
        let now = server.clock.now();
        let busy: HashSet<&Key> = under_way.values().map(|(key, _)| key).collect();
        let mut queue = server.fresh.queue(&feeds, &busy, now);
        let next = now + FRESH;
        loop {
            while work.len() < READS_AT_ONCE {
                let fitting = under_way.values().filter(|(_, fits)| *fits).count();
                let Some((key, fits)) = queue.next(fitting < FITS_AT_ONCE) else { break };
                let Some(feed) = feeds.get(&key) else { continue };
                let task = work.spawn(renewed(server.clone(), key.clone(), feed.clone()));
                under_way.insert(task.id(), (key, fits));
            }
            tokio::select! {
                () = told(&mut stop) => return,
                Some(done) = work.join_next_with_id(), if !work.is_empty() => {
                    let id = match &done { Ok((id, _)) => *id, Err(panic) => panic.id() };
                    let Some((key, _)) = under_way.remove(&id) else { continue };
                    if let Ok((_, kept)) = done {
                        server.fresh.set(key, kept);
                    }
                }
                () = server.clock.sleep_until(next) => break,
            }
        }
    }
}

impl Fresh {
    /// What is due now, but for what is under way.
    fn queue(&self, feeds: &Feeds, busy: &HashSet<&Key>, now: Timestamp) -> Queue {
        let mut queue = Queue::default();
        for (key, feed) in feeds.iter().filter(|(key, _)| !busy.contains(key)) {
            let (kept, wish) = (self.get(key), self.wish(key));
            if kept.rests.is_some_and(|until| now < until) {
                continue;
            }
            let Some(known) = &kept.known else {
                // A plan waits for it.
                match wish.reach > 0 {
                    true => queue.fits.push_front(key.clone()),
                    false => queue.fits.push_back(key.clone()),
                }
                continue;
            };
            let length = known.taken.step().duration();
            if wants_a_fit(known, wish, now) {
                queue.fits.push_front(key.clone());
            } else if now >= known.forecaster.end() + length + feed.delay {
                queue.updates.push_back(key.clone());
            }
        }
        queue
    }
}

fn wants_a_fit(known: &Known, wish: Wish, now: Timestamp) -> bool {
    wish.reach > known.reach || wish.anew && now >= known.fitted_at + FRESH_ANEW
}

/// A forecaster with what is new, or one that is fitted where that is due.
async fn renewed(server: Arc<Server>, key: Key, feed: Arc<Feed>) -> Kept {
    let (mut kept, now) = (server.fresh.get(&key), server.clock.now());
    kept.trouble = renew(&server, &key, &feed, &mut kept, now).await.err();
    kept.rests = kept.trouble.as_ref().map(|_| now + FRESH_REST);
    if kept.trouble.is_some() {
        server.meters.trouble();
    }
    kept
}

/// Takes in what is new, or fits where that is due.
async fn renew(
    server: &Server,
    key: &Key,
    feed: &Feed,
    kept: &mut Kept,
    now: Timestamp,
) -> Result<(), String> {
    let Some(known) = kept.known.clone() else { return fit(server, key, feed, kept, now).await };
    if wants_a_fit(&known, server.fresh.wish(key), now) {
        return fit(server, key, feed, kept, now).await;
    }
    let step = known.taken.step();
    let from = known.forecaster.end() - step.duration() * 2;
    let read = pipeline::read_on(feed, step, from, now).await;
    let series = read.map_err(|error| crate::causes::chain(&error))?;
    let carried = Server::compute(&server.updates, move || known.carried(&series));
    match carried.await? {
        Ok((known, told)) => {
            let due = known.forecaster.refit_due();
            kept.known = Some(known);
            kept.tell(&told);
            match due {
                Some(_) => fit(server, key, feed, kept, now).await,
                None => Ok(()),
            }
        }
        // Too long was nothing known.
        Err(ForecastError::Ahead { .. }) => fit(server, key, feed, kept, now).await,
        Err(error) => Err(error.to_string()),
    }
}

/// Fits to the whole history.
async fn fit(
    server: &Server,
    key: &Key,
    feed: &Feed,
    kept: &mut Kept,
    now: Timestamp,
) -> Result<(), String> {
    let read = pipeline::read(feed, now).await;
    let series = read.map_err(|error| crate::causes::chain(&error))?.series;
    let former = kept.known.clone();
    let least = FRESH_REACH.as_secs().cast_signed();
    let reach = former.as_ref().map_or(least, |former| former.reach);
    let reach = reach.max(server.fresh.wish(key).reach);
    let fitted = Server::compute(&server.fits, move || {
        Known::fit(former.as_ref(), &series, reach, now)
    });
    let (known, told) = fitted.await?.map_err(|error| error.to_string())?;
    server.fresh.wishes(key.clone(), |wish| wish.anew = false);
    kept.known = Some(known);
    kept.tell(&told);
    Ok(())
}
