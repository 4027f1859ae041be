//! The contract suites of the ports: what every adapter has to show.

use std::pin::pin;
use std::task::Poll;

pub mod archive;
pub mod health;
pub mod journal;
pub mod load;
pub mod provisioner;
pub mod traffic;
pub mod updater;

/// Polls a call at most this often and then drops it, as a caller does that is killed or gives
/// up: the call is left wherever it was.
pub async fn cut_short<F: Future>(call: F, polls: u32) {
    let mut call = pin!(call);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 || call.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        left -= 1;
        Poll::Pending
    })
    .await;
}
