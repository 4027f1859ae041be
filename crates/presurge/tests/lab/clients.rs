//! Requests through the front of a lab, several at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::get;

/// See the module.
pub struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    good: Arc<AtomicU32>,
    bad: Arc<AtomicU32>,
}

impl Clients {
    /// So many clients, one after the other by a quarter of a second, each with one request at a time.
    pub fn start(port: u16, count: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (good, bad) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let client = |n: u64| {
            let (stop, good, bad) = (stop.clone(), good.clone(), bad.clone());
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(250 * n));
                while !stop.load(Ordering::Relaxed) {
                    match get(port, "/", Duration::from_secs(20)) {
                        Ok((200, _)) => good.fetch_add(1, Ordering::Relaxed),
                        other => {
                            eprintln!("a request failed: {other:?}");
                            bad.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                }
            })
        };
        Self { threads: (0..count).map(client).collect(), stop, good, bad }
    }

    /// How many requests were answered, and how many were not.
    pub fn stop(self) -> (u32, u32) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        (self.good.load(Ordering::Relaxed), self.bad.load(Ordering::Relaxed))
    }
}
