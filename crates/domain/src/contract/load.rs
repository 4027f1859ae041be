//! What every load source has to show.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::cut_short;
use crate::ports::{LoadSource, Retry};
use crate::series::Sample;

/// A load source and what it holds, for one case.
#[async_trait]
pub trait World: Send + Sync {
    /// A new adapter on the same source.
    fn source(&self) -> Arc<dyn LoadSource>;

    /// Every sample that the source holds, in rising order of time; at least eight, all of them
    /// finite, and none newer than what the source already answers.
    fn stored(&self) -> Vec<Sample>;

    /// Makes the next call fail although the configuration is right. False where it cannot fail.
    async fn fail_next(&self) -> bool;
}

/// Runs every case.
///
/// # Panics
/// When the adapter breaks its contract; the message says how.
pub async fn run<W: World>(make: impl AsyncFn() -> W) {
    the_range_is_half_open(&make().await).await;
    parts_add_up_to_the_whole(&make().await).await;
    nothing_there_is_no_error(&make().await).await;
    endless_ranges_end(&make().await).await;
    repeating_changes_nothing(&make().await).await;
    a_failed_call_is_repeated(&make().await).await;
}

async fn the_range_is_half_open<W: World>(world: &W) {
    let stored = world.stored();
    assert!(stored.len() >= 8, "too little to tell anything from");
    let (first, last) = (stored[0].at, stored[stored.len() - 1].at);
    assert_same(&read(world, first, after(last)).await, &stored);
    assert_same(&read(world, first, last).await, &stored[..stored.len() - 1]);
    assert_same(&read(world, after(first), after(last)).await, &stored[1..]);
    assert_same(&read(world, stored[3].at, stored[5].at).await, &stored[3..5]);
    assert_same(&read(world, stored[3].at, after(stored[3].at)).await, &stored[3..4]);
}

async fn parts_add_up_to_the_whole<W: World>(world: &W) {
    let stored = world.stored();
    let (first, end) = (stored[0].at, after(stored[stored.len() - 1].at));
    for parts in [2_u32, 3, 7] {
        let length = Duration::try_from(first.duration_until(end)).expect("time rises");
        let mut joined = Vec::new();
        for part in 0..parts {
            let from = first + length / parts * part;
            let to = if part + 1 == parts { end } else { first + length / parts * (part + 1) };
            joined.extend(read(world, from, to).await);
        }
        assert_same(&joined, &stored);
    }
}

async fn nothing_there_is_no_error<W: World>(world: &W) {
    let stored = world.stored();
    let (first, last) = (stored[0].at, stored[stored.len() - 1].at);
    let week = Duration::from_secs(7 * 86_400);
    assert_same(&read(world, first - week, first).await, &[]);
    assert_same(&read(world, first, first).await, &[]);
    assert_same(&read(world, last, first).await, &[]);
    assert_same(&read(world, first, after(first)).await, &stored[..1]);
}

async fn endless_ranges_end<W: World>(world: &W) {
    for (from, to) in [
        (Timestamp::MIN, Timestamp::MAX),
        (Timestamp::MIN, world.stored()[0].at),
        (Timestamp::MAX, Timestamp::MAX),
    ] {
        match world.source().samples(from, to).await {
            Ok(samples) => assert!(samples.len() <= world.stored().len(), "invented samples"),
            Err(error) => assert_eq!(error.retry, Retry::Never, "{}", error.chain()),
        }
    }
}

async fn repeating_changes_nothing<W: World>(world: &W) {
    let stored = world.stored();
    let (first, end) = (stored[0].at, after(stored[stored.len() - 1].at));
    let source = world.source();
    for polls in 1..4 {
        cut_short(source.samples(first, end), polls).await;
        let again = source.samples(first, end).await;
        assert_same(&again.unwrap_or_else(|error| panic!("{}", error.chain())), &stored);
    }
}

async fn a_failed_call_is_repeated<W: World>(world: &W) {
    if !world.fail_next().await {
        return;
    }
    let stored = world.stored();
    let (first, end) = (stored[0].at, after(stored[stored.len() - 1].at));
    let source = world.source();
    let error = source.samples(first, end).await.expect_err("the call was made to fail");
    assert_ne!(error.retry, Retry::Never, "{}", error.chain());
    let again = source.samples(first, end).await;
    assert_same(&again.unwrap_or_else(|error| panic!("{}", error.chain())), &stored);
}

async fn read<W: World>(world: &W, from: Timestamp, to: Timestamp) -> Vec<Sample> {
    let samples = world.source().samples(from, to).await;
    samples.unwrap_or_else(|error| panic!("[{from}, {to}): {}", error.chain()))
}

fn after(at: Timestamp) -> Timestamp {
    at + Duration::from_nanos(1)
}

fn assert_same(left: &[Sample], right: &[Sample]) {
    assert!(left.windows(2).all(|pair| pair[0].at <= pair[1].at), "times fall: {left:?}");
    assert_eq!(left.len(), right.len(), "{left:?} is not {right:?}");
    for (one, other) in left.iter().zip(right) {
        let close = (one.value - other.value).abs() <= 1e-9 * other.value.abs();
        assert!(one.at == other.at && close, "{one:?} is not {other:?}");
    }
}
