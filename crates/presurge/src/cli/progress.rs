//! A line that counts, on a terminal only.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what is done on standard error.
pub struct Progress {
    what: &'static str,
    total: usize,
    done: AtomicUsize,
    shown: bool,
}

impl Progress {
    /// A count up to `total`; a single thing is not counted.
    pub fn new(what: &'static str, total: usize) -> Self {
        let shown = total > 1 && std::io::stderr().is_terminal();
        Self { what, total, done: AtomicUsize::new(0), shown }
    }

    /// One more is done.
    pub fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let every = (self.total / 100).max(1);
        if self.shown && (done.is_multiple_of(every) || done == self.total) {
            // Nobody is hurt when a count cannot be shown.
            let _ = write!(std::io::stderr(), "\r{}: {done} of {}", self.what, self.total);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}
