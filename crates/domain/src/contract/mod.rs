//! The contract suites of the ports: what every adapter has to show.

use std::pin::{Pin, pin};
use std::task::Poll;

pub mod archive;
pub mod freezes;
pub mod health;
pub mod hook;
pub mod journal;
pub mod load;
pub mod notify;
pub mod provisioner;
pub mod signal;
pub mod size;
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

/// Polls three calls at once until all have answered.
pub async fn together<T>(
    one: impl Future<Output = T>,
    two: impl Future<Output = T>,
    three: impl Future<Output = T>,
) -> [T; 3] {
    let (mut one, mut two, mut three) = (pin!(one), pin!(two), pin!(three));
    let mut answers = [None, None, None];
    std::future::poll_fn(|context| {
        let calls: [Pin<&mut dyn Future<Output = T>>; 3] =
            [one.as_mut(), two.as_mut(), three.as_mut()];
        for (answer, call) in answers.iter_mut().zip(calls) {
            if answer.is_none()
                && let Poll::Ready(value) = call.poll(context)
            {
                *answer = Some(value);
            }
        }
        if answers.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers.map(|answer| answer.expect("all have answered"))
}
