//! The loop that keeps forecasters fresh: new samples go before fits, and both go on beside each other.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use domain::journal::Digest;
use domain::models::Models;
use domain::name::FleetName;
use domain::ports::Clock;
use forecast::ForecastError;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use super::super::settings::{
    FITS_AT_ONCE, FRESH, FRESH_ANEW, FRESH_LAST, FRESH_REACH, FRESH_REST, FRESH_STORED,
    FRESH_STORED_AT_ONCE, READS_AT_ONCE,
};
use super::super::{Server, told};
use super::told::Change;
use super::{Fresh, Kept, Key, Known, Told, Wish, rows};
use crate::documents::Documents;
use crate::pipeline::{self, Feed};
use crate::registry::BadAdapter;

/// What is read of the loads, and how each is configured.
struct Feeds(BTreeMap<Key, (Arc<Feed>, Digest)>);

impl Feeds {
    fn of(documents: &Documents, clock: &Arc<dyn Clock>) -> Result<Self, BadAdapter> {
        let with_digest = |(fleet, feed): (FleetName, Feed)| {
            let input = documents.fleets.get(&fleet)?.fleet.load.get(&feed.dimension)?;
            let (key, load) = ((fleet, feed.dimension.clone()), rows::configured(input));
            Some((key, (Arc::new(feed.load_alone()), load)))
        };
        let feeds = pipeline::feeds_of(documents, clock)?;
        Ok(Self(feeds.into_iter().filter_map(with_digest).collect()))
    }
}

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
    let feeds = match Feeds::of(&server.documents, &server.clock) {
        Ok(feeds) => feeds,
        Err(error) => return server.trouble("forecasts are not kept fresh", &error),
    };
    server.fresh.counts(|progress| progress.all = feeds.0.len());
    server.fresh.expect_plans(&server.documents, server.clock.now());
    let mut under_way: HashMap<Id, (Key, bool)> = HashMap::new();
    let mut work: JoinSet<Kept> = JoinSet::new();
    let mut models = Models::default();
    loop {
        let now = server.clock.now();
        if let Err(error) = server.fresh.write_down(server.store.as_ref(), &mut models, now).await {
            server.trouble("what changes in forecasters is not written down", &error);
        }
        store(&server, &feeds, now, FRESH_STORED_AT_ONCE).await;
        let busy: HashSet<&Key> = under_way.values().map(|(key, _)| key).collect();
        let mut queue = server.fresh.queue(&feeds, &busy, now);
        let next = now + FRESH;
        loop {
            while work.len() < READS_AT_ONCE {
                let fitting = under_way.values().filter(|(_, fits)| *fits).count();
                let Some((key, fits)) = queue.next(fitting < FITS_AT_ONCE) else { break };
                let Some((feed, load)) = feeds.0.get(&key).cloned() else { continue };
                let task = work.spawn(renewed(server.clone(), key.clone(), feed, load, fits));
                under_way.insert(task.id(), (key, fits));
            }
            tokio::select! {
                () = told(&mut stop) => {
                    let last = store(&server, &feeds, Timestamp::MAX, usize::MAX);
                    let _ = tokio::time::timeout(FRESH_LAST, last).await;
                    return;
                }
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
    /// Forecasters look as far ahead as the rollouts of some documents do.
    fn expect_plans(&self, documents: &Documents, now: Timestamp) {
        for part in documents.rollouts.iter().flat_map(|file| &file.parts) {
            let Some(ahead) = pipeline::looks_ahead(part, now) else { continue };
            let fleet = documents.fleets.get(&part.fleet);
            let load = fleet.iter().flat_map(|file| file.fleet.load.keys());
            for dimension in load {
                let needed = i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX);
                self.wishes((part.fleet.clone(), dimension.clone()), |wish| wish.looks(needed));
            }
        }
    }

    /// What is due now, but for what is under way.
    fn queue(&self, feeds: &Feeds, busy: &HashSet<&Key>, now: Timestamp) -> Queue {
        let mut queue = Queue::default();
        for (key, (feed, _)) in feeds.0.iter().filter(|(key, _)| !busy.contains(key)) {
            let (kept, wish) = (self.get(key), self.wish(key));
            let rests = kept.rests.is_some_and(|until| now < until);
            if rests && kept.trouble.is_some() {
                continue;
            }
            let Some(known) = &kept.known else {
                match wish.anew {
                    true => queue.fits.push_front(key.clone()),
                    false => queue.fits.push_back(key.clone()),
                }
                continue;
            };
            let length = known.taken.step().duration();
            // A fit may wait; what is kept until then goes on.
            if !rests && now >= known.forecaster.end() + length + feed.delay {
                queue.updates.push_back(key.clone());
            } else if wants_a_fit(known, wish, now) {
                queue.fits.push_front(key.clone());
            }
        }
        queue
    }
}

fn wants_a_fit(known: &Known, wish: Wish, now: Timestamp) -> bool {
    let changed = wish.anew && now >= known.fitted_at + FRESH_ANEW;
    wish.reach > known.reach || changed || known.forecaster.refit_due().is_some()
}

/// A forecaster with what is new, or one that is fitted where that is due.
async fn renewed(server: Arc<Server>, key: Key, feed: Arc<Feed>, load: Digest, fits: bool) -> Kept {
    let (mut kept, now) = (server.fresh.get(&key), server.clock.now());
    let first = !std::mem::replace(&mut kept.asked_for, true);
    if first {
        restore(&server, &key, &load, &mut kept).await;
    }
    let known = kept.known.clone().filter(|_| first || !fits);
    let (before, step) = (kept.known_until(), known.as_ref().map(|known| known.taken.step()));
    let done = match known {
        Some(known) => renew(&server, &key, &feed, &mut kept, known, now).await,
        None => fit(&server, &key, &feed, &mut kept, now).await,
    };
    // Where nothing has come there is soon enough to look in a quarter of a step.
    let in_vain = step.filter(|_| kept.known_until() == before);
    let rest = in_vain.map(|step| (step.duration() / 4).min(FRESH_REST));
    kept.rests = match &done {
        Ok(()) => rest.map(|rest| now + rest),
        Err(_) => Some(now + FRESH_REST),
    };
    kept.trouble = done.err();
    if kept.trouble.is_some() {
        server.meters.trouble();
    }
    kept
}

/// Takes in what is new.
async fn renew(
    server: &Server,
    key: &Key,
    feed: &Feed,
    kept: &mut Kept,
    known: Known,
    now: Timestamp,
) -> Result<(), String> {
    let step = known.taken.step();
    let from = known.forecaster.end() - step.duration() * 2;
    let read = pipeline::read_on(feed, step, from, now).await;
    let series = read.map_err(|error| crate::causes::chain(&error))?;
    let carried = Server::compute(&server.updates, move || known.carried(&series));
    match carried.await? {
        Ok((known, told)) => {
            server.fresh.counts(|progress| progress.updates += 1);
            kept.known = Some(known);
            server.fresh.tell(key, kept, &told);
            Ok(())
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
    let before = former.clone();
    let fitted =
        Server::compute(&server.fits, move || Known::fit(former.as_ref(), &series, reach, now));
    let (known, told) = fitted.await?.map_err(|error| error.to_string())?;
    server.fresh.wishes(key.clone(), |wish| wish.anew = false);
    server.fresh.note(before.and_then(|former| Change::fit(key, &former, &known)));
    server.fresh.counts(|progress| progress.fits += 1);
    kept.known = Some(known);
    server.fresh.tell(key, kept, &told);
    Ok(())
}

/// Takes the forecaster that the store keeps, if it is of the same load. Without it one is fitted.
async fn restore(server: &Server, key: &Key, load: &Digest, kept: &mut Kept) {
    let bytes = match server.store.kept(&rows::name(key)).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return,
        Err(error) => return server.trouble("no forecaster is taken from the store", &error),
    };
    let (key, load) = (key.clone(), load.clone());
    let read = move || rows::Row::read(&bytes).and_then(|row| row.of(&key, &load));
    match Server::compute(&server.updates, read).await {
        Ok(Ok(row)) => {
            kept.stored = Some((row.known.fitted_at, row.known.forecaster.end()));
            (kept.known, kept.events) = (Some(row.known), row.events);
        }
        Ok(Err(error)) => server.trouble("a forecaster is fitted anew", &error),
        Err(text) => server.trouble("a forecaster is fitted anew", &std::io::Error::other(text)),
    }
}

/// Puts forecasters into the store that were fitted since they were stored, or that know much more by now.
async fn store(server: &Server, feeds: &Feeds, now: Timestamp, most: usize) {
    let due = server.fresh.to_store(now);
    for keys in due.chunks(FRESH_STORED_AT_ONCE).take(most.div_ceil(FRESH_STORED_AT_ONCE)) {
        let mut all = Vec::with_capacity(keys.len());
        let mut stored = Vec::with_capacity(keys.len());
        for key in keys {
            let (kept, Some((_, load))) = (server.fresh.get(key), feeds.0.get(key)) else {
                continue;
            };
            let Some(known) = &kept.known else { continue };
            all.push((rows::name(key), rows::written(key, known, &kept, load)));
            stored.push((key.clone(), (known.fitted_at, known.forecaster.end())));
        }
        if let Err(error) = server.store.keep(all).await {
            return server.trouble("forecasters are not stored", &error);
        }
        server.fresh.is_stored(stored);
    }
}

impl Fresh {
    /// What the store does not have yet, or has as it was long ago.
    fn to_store(&self, now: Timestamp) -> Vec<Key> {
        let all = self.all.lock().expect("nobody panics with it");
        let due = all.iter().filter(|(_, kept)| {
            let Some(known) = &kept.known else { return false };
            match kept.stored {
                None => true,
                Some((fitted_at, end)) => {
                    let more = known.forecaster.end() > end;
                    fitted_at != known.fitted_at || more && now.duration_since(end) > FRESH_STORED
                }
            }
        });
        due.map(|(key, _)| key.clone()).collect()
    }

    fn is_stored(&self, stored: Vec<(Key, (Timestamp, Timestamp))>) {
        let mut all = self.all.lock().expect("nobody panics with it");
        for (key, of) in stored {
            if let Some(kept) = all.get_mut(&key) {
                kept.stored = Some(of);
            }
        }
    }

    /// Remembers what has happened to a forecaster, and notes what is to be written down.
    fn tell(&self, key: &Key, kept: &mut Kept, told: &Told) {
        kept.tell(told);
        self.note(Change::among(key, told));
    }
}
