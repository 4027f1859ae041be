//! Time that moves only when somebody waits.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::ports::Clock;
use jiff::Timestamp;

/// A virtual clock. Copies share their time.
#[derive(Debug, Clone)]
pub struct SimClock {
    now: Arc<Mutex<Timestamp>>,
}

impl SimClock {
    /// A clock that stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self { now: Arc::new(Mutex::new(start)) }
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().expect("no panic under the lock")
    }

    async fn sleep_until(&self, until: Timestamp) {
        let mut now = self.now.lock().expect("no panic under the lock");
        if until > *now {
            *now = until;
        }
    }
}
