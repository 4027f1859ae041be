//! Faults in calls: decorators of the ports that fail, fall silent, repeat, delay, shorten or
//! tell old news, as a seed says.

mod journal;
mod ports;

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, pending};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::ports::{PortError, Retry};
use jiff::Timestamp;
use plan::uniform;

use crate::agenda::Agenda;

/// What can go wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// An error, and nothing has happened.
    FailsBefore,
    /// It has happened, and then an error.
    FailsAfter,
    /// No answer, and nothing has happened.
    SilentBefore,
    /// It has happened, and no answer.
    SilentAfter,
    /// It arrives twice.
    Twice,
    /// No answer, and it happens a while later, whoever lives then.
    Late,
    /// A part of it happens at first.
    Partial,
    /// The answer is of a while ago.
    Stale,
    /// Too many calls: after this long, please.
    Throttled,
    /// What is asked for is sold out.
    SoldOut,
    /// Nobody can say what became of it.
    Unknown,
    /// A check that cannot tell.
    Vague,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::FailsBefore,
        Self::FailsAfter,
        Self::SilentBefore,
        Self::SilentAfter,
        Self::Twice,
        Self::Late,
        Self::Partial,
        Self::Stale,
        Self::Throttled,
        Self::SoldOut,
        Self::Unknown,
        Self::Vague,
    ];
}

/// How often calls go wrong, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// The probability of each kind per call that can have it.
    pub chances: BTreeMap<Fault, f64>,
    /// A late effect comes within this time. A driver cannot wait for it: it must be shorter than
    /// a warm-up, in which what comes too late is put right.
    pub late: Duration,
    /// Old news are at most so old.
    pub stale: Duration,
    /// How long a caller that was throttled is told to wait.
    pub throttle: Duration,
    /// From then on everything works.
    pub until: Timestamp,
}

/// Which faults come when: drawn under a seed, one draw per call, and counted.
pub struct Dice {
    seed: u64,
    faults: Faults,
    agenda: Arc<Agenda>,
    calls: AtomicU64,
    thrown: Mutex<BTreeMap<Fault, u64>>,
}

/// The stream of draws that decides on faults.
const STREAM: u64 = 0xFA;

impl Dice {
    /// The faults of a seed.
    pub fn new(seed: u64, faults: Faults, agenda: Arc<Agenda>) -> Arc<Self> {
        let (calls, thrown) = (AtomicU64::new(0), Mutex::default());
        Arc::new(Self { seed, faults, agenda, calls, thrown })
    }

    /// How often each fault has come.
    pub fn thrown(&self) -> BTreeMap<Fault, u64> {
        self.thrown.lock().expect("no panic under the lock").clone()
    }

    /// How the next call goes wrong, if it does: in one of the ways that it can.
    fn throw(&self, ways: &[Fault]) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.agenda.true_now() >= self.faults.until {
            return None;
        }
        let mut level = uniform(self.seed, [STREAM, call, 0]);
        for (fault, chance) in &self.faults.chances {
            if level < *chance {
                return ways.contains(fault).then(|| self.count(*fault));
            }
            level -= chance;
        }
        None
    }

    fn count(&self, fault: Fault) -> Fault {
        *self.thrown.lock().expect("no panic under the lock").entry(fault).or_default() += 1;
        fault
    }

    fn delay(&self) -> Duration {
        let call = self.calls.load(Ordering::Relaxed);
        self.faults.late.mul_f64(uniform(self.seed, [STREAM, call, 1]))
    }

    fn error(&self, fault: Fault) -> PortError {
        let retry = match fault {
            Fault::Throttled => Retry::After(self.faults.throttle),
            Fault::SoldOut => Retry::Never,
            _ => Retry::Backoff,
        };
        PortError::new("simulated world", "a call", retry, Injected(fault))
    }

    /// Makes a call that goes wrong in the given way. Ways that change the answer or delay the
    /// effect are the business of the port.
    async fn through<T, F>(
        &self,
        fault: Option<Fault>,
        call: impl Fn() -> F + Send,
    ) -> Result<T, PortError>
    where
        F: Future<Output = Result<T, PortError>> + Send,
        T: Send,
    {
        let Some(fault) = fault else { return call().await };
        match fault {
            Fault::SilentBefore | Fault::Late => pending().await,
            Fault::SilentAfter => {
                let _unheard = call().await;
                pending().await
            }
            Fault::FailsAfter => {
                let _unheard = call().await;
                Err(self.error(fault))
            }
            Fault::Twice => {
                let _unheard = call().await;
                call().await
            }
            _ => Err(self.error(fault)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("injected: {0:?}")]
struct Injected(Fault);

/// A port whose calls go wrong.
pub struct Faulty<P: ?Sized, A = ()> {
    dice: Arc<Dice>,
    port: Arc<P>,
    /// What it answered lately.
    past: Mutex<VecDeque<(Timestamp, A)>>,
}

impl<P: ?Sized, A: Clone> Faulty<P, A> {
    /// The port, with the faults of the dice.
    pub fn new(dice: &Arc<Dice>, port: Arc<P>) -> Arc<Self> {
        Arc::new(Self { dice: dice.clone(), port, past: Mutex::default() })
    }

    /// Remembers an answer; gives the oldest that is not too old where old news are wanted.
    fn news(&self, answer: A, fault: Option<Fault>) -> A {
        let now = self.dice.agenda.true_now();
        let mut past = self.past.lock().expect("no panic under the lock");
        past.push_back((now, answer.clone()));
        while past.front().is_some_and(|(at, _)| *at + self.dice.faults.stale < now) {
            past.pop_front();
        }
        match (fault, past.front()) {
            (Some(Fault::Stale), Some((_, old))) => old.clone(),
            _ => answer,
        }
    }
}
