//! The smallest executor: one poll.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Runs a future whose every wait is over at once, as all waits in the simulated world are.
///
/// `None` means that it is stuck for good: a fuse has blown, and the future is dropped where it
/// stood, as a process is by `kill -9`.
pub fn run_until_stuck<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
