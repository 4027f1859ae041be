//! What happens at its moment, whoever waits: the clock of a world in which things happen.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use domain::ports::Clock;
use jiff::{SignedDuration, Timestamp};

use crate::clock::SimClock;
use crate::executor::run_until_stuck;

type Act = Box<dyn FnOnce() + Send>;

/// Acts in the order of their moments, and the clock that a driver reads: it may be ahead of the
/// world's time, or behind it. Time that passes passes through the acts; past the horizon nobody
/// wakes up any more.
pub struct Agenda {
    clock: SimClock,
    pages: Mutex<Pages>,
}

struct Pages {
    acts: BTreeMap<(Timestamp, u64), Act>,
    written: u64,
    ahead: SignedDuration,
    horizon: Timestamp,
}

impl Agenda {
    /// An empty agenda up to `horizon`.
    pub fn new(clock: SimClock, horizon: Timestamp) -> Arc<Self> {
        let (acts, ahead) = (BTreeMap::new(), SignedDuration::ZERO);
        let pages = Mutex::new(Pages { acts, written: 0, ahead, horizon });
        Arc::new(Self { clock, pages })
    }

    /// The present moment of the world.
    pub fn true_now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Something happens at a moment of the world's time.
    pub fn at(&self, moment: Timestamp, act: impl FnOnce() + Send + 'static) {
        let mut pages = self.pages();
        pages.written += 1;
        let place = (moment, pages.written);
        pages.acts.insert(place, Box::new(act));
    }

    /// The driver's clock steps; a negative step goes back.
    pub fn step_clock(&self, by: SignedDuration) {
        self.pages().ahead += by;
    }

    /// Sets another horizon.
    pub fn look_ahead(&self, horizon: Timestamp) {
        self.pages().horizon = horizon;
    }

    /// Whether the horizon has been reached.
    pub fn is_over(&self) -> bool {
        self.clock.now() >= self.pages().horizon
    }

    /// Lets the world's time pass up to a moment, with everything that happens until then.
    pub fn pass(&self, until: Timestamp) {
        while let Some((moment, act)) = self.next(until) {
            run_until_stuck(self.clock.sleep_until(moment));
            act();
        }
        run_until_stuck(self.clock.sleep_until(until));
    }

    /// Strikes out everything that has not happened.
    pub fn clear(&self) {
        let acts = std::mem::take(&mut self.pages().acts);
        drop(acts);
    }

    fn next(&self, until: Timestamp) -> Option<(Timestamp, Act)> {
        let mut pages = self.pages();
        let first = pages.acts.first_entry().filter(|entry| entry.key().0 <= until)?;
        let ((moment, _), act) = first.remove_entry();
        Some((moment, act))
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().expect("no panic under the lock")
    }
}

#[async_trait]
impl Clock for Agenda {
    fn now(&self) -> Timestamp {
        self.clock.now() + self.pages().ahead
    }

    /// As the clocks of real machines do, it looks again after each step of the clock.
    async fn sleep_until(&self, until: Timestamp) {
        loop {
            let left = until.duration_since(self.now());
            if left <= SignedDuration::ZERO {
                return;
            }
            if self.is_over() {
                pending::<()>().await;
            }
            let moment = self.clock.now() + left;
            match self.next(moment) {
                Some((moment, act)) => {
                    run_until_stuck(self.clock.sleep_until(moment));
                    act();
                }
                None => {
                    run_until_stuck(self.clock.sleep_until(moment));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_happens_happens_at_its_moment_and_clocks_may_step() {
        let clock = SimClock::at(at(0));
        let agenda = Agenda::new(clock.clone(), at(1000));
        let seen = Arc::new(Mutex::new(Vec::new()));
        for moment in [30, 10] {
            let (seen, clock) = (seen.clone(), clock.clone());
            agenda.at(at(moment), move || seen.lock().unwrap().push(clock.now()));
        }
        let weak = Arc::downgrade(&agenda);
        agenda.at(at(20), move || {
            weak.upgrade().unwrap().step_clock(SignedDuration::from_secs(-50));
        });
        assert!(run_until_stuck(agenda.sleep_until(at(40))).is_some());
        assert_eq!(*seen.lock().unwrap(), [at(10), at(30)]);
        assert_eq!((clock.now(), agenda.now()), (at(90), at(40)));
        assert!(run_until_stuck(agenda.sleep_until(at(2000))).is_some(), "it is slept through");
        assert!(run_until_stuck(agenda.sleep_until(at(3000))).is_none(), "nobody wakes up");
    }
}
